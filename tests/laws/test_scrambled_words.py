"""The program decides by codes, never by its own texts: with every text replaced, it decides the same.

The texts of all reasons (cards/reasons.toml) and all sentences of the knowledge files are replaced. Verdicts, findings,
cautions, stage and extension of all fixtures and vignettes must stay the same.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.cards import wording
from cds_service.cards.assessment import assessment_json
from cds_service.cards.card import EXTENSION, Card
from cds_service.fhir.chart_files import ChartFile, read_file, story_date
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.sentences import numerals
from cds_service.knowledge.shown import Face
from cds_service.reasons import Reason
from tests.charts.test_cards import cards, patient_of, resources
from tests.conftest import ROOT
from tests.support.vignette import Vignette, VignetteResult, vignettes, without_search

FOLDER = ROOT / "cds_service" / "knowledge"
SENTENCES = {
    "board.toml": {"says", "short", "then"},
    "conflicts.toml": {"topic", "service"},
    "criteria.toml": {"says", "then", "face", "faces", "lift", "worse", "before_procedure"},
    "derived.toml": {"says", "how"},
    "facts.toml": {"says", "short", "face"},
    "local.toml": {"reason"},
    "modalities": {
        "title", "short", "says", "contraindications_say", "excluded_say", "also", "face", "face_title", "face_name", "change",
        "nec_says", "brief", "name", "does", "given", "adjust", "adjusted", "progressing", "not_read",
    },
    "orders.toml": {"title", "not_read", "display"},
    "outcomes.toml": {
        "title", "design", "groups", "treated", "survival", "course", "patients", "symptoms", "note", "defect",
    },
    "publications.toml": {"label", "citation", "note", "unlinked", "from_memory"},
    "review.toml": {"says"},
    "scores.toml": {"citation"},
    "staging.toml": {"title"},
    "stances.toml": {"situation", "says"},
    "statements.toml": {"topic", "says", "numbers", "not_used", "caution", "unsourced", "from_memory", "any"},
}  # fmt: skip
TABLES_OF_SENTENCES = {
    "derived.toml": {"words"},
    "facts.toml": {"words"},
    "staging.toml": {"words"},
    "statements.toml": {"figures"},
    "units.toml": {"refused"},
    "terminology.toml": {"refused"},
}
"""Tables that contain sentences only."""
NOT_SENTENCES = {"codes", "verified", "names", "alias", "jurisdiction", "states_nothing"}
"""Keys of other texts: displays of codes, a status, the forms of drug_products.csv; and brand names and spellings of units,
which are compared with a chart."""
PLACE = re.compile(r"\{[^{}]*\}")
FACES = {face.value for face in Face}


class Scrambler:
    """Replaces sentences with made-up ones and records the originals. Placeholders like {n} are kept.

    The made-up sentences contain what a program could split at: commas, colons, a bracket, a capital. With `same`, all are the
    same sentence.
    """

    def __init__(self, same: bool = False) -> None:
        self.originals: list[str] = []
        self._numbers = count(1)
        self._same = same

    def word(self) -> str:
        letters, number = "", next(self._numbers)
        while number:
            number, letter = divmod(number, 20)
            letters += "bcdfghjklmnpqrstvwxz"[letter]
        return f"{letters}o" if letters != "tw" else self.word()

    def sentence(self, text: str, key: str = "", numbers: bool = False) -> str:
        """Return a made-up sentence. `numbers` keeps the numerals of a statement, which the loader checks."""
        self.originals.append(text)
        kept = "/".join(["", *sorted(numerals(text))]) if numbers else ""
        tail = " (assessment)" if len(text) > 20 else ""  # short texts are used in summaries, whose length is limited
        made = "Oo, o: o" if self._same and key != "from_memory" else f"{self.word().title()}, {self.word()}: o{tail}"
        return "".join([made, kept, *PLACE.findall(text)])

    def tables(self, file: str, content: Any, key: str = "", whole: bool = False) -> Any:
        if isinstance(content, dict):
            inside = TABLES_OF_SENTENCES.get(file, set())
            own = {name: self.tables(file, part, name, whole or name in inside) for name, part in content.items()}
            if key == "population" and "says" in content:  # a population has no figures
                own["says"] = self.sentence(content["says"])
            return own
        if isinstance(content, list):
            return [self.tables(file, part, key, whole) for part in content]
        where = key == "face" and content in FACES  # the place of a statement, not its text
        if isinstance(content, str) and not where and (whole or key in SENTENCES.get(file, ())):
            return self.sentence(content, key, file == "statements.toml" and key in {"says", "numbers"})
        return content


def _files() -> Iterator[tuple[str, str]]:
    """Yield the key in SENTENCES and the text of each knowledge file."""
    for path in sorted(FOLDER.rglob("*.toml")):
        yield (path.parent.name if path.parent.name == "modalities" else path.name), path.read_text("utf-8")


def _texts(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for name, part in content.items():
            yield from _texts(part, key if key in NOT_SENTENCES else name)
    elif isinstance(content, list):
        for part in content:
            yield from _texts(part, key)
    elif isinstance(content, str):
        yield key, content


@cache
def scrambled(same: bool) -> tuple[Knowledge, dict[Reason, str], list[str]]:
    """Return the scrambled knowledge, the scrambled text of every reason, and the originals. The digest is that of the real
    files."""
    scrambler = Scrambler(same)
    names = {text: name for name, text in _files()}
    read = tomllib.loads

    def loads(text: str, **options: Any) -> dict[str, Any]:
        content: dict[str, Any] = scrambler.tables(names[text], read(text, **options))
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomllib, "loads", loads)
        known = knowledge.read_folder(FOLDER)
    words = {reason: scrambler.sentence(text) for reason, text in wording.WORDS.items()}
    return known, words, scrambler.originals


@pytest.fixture(params=[False, True], ids=["all other words", "all the same words"])
def strange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Knowledge:
    known, words, _ = scrambled(request.param)
    monkeypatch.setattr(wording, "WORDS", words)
    return known


def test_every_sentence_is_replaced_and_nothing_else() -> None:
    """The sentences of the files and the members of Reason are counted independently of the scrambler."""
    known, words, originals = scrambled(False)
    texts = [(name, key, text) for name, file in _files() for key, text in _texts(tomllib.loads(file))]
    sentences = [text for _, key, text in texts if key not in NOT_SENTENCES and text.count(" ") > 1]
    tree = ast.parse((FOLDER.parent / "reasons.py").read_text("utf-8"))
    reasons = [
        node
        for kind in tree.body
        if isinstance(kind, ast.ClassDef) and kind.name == "Reason"
        for node in kind.body
        if isinstance(node, ast.Assign)
    ]
    assert set(sentences) <= set(originals), set(sentences) - set(originals)
    assert len(originals) >= len(sentences) + len(reasons)
    assert len(words) == len(reasons) == len(Reason)
    print(f"{len(originals)} texts replaced: {len(reasons)} of reasons, {len(sentences)} sentences and short ones of the files")
    assert known.digest == knowledge.load().digest


def decided(vignette: Vignette, knowledge: Knowledge) -> dict[str, Any]:
    """Return everything that the service decides for a vignette."""
    facts = vignette.facts(knowledge)
    said = VignetteResult(facts, vignette.picture(knowledge).orders)
    return {
        "assessments": {name: assessment_json(without_search(assessment)) for name, assessment in said.assessed.items()},
        "cautions": {name: [f.criterion.id for f in m.cautions] for name, m in said.assessed.items()},
        "not checked": {name: [f.criterion.id for f in m.not_checked] for name, m in said.assessed.items()},
        "stage": {name: part.value for name, part in said.evaluation.stage.items()},
        "facts": {name: (facts[name].state, facts[name].value) for name in (*knowledge.facts, *knowledge.derived)},
    }


def test_with_every_word_replaced_all_vignettes_are_decided_as_before(strange: Knowledge) -> None:
    true = knowledge.load()
    for vignette in vignettes():
        assert decided(vignette, strange) == decided(vignette, true), vignette.story


def machine_readable(card: Card) -> dict[str, Any]:
    """Return the machine-readable parts of a card."""
    suggested = [action.resource for suggestion in card.suggestions for action in suggestion.actions]
    codes = [resource["code"]["coding"] for resource in suggested]
    return {"indicator": card.indicator, "extension": msgspec.to_builtins(card.extension[EXTENSION]), "suggested": codes}


CASES = sorted(path.parent.name for path in (ROOT / "fhir_fixtures").glob("*/chart.json"))


@pytest.mark.parametrize("case", CASES)
def test_with_every_word_replaced_a_fixture_has_the_same_cards_and_none_of_the_old_words(
    case: str, strange: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "fhir_fixtures" / case / "chart.json"
    content, day = read_file(path), story_date(path)
    assert isinstance(content, ChartFile)
    assert day is not None
    shown = cards_of_chart(content.chart(), strange, day, "test")
    monkeypatch.undo()
    before = cards_of_chart(content.chart(), knowledge.load(), day, "test")
    assert list(map(machine_readable, shown)) == list(map(machine_readable, before))
    told = msgspec.json.encode(shown).decode()
    recorded = path.read_text("utf-8")  # a display in the chart may contain the text of a fact
    for original in scrambled(False)[2]:
        for words in (part.strip() for part in PLACE.split(original)):
            written = msgspec.json.encode(words).decode()[1:-1]
            assert words.count(" ") < 2 or written not in told or words in recorded, f"{words!r} stands in the code too"


def test_a_coded_portal_vein_thrombosis_raises_its_caution_whatever_the_words(strange: Knowledge) -> None:
    """The caution was once lost when the text of the reader's note was changed."""
    found, day = resources("arterial-candidate")
    thrombosis = {
        "resourceType": "Condition", "id": "thrombosis", "subject": {"reference": f"Patient/{patient_of(found)}"},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I81"}]},
        "clinicalStatus": {"coding": [{"code": "active"}]}, "recordedDate": day.isoformat(),
    }  # fmt: skip
    caution = "portal-vein-thrombosis-extent-unknown"
    assert not any(caution in cautions_of(card) for card in cards(found, day))
    for known in (strange, knowledge.load()):
        shown = cards_of_chart(ChartFile(tuple((r, None) for r in [*found, thrombosis])).chart(), known, day, "test")
        overview = shown[0].extension[EXTENSION]["modalities"]["hepatic-arterial-therapy"]
        assert caution in overview["cautions"]


def cautions_of(card: Card) -> list[str]:
    cautions: list[str] = card.extension[EXTENSION].get("cautions", [])
    return cautions
