"""Chart + knowledge → ClinicalPicture: every fact with all its readings (CLINICAL section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from cds_service.fhir.chart import Chart, date_of, is_history, is_unconfirmed
from cds_service.fhir.gate import (
    Neoplasms,
    codings,
    date_of_condition,
    is_liver,
    judge_gate,
    named,
    neoplasms,
    text_of,
)
from cds_service.fhir.medication import read_medication
from cds_service.fhir.person import orders, person
from cds_service.fhir.resources import CodeableConcept, Component, Condition, Observation
from cds_service.fhir.tumour_sizes import from_tumour_sizes
from cds_service.fhir.values import coded, has_value, largest_of_each_day, value_of
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import Coding
from cds_service.picture import ClinicalPicture, Observed, Readings, Unreadable, When

CLOCK_SKEW = timedelta(days=1)
"""A result from a time zone ahead of ours may bear tomorrow's date; anything later is a mistake."""
RECOGNISED = {"Procedure": {"snomed-ct", "icd-10-pcs"}, "Medication": {"rxnorm", "atc"}}
"""Systems whose silence about a procedure or drug can be trusted, because we hold its codes there."""


@dataclass
class _Found:
    valid: list[Observed] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    asking: list[Observed] = field(default_factory=list)


class Reader:
    """Reads charts with one body of knowledge; built once, used for every request."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._assessments = {code: d for d in knowledge.facts.values() for code in d.assessment}
        self._concepts: dict[tuple[str, str], list[FactDefinition]] = {}
        for definition in knowledge.facts.values():
            for concept in definition.concepts:
                self._concepts.setdefault((definition.source, concept), []).append(definition)

        terms = knowledge.terminology
        wanted = {c for d in knowledge.facts.values() if d.source == "Observation" for c in d.concepts} | {"obs.histology"}
        self._codes = frozenset(self._assessments) | {m.code for _, m in terms.all_rows() if m.concept in wanted}

    def _speaks(self, observation: Observation) -> bool:
        """Whether any code of it is one that we read: most of a long chart is passed over here, without a look inside."""
        for part in (observation, *(observation.component or ())):
            for coding in (part.code.coding or ()) if part.code else ():
                if (coding.code or "").strip() in self._codes:
                    return True
        return False

    def read(self, chart: Chart, today: date) -> ClinicalPicture:
        """Never raises on the content of a chart: what cannot be read is named in the picture."""
        found: dict[str, _Found] = {name: _Found() for name in self.knowledge.facts}
        chart.observations = [pair for pair in chart.observations if self._speaks(pair[1])]
        tumours = neoplasms(chart, self.knowledge)
        for name, reading in person(chart, today):
            found[name].valid.append(reading)
        self._tumour(tumours, found)
        for where, observation in chart.observations:
            self._observation(where, observation, today, found)
        from_tumour_sizes(chart, self.knowledge, found["lesion_count"].valid, found["lobes_involved"].valid,
                          found["caudate_lesion"].valid)  # fmt: skip
        for where, condition in chart.conditions:
            self._condition(where, condition, today, found)
        for where, procedure in chart.procedures:
            period = procedure.performed_period
            on = date_of(procedure.performed_date_time, period.end if period else None, period.start if period else None)
            self._presence("Procedure", where, procedure.code, on, found)
        for where, concept, on, active in read_medication(chart):
            self._presence("Medication", where, concept, on, found, active)
        for where, concept, on in [*chart.studies, *((w, x.code, date_of(x.performed_date_time)) for w, x in chart.procedures)]:
            if any(self.knowledge.terminology.value("cardiac_assessment", c) for c in codings(self.knowledge, concept)):
                done = Observed(True, on, where, text_of(concept), "echocardiography")
                found["cardiac_assessment"].valid.append(done)
        ordered, tests = orders(chart, self.knowledge)
        return ClinicalPicture(
            ordered=ordered,
            ordered_tests=tests,
            patient_id=chart.patient_id or "",
            sources=chart.sources,
            readings={name: self._readings(self.knowledge.facts[name], part, chart) for name, part in found.items()},
            gate=judge_gate(tumours, sum(name == "Condition" for name, _ in chart.unreadable), chart),
            unreadable=tuple(what for _, what in chart.unreadable),
            left_out=dict(chart.left_out),
            not_consulted=chart.not_consulted,
        )

    def _readings(self, definition: FactDefinition, part: _Found, chart: Chart) -> Readings:
        if definition.id == "largest_lesion":
            part.valid = largest_of_each_day(part.valid)
        return Readings(
            valid=tuple(part.valid),
            unreadable=tuple(part.unreadable),
            complete=self._sources(definition) <= chart.complete,
            open_question=(*part.asking, *self._unrecognised(definition, chart)),
        )

    def _sources(self, definition: FactDefinition) -> frozenset[str]:
        """Resource types that have to be asked completely before a fact's silence says anything."""
        if definition.kind == "person":
            return frozenset()
        if definition.kind == "presence":
            return frozenset({"MedicationRequest" if definition.source == "Medication" else definition.source})
        coded = {"hormonal_syndrome", "primary_site", "extrahepatic_disease", "differentiation"}
        conditions = definition.id in coded or any(concept.startswith("cond.") for concept in definition.concepts)
        return frozenset({"Observation", "Condition"} if conditions else {"Observation"})

    def _unrecognised(self, definition: FactDefinition, chart: Chart) -> Iterable[Observed]:
        if not definition.every_entry_recognised:
            return
        concepts: Iterable[CodeableConcept | None]
        if definition.source == "Procedure":
            concepts = (procedure.code for _, procedure in chart.procedures)
        else:
            concepts = (concept for _, concept, _, _ in read_medication(chart))
        count = sum(not self._recognised(definition.source, concept) for concept in concepts)
        if count:
            yield Observed(True, None, definition.source, "", f"{count} entries could not be read")

    def _recognised(self, source: str, concept: CodeableConcept | None) -> bool:
        """Whether a coding says which procedure or drug it is: an ATC group or an RxNorm code without a name does not."""
        for coding in codings(self.knowledge, concept):
            if self.knowledge.terminology.meanings(coding):
                return True
            vague = (coding.system == "atc" and len(coding.code) < 7) or (coding.system == "rxnorm" and not named(concept))
            if coding.system in RECOGNISED[source] and not vague:
                return True
        return False

    def _tumour(self, tumours: Neoplasms, found: dict[str, _Found]) -> None:
        """Primary site, syndrome and differentiation as the tumour's own codes tell them; first dates of both halves."""
        terms = self.knowledge.terminology
        for coding, where, on in tumours.nen_codings:
            text = coding.display or coding.code
            for fact in ("primary_site", "hormonal_syndrome"):
                if value := terms.value(fact, coding):
                    found[fact].valid.append(Observed(value, on, where, text, "coded", ageless=True))
            poor = any(
                m.use == "decides NEN and NEC" or m.use == "decides if primary is not lung" for m in terms.meanings(coding)
            )
            if poor:
                found["differentiation"].valid.append(Observed("poor", on, where, text, "coded"))
        new = [reading for reading in tumours.liver if reading.on and reading.seen_in.startswith("Condition/")]
        if tumours.liver_before and new:
            found["new_liver_metastasis"].valid.append(max(new, key=lambda r: r.on.latest if r.on else date.min))
        firsts = {
            "nen_diagnosis": tumours.nen,
            "primary_diagnosis": tumours.primary,
            "liver_metastases_diagnosis": tumours.liver,
        }
        for name, seen in firsts.items():
            dated = [reading for reading in seen if reading.on]
            if dated:
                found[name].valid.append(min(dated, key=lambda r: r.on.earliest if r.on else date.max))

    def _observation(self, where: str, observation: Observation, today: date, found: dict[str, _Found]) -> None:
        period = observation.effective_period
        on = date_of(
            observation.effective_date_time, observation.effective_instant,
            period.end if period else None, period.start if period else None,
        )  # fmt: skip
        parts: list[Observation | Component] = [observation, *(observation.component or [])]
        answered = {d.id for part in parts[1:] for d in self._definitions(part.code)}
        for part in parts:
            for definition in self._definitions(part.code):
                if part is observation and definition.id in answered and not has_value(part):
                    continue  # a panel: its components answer
                if definition.id == "largest_lesion" and not is_liver(self.knowledge, [observation.body_site]):
                    continue
                if definition.id == "m_category" and coded(self.knowledge, definition, part) is None:
                    continue  # a T or N category
                if on is not None and on.earliest > today + CLOCK_SKEW:
                    found[definition.id].unreadable.append(Unreadable(None, where, "dated in the future"))
                    continue
                try:
                    value, text = value_of(self.knowledge, definition, part)
                except ValueError as error:
                    found[definition.id].unreadable.append(Unreadable(on, where, str(error)))
                    continue
                liver = definition.id == "ki67_index" and is_liver(self.knowledge, [observation.body_site])
                found[definition.id].valid.append(Observed(value, on, where, text, "liver specimen" if liver else ""))

    def _definitions(self, concept: CodeableConcept | None) -> list[FactDefinition]:
        matched: dict[str, FactDefinition] = {}
        for coding in codings(self.knowledge, concept):
            if coding.system == self.knowledge.assessment_system:
                if definition := self._assessments.get(coding.code):
                    matched[definition.id] = definition
                continue
            for meaning in self.knowledge.terminology.meanings(coding):
                if meaning.use == "decides":
                    for definition in self._concepts.get(("Observation", meaning.concept), []):
                        if not meaning.concept.startswith("cond."):
                            matched[definition.id] = definition
        return list(matched.values())

    def _condition(self, where: str, condition: Condition, today: date, found: dict[str, _Found]) -> None:
        """What a diagnosis says beyond the gate. Only active, confirmed ones; an unconfirmed one asks."""
        on, stated = (
            None if when and when.earliest > today + CLOCK_SKEW else when  # a date to come is none
            for when in (date_of_condition(condition), date_of(condition.recorded_date) or date_of_condition(condition))
        )
        history, unconfirmed = is_history(condition), is_unconfirmed(condition)
        text = text_of(condition.code)
        self._presence("Condition", where, condition.code, on, found, asked=unconfirmed, history=history, stated=stated)
        if history:
            return
        terms = self.knowledge.terminology
        for coding in codings(self.knowledge, condition.code):
            if (syndrome := terms.value("hormonal_syndrome", coding)) and not unconfirmed:
                found["hormonal_syndrome"].valid.append(Observed(syndrome, stated, where, text, "coded", ageless=True))
            for meaning in terms.meanings(coding):
                reading = Observed(True, stated, where, text, "", ageless=True)
                if meaning.concept == "cond.ci.biliary_obstruction" and meaning.use == "decides":
                    (found["biliary_obstruction"].asking if unconfirmed else found["biliary_obstruction"].valid).append(reading)
                if meaning.concept == "cond.ci.portal_vein_thrombosis":
                    ask = Observed(True, stated, where, text, "thrombosis recorded: which trunk? collaterals?")
                    found["portal_vein"].asking.append(ask)
                if meaning.concept.startswith("cond.extrahepatic_mets") or meaning.use.startswith("decides NEN; liver or"):
                    self._outside(meaning.use, coding, condition, reading, unconfirmed, found["extrahepatic_disease"])

    def _outside(
        self, use: str, coding: Coding, condition: Condition, reading: Observed, unconfirmed: bool, found: _Found
    ) -> None:
        """Metastases beyond the liver, by code: present, or a question (nodes, site not named, unconfirmed)."""
        sites = condition.body_site or []
        if use.startswith("decides NEN; liver or") and (not sites or is_liver(self.knowledge, sites)):
            return
        question = ""
        if unconfirmed:
            question = "recorded as provisional: disease outside the liver?"
        elif use.startswith("nodal"):
            question = "nodal metastases: regional or distant?"
        elif use == "question: site?" and is_liver(self.knowledge, sites):
            return
        elif use.startswith(("question", "decides NEN; site")):
            question = "metastases of an unnamed site: outside the liver?"
        if question:
            found.asking.append(Observed(True, reading.on, reading.seen_in, reading.recorded, question))
        else:
            found.valid.append(Observed("present", reading.on, reading.seen_in, reading.recorded, "coded", ageless=True))

    def _presence(
        self,
        source: str,
        where: str,
        concept: CodeableConcept | None,
        on: When | None,
        found: dict[str, _Found],
        active: bool = True,
        *,
        asked: bool = False,
        history: bool = False,
        stated: When | None = None,
    ) -> None:
        text, matched = text_of(concept), False
        for coding in codings(self.knowledge, concept):
            for meaning in self.knowledge.terminology.meanings(coding):
                for definition in self._concepts.get((source, meaning.concept), []):
                    if definition.kind != "presence" or meaning.use not in definition.uses:
                        continue
                    matched = True
                    if (definition.active and not active) or (history and definition.id != "liver_transplant_status_coded"):
                        continue
                    when = on if definition.window_days else stated or on
                    reading = Observed(True, when, where, text, "recorded as provisional" if asked else "")
                    (found[definition.id].asking if asked else found[definition.id].valid).append(reading)
        if source == "Medication" and not matched:
            self._by_name(where, text, on, active, found)

    def _by_name(self, where: str, text: str, on: When | None, active: bool, found: dict[str, _Found]) -> None:
        """A drug whose code we do not hold, but whose name is in the text: it asks, it never decides."""
        said = text.lower()
        for (source, concept), definitions in self._concepts.items():
            brands = [brand for definition in definitions for brand in definition.names]
            if source == "Medication" and any(n in said for n in (concept.split(".")[1].replace("_", " "), *brands)):
                for definition in definitions:
                    if active or not definition.active:
                        found[definition.id].asking.append(Observed(True, on, where, text, "by name, not by code"))
