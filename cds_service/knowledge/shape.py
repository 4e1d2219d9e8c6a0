"""Compare a TOML file with its JSON schema and describe each misfit as a sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

import jsonschema

from cds_service.errors import Fault

Tables = Mapping[str, Any]
MAX_SHOWN_CHARS = 120
TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}
LENGTHS = {
    "minLength": ("at least", "character", "characters"),
    "maxLength": ("at most", "character", "characters"),
    "minItems": ("at least", "entry", "entries"),
    "maxItems": ("at most", "entry", "entries"),
    "minProperties": ("at least", "key", "keys"),
    "maxProperties": ("at most", "key", "keys"),
}
"""Keyword of the schema → how a sentence words the bound: its direction, and the counted thing in singular and plural."""


def unknown_name(where: str, name: str, expected: str, known: Iterable[str] = ()) -> Fault:
    """Return the fault of a key `where` that names something which is not `expected`; suggests the nearest of `known`."""
    near = difflib.get_close_matches(name, known, 1)
    return Fault(where, f"names {name!r}, which is not {expected}" + (f"; did you mean {near[0]!r}?" if near else ""))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the known name nearest to a wrong one; "" if none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def shape_faults(schema: Tables, name: str, content: Tables) -> Iterator[Fault]:
    """Yield every fault of the file `name`, whose parsed tables are `content`, against its part of schema.json."""
    part = "modality" if name.startswith("modalities/") else name
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]})
    yield from describe_errors(name, validator.iter_errors(content))


def describe_errors(name: str, errors: Iterable[jsonschema.ValidationError]) -> list[Fault]:
    """Return the faults of the schema errors of the file `name`, ordered by path; entries of lists are counted from 1.

    Uses the schema's `description` where there is one. Never repeats a table, which may hold keys of a client.
    """
    ordered = sorted(errors, key=lambda error: [str(step) for step in error.absolute_path])
    # jsonschema raises one error for each missing key, and each of these errors is described with all missing keys
    return list(dict.fromkeys(fault for error in ordered for fault in _describe_error(name, error)))


def _describe_error(name: str, error: jsonschema.ValidationError) -> Iterator[Fault]:
    path = [str(step + 1) if isinstance(step, int) else str(step) for step in error.absolute_path]
    allowed: Any = error.validator_value
    found: Any = error.instance
    shape: Any = error.schema

    def at(*keys: str) -> str:
        return f"{name}: {'.'.join((*path, *keys)) or 'top level'}"

    if "propertyNames" in list(error.absolute_schema_path)[-2:-1]:
        yield Fault(at(), f"must not have the key {_short(found)}; a key {_requirement(error.validator, allowed, shape)}")
        return
    match error.validator:
        case "additionalProperties" if allowed is False:
            yield from _unknown_keys(at, shape, found)
        case "required":
            yield from (Fault.missing(at(key)) for key in allowed if key not in found)
        case "dependentRequired":
            for key in allowed.keys() & found.keys():
                yield from (Fault(at(other), f"is required beside {key}") for other in allowed[key] if other not in found)
        case "anyOf" | "oneOf" if all(option.keys() == {"required"} for option in allowed):
            keys = ", ".join(" and ".join(option["required"]) for option in allowed)
            yield Fault(at(), f"must have {'at least' if error.validator == 'anyOf' else 'exactly'} one of {keys}")
        case "not" if allowed.keys() == {"required"}:
            yield Fault(at(), f"must not have {' and '.join(allowed['required'])} together")
        case "enum" | "const":
            options = allowed if error.validator == "enum" else [allowed]
            listed = ", ".join(str(option).lower() if isinstance(option, bool) else str(option) for option in options)
            yield Fault.wrong(at(), _short(found), f"one of {listed}" if len(options) > 1 else listed)
        case "type":
            kinds = [allowed] if isinstance(allowed, str) else allowed
            yield Fault.wrong(at(), _short(found), " or ".join(TYPES[kind] for kind in kinds))
        case "uniqueItems":
            repeated = sorted({_short(item) for item in found if found.count(item) > 1})
            yield Fault(at(), f"must have each entry once; repeated: {', '.join(repeated)}")
        case "minimum" | "maximum":
            yield Fault.wrong(at(), _short(found), f"{'at least' if error.validator == 'minimum' else 'at most'} {allowed}")
        case length if length in LENGTHS:
            yield Fault(at(), f"{_requirement(length, allowed, shape)}; it has {len(found)}")
        case _:
            yield Fault(at(), f"is {_short(found)}; it {_requirement(error.validator, allowed, shape)}")


def _unknown_keys(at: Callable[[str], str], shape: Tables, found: Tables) -> Iterator[Fault]:
    known, patterns = sorted(shape.get("properties", {})), sorted(shape.get("patternProperties", {}))
    for key in found:
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        hint = did_you_mean(key, known) or "."
        listed = [*known, *(f"keys that match {pattern}" for pattern in patterns)]
        yield Fault(at(key), f"is not a known key{hint} Allowed: {', '.join(listed)}")


def _requirement(keyword: object, allowed: Any, shape: Tables) -> str:
    """Return what a value has to be, from "must" on."""
    if keyword in LENGTHS:
        bound, singular, plural = LENGTHS[str(keyword)]
        return f"must have {bound} {allowed} {singular if allowed == 1 else plural}"
    if "description" in shape:
        return f"must be {shape['description']}"
    return f"must match {allowed}" if keyword == "pattern" else f"must fit its schema ({keyword})"


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        kind = "table" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if isinstance(value, str) and "@" in value:
        return 'text with "@" (not repeated, as it may hold a password)'
    text = str(value) if isinstance(value, date | time | Decimal) else repr(value)
    if isinstance(value, bool):
        text = text.lower()
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
