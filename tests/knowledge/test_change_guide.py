"""Carries out the guide "To change a limit" of docs/clinician.md, word for word, on a copy of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

STEP = re.compile(
    r"In `(?P<file>[^`]+)`, under `(?P<under>[^`]+)`, replace\s+```toml\n(?P<old>.*?)```\s+by\s+```toml\n(?P<new>.*?)```"
    r"|Run\s+```sh\n(?P<command>.*?)\n```\s+It (?P<result>fails, and says: `(?P<says>[^`]+)`|passes)",
    re.DOTALL,
)
LARGE = shutil.ignore_patterns(
    "davinci-crd", "fhir-test-cases", "mcode-stu4", "microsoft-fhir-server", "synthea-r4", "us-core", "browser", "__pycache__"
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("cds_service", "tests", "fhir_fixtures"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=LARGE)
    for name in ("pyproject.toml", "openapi.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(command: str, folder: Path) -> tuple[bool, str]:
    program, *arguments = shlex.split(command)
    assert program == "python"
    environment = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments, "-p", "no:xdist", "-q"], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_the_change_guide_leads_from_the_edit_to_green(copy: Path) -> None:
    guide = (ROOT / "docs/clinician.md").read_text("utf-8").split("## To change a limit")[1].split("\n## ")[0]
    steps = list(STEP.finditer(guide))
    assert [bool(step["file"]) for step in steps] == [True, False, True, True, False]
    for step in steps:
        if step["file"]:
            text = (copy / step["file"]).read_text("utf-8")
            assert step["under"] in text
            start = text.index(step["under"]) if step["under"] != "[[vignette]]" else 0
            assert step["old"] in text[start:], step["old"]
            place = text.index(step["old"], start)
            (copy / step["file"]).write_text(text[:place] + step["new"] + text[place + len(step["old"]) :], "utf-8")
            continue
        passed, told = run(step["command"], copy)
        assert passed == (step["result"] == "passes"), told[-3000:]
        assert not step["says"] or step["says"] in told
    assert (copy / "tests/data/numbers-before.json").read_text("utf-8").count('"1.5"') == (
        ROOT / "tests/data/numbers-before.json"
    ).read_text("utf-8").count('"1.5"') + 1
