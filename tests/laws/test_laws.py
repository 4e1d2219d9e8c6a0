"""Laws over clinical pictures (docs/knowledge.md, "Laws"), which must hold for every patient, also for unexpected ones.

The tests of the search for deciding facts are in tests/deciding, the laws over charts in test_chart_laws.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.cards.assessment import assessment_json
from cds_service.clinical_picture import ClinicalPicture, Interval, Readings, Value
from cds_service.knowledge.modality import RANK, Modality, Verdict
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import Finding
from cds_service.reasoning.staging import StageValue, determine_stage
from cds_service.reasoning.undecided import criteria_of
from tests.conftest import ROOT
from tests.support.pictures import outline
from tests.support.strategies import (
    JUDGED,
    KNOWN,
    NAMES,
    SITUATIONS,
    TODAY,
    Law,
    base,
    days_ago,
    observed,
    pictures,
    variants,
    with_fact,
)
from tests.support.vignette import without_search

UNKNOWN = Readings()
MODALITIES = [modality.id for modality in KNOWN.modalities]

EXCEPTED = {"ecog", "carcinoid_heart_coded", "liver_transplant", "liver_transplant_coded",
            "liver_transplant_status_coded"}  # fmt: skip
"""The exceptions of docs/knowledge.md, "Laws": ECOG, cautions whose silence is listed (the heart), and the transplant gate."""
CONDUITS = {"curative_resection", "refractory_for_transplantation"}
"""Through these, and through Y3, a fact of one modality may change another (docs/knowledge.md, "Laws")."""
CONTRAINDICATED_BY: dict[str, tuple[str, Value]] = {
    "hepatic-failure": ("hepatic_failure", True),
    "portal-vein-occlusion": ("portal_vein", "occluded"),
    "uncorrectable-coagulopathy": ("coagulopathy_uncorrectable", True),
    "renal-failure": ("renal_failure", True),
    "ecog-3-or-worse": ("ecog", Interval.from_number(3)),
    "severe-carcinoid-heart-disease": ("carcinoid_heart_disease", "severe-untreated"),
    "distant-extrahepatic-disease": ("extrahepatic_disease", "unresectable"),
}
FROM_NORMAL_TO_WORST: dict[str, tuple[str, ...]] = {
    "total_bilirubin": ("0.8", "1.9", "2", "2.1", "3", "3.1", "12"),
    "albumin": ("4.2", "3.6", "3.5", "3.4", "2.8", "2.7", "1.5"),
    "inr": ("1", "1.6", "1.7", "1.8", "2.3", "2.4", "6"),
    "platelets": ("250", "51", "50", "49", "5"),
    "creatinine": ("0.7", "1.2", "1.9", "2", "4", "11"),
    "egfr": ("95", "31", "30", "29", "15", "14", "4"),
}


def facts_of(picture: ClinicalPicture) -> Facts:
    return determine_facts(picture, KNOWN, TODAY)


def verdicts(facts: Facts) -> dict[str, Verdict]:
    return {name: assessment.verdict for name, assessment in assess_modalities(facts).items()}


def machine_readable(picture: ClinicalPicture) -> dict[str, Any]:
    """Return the machine-readable result of a picture without the deciding facts, whose search takes long."""
    facts = facts_of(picture)
    parts = {
        name: (part.value, [outline(because) for because in part.because]) for name, part in determine_stage(facts).items()
    }
    return {name: assessment_json(without_search(assessment)) for name, assessment in assess_modalities(facts).items()} | {
        "stage": parts
    }


def own_facts(modality: Modality) -> set[str]:
    """Return the recorded facts by which a modality is judged, except those that reach it only through rules of others."""
    found: set[str] = set()

    def collect(name: str) -> None:
        if name in CONDUITS or name in found:
            return
        derived = KNOWN.derived.get(name)
        for read in derived.reads if derived else ():
            collect(read)
        found.add(name)

    for criterion in criteria_of(modality, KNOWN):
        for name in criterion.facts:
            collect(name)
    return found & set(NAMES)


OWN = {modality.id: own_facts(modality) for modality in KNOWN.modalities}


def short_window(facts: Facts) -> bool:
    """Return whether the window of imaging is 90 days, which depends on the grade (docs/knowledge.md, "Facts")."""
    return facts["g3"].equals(True) or facts["nec"].equals(True)


@Law(400)
@given(pictures(8), st.sampled_from(sorted(JUDGED - EXCEPTED)), st.integers(0, 99))
def test_forgetting_a_fact_never_strengthens_a_verdict(picture: ClinicalPicture, name: str, place: int) -> None:
    """It may rise to undetermined, because a contraindication that is forgotten becomes a question."""
    facts = facts_of(with_fact(picture, name, variants(name)[place % len(variants(name))]))
    forgotten = facts_of(with_fact(picture, name, UNKNOWN))
    if short_window(facts) == short_window(forgotten):
        before = verdicts(facts)
        for modality, verdict in verdicts(forgotten).items():
            if name in OWN[modality]:
                assert RANK[verdict] <= max(RANK[before[modality]], RANK[Verdict.UNDETERMINED]), modality


@pytest.mark.parametrize("name", sorted(EXCEPTED))
def test_an_excepted_fact_that_is_forgotten_is_named_as_not_checked(name: str) -> None:
    value: Value = Interval.from_number(3) if name == "ecog" else True
    caution = {"ecog": "ecog-unknown", "carcinoid_heart_coded": "carcinoid-heart-disease"}.get(name)
    strengthened = 0
    for situation in SITUATIONS:
        picture = base(situation, assessed=True)
        picture = with_fact(picture, "carcinoid_heart_disease", Readings(complete=True))
        recorded = with_fact(picture, name, Readings(observed(name, value, days_ago(0)), complete=True))
        before, forgotten = assess_modalities(facts_of(recorded)), facts_of(with_fact(picture, name, UNKNOWN))
        for modality, now in assess_modalities(forgotten).items():
            if RANK[now.verdict] > max(RANK[before[modality].verdict], RANK[Verdict.UNDETERMINED]):
                strengthened += 1
                named = {finding.criterion.id for finding in (*now.cautions, *now.not_checked)}
                assert caution is None or caution in named, f"{modality}, {situation}"
    assert strengthened, "no exception is needed"


def test_every_contraindication_of_the_knowledge_has_its_law() -> None:
    assert {criterion.id for m in KNOWN.modalities for criterion in m.contraindications} == set(CONTRAINDICATED_BY)
    laboratory = {name for name in set().union(*OWN.values()) if KNOWN.facts[name].ask == "laboratory"}
    assert laboratory == set(FROM_NORMAL_TO_WORST)


@Law(150)
@given(pictures(), st.sampled_from(sorted(CONTRAINDICATED_BY)))
def test_adding_a_contraindication_contraindicates_and_never_improves(picture: ClinicalPicture, added: str) -> None:
    name, value = CONTRAINDICATED_BY[added]
    before = verdicts(facts_of(picture))
    facts = facts_of(with_fact(picture, name, Readings(observed(name, value, days_ago(0)), complete=True)))
    for modality, after in assess_modalities(facts).items():
        if added in {criterion.id for criterion in after.modality.contraindications}:
            assert RANK[after.verdict] <= RANK[before[modality]], modality
            graft = after.modality.liver_directed and facts["transplanted"].equals(True)
            assert after.verdict is (Verdict.UNDETERMINED if graft else Verdict.CONTRAINDICATED), modality
            assert graft or added in after.decision.decided_by


@Law(200)
@given(pictures(8), st.sampled_from(sorted(FROM_NORMAL_TO_WORST)), st.data())
def test_a_more_abnormal_laboratory_value_never_improves(picture: ClinicalPicture, name: str, data: st.DataObject) -> None:
    """There is one exception: treatments for unresectable disease. A better value may make a curative resection possible, which
    rules them out. A worse value may then make them undetermined, which ranks higher than not indicated."""
    ladder = FROM_NORMAL_TO_WORST[name]
    better, worse = sorted(data.draw(st.lists(st.integers(0, len(ladder) - 1), min_size=2, max_size=2, unique=True)))

    def with_value(place: int) -> Facts:
        value = Interval.from_number(ladder[place])
        return facts_of(with_fact(picture, name, Readings(observed(name, value, days_ago(0)), complete=True)))

    fine, bad = with_value(better), with_value(worse)
    before, after = verdicts(fine), verdicts(bad)
    through_resection = fine["curative_resection"].value != bad["curative_resection"].value
    for modality in MODALITIES:
        if name in OWN[modality]:
            allowed = RANK[Verdict.UNDETERMINED] if through_resection else 0
            assert RANK[after[modality]] <= max(RANK[before[modality]], allowed), modality


@Law(100)
@given(pictures(), st.integers(0, 99))
def test_order_and_duplicates_of_readings_change_nothing(picture: ClinicalPicture, seed: int) -> None:
    rnd = random.Random(seed)
    shuffled = {}
    for name in rnd.sample(NAMES, len(NAMES)):
        found = picture.readings_of(name)
        valid = [*found.valid, *(reading for reading in found.valid if rnd.random() < 0.3)]
        shuffled[name] = Readings(
            tuple(rnd.sample(valid, len(valid))), found.unreadable[::-1] * 2, found.complete, found.open_question * 2
        )
    assert machine_readable(ClinicalPicture(shuffled)) == machine_readable(picture)


@Law(120)
@given(pictures())
def test_every_verdict_has_reasons_and_every_reason_a_publication(picture: ClinicalPicture) -> None:
    for result in assess_modalities(facts_of(picture)).values():
        for decision in (result.decision, result.by_2010):
            assert decision.decided_by, result.modality.id
            assert bool(decision.open) == (decision.verdict is Verdict.UNDETERMINED)
            explained = {*(finding.criterion.id for finding in decision.findings), *(i.id for i in result.modality.indications)}
            assert set(decision.decided_by) <= explained | {"grade-unknown"}
        for sentences, local in reasons(result):
            sources = {publication for sentence in sentences for publication in KNOWN.statements[sentence].publications}
            assert local or sources, result.modality.id
            assert sources <= set(KNOWN.publications)


def reasons(result: Assessment) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the statements of each reason, and whether it is marked local."""
    findings: tuple[Finding, ...] = (*result.decision.findings, *result.by_2010.findings, *result.cautions)
    for finding in findings:
        yield finding.criterion.statements, finding.criterion.local
    for part in result.decision.indications:
        yield part.indication.statements, part.indication.local


SCHEMA = json.loads((ROOT / "tests/data/assessment.schema.json").read_text("utf-8"))
STAGES: dict[str, list[str]] = {
    name: part["enum"] for name, part in SCHEMA["oneOf"][0]["properties"]["staging"]["properties"].items()
}


@Law(120)
@given(pictures())
def test_staging_is_total_and_deterministic(picture: ClinicalPicture) -> None:
    parts = determine_stage(facts_of(picture))
    assert list(parts) == list(STAGES)
    for name, part in parts.items():
        assert part.value in STAGES[name], name
        assert part.value not in {"unknown", "undetermined"} or part.because, f"{name} is unknown without a reason"
    again = determine_stage(facts_of(picture))
    assert [_comparable(part) for part in again.values()] == [_comparable(part) for part in parts.values()]


def _comparable(part: StageValue) -> tuple[object, ...]:
    return part.id, part.value, part.seen, [outline(because) for because in part.because]
