"""Laws over whole pictures, drawn with a fixed seed from {nothing, either side of each limit} (CLINICAL section 5)."""

from __future__ import annotations

import random
from datetime import date

import pytest

from cds_service import knowledge
from cds_service.assessment import Assessed, assess
from cds_service.derived import CALCULATIONS
from cds_service.facts import SILENCE
from cds_service.judgement import closed
from cds_service.knowledge.model import RANK, Verdict
from cds_service.missing import Search, Suppositions
from cds_service.open_facts import candidates
from cds_service.picture import Amount, ClinicalPicture, Observed, Readings, Value, When
from cds_service.settling import settle
from cds_service.staging import PARTS, stage

TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()


def values(name: str) -> tuple[Value, ...]:
    kind = KNOWN.facts[name].kind
    if name == "age":
        return tuple(Amount.exactly(years) for years in (40, 52, 57, 63, 75))
    if name == "sex":
        return ("female", "male")
    if kind in {"presence", "person"}:
        return (True,)
    return candidates(KNOWN, name, SILENCE) or (Amount.exactly(1),)


def drawn(rnd: random.Random) -> ClinicalPicture:
    known, unasked = rnd.choice([0.15, 0.4, 0.7, 0.9]), rnd.choice([0, 0.1, 0.2])
    readings = {}
    for name in KNOWN.facts:
        dice = rnd.random()
        if dice >= known:
            readings[name] = Readings(complete=dice < 1 - unasked)
            continue
        value = rnd.choice(values(name))
        parts = sorted(value) if isinstance(value, frozenset) else [value]
        readings[name] = Readings(tuple(Observed(part, When.day(TODAY), f"X/{name}", "") for part in parts), complete=True)
    return ClinicalPicture(readings)


def assessed(picture: ClinicalPicture) -> dict[str, Assessed]:
    return assess(settle(picture, KNOWN, TODAY, CALCULATIONS))


@pytest.mark.parametrize("seed", range(6))
def test_forgetting_a_fact_never_strengthens_a_verdict(seed: int) -> None:
    """It may rise to undetermined. Through curative resection, refractory symptoms and Y3 a fact of one modality may
    change others, so systemic therapy, which depends on the others' verdicts, is judged by its own facts only."""
    rnd = random.Random(seed)
    for _ in range(12):
        picture = drawn(rnd)
        before = assessed(picture)
        name = rnd.choice([name for name in KNOWN.facts if picture.of(name).valid])
        after = assessed(ClinicalPicture({**picture.readings, name: Readings()}))
        for modality in before:
            stronger = RANK[after[modality].verdict] > RANK[before[modality].verdict]
            if modality != "systemic-therapy":
                assert not stronger or after[modality].verdict is Verdict.UNDETERMINED, (name, modality)


@pytest.mark.parametrize("seed", range(3))
def test_a_fact_that_is_not_asked_for_changes_no_verdict(seed: int) -> None:
    """Against random answers to all open facts. The search is bounded, so a few in a hundred may be overlooked: the test
    holds it to one in a hundred of what it asks for."""
    rnd = random.Random(seed)
    overlooked, asked = 0, 0
    for _ in range(8):
        facts = settle(drawn(rnd), KNOWN, TODAY, CALCULATIONS)
        results = assess(facts)
        verdicts = {name: result.verdict for name, result in results.items()}
        suppositions = Suppositions(facts)
        for name, result in results.items():
            if result.verdict is not Verdict.UNDETERMINED:
                assert result.missing == ()
                continue
            depends = [other for indication in result.modality.indications for other in indication.when_closed]
            search = Search(result.modality, suppositions, closed(verdicts, depends) if depends else False)
            found = set()
            for _ in range(60):
                names = [n for n in search.asked if search.values[n] and KNOWN.facts[n].ask != "never"]
                if not names:
                    break
                open_one = rnd.choice(names)
                context = {
                    n: rnd.randrange(len(search.values[n])) for n in search.asked if search.values[n] and rnd.random() < 0.8
                }
                answers = [{**context, open_one: place} for place in range(len(search.values[open_one]))]
                if len({search.opinion(answer).verdict for answer in answers}) > 1:
                    found.add(open_one)
            overlooked += len(found - set(result.missing))
            asked += len(result.missing)
            assert set(result.missing) <= set(search.asked), name
    assert overlooked * 100 <= asked


@pytest.mark.parametrize("seed", range(3))
def test_every_verdict_has_its_reasons_and_every_stage_part_a_value(seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(15):
        facts = settle(drawn(rnd), KNOWN, TODAY, CALCULATIONS)
        for result in assess(facts).values():
            assert result.opinion.decided_by, result.modality.id
            if result.verdict is Verdict.UNDETERMINED:
                assert result.opinion.open in {"indication", "safety"}
            for finding in result.opinion.findings:
                assert finding.criterion.statements or finding.criterion.local
        assert set(stage(facts)) == set(PARTS)


def test_the_same_facts_give_the_same_assessment_twice() -> None:
    picture = drawn(random.Random(7))
    assert [a.opinion for a in assessed(picture).values()] == [a.opinion for a in assessed(picture).values()]
