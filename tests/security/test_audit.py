"""`make check` never reports packages as safe that pip-audit could not look up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SOUND = {"name": "flask", "version": "3", "vulns": []}
FAULTY = {"name": "flask", "version": "3", "vulns": [{"id": "PYSEC-1", "fix_versions": ["4"]}]}
UNKNOWN = {"name": "flask", "skip_reason": "not found, could not be audited"}
OWN = {"name": "cds-service", "skip_reason": "distribution marked as editable"}
UNABLE = "pip-audit: not run (its data cannot be reached)"


def audited(folder: Path, one: list[dict[str, Any]] | str, rest: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return exit status and lines of .ci/audit.py with a fake pip-audit: `one` is its result for a single package, `rest` for
    all."""
    package = folder / "pip_audit"
    package.mkdir()
    (package / "__init__.py").touch()
    said = {
        "one": one if isinstance(one, str) else json.dumps({"dependencies": one}),
        "rest": json.dumps({"dependencies": rest}),
    }
    program = f"import sys\nprint({said!r}['one' if '--requirement' in sys.argv else 'rest'])\n"
    (package / "__main__.py").write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci/audit.py")],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("one", [[UNKNOWN], [], "", "no network", '{"other": 1}'])
def test_an_audit_without_data_is_reported_as_not_run(tmp_path: Path, one: list[dict[str, Any]] | str) -> None:
    assert audited(tmp_path, one, [SOUND]) == (0, [UNABLE])


def test_a_package_with_a_known_fault_fails_the_check(tmp_path: Path) -> None:
    told = ["pip-audit: flask 3: PYSEC-1, fixed in ['4']", "pip-audit: 1 packages looked up"]
    assert audited(tmp_path, [SOUND], [FAULTY]) == (1, told)


def test_packages_that_were_not_looked_up_are_named(tmp_path: Path) -> None:
    told = ["pip-audit: not run for flask", "pip-audit: 2 packages looked up"]
    assert audited(tmp_path, [SOUND], [SOUND, UNKNOWN, OWN]) == (0, told)
