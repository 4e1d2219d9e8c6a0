"""The treatments that a card names: modalities, or parts of them with a line of their own (docs/cards.md, "Structure")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cds_service.cards.faces import statements_on_face
from cds_service.cards.regimens import current_regimens
from cds_service.cards.technique_findings import TechniqueFindings, judge_technique, order_for
from cds_service.clinical_picture import Observed
from cds_service.knowledge.modality import RANK, Modality, Technique, Verdict
from cds_service.knowledge.shown import Face, ShownStatement, StanceWord, TreatmentLine
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding, IndicationFinding, OpenPart, all_of, judge_criterion
from cds_service.reasoning.stances import Stance, stance_of_2010

SURGERY = frozenset({"resection", "debulking", "transplantation"})
"""Modalities that share a card. All others are on the second card of treatments."""
NO_RANK = 99


@dataclass(frozen=True)
class Treatment:
    """A treatment with a line of the overview and a block of a card."""

    assessment: Assessment
    line: TreatmentLine | None
    """None for the modality itself."""
    verdict: Verdict
    met: tuple[IndicationFinding, ...]
    """Those of its indications that are met."""
    unmet: tuple[IndicationFinding, ...]
    """Those of its indications that are not met or unknown."""
    options: tuple[TechniqueFindings, ...]
    """The techniques that a card names."""
    stances: Stance
    """The stance of the review of 2010."""
    shown: tuple[ShownStatement, ...]
    """The statements that may be shown, risks last."""
    given: str = ""
    """The drug of the line if it is given today, else empty."""
    beside: Treatment | None = None
    """The same drug as a line of another modality; both share this line."""

    @property
    def modality(self) -> Modality:
        return self.assessment.modality

    @property
    def id(self) -> str:
        return self.line.id if self.line else self.modality.id

    @property
    def title(self) -> str:
        """The name at the start of a line."""
        return (self._drug[:1].upper() + self._drug[1:] or self.line.title) if self.line else self.modality.face_title

    @property
    def _drug(self) -> str:
        """The drug after which the line is named, else empty. A line that is named after what it treats has `does`."""
        return self.given if self.line and not self.line.does else ""

    @property
    def name(self) -> str:
        """The name within a sentence."""
        return (self._drug or self.line.name) if self.line else self.modality.face_name

    @property
    def change(self) -> str:
        """What would change the verdict."""
        return self.line.change if self.line else self.modality.change

    @property
    def not_read(self) -> tuple[str, ...]:
        """What matters for it although no fact of the service covers it."""
        return self.line.not_read if self.line else self.modality.not_read

    @property
    def is_option(self) -> bool:
        return self.verdict in {Verdict.RECOMMENDED, Verdict.CONSIDER}

    @property
    def is_nearly_option(self) -> bool:
        """Whether it is indicated and only safety checks are open."""
        return self.verdict is Verdict.UNDETERMINED and self.assessment.decision.open is OpenPart.SAFETY and not self.line

    @property
    def on_face(self) -> bool:
        """Whether it is shown with its safety findings."""
        return self.is_option or self.is_nearly_option

    @property
    def surgical(self) -> bool:
        return self.modality.id in SURGERY

    @property
    def stops(self) -> tuple[Finding, ...]:
        """The findings that stop the technique, if the treatment is a line."""
        return tuple(finding for option in self.options for finding in option.stops) if self.line else ()

    @property
    def is_lowered(self) -> bool:
        """Whether a gate or a caution lowers it from recommended to "consider"."""
        met = [found.indication.strength for found in self.met]
        return self.verdict is Verdict.CONSIDER and Verdict.RECOMMENDED in met

    def faces(self, face: Face) -> tuple[ShownStatement, ...]:
        """Return its shown statements of one kind: for, dissent or risk."""
        return tuple(part for part in self.shown if part.face is face)

    @property
    def rank(self) -> int:
        """The smallest `rank` of its indications that are met and of its techniques."""
        ranks = [found.indication.rank for found in self.met]
        ranks += [option.technique.rank for option in self.options if option.technique.rank]
        ranks += [self.beside.rank] if self.beside else []
        return min(ranks, default=NO_RANK)


def list_treatments(evaluation: Evaluation) -> list[Treatment]:
    """Return every treatment in the order of the overview: by verdict, then by rank. A lowered treatment comes
    after its equals."""
    found = [treatment for assessment in evaluation.assessments.values() for treatment in _of_modality(evaluation, assessment)]
    return sorted(_with_one_line_for_each_drug(found), key=_place)


def _place(treatment: Treatment) -> tuple[int, int, bool]:
    return -RANK[treatment.verdict], 0 if treatment.is_nearly_option else treatment.rank, treatment.is_lowered


def _of_modality(evaluation: Evaluation, assessment: Assessment) -> Iterator[Treatment]:
    """Yield the modality, the parts with a line of their own, or both."""
    lines = _lines(evaluation, assessment.modality)
    if assessment.verdict not in {Verdict.RECOMMENDED, Verdict.CONSIDER} or not lines:
        yield _whole(evaluation, assessment, assessment.decision.indications)
        return
    of_lines = frozenset[str]().union(*(line.indications for line in lines))
    parts = [_part(evaluation, assessment, line) for line in lines]
    others = [found for found in assessment.decision.indications if found.indication.id not in of_lines]
    any_part = any(part.is_option for part in parts)
    if any(found.met and not (found.indication.local and any_part) for found in others):
        yield _whole(evaluation, assessment, others)
    yield from parts


def _lines(evaluation: Evaluation, modality: Modality) -> list[TreatmentLine]:
    """Return the lines that apply to this patient. Of several lines with one id, the first counts."""
    found: dict[str, TreatmentLine] = {}
    for line in modality.lines:
        if all(judge_criterion(evaluation.knowledge.criteria[key], evaluation.facts).met for key in line.when):
            found.setdefault(line.id, line)
    return list(found.values())


def _whole(evaluation: Evaluation, assessment: Assessment, by: Sequence[IndicationFinding]) -> Treatment:
    """Return the modality as a treatment, with the techniques that have no line of their own."""
    named = {line.id for line in assessment.modality.lines}
    ways = [technique for technique in assessment.modality.techniques if technique.own_line not in named]
    return _treatment(evaluation, assessment, None, assessment.verdict, by, ways)


def _part(evaluation: Evaluation, assessment: Assessment, line: TreatmentLine) -> Treatment:
    by = [found for found in assessment.decision.indications if found.indication.id in line.indications]
    ways = [technique for technique in assessment.modality.techniques if technique.own_line == line.id]
    answers = [found.met for found in by]
    if not by:  # judged by the conditions of its drugs
        answers = [all_of(_answer(judge_criterion(c, evaluation.facts)) for c in technique.when) for technique in ways]
    verdict = Verdict.CONSIDER if True in answers else Verdict.UNDETERMINED if None in answers else Verdict.NOT_INDICATED
    found = _treatment(evaluation, assessment, line, verdict, by, ways)
    if found.is_option and found.stops and line.id == "prrt":
        return _treatment(evaluation, assessment, line, Verdict.CONTRAINDICATED, by, ways)
    return found


def _answer(finding: Finding) -> bool | None:
    """Return whether it is met; None if it counts as not met only because nothing is known."""
    return finding.met if finding.met or finding.checked else None


def _treatment(
    evaluation: Evaluation,
    assessment: Assessment,
    line: TreatmentLine | None,
    verdict: Verdict,
    by: Sequence[IndicationFinding],
    ways: Sequence[Technique],
) -> Treatment:
    met = tuple(found for found in by if found.met)
    options = tuple(_named_options(evaluation, assessment, ways, by if line else assessment.decision.indications))
    named = [option.technique.id for option in options if option.technique.id]
    given = line is not None and bool(line.drug) and evaluation.facts[line.drug].equals(True)
    shown = statements_on_face(assessment.modality, evaluation.facts, [found.indication.id for found in met], named, given)
    judged = {found.indication.id for found in by}
    own = tuple(
        part
        for part in shown
        if (part.technique and part.technique in named)
        or (not part.technique and (not part.indications or judged & {*part.indications}))
    )
    stance = stance_of_2010(assessment.modality.id, evaluation.facts)
    current = current_regimens(evaluation.facts[line.drug]) if line is not None and line.drug else ()
    drug = current[0].regimen.drug if current and current[0].regimen else ""
    return Treatment(assessment, line, verdict, met, tuple(f for f in by if f.met is not True), options, stance, own, drug)


def _named_options(
    evaluation: Evaluation, assessment: Assessment, ways: Iterable[Technique], by: Sequence[IndicationFinding]
) -> Iterator[TechniqueFindings]:
    """Yield the techniques whose conditions are met. A technique with `only_for` is left out if it is not ordered and none of
    these indications is met or unknown."""
    possible = {found.indication.id for found in by if found.met is not False}
    for technique in ways:
        ordered = order_for(technique, evaluation.picture.orders) is not None
        if technique.only_for and not ordered and not technique.only_for & possible:
            continue
        if (option := judge_technique(evaluation.facts, technique, evaluation.picture.orders)) is not None:
            yield option


def _with_one_line_for_each_drug(found: list[Treatment]) -> list[Treatment]:
    """Return the treatments. If both hormonal suppression and systemic therapy have a line for a drug, keep only the line of
    hormonal suppression (the syndrome), if that is an option; the other line is merged into it as `beside`."""
    syndrome = next(
        (t for t in found if t.line and t.modality.id == "hormonal-suppression" and t.is_option and t.line.drug), None
    )
    growth = next((t for t in found if t.line and t.modality.id == "systemic-therapy" and t.line.drug), None)
    if syndrome is None or growth is None:
        return found
    together = Treatment(
        syndrome.assessment, syndrome.line, syndrome.verdict, syndrome.met, syndrome.unmet, syndrome.options, syndrome.stances,
        syndrome.shown, syndrome.given, growth if growth.is_option else None,
    )  # fmt: skip
    return [together if t is syndrome else t for t in found if t is not growth]


def since_stance(evaluation: Evaluation, treatment: Treatment) -> StanceWord:
    """Return the stance of later evidence (the update). It is "for" if an indication of the update is met, or a statement of
    the update for the treatment is shown. It is "against" if a shown dissent of the update is tied to indications that are not
    met. Otherwise it is "silent". Other dissents change no stance."""
    knowledge = evaluation.knowledge
    parts = [*treatment.shown, *(treatment.beside.shown if treatment.beside else ())]
    later = [part for part in parts if knowledge.statements[part.statement].edition is Edition.UPDATE]
    if any(part.face is Face.FOR for part in later):
        return StanceWord.FOR
    if any(found.indication.edition is Edition.UPDATE for found in treatment.met):
        return StanceWord.FOR
    denied = {found.indication.id for found in treatment.unmet if found.met is False}
    if any(part.face is Face.DISSENT and denied.issuperset(part.unless) and part.unless for part in later):
        return StanceWord.AGAINST
    return StanceWord.SILENT


def is_current(evaluation: Evaluation, treatment: Treatment) -> bool:
    """Return whether the drug of a line is given today, and not only on record."""
    return (
        treatment.line is not None
        and bool(treatment.line.drug)
        and bool(current_regimens(evaluation.facts[treatment.line.drug]))
    )


def given_drug(evaluation: Evaluation, treatment: Treatment) -> Observed | None:
    """Return the newest reading that the drug of a line was given, or None."""
    if treatment.line is None or not treatment.line.drug:
        return None
    fact = evaluation.facts[treatment.line.drug]
    return fact.seen[0] if fact.equals(True) and fact.seen else None


def drug_fails(evaluation: Evaluation, treatment: Treatment) -> bool:
    """Return whether a drug that is given fails: the tumour grows, or the symptoms of the syndrome are not controlled."""
    facts = evaluation.facts
    if treatment.modality.id == "systemic-therapy":
        return is_outgrown(evaluation, treatment)
    if not is_current(evaluation, treatment):
        return False
    return facts["hormonal_symptoms_controlled"].equals(False) or facts["hormonal_symptoms_extreme"].equals(True)


def is_outgrown(evaluation: Evaluation, treatment: Treatment) -> bool:
    """Return whether the tumour progresses on a drug that is given against its growth."""
    against_growth = treatment.modality.id == "systemic-therapy" and is_current(evaluation, treatment)
    return against_growth and evaluation.facts["disease_status"].equals("progression")


def own_caution_ids(treatment: Treatment) -> frozenset[str]:
    """Return the ids of the cautions that the block of a treatment shows."""
    return frozenset(finding.criterion.id for finding in cautions_of(treatment))


def cautions_of(treatment: Treatment) -> list[Finding]:
    """Return the cautions of a treatment and its techniques, and those of the other modality if they share a drug."""
    parts = [treatment, *([treatment.beside] if treatment.beside else [])]
    burdens = [finding for part in parts for option in part.options for finding in option.cautions]
    return [*(finding for part in parts for finding in part.assessment.cautions), *burdens]
