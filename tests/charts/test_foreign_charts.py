"""Charts in the shapes of public examples and bug reports (tests/support/foreign_charts.py): nothing of them is lost unsaid."""

from __future__ import annotations

import msgspec
import pytest

from cds_service.clinical_picture import Nlm
from tests.support.foreign_charts import FOREIGN, Foreign
from tests.support.losses import PATIENT, coverage
from tests.support.sent_charts import LIVER, NEN, TODAY, Resource, cards, fact, gate


def told(*resources: Resource) -> tuple[bytes, dict[str, object]]:
    """Return the cards, and what the coverage report says of what was not read."""
    report = msgspec.to_builtins(coverage([PATIENT, *resources], TODAY))
    read = ("files", "resources", "charts", "nlm", "facts", "never_found", "unmapped_not_listed")
    return msgspec.json.encode(cards(*resources)), {name: part for name, part in report.items() if name not in read}


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.shape)
def test_what_is_sent_in_a_foreign_shape_is_read_or_told(foreign: Foreign) -> None:
    chart = [NEN, LIVER, *foreign.resources]
    (without, covered), (said, unread) = told(*(part for part in chart if part["id"] != "x")), told(*chart)
    if foreign.fact == "gate":
        assert gate(*chart) is Nlm.POSSIBLE
    elif foreign.now == "read":
        assert [reading.seen_in for reading in fact(foreign.fact, *chart).seen] == ["Observation/x"]
    else:
        assert not fact(foreign.fact, *chart).known
    assert (said != without) == (foreign.now in {"card", "read"})
    assert foreign.now == "read" or unread != covered


def test_the_shapes_are_many_and_most_of_them_lost_something_before() -> None:
    assert len({foreign.shape for foreign in FOREIGN}) == len(FOREIGN) > 15
    assert sum(foreign.lost != "" for foreign in FOREIGN) > 10
