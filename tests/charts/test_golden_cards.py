"""Each fixture gives the answer in its cards.json, and the verdicts a clinician gave in its story.md.

cards.json is written only by `pytest --update-golden`; a person has to review the change in git.
"""

from __future__ import annotations

import difflib
import io
import json
import re
from contextlib import redirect_stdout
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.__main__ import main
from tests.conftest import EXTENSION, FIXTURES, PUBLIC_URL, SERVICE, Clock, as_of, chart_file, folder_of, request_of

NO_CARD = {"colorectal-liver-metastases"}
LINK = re.compile(r"\[([^\[\]]+)\]\((https://[^()\s]+)\)")
"""A link in a text, as label and address. Clients may strip it, so each is in `links` too."""


def answered(client: FlaskClient, clock: Clock, fixture: str) -> dict[str, Any]:
    clock.today = as_of(fixture)
    answer = client.post(SERVICE, json=request_of(fixture))
    assert answer.status_code == 200
    body: dict[str, Any] = json.loads(answer.data)
    return body


def front_matter(fixture: str) -> str:
    return (folder_of(fixture) / "story.md").read_text("utf-8").split("---")[1]


def expected(fixture: str) -> dict[str, str]:
    """Return `expect` of the story: treatment group and verdicts, as a clinician gave them."""
    block = re.search(r"^expect:(?: \{\})?\n((?:  .+\n)*)", front_matter(fixture), re.MULTILINE)
    assert block, f"{fixture}: story.md has no expect"
    return dict(re.findall(r"^  ([\w-]+): ([\w-]+)$", block[1], re.MULTILINE))


def pretty(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_answer_is_the_golden_one(client: FlaskClient, clock: Clock, fixture: str, request: pytest.FixtureRequest) -> None:
    file = folder_of(fixture) / "cards.json"
    now = pretty(answered(client, clock, fixture))
    if request.config.getoption("--update-golden"):
        file.write_text(now, "utf-8")
    assert file.is_file(), f"{file} is not there: pytest --update-golden writes it"
    golden = file.read_text("utf-8")
    changes = difflib.unified_diff(golden.splitlines(), now.splitlines(), "golden", "now", lineterm="", n=1)
    assert now == golden, "the cards have changed; if they should, pytest --update-golden and read the diff:\n" + "\n".join(
        changes
    )


@pytest.mark.parametrize("fixture", FIXTURES)
def test_group_and_verdicts_are_those_of_the_story(client: FlaskClient, clock: Clock, fixture: str) -> None:
    found = [card["extension"][EXTENSION] for card in answered(client, clock, fixture)["cards"]]
    wanted = expected(fixture)
    if not wanted:
        assert not [content for content in found if content["kind"] == "overview"]
        return
    overview = found[0]
    assert overview["kind"] == "overview"
    verdicts = {name: modality["verdict"] for name, modality in overview["modalities"].items()}
    assert {"treatment_group": overview["staging"]["treatment_group"], **verdicts} == wanted


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_kinds_of_cards_are_those_of_the_story(client: FlaskClient, clock: Clock, fixture: str) -> None:
    line = re.search(r"^cards: (.+)$", front_matter(fixture), re.MULTILINE)
    assert line
    told = re.sub(r"\(.*?\)", "", line[1]).replace("none", "").split(",")
    kinds = {card["extension"][EXTENSION]["kind"] for card in answered(client, clock, fixture)["cards"]}
    assert kinds == {name.strip() for name in told if name.strip()}


def test_liver_metastases_of_another_tumour_get_no_card(client: FlaskClient, clock: Clock) -> None:
    for fixture in NO_CARD:
        assert answered(client, clock, fixture) == {"cards": []}
    assert {fixture for fixture in FIXTURES if not answered(client, clock, fixture)["cards"]} == NO_CARD


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_card_keeps_what_is_promised_of_cards(client: FlaskClient, clock: Clock, fixture: str) -> None:
    cards = answered(client, clock, fixture)["cards"]
    addresses = {publication.url for publication in knowledge.load().publications.values() if publication.url}
    evidence = f"{PUBLIC_URL}/evidence/"
    assert len(cards) <= 3
    assert len({card["uuid"] for card in cards}) == len(cards)
    for card in cards:
        content = card["extension"][EXTENSION]
        assert 0 < len(card["summary"]) < 140
        assert "\n" not in card["summary"]
        assert card["indicator"] == ("warning" if content["kind"] in {"contraindication", "safety"} else "info")
        assert not re.search(r"<[a-zA-Z/!]|\]\(|javascript:", LINK.sub("", card["detail"]))
        assert set(LINK.findall(card["detail"])) <= {(link["label"], link["url"]) for link in card.get("links", [])}
        assert card["source"]["label"]
        assert card["source"].get("url", "") in addresses
        *literature, last = [link["url"] for link in card["links"]]
        assert set(literature) <= addresses
        assert last.startswith(evidence)
        assert len(card["links"]) <= 6
        assert content["knowledge"] == knowledge.load().digest
        assert set(content.get("statements", [])) <= set(knowledge.load().statements)
        for suggestion in card.get("suggestions", []):
            for action in suggestion["actions"]:
                get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
                assert action["resource"]["subject"] == {"reference": f"Patient/{request_of(fixture)['context']['patientId']}"}


@pytest.mark.parametrize("fixture", FIXTURES)
def test_no_card_tells_anybody_what_to_do_or_that_something_is_safe(client: FlaskClient, clock: Clock, fixture: str) -> None:
    for card in answered(client, clock, fixture)["cards"]:
        text = f"{card['summary']}\n{card['detail']}".lower()
        assert "no contraindication" not in text
        assert not re.search(r"\b(you must|you should|must be given|is safe)\b", text)


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_cards_on_the_command_line_are_the_golden_ones(fixture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is compared except the uuids, which differ in every call."""
    monkeypatch.setenv("CDS_PUBLIC_URL", PUBLIC_URL)
    golden = json.loads((folder_of(fixture) / "cards.json").read_text("utf-8"))
    found = json.loads(output("cards", "--json", str(folder_of(fixture) / "chart.json")))
    for part in [*golden["cards"], *found["cards"]]:
        for named in [part, *part.get("suggestions", [])]:
            del named["uuid"]
    assert found == golden


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_command_line_prints_cards_to_read(client: FlaskClient, clock: Clock, fixture: str) -> None:
    text = output("cards", str(folder_of(fixture) / "chart.json"))
    assert "{" not in text
    assert "**" not in text
    assert str(as_of(fixture)) in text
    cards = answered(client, clock, fixture)["cards"]
    assert all(card["summary"] in text for card in cards)
    assert cards or text.startswith("No card")


def output(*arguments: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert main(arguments) == 0
    return out.getvalue()


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_resource_of_a_fixture_is_sound_r4(fixture: str) -> None:
    """One resource at a time, because a Bundle would fail as a whole and name no entry."""
    resources = [resource for resource, _ in chart_file(fixture).resources]
    assert len(resources) > 10
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_fixture_has_a_story_that_a_clinician_can_judge(fixture: str) -> None:
    story = (folder_of(fixture) / "story.md").read_text("utf-8")
    assert re.search(r"^title: .{20,}$", front_matter(fixture), re.MULTILINE)
    assert "## What the service should say" in story
    assert len(story.split("---", 2)[2].split("##")[0].split()) > 40
