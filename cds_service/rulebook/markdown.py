"""Render a rule book as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.rulebook.blocks import Block, Book, Bullets, Links, Section, Text


def render_markdown(book: Book) -> str:
    """Return the rule book as Markdown."""
    parts = [f"# {book.title}", *book.status]
    for section in book.sections:
        parts += _section(section, 2)
    return "\n\n".join(parts)


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {section.title}"
    yield from (_block(block) for block in section.blocks)
    for part in section.sections:
        yield from _section(part, level + 1)


def _block(block: Block) -> str:
    match block:
        case Text():
            return block.text
        case Bullets():
            return "\n".join(f"- {item}" for item in block.items)
        case Links():
            return "\n".join(f"- [{link.label}]({link.address}) {link.text}".rstrip() for link in block.items)
    rows = [block.head, tuple("---" for _ in block.head), *block.rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", "<br>")
