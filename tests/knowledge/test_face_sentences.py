"""The sentences of card faces have the figures and qualifiers of a list written by hand, and their patients in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from cds_service import knowledge
from cds_service.knowledge.sentences import numerals
from cds_service.knowledge.shown import Face, ShownStatement, StanceWord
from cds_service.knowledge.statement import Population
from tests.conftest import ROOT

KNOWN = knowledge.load()
LONGEST = 110
"""In characters; a line of a card has 220 with the stance and the source."""
LONGER = {("transplantation", "M044", Face.FOR)}
"""Its figures appear only together with its bias."""
NAMES = re.compile(r"\b(?:2010|G[123]|R[012]|Ki-67|Milan-NET)\b")

MORE: dict[tuple[str, str], str] = {
    ("transplantation", "S055"): "77 1 21 5",  # all the series of the review, or none (docs/cards.md, "Corrections", 6)
    ("systemic-therapy", "M082"): "0 210.2",  # its interval
    ("systemic-therapy", "M055"): "3",  # of grade 3 or worse, where the list says "severe"
    ("systemic-therapy", "M088"): "2025",
    ("hepatic-arterial-therapy", "S052"): "",
}
"""Figures of a sentence that the list does not have."""
OTHERWISE = {("transplantation", "M044"): ("15", "40.5 55.5"), ("systemic-therapy", "M061"): ("3 62 65", "3 62 65")}
"""Figures of the list → figures of the statement that they come from."""

FOR: list[tuple[str, str, str, str]] = [
    ("resection", "S064", "eligible patients all can be removed", ""),
    ("resection", "M013", "better embolization observational", "0.34 0.21 0.55"),
    ("resection", "M014", "chemotherapy embolization high risk of bias", ""),
    ("debulking", "S018", "symptoms improve at first", ""),
    ("debulking", "S065", "survival symptoms summary uncited", "80 90"),
    ("debulking", "M007", "More than ablation", "70"),
    ("debulking", "M010", "Median survival open to selection", "134.3 70 37.6"),
    ("ablation", "S021", "with resection uncited", ""),
    ("ablation", "S023", "relieve short while", ""),
    ("ablation", "M021", "Microwave selected hepatobiliary team", ""),
    ("hepatic-arterial-therapy", "S041", "symptoms survival unresectable", ""),
    ("transplantation", "S069", "very select few recurrence early", ""),
    ("transplantation", "M043", "Milan-NET low grade primary removed stable liver alone", ""),
    ("transplantation", "M044", "one centre not randomized younger", "10 88.8 22.4 7.4 2.4 23.0 40.5 55.5"),
    ("transplantation", "M047", "Ki-67 less than stable", "10 3 6"),
    ("systemic-therapy", "S070", "Chemotherapy hormonal suppression of that time", ""),
    ("systemic-therapy", "M087", "systemically abstract read", ""),
    ("systemic-therapy", "M051", "Octreotide time to progression placebo", "14.3 6 0.34 0.20 0.59"),
    ("systemic-therapy", "M052", "Lanreotide progression-free not reached", "18.0 0.47 0.30 0.73"),
    ("systemic-therapy", "M053", "Progression-free high-dose octreotide", "20 65.2 10.8"),
    ("systemic-therapy", "M056", "Progression-free everolimus second hand", "23.9 14.1 0.67 0.48 0.95"),
    ("systemic-therapy", "M055", "Progression-free octreotide US label not EU", "22.8 8.5 0.276 0.182 0.418"),
    ("systemic-therapy", "M057", "Everolimus progression-free placebo", "11.0 4.6 0.35 0.27 0.45"),
    ("systemic-therapy", "M058", "Everolimus progression-free placebo", "11.0 3.9 0.48 0.35 0.67"),
    ("systemic-therapy", "M060", "Sunitinib progression-free placebo", "11.4 5.5 0.42 0.26 0.66"),
    ("systemic-therapy", "M062", "Capecitabine temozolomide progression-free on temozolomide", "22.7 14.4"),
    ("systemic-therapy", "M061", "Cabozantinib progression-free pancreatic other", "13.8 4.4 8.4 3.9"),
    ("hormonal-suppression", "M074", "guidance carcinoid syndrome from memory", ""),
    ("hormonal-suppression", "M063", "Telotristat stools analogue durable", "4 44 20"),
    ("hormonal-suppression", "S036", "after removal symptoms", ""),
    ("hormonal-suppression", "S038", "octreotide other treatment not randomized", "60 10 16 21"),
]  # fmt: skip
"""(modality, statement, words that its sentence has, all its figures)."""
IN_SEVERAL = {
    "S020": ["extreme hormonal symptoms", "threatens bile ducts bowel"],
    "S067": ["recurrence after resection", "shrink become operable"],
    "M073": ["proton-pump gastrinoma", "Glucose insulinoma analogue tested"],
}
"""Sentences for one indication or technique each."""

WIDESPREAD = "no liver-directed treatment widespread"
STANCES: list[tuple[str, StanceWord, list[str]]] = [
    ("resection", StanceWord.AGAINST, [WIDESPREAD]),
    ("resection", StanceWord.FOR, ["all be removed every eligible"]),
    ("debulking", StanceWord.DIVIDED, [f"such patients but {WIDESPREAD}", f"lesion but {WIDESPREAD}"]),
    ("debulking", StanceWord.FOR, ["extreme hormonal symptoms", "threatens bile bowel", "80-90 % summary uncited"]),
    ("debulking", StanceWord.AGAINST, [WIDESPREAD]),
    ("ablation", StanceWord.AGAINST, [WIDESPREAD]),
    ("ablation", StanceWord.FOR, ["with resection uncited", "not possible short while"]),
    ("hepatic-arterial-therapy", StanceWord.AGAINST, [WIDESPREAD, "commonly proposed not universal no numbers"]),
    ("hepatic-arterial-therapy", StanceWord.DIVIDED, ["but mostly fails hilum"]),
    ("hepatic-arterial-therapy", StanceWord.FOR, ["Named such disease"]),
    ("transplantation", StanceWord.AGAINST, [WIDESPREAD, "liver alone", "Not viable text summary extreme refractory"]),
    ("transplantation", StanceWord.DIVIDED, ["Kept such patients summary not viable text"]),
    ("systemic-therapy", StanceWord.FOR, ["Chemotherapy hormonal suppression of that time"]),
    ("hormonal-suppression", StanceWord.FOR, ["after removal symptoms", "Hormonal suppression widespread"]),
]  # fmt: skip
"""In the order of the rows of the modality."""


def on_faces() -> Iterator[tuple[str, ShownStatement]]:
    return ((m.id, part) for m in KNOWN.modalities for part in m.shown if part.face is not Face.PAGE and part.says)


def figures(text: str) -> list[Decimal]:
    return sorted(Decimal(number) for number in numerals(NAMES.sub("", text)))


def has_words(text: str, words: str) -> list[str]:
    """Return the words of the second text that the first does not have."""
    return [word for word in words.split() if word.lower() not in text.lower()]


def short_sentences() -> Iterator[tuple[str, str, str, str]]:
    """Return (modality, statement, face, sentence) of the list written by hand, without the source."""
    table = (ROOT / "tests/data/card_faces.md").read_text("utf-8").split("## Short sentences")[1].split("Cautions, written")[0]
    for modality, name, kind, sentence in re.findall(
        r"^\| ([a-z-]+) \| (\w+) \| (dissent|adverse) \| [^|]+ \| ([^|]+) \|", table, re.MULTILINE
    ):
        statement = "M043" if name == "T2no" else name.rstrip("rd")
        said = re.sub(r"\(?(?:[A-Z][\w-]+ )+(?:& \w+ )?\d{4}\)?$", "", sentence.removeprefix("2010 also says: ")).strip()
        yield modality, statement, "risk" if kind == "adverse" else kind, said


def rounded_to(number: Decimal, like: Decimal) -> Decimal:
    # an exponent is a letter only for NaN and infinity, which no figure is
    return number.quantize(like) if number.as_tuple().exponent < like.as_tuple().exponent else number  # type: ignore[operator]


@pytest.mark.parametrize(("modality", "statement", "face", "sentence"), list(short_sentences()))
def test_a_dissent_and_a_risk_state_the_figures_of_the_list_written_by_hand(
    modality: str, statement: str, face: str, sentence: str
) -> None:
    said = next(p.says for name, p in on_faces() if (name, p.statement, p.face) == (modality, statement, face))
    key = (modality, statement)
    listed, wanted = figures(sentence), figures(said)
    if key in OTHERWISE:
        assert sorted(map(Decimal, OTHERWISE[key][0].split())) == listed
        listed = sorted(map(Decimal, OTHERWISE[key][1].split()))
    more = list(map(Decimal, MORE.get(key, "").split()))
    assert [n for n in wanted if n not in more and all(rounded_to(n, like) != like for like in listed)] == []
    assert [like for like in listed if all(rounded_to(n, like) != like for n in wanted)] == []
    content = {word.lower() for word in re.findall(r"[A-Za-z-]{5,}", sentence)}
    shared = {word for word in content if word[:5] in said.lower()}
    assert len(shared) * 2 >= len(content), (sentence, said)


def test_the_list_of_short_sentences_is_read_whole() -> None:
    listed = list(short_sentences())
    assert len(listed) == 32
    assert all(sentence and not re.search(r"\d{4}$", sentence) for *_, sentence in listed)
    without = {(m, p.statement, p.face.value) for m, p in on_faces() if p.face is not Face.FOR}
    without -= {(m, s, f) for m, s, f, _ in listed}
    assert without == {("systemic-therapy", "M088", "risk")}


@pytest.mark.parametrize(("modality", "statement", "words", "numbers"), FOR)
def test_a_sentence_for_a_treatment_has_the_figures_of_its_source_and_its_qualifiers(
    modality: str, statement: str, words: str, numbers: str
) -> None:
    said = [p.says for name, p in on_faces() if (name, p.statement, p.face) == (modality, statement, Face.FOR)]
    assert len(said) == 1
    assert has_words(said[0], words) == []
    assert figures(said[0]) == sorted({Decimal(n) for n in numbers.split()})


def test_every_sentence_for_a_treatment_is_held_a_second_time() -> None:
    for name, expected in IN_SEVERAL.items():
        said = [p.says for _, p in on_faces() if p.statement == name and p.face is Face.FOR]
        assert [has_words(text, words) for text, words in zip(said, expected, strict=True)] == [[], []]
        assert all(figures(text) == [] for text in said)
    held = {(m, p.statement) for m, p in on_faces() if p.face is Face.FOR and p.statement not in IN_SEVERAL}
    assert held == {(m, s) for m, s, _, _ in FOR}


def test_a_sentence_is_short_begins_with_a_capital_or_a_figure_and_has_no_full_stop() -> None:
    for modality, part in on_faces():
        for text in filter(None, (part.says, part.brief)):
            assert len(text) <= LONGEST or (modality, part.statement, part.face) in LONGER, text
            assert re.match(r"[A-Z\d]", text), text
            assert not text.endswith((".", ",", ";", " ")), text
        assert len(part.brief) < len(part.says)


@pytest.mark.parametrize(
    ("statement", "qualifiers"),
    [
        ("M013", ["observational"]), ("M010", ["selection"]), ("M044", ["one centre", "not randomized", "younger"]),
        ("M056", ["second hand"]), ("S038", ["not randomized"]), ("S065", ["uncited"]), ("M055", ["US label, not EU"]),
        ("M082", ["selected"]),
    ],
)  # fmt: skip
def test_a_qualifier_stays_where_the_figures_go(statement: str, qualifiers: list[str]) -> None:
    parts = [p for _, p in on_faces() if p.statement == statement and p.face is not Face.RISK]
    assert parts
    for text in (text for part in parts for text in (part.says, part.brief)):
        assert [q for q in qualifiers if q not in text] == []


def test_what_is_from_memory_or_has_no_source_is_said_to_be() -> None:
    for _, part in on_faces():
        statement = KNOWN.statements[part.statement]
        if statement.unsourced or statement.from_memory:
            assert "from memory" in part.says, part


def test_a_hazard_ratio_stands_with_its_interval() -> None:
    for _, part in on_faces():
        assert re.findall(r"HR (?!\d+\.\d+ \(\d+\.\d+-\d+\.\d+\))", part.says) == []


def test_what_2010_says_of_a_situation_is_said_in_words() -> None:
    said: dict[tuple[str, StanceWord], list[str]] = {}
    for row in KNOWN.stances:
        assert bool(row.says) == (row.stance is not StanceWord.SILENT)
        if row.says:
            said.setdefault((row.modality, row.stance), []).append(row.says)
    assert said.keys() == {(modality, stance) for modality, stance, _ in STANCES}
    for modality, stance, expected in STANCES:
        texts = said[modality, stance]
        assert [has_words(text, words) for text, words in zip(texts, expected, strict=True)] == [[] for _ in expected], texts
        assert all(len(text) <= LONGEST and re.match(r"[A-Z].*[^.]$", text) for text in texts)


GUT = {"small-bowel", "duodenum", "stomach", "distal-stomach", "appendix", "colon", "rectum"}
PRIMARIES: list[tuple[set[str], str]] = [
    ({"pancreas"}, "pancreatic"),
    ({"small-bowel"}, "small-bowel"),
    ({"small-bowel", "appendix"}, "midgut"),
    (GUT, "gut"),
    (GUT | {"pancreas"}, "gut or pancreas"),
    (GUT - {"stomach", "distal-stomach"} | {"pancreas"}, "non-functioning"),
    (GUT | {"lung"}, "lung or gut"),
    (GUT - {"stomach", "rectum"} | {"pancreas"}, "portal-drained primary"),
]
"""Sites of a population and the words for them; the words of M052 do not name its sites, which are those of its trial."""
GRADES = {
    ("G1", "G2"): ("G1 or G2", "low-grade"), ("G1", "G2", "G3"): ("well-differentiated",), ("G2", "G3"): ("G2 or G3",),
    ("NEC",): ("carcinomas",), ("G3", "NEC"): ("G3 tumours and carcinomas",),
}  # fmt: skip
LINE = {"first": "first treatment", "after-progression": "progressive", "pretreated": "treated before"}


@pytest.mark.parametrize("name", [s.id for s in KNOWN.statements.values() if s.population and not s.population.any])
def test_whom_a_statement_speaks_of_is_told_in_the_words_of_its_population(name: str) -> None:
    population = KNOWN.statements[name].population
    assert population
    words = population.says
    assert re.match(r"(in|with) [^.]+$", words)
    if population.primary:
        assert next(told for sites, told in PRIMARIES if sites == population.primary) in words
    if population.grade:
        assert any(told in words for told in GRADES[tuple(sorted(population.grade))])
    if population.functioning is not None:
        assert ("non-functioning" in words) is not population.functioning
        assert population.functioning is False or "hormonal" in words
    assert LINE.get(population.line, "") in words
    assert set(figures(words)) == set(population.ki67.values())


def test_a_statement_that_speaks_of_everyone_needs_no_words_for_them() -> None:
    assert [s.id for s in KNOWN.statements.values() if s.population and s.population.any and s.population.says] == []
    assert Population(any="of all").says == ""
