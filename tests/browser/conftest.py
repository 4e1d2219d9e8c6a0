"""Tests in a real browser. They need Debian's chromium, playwright (`pip install .[browser]`) and axe-core (npm, its
path in AXE_CORE); where one is missing they are not collected, and the summary says so. `.ci/run` installs all three."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
MISSING = [
    name
    for name, there in (
        (f"{CHROMIUM}", CHROMIUM.exists()),
        ("the Python package playwright", importlib.util.find_spec("playwright") is not None),
        ("axe-core (AXE_CORE)", Path(os.environ.get("AXE_CORE", "/nowhere")).is_file()),
    )
    if not there
]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING:
        terminalreporter.write_line(f"Browser tests not run: without {', '.join(MISSING)}; .ci/run runs them.")
