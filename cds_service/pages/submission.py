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
from cds_service.fhir.chart_files import Chart, as_request, read_file
from cds_service.fhir.queries import queries
from cds_service.fhir.resources import type_asked
from cds_service.hooks.request import MOST_VALUES
from cds_service.knowledge.model import Knowledge
from cds_service.pages.fixtures import Fixture

ALLOWED = "a FHIR Bundle, a FHIR resource or a CDS Hooks request, as JSON"
LEFT_OUT = "left-out"
"""In place of an access token; itself in the form of one, so that what is shown can be given again."""
TOKEN = re.compile(
    '("'
    + "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in "access_token")
    + r'"\s*:\s*)"[^"\\]*+(?:\\.[^"\\]*+)*+"?',
    re.IGNORECASE | re.DOTALL,
)
"""The token of a hook request, in whatever spelling of JSON, also where the rest of the text is no JSON at all."""


@dataclass(frozen=True, slots=True)
class Given:
    """`body`: the hook request that the service would get. `text`: what was pasted, without its access token, to
    stay in the form."""

    title: str
    body: bytes
    fixture: Fixture | None = None
    text: str = ""
    moved: timedelta = timedelta(0)
    made: bool = True
    """Whether the request was made here from a chart; False: it was given as one."""
    not_asked: tuple[tuple[str, int], ...] = ()
    """Resource types of the chart that no prefetch key asks for, and how many."""

    @property
    def mark(self) -> str:
        """Tells whether a form still speaks of the same chart."""
        return mark_of(self.text)


def without_token(text: str) -> str:
    return TOKEN.sub(rf'\1"{LEFT_OUT}"', text)


def mark_of(text: str) -> str:
    """The same whatever a browser makes of line ends; no list of words, which of a large text would take half a gigabyte."""
    plain = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16] if plain else ""


def from_fixture(fixture: Fixture, known: Knowledge, today: date) -> Given:
    """Raises ChartError where the fixture's file is broken."""
    chart = read_file(fixture.chart)
    if not isinstance(chart, Chart):
        return Given(fixture.title, chart, fixture, made=False)
    moved = today - fixture.as_of if fixture.as_of else timedelta(0)
    request = as_request(chart, moved, _instance(fixture.name), queries(known))
    return Given(fixture.title, json.dumps(request).encode(), fixture, moved=moved, not_asked=_not_asked(chart, known))


def from_text(text: str, known: Knowledge) -> Given:
    """Raises BadRequest, TooLarge with what was found and what is allowed; never with a value of the chart."""
    if text.count(",") > MOST_VALUES:  # as of a hook request: before anything is read from it
        raise TooLarge("too large", [Fault("what you gave", "more values", f"at most {MOST_VALUES} values")])
    if not text.strip():
        raise _not_usable("nothing to read", "nothing", ALLOWED)
    try:
        content = json.loads(text)
    except RecursionError:
        raise _not_usable("nested too deeply", "deep nesting", ALLOWED) from None
    except json.JSONDecodeError as error:
        where = f"text that is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        raise _not_usable("not JSON", where, ALLOWED) from None
    except ValueError:
        raise _not_usable("not JSON", "a number that cannot be read", ALLOWED) from None
    if not isinstance(content, dict):
        kind = {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(content), "number")
        raise _not_usable("neither a chart nor a hook request", f"a JSON {kind}", ALLOWED)
    if "hook" in content or "hookInstance" in content:
        return Given("your hook request", text.encode("utf-8", "replace"), text=without_token(text), made=False)
    chart = _chart(content)
    return Given("your chart", _as_sent(chart, known, text), text=text, not_asked=_not_asked(chart, known))


def _not_usable(text: str, found: str, allowed: str) -> BadRequest:
    return BadRequest(text, [Fault("what you gave", found, allowed)])


def _chart(content: dict[str, Any]) -> Chart:
    kind = content.get("resourceType")
    if not isinstance(kind, str):
        raise _not_usable("neither a chart nor a hook request", "a JSON object without resourceType and hook", ALLOWED)
    if kind != "Bundle":
        return Chart(((content, None),))
    entries = content.get("entry")
    if not isinstance(entries, list) or not entries:
        raise _not_usable("an empty Bundle", "a Bundle without entries", "a Bundle with the resources of one patient")
    return Chart.of_entries(entries)


def _as_sent(chart: Chart, known: Knowledge, text: str) -> bytes:
    """The request that an EHR would post for the chart, with its dates as they are."""
    try:
        if chart.chart().patient_id is None:
            allowed = "a Patient, or resources that all have the same subject"
            raise BadRequest("whose chart is it?", [Fault("Patient", "none, and not one subject that all share", allowed)])
        return json.dumps(as_request(chart, timedelta(0), _instance(text), queries(known))).encode()
    except RecursionError:
        raise _not_usable("nested too deeply", "deep nesting", ALLOWED) from None


def _not_asked(chart: Chart, known: Knowledge) -> tuple[tuple[str, int], ...]:
    asked = {type_asked(query) for query in queries(known).values()}
    kinds = Counter(str(resource.get("resourceType", "no resourceType"))[:40] for resource, _ in chart.resources)
    return tuple(sorted((kind, count) for kind, count in kinds.items() if kind not in asked))


def _instance(text: str) -> str:
    """The same for the same chart, so that a reload gives the same cards with the same uuids."""
    return str(uuid.uuid5(NAMESPACE, f"page|{mark_of(text)}"))
