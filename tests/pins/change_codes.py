"""How codes are changed: taken out, or under another `use`; and which change nobody could notice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from cds_service.fhir.tumour_codes import PLAIN_METASTASIS
from cds_service.knowledge.terminology import PREFIX_SYSTEMS, Use
from tests.pins.change import Instead, Place, entries


def codes_of_sets(value: Any, place: Place) -> Iterator[Instead]:
    """Every code taken out, and under every other `use` of its concept. ICD-10 codes inside a shorter one that says the
    same cannot be missed by anybody, so those are not taken out."""
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
    """C7B.8 is listed as a metastasis of the liver and of elsewhere, to be told apart by its body site: once is enough."""
    return concept == "cond.extrahepatic_mets.net" and ("cond.liver_mets.net", use) in said


def _shorter(system: str, code: str, rows: Mapping[tuple[str, str], set[tuple[str, Use]]]) -> set[tuple[str, Use]]:
    """What the ICD-10 code around this one says: it takes over when this one is gone."""
    bare = code.replace(".", "")
    around = (rows.get((system, bare[:length])) for length in range(len(bare) - 1, 2, -1))
    return next(filter(None, around), set()) if system in PREFIX_SYSTEMS else set()


def _alike(concept: str, code: str, uses: set[Use]) -> bool:
    """Whether two uses say the same of a code. A neuroendocrine code whose differentiation is not known says it as any other
    does; a morphology has no site; a site or a histology has one use; a portal vein thrombosis asks for its extent; a plain
    metastasis is no more by either."""
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
"""Uses by which the reading of charts knows a code, whatever its concept."""
IN_CODE = "".join(
    (resources.files("cds_service.fhir") / f"{name}.py").read_text("utf-8")
    for name in ("gate", "reader", "tumour_codes", "tumour_sizes")
)
NAMED_IN_CODE = frozenset(re.findall(r'"([^"\n]+)"', IN_CODE))
RECOGNISED = ("med.", "proc.")
"""A drug or procedure that is held is a read entry, whatever it says (CLINICAL section 5, prior treatment)."""
BY_CONCEPT = ("site.", "obs.histology", "obs.metastasis_site", "cond.net.pancreas")
"""Concepts with a single use, which nobody looks at."""


def _speaks(concept: str, system: str, use: Use, files: Mapping[str, Any]) -> bool:
    """Whether a fact, or a line of the reading of charts, listens to codes of this concept and use."""
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
