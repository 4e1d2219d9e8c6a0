"""Missing facts as questions, and data of the chart that could not be used (docs/knowledge.md, "Which cards")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from cds_service.cards import wording
from cds_service.cards.blocks import MAX_NAMED
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.fact_words import fact_name, say_day, say_fact, say_reading, shorten_list, statement_sources
from cds_service.cards.summaries import first_fitting
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.treatments import Treatment
from cds_service.clinical_picture import Observed, Unreadable
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.model import BoardQuestion
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.current_facts import denied_diagnoses, unusable_facts
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasons import DECIDED_CONFLICTS, NOT_SENT, STAGE_CONFLICTS, Reason

LIMITS = Limits(chars=700, lines=14)
MAX_QUESTIONS, MAX_DECIDED, MAX_UNUSABLE_CHARS = 5, 3, 180
SUPPLIER_WORDS = {
    Supplier.LABORATORY: "laboratory",
    Supplier.IMAGING: "imaging",
    Supplier.PATHOLOGY: "pathology",
    Supplier.BOARD: "clinic",
    Supplier.NEVER: "clinic",
}


def missing_facts(evaluation: Evaluation) -> list[str]:
    """Return the deciding facts: first those that decide most modalities, then in the order of the knowledge."""
    counts = Counter(name for assessment in evaluation.assessments.values() for name in assessment.missing)
    place = {name: number for number, name in enumerate(evaluation.knowledge.missing_order)}
    return sorted(counts, key=lambda name: (-counts[name], place.get(name, len(place)), name))


def missing_draft(evaluation: Evaluation, treatments: Sequence[Treatment]) -> Draft | None:
    """Return the draft of the card of missing facts, or None if no fact would decide."""
    if not (lines := list(_questions(evaluation))):
        return None
    names = [treatment.name for treatment in treatments if treatment.verdict is Verdict.UNDETERMINED]
    first = next(iter(asked_of_board(evaluation)))
    summary = first_fitting([*(f"{first} {_decides(names, shown)}" for shown in range(len(names), 0, -1)), f"Missing: {first}"])
    return Draft(summary, [*questions_paragraphs(evaluation, lines)], LIMITS)


def _decides(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown} more" if shown < len(names) else ""
    return f"What is missing decides {', '.join(names[:shown])}{more}"


def questions_paragraphs(evaluation: Evaluation, lines: Sequence[Line] | None = None) -> list[Paragraph]:
    """Return the deciding facts as numbered questions, after the values of the chart that could not be used."""
    lines = list(_questions(evaluation)) if lines is None else lines
    if not lines:
        return []
    found = [Paragraph((line,))] if (line := unusable_line(evaluation)) else []
    return [*found, Paragraph((Line((), "What would decide"),)), Paragraph(tuple(lines))]


def questions_in_a_line(evaluation: Evaluation) -> list[Paragraph]:
    """Return the questions in one line, for an overview with treatments to discuss."""
    asked = [f"{line.lead} {line.phrases[0].brief}" for line in _questions(evaluation) if line.bullet]
    if not asked:
        return []
    first = f"{asked[0]}; {len(asked) - 1} more" if len(asked) > 1 else asked[0]
    whole = Phrase("; ".join(asked), cut=Cut.DETAIL, brief=first)
    return (
        [Paragraph((Line((whole,), "What would decide:", listed=True),))]
        if len(whole.text) <= MAX_UNUSABLE_CHARS
        else [Paragraph((Line((Phrase(first),), "What would decide:", listed=True),))]
    )


def asked_of_board(evaluation: Evaluation) -> list[str]:
    """Return the texts of the questions, the most decisive first."""
    return [line.lead for line in _questions(evaluation)]


def _questions(evaluation: Evaluation) -> Iterator[Line]:
    """Yield a question for each missing fact, the most decisive first: the board question that contains the fact, else the name
    of the fact. If the chart answers no board question, all are asked, in the order of board.toml."""
    groups: dict[int | str, tuple[BoardQuestion | None, list[str]]] = {}
    asked = evaluation.knowledge.board_questions
    if says_almost_nothing(evaluation):
        groups = {place: (question, []) for place, question in enumerate(asked)}
    for name in missing_facts(evaluation):
        place = next((place for place, q in enumerate(asked) if name in q.facts or name in q.also), None)
        question = asked[place] if place is not None else None
        groups.setdefault(place if place is not None else name, (question, []))[1].append(name)
    shown = list(groups.values())[:MAX_QUESTIONS]
    for number, (question, names) in enumerate(shown, 1):
        yield _question(evaluation, number, question, names)
    rest = [fact_name(evaluation.knowledge, names[0]) for _, names in list(groups.values())[MAX_QUESTIONS:]]
    if rest:
        yield Line((Phrase(shorten_list(rest, MAX_NAMED)),), "Then:")


def says_almost_nothing(evaluation: Evaluation) -> bool:
    """Return whether the chart answers none of the board questions."""
    questions = evaluation.knowledge.board_questions
    return not any(evaluation.facts[name].known for question in questions for name in question.facts)


def _question(evaluation: Evaluation, number: int, question: BoardQuestion | None, names: Sequence[str]) -> Line:
    knowledge = evaluation.knowledge
    who = question.who if question else tuple(dict.fromkeys(SUPPLIER_WORDS[knowledge.facts[name].ask] for name in names))
    if question and (not names or not any(evaluation.facts[name].known for name in (*question.facts, *question.also))):
        lead, then = (
            question.short,
            Phrase(question.then, statement_sources(knowledge, *question.statements[:1])),
        )
    else:
        named = shorten_list(list(dict.fromkeys(fact_name(knowledge, name) for name in names)), MAX_DECIDED)
        lead = f"{named[:1].upper()}{named[1:]}?"
        decided = [a.modality.face_name for a in evaluation.assessments.values() if set(names) & set(a.missing)]
        rest = f" and {len(decided) - MAX_DECIDED} more" if len(decided) > MAX_DECIDED else ""
        then = Phrase(f"decides {', '.join(decided[:MAX_DECIDED])}{rest}")
    answers = f"({', '.join(who)})"
    return Line((Phrase(f"{answers} {then.text}", then.sources, Cut.DETAIL, answers),), lead, f"{number}. ")


def unusable_line(evaluation: Evaluation) -> Line | None:
    """Return the values of deciding facts that are out of date, conflicting or unreadable, with their days; None without
    any."""
    missing = set(missing_facts(evaluation))
    today = evaluation.facts.today
    phrases = []
    for definition, fact in unusable_facts(evaluation.facts):
        if definition.id in missing and fact.seen:
            values = wording.join_words(dict.fromkeys(say_reading(definition, seen, today) for seen in fact.seen[:2]))
            phrases.append(Phrase(f"{values}: {wording.safe_explanation(fact.why)}"))
    return Line(tuple(phrases), "In the chart, to be renewed:", listed=True) if phrases else None


MAX_UNREADABLE, MAX_LISTED_FACTS = 5, 6


def quality_phrases(evaluation: Evaluation, invalid: Sequence[Unreadable], questions_shown: bool = False) -> list[Phrase]:
    """Return the data that could not be used. Contradictions and unanswered queries come first, because they are shown only
    here. Then come values of deciding facts (unless `questions_shown`: the questions name them) and resources, which the
    extension lists with their references."""
    alone = [Phrase(text) for text in dict.fromkeys(_contradictions_and_gaps(evaluation))]
    return alone + [
        Phrase(text, cut=Cut.DETAIL) for text in dict.fromkeys(_unusable_words(evaluation, invalid, questions_shown))
    ]


def _contradictions_and_gaps(evaluation: Evaluation) -> Iterator[str]:
    knowledge, facts, today = evaluation.knowledge, evaluation.facts, evaluation.facts.today
    for name, fact in facts.recorded.items():
        if fact.known and fact.note_reason is Reason.CONFLICT_WORSE_COUNTS:
            yield f"{say_fact(knowledge, name, fact)}: {wording.safe_explanation(fact.note)}"
    yield from conflict_words(evaluation)
    for definition, fact, older in denied_diagnoses(facts):
        denied = f"{say_fact(knowledge, definition.id, fact)} ({say_day(fact.on, today)})"
        yield f"{denied}; an active diagnosis still says {_reading(definition.id, older, evaluation)}"
    if count := evaluation.picture.unread_drugs:
        entries = "1 drug entry" if count == 1 else f"{count} drug entries"
        yield f"{entries} could not be read: neither a known code nor the name of a drug; which drug it is, is unknown"
    yield from (f"not consulted: {wording.key_not_consulted(part)}" for part in evaluation.picture.not_consulted)
    yield from (unread_words(item, today) for item in evaluation.picture.unreadable if _is_death(item))


def _unusable_words(evaluation: Evaluation, invalid: Sequence[Unreadable], questions_shown: bool) -> Iterator[str]:
    knowledge, facts, today = evaluation.knowledge, evaluation.facts, evaluation.facts.today
    missing = set(missing_facts(evaluation))
    for definition, fact in unusable_facts(facts):
        if definition.id in missing and not fact.unread and not questions_shown:
            values = wording.join_words(dict.fromkeys(_reading(definition.id, seen, evaluation) for seen in fact.seen[:2]))
            yield f"{values or fact_name(knowledge, definition.id)}: {wording.safe_explanation(fact.why)}"
    yield from _unread(evaluation, missing)
    unreadable = [item for item in evaluation.picture.unreadable if not _is_death(item)]
    yield from (unread_words(item, today) for item in unreadable[:MAX_UNREADABLE])
    if len(unreadable) > MAX_UNREADABLE:
        yield f"{len(unreadable) - MAX_UNREADABLE} more could not be read"
    yield from (f"{_kind(item)} that decided is {wording.safe_explanation(item.why)}" for item in invalid)


def _is_death(item: Unreadable) -> bool:
    """Return whether it is the unreadable death of the patient, which is always named and never counted."""
    return item.why.reason is Reason.DEATH_NOT_READABLE


CONFLICTS = STAGE_CONFLICTS | DECIDED_CONFLICTS
"""Contradictions between combined answers: the grades disagree, or widespread disease with nothing outside the liver."""


def conflict_words(evaluation: Evaluation) -> list[str]:
    """Return the contradictions in the chart that affect the stage, each once."""
    found = [because for part in evaluation.stage.values() for because in part.because if because.reason in CONFLICTS]
    return list(dict.fromkeys(wording.safe_explanation(because) for because in found))


def _reading(name: str, seen: Observed, evaluation: Evaluation) -> str:
    return say_reading(evaluation.knowledge.facts[name], seen, evaluation.facts.today)


def _kind(item: Unreadable) -> str:
    """Return the type of a resource, without its id."""
    return wording.safe_text(item.seen_in.partition("/")[0])


def unread_words(item: Unreadable, today: date) -> str:
    """Return, for example, "Observation (2 Nov) could not be read: its date". A report without its results was read itself, so
    it is not called unreadable."""
    day = f" ({say_day(item.on, today)})" if item.on else ""
    unread = "" if item.why.reason in NOT_SENT else " could not be read"
    return f"{_kind(item)}{day}{unread}: {wording.safe_explanation(item.why)}"


def _unread(evaluation: Evaluation, missing: set[str]) -> list[str]:
    """Return the newest unreadable value of each fact, deciding facts first. A rejected unit is shown, so that it can be fixed
    at its source."""
    facts = [(name, fact) for name, fact in evaluation.facts.recorded.items() if fact.unread and not fact.known]
    facts.sort(key=lambda pair: pair[0] not in missing)
    lines = []
    for name, fact in facts[:MAX_LISTED_FACTS]:
        item = max(fact.unread, key=lambda unread: (unread.on.latest if unread.on else date.min, unread.seen_in))
        unit = f", sent in {wording.safe_text(item.unit)}" if item.unit else ""
        more = f"; {len(fact.unread) - 1} more" if len(fact.unread) > 1 else ""
        named, day = fact_name(evaluation.knowledge, name), say_day(item.on, evaluation.facts.today)
        lines.append(f"{named} ({day}) could not be read: {wording.safe_explanation(item.why)}{unit}{more}")
    if len(facts) > MAX_LISTED_FACTS:
        lines.append(f"{len(facts) - MAX_LISTED_FACTS} more facts with values that could not be read")
    return lines


def quality_draft(evaluation: Evaluation, invalid: Sequence[Unreadable], questions_shown: bool) -> Draft | None:
    """Return the draft of the data-quality card, or None if all data could be used. Arguments: see `quality_phrases`."""
    phrases = quality_phrases(evaluation, invalid, questions_shown)
    if not phrases:
        return None
    head = Line((), "Data that could not be used")
    lines = tuple(Line((Phrase(phrase.text),), "", "- ") for phrase in phrases[:10])
    more = (Line((Phrase(f"{len(phrases) - 10} more"),), "", "- "),) if len(phrases) > 10 else ()
    count = "one item" if len(phrases) == 1 else f"{len(phrases)} items"
    return Draft(
        f"Some data could not be used ({count}): out of date, conflicting or unreadable. Is it mended at its source?",
        [Paragraph((head,)), Paragraph((*lines, *more))],
        LIMITS,
    )


def quality_paragraph(evaluation: Evaluation, invalid: Sequence[Unreadable], questions_shown: bool) -> list[Paragraph]:
    """Return the data quality in one line for the overview. Items that do not fit are counted."""
    phrases = quality_phrases(evaluation, invalid, questions_shown)
    if not phrases:
        return []
    alone = [phrase for phrase in phrases if phrase.cut is Cut.KEPT]
    named = [phrase.text for phrase in phrases if phrase.cut is not Cut.KEPT]
    if named:
        count = "one item" if len(named) == 1 else f"{len(named)} items"
        shown = list(named)
        while len("; ".join(shown)) > MAX_UNUSABLE_CHARS and len(shown) > 1:
            shown.pop()
        more = f"; {len(named) - len(shown)} more" if len(shown) < len(named) else ""
        alone.append(Phrase("; ".join(shown) + more, cut=Cut.DETAIL, brief=f"{count}, named in the extension"))
    return [Paragraph((Line(tuple(alone), "Data that could not be used:", listed=True, keep_whole=True),))]


__all__ = [
    "missing_draft",
    "missing_facts",
    "quality_draft",
    "quality_paragraph",
    "questions_in_a_line",
    "questions_paragraphs",
]
