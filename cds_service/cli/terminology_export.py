"""Export the knowledge as FHIR R4 terminology: the project's CodeSystem, a ValueSet for each fact and for its answers, and a
ConceptMap of a site's codes (without a site file: an example).

Codes of other systems are exported with their names only where NOTICE allows it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cds_service.errors import ChartError
from cds_service.fhir.tumour_codes import LIVER_METASTASES, METASTASIS, NEN
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import PREFIX_SYSTEMS, TEXT, Use
from cds_service.knowledge.vocabulary import FactKind

Resource = dict[str, Any]
Code = tuple[str, str]
"""(URI of a system, code)."""

LICENCES = {
    "loinc": (
        "This material contains content from LOINC (http://loinc.org). LOINC is copyright 1995 Regenstrief Institute, Inc. "
        "and the Logical Observation Identifiers Names and Codes (LOINC) Committee and is available at no cost under the "
        "license at http://loinc.org/license."
    ),
    "snomed-ct": "SNOMED CT is copyright of SNOMED International; their deployment needs a SNOMED CT Affiliate Licence.",
    "icd-10": "ICD-10 is published by the World Health Organization; commercial use needs its licence.",
    "icd-o-3": "ICD-O-3 is published by the World Health Organization / IARC; commercial use needs its licence.",
    "atc": "ATC is of the WHO Collaborating Centre for Drug Statistics Methodology; redistribution needs its permission.",
    "rxnorm": "RxNorm, courtesy of the US National Library of Medicine.",
}
"""System → the statement that NOTICE requires. ICD-10-CM, ICD-10-PCS and HCPCS II are free to use."""
NAMED = frozenset({"loinc", "icd-10-cm", "icd-10-pcs", "rxnorm"})
"""Systems whose names may be exported with their codes (NOTICE). Of other systems only the codes are exported."""
ASSESSED = " (assessment)"
KIND_WORDS = {
    FactKind.QUANTITY: "a number",
    FactKind.INTEGER: "a whole number",
    FactKind.BOOLEAN: "yes or no",
    FactKind.CODE: "one code",
    FactKind.CODES: "one code in each Observation; all of them count",
}
EXAMPLE = {
    ("https://hospital.example/fhir/CodeSystem/board", "FLR"): "future_liver_remnant",
    ("https://hospital.example/fhir/CodeSystem/board", "RESECT"): "resectability",
    ("https://hospital.example/fhir/CodeSystem/laboratory", "BILI-T"): "total_bilirubin",
}
"""Invented codes of an invented hospital → the facts they state: an example of a mapping."""


def write_export(knowledge: Knowledge, folder: Path) -> int:
    """Write one JSON file for each resource and return 0. Raises ChartError for a folder that cannot be written."""
    resources = list(export_resources(knowledge))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for resource in resources:
            path = folder / f"{resource['resourceType']}-{resource['id']}.json"
            path.write_text(json.dumps(resource, ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ChartError(f"{error.filename} cannot be written ({error.strerror})") from None
    print(f"{len(resources)} resources written to {folder}", file=sys.stderr)
    return 0


def export_resources(knowledge: Knowledge) -> Iterator[Resource]:
    """Yield the CodeSystem, the ValueSets of facts, answers, diagnoses and orders, and the ConceptMap."""
    yield code_system(knowledge)
    for definition in knowledge.facts.values():
        if definition.assessment or definition.concepts:
            yield _of_fact(knowledge, definition)
        if definition.assessment and definition.options:
            yield _of_answers(knowledge, definition)
    for concept in sorted(_gate_and_orders(knowledge)):
        yield _of_concept(knowledge, concept)
    if own := codes_of_site(knowledge):
        yield concept_map(knowledge, f"site-{knowledge.overlay.site}", f"Codes of site {knowledge.overlay.site}", own)
    else:
        mapped = {code: code_of_fact(knowledge, knowledge.facts[fact]) for code, fact in EXAMPLE.items()}
        yield concept_map(knowledge, "example-site", "Example: codes of an invented hospital", mapped)


def codes_of_site(knowledge: Knowledge) -> dict[Code, Code]:
    """Return a site's codes and the codes they are read as: of a standard system, a fact or an answer.

    Codes that a site adds to a value set are in its ValueSet instead.
    """
    terms, local = knowledge.terminology, knowledge.terminology.local
    found = {code: (terms.uris.get(system, system), means) for code, (system, means) in local.means.items()}
    found |= {code: code_of_fact(knowledge, knowledge.facts[fact]) for code, fact in local.facts.items()}
    for (fact, system, code), value in local.values.items():
        if system != TEXT and value in knowledge.facts[fact].options:
            found[system, code] = (knowledge.assessment_system, value)
    return {(terms.uris.get(system, system), code): target for (system, code), target in found.items()}


def code_system(knowledge: Knowledge) -> Resource:
    """Return the CodeSystem of the project: questions (codes of Observations) and answers (codes of their values)."""
    asked: list[Resource] = []
    answers: dict[str, list[str]] = {}
    for definition in knowledge.facts.values():
        for code in definition.assessment:
            asked.append(_question(definition, code))
            for option in definition.options:
                answers.setdefault(option, []).append(code)
    concepts = [*asked, *(_answer(option, questions) for option, questions in answers.items())]
    return {
        **_head("CodeSystem", "nlm-assessment", "Assessments of neuroendocrine liver metastases", knowledge),
        "url": knowledge.assessment_system,
        "description": "What no standard code says of neuroendocrine liver metastases: codes of an Observation (role question) "
        "and of its coded value (role answer). No clinician has signed these definitions yet.",
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "property": [
            {"code": "role", "description": "question: code of an Observation; answer: of its value", "type": "string"},
            {"code": "answers", "description": "a question that this is an answer to", "type": "code"},
            {"code": "value", "description": "what a question's value is", "type": "string"},
            {"code": "unit", "description": "UCUM unit of a question's number", "type": "string"},
            {"code": "days", "description": "days after which a value is out of date", "type": "integer"},
        ],
        "concept": concepts,
    }


def _question(definition: FactDefinition, code: str) -> Resource:
    says = definition.says.removesuffix(ASSESSED)
    unit = f" in {definition.unit}" if definition.unit not in {"", "1"} else ""
    one_of = f": {', '.join(definition.options)}" if definition.options else ""
    late = f" Out of date after {definition.window_days} days." if definition.window_days else ""
    known: list[Resource] = [
        {"code": "role", "valueString": "question"},
        {"code": "value", "valueString": definition.kind.value},
        *([{"code": "unit", "valueString": definition.unit}] if definition.unit else []),
        *([{"code": "days", "valueInteger": definition.window_days}] if definition.window_days else []),
    ]
    text = f"{says}. Value: {KIND_WORDS[definition.kind]}{unit}{one_of}.{late}"
    return {"code": code, "display": says, "definition": text, "property": known}


def _answer(option: str, questions: Collection[str]) -> Resource:
    known = [{"code": "role", "valueString": "answer"}, *({"code": "answers", "valueCode": code} for code in questions)]
    return {"code": option, "display": _plain(option), "definition": f"Answer to {', '.join(questions)}.", "property": known}


def _plain(option: str) -> str:
    return option.replace("-", " ")


def _of_fact(knowledge: Knowledge, definition: FactDefinition) -> Resource:
    own = {code: definition.says.removesuffix(ASSESSED) for code in definition.assessment}
    about = f"Codes by which the service reads “{definition.says}”."
    name = f"fact-{definition.id}"
    return _value_set(knowledge, name, definition.says, about, own, definition.concepts, definition.uses)


def _of_answers(knowledge: Knowledge, definition: FactDefinition) -> Resource:
    own = {option: _plain(option) for option in definition.options}
    about = f"Answers to “{definition.says}” in the service's own CodeSystem."
    return _value_set(knowledge, f"answers-{definition.id}", f"{definition.says}: answers", about, own)


def _gate_and_orders(knowledge: Knowledge) -> set[str]:
    """Return the concepts that no fact has: neuroendocrine neoplasm, metastases, and ordered treatments."""
    orders = {name for modality in knowledge.modalities for name in modality.orders}
    return orders | NEN | METASTASIS | LIVER_METASTASES


def _of_concept(knowledge: Knowledge, concept: str) -> Resource:
    about = f"Codes that decide, alone or with a body site, what the service's terminology.toml calls {concept}."
    uses = {m.use for _, m in knowledge.terminology.all_rows() if m.concept == concept and m.use.decides}
    return _value_set(knowledge, f"concept-{concept}", concept, about, {}, (concept,), uses)


def _value_set(
    knowledge: Knowledge,
    name: str,
    title: str,
    about: str,
    own: Mapping[str, str],
    concepts: Iterable[str] = (),
    uses: Collection[Use] = (),
) -> Resource:
    include: list[Resource] = []
    exclude: list[Resource] = []
    if own:
        named = [{"code": code, "display": display} for code, display in own.items()]
        include.append({"system": knowledge.assessment_system, "concept": named})
    wanted, rows = set(concepts), list(knowledge.terminology.all_rows())
    members: dict[str, dict[str, str]] = {}
    for system, meaning in rows:
        if meaning.concept in wanted and meaning.use in uses:
            members.setdefault(system, {})[meaning.code] = meaning.display
    for system, codes in members.items():
        uri = knowledge.terminology.uris.get(system, system)
        if system in PREFIX_SYSTEMS:
            others = {m.code for s, m in rows if s == system and m.code not in codes and _is_below(m.code, codes)}
            include += [_and_below(uri, code) for code in _outermost(codes)]
            exclude += [_and_below(uri, code) for code in _outermost(others)]
        else:
            listed = [{"code": c, "display": d} if system in NAMED and d else {"code": c} for c, d in codes.items()]
            include.append({"system": uri, "concept": listed})
    if PREFIX_SYSTEMS & set(members):
        about += " An ICD-10 code brings all codes below it, save those excluded."
    said = " ".join(LICENCES[system] for system in members if system in LICENCES)
    return {
        **_head("ValueSet", name, title, knowledge),
        "description": about,
        **({"copyright": said} if said else {}),
        "compose": {"include": include, **({"exclude": exclude} if exclude else {})},
    }


def _is_below(code: str, others: Iterable[str]) -> bool:
    return any(code != other and code.startswith(other) for other in others)


def _outermost(codes: Collection[str]) -> list[str]:
    return sorted(code for code in codes if not _is_below(code, codes))


def _and_below(uri: str, code: str) -> Resource:
    return {"system": uri, "filter": [{"property": "concept", "op": "is-a", "value": code}]}


def concept_map(knowledge: Knowledge, name: str, title: str, mapped: Mapping[Code, Code]) -> Resource:
    """Return a ConceptMap. `mapped`: a code of a site → the code that it is read as."""
    groups: dict[tuple[str, str], list[Resource]] = {}
    for (system, code), (target, means) in mapped.items():
        element = {"code": code, "target": [{"code": means, "equivalence": "equivalent"}]}
        groups.setdefault((system, target), []).append(element)
    return {
        **_head("ConceptMap", name, title, knowledge),
        "description": "Codes of a site, as [[code]] of its site file maps them, and the codes they are read as.",
        "group": [{"source": source, "target": target, "element": found} for (source, target), found in groups.items()],
    }


def code_of_fact(knowledge: Knowledge, definition: FactDefinition) -> Code:
    """Return the project's own code of a fact; else a LOINC code that states it, preferably that of the test to order."""
    if definition.assessment:
        return knowledge.assessment_system, definition.assessment[0]
    terms = knowledge.terminology
    loinc = [
        meaning.code
        for system, meaning in terms.all_rows()
        if system == "loinc" and meaning.concept in definition.concepts and meaning.use in definition.uses
    ]
    return terms.uris["loinc"], definition.order if definition.order in loinc else loinc[0]


def _head(kind: str, name: str, title: str, knowledge: Knowledge) -> Resource:
    """Return the first elements of every exported resource."""
    ident = re.sub(r"[^A-Za-z0-9-]+", "-", name)
    base = knowledge.assessment_system.rsplit("/", 2)[0]
    return {
        "resourceType": kind,
        "id": ident,
        "url": f"{base}/{kind}/{ident}",
        "version": knowledge.digest,
        "name": "".join(part.capitalize() for part in ident.split("-")),
        "title": title,
        "status": "draft",
        "experimental": False,
    }
