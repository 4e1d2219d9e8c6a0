"""Validates the few resources that decided against strict R4 with `fhir.resources`. An error is reported and changes no
verdict, because the fields that count were validated separately, and a contraindication must not be lost over a trailing
space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module

import msgspec
from pydantic import ValidationError

from cds_service.clinical_picture import Unreadable
from cds_service.fhir.contained import KIND
from cds_service.reasons import Explanation, Reason

VALIDATED_TYPES = (
    "Patient",
    "Condition",
    "Procedure",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "ServiceRequest",
    "DiagnosticReport",
    "ImagingStudy",
)
MODELS = {name: getattr(import_module(f"fhir.resources.R4B.{name.lower()}"), name) for name in VALIDATED_TYPES}
"""fhir.resources has R4B but no R4 package, and defaults to R5. Imported at start, so that no request waits for it."""

UNKNOWN_ELEMENT = "extra_forbidden"
"""The library's kind of error for an element that FHIR does not have. It is ignored, as everywhere in a request."""


def strict_r4_faults(references: Iterable[str], sources: Mapping[str, bytes]) -> list[Unreadable]:
    """Return, for each resource that is not valid R4, its reference and the path and kind of its first error, never a value."""
    found: list[Unreadable] = []
    for reference in dict.fromkeys(references):
        raw = sources.get(reference)
        model = MODELS.get(_type_of(reference, raw)) if raw is not None else None
        if model is None or raw is None:
            continue
        try:
            model.model_validate_json(raw)
        except ValidationError as error:
            errors = error.errors(include_input=False, include_url=False, include_context=False)
            if first := next((each for each in errors if each["type"] != UNKNOWN_ELEMENT), None):
                found.append(Unreadable(None, reference, _why(".".join(map(str, first["loc"])), first["type"])))
        except RecursionError:
            found.append(Unreadable(None, reference, Explanation(Reason.NESTED_TOO_DEEPLY)))
        except Exception:  # the library's validators can raise anything on input they do not expect: `"_recordedDate": "2026"`
            found.append(Unreadable(None, reference, _why("", "the check broke off")))
    return found


def _type_of(reference: str, raw: bytes) -> str:
    """Return the type of the resource itself; the reference of a contained one begins with the type of its container."""
    if "#" not in reference:
        return reference.split("/")[0]
    try:
        return str(KIND.decode(raw).resource_type)
    except msgspec.MsgspecError:
        return ""


def _why(path: str, fault: str) -> Explanation:
    if not path:
        return Explanation(Reason.WHOLE_NOT_VALID_R4, fault=fault)
    return Explanation(Reason.PART_NOT_VALID_R4, path=path, fault=fault)
