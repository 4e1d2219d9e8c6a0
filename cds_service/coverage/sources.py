"""Reads files of any kind that a site can export and groups them into charts, in constant memory.

Everything under one path is one source: resources of one patient id are one chart, in whichever file they are (a bulk export
has one file for each type, with every patient). They are kept in a ChartStore until all are read.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from cds_service.cards.wording import ReasonKey, reason_key
from cds_service.clinical_picture import LeftOut
from cds_service.coverage.store import SUBJECT_DECODER, ChartStore
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_builder import KIND_DECODER, ChartEntry, read_chart
from cds_service.fhir.references import patient_of
from cds_service.fhir.resources import READ_TYPES, Reference
from cds_service.hooks.prefetch import PrefetchState, read_key
from cds_service.reasons import Explanation, Reason

LINE_SUFFIXES, WHOLE_SUFFIXES = (".ndjson", ".jsonl"), (".json",)
OTHER_KINDS = (".xml", ".csv", ".txt", ".md", ".html", ".pdf", ".zip", ".tar", ".tgz", ".parquet")
"""Endings that may be named; any other could be part of a name."""
BOM = b"\xef\xbb\xbf"
NO_DOCUMENT = Explanation(Reason.NO_DOCUMENT)


class SentHook(msgspec.Struct):
    """The parts of a hook request that are read."""

    hook: Any = None
    prefetch: dict[str, msgspec.Raw] | None = None
    cards: Any = None


HOOK_DECODER = msgspec.json.Decoder(SentHook)
LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


class FaultCount(NamedTuple):
    """Occurrences of one reason why a file, line or document could not be read."""

    times: int
    first: str
    """The place of the first: "file 3, line 7"."""


@dataclass
class ReadCounts:
    """Counts of what was opened and what could not be read. File names are not kept, since they may be patients' names."""

    files: int = 0
    resources: int = 0
    answers: int = 0
    """Answers of a CDS service, which hold no resources."""
    not_opened: Counter[str] = field(default_factory=Counter)
    """Number of files of other kinds, by ending."""
    faults: dict[ReasonKey, FaultCount] = field(default_factory=dict)
    types_not_read: Counter[str] = field(default_factory=Counter)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    unreadable: Counter[tuple[str, ReasonKey]] = field(default_factory=Counter)
    """(resource type, why) → number of unreadable resources, including those without a patient."""

    def count_uncounted(self, chart: Chart) -> None:
        """Add the resources of a chart that do not count, by reason."""
        self.left_out.update(chart.left_out)
        self.unreadable.update((broken.resource_type, reason_key(broken.what.why)) for broken in chart.unreadable)

    def count_fault(self, why: Explanation, where: str) -> None:
        """Count one file, line or document that could not be read."""
        key = reason_key(why)
        held = self.faults.get(key, FaultCount(0, where))
        self.faults[key] = FaultCount(held.times + 1, held.first)


def chart_paths(path: Path, read: ReadCounts) -> list[Path]:
    """Return the file of a path, or all files below a folder, sorted by name. Raises OSError if the path does not exist."""
    if not path.is_dir():
        path.stat()
        return [path]
    found = []
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        ending = file.suffix.lower() if file.suffix.lower() != ".gz" else Path(file.stem).suffix.lower()
        if ending in (*LINE_SUFFIXES, *WHOLE_SUFFIXES):
            found.append(file)
        else:
            read.not_opened[ending if ending in OTHER_KINDS else "another ending"] += 1
    return found


class Sorter:
    """Splits documents and adds each resource to its patient's chart."""

    def __init__(self, store: ChartStore, read: ReadCounts) -> None:
        self.store, self.read = store, read

    def take_file(self, source: int, number: int, file: Path) -> Iterator[int]:
        """Read one file. Yield the number of bytes read since the last yield."""
        name, where = file.name.lower(), f"file {number}"
        self.read.files += 1
        try:
            packed = name.endswith(".gz")
            with file.open("rb") as plain:
                stream: Any = gzip.open(plain) if packed else plain  # noqa: SIM115  # closing `plain` is enough
                if name.removesuffix(".gz").endswith(LINE_SUFFIXES):
                    yield from self._take_lines(source, where, stream, plain)
                else:
                    self.take(source, where, stream.read().removeprefix(BOM))
                    yield plain.tell()
        except (OSError, EOFError, zlib.error) as error:
            self.read.count_fault(_why(error), where)

    def _take_lines(self, source: int, where: str, stream: BinaryIO, plain: BinaryIO) -> Iterator[int]:
        before = 0
        for number, line in enumerate(stream, 1):
            if body := line.removeprefix(BOM).strip():
                self.take(source, f"{where}, line {number}", body)
            now = plain.tell()
            yield now - before
            before = now

    def take(self, source: int, where: str, body: bytes) -> None:
        """Add one document: a resource, a Bundle of any type, a hook request, or a list of these. Never raises on content."""
        try:
            body.decode()
            if body.lstrip()[:1] == b"[":
                for number, part in enumerate(LIST_DECODER.decode(body), 1):
                    self.take(source, f"{where}, element {number}", bytes(part))
                return
            kind = KIND_DECODER.decode(body)
            hook = HOOK_DECODER.decode(body) if not kind.name else None
        except RecursionError:
            self.read.count_fault(Explanation(Reason.NESTED_TOO_DEEPLY), where)
        except UnicodeDecodeError:
            self.read.count_fault(Explanation(Reason.NOT_UTF8), where)
        except msgspec.ValidationError:
            self.read.count_fault(NO_DOCUMENT, where)
        except msgspec.MsgspecError:
            self.read.count_fault(Explanation(Reason.NOT_JSON), where)
        else:
            if hook is not None and hook.prefetch:
                for raw in hook.prefetch.values():
                    self._take_resources(source, where, bytes(raw))
            elif hook is not None and isinstance(hook.cards, list):
                self.read.answers += 1
            elif kind.name:
                self._take_resources(source, where, body)
            else:
                self.read.count_fault(Explanation(Reason.HOOK_WITHOUT_PREFETCH) if hook and hook.hook else NO_DOCUMENT, where)

    def _take_resources(self, source: int, where: str, body: bytes) -> None:
        answer = read_key(body)
        if answer.state is PrefetchState.ERROR:
            self.read.count_fault(Explanation(Reason.DOCUMENT_WITHOUT_DATA), where)
        elif answer.state is PrefetchState.PARTIAL:
            self.read.count_fault(Explanation(Reason.PAGE_OF_BUNDLE), where)
        patients = {
            entry.full_url: ("Patient", _id_of_patient(entry))
            for entry in answer.entries
            if entry.kind and entry.kind.name == "Patient" and entry.full_url
        }
        for entry in answer.entries:
            self._sort_in(source, entry, patients)

    def _sort_in(self, source: int, entry: ChartEntry, patients: dict[str, tuple[str, str]]) -> None:
        kind = entry.kind or KIND_DECODER.decode(entry.raw)
        if kind.name == "Bundle":  # a batch of searches returns Bundles in a Bundle
            self._take_resources(source, "a Bundle in a Bundle", entry.raw)
            return
        self.read.resources += 1
        if kind.name == "Medication":
            self.store.add_medication(source, kind.reference, entry)
        elif kind.name == "Patient" and (patient := _id_of_patient(entry)):
            self.store.add(source, patient, entry)
        elif kind.name in READ_TYPES:
            whose = _whose(entry.raw, patients)
            if whose and whose[0] in {"Patient", ""}:
                self.store.add(source, whose[1], entry)
            else:  # read only to count why it does not count
                self.read.count_uncounted(read_chart([entry], "", Availability()))
        else:
            self.read.types_not_read[kind.name if _is_type(kind.name) else "no type of R4"] += 1


def _why(error: Exception) -> Explanation:
    """Return why a file could not be read to its end. The system's message contains no file name."""
    if isinstance(error, OSError) and error.strerror:
        return Explanation(Reason.FILE_NOT_OPENED, fault=error.strerror)
    return Explanation(Reason.NOT_GZIP)


def _whose(raw: bytes, patients: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Return (type, id) of the resource's subject, or None. `patients`: fullUrl → patient of the same Bundle."""
    try:
        subject = SUBJECT_DECODER.decode(raw).subject
    except (msgspec.MsgspecError, RecursionError):
        return None
    text = subject.get("reference") if isinstance(subject, dict) else None
    return (patients.get(text) or patient_of(Reference(text))) if isinstance(text, str) else None


@lru_cache(maxsize=1_000)
def _is_type(name: str) -> bool:
    return name.isalpha() and name.isascii() and find_spec(f"fhir.resources.R4B.{name.lower()}") is not None


def _id_of_patient(entry: ChartEntry) -> str:
    """Return the patient's id as read_chart does: the id, else the end of the fullUrl."""
    if entry.kind and entry.kind.id is not None:
        return entry.kind.reference.split("/")[1]
    return (entry.full_url or "").replace(":", "/").rsplit("/", 1)[-1]
