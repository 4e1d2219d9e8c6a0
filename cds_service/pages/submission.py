"""Converts the user's choice, paste or upload to the body of a hook request."""

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
"""Replaces an access token. It has the form of a token, so that the shown text can be submitted again."""


def _named(name: str) -> str:
    """Return a pattern for a field name, in any JSON spelling, with the colon and spaces before its value."""
    return '"' + "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in name) + r'"\s*:\s*'


SECRET_NAME = re.compile(
    rf"{_named('access_token')}|{_named('fhirAuthorization')}(?![{{\s]|null\b)",  # not an object, so perhaps the token itself
    re.IGNORECASE,
)
TEXT_VALUE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Submission:
    """The user's input. `body`: the hook request for the service. `text`: the pasted text without its access token, which the
    form shows again. `moved`: by how much the dates of an example were moved."""

    title: str
    body: bytes
    fixture: Fixture | None = None
    text: str = ""
    moved: timedelta = timedelta(0)
    built_here: bool = True
    """True if the request was built from a chart, False if the user submitted a request."""
    not_asked: tuple[tuple[str, int], ...] = ()
    """(resource type, count) for the types in the chart that no prefetch key queries."""

    @property
    def mark(self) -> str:
        """Return the `chart_mark` of the text, by which a form shows that it is about the same chart."""
        return chart_mark(self.text)


def remove_token(text: str) -> str:
    """Return the text without the values of access tokens, whatever their JSON type, and of any fhirAuthorization that is not
    an object. Works on invalid JSON too; if the end of a value cannot be found, the rest of the text is removed."""
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
    """Return a digest of a text, or "" for an empty one. It ignores line endings, as browsers change them. The text is not
    split into words, which would need half a gigabyte for a large chart."""
    plain = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16] if plain else ""


def submission_from_fixture(fixture: Fixture, knowledge: Knowledge, today: date) -> Submission:
    """Return the input for an example, with its dates moved to today. Raises ChartError if its file is invalid."""
    chart = read_file(fixture.chart)
    if not isinstance(chart, ChartFile):
        return Submission(fixture.title, chart, fixture, built_here=False)
    moved = today - fixture.as_of if fixture.as_of else timedelta(0)
    request = build_request(chart, moved, _instance(fixture.name), build_queries(knowledge))
    return Submission(fixture.title, json.dumps(request).encode(), fixture, moved=moved, not_asked=_not_asked(chart, knowledge))


def submission_from_text(text: str, knowledge: Knowledge) -> Submission:
    """Return the input for a pasted or uploaded text. Raises BadRequest or TooLarge, without values of the chart."""
    if text.count(",") > MAX_JSON_VALUES:  # as for a hook request, checked before anything is decoded
        raise TooLarge("too large", [Fault("the input", f"must have at most {MAX_JSON_VALUES} JSON values")])
    if not text.strip():
        raise _not_usable("nothing to read", f"is empty; paste or upload {ACCEPTED_INPUT}")
    try:
        content = json.loads(text)
    except RecursionError:
        raise _not_usable("nested too deeply", "is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _not_usable("not JSON", f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:
        raise _not_usable("not JSON", "has a number that cannot be read") from None
    if not isinstance(content, dict):
        kind = {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(content), "number")
        raise _not_usable("neither a chart nor a hook request", f"must be {ACCEPTED_INPUT}, not a JSON {kind}")
    if "hook" in content or "hookInstance" in content:
        return Submission("your hook request", text.encode("utf-8", "replace"), text=remove_token(text), built_here=False)
    chart, text = _chart(content), remove_token(text)  # a Bundle may hold one, too
    return Submission("your chart", _as_sent(chart, knowledge, text), text=text, not_asked=_not_asked(chart, knowledge))


def _not_usable(text: str, problem: str) -> BadRequest:
    return BadRequest(text, [Fault("the input", problem)])


def _chart(content: dict[str, Any]) -> ChartFile:
    kind = content.get("resourceType")
    if not isinstance(kind, str):
        raise _not_usable("neither a chart nor a hook request", "must have resourceType (a chart) or hook (a hook request)")
    if kind != "Bundle":
        return ChartFile(((content, None),))
    entries = content.get("entry")
    if not isinstance(entries, list) or not entries:
        raise _not_usable("an empty Bundle", "is a Bundle without entries; it must have the resources of one patient")
    return ChartFile.from_entries(entries)


def _as_sent(chart: ChartFile, knowledge: Knowledge, text: str) -> bytes:
    """Return the request that an EHR would post for the chart. Its dates are not moved."""
    try:
        if chart.chart().patient_id is None:
            raise _not_usable("no patient", "must have a Patient, or resources that all have the same subject")
        return json.dumps(build_request(chart, timedelta(0), _instance(text), build_queries(knowledge))).encode()
    except RecursionError:
        raise _not_usable("nested too deeply", "is nested too deeply") from None


def _not_asked(chart: ChartFile, knowledge: Knowledge) -> tuple[tuple[str, int], ...]:
    asked = {queried_type(query) for query in build_queries(knowledge).values()}
    kinds = Counter(str(resource.get("resourceType", "no resourceType"))[:40] for resource, _ in chart.resources)
    return tuple(sorted((kind, count) for kind, count in kinds.items() if kind not in asked))


def _instance(text: str) -> str:
    """Return a hookInstance that is the same for the same chart, so that a reload gives cards with the same uuids."""
    return str(uuid.uuid5(NAMESPACE, f"page|{chart_mark(text)}"))
