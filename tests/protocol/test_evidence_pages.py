"""The evidence pages: everything of the knowledge, reachable from a card, and nothing of a patient."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.app import create_app
from cds_service.cli.listening import check_listening, describe_evidence
from cds_service.knowledge.modality import Modality
from cds_service.pages.evidence import MAX_AGE_S
from cds_service.rulebook import MAX_SEARCH_CHARS, rule_book_pages
from cds_service.rulebook.search import MAX_RESULTS
from cds_service.settings import Settings
from cds_service.sites.registry import open_registry
from tests.conftest import FIXTURES, PUBLIC_URL, ROOT, SERVICE, Clock, as_of, request_of
from tests.support.callers import BASE, Ehr, bearer, open_door, site_file

KNOWN = knowledge.load()
PAGES = rule_book_pages(KNOWN).html
STATEMENT = re.compile(r"[SM]\d{3}")


class Page(HTMLParser):
    """The ids, the links and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.rows: dict[str, str] = {}
        self._row = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in {"tr", "li"}:
            self._row = given.get("id", "")

    def handle_data(self, data: str) -> None:
        if self._row:
            self.rows[self._row] = self.rows.get(self._row, "") + data


@cache
def page(name: str) -> Page:
    return Page(PAGES[name])


def rules_of(modality: Modality) -> set[str]:
    """Return the ids of all rules by which a card of the treatment can say that it was decided or stopped."""
    criteria = [
        *modality.contraindications,
        *(exclusion.criterion for exclusion in modality.exclusions),
        *modality.cautions,
        *(c for technique in modality.techniques for c in (*technique.when, *technique.stopped_by, *technique.cautions)),
    ]
    return {*(criterion.id for criterion in criteria), *(indication.id for indication in modality.indications)}


@pytest.mark.parametrize("modality", KNOWN.modalities, ids=lambda modality: modality.id)
def test_each_rule_of_a_treatment_has_an_anchor_on_its_page(modality: Modality) -> None:
    assert rules_of(modality) <= set(page(modality.id).ids)
    assert {"nec"} <= set(page(modality.id).ids)


def page_of(name: str, link: str) -> str:
    """Return the name of the page to which a link on the page `name` leads."""
    return urlsplit(urljoin(f"https://cds.example/evidence/{name}", link)).path.removeprefix("/evidence/")


def test_each_statement_is_reachable_from_a_card_in_two_clicks() -> None:
    """A card links a page. The statement is a row of that page, or of a page that it links."""
    for linked in {"", *(modality.id for modality in KNOWN.modalities)}:
        first = page(linked)
        beside = {page_of(linked, link) for link in first.links} & set(PAGES)
        reached = {name for other in (linked, *beside) for name in page(other).ids if STATEMENT.fullmatch(name)}
        assert reached == set(KNOWN.statements), linked


def test_each_row_of_a_statement_has_its_sentence_and_its_source() -> None:
    seen = set()
    for modality in KNOWN.modalities:
        for name, text in page(modality.id).rows.items():
            if not STATEMENT.fullmatch(name):
                continue
            seen.add(name)
            statement = KNOWN.statements[name]
            assert statement.says in text
            assert statement.confidence in text
            assert all(memory in text for memory in statement.from_memory)
            assert all(KNOWN.publications[source].citation in text for source in statement.publications)
            if statement.population is not None and statement.population.says:
                assert statement.population.says in text
    assert len(seen) > 120


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_script_no_double_id_and_no_dead_link(name: str) -> None:
    found = page(name)
    assert not found.tags & {"script", "img", "iframe", "object", "link"}
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        if link.startswith(("https://", "http://")):
            continue
        other, anchor = page(page_of(name, link)), urlsplit(link).fragment
        assert not anchor or anchor in other.ids, link


@pytest.mark.parametrize("modality", KNOWN.modalities, ids=lambda modality: modality.id)
def test_what_speaks_for_and_against_is_side_by_side_in_both_editions(modality: Modality) -> None:
    sides = PAGES[modality.id].split('id="sides"')[1].split("<section")[0]
    for shown in modality.shown:
        if shown.face.value in {"for", "dissent", "risk"}:
            assert f'href="#{shown.statement}"' in sides, shown.statement
    assert sides.index("2010") < sides.index("later")


def test_the_pages_name_series_what_is_left_out_and_local_conventions() -> None:
    for row in KNOWN.outcomes:
        for name in row.modalities:
            assert row.series in PAGES[name]
    arterial = PAGES["hepatic-arterial-therapy"]
    assert "<strong>Vogl 2009</strong> (Table 2 of the review): " in arterial
    assert "Main portal vein occluded" in arterial
    ablation = PAGES["ablation"].split('id="local"')[1]
    assert "More than 50 % of the liver replaced by tumour" in ablation
    assert "More than 50 % of the liver replaced by tumour" not in PAGES["resection"].partition('id="local"')[2]
    assert "uptake against liver" in PAGES["systemic-therapy"].split('id="omitted"')[1]
    assert all(KNOWN.digest in shown for shown in PAGES.values())


@pytest.mark.parametrize("fixture", FIXTURES)
def test_each_card_links_a_page_and_a_rule_that_exist(client: FlaskClient, clock: Clock, fixture: str) -> None:
    clock.today = as_of(fixture)
    answer = client.post(SERVICE, json=request_of(fixture))
    assert answer.json is not None
    for card in answer.json["cards"]:
        address = urlsplit(card["links"][-1]["url"])
        assert f"{address.scheme}://{address.netloc}" == PUBLIC_URL
        shown = client.get(address.path)
        assert shown.status_code == 200
        assert not address.fragment or address.fragment in Page(shown.text).ids


def test_each_order_card_links_a_rule_that_exists() -> None:
    golden = [path.read_text("utf-8") for path in (ROOT / "tests/orders/golden").glob("*.json")]
    linked = {name for text in golden for name in re.findall(f'{PUBLIC_URL}/evidence/([^"]+)', text)}
    assert len(linked) >= 6
    for name in linked:
        modality, _, rule = name.partition("#")
        assert rule in page(modality).ids, name


def test_no_page_is_another_one_because_of_the_patient_before(client: FlaskClient, clock: Clock) -> None:
    before = client.get("/evidence/ablation").data
    clock.today = as_of("nec")
    assert client.post(SERVICE, json=request_of("nec")).status_code == 200
    assert client.get("/evidence/ablation").data == before == PAGES["ablation"].encode()


def test_a_page_is_sent_again_only_if_it_has_changed(client: FlaskClient) -> None:
    first = client.get("/evidence/ablation")
    assert first.headers["Cache-Control"] == f"public, max-age={MAX_AGE_S}"
    again = client.get("/evidence/ablation", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = client.get("/evidence/resection", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200
    assert client.head("/evidence/ablation").headers["ETag"] == first.headers["ETag"]


def test_a_page_runs_nothing_and_tells_other_sites_nothing(client: FlaskClient) -> None:
    for path in ("/evidence/", "/evidence/ablation", "/evidence/?q=portal", "/evidence/none"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_index_has_its_slash(client: FlaskClient) -> None:
    answer = client.get("/evidence")
    assert (answer.status_code, answer.headers["Location"]) == (308, "evidence/")


def test_a_page_that_does_not_exist_lists_those_that_do(client: FlaskClient) -> None:
    answer = client.get("/evidence/chemotherapy")
    assert answer.status_code == 404
    assert set(PAGES) - {""} <= set(Page(answer.text).links)
    assert client.get("/evidence/north/ablation").is_json


def search(client: FlaskClient, words: str) -> list[str]:
    answer = client.get("/evidence/", query_string={"q": words})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return re.findall(r'<li><a href="([^"]+)">', answer.text.split("<main")[1])


def test_a_search_finds_rules_first_then_statements(client: FlaskClient) -> None:
    found = search(client, "portal vein")
    assert found[0] == "hepatic-arterial-therapy#portal-vein-occlusion"
    rules = [STATEMENT.fullmatch(link.split("#")[1]) is None for link in found]
    assert rules == sorted(rules, reverse=True)
    assert any(link.endswith("#S053") for link in found)
    assert search(client, "VEIN  portal") == found
    assert search(client, "m043")[0] == "transplantation#M043"
    assert search(client, "mazzaferro")
    assert search(client, "portal xyzzy") == []


def test_a_search_with_many_results_says_that_it_lists_some(client: FlaskClient) -> None:
    answer = client.get("/evidence/?q=e")
    assert f"Only the first {MAX_RESULTS} are listed" in answer.text
    assert len(search(client, "e")) == MAX_RESULTS


def test_a_search_that_is_too_long_is_refused(client: FlaskClient) -> None:
    assert client.get("/evidence/", query_string={"q": "a" * MAX_SEARCH_CHARS}).status_code == 200
    answer = client.get("/evidence/", query_string={"q": "a" * (MAX_SEARCH_CHARS + 1)})
    assert answer.status_code == 400
    assert f"at most {MAX_SEARCH_CHARS} characters" in answer.text


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "\x00\udcff", "**x**"]
)
def test_a_search_is_shown_as_text(client: FlaskClient, words: str) -> None:
    answer = client.get("/evidence/", query_string={"q": words.encode("utf-8", "surrogateescape")})
    assert answer.status_code == 200
    assert not Page(answer.text).tags & {"script", "img"}
    assert "49" not in answer.text.split("<main")[0].split("</style>")[1]


def test_a_search_is_not_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        client.get("/evidence/?q=Rosenzweig")
    assert caplog.text
    assert "Rosenzweig" not in caplog.text


def test_a_site_has_pages_of_its_own_which_its_cards_link(tmp_path: Path) -> None:
    ehr = Ehr()
    door = open_door(tmp_path, site_file("north", keys=[ehr.key.jwk], fhir="[windows]\ninr = 30"))
    shown = door.client.get("/evidence/north/rule-book")
    assert shown.status_code == 200
    assert "north" in shown.text.split('id="site"')[1]
    assert door.client.get("/evidence/ablation").status_code == 404
    assert door.client.get("/evidence/north").headers["Location"] == "north/"
    assert json.loads(door.client.get("/health").data)["knowledge"] in shown.text
    assert KNOWN.digest not in shown.text
    answer = door.client.post(SERVICE, json=request_of("nec"), headers=bearer(ehr.token()))
    assert answer.json is not None
    assert {card["links"][-1]["url"].split("#")[0] for card in answer.json["cards"]} == {
        f"{BASE}/evidence/north/", f"{BASE}/evidence/north/hepatic-arterial-therapy",
    }  # fmt: skip


def test_a_site_without_evidence_pages_has_no_links_to_them(tmp_path: Path) -> None:
    ehr = Ehr()
    text = site_file("north", keys=[ehr.key.jwk]).replace("[[client]]", "evidence_pages = false\n[[client]]", 1)
    door = open_door(tmp_path, text)
    assert door.client.get("/evidence/north/").status_code == 404
    answer = door.client.post(SERVICE, json=request_of("nec"), headers=bearer(ehr.token()))
    assert answer.json is not None
    assert answer.json["cards"]
    assert "/evidence/" not in answer.text


@pytest.mark.parametrize(
    ("host", "public", "link"),
    [
        ("127.0.0.1", (), "http://127.0.0.1:8080/evidence/"),
        ("::1", (), "http://[::1]:8080/evidence/"),
        ("127.0.0.1", ("https://cds.north.example/nlm", "https://other.example"), "https://cds.north.example/nlm/evidence/"),
    ],
)
def test_links_begin_with_the_public_url_or_the_address_of_this_machine(host: str, public: tuple[str, ...], link: str) -> None:
    settings = check_listening(Settings(pages=False, public_urls=public), host, 8080)
    app = create_app(settings, lambda: as_of("nec"))
    answer = app.test_client().post(SERVICE, json=request_of("nec"))
    assert answer.json is not None
    assert answer.json["cards"][0]["links"][-1]["url"] == link
    assert link in describe_evidence(open_registry(settings), settings)


def test_the_start_says_where_no_card_links_the_pages(tmp_path: Path) -> None:
    proxied = tmp_path / "north.toml"
    proxied.write_text('[site]\nid = "north"\ntitle = "North"\nauthenticated_by_proxy = true\n', "utf-8")
    settings = check_listening(Settings(sites=(proxied,)), "0.0.0.0", 8080)
    registry = open_registry(settings)
    assert registry.sites[0].evidence_url == ""
    assert "as CDS_PUBLIC_URL is not set" in describe_evidence(registry, settings)
    proxied.write_text(proxied.read_text("utf-8") + "evidence_pages = false\n", "utf-8")
    assert "turned off" in describe_evidence(open_registry(settings), settings)
