"""Reads a chart into a `ClinicalPicture`: every fact with all its readings (docs/knowledge.md, "Facts")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from cds_service.clinical_picture import ClinicalPicture, Deceased, Gate, Observed, PartialDate, Readings, Unreadable
from cds_service.fhir.body_sites import with_sites
from cds_service.fhir.certainty import with_certainty
from cds_service.fhir.chart import Chart, is_history, is_unconfirmed
from cds_service.fhir.concepts import codings, compute_once, is_liver, meanings, names_of, text_of
from cds_service.fhir.dates import date_of_procedure, first_date, is_future
from cds_service.fhir.demographics_and_orders import read_death, read_demographics, read_orders
from cds_service.fhir.drug_reading import DrugReader
from cds_service.fhir.fact_readings import FactReadings
from cds_service.fhir.gate import Neoplasms, date_of_condition, neoplasms, why_unread
from cds_service.fhir.judge import judge_chart, with_unclear
from cds_service.fhir.medication import read_medication
from cds_service.fhir.observation_reader import ObservationReader
from cds_service.fhir.other_systems import with_codes_of_other_systems
from cds_service.fhir.promised_results import results_not_sent
from cds_service.fhir.queries import observation_codes
from cds_service.fhir.resources import (
    CodeableConcept,
    Condition,
    Observation,
    Procedure,
    UnreadCondition,
)
from cds_service.fhir.tumour_sizes import add_from_tumour_sizes, sites_of_distant_metastases
from cds_service.fhir.values import largest_of_each_day
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import Use
from cds_service.knowledge.vocabulary import FactKind
from cds_service.reasons import Explanation, Reason

CODED, PROVISIONAL = Explanation(Reason.CODED), Explanation(Reason.RECORDED_AS_PROVISIONAL)
SYSTEMS_OF_PROCEDURES = frozenset({"snomed-ct", "icd-10-pcs"})
"""In these systems a named code that is not in the terminology is another procedure than those the facts ask for."""


class ChartReader:
    """Reads charts with one `Knowledge`. Built once and used for every request."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._concepts: dict[tuple[str, str], list[FactDefinition]] = {}
        for definition in knowledge.facts.values():
            for concept in definition.concepts:
                self._concepts.setdefault((definition.source, concept), []).append(definition)

        self._drugs = DrugReader(knowledge)
        self._codes = observation_codes(knowledge)
        self._observing = ObservationReader(knowledge, self._concepts, self._codes)

    def _speaks(self, observation: Observation) -> bool:
        """Return True if any code of the Observation is read, or names a fact in another system or in words. Most
        Observations of a long chart are skipped by this test."""
        parts = (observation, *(observation.component or ()))
        for part in parts:
            for coding in (part.code.coding or ()) if part.code else ():
                if (coding.code or "").strip() in self._codes:
                    return True
        return any(self._observing.unread.facts(part.code) for part in parts)

    def read(self, chart: Chart, today: date) -> ClinicalPicture:
        """Return the clinical picture of a chart on a day. Content that cannot be read is listed in the picture; none of it
        raises."""
        found: dict[str, FactReadings] = {name: FactReadings() for name in self.knowledge.facts}
        chart = self._prepared(chart, today)
        tumours = neoplasms(chart, self.knowledge, today)
        gate = self._judge(chart, tumours, today)
        chart = with_unclear(chart)
        for name, reading in read_demographics(chart, today):
            found[name].valid.append(reading)
        self._tumour(tumours, chart, found)
        for where, observation in chart.observations:
            self._observing.read(where, observation, chart, today, found)
        add_from_tumour_sizes(chart, self.knowledge, found["lesion_count"].valid, found["lobes_involved"].valid,
                          found["caudate_lesion"].valid)  # fmt: skip
        for where, condition in chart.conditions:
            self._condition(where, condition, today, found)
        for site in sites_of_distant_metastases(chart, self.knowledge):
            found["extrahepatic_disease"].questions.append(site)
        for where, procedure in chart.procedures:
            on, period = date_of_procedure(procedure), procedure.performed_period
            begun = not is_future(on, today)
            goes_on = begun and procedure.status == "in-progress" and not (period and period.end)
            until = PartialDate.from_day(today) if goes_on else None  # ongoing dialysis is as recent as today
            self._presence("Procedure", where, procedure.code, on if begun else None, found, until=until)
        unread_drugs = self._drugs.read(tuple(read_medication(chart)), today, found)
        self._doubted_procedures(chart, today, found)
        for where, concept, on in [
            *chart.studies,
            *((w, x.code, first_date(x.performed_date_time)) for w, x in chart.procedures),
        ]:
            if any(self.knowledge.terminology.value("cardiac_assessment", c) for c in codings(self.knowledge, concept)):
                when, note = None if is_future(on, today) else on, Explanation(Reason.ECHOCARDIOGRAPHY)
                found["cardiac_assessment"].valid.append(Observed(True, when, where, text_of(concept), note))
        orders, death = read_orders(chart, self.knowledge), read_death(chart, today)
        died = death if isinstance(death, Deceased) else None
        unread = (death,) if isinstance(death, Unreadable) else ()
        return ClinicalPicture(
            orders=orders.treatments,
            ordered_tests=orders.tests,
            patient_id=chart.patient_id or "",
            sources=chart.sources,
            readings={name: self._readings(self.knowledge.facts[name], part, chart) for name, part in found.items()},
            gate=gate,
            unread_drugs=unread_drugs,
            unreadable=(
                *unread,
                *(broken.what for broken in (*chart.unreadable, *chart.doubted)),
                *chart.invalid_dates.values(),
                *results_not_sent(chart),
            ),
            left_out=dict(chart.left_out),
            not_consulted=chart.availability.not_consulted,
            deceased=died,
        )

    def read_gate(self, chart: Chart, today: date) -> Gate:
        """Return only whether the chart shows the disease."""
        chart = self._prepared(chart, today)
        return self._judge(chart, neoplasms(chart, self.knowledge, today), today)

    def _judge(self, chart: Chart, tumours: Neoplasms, today: date) -> Gate:
        unreadable = sum(broken.resource_type == "Condition" for broken in chart.unreadable)
        return judge_chart(chart, tumours, unreadable, self.knowledge, today)

    def _prepared(self, chart: Chart, today: date) -> Chart:
        """Return the chart with the certainty of each diagnosis applied, and only the Observations that are read, each with its
        body site."""
        chart = with_certainty(chart, self.knowledge)
        chart = replace(
            chart,
            observations=tuple(pair for pair in chart.observations if self._speaks(pair[1])),
            unclear=tuple(p for p in chart.unclear if isinstance(p.resource, Condition) or self._speaks(p.resource)),
        )
        chart = replace(chart, conditions=with_codes_of_other_systems(chart, self.knowledge))
        return with_sites(chart, self.knowledge, today)

    def _readings(self, definition: FactDefinition, part: FactReadings, chart: Chart) -> Readings:
        if definition.id == "largest_lesion":
            part.valid = largest_of_each_day(part.valid)
        if definition.upper_limit_of and not part.valid:
            part.questions.clear()  # no value was sent with a limit: do not judge, and do not ask
        return Readings(
            valid=tuple(part.valid),
            unreadable=tuple(part.unreadable),
            complete=self._sources(definition) <= chart.absence_is_evidence,
            open_question=(*_at_issue(part), *self._unread_procedures(definition, chart)),
        )

    def _sources(self, definition: FactDefinition) -> frozenset[str]:
        """Return the resource types that must be complete before the fact's absence is evidence."""
        if definition.kind is FactKind.PERSON:
            return frozenset()
        if definition.kind is FactKind.PRESENCE:
            return frozenset({"MedicationRequest" if definition.source == "Medication" else definition.source})
        coded = {"hormonal_syndrome", "primary_site", "extrahepatic_disease", "differentiation"}
        conditions = definition.id in coded or any(concept.startswith("cond.") for concept in definition.concepts)
        return frozenset({"Observation", "Condition"} if conditions else {"Observation"})

    def _unread_procedures(self, definition: FactDefinition, chart: Chart) -> Iterable[Observed]:
        """Yield a question if unidentifiable procedures might be the treatment that the fact asks for."""
        if definition.every_entry_read:
            count = sum(not self._is_read(procedure.code) for _, procedure in chart.procedures)
            if count:
                yield Observed(True, None, definition.source, "", Explanation(Reason.ENTRIES_UNREADABLE, count=count))

    def _is_read(self, procedure: CodeableConcept | None) -> bool:
        """Return True if the concept identifies the procedure, by a known code or by a name."""
        if procedure is None:
            return False
        return compute_once(self.knowledge, procedure, "which procedure", lambda: self._says_which(procedure))

    def _says_which(self, procedure: CodeableConcept) -> bool:
        sent = codings(self.knowledge, procedure)
        if any(self.knowledge.terminology.meanings(coding) for coding in sent):
            return True
        names = names_of(procedure, sent)
        if any(coding.system in SYSTEMS_OF_PROCEDURES and coding.code for coding in sent):
            return any(letter.isalpha() for name in names for letter in name)
        return bool(names) and all(self.knowledge.drugs.names_another_procedure(name) for name in names)

    def _tumour(self, tumours: Neoplasms, chart: Chart, found: dict[str, FactReadings]) -> None:
        """Add primary site, syndrome and differentiation from the tumour's own codes, and the first dates of the tumour and its
        liver metastases."""
        terms = self.knowledge.terminology
        # without contained results, whose reference is like "Condition/nen#x"
        conditions = {where for where, _ in chart.conditions}
        for coding, where, on in tumours.nen_codings:
            text = coding.display or coding.code
            for fact in ("primary_site", "hormonal_syndrome"):
                if value := terms.value(fact, coding):
                    found[fact].valid.append(Observed(value, on, where, text, CODED, ageless=True))
            if any(m.use.poorly_differentiated for m in terms.meanings(coding)):
                active = where in conditions
                found["differentiation"].valid.append(Observed("poor", on, where, text, CODED, ageless=active))
        new = [reading for reading in tumours.liver if reading.on and reading.seen_in in conditions]
        if tumours.liver_before and new:
            found["new_liver_metastasis"].valid.append(max(new, key=lambda r: r.on.latest if r.on else date.min))
        # an undated diagnosis may be the first
        found["nen_diagnosis"].valid += [reading for reading in tumours.nen if reading.on is None][:1]
        firsts = {
            "nen_diagnosis": tumours.nen,
            "primary_diagnosis": tumours.primary,
            "liver_metastases_diagnosis": tumours.liver,
        }
        for name, seen in firsts.items():
            dated = [reading for reading in seen if reading.on]
            found[name].unreadable += (
                chart.invalid_dates[part.seen_in] for part in seen if part.seen_in in chart.invalid_dates
            )
            if dated:
                found[name].valid.append(min(dated, key=lambda r: r.on.earliest if r.on else date.max))

    def _condition(self, where: str, condition: Condition, today: date, found: dict[str, FactReadings]) -> None:
        """Add what a diagnosis states beside the gate. An active, confirmed diagnosis gives values; an unconfirmed one makes
        facts unknown."""
        on, stated = (
            None if is_future(when, today) else when
            for when in (date_of_condition(condition), first_date(condition.recorded_date) or date_of_condition(condition))
        )
        history, unconfirmed = is_history(condition, today), is_unconfirmed(condition)
        text = text_of(condition.code)
        doubt = why_unread(condition) or (PROVISIONAL if unconfirmed else None)
        self._presence("Condition", where, condition.code, on, found, doubt=doubt, history=history, stated=stated)
        if history:
            return
        terms = self.knowledge.terminology
        # if both liver and bone are named, bone counts
        in_liver = all(is_liver(self.knowledge, [site]) for site in condition.body_site or [])
        for coding in codings(self.knowledge, condition.code):
            if syndrome := terms.value("hormonal_syndrome", coding):
                if isinstance(condition, UnreadCondition):
                    found["hormonal_syndrome"].questions.append(Observed(syndrome, stated, where, text, doubt))
                elif not unconfirmed:
                    found["hormonal_syndrome"].valid.append(Observed(syndrome, stated, where, text, CODED, ageless=True))
            for meaning in terms.meanings(coding):
                reading = Observed(True, stated, where, text, doubt, ageless=True)
                if meaning.concept == "cond.ci.biliary_obstruction" and meaning.use is Use.DECIDES:
                    (found["biliary_obstruction"].questions if unconfirmed else found["biliary_obstruction"].valid).append(
                        reading
                    )
                if meaning.concept == "cond.ci.portal_vein_thrombosis" and meaning.use is not Use.CONTEXT:
                    ask = Observed(True, stated, where, text, Explanation(Reason.EXTENT_NOT_STATED))
                    found["portal_vein"].questions.append(ask)
                anywhere = meaning.use is Use.DECIDES_NEN_SITE_FROM_BODY_SITE
                if meaning.concept.startswith("cond.extrahepatic_mets") or anywhere:
                    self._outside(meaning.use, bool(condition.body_site), in_liver, reading, found["extrahepatic_disease"])

    def _outside(self, use: Use, sited: bool, in_liver: bool, reading: Observed, readings: FactReadings) -> None:
        """Add extrahepatic disease from a metastasis code: "present", or a question if the code is nodal, has no site or is in
        doubt. `sited`: body sites are named. `in_liver`: all of them are in the liver."""
        if not (use.decides or use.asks or use is Use.NODAL):
            return  # context codes never decide
        if use is Use.DECIDES_NEN_SITE_FROM_BODY_SITE and in_liver:
            return
        question: Explanation | None = None
        if reading.note:
            question = Explanation(Reason.METASTASES_IN_DOUBT, doubt=reading.note)
        elif use is Use.NODAL:
            question = Explanation(Reason.NODES_REGIONAL_OR_DISTANT)
        elif use is Use.QUESTION_SITE and sited and in_liver:
            return
        elif use.asks or use is Use.DECIDES_NEN_SITE_UNKNOWN:
            question = Explanation(Reason.METASTATIC_SITE_NOT_NAMED)
        if question:
            readings.questions.append(Observed(True, reading.on, reading.seen_in, reading.recorded, question))
        else:
            readings.valid.append(Observed("present", reading.on, reading.seen_in, reading.recorded, CODED, ageless=True))

    def _doubted_procedures(self, chart: Chart, today: date, found: dict[str, FactReadings]) -> None:
        """Add a question, whether it was done, for each untrusted procedure."""
        for where, resource, why in chart.untrusted:
            if isinstance(resource, Procedure):
                on = date_of_procedure(resource)
                self._presence("Procedure", where, resource.code, None if is_future(on, today) else on, found, doubt=why)

    def _presence(
        self,
        source: str,
        where: str,
        concept: CodeableConcept | None,
        on: PartialDate | None,
        found: dict[str, FactReadings],
        *,
        doubt: Explanation | None = None,
        history: bool = False,
        stated: PartialDate | None = None,
        until: PartialDate | None = None,
    ) -> None:
        text = text_of(concept)
        for definition in self._facts_stated(source, concept):
            if history and definition.id != "liver_transplant_status_coded":
                continue
            when = (until or on) if definition.window_days else stated or on
            reading = Observed(True, when, where, text, doubt)
            (found[definition.id].questions if doubt else found[definition.id].valid).append(reading)

    def _facts_stated(self, source: str, concept: CodeableConcept | None) -> tuple[FactDefinition, ...]:
        """Return the presence facts that the codes of a concept state, each once."""
        if concept is None or not concept.coding:
            return ()

        def work_out() -> tuple[FactDefinition, ...]:
            stated = {
                definition.id: definition
                for meaning in meanings(self.knowledge, concept)
                for definition in self._concepts.get((source, meaning.concept), [])
                if definition.kind is FactKind.PRESENCE and meaning.use in definition.uses
            }
            return tuple(stated.values())

        return compute_once(self.knowledge, concept, f"facts stated by {source}", work_out)


def _at_issue(part: FactReadings) -> list[Observed]:
    """Return the questions, without those whose only possible value is already stated by a valid reading."""
    said = {reading.value for reading in part.valid if isinstance(reading.value, str)}
    return [ask for ask in part.questions if ask.value not in said]
