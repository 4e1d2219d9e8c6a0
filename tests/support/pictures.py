"""Build a ClinicalPicture from the facts of a vignette.

A value is written as a clinician would: "1.2 on 2026-10-01", "< 5 on 2026-10-01", true, "debulkable",
"unreadable on 2026-10-01", "asks: extent-not-stated" (a code that asks, for a reason of reasons.py), "active: true" (a coded
diagnosis that stands). Without a date it has the date of the vignette. Facts not given are silent; those listed under
`unknown` were not consulted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from cds_service.clinical_picture import ClinicalPicture, Interval, Observed, PartialDate, Readings, Unreadable, Value
from cds_service.fhir.dates import parse_date
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.reasoning.facts import Fact
from cds_service.reasons import Explanation, Reason

VALUE = re.compile(r"(?P<what>.+?)(?: on (?P<on>\d{4}(-\d{2}(-\d{2}(T\S+)?)?)?|no date)| (?P<ago>\d+) days ago)?")
DIAGNOSES = frozenset({"nen_diagnosis", "primary_diagnosis", "liver_metastases_diagnosis", "new_liver_metastasis"})
UNIT = Explanation(Reason.UNIT_NOT_ACCEPTED)
NUMBER = re.compile(r"(?P<comparator>[<>]=?)?\s*(?P<number>-?\d+(?:\.\d+)?)")


def picture(
    knowledge: Knowledge, given: Mapping[str, object], today: date, unknown: Iterable[str] | str = ()
) -> ClinicalPicture:
    missing = set(knowledge.facts) - set(given) if unknown == "rest" else set(unknown)
    readings = {name: Readings(complete=name not in missing) for name in knowledge.facts}
    for name, text in given.items():
        definition = knowledge.facts[name]
        texts = text if isinstance(text, list) else [text]
        valid, unreadable, asking = [], [], []
        for place, part in enumerate(texts):
            what, on = _parts(part, today)
            seen_in = f"Observation/{name.replace('_', '-')}-{place}"
            if what == "unreadable":
                unreadable.append(Unreadable(on, seen_in, UNIT))
            elif str(what).startswith("asks: "):
                asking.append(Observed(True, on, seen_in, "coded", Explanation(Reason(str(what).removeprefix("asks: ")))))
            else:
                told = what.removeprefix("active: ") if isinstance(what, str) else what
                valid.append(Observed(_value(definition, told), on, seen_in, str(told), ageless=told != what))
        readings[name] = Readings(tuple(valid), tuple(unreadable), name not in missing, tuple(asking))
    return ClinicalPicture(readings)


def outline(explanation: Explanation | None) -> object:
    """Return an explanation in a form that tests can compare: its reason, and what it names."""
    if explanation is None:
        return None
    named = {name: outline(part) if isinstance(part, Explanation) else part for name, part in explanation.details.items()}
    return explanation.reason, named


def with_reasons(fact: Fact) -> tuple[Fact, object, object]:
    """Return a fact in a form that tests can compare, as facts are equal regardless of their explanations."""
    return fact, outline(fact.why), outline(fact.note)


def _parts(part: object, today: date) -> tuple[object, PartialDate | None]:
    if not isinstance(part, str):
        return part, PartialDate.from_day(today)
    found = VALUE.fullmatch(part)
    assert found, part
    if found["on"] == "no date":
        return found["what"], None
    if found["ago"]:
        return found["what"], PartialDate.from_day(today - timedelta(days=int(found["ago"])))
    return found["what"], parse_date(found["on"]) if found["on"] else PartialDate.from_day(today)


def _value(definition: FactDefinition, what: object) -> Value:
    if isinstance(what, bool):
        return what
    text = str(what)
    if definition.kind in {"boolean", "presence"} or definition.id in DIAGNOSES:
        assert text in {"true", "false"}, f"{definition.id}: {text!r} is neither true nor false"
        return text == "true"
    if definition.kind in {"code", "codes"} or definition.id == "sex":
        assert definition.id == "sex" or text in definition.options, f"{definition.id}: {text!r} not in {definition.options}"
        return text
    found = NUMBER.fullmatch(text)
    assert found, f"{definition.id}: {text!r} is not a number"
    return Interval.from_comparator(found["comparator"], Decimal(found["number"]))
