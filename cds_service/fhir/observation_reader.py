"""Reads one Observation into readings of the facts that it and its components state. Values that cannot be read are kept as
unreadable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import date

from cds_service.clinical_picture import Observed, PartialDate, Unreadable
from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings, is_liver
from cds_service.fhir.dates import date_of_observation, is_future, latest_date_of_observation
from cds_service.fhir.fact_readings import FactReadings
from cds_service.fhir.references import resolve_reference
from cds_service.fhir.resources import CodeableConcept, Component, Observation, Reference, UnreadObservation
from cds_service.fhir.tumour_codes import site_is_open
from cds_service.fhir.units import UnitError
from cds_service.fhir.unread_codes import UnreadCodes
from cds_service.fhir.values import has_value, read_answer, upper_limits_of, value_of
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import StandardCoding, Use
from cds_service.reasons import Explanation, Reason, ValueNotReadable

MAX_FACTS_OF_A_CODE = 10
"""Maximum number of facts that the codings of one Observation or component may state. Its codings describe one thing in several
systems; with more facts the meaning is ambiguous, and each fact would have to parse the value."""


def result_name(where: str, reference: Reference, chart: Chart) -> str | None:
    """Return the name of a result that a report or panel refers to: "Observation/7", or "DiagnosticReport/1#a" if contained.
    None if the reference cannot be resolved."""
    text = reference.reference or ""
    if text.startswith("#"):
        return f"{where.split('#')[0]}{text}"
    return resolve_reference(reference, chart.names)


class ObservationReader:
    """Reads Observations with one `Knowledge`; built once. `concepts`: (source, concept) → the facts that it states. `codes`:
    every Observation code that is read, in any system."""

    def __init__(
        self, knowledge: Knowledge, concepts: Mapping[tuple[str, str], Sequence[FactDefinition]], codes: Set[str]
    ) -> None:
        self.knowledge = knowledge
        self._assessments = {code: d for d in knowledge.facts.values() for code in d.assessment}
        self._concepts = concepts
        self.unread = UnreadCodes(knowledge, codes, self._meant)
        self._limits = {d.upper_limit_of: d for d in knowledge.facts.values() if d.upper_limit_of}

    def read(self, where: str, observation: Observation, chart: Chart, today: date, found: Mapping[str, FactReadings]) -> None:
        """Add the readings of one Observation to `found` (fact id → readings)."""
        on = date_of_observation(observation)
        issued = latest_date_of_observation(observation) if on is None else None
        parts: list[Observation | Component] = [observation, *(observation.component or [])]
        meant_by = [self._definitions(part.code) for part in parts]
        answered = {definition.id for meant in meant_by[1:] for definition, _ in meant}
        asked: set[str] = set()
        liver = is_liver(self.knowledge, [observation.body_site])
        missed: list[Unreadable] | None = None
        for part, meant in zip(parts, meant_by, strict=True):
            for name, unread in self.unread.facts(part.code).items() if not meant else ():
                if name not in asked:  # once, even if several components are coded so
                    asked.add(name)
                    found[name].unreadable.append(Unreadable(on, where, Explanation(unread)))
            if len(meant) > MAX_FACTS_OF_A_CODE:
                for definition, _ in meant:
                    found[definition.id].unreadable.append(Unreadable(on, where, Explanation(Reason.LONGER_THAN_READ)))
                continue
            for definition, stated in meant:
                if part is observation and not has_value(part) and not isinstance(observation, UnreadObservation):
                    if definition.id in answered:
                        continue  # a panel whose components have the values
                    if observation.has_member and observation.data_absent_reason is None:
                        if missed is None:  # once for all facts, since a panel may have many facts and many members
                            missed = list(self._missed(where, on, observation, chart))
                        found[definition.id].unreadable += missed
                        continue  # a panel whose members are read by themselves
                if definition.id == "largest_lesion" and not (stated or liver):
                    unsited = observation.body_site is None
                    if has_value(part) and (unsited or self._site_is_unread(observation.body_site)):
                        why = Explanation(Reason.SITE_NOT_SENT if unsited else Reason.SITE_IN_WORDS)
                        found[definition.id].unreadable.append(Unreadable(on, where, why))
                    continue
                if isinstance(observation, UnreadObservation):
                    found[definition.id].unreadable.append(Unreadable(on, where, observation.why))
                else:
                    reading = self._part(where, part, definition, on, issued, today, liver, found[definition.id])
                    if reading is not None and (times := self._limits.get(definition.id)):
                        self._against_its_limit(part, reading, found[times.id])

    def _site_is_unread(self, site: CodeableConcept | None) -> bool:
        """Return True if a body site may be the liver: by its words, or because no code of it is of a system that is read."""
        terms = self.knowledge.terminology
        read = any(coding.code and coding.system in terms.uris for coding in codings(self.knowledge, site))
        return not read or site_is_open(site, self.knowledge)

    def _missed(self, where: str, on: PartialDate | None, observation: Observation, chart: Chart) -> Iterator[Unreadable]:
        members = [result_name(where, member, chart) for member in observation.has_member or ()]
        missed = [name for name in members if name is None or name not in chart.sources]
        if missed:
            yield Unreadable(on, where, Explanation(Reason.RESULTS_NOT_SENT, count=len(missed)))

    def _part(
        self, where: str, part: Observation | Component, definition: FactDefinition, on: PartialDate | None,
        issued: PartialDate | None, today: date, liver: bool, readings: FactReadings,
    ) -> Observed | None:  # fmt: skip
        """Add a valid or unreadable reading of one fact. Return the valid reading, or None."""
        try:
            if definition.id == "m_category" and has_value(part) and self._is_t_or_n(definition, part):
                return None
            if is_future(on, today):
                readings.unreadable.append(Unreadable(None, where, Explanation(Reason.DATED_IN_FUTURE)))
                return None
            value, text = value_of(self.knowledge, definition, part)
        except UnitError as error:
            readings.unreadable.append(Unreadable(on, where, error.why, error.unit))
        except ValueNotReadable as error:
            readings.unreadable.append(Unreadable(on, where, error.why))
        else:
            note = Explanation(Reason.LIVER_SPECIMEN) if liver and definition.id == "ki67_index" else None
            readings.valid.append(reading := Observed(value, on, where, text, note, issued=issued))
            return reading
        return None

    def _is_t_or_n(self, definition: FactDefinition, part: Observation | Component) -> bool:
        """Return True if a TNM category is none of M. An answer coded only in systems that are not read may be one of M."""
        if read_answer(self.knowledge, definition, part) is not None:
            return False
        answers = codings(self.knowledge, part.value_codeable_concept)
        return not answers or any(answer.system in self.knowledge.terminology.uris for answer in answers)

    def _against_its_limit(self, part: Observation | Component, reading: Observed, times: FactReadings) -> None:
        """Add the reading as a multiple of the upper limit sent with it. Without a usable limit add a question. If no reading
        of this fact has a usable limit, these questions are dropped later."""
        try:
            times.valid.append(replace(reading, value=upper_limits_of(self.knowledge, part), note=None))
        except ValueNotReadable as error:
            times.questions.append(Observed(True, reading.on, reading.seen_in, reading.recorded, error.why))

    def _definitions(self, concept: CodeableConcept | None) -> list[tuple[FactDefinition, bool]]:
        """Return the facts that a concept states, each with True if the code alone states it, or False if its body site is
        needed too."""
        return self._meant(codings(self.knowledge, concept))

    def _meant(self, sent: Iterable[StandardCoding]) -> list[tuple[FactDefinition, bool]]:
        matched: dict[str, tuple[FactDefinition, bool]] = {}
        for coding in sent:
            if coding.system == self.knowledge.assessment_system:
                if definition := self._assessments.get(coding.code):
                    matched[definition.id] = definition, True
                continue
            if name := self.knowledge.terminology.fact(coding):
                matched[name] = self.knowledge.facts[name], True
                continue
            for meaning in self.knowledge.terminology.meanings(coding):
                if meaning.use is Use.DECIDES and not meaning.concept.startswith("cond."):
                    for definition in self._concepts.get(("Observation", meaning.concept), []):
                        matched.setdefault(definition.id, (definition, False))
        return list(matched.values())
