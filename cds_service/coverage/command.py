"""`coverage PATHS…`: the report on the terminal, and where asked for as JSON and as a page."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from datetime import date
from pathlib import Path

from cds_service.coverage import survey
from cds_service.coverage.page import as_page
from cds_service.coverage.report import as_json
from cds_service.coverage.text import as_text
from cds_service.errors import ChartError
from cds_service.knowledge.model import Knowledge


def declare_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH",
        help="a folder or a file of FHIR R4 JSON, NDJSON (.gz too) or hook requests; one path is one source of patient ids",
    )  # fmt: skip
    command.add_argument("--site", type=Path, metavar="FILE", help="read as this site file says")
    command.add_argument("--as-of", type=date.fromisoformat, metavar="DATE", help="the day it is (default: today)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    command.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML page")


def run_survey(chosen: argparse.Namespace, knowledge: Knowledge, today: date) -> int:
    """Raises ChartError for a path that is not there and a report that cannot be written."""
    try:
        report = survey(chosen.paths, knowledge, chosen.as_of or today, sys.stderr)
        for path, content in ((chosen.json, as_json), (chosen.html, as_page)):
            if path is not None:
                path.write_bytes(content(report))
    except OSError as error:
        raise ChartError(f"{error.filename}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise ChartError(f"no room to sort the resources by patient ({error}); SQLITE_TMPDIR names another folder") from None
    print(as_text(report))
    return 0
