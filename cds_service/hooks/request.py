"""Checks the envelope of a hook request: everything except the content of prefetch. Reports every error at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

import jsonschema
import msgspec

from cds_service.errors import BadRequest, Fault, TooLarge
from cds_service.fhir import client

UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z"
ID = r"^(Patient/)?(?!\.{1,2}\Z)[A-Za-z0-9._\-]{1,128}\Z"
"""A FHIR id. Underscores are accepted, as some servers use them, and `Patient/` before the id, as some clients send it; another
type would be ambiguous. `.` and `..` are rejected, because the id becomes part of a URL."""
MAX_TEXT_CHARS, MAX_TOKEN_CHARS = 2_000, 20_000
MAX_JSON_VALUES = client.MAX_JSON_VALUES
"""JSON values in a body, counted by its commas, as for answers of the FHIR server. A chart has one value in 40 bytes, so the
largest body has half this number; a body of `[],[],` only would need a hundred times its size in memory."""
MAX_PREFETCH_KEYS = 100

BEARER = r"^[Bb][Ee][Aa][Rr][Ee][Rr]\Z"
"""In any case: OAuth 2 ignores case, and EHRs pass on what their token endpoint sent."""
TOKEN_PATTERN = r"^[\x21-\x7e]+\Z"
"""Characters that are allowed in an Authorization header."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    "properties": {
        "hook": {"type": "string"},
        "hookInstance": {"type": "string", "pattern": UUID},
        "fhirServer": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS},
        "fhirAuthorization": {
            "type": "object",
            "required": ["access_token", "token_type"],
            "properties": {
                "access_token": {"type": "string", "pattern": TOKEN_PATTERN, "maxLength": MAX_TOKEN_CHARS},
                "token_type": {"type": "string", "pattern": BEARER},
            },
        },
        "context": {"type": "object"},
        "prefetch": {"type": ["object", "null"]},
        "extension": {"type": "object"},
    },
    "dependentRequired": {"fhirAuthorization": ["fhirServer"]},
}
PATTERN_WORDS = {
    UUID: "must be a UUID",
    TOKEN_PATTERN: "must be a bearer token",
    BEARER: "must be Bearer",
    ID: "must be a FHIR id; only Patient/ may precede it",
}
MAY_BE_NULL = frozenset({"fhirServer", "fhirAuthorization", "extension"})
"""Optional fields should be omitted (CH-02, CH-04); null is accepted with the same meaning."""
COMMON: dict[str, Any] = {
    "userId": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS},
    "patientId": {"type": "string", "pattern": ID},
    "encounterId": {"type": ["string", "null"], "maxLength": MAX_TEXT_CHARS},
}
DRAFTS: dict[str, Any] = {"draftOrders": {"type": "object"}}
SELECTIONS: dict[str, Any] = {"selections": {"type": "array", "items": {"type": "string", "maxLength": MAX_TEXT_CHARS}}}


def _context(**more: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["userId", "patientId", *more], "properties": COMMON | more}


CONTEXTS = {
    "patient-view": _context(),
    "order-select": _context(**SELECTIONS, **DRAFTS),
    "order-sign": _context(**DRAFTS),
}
JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
TYPE_WORDS = {
    "object": "an object", "array": "an array", "string": "a string", "boolean": "a boolean", "number": "a number",
}  # fmt: skip
MIN_KEY_SIMILARITY = 0.8
"""Ratio of `difflib`, 0 to 1, from which a sent key counts as a misspelling of a missing one."""
MAX_EXTRA_CHARS, MAX_COMPARED_KEYS = 2, 50
"""Only keys that are at most this much longer than the missing key are compared, since a longer key may contain a name. Only
this many keys are compared, since comparing is slow."""
PLAIN_KEY = re.compile(r"[A-Za-z_\-]+")
"""Keys that an error message may repeat. Digits are excluded, as a key with digits may contain an id of a patient."""


class Envelope(msgspec.Struct, rename="camel"):
    """The top-level fields of the body, not yet checked. The content of prefetch is not decoded here."""

    hook: Any = None
    hook_instance: Any = None
    fhir_server: Any = None
    fhir_authorization: Any = None
    context: Any = None
    prefetch: msgspec.Raw = msgspec.Raw()
    extension: Any = None


ENVELOPE_DECODER = msgspec.json.Decoder(Envelope)
KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Access:
    """The `fhirAuthorization` of a request. `patient_id`: the patient that the token is restricted to, or "" (CH-64)."""

    token: str = field(repr=False)
    patient_id: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A valid request. `prefetch`: key → JSON as sent. The access token is kept here only, and dropped with the request."""

    hook: str
    instance: str
    patient_id: str
    prefetch: dict[str, bytes]
    fhir_server: str = ""
    access: Access | None = None
    selections: tuple[str, ...] = ()
    """References of the newly selected drafts (order-select)."""
    draft_orders: object = None
    """The Bundle of drafts as sent (order-select, order-sign)."""


def parse_request(body: bytes, hook: str) -> HookRequest:
    """Return the request in a body. Raises BadRequest, listing every error, or TooLarge."""
    try:
        return _parse(body, hook)
    except RecursionError:  # also a body that can be decoded may be too deep for the checks
        raise BadRequest("the body is nested too deeply", [Fault("body", "is nested too deeply")]) from None


def _parse(body: bytes, hook: str) -> HookRequest:
    if body.count(b",") > MAX_JSON_VALUES:
        raise TooLarge("the body is too large", [Fault("body", f"must have at most {MAX_JSON_VALUES} JSON values")])
    try:
        body.decode("utf-8")
        envelope = ENVELOPE_DECODER.decode(body)
        prefetch_kind = _kind_of(bytes(envelope.prefetch))
        raw = KEYS.decode(envelope.prefetch) if prefetch_kind == "object" else {}
        sent = KEYS.decode(body)
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8", [Fault("body", "must be JSON in UTF-8")]) from None
    except msgspec.ValidationError:
        raise BadRequest("the body is not a hook request", [Fault("body", "must be a JSON object")]) from None
    except msgspec.DecodeError as error:
        raise BadRequest("the body is not JSON", [Fault("body", f"is not valid JSON (RFC 8259): {_where(error)}")]) from None
    names = ("hook", "hookInstance", "fhirServer", "fhirAuthorization", "context", "extension")
    values = (
        envelope.hook, envelope.hook_instance, envelope.fhir_server, envelope.fhir_authorization, envelope.context,
        envelope.extension,
    )  # fmt: skip
    named = {name: value for name, value in zip(names, values, strict=True) if name in sent}
    plain = {name: value for name, value in named.items() if value is not None or name not in MAY_BE_NULL}
    faults = _faults(plain, prefetch_kind, sent, hook)
    if faults:
        raise BadRequest("invalid CDS Hooks request", faults)
    if len(raw) > MAX_PREFETCH_KEYS:
        raise TooLarge("the body is too large", [Fault("prefetch", f"must have at most {MAX_PREFETCH_KEYS} keys")])
    context = envelope.context
    patient = str(context["patientId"]).rsplit("/", 1)[-1]
    prefetch = {key: bytes(value) for key, value in raw.items()}
    server = str(envelope.fhir_server or "")
    selections = tuple(context["selections"]) if "selections" in CONTEXTS[hook]["properties"] else ()
    drafts = context["draftOrders"] if "draftOrders" in CONTEXTS[hook]["properties"] else None
    return HookRequest(
        hook, str(envelope.hook_instance).lower(), patient, prefetch, server, _access(envelope.fhir_authorization),
        selections, drafts,
    )  # fmt: skip


def _access(sent: dict[str, Any] | None) -> Access | None:
    """Return the access of a `fhirAuthorization` that SCHEMA has checked. Scopes are not read: EHRs write them differently."""
    if sent is None:
        return None
    lifetime = sent.get("expires_in")
    expired = isinstance(lifetime, int) and lifetime <= 0
    return Access(sent["access_token"], str(sent.get("patient") or "").rsplit("/", 1)[-1], expired)


def _where(error: msgspec.DecodeError) -> str:
    """Return where the parser stopped. Its message is not used: it calls a lone surrogate "truncated"."""
    text = str(error)
    return f"error at {text[text.rindex('(') + 1 :].rstrip(')')}" if "(byte" in text else "truncated, or with a lone surrogate"


def _kind_of(raw: bytes) -> str:
    start = raw.strip()[:1]
    return {b"{": "object", b"[": "array", b'"': "string", b"n": "null", b"t": "boolean", b"f": "boolean", b"": ""}.get(
        start, "number"
    )


def _faults(plain: dict[str, Any], prefetch_kind: str, sent: Collection[str], hook: str) -> list[Fault]:
    """Return every error of an envelope. `plain`: its known fields. `sent`: all its keys."""
    faults = [
        fault for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(plain) for fault in _faults_of(error, "", sent)
    ]
    if "prefetch" in sent and prefetch_kind not in {"object", "null"}:
        faults.append(Fault.wrong("prefetch", TYPE_WORDS[prefetch_kind], "an object or null"))
    if isinstance(plain.get("hook"), str) and plain["hook"] != hook:
        faults.append(Fault.wrong("hook", "another hook", hook))
    if isinstance(context := plain.get("context"), dict):
        checker = jsonschema.Draft202012Validator(CONTEXTS[hook])
        faults += [fault for error in checker.iter_errors(context) for fault in _faults_of(error, "context", context)]
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.where)


def _faults_of(error: jsonschema.ValidationError, base: str, sent: Collection[str]) -> list[Fault]:
    """Return the errors that a schema error stands for: path, JSON type, what is allowed; never a value of the request.

    `sent`: the keys of the checked object itself. jsonschema reports each missing key with the whole list of required keys,
    so the result may repeat faults.
    """
    steps = [str(step + 1) if isinstance(step, int) else str(step) for step in error.absolute_path]
    path = ".".join(part for part in (base, *steps) if part)
    limit: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "required":
            keys, allowed = instance if steps else sent, schema["properties"]
            missing = [key for key in limit if key not in instance]
            return [Fault(f"{path}.{key}" if path else key, f"is required{suggest_key(key, keys, allowed)}") for key in missing]
        case "dependentRequired":
            return [Fault("fhirServer", "is required if fhirAuthorization is sent")]
        case "type":
            expected = " or ".join(TYPE_WORDS.get(kind, kind) for kind in ([limit] if isinstance(limit, str) else limit))
            found = JSON_TYPES[type(instance)]
            return [Fault.wrong(path, TYPE_WORDS.get(found, found), expected)]
        case "pattern":
            return [Fault(path, PATTERN_WORDS[limit])]
        case "minLength":
            return [Fault(path, "must not be empty")]
        case _:
            return [Fault(path, f"must be at most {limit} characters")]


def suggest_key(missing: str, sent: Iterable[str], allowed: Collection[str]) -> str:
    """Return `; did you mean …?` if one of the `sent` keys is nearly the `missing` one and is not itself `allowed`, else ""."""
    plain = _letters(missing)
    keys = (
        key
        for key in sent
        if len(key) <= len(missing) + MAX_EXTRA_CHARS and key not in allowed and PLAIN_KEY.fullmatch(key) is not None
    )
    near = {key: SequenceMatcher(None, plain, _letters(key)).ratio() for key in islice(keys, MAX_COMPARED_KEYS)}
    best = max(near, key=near.__getitem__, default="")
    return f'; "{best}" was sent: did you mean "{missing}"?' if best and near[best] >= MIN_KEY_SIMILARITY else ""


def _letters(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "")
