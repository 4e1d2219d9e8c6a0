"""Judges whether a chart has neuroendocrine liver metastases: yes, possible, cannot tell or no. Resources that may be another
patient's can make the answer uncertain."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from cds_service.clinical_picture import Gate, Nlm
from cds_service.fhir.chart import Chart
from cds_service.fhir.gate import Neoplasms, neoplasms
from cds_service.fhir.resources import Condition, Observation, UnreadObservation, as_unread
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import WRITTEN_OTHERWISE, Explanation, Reason


def judge_gate(found: Neoplasms, unreadable_conditions: int, chart: Chart) -> Gate:
    """Return the gate for the neoplasms found, without regard to resources with an unclear patient."""
    if found.mixed and found.nen and (found.liver or found.both):
        return Gate(Nlm.POSSIBLE, Explanation(Reason.MIXED_TUMOUR), (*found.nen[:1], *found.liver[:1]))
    if found.both:
        return Gate(Nlm.YES, seen=(*found.both[:1], *found.nen[:1]))
    if found.nen and found.liver:
        if found.others:
            because = Explanation(Reason.OTHER_MALIGNANCY)
            return Gate(Nlm.POSSIBLE, because, (*found.nen[:1], *found.liver[:1], *found.others))
        if found.others_unread:
            because = Explanation(Reason.UNREAD_MALIGNANCY, unread=_counted(len(found.others_unread)))
            return Gate(Nlm.POSSIBLE, because, (*found.nen[:1], *found.liver[:1], *found.others_unread))
        return Gate(Nlm.YES, seen=(*found.nen[:1], *found.liver[:1]))
    any_nen, any_liver = [*found.nen, *found.nen_unconfirmed], [*found.liver, *found.liver_unconfirmed]
    if any_nen and any_liver:
        open_halves = [*([] if found.nen else any_nen), *([] if found.liver else any_liver)]
        unread = list(dict.fromkeys(reading for reading in open_halves if reading.reason is Reason.RESOURCE_UNREADABLE))
        because = Explanation(Reason.CONFIRM_PROVISIONAL)
        otherwise = [reading for reading in open_halves if reading.reason in WRITTEN_OTHERWISE and reading.note is not None]
        if otherwise and otherwise[0].note is not None:
            because = Explanation(Reason.CONFIRM_WRITTEN_OTHERWISE, because=otherwise[0].note)
        if unread:
            because = Explanation(Reason.CONFIRM_UNREADABLE, unread=_counted(len(unread)))
        return Gate(Nlm.POSSIBLE, because, tuple(dict.fromkeys((*any_nen[:1], *any_liver[:1], *unread, *otherwise))))
    if found.weak and any_liver and not found.others:
        return Gate(Nlm.POSSIBLE, Explanation(Reason.BENIGN_OR_FORMER_TUMOUR), (*found.weak[:1], *any_liver[:1]))
    if unreadable_conditions and (any_nen or any_liver or not chart.conditions):
        return Gate(Nlm.CANNOT_TELL, _counted(unreadable_conditions), (*any_nen, *any_liver))
    missed = [*(found.histologies_unread if any_liver else ()), *(found.lesions_unread if any_nen else ())]
    if missed:
        because = Explanation(Reason.DECIDING_RESULT_UNREADABLE)
        return Gate(Nlm.CANNOT_TELL, because, (*any_nen[:1], *any_liver[:1], *missed))
    if found.liver and _histology_open(found, chart):
        return Gate(Nlm.CANNOT_TELL, Explanation(Reason.HISTOLOGY_NOT_CONSULTED), tuple(found.liver[:1]))
    return Gate(Nlm.NO)


def judge_chart(chart: Chart, found: Neoplasms, unreadable_conditions: int, knowledge: Knowledge, today: date) -> Gate:
    """Return the gate of a chart. If resources with an unclear patient would change a "no", the answer is "cannot tell"; if
    they would change a "yes", it is "possible" or "cannot tell"."""
    gate = judge_gate(found, unreadable_conditions, chart)
    if gate.answer not in {Nlm.NO, Nlm.YES} or not chart.unclear:
        return gate
    conditions = [(part.reference, part.resource) for part in chart.unclear if isinstance(part.resource, Condition)]
    observations = [(part.reference, part.resource) for part in chart.unclear if isinstance(part.resource, Observation)]
    whole = replace(
        chart, conditions=(*chart.conditions, *conditions), observations=(*chart.observations, *observations), unclear=()
    )
    if_theirs = neoplasms(whole, knowledge, today)
    would = judge_gate(if_theirs, unreadable_conditions, whole)
    if would.answer is gate.answer:
        return gate
    doubts = {part.reference: part.why for part in chart.unclear}
    found_in = (if_theirs.nen, if_theirs.nen_unconfirmed, if_theirs.liver, if_theirs.liver_unconfirmed,
                if_theirs.histologies_unread, if_theirs.lesions_unread, if_theirs.weak, if_theirs.others,
                if_theirs.mixed_histologies)  # fmt: skip
    telling = [reading for readings in found_in for reading in readings if reading.seen_in in doubts]
    seen = [
        replace(reading, note=doubts.get(reading.seen_in, reading.note)) for reading in dict.fromkeys((*would.seen, *telling))
    ]
    because = next((reading.note for reading in seen if reading.seen_in in doubts), chart.unclear[0].why)
    assert because is not None
    answer = Nlm.POSSIBLE if would.answer is Nlm.POSSIBLE and gate.answer is Nlm.YES else Nlm.CANNOT_TELL
    return Gate(answer, Explanation(Reason.SUBJECT_OPEN, because=because), tuple(seen))


def _counted(unread: int) -> Explanation:
    if unread == 1:
        return Explanation(Reason.ONE_DIAGNOSIS_UNREADABLE)
    return Explanation(Reason.DIAGNOSES_UNREADABLE, count=unread)


def _histology_open(found: Neoplasms, chart: Chart) -> bool:
    """Return True if a neuroendocrine histology may be missing: the search for Observations failed, or there was none and no
    other malignancy explains the metastases."""
    return "Observation" in chart.availability.failed or ("Observation" not in chart.availability.complete and not found.others)


def with_unclear(chart: Chart) -> Chart:
    """Return the chart in which resources with an unclear patient raise questions only, since none of them is certainly the
    patient's."""
    if not chart.unclear:
        return chart
    observations = tuple(
        (part.reference, UnreadObservation(
            id=it.id, code=it.code, body_site=it.body_site, component=it.component, effective_date_time=it.effective_date_time,
            effective_instant=it.effective_instant, effective_period=it.effective_period, why=part.why,
        ))
        for part in chart.unclear if isinstance(it := part.resource, Observation)
    )  # fmt: skip
    conditions = tuple(
        (part.reference, as_unread(it, part.why)) for part in chart.unclear if isinstance(it := part.resource, Condition)
    )
    return replace(chart, observations=(*chart.observations, *observations), conditions=(*chart.conditions, *conditions))
