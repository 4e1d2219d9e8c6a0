"""In the full form each law reports how many examples it tried, and fails if there were too few."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.conftest import PROOF
from tests.support.strategies import Law


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, None, None]:
    yield  # a law that fails ends here
    law = getattr(item.function, "law", None)
    if item.config.getoption("--full") and isinstance(law, Law):
        item.user_properties.append((PROOF, f"law {item.originalname}: {law.tried} examples"))
        assert law.tried >= law.examples
