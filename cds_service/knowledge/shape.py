"""A TOML file against its schema: each fault with its table and key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from cds_service.errors import Fault

Tables = Mapping[str, Any]
MAX_SHOWN_CHARS = 120
TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}
BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} character",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entry",
    "minProperties": "at least {} key",
}


def shape_faults(schema: Tables, name: str, content: Tables) -> Iterator[Fault]:
    part = "modality" if name.startswith("modalities/") else name
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]})
    for error in sorted(validator.iter_errors(content), key=lambda e: [str(step) for step in e.absolute_path]):
        yield from describe_error(name, error)


def describe_error(name: str, error: jsonschema.ValidationError) -> Iterator[Fault]:
    """In words; those of the schema's `description` where it has them. A table is never repeated: it may hold keys."""
    path = ".".join(str(step) for step in error.absolute_path)
    allowed: Any = error.validator_value
    found: Any = error.instance
    shape: Any = error.schema

    def at(key: str = "") -> str:
        return f"{name}: {'.'.join(part for part in (path, key) if part) or 'top level'}"

    match error.validator:
        case "additionalProperties" if allowed is False:
            known = sorted(shape.get("properties", {})) or sorted(shape.get("patternProperties", {}))
            patterns = shape.get("patternProperties", {})
            for key in (k for k in found if k not in known and not any(re.search(p, k) for p in patterns)):
                near = difflib.get_close_matches(key, known, 1)
                yield Fault(at(key), f"the key {key!r}", (f"{near[0]}? One of " if near else "one of ") + ", ".join(known))
        case "required":
            yield from (Fault(at(key), "nothing", "this key is needed") for key in allowed if key not in found)
        case "enum" | "const":
            options = allowed if error.validator == "enum" else [allowed]
            said = ", ".join(str(option).lower() if isinstance(option, bool) else str(option) for option in options)
            yield Fault(at(), _short(found), f"one of {said}" if len(options) > 1 else said)
        case "type":
            kinds = [allowed] if isinstance(allowed, str) else allowed
            yield Fault(at(), _short(found), " or ".join(TYPES[kind] for kind in kinds))
        case "uniqueItems":
            twice = sorted({_short(item).strip("'") for item in found if found.count(item) > 1})
            yield Fault(at(), f"{', '.join(twice)} twice", "each once")
        case bound if bound in BOUNDS:
            yield Fault(at(), _short(found), BOUNDS[bound].format(allowed))
        case _ if "description" in shape:
            yield Fault(at(), _short(found), shape["description"])
        case "pattern":
            yield Fault(at(), _short(found), f"text of the form {allowed}")
        case _:
            yield Fault(at(), _short(found), f"see schema.json, {error.validator}")


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return {dict: "a table", list: "a list"}[type(value)] if value else "nothing in it"
    if isinstance(value, str) and "@" in value:
        return "a text with @, not repeated: it may hold a password"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
