"""`coverage PATHS…`: prints the report, and writes it as JSON or HTML if requested."""

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
    """Add the options of the `coverage` command."""
    command.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH",
        help="a folder or file of FHIR R4 JSON, NDJSON (also .gz) or hook requests; patient ids are unique within one path",
    )  # fmt: skip
    command.add_argument("--site", type=Path, metavar="FILE", help="read with the codes and units of this site file")
    command.add_argument("--as-of", type=date.fromisoformat, metavar="DATE", help="the date of evaluation (default: today)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    command.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML page")


def run_survey(chosen: argparse.Namespace, knowledge: Knowledge, today: date) -> int:
    """Run the command and return its exit code. Raises ChartError if a path does not exist or a report cannot be written."""
    try:
        report = survey(chosen.paths, knowledge, chosen.as_of or today, sys.stderr)
        for path, content in ((chosen.json, as_json), (chosen.html, as_page)):
            if path is not None:
                path.write_bytes(content(report))
    except OSError as error:
        raise ChartError(f"{error.filename}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise ChartError(
            f"not enough disk space to sort the resources by patient ({error}); set SQLITE_TMPDIR to another folder"
        ) from None
    print(as_text(report))
    return 0
