"""The FHIR terminology export is valid R4 for two validators and has exactly the codes that the service reads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.cli.terminology_export import LICENCES, NAMED, code_of_fact, code_system, concept_map, export_resources
from cds_service.knowledge.terminology import PREFIX_SYSTEMS, StandardCoding
from tests.conftest import empty_parts

KNOWN = knowledge.load()
TERMS = KNOWN.terminology
RESOURCES = list(export_resources(KNOWN))
VALUE_SETS = {resource["id"]: resource for resource in RESOURCES if resource["resourceType"] == "ValueSet"}
NPM = Path(os.environ.get("FHIR_NPM", "/nowhere"))
VALIDATE = """
const { Fhir } = require(process.argv[1]); const fhir = new Fhir();
const sent = JSON.parse(require("fs").readFileSync(0, "utf8"));
const said = sent.map(r => fhir.validate(r, { errorOnUnexpected: true }));
console.log(JSON.stringify(said.map((v, i) => v.valid ? null : [sent[i].id, v.messages])));
"""


def validate_with_npm(resources: list[dict[str, Any]]) -> list[Any]:
    """Return the faults that the npm package `fhir` finds; None for a valid resource."""
    run = subprocess.run(
        ["node", "-e", VALIDATE, str(NPM)], input=json.dumps(resources), capture_output=True, text=True, timeout=120, check=True
    )
    return list(json.loads(run.stdout))


def by_name(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}-{resource['id']}"


@pytest.mark.parametrize("resource", RESOURCES, ids=by_name)
def test_every_resource_is_valid_r4_and_has_nothing_empty(resource: dict[str, Any]) -> None:
    kind = resource["resourceType"]
    getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind).model_validate(resource)
    assert list(empty_parts(resource)) == []


@pytest.mark.skipif(not NPM.is_dir(), reason="needs node and the npm package fhir, its folder in FHIR_NPM; .ci/run has them")
def test_an_independent_validator_finds_every_resource_valid_and_a_wrong_one_not() -> None:
    wrong = [RESOURCES[0] | {"status": "fine"}, RESOURCES[1] | {"compose": []}, RESOURCES[1] | {"odd": 1}]
    assert [bool(fault) for fault in validate_with_npm(wrong)] == [True, True, True]
    assert [fault for fault in validate_with_npm(RESOURCES) if fault] == []


def test_command_writes_each_resource_into_a_file_of_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "terminology"
    assert main(["knowledge", "--fhir", str(folder)]) == 0
    assert {path.stem: json.loads(path.read_text("utf-8")) for path in folder.iterdir()} == {by_name(r): r for r in RESOURCES}
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{len(RESOURCES)} resources written to {folder}\n")
    (tmp_path / "file").write_text("")
    assert main(["knowledge", "--fhir", str(tmp_path / "file")]) == 1


def test_code_system_holds_every_code_and_answer_that_the_service_reads() -> None:
    concepts = {concept["code"]: concept for concept in code_system(KNOWN)["concept"]}
    assert len(concepts) == code_system(KNOWN)["count"] == len(code_system(KNOWN)["concept"])
    questions = {code for definition in KNOWN.facts.values() for code in definition.assessment}
    answers = {option for d in KNOWN.facts.values() if d.assessment for option in d.options}
    assert set(concepts) == questions | answers
    for definition in KNOWN.facts.values():
        for option in definition.options if definition.assessment else ():
            of = {known["valueCode"] for known in concepts[option]["property"] if known["code"] == "answers"}
            assert set(definition.assessment) <= of


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("future-liver-remnant", "Future liver remnant. Value: a number in %. Out of date after 180 days."),
        ("portal-vein", "Portal vein. Value: one code: patent, occluded, branch. Out of date after 180 days."),
        ("hepatic-failure", "Hepatic failure. Value: yes or no. Out of date after 180 days."),
        ("occluded", "Answer to portal-vein."),
    ],
)
def test_definition_of_a_code_says_its_value_unit_answers_and_window(code: str, says: str) -> None:
    assert [concept["definition"] for concept in code_system(KNOWN)["concept"] if concept["code"] == code] == [says]


def candidates() -> Iterator[StandardCoding]:
    """Yield every code of terminology.toml; for ICD-10 also one code below each, and the code above."""
    for system, meaning in TERMS.all_rows():
        yield StandardCoding(system, meaning.code)
        if system in PREFIX_SYSTEMS:
            yield StandardCoding(system, f"{meaning.code}9")
            yield StandardCoding(system, meaning.code[:-1].rstrip("."))


def holds(compose: dict[str, Any], coding: StandardCoding) -> bool:
    def any_of(parts: list[dict[str, Any]]) -> bool:
        for part in parts:
            if part["system"] != TERMS.uris.get(coding.system):
                continue
            if any(concept["code"] == coding.code for concept in part.get("concept", ())):
                return True
            if any(coding.code.startswith(condition["value"]) for condition in part.get("filter", ())):
                return True
        return False

    return any_of(compose["include"]) and not any_of(compose.get("exclude", []))


@pytest.mark.parametrize("definition", [d for d in KNOWN.facts.values() if d.concepts], ids=lambda d: d.id)
def test_value_set_of_a_fact_holds_the_codes_that_state_it_and_no_other(definition: Any) -> None:
    compose = VALUE_SETS[f"fact-{definition.id.replace('_', '-')}"]["compose"]
    for coding in candidates():
        states = any(m.concept in definition.concepts and m.use in definition.uses for m in TERMS.meanings(coding))
        assert holds(compose, coding) == states, coding


def test_both_halves_of_the_disease_have_their_value_sets() -> None:
    nen, liver = (VALUE_SETS[name]["compose"] for name in ("concept-cond-net-malignant", "concept-cond-liver-mets"))
    assert holds(nen, StandardCoding("icd-10-cm", "C7A.012"))
    assert not holds(nen, StandardCoding("icd-10-cm", "D3A.012"))
    assert holds(liver, StandardCoding("icd-10", "C78.7"))
    assert not holds(liver, StandardCoding("icd-10", "C78.6"))


def test_names_of_licensed_terminologies_stay_out_and_their_terms_are_said() -> None:
    short = {uri: name for name, uri in TERMS.uris.items()} | {KNOWN.assessment_system: "own"}
    seen = set()
    for resource in VALUE_SETS.values():
        for part in resource["compose"]["include"]:
            system = short[part["system"]]
            seen.add(system)
            assert system in NAMED | {"own"} or not any("display" in concept for concept in part.get("concept", ())), system
            assert system not in LICENCES or LICENCES[system] in resource["copyright"]
    assert seen >= {"own", "loinc", "snomed-ct", "icd-10", "icd-10-cm", "icd-o-3", "rxnorm", "atc"}


def test_code_of_a_fact_is_one_that_states_it() -> None:
    for definition in KNOWN.facts.values():
        if definition.source != "Observation" or definition.kind == "person" or definition.upper_limit_of:
            continue
        system, code = code_of_fact(KNOWN, definition)
        if system == KNOWN.assessment_system:
            assert code in definition.assessment
        else:
            meanings = TERMS.meanings(TERMS.coding(system, code, ""))
            assert any(m.concept in definition.concepts and m.use == "decides" for m in meanings), definition.id


def test_concept_map_groups_by_system_from_and_to() -> None:
    mapped = {("urn:a", "1"): ("urn:c", "I"), ("urn:a", "2"): ("urn:c", "II"), ("urn:b", "1"): ("urn:c", "I")}
    groups = concept_map(KNOWN, "x", "x", mapped)["group"]
    found = [(group["source"], group["target"], [element["code"] for element in group["element"]]) for group in groups]
    assert found == [("urn:a", "urn:c", ["1", "2"]), ("urn:b", "urn:c", ["1"])]
