"""Every row of the table of charts passes: one coding → the facts that it states and the questions that it asks."""

from __future__ import annotations

from itertools import groupby

import pytest

from cds_service import knowledge
from cds_service.fhir.reader import ChartReader
from tests.support.coding_tables import Line, lines

READER = ChartReader(knowledge.load())
BY_STORY = [(story, list(some)) for story, some in groupby(lines(), key=lambda line: line.story)]


@pytest.mark.parametrize(("story", "some"), BY_STORY, ids=lambda part: part if isinstance(part, str) else "")
def test_coding(story: str, some: list[Line]) -> None:
    assert {line.name: wrong for line in some if (wrong := line.disagreement(READER))} == {}
