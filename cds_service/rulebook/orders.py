"""The chapter on orders: what a card says at the moment of ordering, and how loud it is."""

from __future__ import annotations

from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import OrderKind
from cds_service.rulebook.blocks import Section, table_block
from cds_service.rulebook.prose import chapter


def orders_section(knowledge: Knowledge) -> Section:
    """Return the chapter with one row for each kind of order."""
    rows = (_row(knowledge, kind) for kind in knowledge.orders.kinds)
    return chapter("orders", *table_block("Order|Critical|Its own stops|Warning by these cautions", rows, (18, 24, 30, 28)))


def _row(knowledge: Knowledge, kind: OrderKind) -> tuple[str, ...]:
    modalities = [knowledge.modality(name) for name in kind.modalities]
    techniques = [t for m in modalities for t in m.techniques if kind.technique and kind.technique in {t.id, t.own_line}]
    whole = [name for modality in modalities for name in sorted(modality.critical)]
    critical = [*whole, *(name for technique in techniques for name in sorted(technique.critical)), *sorted(kind.critical)]
    own = [knowledge.criteria[key] for key in (*kind.stopped_by, *(other.stop for other in kind.beside))]
    stops = [f"{criterion.says} [{', '.join(criterion.statements)}]" for criterion in own]
    return (
        f"**{kind.title}**",
        ", ".join(dict.fromkeys(critical)) or "none",
        "; ".join(stops) or "those of its treatment and technique",
        ", ".join(sorted(kind.warns)) or "none",
    )
