"""Whom or what a reference names: relative, absolute, versioned, or the urn of a Bundle entry."""

from __future__ import annotations

from collections.abc import Mapping

from cds_service.fhir.resources import Reference


def split_reference(reference: Reference | None, names: Mapping[str, str]) -> tuple[str, str] | None:
    """(type, id), or None. `names`: fullUrl of a Bundle entry → the reference of its resource."""
    text = (reference.reference or "") if reference else ""
    text = names.get(text, text).split("/_history/")[0]
    if "?" in text:
        return None  # a conditional reference names nobody
    parts = text.rstrip("/").split("/")
    if len(parts) >= 2:
        return parts[-2], parts[-1]
    return ("", text.removeprefix("urn:uuid:")) if text.startswith("urn:") else None


def resolve_reference(reference: Reference | None, names: Mapping[str, str]) -> str | None:
    """ "Observation/7": what a relative, absolute, versioned or urn reference refers to."""
    found = split_reference(reference, names)
    return "/".join(found) if found and found[0] else None


def patient_of(reference: Reference | None) -> tuple[str, str] | None:
    """(type, id) of whom a resource is about; None where it names nobody. For whoever has to tell patients apart first."""
    return split_reference(reference, {})
