"""Tests in a real browser. They need Debian's chromium, playwright (`pip install .[browser]`) and axe-core (npm, its
path in AXE_CORE). If one is missing, they are not collected, and the summary says so (in tests/conftest.py, as with
pytest-xdist the process that writes the summary does not load this file). `.ci/run` installs all three."""

from __future__ import annotations

from tests.support.browser import MISSING

collect_ignore_glob = ["test_*.py"] if MISSING else []
