"""What cards need as data, held a second time: faces and places by docs kept in tests/data, order, lines, populations."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from cds_service import knowledge
from cds_service.knowledge.shown import Face
from cds_service.knowledge.statement import Population
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.populations import population_fits
from tests.conftest import ROOT
from tests.support.coding_tables import TODAY
from tests.support.pictures import picture

KNOWN = knowledge.load()
DATA = ROOT / "tests/data"
ORDER = ("R1", "Y1", "Y2", "Y5", "Y6", "T2", "D1", "D2", "D3", "D4", "A1", "H1", "H2", "A2", "A3", "drugs", "Y4", "T1", "N2",
         "N1", "Y3")  # fmt: skip
LINES = {
    "prrt": ["Radionuclide therapy (PRRT)"],
    "somatostatin-analogue": ["A somatostatin analogue", "Somatostatin analogue"],
    "hormone-treatment": ["Glucose plan", "Proton-pump inhibitor", "Telotristat"],
    "drugs": ["Cabozantinib", "Capecitabine and temozolomide", "Everolimus in progressive non-functioning",
              "Everolimus in progressive pancreatic", "Sunitinib"],
}  # fmt: skip
RISK_OF_TRANSPLANTATION = {("transplantation", "M044"): 4}
"""Its bias; the list gives it among the short sentences, without a place."""


def written_by_hand() -> Iterator[tuple[str, str, str, int]]:
    """Modality, statement, face, place, as the list of card faces says them in words."""
    table = (DATA / "card_faces.md").read_text("utf-8").split("## Short sentences")[0]
    for modality, statement, said in re.findall(r"^\| ([a-z-]+) \| ([SM]\d{3}) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE):
        if place := RISK_OF_TRANSPLANTATION.get((modality, statement)):
            yield modality, statement, "risk", place
        elif "**" in said:
            yield modality, statement, "dissent", 0
        elif found := re.search(r"\brisk (\d)|its risk|risk of Y1", said):
            yield modality, statement, "risk", int(found[1] or 1)
        elif said.startswith("page") or said.endswith(": page"):
            yield modality, statement, "page", 0


def test_the_face_and_place_of_every_statement_are_those_of_the_list_written_by_hand() -> None:
    held = {(m.id, p.statement, p.face.value, p.place) for m in KNOWN.modalities for p in m.shown}
    listed = set(written_by_hand())
    assert listed <= held, listed - held
    later = held - listed
    assert {name for _, name, _, _ in later if int(name[1:]) < 86} == set()
    assert {face for _, name, face, _ in later if name != "M088"} == {"page"}
    assert sum(face == "dissent" for *_, face, _ in listed) == 9
    assert len(held) == sum(len(m.shown) for m in KNOWN.modalities)


@pytest.mark.parametrize(
    ("modality", "statement", "indications", "unless", "when", "technique"),
    [
        ("ablation", "S026", (), (), ("requirement.functioning",), ""),
        ("debulking", "M012", ("D3", "D4"), (), (), ""),
        ("debulking", "S070", (), (), ("exclusion.widespread-disease",), ""),
        ("hepatic-arterial-therapy", "M040", (), (), (), "radioembolization"),
        ("hepatic-arterial-therapy", "M039", (), (), (), "radioembolization"),
        ("hormonal-suppression", "M017", ("N2",), (), (), ""),
        ("hormonal-suppression", "S036", ("N1",), (), ("requirement.not-insulinoma",), ""),
        ("hormonal-suppression", "S037", ("N2",), (), (), ""),
        ("systemic-therapy", "M082", ("Y2",), (), (), ""),
        ("systemic-therapy", "S007", ("Y1", "Y2"), (), (), ""),
        ("systemic-therapy", "M051", ("Y4",), (), (), ""),
        ("systemic-therapy", "S006", ("Y4",), (), (), ""),
        ("systemic-therapy", "M054", ("Y5",), (), (), ""),
        ("systemic-therapy", "M056", ("Y5",), (), (), ""),
        ("systemic-therapy", "M055", ("Y6",), (), (), ""),
        ("systemic-therapy", "M088", ("Y6",), (), (), ""),
        ("systemic-therapy", "M057", (), (), (), "everolimus"),
        ("systemic-therapy", "M062", (), (), (), "capecitabine-temozolomide"),
        ("systemic-therapy", "M061", (), (), (), "cabozantinib"),
        ("transplantation", "M043", ("T1",), ("T2",), (), ""),
        ("transplantation", "M044", ("T2",), (), (), ""),
    ],
)
def test_the_conditions_of_a_face(
    modality: str, statement: str, indications: tuple[str, ...], unless: tuple[str, ...], when: tuple[str, ...], technique: str
) -> None:
    part = next(p for p in KNOWN.modality(modality).shown if p.statement == statement and p.face is not Face.PAGE)
    assert (part.indications, part.unless, part.when, part.technique) == (indications, unless, when, technique)


def test_every_other_face_stands_always() -> None:
    free = [(m.id, p.statement) for m in KNOWN.modalities for p in m.shown
            if not (p.indications or p.unless or p.when or p.technique or p.face is Face.PAGE)]  # fmt: skip
    assert sorted(free) == [
        ("ablation", "M018"), ("ablation", "S028"), ("debulking", "M011"), ("debulking", "S076"),
        ("hepatic-arterial-therapy", "S048"), ("hepatic-arterial-therapy", "S050"), ("hepatic-arterial-therapy", "S052"),
        ("resection", "M011"), ("resection", "S016"), ("transplantation", "M045"), ("transplantation", "S054"),
        ("transplantation", "S055"), ("transplantation", "S058"), ("transplantation", "S059"), ("transplantation", "S062"),
    ]  # fmt: skip


def test_the_rank_of_the_indications_is_the_order_of_the_cards() -> None:
    ranks = {i.id: i.rank for m in KNOWN.modalities for i in m.indications}
    ranks |= {t.own_line: t.rank for m in KNOWN.modalities for t in m.techniques if t.rank}
    assert tuple(sorted(ranks, key=ranks.__getitem__)) == ORDER
    assert sorted(ranks.values()) == list(range(1, len(ORDER) + 1))


def test_the_techniques_with_a_line_of_their_own() -> None:
    lines: dict[str, list[str]] = {}
    for modality in KNOWN.modalities:
        for technique in modality.techniques:
            assert bool(technique.rank) == (technique.own_line == "drugs")
            lines.setdefault(technique.own_line, []).append(technique.says)
    for line, starts in LINES.items():
        assert len(lines[line]) == len(starts)
        assert all(says.startswith(start) for says, start in zip(sorted(lines[line]), starts, strict=True)), lines[line]
    assert set(lines) == {*LINES, ""}
    ways = {t.id: t.says for m in KNOWN.modalities for t in m.techniques if t.id}
    assert {name: says.split(",")[0].split(" ")[0] for name, says in ways.items()} == {
        "radioembolization": "Radioembolization", "everolimus": "Everolimus", "cabozantinib": "Cabozantinib",
        "capecitabine-temozolomide": "Capecitabine",
    }  # fmt: skip


def populations() -> list[dict[str, str]]:
    return list(csv.DictReader((DATA / "populations.csv").read_text("utf-8").splitlines()))


def test_the_population_of_every_statement_that_a_card_can_show_is_held_a_second_time() -> None:
    told = {
        name: (
            set(row["primary"].split()), set(row["grade"].split()), row["ki67"], row["functioning"], row["line"], row["any"],
        )
        for row in populations() for name in [row["statement"]]
    }  # fmt: skip
    held = {
        s.id: (
            set(s.population.primary), set(s.population.grade),
            " ".join(f"{how} {limit}" for how, limit in s.population.ki67.items()),
            "" if s.population.functioning is None else str(s.population.functioning).lower(), s.population.line,
            s.population.any,
        )
        for s in KNOWN.statements.values() if s.population
    }  # fmt: skip
    assert held == told
    assert {s.id for s in KNOWN.statements.values() if not s.not_used} == set(held)


@pytest.mark.parametrize(
    ("population", "given", "fits"),
    [
        (Population(any="of all"), {}, True),
        (Population(primary=frozenset({"pancreas"})), {"primary_site": "pancreas"}, True),
        (Population(primary=frozenset({"pancreas"})), {"primary_site": "lung"}, False),
        (Population(primary=frozenset({"pancreas"})), {}, None),
        (Population(grade=frozenset({"G1", "G2"})), {"who_grade": "G3"}, False),
        (Population(grade=frozenset({"G1", "G2"})), {"who_grade": "G2"}, True),
        (Population(ki67={"below": Decimal(10)}), {"ki67_index": "10"}, False),
        (Population(ki67={"below": Decimal(10)}), {"ki67_index": "9"}, True),
        (Population(ki67={"below": Decimal(10)}), {}, None),
        (Population(ki67={"at_least": Decimal(10), "at_most": Decimal(55)}), {"ki67_index": "56"}, False),
        (Population(functioning=True), {"hormonal_syndrome": "none"}, False),
        (Population(functioning=False), {"hormonal_syndrome": "none"}, True),
        (Population(functioning=True), {}, None),
        (Population(line="after-progression"), {"disease_status": "progression"}, True),
        (Population(line="after-progression"), {"disease_status": "stable"}, False),
        (Population(line="after-progression"), {}, None),
        (Population(line="first"), {}, True),
        (Population(line="first"), {"somatostatin_analogue": True}, False),
        (Population(line="pretreated"), {"somatostatin_analogue": True}, False),
        (Population(line="pretreated"), {"everolimus": True}, True),
        (Population(primary=frozenset({"lung"}), functioning=True), {"primary_site": "pancreas"}, False),
    ],
)  # fmt: skip
def test_a_known_fact_outside_a_population_says_no_and_an_unknown_one_leaves_it_open(
    population: Population, given: dict[str, object], fits: bool | None
) -> None:
    facts = determine_facts(picture(KNOWN, given, TODAY), KNOWN, TODAY)
    assert population_fits(population, facts) is fits


def test_a_treatment_whose_records_were_not_consulted_leaves_the_line_open() -> None:
    facts = determine_facts(picture(KNOWN, {}, TODAY, ["everolimus"]), KNOWN, TODAY)
    assert population_fits(Population(line="first"), facts) is None
    assert population_fits(Population(line="pretreated"), facts) is None
