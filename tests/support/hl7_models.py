"""Judges answers by HL7's own logical models of CDS Hooks (tests/data/hl7-cds-hooks-models): elements, cardinalities, types,
bindings and invariants."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "tests/data/hl7-cds-hooks-models"
TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda sent: isinstance(sent, str) and sent != "",
    "markdown": lambda sent: isinstance(sent, str) and sent != "",
    "code": lambda sent: isinstance(sent, str) and re.fullmatch(r"\S+( \S+)*", sent) is not None,
    "url": lambda sent: isinstance(sent, str) and "://" in sent,
    "uuid": lambda sent: isinstance(sent, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent) is not None,
    "boolean": lambda sent: isinstance(sent, bool),
    "Coding": lambda sent: isinstance(sent, dict) and set(sent) <= {"system", "code", "display"} and "code" in sent,
    "Resource": lambda sent: isinstance(sent, dict) and isinstance(sent.get("resourceType"), str),
}
BOUND = {
    "CDSIndicator": {"info", "warning", "critical"}, "CDSActionType": {"create", "update", "delete"},
    "CDSSelectionBehavior": {"at-most-one", "any"}, "CDSLinkType": {"absolute", "smart"},
}  # fmt: skip
"""The model's own text lists these indicators; its code system has another one (README of the models)."""
EXTENSION = "extension"
"""Every element of these messages is a CDSHooksElement, which has it."""
PROPERTY_KEY = "/json-property-key"
"""Marks an element whose entries are the keys of an object: prefetch."""
INVARIANTS: dict[str, Callable[[Any], bool]] = {
    "cds-resp-1": lambda card: (
        card.get("selectionBehavior") != "at-most-one"
        or sum(bool(s.get("isRecommended")) for s in card.get("suggestions", [])) <= 1
    ),
    "cds-resp-2": lambda action: action["type"] != "delete" or ("resourceId" in action and "resource" not in action),
    "cds-resp-3": lambda link: link["type"] == "smart" or "appContext" not in link,
    "cds-resp-4": lambda coding: "display" in coding,
    "cds-resp-5": lambda suggestion: all("description" in action for action in suggestion.get("actions", [])),
    "cds-resp-6": lambda card: "suggestions" not in card or "selectionBehavior" in card,
    "cds-resp-7": lambda suggestion: suggestion.get("actionSelectionBehavior", "all") in {"all", "any", "at-most-one"},
}


@cache
def elements(model: str) -> dict[str, dict[str, Any]]:
    content = json.loads((FOLDER / f"StructureDefinition-{model}.json").read_text("utf-8"))
    return {element["path"].partition(".")[2]: element for element in content["snapshot"]["element"]}


def faults(model: str, sent: dict[str, Any]) -> list[str]:
    """Return what HL7's model has against an answer: `CDSHooksResponse` or `CDSHooksServices`."""
    return list(_faults(elements(model), "", sent))


def _faults(model: dict[str, dict[str, Any]], path: str, sent: dict[str, Any]) -> Iterator[str]:
    inside = {name.rsplit(".", 1)[-1]: name for name in model if name and name.rpartition(".")[0] == path}
    yield from (f"{path}.{key}: no such element" for key in sent if key not in {*inside, EXTENSION})
    if EXTENSION in sent and not isinstance(sent[EXTENSION], dict):
        yield f"{path}.{EXTENSION}: is no object"
    for key, name in inside.items():
        element = model[name]
        if key not in sent:
            if element["min"]:
                yield f"{name}: is missing"
            continue
        if any(mark["url"].endswith(PROPERTY_KEY) for mark in element.get("extension", [])):
            entries = sent[key].values() if isinstance(sent[key], dict) else [None]
            yield from (f"{name}: is no object of texts" for value in entries if not isinstance(value, str))
            continue
        many = element["max"] != "1"
        values = sent[key] if many and isinstance(sent[key], list) else [sent[key]]
        if many != isinstance(sent[key], list):
            yield f"{name}: one or several?"
        for value in values:
            yield from _value_faults(model, name, element, value)


def _value_faults(model: dict[str, dict[str, Any]], name: str, element: dict[str, Any], value: Any) -> Iterator[str]:
    for constraint in element.get("constraint", []):
        if constraint["key"] in INVARIANTS and not INVARIANTS[constraint["key"]](value):
            yield f"{name}: {constraint['key']}: {constraint['human']}"
    kinds = [kind["code"] for kind in element.get("type", [])]
    for kind in kinds:
        if kind in TYPES and not TYPES[kind](value):
            yield f"{name}: is no {kind}: {value!r}"
        elif kind not in TYPES and not isinstance(value, dict):
            yield f"{name}: is no object"
    bound = element.get("binding", {}).get("valueSet", "").rsplit("/", 1)[-1]
    if bound in BOUND and value not in BOUND[bound]:
        yield f"{name}: {value!r} is none of {sorted(BOUND[bound])}"
    if isinstance(value, dict) and any(path.startswith(f"{name}.") for path in model):
        yield from _faults(model, name, value)
