"""The envelope of a hook request: checked whole, every fault at once with its path, before anything is read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jsonschema
import msgspec

from cds_service.errors import BadRequest, Fault, TooLarge
from cds_service.fhir import client

UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z"
ID = r"^(Patient/)?(?!\.{1,2}\Z)[A-Za-z0-9._\-]{1,128}\Z"
"""A FHIR id; lenient, for servers that use underscores, and for clients that put the type before it. Another type than
Patient is another question: whose chart is open? ".." is a way elsewhere on a server."""
MAX_TEXT_CHARS, MAX_TOKEN_CHARS = 2_000, 20_000
MAX_JSON_VALUES = client.MAX_JSON_VALUES
"""JSON values in a body, counted by their commas: as in an answer of the FHIR server. A chart has one in 40 bytes, a full
body of charts half as many; a body of nothing but `[],[],` would take a hundred times its size in memory."""
MAX_PREFETCH_KEYS = 100

BEARER = r"^[Bb][Ee][Aa][Rr][Ee][Rr]\Z"
"""OAuth 2 does not mind capitals, and EHRs pass on what their token endpoint said."""
TOKEN_PATTERN = r"^[\x21-\x7e]+\Z"
"""What can stand in an Authorization header."""

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
PATIENT_ID = "a FHIR id, only Patient/ before it"
MAY_BE_NULL = frozenset({"fhirServer", "fhirAuthorization", "extension"})
"""CDS Hooks has an optional field left out (CH-02, CH-04); a null in its place can only mean the same."""
CONTEXTS: dict[str, dict[str, Any]] = {
    "patient-view": {
        "type": "object",
        "required": ["userId", "patientId"],
        "properties": {
            "userId": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS},
            "patientId": {"type": "string", "pattern": ID},
            "encounterId": {"type": ["string", "null"], "maxLength": MAX_TEXT_CHARS},
        },
    }
}
JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


class Envelope(msgspec.Struct, rename="camel"):
    """The parts of the body, each still as it was sent; prefetch is read later and never judged here."""

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
    """What `fhirAuthorization` says. `patient_id`: the one patient that the token is bound to, where it says so (CH-64)."""

    token: str = field(repr=False)
    patient_id: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request that is sound in itself. `prefetch`: key → JSON as sent. The access token goes when the request goes."""

    hook: str
    instance: str
    patient_id: str
    prefetch: dict[str, bytes]
    fhir_server: str = ""
    access: Access | None = None


def parse_request(body: bytes, hook: str) -> HookRequest:
    """Raises BadRequest naming every fault with its path, what was found and what is allowed; TooLarge."""
    try:
        return _parse(body, hook)
    except RecursionError:  # wherever it is: what can just be decoded may be too deep to be checked
        raise BadRequest("the body is nested too deeply", [Fault("body", "deep nesting", "a hook request")]) from None


def _parse(body: bytes, hook: str) -> HookRequest:
    if body.count(b",") > MAX_JSON_VALUES:
        raise TooLarge("the body is too large", [Fault("body", "more values", f"at most {MAX_JSON_VALUES} values")])
    try:
        body.decode("utf-8")
        envelope = ENVELOPE_DECODER.decode(body)
        prefetch_kind = _kind_of(bytes(envelope.prefetch))
        raw = KEYS.decode(envelope.prefetch) if prefetch_kind == "object" else {}
        sent = KEYS.decode(body)
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8", [Fault("body", "bytes that are not UTF-8", "JSON in UTF-8")]) from None
    except msgspec.ValidationError:
        raise BadRequest("the body is not a hook request", [Fault("body", "another JSON type", "an object")]) from None
    except msgspec.DecodeError as error:
        raise BadRequest(
            "the body is not JSON", [Fault("body", f"text that is not JSON ({_where(error)})", "JSON (RFC 8259)")]
        ) from None
    names = ("hook", "hookInstance", "fhirServer", "fhirAuthorization", "context", "extension")
    values = (
        envelope.hook, envelope.hook_instance, envelope.fhir_server, envelope.fhir_authorization, envelope.context,
        envelope.extension,
    )  # fmt: skip
    named = {name: value for name, value in zip(names, values, strict=True) if name in sent}
    plain = {name: value for name, value in named.items() if value is not None or name not in MAY_BE_NULL}
    faults = _faults(plain, prefetch_kind, "prefetch" in sent, hook)
    if faults:
        raise BadRequest("the request is not a sound CDS Hooks request", faults)
    if len(raw) > MAX_PREFETCH_KEYS:
        raise TooLarge("the body is too large", [Fault("prefetch", "more keys", f"at most {MAX_PREFETCH_KEYS} keys")])
    patient = str(envelope.context["patientId"]).rsplit("/", 1)[-1]
    prefetch = {key: bytes(value) for key, value in raw.items()}
    server = str(envelope.fhir_server or "")
    return HookRequest(
        hook, str(envelope.hook_instance).lower(), patient, prefetch, server, _access(envelope.fhir_authorization)
    )


def _access(sent: dict[str, Any] | None) -> Access | None:
    """Checked by SCHEMA. Scopes are not read: EHRs word them in their own ways."""
    if sent is None:
        return None
    lifetime = sent.get("expires_in")
    expired = isinstance(lifetime, int) and lifetime <= 0
    return Access(sent["access_token"], str(sent.get("patient") or "").rsplit("/", 1)[-1], expired)


def _where(error: msgspec.DecodeError) -> str:
    """Where the parser stopped, in our words: it says "truncated" of a lone surrogate, too."""
    text = str(error)
    return text[text.rindex("(") + 1 :].rstrip(")") if "(byte" in text else "it ends or breaks off"


def _kind_of(raw: bytes) -> str:
    start = raw.strip()[:1]
    return {b"{": "object", b"[": "array", b'"': "string", b"n": "null", b"t": "boolean", b"f": "boolean", b"": ""}.get(
        start, "number"
    )


def _faults(plain: dict[str, Any], prefetch_kind: str, prefetch_sent: bool, hook: str) -> list[Fault]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    faults = [_fault(error, "") for error in validator.iter_errors(plain)]
    if prefetch_sent and prefetch_kind not in {"object", "null"}:
        faults.append(Fault("prefetch", prefetch_kind, "object"))
    if isinstance(plain.get("hook"), str) and plain["hook"] != hook:
        faults.append(Fault("hook", "another hook", f"{hook}, the hook of this service"))
    if isinstance(plain.get("context"), dict):
        checker = jsonschema.Draft202012Validator(CONTEXTS[hook])
        faults += [_fault(error, "context") for error in checker.iter_errors(plain["context"])]
    return sorted(faults, key=lambda fault: fault.where)


def _fault(error: jsonschema.ValidationError, base: str) -> Fault:
    """Path, JSON type and what is allowed: never the value, which may be a patient's."""
    path = ".".join([part for part in (base, *map(str, error.absolute_path)) if part])
    if error.validator in {"required", "dependentRequired"}:
        wanted = error.message.split("'")[1]
        if error.validator == "dependentRequired":
            wanted = "fhirServer"
        return Fault(".".join(part for part in (path, wanted) if part), "nothing", "this field is required")
    found = JSON_TYPES.get(type(error.instance), "something else")
    allowed = {
        "type": f"{error.validator_value}",
        "pattern": {UUID: "a UUID", TOKEN_PATTERN: "a bearer token", BEARER: "Bearer"}.get(
            str(error.validator_value), PATIENT_ID
        ),
        "minLength": "text that is not empty",
        "maxLength": f"at most {error.validator_value} characters",
        "const": f"{error.validator_value}",
    }.get(str(error.validator), str(error.validator))
    if error.validator in {"pattern", "minLength", "maxLength", "const"}:
        found = f"another {found}"
    return Fault(path or "body", found, allowed)
