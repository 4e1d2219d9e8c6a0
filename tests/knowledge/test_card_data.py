"""The data of cards, compared with a second copy: faces and places (tests/data), order, lines, populations."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from cds_service import knowledge
from cds_service.knowledge.shown import Face, ShownStatement
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
    "somatostatin-analogue": ["A somatostatin analogue", "Somatostatin analogue", "Telotristat"],
    "hormone-treatment": ["Glucose plan", "Proton-pump inhibitor"],
    "drugs": ["Cabozantinib", "Capecitabine and temozolomide", "Everolimus in progressive non-functioning",
              "Everolimus in progressive pancreatic", "Sunitinib"],
}  # fmt: skip
RISK_OF_TRANSPLANTATION = {("transplantation", "M044"): 4}
"""Its bias; the list gives it among the short sentences, without a place."""


LISTED_WITHOUT_ROW = {("hepatic-arterial-therapy", "S064", "for", 0), ("systemic-therapy", "M079", "for", 0)}
"""Repeat resection is resection's own row; M079 was split, and its part on carcinomas is M087."""
SINCE_THE_LIST = {("systemic-therapy", "M087", "for", 0), ("systemic-therapy", "M088", "risk", 1)}


def written_by_hand() -> Iterator[tuple[str, str, str, int]]:
    """Return (modality, statement, face, place) as the list of card faces words them."""
    table = (DATA / "card_faces.md").read_text("utf-8").split("## Short sentences")[0]
    for modality, statement, said in re.findall(r"^\| ([a-z-]+) \| ([SM]\d{3}) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE):
        if said.startswith("page") or said.endswith(("page", "page (label)")):
            yield modality, statement, "page", 0
            continue
        if said.startswith("for"):
            yield modality, statement, "for", 0
        if place := RISK_OF_TRANSPLANTATION.get((modality, statement)):
            yield modality, statement, "risk", place
        elif "**" in said:
            yield modality, statement, "dissent", 0
        elif found := re.search(r"\brisk (\d)|its risk|risk of Y1", said):
            yield modality, statement, "risk", int(found[1] or 1)


def test_the_face_and_place_of_every_statement_are_those_of_the_list_written_by_hand() -> None:
    held = {(m.id, p.statement, p.face.value, p.place) for m in KNOWN.modalities for p in m.shown}
    listed = set(written_by_hand()) - LISTED_WITHOUT_ROW
    assert listed <= held, listed - held
    later = held - listed - SINCE_THE_LIST
    assert {name for _, name, _, _ in later if int(name[1:]) < 86} == set()
    assert {face for _, _, face, _ in later} == {"page"}
    assert sum(face == "dissent" for *_, face, _ in listed) == 9
    rows = [(m.id, p.statement, p.face, *_conditions(p)) for m in KNOWN.modalities for p in m.shown]
    assert len(rows) == len(set(rows)), "one row twice"


def _conditions(part: ShownStatement) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]:
    return part.indications, part.unless, part.when, part.technique


CONDITIONS: list[tuple[str, str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str]] = [
    ("ablation", "S026", "risk", (), (), ("requirement.functioning",), ""),
    ("debulking", "M012", "dissent", ("D3", "D4"), (), (), ""),
    ("debulking", "S070", "dissent", (), (), ("exclusion.widespread-disease",), ""),
    ("hepatic-arterial-therapy", "M040", "risk", (), (), (), "radioembolization"),
    ("hepatic-arterial-therapy", "M039", "risk", (), (), (), "radioembolization"),
    ("hormonal-suppression", "M017", "dissent", ("N2",), (), (), ""),
    ("hormonal-suppression", "S036", "risk", ("N1",), (), ("requirement.not-insulinoma",), ""),
    ("hormonal-suppression", "S037", "risk", ("N2",), (), (), ""),
    ("systemic-therapy", "M082", "dissent", ("Y2",), (), (), ""),
    ("systemic-therapy", "S007", "risk", ("Y1", "Y2"), (), (), ""),
    ("systemic-therapy", "M051", "risk", ("Y4",), (), (), ""),
    ("systemic-therapy", "S006", "risk", ("Y4",), (), (), ""),
    ("systemic-therapy", "M054", "risk", ("Y5",), (), (), ""),
    ("systemic-therapy", "M056", "risk", ("Y5",), (), ("requirement.primary-outside-midgut",), ""),
    ("systemic-therapy", "M055", "risk", ("Y6",), (), (), ""),
    ("systemic-therapy", "M088", "risk", ("Y6",), (), (), ""),
    ("systemic-therapy", "M057", "risk", (), (), (), "everolimus"),
    ("systemic-therapy", "M062", "risk", (), (), (), "capecitabine-temozolomide"),
    ("systemic-therapy", "M061", "risk", (), (), (), "cabozantinib"),
    ("transplantation", "M043", "dissent", ("T1",), ("T2",), (), ""),
    ("transplantation", "M044", "risk", ("T2",), (), (), ""),
    ("resection", "S064", "for", ("R1",), (), (), ""),
    ("resection", "S019", "for", ("R1",), (), (), ""),
    ("resection", "M013", "for", ("R1",), (), (), ""),
    ("resection", "M014", "for", ("R1",), (), (), ""),
    ("debulking", "S020", "for", ("D1",), (), (), ""),
    ("debulking", "S020", "for", ("D2",), (), (), ""),
    ("debulking", "S018", "for", ("D1", "D2", "D3", "D4"), (), ("requirement.functioning",), ""),
    ("debulking", "S065", "for", ("D3",), (), (), ""),
    ("debulking", "M007", "for", ("D4",), (), (), ""),
    ("debulking", "M010", "for", ("D4",), (), (), ""),
    ("ablation", "S021", "for", ("A1",), (), (), ""),
    ("ablation", "S066", "for", ("A1",), (), (), ""),
    ("ablation", "S023", "for", ("A2",), (), (), ""),
    ("ablation", "S066", "for", ("A2",), (), (), ""),
    ("ablation", "M021", "for", ("A3",), (), (), ""),
    ("hepatic-arterial-therapy", "S041", "for", ("H1",), (), (), ""),
    ("hepatic-arterial-therapy", "S067", "for", ("H1",), (), (), ""),
    ("hepatic-arterial-therapy", "S067", "for", ("H2",), (), (), ""),
    ("hepatic-arterial-therapy", "S067", "for", (), (), ("technique.debulkable",), ""),
    ("transplantation", "S069", "for", ("T1",), (), (), ""),
    ("transplantation", "M043", "for", ("T2",), (), (), ""),
    ("transplantation", "M044", "for", ("T2",), (), (), ""),
    ("transplantation", "M047", "for", ("T2",), (), (), ""),
    ("systemic-therapy", "S070", "for", ("Y1",), (), (), ""),
    ("systemic-therapy", "M087", "for", ("Y2",), (), (), ""),
    ("systemic-therapy", "M051", "for", ("Y4",), (), (), ""),
    ("systemic-therapy", "M052", "for", ("Y4",), (), (), ""),
    ("systemic-therapy", "M053", "for", ("Y5",), (), (), ""),
    ("systemic-therapy", "M056", "for", ("Y5",), (), ("requirement.primary-outside-midgut",), ""),
    ("systemic-therapy", "M055", "for", ("Y6",), (), (), ""),
    ("systemic-therapy", "M057", "for", (), (), (), "everolimus"),
    ("systemic-therapy", "M058", "for", (), (), (), "everolimus"),
    ("systemic-therapy", "M060", "for", (), (), (), "sunitinib"),
    ("systemic-therapy", "M062", "for", (), (), (), "capecitabine-temozolomide"),
    ("systemic-therapy", "M061", "for", (), (), (), "cabozantinib"),
    ("hormonal-suppression", "M074", "for", ("N1",), (), ("technique.carcinoid",), ""),
    ("hormonal-suppression", "M063", "for", (), (), (), "telotristat"),
    ("hormonal-suppression", "M073", "for", (), (), (), "proton-pump-inhibitor"),
    ("hormonal-suppression", "M073", "for", (), (), (), "glucose-plan"),
    ("hormonal-suppression", "S036", "for", ("N2",), (), (), ""),
    ("hormonal-suppression", "S038", "for", ("N2",), (), (), ""),
]


def test_the_conditions_of_every_face_that_does_not_stand_always() -> None:
    held = [(m.id, p.statement, p.face.value, *_conditions(p)) for m in KNOWN.modalities for p in m.shown
            if p.face is not Face.PAGE and any(_conditions(p))]  # fmt: skip
    assert sorted(held) == sorted(CONDITIONS)


def test_every_other_face_stands_always() -> None:
    faces = [(m.id, p) for m in KNOWN.modalities for p in m.shown if p.face is not Face.PAGE]
    free = [(name, p.statement) for name, p in faces if not any(_conditions(p))]
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
        "capecitabine-temozolomide": "Capecitabine", "sunitinib": "Sunitinib", "telotristat": "Telotristat",
        "proton-pump-inhibitor": "Proton-pump", "glucose-plan": "Glucose",
    }  # fmt: skip


TELLING = {
    "R1": ("curative-resection-possible",),
    "D1": ("extreme-symptoms", "refractory-to-other-treatment"),
    "D2": ("threatening-lesion",),
    "D3": ("removable-80-or-more",),
    "D4": ("removable-above-70",),
    "A1": ("resectability-debulkable",),
    "A2": ("curative-resection-not-possible",),
    "A3": ("largest-lesion-up-to-3-cm", "recurrence-or-poor-fitness"),
    "H1": ("curative-resection-not-possible",),
    "H2": ("recurrence-after-resection",),
    "T1": ("extreme-symptoms", "refractory-for-transplantation"),
    "T2": (
        "stable-six-months", "involvement-at-most-half", "portal-drained-primary", "primary-resected", "grade-1-or-2",
        "liver-only-on-sstr-pet",
    ),
    "Y1": ("widespread",),
    "Y2": ("nec",),
    "Y3": (),
    "Y4": ("sstr-positive", "grade-1-or-2"),
    "Y5": ("progression-on-analogue", "sstr-positive"),
    "Y6": ("newly-diagnosed", "ki67-10-to-55"),
    "N1": ("named-syndrome",),
    "N2": ("recent-liver-surgery",),
}  # fmt: skip
"""What an overview names if the indication is met, in this order: the facts that distinguish it from the other indications of
its modality."""


def test_what_an_overview_names_of_each_indication_is_what_sets_it_apart() -> None:
    indications = [indication for modality in KNOWN.modalities for indication in modality.indications]
    assert {indication.id: indication.telling for indication in indications} == TELLING
    besides = {"T2": ("age", "ki67_index"), "D1": ("removable_fraction",), "D2": ("removable_fraction",)}
    assert {i.id: i.facts for i in indications if i.facts} == besides, "facts that are told besides"
    for indication in indications:
        assert set(indication.telling) <= {c.id for c in (*indication.requires, *indication.update_requires)}, indication.id


SYNDROME = ("somatostatin_analogue", ("stools_per_day", "hormonal_symptoms_controlled"))
LINES_OF_MODALITIES: dict[str, list[tuple[str, set[str], tuple[str, ...], str, tuple[str, ...], tuple[str, ...]]]] = {
    "systemic-therapy": [
        ("prrt", {"Y5", "Y6"}, (), "", (), ("uptake against liver",)),
        ("somatostatin-analogue", {"Y4"}, (), "somatostatin_analogue", ("disease_status",), ()),
        ("drugs", set(), (), "", (), ()),
    ],
    "hormonal-suppression": [
        ("somatostatin-analogue", {"N1"}, ("technique.carcinoid",), *SYNDROME, ()),
        ("somatostatin-analogue", {"N1"}, ("technique.analogue-syndrome",), *SYNDROME, ()),
        ("hormone-treatment", {"N1"}, ("technique.gastrinoma",), "", (), ()),
        ("hormone-treatment", {"N1"}, ("technique.insulinoma",), "", ("hormonal_symptoms_controlled",), ()),
    ],
}
"""Modality → its lines in order: id, indications, when, drug, facts that the overview names, what the service does not read."""


def test_the_lines_of_parts_of_a_modality() -> None:
    held = {
        m.id: [(line.id, set(line.indications), line.when, line.drug, line.facts, line.not_read) for line in m.lines]
        for m in KNOWN.modalities if m.lines
    }  # fmt: skip
    assert held == LINES_OF_MODALITIES
    assert {m.id: m.not_read for m in KNOWN.modalities if m.not_read} == {}


def test_what_is_said_of_a_drug_that_is_given_already_is_there_for_every_line_of_a_drug() -> None:
    """The block of a treatment that is already given never says "consider"."""
    for line in [line for modality in KNOWN.modalities for line in modality.lines]:
        assert bool(line.given and line.adjust) == bool(line.drug), line
        assert "consider" not in f"{line.given} {line.adjust} {line.does}"


def test_what_a_refractory_patient_may_not_have_had_yet_and_the_records_that_would_show_it() -> None:
    techniques = [technique for modality in KNOWN.modalities for technique in modality.techniques if technique.untried]
    assert [(technique.untried, [criterion.id for criterion in technique.when]) for technique in techniques] == [
        (
            {
                "PRRT": ("radionuclide_therapy", "lu177_dotatate"),
                "embolization": ("liver_embolization", "liver_radioembolization", "hepatic-arterial-therapy"),
            },
            [],
        ),
        ({"telotristat": ()}, ["carcinoid"]),
    ]
    assert {frozenset(technique.only_for) for technique in techniques} == {frozenset({"D1"})}


BEFORE_A_PROCEDURE = {
    "caution.inr-above-limit": "INR",
    "caution.platelets-below-limit": "platelets",
    "caution.on-anticoagulant": "anticoagulant",
    "caution.bilirubin-above-2": "bilirubin",
    "caution.biliary-obstruction": "bile ducts",
    "caution.carcinoid-heart-disease": "cardiology",
    "caution.possible-carcinoid-heart-disease": "cardiology",
    "caution.cardiac-assessment-missing": "echocardiogram",
    "caution.carcinoid-crisis-plan": "crisis plan",
    "caution.carcinoid-crisis-plan-midgut": "crisis plan",
    "caution.glucose-plan": "glucose plan",
    "technique.carcinoid-crisis-plan": "crisis plan",
}
"""Cautions before any procedure; each appears once, on the overview or the safety card."""


def test_what_stands_once_before_any_procedure_is_what_this_list_names() -> None:
    assert {c.key: c.before_procedure for c in KNOWN.criteria.values() if c.before_procedure} == BEFORE_A_PROCEDURE


def test_the_caution_that_is_told_among_the_risks_is_the_one_that_holds_of_everybody() -> None:
    """A caution that is always met (drug-eluting beads) is a risk (docs/cards.md, "Limits", 8)."""
    assert {c.key for c in KNOWN.criteria.values() if c.risk} == {"caution.drug-eluting-beads"}


def test_what_may_be_left_out_of_the_lines_on_the_patient_is_what_this_list_names() -> None:
    """A statement that decides is shown with the treatment that it opens or closes."""
    board = KNOWN.board
    assert set(board.spare) == {
        "differentiation", "mitotic_count", "lobes_involved", "future_liver_remnant", "removable_fraction", "resectability",
        "stools_per_day", "hormonal_symptoms_controlled", "sstr_positive", "primary_resected",
    }  # fmt: skip
    assert set(board.spare) <= {*board.disease, *board.liver, *board.patient}
    shown = [*board.disease, *board.liver, *board.patient, *board.laboratory, *board.done]
    assert len(shown) == len(set(shown)), "one fact on two lines"


def test_what_the_person_who_answers_a_question_of_the_board_would_tell_with_it() -> None:
    assert [question.also for question in KNOWN.board_questions] == [
        (),
        (
            "background_liver",
            "drainage_intact",
            "removable_fraction",
            "threatens_biliary_or_bowel",
            "recurrence_after_resection",
        ),
        ("disease_extent",),
        ("platelets", "coagulopathy_uncorrectable"),
        ("hormonal_symptoms_extreme", "symptoms_refractory_to", "hormonal_symptoms_controlled"),
    ]
    names = [name for question in KNOWN.board_questions for name in (*question.facts, *question.also)]
    assert len(names) == len(set(names)), "one fact in two questions"


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
        (Population(primary=frozenset({"pancreas"})), {"primary_site": "unknown"}, None),
        (Population(primary=frozenset({"pancreas"}), functioning=True),
         {"primary_site": "unknown", "hormonal_syndrome": "none"}, False),
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


def test_a_crisis_plan_alone_names_the_sources_of_two_claims() -> None:
    """Vasopressors come first (M070), and radionuclide therapy is a trigger (M071)."""
    plans = {"caution.carcinoid-crisis-plan", "caution.carcinoid-crisis-plan-midgut", "technique.carcinoid-crisis-plan"}
    assert {c.key: c.cited for c in KNOWN.criteria.values() if c.cited != 1} == dict.fromkeys(plans, 2)
