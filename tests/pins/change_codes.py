"""How codes are changed: taken out, or under another `use`; and which change nobody could notice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from cds_service.fhir.gate import PLAIN_METASTASIS
from cds_service.knowledge.terminology import PREFIX_SYSTEMS
from tests.pins.change import Instead, Place, entries


def codes_of_sets(value: Any, place: Place) -> Iterator[Instead]:
    """Every code taken out, and under every other `use` of its concept. ICD-10 codes inside a shorter one that says the
    same cannot be missed by anybody, so those are not taken out."""
    uses: dict[str, dict[str, None]] = {}
    rows: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for table in value:
        uses.setdefault(table["concept"], {"decides": None, "context": None})[table["use"]] = None
        for code in table["codes"]:
            rows.setdefault((table["system"], code.replace(".", "")), set()).add((table["concept"], table["use"]))
    for number_, table in enumerate(value):
        if not _is_read(table["concept"], table["use"], place.files):
            continue
        for code, display in table["codes"].items():
            fewer = {**table, "codes": {other: d for other, d in table["codes"].items() if other != code}}
            rest = [*value[:number_], fewer, *value[number_ + 1 :]]
            words = f"{table['concept']} {table['system']} {code}"
            if not _inside(table, code, rows) and code not in PLAIN_METASTASIS:
                yield Instead(f"{words}: taken out", rest, around=False)
            for use in uses[table["concept"]]:
                if use != table["use"] and not _alike(table["concept"], code, {use, table["use"]}):
                    moved = {**table, "use": use, "codes": {code: display}}
                    yield Instead(f"{words}: {table['use']} → {use}", [*rest, moved], around=False)


def _inside(table: Mapping[str, Any], code: str, rows: Mapping[tuple[str, str], set[tuple[str, str]]]) -> bool:
    bare = code.replace(".", "")
    shorter = (rows.get((table["system"], bare[:length])) for length in range(len(bare) - 1, 2, -1))
    return table["system"] in PREFIX_SYSTEMS and next(filter(None, shorter), None) == rows[table["system"], bare]


def _alike(concept: str, code: str, uses: set[str]) -> bool:
    """Whether two uses say the same of a code. A neuroendocrine code whose differentiation is not known says it as any other
    does; a morphology has no site; a portal vein thrombosis asks for its extent; a plain metastasis is no more by either."""
    if uses == {"decides", "decides NEN; differentiation unknown"} or (concept.startswith("morph.") and uses <= NO_SITE):
        return True
    if concept.endswith(".portal_vein_thrombosis"):
        return "context" not in uses
    return code in PLAIN_METASTASIS and uses == {"exclude", "context"}


NO_SITE = {
    "decides",
    "decides NEN; differentiation unknown",
    "decides NEN; liver or extrahepatic only with a body site",
}
IN_CODE = "".join(
    (resources.files("cds_service.fhir") / f"{name}.py").read_text("utf-8") for name in ("gate", "reading", "tumour_sizes")
)
NAMED_IN_CODE = frozenset(re.findall(r'"([^"\n]+)"', IN_CODE))
FAMILIES_IN_CODE = ("site.liver_segment", "cond.extrahepatic_mets", "med.", "proc.")
"""Concepts that are looked at by how they begin. All drugs and procedures: a known one is a recognised entry (CLINICAL
section 5, prior treatment)."""


def _is_read(concept: str, use: str, files: Mapping[str, Any]) -> bool:
    """Whether a fact, or a line of the reading of charts, names the concept, or what its codes are for."""
    facts = {name for table in files["facts.toml"]["fact"].values() for name in table.get("concepts", ())}
    by_use = use in NAMED_IN_CODE - {"decides", "context"}
    return concept in facts | NAMED_IN_CODE or by_use or concept.startswith(FAMILIES_IN_CODE)


def coded_values(value: Any, place: Place) -> Iterator[Any]:
    """Each code taken out, but for an ICD-10 code inside a shorter one of the same answer."""
    rows = {
        (system, code.replace(".", "")): answer
        for answer, by_system in place.files[place.file][place.path[0]].items()
        for system, codes in by_system.items()
        for code in codes
    }
    system, answer = place.path[2], place.path[1]
    for fewer in entries(value, place):
        gone = next(code for code in value if code not in fewer.new).replace(".", "")
        shorter = (rows.get((str(system), gone[:length])) for length in range(len(gone) - 1, 2, -1))
        if system in PREFIX_SYSTEMS and next(filter(None, shorter), None) == answer:
            continue
        yield fewer
