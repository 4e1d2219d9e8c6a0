"""Resolves references to resources: relative, absolute, versioned, or the urn of a Bundle entry."""

from __future__ import annotations

from collections.abc import Mapping

from cds_service.fhir.resources import Reference


def split_reference(reference: Reference | None, names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return (type, id), or None if the reference names no resource. `names`: fullUrl of a Bundle entry → the reference of its
    resource."""
    text = (reference.reference or "") if reference else ""
    text = names.get(text, text).split("/_history/")[0]
    if "?" in text:
        return None  # a conditional reference names no resource
    parts = text.rstrip("/").split("/")
    if len(parts) >= 2:
        return parts[-2], parts[-1]
    return ("", text.removeprefix("urn:uuid:")) if text.startswith("urn:") else None


def resolve_reference(reference: Reference | None, names: Mapping[str, str]) -> str | None:
    """Return "Observation/7" for a relative, absolute, versioned or urn reference, or None."""
    found = split_reference(reference, names)
    return "/".join(found) if found and found[0] else None


def patient_of(reference: Reference | None) -> tuple[str, str] | None:
    """Return (type, id) of the subject of a resource, or None. For code that separates patients before the chart is built."""
    return split_reference(reference, {})
