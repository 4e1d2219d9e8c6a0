"""The overview: the answer, the reasons, then the patient (docs/cards.md, "Structure")."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.cards import wording
from cds_service.cards.blocks import BULLET, MAX_NAMED, best_words, verdict_words
from cds_service.cards.claims import OPEN_STANCE, stance_condition, stance_word
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.fact_words import criterion_sources, fact_name, finding_phrase, foot, say_finding, shorten_list
from cds_service.cards.missing_data import asked_of_board, says_almost_nothing
from cds_service.cards.orders import ordered_options, stopped_orders_line
from cds_service.cards.patient import patient_lines
from cds_service.cards.reasons_against import reasons_not_indicated
from cds_service.cards.reasons_for import telling_facts
from cds_service.cards.summaries import Contraindicated, Outlook, say_outlook
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.treatments import Treatment, given_drug, is_outgrown, since_stance
from cds_service.cards.unchecked import open_facts, split_unrecorded, unchecked_of
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.shown import Face, StanceWord
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding, judge_criterion
from cds_service.reasons import Reason

MAX_LINES_TO_DISCUSS, MAX_TELLING = 6, 3
OVERVIEW_LIMITS = Limits(chars=1400, lines=16)
HEADING = "To discuss"
KEY = "(by verdict; 2010 = Reddy & Clary; since = later)"
SHORT_KEY = "(2010 = Reddy & Clary; since = later)"


def overview_draft(
    evaluation: Evaluation,
    treatments: Sequence[Treatment],
    questions: Sequence[Paragraph],
    safety_card: bool,
    own_card: Sequence[str],
) -> Draft:
    """Return the draft of the overview. `questions`: missing facts and data quality without a card of their own; `own_card`:
    modalities with a contraindication card."""
    shown = [treatment for treatment in treatments if treatment.on_face]
    in_cautions = {
        seen.fact for finding in procedure_cautions(evaluation, treatments) for fact in finding.facts for seen in fact.seen
    }
    first = _to_discuss(evaluation, shown) if shown else [_why_nothing(evaluation, treatments)]
    rest = [
        _open(evaluation, treatments),
        stopped_orders_line(evaluation, treatments),
        _closed(evaluation, treatments, own_card),
        _before_any_procedure(evaluation, treatments, safety_card),
        Paragraph(tuple(patient_lines(evaluation, in_cautions))),
        _unrecorded(evaluation, shown),
    ]
    parts = [*first, *rest, *questions, Paragraph((Line((Phrase(foot(evaluation.knowledge)),)),))]
    return Draft(
        overview_summary(evaluation, treatments, safety_card), [part for part in parts if part is not None], OVERVIEW_LIMITS
    )


def _to_discuss(evaluation: Evaluation, shown: Sequence[Treatment]) -> list[Paragraph]:
    lines: list[Line] = []
    before: tuple[str, ...] = ()
    for treatment in shown[:MAX_LINES_TO_DISCUSS]:
        missing = tuple(open_facts(evaluation, treatment)) if treatment.is_nearly_option else ()
        lines.append(_treatment_line(evaluation, treatment, same=bool(missing) and missing == before))
        before = missing
    if more := shown[MAX_LINES_TO_DISCUSS:]:
        stances = [stances_phrase(evaluation, treatment) for treatment in more]
        said = [
            Phrase(f"**{treatment.title}**, {verdict_words(evaluation, treatment)}, {stance.brief or stance.text}")
            for treatment, stance in zip(more, stances, strict=True)
        ]
        lines.append(Line(tuple(said), "Also:", BULLET, listed=True, keep_whole=True))
    return [Paragraph((Line((Phrase(KEY, cut=Cut.WORDING, brief=SHORT_KEY),), HEADING),)), Paragraph(tuple(lines))]


def _treatment_line(evaluation: Evaluation, treatment: Treatment, same: bool) -> Line:
    """Return the line of a treatment. `same`: the previous line misses the same facts."""
    said = verdict_words(evaluation, treatment)
    if treatment.is_nearly_option:
        names, unusable = split_unrecorded(evaluation, open_facts(evaluation, treatment))
        missing = [*unusable, *names] or ["what could stop it"]
        long, short = ("the same" if same else shorten_list(missing, most) for most in (MAX_NAMED, 2))
        return Line(
            (
                Phrase(", ".join(["open", *([best] if (best := best_words(treatment)) else [])])),
                Phrase(f"Indication met; missing: {long}", cut=Cut.DETAIL, brief=f"Missing: {short}"),
                stances_phrase(evaluation, treatment),
            ),
            f"{treatment.title}:", BULLET,
        )  # fmt: skip
    facts = telling_facts(evaluation, treatment)[:MAX_TELLING] or [treatment.name]
    shortest = shorten_list(facts, 1) if treatment.line and not treatment.met else facts[0]  # of several drugs none is left out
    whole, first = (f"{text[:1].upper()}{text[1:]}" for text in (", ".join(facts), shortest))
    deciding = Phrase(whole, cut=Cut.WORDING, brief="" if given_drug(evaluation, treatment) else first)
    return Line((Phrase(said), deciding, stances_phrase(evaluation, treatment)), f"{treatment.title}:", BULLET)


def stances_phrase(evaluation: Evaluation, treatment: Treatment) -> Phrase:
    """Return, for example, "2010 for, since for, one later source against". An open stance comes with its condition if there is
    room."""
    word, later = stance_word(treatment), _later_stances(evaluation, treatment)
    brief = ", ".join([f"2010 {word}", *later])
    if word != OPEN_STANCE:
        return Phrase(brief)
    return Phrase(", ".join([f"2010 open ({stance_condition(treatment)})", *later]), cut=Cut.DETAIL, brief=brief)


def _later_stances(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    since = since_stance(evaluation, treatment)
    said = [f"since {since.value}"] if since is not StanceWord.SILENT and not is_outgrown(evaluation, treatment) else []
    dissents = [part for part in treatment.faces(Face.DISSENT)
                if evaluation.knowledge.statements[part.statement].edition is Edition.UPDATE and not part.unless]  # fmt: skip
    if dissents:
        said.append("one later source against" if len(dissents) == 1 else f"{len(dissents)} later against")
    return said


def _why_nothing(evaluation: Evaluation, treatments: Sequence[Treatment]) -> Paragraph:
    """Return what to find out first, or why there is no treatment to discuss."""
    if any(treatment.verdict is Verdict.UNDETERMINED for treatment in treatments):
        return _paragraph("First step:", first_question(evaluation))
    return _paragraph("Why nothing:", "no criterion of these rules is met, or each is contraindicated; discuss individually")


def _paragraph(lead: str, text: str) -> Paragraph:
    return Paragraph((Line((Phrase(text),), lead),))


def first_question(evaluation: Evaluation, treatments: Sequence[Treatment] = ()) -> str:
    """Return what to find out first: after transplantation, the transplant team; else what a treatment that is nearly an option
    misses; else the first question of the board; else what another undetermined treatment misses."""
    if judge_criterion(evaluation.knowledge.criteria["gate.transplanted-liver"], evaluation.facts).met:
        return "ask the transplant team"
    undetermined = [treatment for treatment in treatments if treatment.verdict is Verdict.UNDETERMINED]
    nearly = [name for treatment in undetermined if treatment.is_nearly_option for name in open_facts(evaluation, treatment)]
    others = [name for treatment in undetermined for name in open_facts(evaluation, treatment)]
    first, *_ = [*_asked(evaluation, nearly), *asked_of_board(evaluation), *_asked(evaluation, others), "grade?"]
    return first


def _asked(evaluation: Evaluation, names: Sequence[str]) -> list[str]:
    return [f"{fact_name(evaluation.knowledge, name)}?" for name in names]


def _open(evaluation: Evaluation, treatments: Sequence[Treatment]) -> Paragraph | None:
    """Return one line of the treatments whose indication is open, with the facts that would decide, grouped by reason."""
    phrases: list[Phrase] = []
    by_reason: dict[str, list[str]] = {}
    for treatment in treatments:
        if treatment.verdict is not Verdict.UNDETERMINED or treatment.is_nearly_option:
            continue
        held = [finding for finding in treatment.assessment.decision.findings if finding.met]
        if held:  # a transplanted liver
            by_reason.setdefault(say_finding(evaluation.knowledge, held[0]), []).append(treatment.name)
            continue
        if says_almost_nothing(evaluation) and not any(other.on_face for other in treatments):  # its questions cover this
            continue
        names = [fact_name(evaluation.knowledge, name) for name in open_facts(evaluation, treatment)]
        asked = f"{shorten_list(list(dict.fromkeys(names)), 2)}?" if names else "its indication?"
        stops = [f"stopped by {say_finding(evaluation.knowledge, finding)}" for finding in treatment.stops]
        brief = f"{treatment.name} ({'; '.join(stops)})" if stops else treatment.name
        phrases.append(Phrase(f"{treatment.name} ({'; '.join([asked, *stops])})", cut=Cut.DETAIL, brief=brief))
    phrases += [Phrase(f"{', '.join(names)} ({reason})") for reason, names in by_reason.items()]
    return Paragraph((Line(tuple(phrases), "Open:", listed=True, keep_whole=True),)) if phrases else None


def _closed(evaluation: Evaluation, treatments: Sequence[Treatment], own_card: Sequence[str]) -> Paragraph | None:
    """Return the treatments that are contraindicated or not indicated, grouped by reason."""
    knowledge = evaluation.knowledge
    own = [
        Phrase(
            f"{t.name} ({say_finding(knowledge, t.assessment.contraindications[0])}; own card)",
            cut=Cut.DETAIL,
            brief=f"{t.name} (own card)",
        )
        for t in treatments
        if _has_own_card(t, own_card)
    ]
    by_reason: dict[str, tuple[Finding, list[str]]] = {}
    for treatment in treatments:
        if treatment.verdict is Verdict.CONTRAINDICATED and not _has_own_card(treatment, own_card):
            for finding in treatment.stops if treatment.line else treatment.assessment.contraindications:
                by_reason.setdefault(finding.criterion.id, (finding, []))[1].append(treatment.name)
    stopped = [*own]
    for finding, names in by_reason.values():
        said = f"{', '.join(names)}: {say_finding(knowledge, finding)}"
        stopped.append(Phrase(said, criterion_sources(knowledge, finding.criterion)))
    lines = []
    if stopped:
        lines.append(Line(tuple(stopped), "Contraindicated:", listed=True, keep_whole=True))
    lines += _not_indicated(evaluation, treatments)
    return Paragraph(tuple(lines)) if lines else None


def _has_own_card(treatment: Treatment, own_card: Sequence[str]) -> bool:
    return treatment.verdict is Verdict.CONTRAINDICATED and treatment.line is None and treatment.modality.id in own_card


def _not_indicated(evaluation: Evaluation, treatments: Sequence[Treatment]) -> list[Line]:
    """Return the treatments that are not indicated, grouped by reason. If space runs out, only the first reason is shown."""
    found = [treatment for treatment in treatments if treatment.verdict is Verdict.NOT_INDICATED]
    groups: dict[str, dict[str, list[Treatment]]] = {}
    """The first reason → all reasons → the treatments."""
    for treatment in found:
        reason = reasons_not_indicated(evaluation, treatment)
        if reason or treatment.line is None:  # drugs without any reason were no option in the first place
            first = reasons_not_indicated(evaluation, treatment, 1)
            groups.setdefault(first, {}).setdefault(reason, []).append(treatment)
    phrases: list[Phrase] = []
    for first, by_reason in groups.items():
        together = [treatment for named in by_reason.values() for treatment in named]
        brief = _names_with_reason(together, first)
        for reason, named in by_reason.items():
            last = Cut.DETAIL if not brief or all(treatment.line for treatment in together) else Cut.KEPT
            phrases.append(Phrase(_names_with_reason(named, reason), cut=Cut.DETAIL, brief=brief, last=last))
            brief = ""
    return [Line(tuple(phrases), "Not indicated:", listed=True, keep_whole=True)] if phrases else []


def _names_with_reason(treatments: Sequence[Treatment], reason: str) -> str:
    names = ", ".join(treatment.name for treatment in treatments)
    return f"{names} ({reason})" if reason else names


def procedure_cautions(evaluation: Evaluation, treatments: Sequence[Treatment]) -> list[Finding]:
    """Return the cautions for any procedure, of the treatments that are shown or ordered, each once."""
    found: dict[str, Finding] = {}
    for treatment in treatments:
        if not treatment.on_face and treatment.modality.id not in evaluation.picture.orders:
            continue
        burdens = treatment.assessment.cautions
        for finding in (*burdens, *(f for option in treatment.options for f in option.cautions)):
            if finding.criterion.before_procedure:
                found.setdefault(finding.criterion.id, finding)
                if finding.criterion.key.startswith("caution."):  # it says more than the caution of one technique
                    found[finding.criterion.id] = finding
    return list(found.values())


def _before_any_procedure(evaluation: Evaluation, treatments: Sequence[Treatment], safety_card: bool) -> Paragraph | None:
    found = procedure_cautions(evaluation, treatments)
    if not found:
        return None
    prrt = [option for treatment in treatments if treatment.on_face and treatment.id == "prrt" for option in treatment.options]
    of_prrt = {finding.criterion.id for option in prrt for finding in option.cautions}
    lead = "Before any procedure or PRRT:" if any(f.criterion.id in of_prrt for f in found) else "Before any procedure:"
    if safety_card:
        named = wording.join_words(dict.fromkeys(finding.criterion.before_procedure for finding in found))
        return _paragraph(lead, f"{named}: see the safety card")
    phrases = [finding_phrase(evaluation.knowledge, finding) for finding in found]
    return Paragraph((Line(tuple(phrases), lead),))


def _unrecorded(evaluation: Evaluation, shown: Sequence[Treatment]) -> Paragraph | None:
    """Return all unknown facts of the shown treatments by name. They are listed only here, and never counted instead of
    named."""
    of_orders = [finding for option in ordered_options(evaluation) for finding in option.not_checked]
    silent, unusable = split_unrecorded(evaluation, unchecked_of(evaluation, shown, of_orders))
    not_read = list(dict.fromkeys(what for treatment in shown for what in treatment.not_read))
    named = (
        ("Not recorded, bears on the above:", silent),
        ("Out of date or unreadable:", unusable),
        ("Not read here:", not_read),
    )
    lines = [Line(tuple(map(Phrase, names)), lead, listed=True, keep_whole=True, joins=True) for lead, names in named if names]
    return Paragraph(tuple(lines)) if lines else None


def overview_summary(evaluation: Evaluation, treatments: Sequence[Treatment], safety_card: bool) -> str:
    """Return the summary of the overview."""
    stopped = [t for t in treatments if t.verdict is Verdict.CONTRAINDICATED]
    if any(treatment.on_face for treatment in treatments):  # transplantation is not mentioned unless it is ordered
        stopped = [t for t in stopped if t.modality.id != "transplantation" or t.modality.id in evaluation.picture.orders]
    outlook = Outlook(
        _names_to_discuss(evaluation, treatments, safety_card),
        [t.name for t in treatments if t.is_nearly_option],
        [t.name for t in treatments if t.verdict is Verdict.UNDETERMINED and not t.is_nearly_option],
        [
            Contraindicated(t.name, say_finding(evaluation.knowledge, (t.stops or t.assessment.contraindications)[0]))
            for t in stopped
        ],
        first_question(evaluation, treatments) if any(t.verdict is Verdict.UNDETERMINED for t in treatments) else "",
        [*(["cardiology first"] if safety_card else [f"{name} first" for name in _first_steps(evaluation, treatments)])],
    )
    return say_outlook(disease_names(evaluation), outlook)


def _first_steps(evaluation: Evaluation, treatments: Sequence[Treatment]) -> list[str]:
    """Return what comes before any procedure: all of it in one text, then the first part alone."""
    names = list(dict.fromkeys(f.criterion.before_procedure for f in procedure_cautions(evaluation, treatments)))
    return list(dict.fromkeys([wording.join_words(names), *names[:1]])) if names else []


def _names_to_discuss(evaluation: Evaluation, treatments: Sequence[Treatment], safety_card: bool) -> list[str]:
    """Return the treatments to discuss. A drug that is given already, and a plan that the summary puts first, are named only if
    there is nothing else."""
    options = [treatment for treatment in treatments if treatment.is_option]
    first = () if safety_card else procedure_cautions(evaluation, treatments)
    said = "hormone-treatment" if any(finding.criterion.id == "glucose-plan" for finding in first) else ""
    new = [t for t in options if t.line is None or not (given_drug(evaluation, t) or t.line.id == said)]
    return [treatment.name for treatment in (new or options)]


def disease_names(evaluation: Evaluation) -> list[str]:
    """Return texts for the disease, the fullest first."""
    words, facts = evaluation.knowledge.words, evaluation.facts
    grade = facts["grade"]
    kind, syndrome = "Neuroendocrine liver metastases", facts["hormonal_syndrome"]
    if facts["nec"].equals(True):
        kind = "Neuroendocrine carcinoma"
    elif grade.known and isinstance(grade.value, str):
        named = "NET"
        if syndrome.known and syndrome.value in TUMOURS_BY_SYNDROME:
            named = evaluation.knowledge.facts["hormonal_syndrome"].words[str(syndrome.value)]
        kind = f"{named[:1].upper()}{named[1:]} {words.get(grade.value, grade.value)}"
    extent = {"liver-only": "liver only", "widespread": "widespread"}.get(str(facts["extent"].value), "")
    outside = facts["extrahepatic_disease"]
    if extent != "widespread" and outside.known and not outside.equals("none"):  # overrides an older assessment of the extent
        extent = wording.explain(Reason.LIVER_AND_ELSEWHERE)
    again = "recurrent after resection" if facts["recurrence"].equals(True) else ""
    hormonal = evaluation.stage["hormonal"].value
    symptoms = evaluation.knowledge.words[hormonal] if hormonal in {"extreme", "refractory"} else ""
    group = evaluation.stage["treatment_group"].value
    state = words[group] if group not in {"undetermined", "nec", extent} else ""
    more = [part for part in (again, extent, state, symptoms) if part]
    return [*dict.fromkeys(", ".join([kind, *more[:count]]) for count in range(len(more), -1, -1)), "NLM"]


TUMOURS_BY_SYNDROME = frozenset({"insulinoma", "gastrinoma", "glucagonoma", "vipoma"})
