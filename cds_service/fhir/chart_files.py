"""Charts from files, for the command line and tests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cds_service.errors import ChartError
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Chart
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.resources import queried_type

DATE_IN_TEXT = re.compile(r"(?<![\d-])(\d{4}-\d{2}-\d{2})(?=T|$)")


@dataclass(frozen=True, slots=True)
class ChartFile:
    """A chart file: its resources, with the fullUrl of their entries."""

    resources: tuple[tuple[dict[str, Any], str | None], ...]

    @classmethod
    def from_entries(cls, entries: list[Any]) -> ChartFile:
        """Return the chart of Bundle entries. Entries without a resource are left out; a fullUrl that is not a string is
        ignored."""
        found = [e for e in entries if isinstance(e, dict) and isinstance(e.get("resource"), dict)]
        return cls(tuple((e["resource"], url if isinstance(url := e.get("fullUrl"), str) else None) for e in found))

    def chart(self) -> Chart:
        """Return the whole chart of its one patient. Every type counts as requested and complete."""
        entries = [ChartEntry(json.dumps(resource).encode(), url) for resource, url in self.resources]
        return read_chart(entries, None, EVERYTHING_ARRIVED)


def read_file(path: Path) -> ChartFile | bytes:
    """Return a Bundle or single resource as a chart, or a hook request as its bytes. Raises ChartError if the file is
    neither."""
    try:
        body = path.read_bytes()
        content = json.loads(body)
    except OSError as error:
        raise ChartError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ChartError(f"{path} is not JSON: {str(error)[:100]}") from None
    if not isinstance(content, dict):
        raise ChartError(f"{path} must be a FHIR resource or a hook request, not a JSON {type(content).__name__}")
    if "hook" in content or "hookInstance" in content:
        return body
    if content.get("resourceType") == "Bundle":
        entries = content.get("entry")
        if not isinstance(entries, list) or not entries:
            raise ChartError(f"{path} must be a Bundle with the resources of one patient, not a Bundle without entries")
        return ChartFile.from_entries(entries)
    if "resourceType" in content:
        return ChartFile(((content, None),))
    raise ChartError(f"{path} must be a FHIR resource or a hook request, but has neither resourceType nor hook")


def story_date(path: Path) -> date | None:
    """Return the evaluation date of a fixture: `as_of` of the story.md beside it, or None."""
    story = path.parent / "story.md"
    if not story.is_file():
        return None
    found = re.search(r"^as_of: *(\d{4}-\d{2}-\d{2})", story.read_text("utf-8"), re.MULTILINE)
    return date.fromisoformat(found[1]) if found else None


def shift_dates(content: Any, days: timedelta) -> Any:
    """Return the JSON with every date moved. Birth dates stay, so that the age does not change."""
    match content:
        case dict():
            return {key: value if key == "birthDate" else shift_dates(value, days) for key, value in content.items()}
        case list():
            return [shift_dates(value, days) for value in content]
        case str():
            return DATE_IN_TEXT.sub(lambda found: _moved(found[1], days), content)
    return content


def _moved(text: str, days: timedelta) -> str:
    """Return the text with its date moved. An impossible date (2026-02-30) stays as sent, since the service has to handle
    it."""
    try:
        return (date.fromisoformat(text) + days).isoformat()
    except (ValueError, OverflowError):
        return text


def build_request(chart: ChartFile, shift: timedelta, instance: str, prefetch: dict[str, str]) -> dict[str, Any]:
    """Return the request that an EHR would post for this chart: each prefetch key with the results of its query."""
    found: dict[str, Any] = {}
    patient = chart.chart().patient_id
    for key, query in prefetch.items():
        kind = queried_type(query)
        mine = [(shift_dates(r, shift), url) for r, url in chart.resources if r.get("resourceType") == kind]
        if kind == "Patient":
            found[key] = next((r | {"id": patient} for r, _ in mine if str(r.get("id", patient)) == patient), None)
        else:
            entries = [
                {"resource": resource, "search": {"mode": "match"}} | ({"fullUrl": url} if url else {})
                for resource, url in mine
            ]
            found[key] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    context = {"userId": "Practitioner/example", "patientId": patient}
    return {"hook": "patient-view", "hookInstance": instance, "context": context, "prefetch": found}
