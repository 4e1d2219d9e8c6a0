"""Change codes: remove them or give them another `use`, and skip changes that cannot have an effect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from cds_service.fhir.tumour_codes import PLAIN_METASTASIS
from cds_service.knowledge.terminology import PREFIX_SYSTEMS, Use
from tests.pins.change import Instead, Place, entries


def codes_of_sets(value: Any, place: Place) -> Iterator[Instead]:
    """Remove each code, and give it every other `use` of its concept.

    An ICD-10 code with a shorter code that says the same is not removed, as that would change nothing.
    """
    uses: dict[str, dict[Use, None]] = {}
    rows: dict[tuple[str, str], set[tuple[str, Use]]] = {}
    for table in value:
        uses.setdefault(table["concept"], {Use.DECIDES: None, Use.CONTEXT: None})[Use(table["use"])] = None
        for code in table["codes"]:
            rows.setdefault((table["system"], code.replace(".", "")), set()).add((table["concept"], Use(table["use"])))
    for number_, table in enumerate(value):
        concept, system, use = table["concept"], table["system"], Use(table["use"])
        speaks = _speaks(concept, system, use, place.files)
        for code, display in table["codes"].items():
            if said_twice(concept, use, rows[system, code.replace(".", "")]):
                continue
            fewer = {**table, "codes": {other: d for other, d in table["codes"].items() if other != code}}
            rest = [*value[:number_], *([fewer] if fewer["codes"] else []), *value[number_ + 1 :]]
            words = f"{concept} {system} {code}"
            shorter = _shorter(system, code, rows)
            said = rows[system, code.replace(".", "")]
            taken_over = len(said) == 1 and any(_speaks(name, system, how, place.files) for name, how in shorter)
            known = concept.startswith(RECOGNISED)
            missed = speaks or known or taken_over
            if missed and shorter != said and code not in PLAIN_METASTASIS:
                yield Instead(f"{words}: taken out", rest, around=False)
            for other in uses[concept]:
                heard = speaks or _speaks(concept, system, other, place.files)
                if heard and other != use and not _alike(concept, code, {use, other}):
                    moved = {**table, "use": other, "codes": {code: display}}
                    yield Instead(f"{words}: {use} → {other}", [*rest, moved], around=False)


def said_twice(concept: str, use: Use, said: set[tuple[str, Use]]) -> bool:
    """Return whether a code is listed a second time: C7B.8 is a metastasis of the liver or elsewhere, as its body site says."""
    return concept == "cond.extrahepatic_mets.net" and ("cond.liver_mets.net", use) in said


def _shorter(system: str, code: str, rows: Mapping[tuple[str, str], set[tuple[str, Use]]]) -> set[tuple[str, Use]]:
    """Return the rows of the shorter ICD-10 code that matches if this code is removed."""
    bare = code.replace(".", "")
    around = (rows.get((system, bare[:length])) for length in range(len(bare) - 1, 2, -1))
    return next(filter(None, around), set()) if system in PREFIX_SYSTEMS else set()


def _alike(concept: str, code: str, uses: set[Use]) -> bool:
    """Return whether two uses have the same effect for a code.

    They do for a neuroendocrine code of unknown differentiation; for a morphology, which has no site; for a site or a
    histology, which has one use; for a portal vein thrombosis, which asks for its extent; and for a plain metastasis.
    """
    if uses == {Use.DECIDES, Use.DECIDES_NEN} or (concept.startswith("morph.") and uses <= NO_SITE):
        return True
    if concept.startswith(BY_CONCEPT):
        return True
    if concept.endswith(".portal_vein_thrombosis"):
        return Use.CONTEXT not in uses
    if uses <= {Use.HISTORY, Use.CONTEXT} and concept != "cond.net.history":
        return True
    if uses == {Use.DECIDES, Use.DECIDES_NEN_SITE_UNKNOWN} and concept == "cond.net_metastatic":
        return True  # its site is asked for under cond.extrahepatic_mets.net
    return code in PLAIN_METASTASIS and uses <= {Use.EXCLUDE, Use.CONTEXT, Use.HISTORY}


NO_SITE = {Use.DECIDES, Use.DECIDES_NEN, Use.DECIDES_NEN_SITE_FROM_BODY_SITE}
HEARD_ANYWHERE = {
    Use.BENIGN, Use.HISTORY, Use.EXCLUDE, Use.DECIDES_IF_NOT_LUNG, Use.DECIDES_NEN_AND_NEC, Use.QUESTION_SITE,
}  # fmt: skip
"""Uses that the reading of charts recognises, regardless of the concept."""
IN_CODE = "".join(
    (resources.files("cds_service.fhir") / f"{name}.py").read_text("utf-8")
    for name in ("gate", "reader", "tumour_codes", "tumour_sizes")
)
NAMED_IN_CODE = frozenset(re.findall(r'"([^"\n]+)"', IN_CODE))
RECOGNISED = ("med.", "proc.")
"""Drugs and procedures: any listed code identifies the entry (docs/knowledge.md, "What silence means")."""
BY_CONCEPT = ("site.", "obs.histology", "obs.metastasis_site", "cond.net.pancreas")
"""Concepts with a single use, which the program never reads."""


def _speaks(concept: str, system: str, use: Use, files: Mapping[str, Any]) -> bool:
    """Return whether a fact, or the reading of charts, uses codes of this concept and use."""
    if concept.startswith("cond.") and system == "loinc":
        return False  # an Observation's code is no diagnosis
    facts = [table for table in files["facts.toml"]["fact"].values() if concept in table.get("concepts", ())]
    if use is Use.HISTORY and concept != "cond.net.history":
        return False
    if any(use in table.get("uses", (Use.DECIDES,)) for table in facts) or use in HEARD_ANYWHERE:
        return True
    if concept.startswith(BY_CONCEPT):
        return use is Use.DECIDES and (concept in NAMED_IN_CODE or concept.startswith("site.liver_segment"))
    named = concept in NAMED_IN_CODE or concept.startswith("cond.extrahepatic_mets")
    return named and (use.decides or use.asks or use is Use.NODAL)


def coded_values(value: Any, place: Place) -> Iterator[Any]:
    """Remove each code in turn, except ICD-10 codes with a shorter code that has the same answer."""
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
