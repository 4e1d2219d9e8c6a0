"""Pictures for hypothesis: a patient of a board situation, or one without any known fact, with some facts redrawn.

A redrawn fact is silent, never asked for, unreadable, out of date, undated, contradicted, or at or beside a limit. What is
drawn depends on nothing but the knowledge, so that a law fails on every machine or on none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache, wraps
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from cds_service import knowledge
from cds_service.clinical_picture import ClinicalPicture, Interval, Observed, PartialDate, Readings, Unreadable, Value
from cds_service.reasoning.facts import SILENT_FACT, recorded_inputs
from cds_service.reasoning.undecided import criteria_of, trial_values
from cds_service.reasons import Explanation, Reason
from tests.support import depth
from tests.support.pictures import UNIT, picture

TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()
NAMES = tuple(KNOWN.facts)

FIT: dict[str, object] = {
    "age": 52, "sex": "female", "ecog": 1, "hepatic_failure": False, "total_bilirubin": 1, "albumin": 4, "inr": 1,
    "platelets": 200, "coagulopathy_uncorrectable": False, "egfr": 90, "renal_failure": False, "portal_vein": "patent",
    "carcinoid_heart_disease": "absent", "biliary_obstruction": False, "disease_extent": "liver-dominant",
    "primary_site": "small-bowel", "who_grade": "G2", "differentiation": "well", "ki67_index": 5, "sstr_positive": True,
    "extrahepatic_disease": "none", "liver_involvement": 20, "primary_resected": True, "liver_transplant": False,
    "hormonal_syndrome": "none",
}  # fmt: skip
SITUATIONS: dict[str, dict[str, object]] = {
    "nothing on record": {},
    "resectable": {"resectability": "complete", "remnant_sufficient": True, "drainage_intact": True},
    "symptoms that nothing relieves": {
        "resectability": "debulkable", "removable_fraction": 85, "hormonal_syndrome": "carcinoid",
        "hormonal_symptoms_extreme": True, "symptoms_refractory_to": ["hormonal-suppression", "arterial-therapy"],
    },
    "unresectable": {"resectability": "unresectable", "disease_status": "stable", "months_since_status": 9},
    "widespread": {"resectability": "unresectable", "disease_extent": "widespread", "extrahepatic_disease": "unresectable"},
    "carcinoma": {"who_grade": "NEC", "differentiation": "poor", "ki67_index": 70, "resectability": "unresectable"},
    "G3": {"who_grade": "G3", "ki67_index": 30, "resectability": "complete", "remnant_sufficient": True,
           "drainage_intact": True},
    "came back after resection": {"recurrence_after_resection": True, "largest_lesion": 2, "resectability": "unresectable"},
}  # fmt: skip

LAW = settings(
    phases=(Phase.explicit, Phase.generate),  # the first failing example is reported unshrunk: shrinking takes minutes
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)  # the same examples on every machine, however slow


DEEPER = 20
"""The full form of a law tries this many times its examples."""


class Law:
    """Decorator of a law: `@Law(100)` above `@given(...)` tries 100 examples, or DEEPER times as many at full depth."""

    def __init__(self, examples: int) -> None:
        self.examples = examples * DEEPER if depth.full else examples
        self.tried = 0

    def __call__(self, test: Callable[..., None]) -> Callable[..., None]:
        handle = vars(test)["hypothesis"]
        inner = handle.inner_test

        @wraps(inner)
        def counted(*arguments: object, **named: object) -> None:
            self.tried += 1
            inner(*arguments, **named)

        handle.inner_test = counted
        law = settings(LAW, max_examples=self.examples)(test)
        vars(law)["law"] = self
        return law


def days_ago(days: int) -> PartialDate:
    return PartialDate.from_day(TODAY - timedelta(days=days))


def values(name: str) -> tuple[Value, ...]:
    """Return a value of every region that the knowledge distinguishes, including the limits."""
    kind = KNOWN.facts[name].kind
    if name == "age":
        return tuple(Interval.from_number(years) for years in (40, 52, 57, 63, 75))
    if name == "sex":
        return ("female", "male")
    if kind in {"presence", "person"}:
        return (True,)
    return trial_values(KNOWN, name, SILENT_FACT) or (Interval.from_number(1),)


def observed(name: str, value: Value, on: PartialDate | None, place: int = 0) -> tuple[Observed, ...]:
    """Return a reading; for an answer with several parts, one for each."""
    parts: list[Any] = sorted(value) if isinstance(value, frozenset) else [value]
    return tuple(Observed(part, on, f"X/{name}-{place}-{number}", str(part)) for number, part in enumerate(parts))


@cache
def variants(name: str) -> tuple[Readings, ...]:
    """Return everything that a chart may have about a fact, as far as the service can distinguish it."""
    definition, possible = KNOWN.facts[name], values(name)
    if definition.kind == "code":
        possible = definition.options
    window = definition.window_days or 180
    found = [Readings(complete=True), Readings()]
    for place, value in enumerate(possible):
        today, other = observed(name, value, days_ago(0)), possible[place - 1]
        found.append(Readings(today, complete=True))
        found.append(Readings(observed(name, value, days_ago(window)), complete=True))
        found.append(Readings((*today, *observed(name, other, days_ago(40), 1)), complete=True))
        found.append(Readings((*observed(name, value, days_ago(40)), *observed(name, other, days_ago(95), 1)), complete=True))
        if definition.kind == "person":
            continue
        found.append(Readings(observed(name, value, days_ago(window + 1)), complete=True))
        found.append(Readings(observed(name, value, None), complete=place % 2 == 0))
        found.append(Readings((*today, *observed(name, other, days_ago(0), 1)), complete=True))
        bad = Unreadable(days_ago(20), f"X/{name}-bad", UNIT)
        found.append(Readings(observed(name, value, days_ago(place % 2 * 40)), (bad,), complete=True))
        if isinstance(value, Interval) and value.exact is not None and value.exact > 0:
            vague = tuple(Interval.from_comparator(sign, value.exact) for sign in ("<", ">="))
            found += [Readings(observed(name, amount, days_ago(0)), complete=True) for amount in vague]
    if definition.kind != "person":
        found.append(Readings((), (Unreadable(days_ago(5), f"X/{name}-bad", UNIT),), complete=True))
    if definition.source != "Observation" or definition.id in {"portal_vein", "extrahepatic_disease"}:
        asks = Observed(True, days_ago(30), f"X/{name}-asks", "", Explanation(Reason.EXTENT_NOT_STATED))
        found.append(Readings(complete=True, open_question=(asks,)))
    return tuple(found)


ASSESSED = {"hepatic_failure", "renal_failure", "coagulopathy_uncorrectable"}
"""Facts that a colleague may have denied; without a denial the laboratory decides."""


def base(situation: str, assessed: bool) -> ClinicalPicture:
    given = {**FIT, **SITUATIONS[situation]} if SITUATIONS[situation] else {}
    given = {name: value for name, value in given.items() if assessed or name not in ASSESSED}
    return picture(KNOWN, given, TODAY, () if given or assessed else "rest")


BASES = tuple(base(situation, assessed) for situation in SITUATIONS for assessed in (True, False))
JUDGED = {leaf for modality in KNOWN.modalities for criterion in criteria_of(modality, KNOWN)
          for name in criterion.facts for leaf in recorded_inputs(KNOWN, name)}  # fmt: skip
REDRAWN = st.tuples(st.sampled_from([*NAMES, *sorted(JUDGED) * 3]), st.integers(0, 99))
"""Facts behind verdicts are redrawn more often than facts that are only shown on cards."""


def _made(base: int, redrawn: list[tuple[str, int]]) -> ClinicalPicture:
    changed = {name: variants(name)[place % len(variants(name))] for name, place in redrawn}
    return ClinicalPicture({**BASES[base].readings, **changed})


def pictures(most: int = 60) -> st.SearchStrategy[ClinicalPicture]:
    """Draw pictures with at most so many facts redrawn: few stay near the situations, many go anywhere."""
    few, many = st.lists(REDRAWN, max_size=min(most, 8)), st.lists(REDRAWN, max_size=most)
    return st.builds(_made, st.integers(0, len(BASES) - 1), few | many)


def with_fact(whole: ClinicalPicture, name: str, readings: Readings) -> ClinicalPicture:
    return replace(whole, readings={**whole.readings, name: readings})
