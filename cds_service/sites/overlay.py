"""Apply the clinical part of a site file to the shipped knowledge. The result is a new Knowledge with its own digest.

A site may map its codes, units and texts, set stricter local conventions (knowledge/local.toml), rename facts, and sign. It
cannot change a number of the literature, an indication or a citation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.errors import Fault
from cds_service.fhir.units import spelling_of
from cds_service.knowledge.modality import Criterion, Exclusion, Modality
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.numbers import fill_sentences
from cds_service.knowledge.overlay import Overlay, SignOff
from cds_service.knowledge.shape import did_you_mean
from cds_service.sites.codes import SiteCodes

Tables = Mapping[str, Any]
CLINICAL = ("code", "units", "numbers", "windows", "limits", "wording")
"""The sections that the digest of an overlay covers. A signature signs them, and so is not one of them."""
INSTRUCTING = re.compile(r"\b(must|should|shall|has to|is safe|no contraindications?)\b", re.IGNORECASE)
MARKUP = re.compile(r"[<>\[\]`*_#|\\\n]|://")


def lay_over(base: Knowledge, tables: Tables, today: date | None = None) -> tuple[Knowledge, list[Fault]]:
    """Return the site's knowledge and every fault of its tables. With a fault the knowledge must not be used.

    `tables`: the part of the site file that fits sites/schema.json. `today`: the latest day of a signature.
    """
    base = replace(base, number_writing=replace(base.number_writing, **tables.get("numbers", {})))
    codes = SiteCodes(base)
    faults = [*codes.read(tables.get("code", []))]
    plain = base.unfilled or base
    facts, criteria = dict(plain.facts), dict(plain.criteria)
    for found in (_units(base, facts, tables), _windows(base, facts, tables), _limits(base, facts, criteria, tables)):
        faults += found
    faults += _wording(base, facts, tables)
    signed = tables.get("sign_off")
    if signed and type(signed["on"]) is not date:
        faults.append(Fault("sign_off.on", f"is {signed['on']!r}, and must be a date without quotes, such as 2026-11-20"))
        signed = None
    elif signed and today and signed["on"] > today:
        faults.append(Fault("sign_off.on", f"is {signed['on']}, which is in the future: today is {today}"))
    clinical = {name: tables[name] for name in CLINICAL if tables.get(name)}
    digest = _digest(json.dumps(clinical, sort_keys=True, default=str)) if clinical else ""
    changed = {key: criterion for key, criterion in criteria.items() if criterion is not plain.criteria[key]}
    laid = replace(
        plain,
        number_writing=base.number_writing,
        digest=_digest(f"{base.digest} {digest}") if digest else base.digest,
        facts=facts,
        criteria=criteria,
        modalities=tuple(_with_limits(modality, changed) for modality in plain.modalities),
        terminology=base.terminology.with_local(codes.local()),
        overlay=Overlay(
            tables.get("site", {}).get("id", ""),
            digest,
            tables.get("wording", {}).get("note", ""),
            _signature(signed),
            tuple(_choices(base, tables)),
        ),
    )
    return fill_sentences(laid), faults


def _choices(base: Knowledge, tables: Tables) -> Iterator[str]:
    """Yield a sentence for each choice of the site. They are used only if the site file has no fault."""
    for entry in filter(None, tables.get("code", [])):
        codes = [entry["code"]] if isinstance(entry.get("code"), str) else entry.get("code", [])
        said = f"{entry.get('system', '')} {', '.join(codes)}" if codes else f"the text {entry.get('text')!r}"
        about = {"means": "means", "fact": "states", "concept": "belongs to"}
        meaning = "; ".join(f"{word} {entry[key]}" for key, word in about.items() if key in entry)
        yield f"{said} {meaning}" + (f": {entry['value']}" if "value" in entry else "")
    for name, spellings in tables.get("units", {}).items():
        yield from (f"{name}: {spelling or 'no unit'} is read as {unit}" for spelling, unit in spellings.items())
    if base.number_writing.decimal_comma:
        yield "numbers in texts have a decimal comma: 1,5; a point or a blank separates thousands"
    for name, days in tables.get("windows", {}).items():
        if name in base.facts:
            yield f"{name}: out of date after {days} days (as shipped: {base.facts[name].window_days})"
    for key, table in tables.get("limits", {}).items():
        if key in base.criteria:
            yield f"{key}: {table['says']} (as shipped: {base.criteria[key].says})"
    yield from (f"{name} is called {says}" for name, says in tables.get("wording", {}).get("facts", {}).items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _signature(table: Tables | None) -> SignOff | None:
    if table is None:
        return None
    return SignOff(table["name"], table["role"], table["on"].isoformat(), table["what"], table["knowledge"])


def _units(base: Knowledge, facts: dict[str, FactDefinition], tables: Tables) -> Iterator[Fault]:
    """Add the site's spellings of units to `facts`, and yield their faults.

    A site can't add a unit or change a factor. A spelling that already means a unit, of any fact, keeps its meaning.
    """
    standard = {*base.units.aliases.values(), *(unit for fact in base.facts.values() for unit in fact.units)}
    for name, spellings in tables.get("units", {}).items():
        definition = base.facts.get(name)
        if definition is None or not definition.units:
            known = [fact.id for fact in base.facts.values() if fact.units]
            yield Fault(f"units.{name}", f"is for no fact of facts.toml that has a unit{did_you_mean(name, known)}")
            continue
        local: dict[str, str] = {}
        for sent, unit in spellings.items():
            where, spelling = f"units.{name}.{sent}", spelling_of(sent)
            meant = base.units.aliases.get(spelling, spelling)
            if unit not in definition.units:
                yield Fault(where, f"is {unit!r}, and must be one of {', '.join(definition.units)}")
            elif meant in standard and meant != unit:
                yield Fault(where, f"cannot mean {unit}: this spelling already means {meant}")
            elif spelling in local:
                yield Fault(where, "is a spelling that appears twice (blanks are ignored)")
            local[spelling] = unit
        facts[name] = replace(facts[name], local_units=local)


def _windows(base: Knowledge, facts: dict[str, FactDefinition], tables: Tables) -> Iterator[Fault]:
    """Set the site's windows in `facts`, and yield their faults."""
    for name, days in tables.get("windows", {}).items():
        bounds = base.window_bounds.get(name)
        if bounds is None:
            text = "is for no fact whose window a site may set (knowledge/local.toml)"
            yield Fault(f"windows.{name}", f"{text}{did_you_mean(name, base.window_bounds)}")
        elif not bounds.contains(Decimal(days)):
            text = f"is {days} days, and must be {bounds.at_least} to {bounds.at_most} days: {bounds.reason}"
            yield Fault(f"windows.{name}", text)
        else:
            facts[name] = replace(facts[name], window_days=days)


def _limits(
    base: Knowledge, facts: dict[str, FactDefinition], criteria: dict[str, Criterion], tables: Tables
) -> Iterator[Fault]:
    """Set the site's limits in `facts` and `criteria`, and yield their faults.

    If a fact has a bound from which values are adverse, values beyond the site's stricter limit are adverse, too. If such a
    value is out of date, its fact is unknown; an out-of-date harmless value makes it silent.
    """
    for key, table in tables.get("limits", {}).items():
        where, bounds = f"limits.{key}", base.limit_bounds.get(key)
        if bounds is None:
            hint = did_you_mean(key, base.limit_bounds) or "."
            yield Fault(where, f"is no limit that a site may set{hint} Allowed: {', '.join(base.limit_bounds)}")
            continue
        criterion, number = base.criteria[key], table["limit"]
        if not bounds.contains(Decimal(number)):
            yield Fault(f"{where}.limit", f"is {number}, and must be {bounds.at_least} to {bounds.at_most}: {bounds.reason}")
        if not re.search(rf"\b{number}\b", table["says"]):
            yield Fault(f"{where}.says", f"must be a sentence that names its limit, {number}")
        if len(table["says"]) > len(criterion.says):
            longest = f"at most {len(criterion.says)} characters, the length of the sentence it replaces"
            yield Fault(f"{where}.says", f"has {len(table['says'])} characters, and may have {longest}")
        yield from _wording_faults(f"{where}.says", table["says"])
        tests = tuple(replace(test, limit=Decimal(number)) for test in criterion.tests)
        criteria[key] = replace(criterion, says=table["says"], tests=tests)
        for test in tests:
            adverse = facts[test.fact].adverse_above if test.fact in facts else None
            # `at_least` is for whole numbers only, such as ECOG
            harmless = {"above": number, "at_least": number - 1}.get(test.how)
            if adverse is not None and harmless is not None and harmless < adverse:
                facts[test.fact] = replace(facts[test.fact], adverse_above=Decimal(harmless))


def _wording(base: Knowledge, facts: dict[str, FactDefinition], tables: Tables) -> Iterator[Fault]:
    """Set the site's names of facts in `facts`, and yield the faults of its wording."""
    wording = tables.get("wording", {})
    if "note" in wording:
        yield from _wording_faults("wording.note", wording["note"])
    for name, says in wording.get("facts", {}).items():
        if name not in base.facts:
            yield Fault(f"wording.facts.{name}", f"is for no fact of facts.toml{did_you_mean(name, base.facts)}")
            continue
        if any(says == other.says for key, other in facts.items() if key != name):
            yield Fault(f"wording.facts.{name}", f"is {says!r}, which is the name of another fact")
        yield from _wording_faults(f"wording.facts.{name}", says)
        facts[name] = replace(facts[name], says=says)


def _wording_faults(where: str, text: str) -> Iterator[Fault]:
    """Yield a fault for a text with markup or with an instruction: a card never instructs
    (docs/knowledge.md, "Ground rules").
    """
    if INSTRUCTING.search(text) or MARKUP.search(text):
        yield Fault(where, f"is {text!r}, and must be plain text that neither instructs nor reassures")


def _with_limits(modality: Modality, changed: Mapping[str, Criterion]) -> Modality:
    if not changed:
        return modality

    def new(parts: Iterable[Criterion]) -> tuple[Criterion, ...]:
        return tuple(changed.get(part.key, part) for part in parts)

    return replace(
        modality,
        contraindications=new(modality.contraindications),
        exclusions=tuple(Exclusion(changed.get(part.key, part), only) for part, only in modality.exclusions),
        cautions=new(modality.cautions),
        indications=tuple(
            replace(i, requires=new(i.requires), update_requires=new(i.update_requires)) for i in modality.indications
        ),
        techniques=tuple(
            replace(t, when=new(t.when), stopped_by=new(t.stopped_by), cautions=new(t.cautions)) for t in modality.techniques
        ),
    )
