"""The specification in a few tests, for `make mutants`: all vignettes of a file at once, and the cards of all fixtures.

pytest collects this file only where it is named. A mutant is met by a fraction of a second of it instead of by a thousand tests.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby

import msgspec
import pytest

from cds_service.files import Chart
from cds_service.hooks import patient_view
from tests import test_vignettes as single
from tests.conftest import FIXTURES, INSTANCE, as_of, chart_file, folder_of

SEARCHED = {"missing", "missing_has", "best"}
"""What the search for missing facts is asked for: slow, and not among the code that is mutated."""
FILES: dict[str, list[single.Vignette]] = {
    name: [replace(v, table={key: part for key, part in v.table.items() if key not in SEARCHED}) for v in found]
    for name, found in groupby(single.vignettes(), lambda vignette: vignette.story.partition(":")[0])
}
CHARTS: dict[str, Chart] = {fixture: chart_file(fixture) for fixture in FIXTURES if fixture != "almost-nothing-known"}


@pytest.mark.parametrize("name", FILES)
def test_the_vignettes_of_a_file(name: str) -> None:
    for vignette in FILES[name]:
        single.test_vignette(vignette)


def test_the_cards_of_the_fixtures() -> None:
    for fixture, chart in CHARTS.items():
        cards = patient_view.cards_of_chart(chart.chart(), as_of(fixture), INSTANCE)
        golden = json.loads((folder_of(fixture) / "cards.json").read_text("utf-8"))
        if json.loads(msgspec.json.encode(cards)) != golden["cards"]:
            pytest.fail(fixture, pytrace=False)  # an assert would spend minutes on telling the difference
