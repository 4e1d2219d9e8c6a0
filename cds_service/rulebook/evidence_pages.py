"""The rule book as pages for a browser: an index and one page for each treatment, to which cards link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cds_service.knowledge.modality import Criterion, Modality
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.shown import Face, ShownStatement
from cds_service.knowledge.statement import Population, Statement
from cds_service.knowledge.statement_uses import statement_uses
from cds_service.knowledge.vocabulary import Edition
from cds_service.rulebook.blocks import Block, Book, Link, Links, Section, Text, bullet_block, table_block
from cds_service.rulebook.book import chapters, signature
from cds_service.rulebook.modalities import rule_sections
from cds_service.rulebook.prose import load_prose, text
from cds_service.rulebook.sources import conflict_sections, outcome_sections, say_content
from cds_service.rulebook.words import COMPARISONS, EDITION, source_list

INDEX, WHOLE = "", "rule-book"
"""The names of the index and of the whole rule book among the pages."""


def index_page(knowledge: Knowledge) -> Book:
    """Return the page that links to all others."""
    treatments = (
        Link(modality.id, modality.title, f"{len(statements_of(knowledge, modality))} statements")
        for modality in knowledge.modalities
    )
    general = (Link(f"{WHOLE}#{section.id}", section.title) for section in chapters(knowledge) if section.id != "treatments")
    whole = Link(WHOLE, text("book", "title"), text("pages", "whole"))
    return Book(
        text("pages", "index_title"),
        (text("pages", "index_intro"), *_status(knowledge)),
        (
            Section("treatments", text("pages", "treatments"), (Links(tuple(treatments)),)),
            Section("order", text("pages", "order"), (Text(text("pages", "order_intro")), *_order(knowledge))),
            Section("chapters", text("pages", "chapters"), (Text(text("pages", "chapters_intro")), Links((whole, *general)))),
        ),
    )


def _order(knowledge: Knowledge) -> tuple[Block, ...]:
    ranked = sorted((i.rank, modality, i) for modality in knowledge.modalities for i in modality.indications)
    return bullet_block(f"**{i.id}** {modality.short}: {i.says}" for _, modality, i in ranked)


def modality_page(knowledge: Knowledge, modality: Modality) -> Book:
    """Return the page of one treatment."""
    names = statements_of(knowledge, modality)
    parts = (
        ("editions", (*_stances(knowledge, modality), *_since(knowledge, modality)), ()),
        ("sides", _sides(knowledge, modality), ()),
        ("rules", (), rule_sections(knowledge, modality)),
        ("evidence", _statements(knowledge, names), ()),
        ("series", (), outcome_sections(knowledge, modality.id)),
        ("omitted", _omitted(knowledge, modality, names), ()),
        ("conflicts", (), conflict_sections(knowledge, names)),
        ("local", _local(modality), ()),
    )
    return Book(
        text("pages", "title", treatment=modality.title),
        (text("pages", "intro"), *_status(knowledge)),
        tuple(_part(name, blocks, sections) for name, blocks, sections in parts if blocks or sections),
    )


def _part(name: str, blocks: tuple[Block, ...], sections: tuple[Section, ...]) -> Section:
    words = load_prose()["pages"]
    intro = (Text(words[f"{name}_intro"]),) if f"{name}_intro" in words else ()
    return Section(name, words[name], (*intro, *blocks), sections)


def _status(knowledge: Knowledge) -> tuple[str, str]:
    return signature(knowledge), text("book", "digest", provenance=knowledge.provenance)


def statements_of(knowledge: Knowledge, modality: Modality) -> tuple[str, ...]:
    """Return the ids of all statements that a treatment cites, those of the review (S…) first."""
    cited = {name for criterion in _criteria(modality) for name in criterion.statements}
    cited.update(name for indication in modality.indications for name in indication.statements)
    cited.update(name for technique in modality.techniques for name in technique.statements)
    cited.update(modality.beside, modality.support, modality.about, (part.statement for part in modality.shown))
    cited.update(name for row in knowledge.stances if row.modality == modality.id for name in row.by)
    return tuple(sorted(cited, key=lambda name: (name[0] != "S", name)))


def _stances(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    rows = (
        (row.situation, f"**{row.stance.value}**", row.says, source_list(knowledge, row.by))
        for row in knowledge.stances
        if row.modality == modality.id
    )
    return table_block("Situation, the first that holds|The review of 2010|It says|Sources", rows, (35, 15, 35, 15))


def _since(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    """Return what later evidence adds: its indications, and its exclusions of single indications."""
    added = [f"**{i.id}** {i.says}" for i in modality.indications if i.edition is Edition.UPDATE]
    added += [f"**{i.id}** needs also: {c.says}" for i in modality.indications for c in i.update_requires]
    return (Text(text("pages", "since" if added else "since_nothing")), *bullet_block(added))


def _sides(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    """Return a table with what speaks for and against the treatment, a row for each edition."""
    rows = []
    for edition in Edition:
        shown = [part for part in modality.shown if knowledge.statements[part.statement].edition is edition]
        for_it, dissents, risks = ([p for p in shown if p.face is face] for face in (Face.FOR, Face.DISSENT, Face.RISK))
        against = [*dissents, *sorted(risks, key=lambda part: part.place)]
        rows.append((f"**{EDITION[edition]}**", _lines(knowledge, for_it), _lines(knowledge, against)))
    return table_block("Edition|For|Against: dissents, then risks", rows, (10, 45, 45))


def _lines(knowledge: Knowledge, parts: Iterable[ShownStatement]) -> str:
    """Return a line for each sentence, with its conditions and sources. A row without a sentence shares the one before it."""
    lines: dict[str, list[str]] = {}
    said = ""
    for part in parts:
        if part.says:
            said = f"• {part.says.replace('{state}', 'not met')}{_condition(knowledge, part)}"
        sources = lines.setdefault(said, [])
        if part.statement not in sources:
            sources.append(part.statement)
    return "\n".join(f"{said} {source_list(knowledge, names)}" for said, names in lines.items()) or "–"


def _condition(knowledge: Knowledge, part: ShownStatement) -> str:
    """Return when a card shows a sentence, in brackets; empty if always."""
    when = [*part.indications, *(knowledge.criteria[key].says for key in part.when)]
    when += [f"not {name}" for name in part.unless]
    return f" ({', '.join(when)})" if when else ""


def _statements(knowledge: Knowledge, names: Iterable[str]) -> tuple[Block, ...]:
    found = [knowledge.statements[name] for name in names]
    rows = ((s.id, say_content(s), _whom(s.population), _confidence(s), _citations(knowledge, s)) for s in found)
    head = "Id|Statement|Whom it is about|Confidence|Source"
    return table_block(head, rows, (5, 40, 15, 15, 25), (s.id for s in found))


def _whom(population: Population | None) -> str:
    if population is None:
        return "–"
    parts = [
        population.says or population.any,
        ", ".join(sorted(site.replace("-", " ") for site in population.primary)),
        ", ".join(sorted(population.grade)),
        *(f"Ki-67 {COMPARISONS[how]} {limit} %" for how, limit in population.ki67.items()),
        {True: "functioning", False: "not functioning", None: ""}[population.functioning],
        population.line.replace("-", " "),
    ]
    return "; ".join(part for part in parts if part)


def _confidence(statement: Statement) -> str:
    memory = f"; **from memory:** {', '.join(statement.from_memory)}" if statement.from_memory else ""
    return f"{statement.confidence}{memory}"


def _citations(knowledge: Knowledge, statement: Statement) -> str:
    publications = [knowledge.publications[name] for name in statement.publications]
    cited = [f"{p.citation} <{p.page_url}>" if p.page_url else f"{p.citation} ({p.unlinked})" for p in publications]
    return "\n".join(cited) or f"no publication: {statement.unsourced}"


def _omitted(knowledge: Knowledge, modality: Modality, names: Iterable[str]) -> tuple[Block, ...]:
    """Return what no card shows or no rule uses, each with the reason."""
    return bullet_block(_reasons_for_omission(knowledge, modality, names))


def _reasons_for_omission(knowledge: Knowledge, modality: Modality, names: Iterable[str]) -> Iterator[str]:
    for part in (*modality.not_read, *(name for line in modality.lines for name in line.not_read)):
        yield text("pages", "not_read", what=part)
    standing = {entry.statement: entry.standing for entry in statement_uses(knowledge)}
    page_only = [part.statement for part in modality.shown if part.face is Face.PAGE]
    if page_only:
        yield text("pages", "page_only", names=", ".join(dict.fromkeys(page_only)))
    for name in names:
        statement = knowledge.statements[name]
        if not statement.display:
            yield text("pages", "withheld", name=name, why=statement.caution)
        elif statement.confidence == "low" or (statement.from_memory and standing[name] != "decides"):
            yield text("pages", "doubtful", name=name, confidence=_confidence(statement))
    tables = {row.table.number for row in knowledge.outcomes if modality.id in row.modalities}
    for row in knowledge.outcomes:
        if row.table.number in tables and row.defect:
            yield text("pages", "defect", series=row.series, table=row.table.number, defect=row.defect)


def _local(modality: Modality) -> tuple[Block, ...]:
    local = [f"**{criterion.says}** ({criterion.id})" for criterion in _criteria(modality) if criterion.local]
    return bullet_block([*local, *(f"**{i.id}** {i.says}" for i in modality.indications if i.local)])


def _criteria(modality: Modality) -> tuple[Criterion, ...]:
    """Return every criterion of a treatment, each once."""
    found = (
        *(c for indication in modality.indications for c in (*indication.requires, *indication.update_requires)),
        *modality.contraindications,
        *(exclusion.criterion for exclusion in modality.exclusions),
        *modality.cautions,
        *(c for technique in modality.techniques for c in (*technique.when, *technique.stopped_by, *technique.cautions)),
    )
    return tuple({criterion.key: criterion for criterion in found}.values())
