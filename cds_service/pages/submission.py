"""What somebody chose, pasted or uploaded → the body of a hook request, and what to say about it."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cds_service.cards.card import NAMESPACE
from cds_service.errors import BadRequest, Fault, TooLarge
from cds_service.fhir.chart_files import ChartFile, build_request, read_file
from cds_service.fhir.queries import build_queries
from cds_service.fhir.resources import queried_type
from cds_service.hooks.request import MAX_JSON_VALUES
from cds_service.knowledge.model import Knowledge
from cds_service.pages.fixtures import Fixture

ACCEPTED_INPUT = "a FHIR Bundle, a FHIR resource or a CDS Hooks request, as JSON"
TOKEN_PLACEHOLDER = "left-out"
"""In place of an access token; itself in the form of one, so that what is shown can be given again."""


def _named(name: str) -> str:
    """A pattern for the name of a field in whatever spelling of JSON, and all before its value."""
    return '"' + "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in name) + r'"\s*:\s*'


SECRET_NAME = re.compile(
    rf"{_named('access_token')}|{_named('fhirAuthorization')}(?![{{\s]|null\b)",  # no object, and so perhaps the token itself
    re.IGNORECASE,
)
TEXT_VALUE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Submission:
    """`body`: the hook request that the service would get. `text`: what was pasted, without its access token, to
    stay in the form."""

    title: str
    body: bytes
    fixture: Fixture | None = None
    text: str = ""
    moved: timedelta = timedelta(0)
    built_here: bool = True
    """Whether the request was made here from a chart; False: it was given as one."""
    not_asked: tuple[tuple[str, int], ...] = ()
    """Resource types of the chart that no prefetch key asks for, and how many."""

    @property
    def mark(self) -> str:
        """Tells whether a form still speaks of the same chart."""
        return chart_mark(self.text)


def remove_token(text: str) -> str:
    """The value of every access token gone, of whatever type, and of every fhirAuthorization that is no object, also where the
    text is no JSON at all. Where nobody can tell where a value ends, all after it goes too."""
    kept: list[str] = []
    begin = 0
    while found := SECRET_NAME.search(text, begin):
        kept += text[begin : found.end()], f'"{TOKEN_PLACEHOLDER}"'
        begin = _end_of_value(text, found.end())
    return "".join((*kept, text[begin:])) if kept else text


def _end_of_value(text: str, begin: int) -> int:
    if said := TEXT_VALUE.match(text, begin):
        return said.end()
    try:
        return json.JSONDecoder().raw_decode(text, begin)[1]
    except (ValueError, RecursionError):
        return len(text)


def chart_mark(text: str) -> str:
    """The same whatever a browser makes of line ends; no list of words, which of a large text would take half a gigabyte."""
    plain = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16] if plain else ""


def submission_from_fixture(fixture: Fixture, knowledge: Knowledge, today: date) -> Submission:
    """Raises ChartError where the fixture's file is broken."""
    chart = read_file(fixture.chart)
    if not isinstance(chart, ChartFile):
        return Submission(fixture.title, chart, fixture, built_here=False)
    moved = today - fixture.as_of if fixture.as_of else timedelta(0)
    request = build_request(chart, moved, _instance(fixture.name), build_queries(knowledge))
    return Submission(fixture.title, json.dumps(request).encode(), fixture, moved=moved, not_asked=_not_asked(chart, knowledge))


def submission_from_text(text: str, knowledge: Knowledge) -> Submission:
    """Raises BadRequest, TooLarge with what was found and what is allowed; never with a value of the chart."""
    if text.count(",") > MAX_JSON_VALUES:  # as of a hook request: before anything is read from it
        raise TooLarge("too large", [Fault("what you gave", "more values", f"at most {MAX_JSON_VALUES} values")])
    if not text.strip():
        raise _not_usable("nothing to read", "nothing", ACCEPTED_INPUT)
    try:
        content = json.loads(text)
    except RecursionError:
        raise _not_usable("nested too deeply", "deep nesting", ACCEPTED_INPUT) from None
    except json.JSONDecodeError as error:
        where = f"text that is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        raise _not_usable("not JSON", where, ACCEPTED_INPUT) from None
    except ValueError:
        raise _not_usable("not JSON", "a number that cannot be read", ACCEPTED_INPUT) from None
    if not isinstance(content, dict):
        kind = {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(content), "number")
        raise _not_usable("neither a chart nor a hook request", f"a JSON {kind}", ACCEPTED_INPUT)
    if "hook" in content or "hookInstance" in content:
        return Submission("your hook request", text.encode("utf-8", "replace"), text=remove_token(text), built_here=False)
    chart, text = _chart(content), remove_token(text)  # a Bundle may hold one, too
    return Submission("your chart", _as_sent(chart, knowledge, text), text=text, not_asked=_not_asked(chart, knowledge))


def _not_usable(text: str, found: str, allowed: str) -> BadRequest:
    return BadRequest(text, [Fault("what you gave", found, allowed)])


def _chart(content: dict[str, Any]) -> ChartFile:
    kind = content.get("resourceType")
    if not isinstance(kind, str):
        raise _not_usable("neither a chart nor a hook request", "a JSON object without resourceType and hook", ACCEPTED_INPUT)
    if kind != "Bundle":
        return ChartFile(((content, None),))
    entries = content.get("entry")
    if not isinstance(entries, list) or not entries:
        raise _not_usable("an empty Bundle", "a Bundle without entries", "a Bundle with the resources of one patient")
    return ChartFile.from_entries(entries)


def _as_sent(chart: ChartFile, knowledge: Knowledge, text: str) -> bytes:
    """The request that an EHR would post for the chart, with its dates as they are."""
    try:
        if chart.chart().patient_id is None:
            allowed = "a Patient, or resources that all have the same subject"
            raise BadRequest("whose chart is it?", [Fault("Patient", "none, and not one subject that all share", allowed)])
        return json.dumps(build_request(chart, timedelta(0), _instance(text), build_queries(knowledge))).encode()
    except RecursionError:
        raise _not_usable("nested too deeply", "deep nesting", ACCEPTED_INPUT) from None


def _not_asked(chart: ChartFile, knowledge: Knowledge) -> tuple[tuple[str, int], ...]:
    asked = {queried_type(query) for query in build_queries(knowledge).values()}
    kinds = Counter(str(resource.get("resourceType", "no resourceType"))[:40] for resource, _ in chart.resources)
    return tuple(sorted((kind, count) for kind, count in kinds.items() if kind not in asked))


def _instance(text: str) -> str:
    """The same for the same chart, so that a reload gives the same cards with the same uuids."""
    return str(uuid.uuid5(NAMESPACE, f"page|{chart_mark(text)}"))
