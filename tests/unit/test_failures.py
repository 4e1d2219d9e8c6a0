"""The recorded failure of a treatment, shown next to the treatment."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service import knowledge
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.failures import ANSWER_OF, recorded_failures
from tests.support.pictures import picture

KNOWN, TODAY = knowledge.load(), date(2026, 11, 1)


def failures(modality: str, said: object) -> list[tuple[str, str]]:
    given = {} if said is None else {"symptoms_refractory_to": said}
    facts = determine_facts(picture(KNOWN, given, TODAY, ()), KNOWN, TODAY)
    return [(str(reading.value), str(reading.on)) for reading in recorded_failures(modality, facts)]


BOTH = ["hormonal-suppression 30 days ago", "arterial-therapy 60 days ago", "arterial-therapy 90 days ago"]


@pytest.mark.parametrize(
    ("modality", "said", "expected"),
    [
        ("hepatic-arterial-therapy", BOTH, [("arterial-therapy", "2026-09-02"), ("arterial-therapy", "2026-08-03")]),
        ("hormonal-suppression", BOTH, [("hormonal-suppression", "2026-10-02")]),
        ("hormonal-suppression", "arterial-therapy 60 days ago", []),
        ("hepatic-arterial-therapy", "none 5 days ago", []),
        ("hepatic-arterial-therapy", None, []),
        ("resection", BOTH, []),
    ],
)
def test_a_failure_is_told_with_its_dates_beside_the_treatment_that_failed(
    modality: str, said: object, expected: list[tuple[str, str]]
) -> None:
    assert failures(modality, said) == expected


def test_a_failure_that_is_out_of_date_or_denied_since_happened_all_the_same() -> None:
    assert failures("hepatic-arterial-therapy", "arterial-therapy 400 days ago") == [("arterial-therapy", "2025-09-27")]
    since = ["arterial-therapy 60 days ago", "controlled 5 days ago"]
    assert failures("hepatic-arterial-therapy", since) == [("arterial-therapy", "2026-09-02")]


def test_each_modality_that_can_fail_and_each_answer_is_one_of_the_knowledge() -> None:
    assert set(ANSWER_OF) <= {modality.id for modality in KNOWN.modalities}
    assert set(ANSWER_OF.values()) <= set(KNOWN.facts["symptoms_refractory_to"].options)
