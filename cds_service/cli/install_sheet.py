"""Print the install sheet in Markdown: what to type into an EHR that does not read discovery."""

from __future__ import annotations

from collections.abc import Mapping

from cds_service.fhir.client import EPIC_CATEGORIES
from cds_service.fhir.queries import build_queries
from cds_service.fhir.resources import queried_type
from cds_service.hooks.retrieval import REQUIRED_KEYS
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import FactKind

EHR_NAMES = ("generic", "epic", "oracle")
BY_CATEGORY = "observationsByCategory"
"""The key for an Observation query by category. It is no key of discovery, so its answer never counts as all Observations."""
NOTES = {
    "generic": (
        "The keys and queries are those of discovery (`GET /cds-services`); an EHR that reads it needs nothing typed.",
        "A key may be left out, renamed or added: resources are used by what they are. For a key that is left out the service "
        "asks `fhirServer`, if the request has one with a token and the site file allows its origin.",
    ),
    "epic": (
        "Epic does not read discovery: type each key and query into the criteria record of the advisory.",
        "The endpoint must be typed exactly as it is registered, or the hook fires without data.",
        "Epic rejects an Observation search without a category, and the categories procedure, therapy and activity. The query "
        "below names the other six, each with its own scope, and may be shortened. Observations without a category are not "
        f"found by it, so type it under `{BY_CATEGORY}`: what it finds counts, and the rest counts as not known. Never type it "
        "under `observations`: what was not asked would then count as absent.",
        "Add native criteria, for example a problem list entry of C7A, C7B or C78.7, so that the hook does not fire on every "
        "chart.",
        "Register the client's `iss` and key set address by hand; the site has both.",
        "For order-select and order-sign, scope the drafts as unsigned orders, and their Medications too. A suggestion has "
        "one action.",
    ),
    "oracle": (
        "There is no field for prefetch: the service asks `fhirServer` itself, with the token of the request, for the queries "
        "below. Allow its origin in the site file, and register these scopes.",
        "Only patient-view is offered, with a trigger condition registered by hand.",
        "Links on cards work only if their hosts are allowed there: doi.org and pubmed.ncbi.nlm.nih.gov.",
    ),
}


def install_sheet(knowledge: Knowledge, ehr: str, hooks: Mapping[str, str]) -> str:
    """Return the install sheet in Markdown. `ehr`: one of EHR_NAMES. `hooks`: service → its hook."""
    asked = build_queries(knowledge)
    if ehr == "epic":
        asked = dict(map(_by_category, asked, asked.values()))
    parts = [
        f"# Install sheet ({ehr})",
        "\n".join([*_addresses(ehr, hooks), *(f"- {note}" for note in NOTES[ehr])]),
        "## Queries" if ehr == "oracle" else "## Keys and queries",
        "\n\n".join(_query(key, query) for key, query in asked.items()),
        "## Scopes",
        "By their SMART names (version 1, version 2); an EHR may have others:",
        "\n".join(_scopes(asked)),
        "## What each key supplies",
        "\n".join(f"- **{key}**: {'; '.join(names)}" for key, names in _supplies(knowledge, asked).items()),
    ]
    return "\n\n".join(parts)


def _addresses(ehr: str, hooks: Mapping[str, str]) -> list[str]:
    """Return a line for each hook that the EHR offers, with the address of its service."""
    offered = {service: hook for service, hook in hooks.items() if ehr != "oracle" or hook == "patient-view"}
    return ["- FHIR R4", *(f"- hook {hook}: POST …/cds-services/{service}" for service, hook in offered.items())]


def _by_category(key: str, query: str) -> tuple[str, str]:
    return (BY_CATEGORY, f"{query}&category={EPIC_CATEGORIES}") if key == "observations" else (key, query)


def _query(key: str, query: str) -> str:
    need = "required" if key in REQUIRED_KEYS else "optional: data that is not sent counts as not known"
    return f"**{key}** ({need})\n\n    {query}"


def _scopes(asked: Mapping[str, str]) -> list[str]:
    kinds = dict.fromkeys(queried_type(query) for query in asked.values())
    extra = ["- Medication: `user/Medication.read`, `user/Medication.r` (where prescriptions only refer to a drug)"]
    return [f"- {kind}: `user/{kind}.read`, `user/{kind}.rs`" for kind in kinds] + extra


def _supplies(knowledge: Knowledge, asked: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in asked}
    for definition in knowledge.facts.values():
        for key in _keys(definition):
            found[key if key in found else BY_CATEGORY].append(definition.says)
    found["conditions"].insert(0, "the diagnosis itself: neuroendocrine neoplasm and liver metastases")
    found["serviceRequests"].append("active orders")
    found["diagnosticReports"].append("that a report or an echocardiogram exists, and when; its text is not read")
    return found


def _keys(definition: FactDefinition) -> list[str]:
    if definition.id in {"age", "sex"}:
        return ["patient"]
    if definition.kind is FactKind.PERSON:
        return ["conditions"]
    if definition.source == "Medication":
        return ["medicationRequests", "medicationStatements"]
    keys = {"Condition": ["conditions"], "Procedure": ["procedures"], "Observation": ["observations"]}[definition.source]
    coded = definition.source == "Observation" and any(concept.startswith("cond.") for concept in definition.concepts)
    return [*keys, "conditions"] if coded else keys
