"""How loud the card of an order is: the table order × stop → severity (severity.toml), and which rows it must have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cds_service import knowledge
from cds_service.knowledge.orders import JudgedBy, OrderKind
from tests.support.order_table import NOTHING, DraftRow, Row, content, draft_rows, nobody, offers, rows

KNOWN = knowledge.load()
ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.order} × {row.stop}")
def test_an_order_for_this_patient_is_as_loud_as_the_specification_says(row: Row) -> None:
    assert row.disagreement(row.evaluation(KNOWN)) == ""


def demanded(kind: OrderKind) -> Iterator[str]:
    """Yield everything that the knowledge holds against an order of this kind, or as a caution for it."""
    modalities = [modality for modality in KNOWN.modalities if modality.id in kind.modalities]
    techniques = [t for m in modalities for t in m.techniques if kind.technique and kind.technique in {t.id, t.own_line}]
    whole = kind.judged_by is JudgedBy.MODALITY
    criteria = [c for m in modalities if whole for c in m.contraindications]
    criteria += [c for t in techniques for c in (*t.stopped_by, *t.cautions)]
    criteria += [KNOWN.criteria[key] for key in (*kind.stopped_by, *(other.stop for other in kind.beside))]
    criteria += [KNOWN.criteria[key] for key in kind.cautions] if kind.cautions is not None else [
        c for m in modalities for c in m.cautions
    ]  # fmt: skip
    quiet = KNOWN.orders.quiet - kind.aloud
    yield from dict.fromkeys(criterion.id for criterion in criteria if criterion.id not in quiet)


@pytest.mark.parametrize("kind", KNOWN.orders.kinds, ids=lambda kind: kind.id)
def test_everything_that_the_knowledge_holds_against_an_order_has_a_row(kind: OrderKind) -> None:
    written = {row.stop for row in ROWS if row.order == kind.id}
    assert [stop for stop in demanded(kind) if stop not in written] == []
    assert "nothing" in written, "a patient without any of it has to be silent, or the reason known"


def test_a_hard_fact_about_the_heart_is_critical_only_without_a_cardiac_assessment() -> None:
    heart = {(row.order, row.stop): row.expected for row in ROWS if row.stop.startswith("carcinoid-heart-disease")}
    critical = {order for (order, stop), expected in heart.items() if expected == "critical"}
    assert critical == {"hepatectomy", "radioembolization", "chemoembolization", "embolization"}
    assert {expected for (_, stop), expected in heart.items() if stop.endswith("assessed")} == {"warning"}


def test_a_table_in_which_everything_were_silent_would_not_pass() -> None:
    counts = {severity: sum(row.expected == severity for row in ROWS) for severity in ("critical", "warning", "info", NOTHING)}
    assert min(counts.values()) >= 10, counts


@pytest.mark.parametrize("row", list(draft_rows()), ids=lambda row: row.story)
def test_a_draft_is_recognised_as_what_it_orders(row: DraftRow) -> None:
    assert row.disagreement(KNOWN) == ""


def test_a_card_offers_the_tests_and_the_reasons_of_the_table() -> None:
    assert list(offers(nobody(KNOWN))) == []
    assert content("offers.toml")["offer"]
