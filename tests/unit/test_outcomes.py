"""Tables 1 to 3 of the review agree with its statements."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cds_service import knowledge

KNOWN = knowledge.load()
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def test_there_are_the_21_rows_of_the_review() -> None:
    rows = [row.id for row in KNOWN.outcomes]
    expected = [f"T{table}-{row}" for table, count in ((1, 8), (2, 7), (3, 6)) for row in range(1, count + 1)]
    assert rows == expected
    assert [KNOWN.publications[row.publication].reference for row in KNOWN.outcomes] == [*range(10, 18), *range(26, 39)]


@pytest.mark.parametrize("row", KNOWN.outcomes, ids=lambda row: row.series)
def test_every_figure_of_a_row_stands_in_a_statement_it_cites(row: Any) -> None:
    statements = [KNOWN.statements[name] for name in row.statements]
    told = set(NUMBER.findall(" ".join(f"{s.says} {s.numbers} {s.caution}" for s in statements)))
    figures = set(NUMBER.findall(f"{row.survival} {row.symptoms} {row.course}"))
    left_out = [KNOWN.statements[name] for name in row.withheld]
    if row.statements:
        assert figures - told == set()
        assert str(row.n) in told | {str(sum(map(int, NUMBER.findall(row.groups))))}
    assert not [statement for statement in left_out if statement.display]
    assert row.defect or not left_out


def test_misprinted_figures_are_in_no_row() -> None:
    sarmiento, vogl, le_treut = (next(row for row in KNOWN.outcomes if row.id == name) for name in ("T1-3", "T2-3", "T3-3"))
    told = [" ".join((r.survival, r.symptoms, r.course, r.patients, r.note)) for r in (sarmiento, vogl, le_treut)]
    assert not {"84", "59"} & set(NUMBER.findall(told[0]))
    assert not {"72", "80", "32.9", "42.8"} & set(NUMBER.findall(told[1]))
    assert "35" not in NUMBER.findall(told[2])
    assert vogl.modalities == ()
