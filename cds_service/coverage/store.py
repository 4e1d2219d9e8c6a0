"""Keeps resources until all of a patient's have arrived, in a temporary SQLite database that moves to disk when large. The file
has no name, is private to the process, and disappears when the process ends for any reason."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import msgspec

from cds_service.fhir.chart import EVERYTHING_ARRIVED, Chart
from cds_service.fhir.chart_builder import ChartEntry, read_chart


class SubjectOf(msgspec.Struct, rename="camel"):
    """The fields of a resource that identify its patient and its Medication."""

    subject: Any = None
    medication_reference: Any = None


SUBJECT_DECODER = msgspec.json.Decoder(SubjectOf)


class ChartStore:
    """Collects resources and returns them chart by chart."""

    def __init__(self) -> None:
        self._held = sqlite3.connect("", isolation_level=None)
        for line in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE resource (source INTEGER, patient TEXT, raw BLOB, url TEXT)",
            "CREATE TABLE medication (source INTEGER, name TEXT, raw BLOB, url TEXT)",
            "BEGIN",
        ):
            self._held.execute(line)

    def __enter__(self) -> ChartStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._held.close()

    def add(self, source: int, patient: str, entry: ChartEntry) -> None:
        """Add a resource of a patient."""
        self._held.execute("INSERT INTO resource VALUES (?, ?, ?, ?)", (source, patient, entry.raw, entry.full_url))

    def add_medication(self, source: int, name: str, entry: ChartEntry) -> None:
        """Add a Medication, which belongs to no patient."""
        self._held.execute("INSERT INTO medication VALUES (?, ?, ?, ?)", (source, name, entry.raw, entry.full_url))

    def close_for_adding(self) -> int:
        """Index the resources and return the number of charts."""
        self._held.execute("CREATE INDEX by_patient ON resource (source, patient)")
        self._held.execute("CREATE INDEX by_name ON medication (source, name)")
        return int(self._held.execute("SELECT count(*) FROM (SELECT DISTINCT source, patient FROM resource)").fetchone()[0])

    def charts(self) -> Iterator[Chart]:
        """Yield every chart, with the Medications that it refers to."""
        keys = self._held.execute("SELECT DISTINCT source, patient FROM resource ORDER BY source, patient")
        for source, patient in keys:
            rows = self._held.execute(
                "SELECT raw, url FROM resource WHERE source = ? AND patient = ? ORDER BY rowid", (source, patient)
            )
            entries = [ChartEntry(raw, url) for raw, url in rows]
            yield read_chart([*entries, *self._medications(source, entries)], patient, EVERYTHING_ARRIVED)

    def _medications(self, source: int, entries: Iterable[ChartEntry]) -> Iterator[ChartEntry]:
        names = {name for entry in entries if b'"medicationReference"' in entry.raw and (name := _medicine(entry.raw))}
        for name in sorted(names):
            found = self._held.execute("SELECT raw, url FROM medication WHERE source = ? AND name = ? LIMIT 1", (source, name))
            yield from (ChartEntry(raw, url) for raw, url in found)


def _medicine(raw: bytes) -> str:
    """Return "Medication/7" for a relative or absolute reference, or ""."""
    try:
        reference = SUBJECT_DECODER.decode(raw).medication_reference
    except (msgspec.MsgspecError, RecursionError):
        return ""
    text = reference.get("reference") if isinstance(reference, dict) else None
    return "/".join(text.split("/")[-2:]) if isinstance(text, str) else ""
