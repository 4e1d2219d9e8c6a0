"""Text of a chart never becomes Markdown, HTML or a link on a card or on the page. Links go to known hosts only."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from flask.testing import FlaskClient
from markdown_it import MarkdownIt

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.app import create_app
from cds_service.cards.wording import MAX_RECORDED_CHARS, lead_text, safe_text
from cds_service.settings import Settings
from tests.conftest import FIXTURES, ROOT, SERVICE, Clock, as_of, request_of

INJECTIONS = {
    "a link": "[click](https://evil.example/a)",
    "a link of javascript": "[click](javascript:alert(1))",
    "a picture": "![x](https://evil.example/a.png)",
    "an autolink": "<https://evil.example/a>",
    "a bare https address": "see https://evil.example/a?b=c",
    "a bare http address of a number": "http://127.0.0.1/a",
    "a bare www address": "WWW.evil.example/a",
    "a bare host": "evil.com",
    "a host in another script": "пример.рф",
    "an address without a scheme": "//evil.com/a",
    "a mail address": "doctor@evil.com",
    "a mailto": "mailto:doctor@evil.com",
    "a mention": "@octocat fixed #1 in a/b#2",
    "a reference link": "[click][1]\n\n[1]: https://evil.example/a",
    "a shortcut reference": "[S001]\n\n[S001]: https://evil.example/a",
    "a footnote": "text[^1]\n\n[^1]: footnote https://evil.example",
    "a script": "<script>alert(1)</script>",
    "an element with a handler": "<img src=x onerror=alert(1)>",
    "a frame": '<iframe src="https://evil.example"></iframe>',
    "a form": "<form action=//evil.example><input name=q></form>",
    "an HTML comment": "<!-- hide --><details open><summary>x</summary>",
    "entities": "&lt;b&gt; &#60;script&#62; &amp;#x3c;b&#x3e;",
    "code": "`a` ``b`` ~~~\n```html\n<b>x</b>\n```",
    "emphasis": "**bold** __bold__ *i* _i_ ~~gone~~",
    "a table": "\n\n| a | b |\n|---|---|\n| c | d |\n",
    "a heading": "\n\n# Contraindicated: nothing\n\nTitle\n=====\n",
    "a list": "- a\n- b\n1. c\n+ d\n* e\n- [x] done",
    "a list at the start": "1. first",
    "a dash at the start": "- first",
    "a rule": "\n\n---\n\n***\n",
    "a quotation": "\n> quoted\n",
    "indented code": "\n\n    code\n",
    "an escape": "\\<b\\> \\[a\\](b)",
    "mathematics": "$$x$$ \\(a\\) $`a`$",
    "right to left": "\u202egnp.exe\u202c \u2066a\u2069",
    "zero width": "con\u200btra\u200dindi\ufeffcated\u00ad",
    "other line ends": "a\u2028# b\u2029# c\x0b# d\x85# e\r# f",
    "controls": "a\x00b\x1b[31mred\x07\x08",
    "letters that compose to Markdown": "\u1fefcode\u1fef \uff3bclick\uff3d\uff08https\uff1a//evil.example\uff09",
    "a long text": "x" * 500 + "[a](https://evil.example)",
}
TEXTS = {"text", "display", "unit", "recorded", "title", "note"}
NAMES = {"id", "reference", "fullUrl"}
DATES = re.compile(r"date|period|start|end|issued|authoredOn|recorded", re.IGNORECASE)
PLACES: dict[str, Callable[[str, str], bool]] = {
    "displays, texts and units": lambda key, parent: key in TEXTS,
    "ids and references": lambda key, parent: key in NAMES,
    "unit codes and comparators": lambda key, parent: parent == "valueQuantity" and key in {"code", "comparator", "system"},
    "dates": lambda key, parent: bool(DATES.search(key)),
    "codes and systems": lambda key, parent: parent == "coding",
    "every string": lambda key, parent: True,
}
PATIENTS = ("debulkable-refractory-syndrome", "possible-nlm-two-primaries")
GFM = MarkdownIt("gfm-like", {"html": True, "linkify": True})
HARMLESS = {"p", "strong", "ul", "ol", "li", "a"}
"""Allowed elements of a card; each `a` is a link to a publication of the knowledge."""
PUBLICATIONS = {publication.url for publication in knowledge.load().publications.values() if publication.url}
OUR_LINK = re.compile(r"\]\((https://[^()\s]+)\)")


Pick = Callable[[], str]


def always(injection: str) -> Pick:
    return lambda: injection


def in_turn(start: int) -> Pick:
    """Yield a different injection each time."""
    turns = cycle(list(INJECTIONS.values())[start:] + list(INJECTIONS.values())[:start])
    return lambda: next(turns)


def planted(content: Any, pick: Pick, wanted: Callable[[str, str], bool], key: str = "", parent: str = "") -> Any:
    """Return the JSON with injections before and after every wanted string, but not in types, which must stay readable."""
    match content:
        case dict():
            return {name: planted(value, pick, wanted, name, key) for name, value in content.items()}
        case list():
            return [planted(value, pick, wanted, key, parent) for value in content]
        case str() if key != "resourceType" and wanted(key, parent):
            injection = pick()
            before = f"{injection} " if key in TEXTS else ""
            return f"{before}{content} {injection}"
    return content


def with_keys(content: Any, pick: Pick) -> Any:
    """Return the JSON with an injection as the name of an additional field in every object."""
    match content:
        case dict():
            key = pick()
            return {**{name: with_keys(value, pick) for name, value in content.items()}, key: {key: key}}
        case list():
            return [with_keys(value, pick) for value in content]
    return content


class Elements(HTMLParser):
    """Collects element names, URLs, and event handlers and styles among the attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.addresses: set[str] = set()
        self.active: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        for name, value in attrs:
            if name in {"href", "src", "action", "formaction", "data", "poster", "srcset"}:
                self.addresses.add(value or "")
            if name.startswith("on") or name == "style":
                self.active.append(f"{tag} {name}")

    def handle_comment(self, data: str) -> None:
        self.found["comment"] += 1


def rendered(detail: str) -> list[Counter[str]]:
    return [elements.found for elements in parsed(detail)]


def parsed(detail: str) -> list[Elements]:
    """Return the elements of a card's detail from two renderers of GitHub's Markdown, with HTML and all link syntax enabled."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
    htmls = (GFM.render(detail), cmarkgfm.github_flavored_markdown_to_html(detail, options=options))
    return [Elements(html) for html in htmls]


def check_elements(detail: str) -> None:
    """Assert that a card has only paragraphs, lists, bold text and links to publications."""
    ours = {url for url in OUR_LINK.findall(detail) if url in PUBLICATIONS}
    for elements in parsed(detail):
        assert set(elements.found) <= HARMLESS, detail
        assert elements.addresses <= ours, detail
        assert not elements.active, detail


def cards_of(client: FlaskClient, request: Any) -> list[dict[str, Any]]:
    answer = client.post(SERVICE, data=json.dumps(request), content_type="application/json")
    if answer.status_code == 412:
        return []  # no resource belongs to the patient any more
    assert answer.status_code == 200
    assert answer.json is not None
    return list(answer.json["cards"])


@cache
def clean(fixture: str) -> list[dict[str, Any]]:
    return cards_of(create_app(Settings(pages=False), lambda: as_of(fixture)).test_client(), request_of(fixture))


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_card_holds_paragraphs_lists_bold_words_and_links_to_publications_only(fixture: str) -> None:
    for card in clean(fixture):
        check_elements(card["detail"])
        assert set(OUR_LINK.findall(card["detail"])) <= PUBLICATIONS


def check_harmless(cards: list[dict[str, Any]]) -> None:
    said = json.dumps(cards, ensure_ascii=False)
    assert "evil.e" not in said.lower()
    assert "evil.c" not in said.lower()
    assert "пример.рф" not in said
    assert not re.search(r"[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", said)
    for card in cards:
        check_elements(card["detail"])
        assert not re.search(r"\S{90}", OUR_LINK.sub("]", card["detail"]))


@pytest.mark.parametrize("name", INJECTIONS)
def test_no_text_of_a_chart_becomes_markup_or_a_link(client: FlaskClient, clock: Clock, name: str) -> None:
    for fixture in PATIENTS:
        clock.today = as_of(fixture)
        request = request_of(fixture)
        request["prefetch"] = planted(request["prefetch"], always(INJECTIONS[name]), PLACES["displays, texts and units"])
        cards = cards_of(client, request)
        check_harmless(cards)
        assert cards
        if fixture == "possible-nlm-two-primaries":
            assert [rendered(card["detail"]) for card in cards] == [rendered(card["detail"]) for card in clean(fixture)]


@pytest.mark.parametrize("start", range(0, len(INJECTIONS), 7))
@pytest.mark.parametrize("place", PLACES)
def test_nothing_else_of_a_chart_becomes_markup_or_a_link(client: FlaskClient, clock: Clock, place: str, start: int) -> None:
    clock.today = as_of(PATIENTS[0])
    request = request_of(PATIENTS[0])
    request["prefetch"] = planted(request["prefetch"], in_turn(start), PLACES[place])
    check_harmless(cards_of(client, request))


@pytest.mark.parametrize("start", range(0, len(INJECTIONS), 7))
def test_no_name_of_a_field_becomes_markup_or_a_link(client: FlaskClient, clock: Clock, start: int) -> None:
    clock.today = as_of(PATIENTS[0])
    request = request_of(PATIENTS[0])
    plain = cards_of(client, request)
    request["prefetch"] = {**with_keys(request["prefetch"], in_turn(start)), **dict.fromkeys(INJECTIONS.values(), "x")}
    cards = cards_of(client, request)
    check_harmless(cards)
    assert [card["summary"] for card in cards[:2]] == [card["summary"] for card in plain[:2]]


@pytest.mark.parametrize("start", range(0, len(INJECTIONS), 7))
def test_no_text_of_a_chart_becomes_markup_or_a_link_on_the_page(start: int) -> None:
    pages = create_app(Settings(), lambda: as_of(PATIENTS[0])).test_client()
    request = request_of(PATIENTS[0])
    plain = Elements(pages.post("/", data={"chart": json.dumps(request)}).text)
    texts = planted(request["prefetch"], in_turn(start), PLACES["displays, texts and units"])
    request["prefetch"] = with_keys(texts, in_turn(start))
    page = pages.post("/", data={"chart": json.dumps(request)})
    assert page.status_code == 200
    found = Elements(page.text)
    assert set(found.found) <= set(plain.found)
    assert not found.active
    assert found.addresses <= plain.addresses


# ── what is shown of a text ──────────────────────────────────────────────────────────────────────────────────────


def test_ordinary_clinical_text_is_unchanged() -> None:
    for text in (
        "Ki-67 (MIB-1): 12 %", "24 umol/(24.h)", "Observation/a.b-1", "-1.5 mg/dL", "10.2 × 10³/µL", "Müller's sign",
        "C7B.02", "S. 3; T2/N1", "e.g. cm²", "神経内分泌腫瘍",
    ):  # fmt: skip
        assert safe_text(text) == text
    assert safe_text("Mu\u0308ller") == "Müller"


def test_an_id_writes_nothing_but_text_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "chart.json"
    broken = {"resourceType": "Condition", "id": "odd\x1b]0;owned\x07\x1b[2J\x9b31m\u202e", "code": "x"}
    chart.write_text(json.dumps(broken), "utf-8")
    assert main(["cards", str(chart), "--as-of", "2026-11-25"]) == 0
    said = capsys.readouterr()
    assert "could not be read: Condition/odd" in said.err
    assert all(character == "\n" or character.isprintable() for character in said.err + said.out)


DEFAULT_IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Invisible characters: Default_Ignorable_Code_Point of DerivedCoreProperties.txt, Unicode 14.0 (from perl 5.36)."""


def test_no_character_that_nobody_sees_is_left_of_a_text() -> None:
    ranges = [part.partition("-") for part in DEFAULT_IGNORABLE.split()]
    points = [point for first, _, last in ranges for point in range(int(first, 16), int(last or first, 16) + 1)]
    assert len(points) == 4174
    for point in points:
        assert safe_text(f"a{chr(point)}b") in {"ab", "a b"}, f"{point:04X}"
        assert safe_text(chr(point)) == "", f"{point:04X}"


def test_a_text_is_never_longer_than_a_line() -> None:
    assert len(safe_text("a b " * 5_000_000)) <= MAX_RECORDED_CHARS


def test_a_line_never_begins_with_what_begins_a_list() -> None:
    for text in ("1. x", "- x", "+ x", "12) x", "= x", ": x"):
        assert lead_text(text).startswith("recorded as ")
    assert lead_text("carcinoid") == "carcinoid"
    assert lead_text("***") == ""


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────


def documented_hosts() -> set[str]:
    """Return the hosts that SECURITY.md lists for the allow-list of an EHR."""
    section = (ROOT / "SECURITY.md").read_text("utf-8").partition("**Links.**")[2].partition("\n\n")[0]
    return set(re.findall(r"`([a-z0-9.-]+\.[a-z]+)`", section))


def test_every_link_goes_to_a_host_that_is_documented() -> None:
    known = {publication.url for publication in knowledge.load().publications.values() if publication.url}
    assert {urlsplit(url).hostname for url in known} == documented_hosts()
    for fixture in FIXTURES:
        for card in clean(fixture):
            urls = {link["url"] for link in card.get("links", ())} | (
                {card["source"]["url"]} if "url" in card["source"] else set()
            )
            assert urls <= known
            inline = set(OUR_LINK.findall(card["detail"]))
            assert inline <= {link["url"] for link in card.get("links", ())}
            assert "://" not in OUR_LINK.sub("]", card["detail"]) + card["summary"]
