"""How deep the heavy tests go: short in `make test`, full in `make prove-pinning` and `make prove-laws`.

`--full` of pytest (tests/conftest.py) decides: an option, because pytest refuses a misspelt one, and a misspelt variable would
mean the short form.
"""

from __future__ import annotations

full = False
"""Set by tests/conftest.py before any test is collected."""
