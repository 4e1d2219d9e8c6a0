"""What a card names as a treatment: a modality, or a part of it that has a line of its own (CARDS, techniques and order)."""

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
"""The reader's first question; all else is the second."""
NO_RANK = 99


@dataclass(frozen=True)
class Treatment:
    """A line of the overview and a block of a card."""

    assessment: Assessment
    line: TreatmentLine | None
    """None: the modality itself."""
    verdict: Verdict
    met: tuple[IndicationFinding, ...]
    """The indications that are met, of those it is judged by."""
    unmet: tuple[IndicationFinding, ...]
    options: tuple[TechniqueFindings, ...]
    """Ways of doing it that a card names."""
    stances: Stance
    """Of the review of 2010."""
    shown: tuple[ShownStatement, ...]
    """Its statements that stand on a face, dissents and risks in their order, then those for it."""
    given: str = ""
    """The drug of a line, where it is given today."""
    beside: Treatment | None = None
    """The same drug by another modality: it has one line."""

    @property
    def modality(self) -> Modality:
        return self.assessment.modality

    @property
    def id(self) -> str:
        return self.line.id if self.line else self.modality.id

    @property
    def title(self) -> str:
        return (self._drug[:1].upper() + self._drug[1:] or self.line.title) if self.line else self.modality.face_title

    @property
    def _drug(self) -> str:
        """A line that is not called by what it treats is called by its drug."""
        return self.given if self.line and not self.line.does else ""

    @property
    def name(self) -> str:
        return (self._drug or self.line.name) if self.line else self.modality.face_name

    @property
    def change(self) -> str:
        return self.line.change if self.line else self.modality.change

    @property
    def not_read(self) -> tuple[str, ...]:
        return self.line.not_read if self.line else self.modality.not_read

    @property
    def is_option(self) -> bool:
        return self.verdict in {Verdict.RECOMMENDED, Verdict.CONSIDER}

    @property
    def is_nearly_option(self) -> bool:
        """Indicated, and only safety checks are open."""
        return self.verdict is Verdict.UNDETERMINED and self.assessment.decision.open is OpenPart.SAFETY and not self.line

    @property
    def on_face(self) -> bool:
        """Whether what bears on its safety stands on a face."""
        return self.is_option or self.is_nearly_option

    @property
    def surgical(self) -> bool:
        return self.modality.id in SURGERY

    @property
    def stops(self) -> tuple[Finding, ...]:
        """What stops the technique whose line it is."""
        return tuple(finding for option in self.options for finding in option.stops) if self.line else ()

    @property
    def is_lowered(self) -> bool:
        """Whether it is only to be considered because a gate or a caution holds it back."""
        met = [found.indication.strength for found in self.met]
        return self.verdict is Verdict.CONSIDER and Verdict.RECOMMENDED in met

    def faces(self, face: Face) -> tuple[ShownStatement, ...]:
        return tuple(part for part in self.shown if part.face is face)

    @property
    def rank(self) -> int:
        """That of its strongest met indication, as the knowledge orders them."""
        ranks = [found.indication.rank for found in self.met]
        ranks += [option.technique.rank for option in self.options if option.technique.rank]
        ranks += [self.beside.rank] if self.beside else []
        return min(ranks, default=NO_RANK)


def list_treatments(evaluation: Evaluation) -> list[Treatment]:
    """Every treatment of a patient, the first line of an overview first: by verdict, then by the rank of its indication; what
    a gate holds back comes after its equals."""
    found = [treatment for assessment in evaluation.assessments.values() for treatment in _of_modality(evaluation, assessment)]
    return sorted(_with_one_line_for_each_drug(found), key=_place)


def _place(treatment: Treatment) -> tuple[int, int, bool]:
    return -RANK[treatment.verdict], 0 if treatment.is_nearly_option else treatment.rank, treatment.is_lowered


def _of_modality(evaluation: Evaluation, assessment: Assessment) -> Iterator[Treatment]:
    """The modality, the parts with a line of their own, or both."""
    lines = _lines(evaluation, assessment.modality)
    if assessment.verdict not in {Verdict.RECOMMENDED, Verdict.CONSIDER} or not lines:
        yield _whole(evaluation, assessment, assessment.decision.indications)
        return
    told = frozenset[str]().union(*(line.indications for line in lines))
    parts = [_part(evaluation, assessment, line) for line in lines]
    others = [found for found in assessment.decision.indications if found.indication.id not in told]
    any_part = any(part.is_option for part in parts)
    if any(found.met and not (found.indication.local and any_part) for found in others):
        yield _whole(evaluation, assessment, others)
    yield from parts


def _lines(evaluation: Evaluation, modality: Modality) -> list[TreatmentLine]:
    """Of several with one id the first that fits this patient."""
    found: dict[str, TreatmentLine] = {}
    for line in modality.lines:
        if all(judge_criterion(evaluation.knowledge.criteria[key], evaluation.facts).met for key in line.when):
            found.setdefault(line.id, line)
    return list(found.values())


def _whole(evaluation: Evaluation, assessment: Assessment, by: Sequence[IndicationFinding]) -> Treatment:
    """The modality as a treatment, with the ways of doing it that have no line of their own."""
    named = {line.id for line in assessment.modality.lines}
    ways = [technique for technique in assessment.modality.techniques if technique.own_line not in named]
    return _treatment(evaluation, assessment, None, assessment.verdict, by, ways)


def _part(evaluation: Evaluation, assessment: Assessment, line: TreatmentLine) -> Treatment:
    by = [found for found in assessment.decision.indications if found.indication.id in line.indications]
    ways = [technique for technique in assessment.modality.techniques if technique.own_line == line.id]
    answers = [found.met for found in by]
    if not by:  # judged by what its drugs ask for
        answers = [all_of(_answer(judge_criterion(c, evaluation.facts)) for c in technique.when) for technique in ways]
    verdict = Verdict.CONSIDER if True in answers else Verdict.UNDETERMINED if None in answers else Verdict.NOT_INDICATED
    found = _treatment(evaluation, assessment, line, verdict, by, ways)
    if found.is_option and found.stops and line.id == "prrt":
        return _treatment(evaluation, assessment, line, Verdict.CONTRAINDICATED, by, ways)
    return found


def _answer(finding: Finding) -> bool | None:
    """Whether it is met; None where it counts as not met only because nothing is known."""
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
    """Those whose conditions are met and whose indication is not excluded, or that are ordered."""
    possible = {found.indication.id for found in by if found.met is not False}
    for technique in ways:
        ordered = order_for(technique, evaluation.picture.orders) is not None
        if technique.only_for and not ordered and not technique.only_for & possible:
            continue
        if (option := judge_technique(evaluation.facts, technique, evaluation.picture.orders)) is not None:
            yield option


def _with_one_line_for_each_drug(found: list[Treatment]) -> list[Treatment]:
    """A drug that two modalities name has one line, that of the syndrome."""
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
    """What came after the review says of a treatment, by the indications that it adds, by its statements for one that is met,
    and by its exclusions of them; dissenting evidence changes no stance."""
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
    """Whether the drug of a line is given today, and not only on record."""
    return (
        treatment.line is not None
        and bool(treatment.line.drug)
        and bool(current_regimens(evaluation.facts[treatment.line.drug]))
    )


def given_drug(evaluation: Evaluation, treatment: Treatment) -> Observed | None:
    """The newest reading that says that the drug of a line has been given."""
    if treatment.line is None or not treatment.line.drug:
        return None
    fact = evaluation.facts[treatment.line.drug]
    return fact.seen[0] if fact.equals(True) and fact.seen else None


def drug_fails(evaluation: Evaluation, treatment: Treatment) -> bool:
    """Whether a drug that is given does not do what it is given for: hold the growth, or the symptoms of a syndrome."""
    facts = evaluation.facts
    if treatment.modality.id == "systemic-therapy":
        return is_outgrown(evaluation, treatment)
    if not is_current(evaluation, treatment):
        return False
    return facts["hormonal_symptoms_controlled"].equals(False) or facts["hormonal_symptoms_extreme"].equals(True)


def is_outgrown(evaluation: Evaluation, treatment: Treatment) -> bool:
    """Whether the tumour progresses on a drug that is given against its growth."""
    against_growth = treatment.modality.id == "systemic-therapy" and is_current(evaluation, treatment)
    return against_growth and evaluation.facts["disease_status"].equals("progression")


def own_caution_ids(treatment: Treatment) -> frozenset[str]:
    """The cautions that the block of a treatment says."""
    return frozenset(finding.criterion.id for finding in cautions_of(treatment))


def cautions_of(treatment: Treatment) -> list[Finding]:
    """Of the treatment, of the ways of doing it, and of the other modality whose drug it shares."""
    parts = [treatment, *([treatment.beside] if treatment.beside else [])]
    burdens = [finding for part in parts for option in part.options for finding in option.cautions]
    return [*(finding for part in parts for finding in part.assessment.cautions), *burdens]
