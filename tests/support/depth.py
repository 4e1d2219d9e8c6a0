"""How deep the heavy tests go: short in `make test`, full in `make prove-pinning` and `make prove-laws`.

The pytest option `--full` (tests/conftest.py) decides. It is an option because pytest rejects a misspelt one, while a misspelt
environment variable would silently mean the short form.
"""

from __future__ import annotations

full = False
"""Set by tests/conftest.py before any test is collected."""
