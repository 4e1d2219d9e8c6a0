"""The chapters on evidence: conflicts, outcomes, doubtful sources, reviews, statements and publications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cds_service.knowledge.evidence import Conflict, Outcome
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.statement import Statement
from cds_service.knowledge.statement_uses import StatementUse, statement_uses
from cds_service.rulebook.blocks import Section, Text, table_block
from cds_service.rulebook.due import review_plan
from cds_service.rulebook.prose import chapter, text
from cds_service.rulebook.words import source_list


def conflicts_section(knowledge: Knowledge) -> Section:
    """Return the chapter on conflicts, between the editions and within the review."""
    return chapter("conflicts", sections=conflict_sections(knowledge, knowledge.statements))


def conflict_sections(knowledge: Knowledge, statements: Iterable[str]) -> tuple[Section, ...]:
    """Return the conflicts that concern the statements, those within the review last. A conflict between the editions concerns
    them if they are on both sides of it."""
    named = set(statements)
    numbered = [
        (number, conflict)
        for number, conflict in enumerate(knowledge.conflicts, 1)
        if named & set(conflict.review) and (named & set(conflict.later) or not conflict.later)
    ]
    beside = [_side_by_side(knowledge, number, c) for number, c in numbered if c.later]
    within = ((f"**{c.topic}**", _said(knowledge, c.review), c.service) for _, c in numbered if not c.later)
    columns = table_block("Topic|Statements, first the one that prevails|What the service does", within, (20, 55, 25))
    inside = (Section("conflicts-within", text("conflicts", "within"), columns),) if columns else ()
    return (*beside, *inside)


def _side_by_side(knowledge: Knowledge, number: int, conflict: Conflict) -> Section:
    row = (_said(knowledge, conflict.review), _said(knowledge, conflict.later))
    return Section(
        f"conflict-{number}",
        conflict.topic,
        (Text(f"**The service:** {conflict.service}"), *table_block("The review of 2010|Later", [row], (40, 60))),
    )


def _said(knowledge: Knowledge, names: Iterable[str]) -> str:
    """Return the statements, one a line, each with the doubts about it."""
    return "\n".join(f"**{source_list(knowledge, [name])}** {knowledge.statements[name].says}" for name in names)


def outcomes_section(knowledge: Knowledge) -> Section:
    """Return the chapter with Tables 1 to 3 of the review."""
    return chapter("outcomes", sections=outcome_sections(knowledge), series=len(knowledge.outcomes))


def outcome_sections(knowledge: Knowledge, modality: str = "") -> tuple[Section, ...]:
    """Return the tables of the review with all series, or only with those of one treatment."""
    by_table: dict[int, list[Outcome]] = {}
    for row in knowledge.outcomes:
        if not modality or modality in row.modalities:
            by_table.setdefault(row.table.number, []).append(row)
    return tuple(_outcome_table(knowledge, number, rows) for number, rows in by_table.items())


def _outcome_table(knowledge: Knowledge, number: int, rows: list[Outcome]) -> Section:
    head = rows[0].table
    lines = (
        (
            f"**{row.series}**, n = {row.n}",
            row.groups if row.treated.split()[0] in row.groups else "; ".join(filter(None, (row.treated, row.groups))),
            row.survival or "left out",
            "; ".join(part for part in (f"improved: {row.symptoms}" if row.symptoms else "", row.course) if part),
            " ".join(part for part in (_stop(row.patients), row.note, row.defect) if part),
            ", ".join([*row.statements, *(f"{name} (left out)" for name in row.withheld)]),
        )
        for row in rows
    )
    says = " ".join(f"{knowledge.statements[name].says} [{name}]" for name in head.statements)
    whole = f"{head.design.capitalize()}. Of the table as a whole the review says: {says}"
    columns = "Series|Patients, treatment|Survival|Symptoms, course|Remarks|Source"
    listed = table_block(columns, lines, (15, 20, 20, 15, 20, 10))
    return Section(f"table-{number}", f"Table {number}. {head.title}", (Text(whole), *listed))


def _stop(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def doubts_section(knowledge: Knowledge) -> Section:
    """Return the chapter on statements of low or moderate confidence, from memory, or misprinted."""
    places = {entry.statement: entry for entry in statement_uses(knowledge)}
    misprinted = [s for s in knowledge.statements.values() if not s.display]
    rows = [s for s in knowledge.statements.values() if s.display and (s.confidence != "high" or s.from_memory)]
    rows.sort(key=lambda s: ("low", "moderate", "high").index(s.confidence))
    lines = ((f"**{s.id}** {s.says}", s.confidence, _doubt(s), _used(places[s.id])) for s in rows)
    return chapter(
        "doubtful",
        *table_block("Statement|Confidence|What is doubtful|Used in", lines, (35, 15, 30, 20)),
        Text(text("doubtful", "withheld")),
        *table_block("Statement|Why", ((f"**{s.id}** {s.says}", s.caution) for s in misprinted), (50, 50)),
    )


def _doubt(statement: Statement) -> str:
    memory = f"From memory: {', '.join(statement.from_memory)}. " if statement.from_memory else ""
    return f"{memory}{statement.caution}".strip()


def _used(entry: StatementUse) -> str:
    return f"{entry.standing}: {'; '.join(entry.places) or entry.why}"


def reviews_section(knowledge: Knowledge) -> Section:
    """Return the chapter on what has to be checked again, and by when."""
    return chapter(
        "reviews", *table_block("Due|What|Statements", review_plan(knowledge), (15, 45, 40)), day=knowledge.review.drawn_up
    )


def statements_section(knowledge: Knowledge) -> Section:
    """Return the chapter with every statement and its use."""
    entries = statement_uses(knowledge)
    parts = (("S", "The review of 2010"), ("M", "Later evidence"))
    return chapter(
        "statements",
        *table_block("Edition|Decides|Context|Not used|Together", _counts(entries), (40, 15, 15, 15, 15)),
        sections=tuple(_statement_table(knowledge, entries, letter, title) for letter, title in parts),
    )


def _counts(entries: Iterable[StatementUse]) -> list[tuple[str, ...]]:
    found = list(entries)
    rows = []
    for letter, title in (("S", "The review of 2010"), ("M", "Later evidence")):
        count = Counter(entry.standing for entry in found if entry.statement.startswith(letter))
        rows.append((title, *(str(count[name]) for name in ("decides", "context", "not used")), str(count.total())))
    return rows


def _statement_table(knowledge: Knowledge, entries: Iterable[StatementUse], letter: str, title: str) -> Section:
    chosen = [entry for entry in entries if entry.statement.startswith(letter)]
    rows = (
        (e.statement, say_content(knowledge.statements[e.statement]), _used(e), _cited(knowledge, e.statement)) for e in chosen
    )
    return Section(
        f"statements-{letter.lower()}",
        f"{title}: {len(chosen)} statements",
        table_block("Id|Statement|Use|Source", rows, (10, 45, 25, 20), (e.statement for e in chosen)),
    )


def say_content(statement: Statement) -> str:
    """Return the sentence of a statement with its figures, its caution, its kind and its confidence."""
    tags = [statement.kind.lower(), f"confidence {statement.confidence}"]
    caution = f" Caution: {statement.caution}" if statement.caution else ""
    figures = f" Figures: {statement.numbers}." if statement.numbers and statement.display else ""
    return f"{statement.says}{figures}{caution} ({', '.join(tags)})"


def _cited(knowledge: Knowledge, name: str) -> str:
    statement = knowledge.statements[name]
    return "; ".join(statement.publications) or f"no publication: {statement.unsourced}"


def publications_section(knowledge: Knowledge) -> Section:
    """Return the chapter with every publication and the statements that cite it."""
    behind: dict[str, list[str]] = {}
    for statement in knowledge.statements.values():
        for name in statement.publications:
            behind.setdefault(name, []).append(statement.id)
    rows = []
    for name, publication in knowledge.publications.items():
        number = f" Reference {publication.reference} of the review." if publication.reference else ""
        memory = f" From memory: {', '.join(publication.from_memory)}." if publication.from_memory else ""
        note = f" {publication.note}" if publication.note else ""
        link = f"<{publication.page_url}>" if publication.page_url else f"no link: {publication.unlinked}"
        rows.append(
            (name, f"**{publication.label}** {publication.citation}{number}{note}{memory}", link, _few(behind.get(name, [])))
        )
    found = Counter(
        "DOI" if p.doi else "PMID" if p.pmid else "PMC" if p.pmcid else "page" if p.page else "search" if p.search else "words"
        for p in knowledge.publications.values()
    )
    listed = table_block("Key|Citation|Link|Statements", rows, (15, 40, 25, 20))
    return chapter(
        "publications",
        *listed,
        publications=len(knowledge.publications),
        DOI=found["DOI"],
        PMID=found["PMID"],
        PMC=found["PMC"],
        page=found["page"],
        search=found["search"],
        words=found["words"],
    )


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:3])} … {names[-1]} ({len(names)})"
