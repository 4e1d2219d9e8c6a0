"""Put the chapters of the rule book in order, after the paragraphs on its status."""

from __future__ import annotations

from collections import Counter

from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.statement_uses import statement_uses
from cds_service.rulebook import limits, sources
from cds_service.rulebook.blocks import Book, Section, Text, bullet_block, table_block
from cds_service.rulebook.modalities import treatments_section
from cds_service.rulebook.orders import orders_section
from cds_service.rulebook.prose import chapter, load_prose, text


def rule_book(knowledge: Knowledge) -> Book:
    """Return the rule book of this knowledge."""
    return Book(text("book", "title"), _status(knowledge), chapters(knowledge))


def chapters(knowledge: Knowledge) -> tuple[Section, ...]:
    """Return the chapters of the rule book."""
    return (
        _reading(),
        treatments_section(knowledge),
        orders_section(knowledge),
        limits.calculations_section(knowledge),
        _staging(knowledge),
        limits.limits_section(knowledge),
        limits.windows_section(knowledge),
        limits.silence_section(knowledge),
        sources.conflicts_section(knowledge),
        sources.outcomes_section(knowledge),
        limits.local_choices_section(knowledge),
        *_site(knowledge),
        sources.doubts_section(knowledge),
        sources.reviews_section(knowledge),
        _signing(knowledge),
        sources.statements_section(knowledge),
        sources.publications_section(knowledge),
    )


def _status(knowledge: Knowledge) -> tuple[str, ...]:
    marks = Counter(statement.verified for statement in knowledge.statements.values())
    standing = Counter(entry.standing for entry in statement_uses(knowledge))
    return (
        signature(knowledge),
        "; ".join(f"{count} of {marks.total()} statements: {mark}" for mark, count in marks.most_common()) + ".",
        text("book", "digest", provenance=knowledge.provenance),
        text(
            "book", "counts",
            modalities=len(knowledge.modalities), criteria=len(knowledge.criteria), statements=len(knowledge.statements),
            decides=standing["decides"], context=standing["context"], not_used=standing["not used"],
            series=len(knowledge.outcomes), publications=len(knowledge.publications),
        ),
        text("book", "tone"),
    )  # fmt: skip


def signature(knowledge: Knowledge) -> str:
    """Return who signed this knowledge, or that no clinician has. A signature is valid only for the digest that was signed."""
    sign = knowledge.overlay.sign_off
    if sign is None or not knowledge.signed:
        return text("book", "unsigned")
    return f"**Signed by {sign.name}**, {sign.role}, on {sign.on}: {sign.what}."


def _reading() -> Section:
    verdicts = ((f"**{name}**", when) for name, when in load_prose()["reading"]["verdicts"])
    return chapter("reading", *table_block("Verdict|When", verdicts, (20, 80)), *bullet_block(load_prose()["reading"]["notes"]))


def _site(knowledge: Knowledge) -> tuple[Section, ...]:
    """Return the chapter on what a site changed, for the clinician who signs; no chapter if it changed nothing."""
    overlay = knowledge.overlay
    return (chapter("site", *bullet_block(overlay.choices), site=overlay.site),) if overlay.choices else ()


def _signing(knowledge: Knowledge) -> Section:
    """Return the chapter with lines to sign on paper, and the steps by which a signature takes effect."""
    lines = [(line, "") for line in load_prose()["signing"]["lines"]]
    steps = text("signing", "steps", digest=knowledge.digest)
    return chapter(
        "signing", *table_block("Item|To be filled in by hand", lines, (35, 65)), Text(steps), digest=knowledge.digest
    )


def _staging(knowledge: Knowledge) -> Section:
    rows = []
    for part in knowledge.staging.values():
        bands = " · ".join(knowledge.words.get(band.name, band.name) for band in part.bands)
        rows.append((f"**{part.title}**", bands or "as documented or calculated", ", ".join(part.statements)))
    return chapter("stage", *table_block("Part|Bands|Sources", rows, (30, 45, 25)))
