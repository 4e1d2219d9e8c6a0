"""The knowledge that ships is sound; knowledge that is not is refused whole, with every fault, file and key."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.derived import CALCULATIONS
from cds_service.errors import KnowledgeError
from cds_service.knowledge.model import Verdict
from tests.conftest import FIXTURES, ROOT, folder_of

SHIPPED = ROOT / "cds_service/knowledge"
FORBIDDEN = {
    ("loinc", "33756-8"): "the size of a polyp, not of a tumour",
    ("loinc", "85330-1"): "no Ki-67: the check digit fails",
    ("loinc", "85300-4"): "no mitotic rate: the check digit fails",
    ("loinc", "47236-5"): "syphilis antibodies, not chromogranin A",
    ("loinc", "1692-3"): "5-HIAA in cerebrospinal fluid, not in urine",
    ("loinc", "22664-7"): "urea, from memory",
    ("snomed-ct", "8887007"): "the brachiocephalic vein, not the hepatic vein",
    ("snomed-ct", "245302009"): "no liver segment: the check digit fails",
    ("snomed-ct", "245303004"): "no liver segment: the check digit fails",
    ("snomed-ct", "245304005"): "no liver segment: the check digit fails",
    ("snomed-ct", "245305006"): "no liver segment: the check digit fails",
    ("snomed-ct", "245306007"): "no liver segment: the check digit fails",
    ("snomed-ct", "245307003"): "no liver segment: the check digit fails",
    ("snomed-ct", "245308008"): "no liver segment: the check digit fails",
    ("snomed-ct", "245309003"): "no liver segment: the check digit fails",
    ("snomed-ct", "293637006"): "contrast allergy, from memory",
    ("hcpcs", "A9592"): "copper-64 dotatate, from memory",
    ("hcpcs", "C9067"): "gallium-68 dotatoc, from memory",
    ("hcpcs", "S2095"): "radioembolization, from memory",
    ("dcm", "MR"): "from memory",
    ("dcm", "PT"): "from memory",
    ("dcm", "NM"): "from memory",
    ("dcm", "US"): "from memory",
    ("dcm", "XA"): "from memory",
    ("v2-0074", "RAD"): "from memory",
    ("rxnorm", "7617"): "octreotide, from memory",
    ("rxnorm", "3098"): "dacarbazine, from memory",
}
"""Codes that circulate and are wrong, or that nobody has seen in a source."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped files, to spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "knowledge", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def spoil(folder: Path, name: str, pattern: str, replacement: str) -> None:
    """Plants one fault: replaces the first place where the pattern fits."""
    text = (folder / name).read_text("utf-8")
    spoilt, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE | re.DOTALL)
    assert count, f"{name} has no {pattern}"
    (folder / name).write_text(spoilt, "utf-8")


def told(folder: Path) -> str:
    with pytest.raises(KnowledgeError) as refused:
        knowledge.read(folder)
    assert all(fault.where and fault.found and fault.allowed for fault in refused.value.faults)
    return str(refused.value)


def table(name: str) -> dict[str, Any]:
    return tomllib.loads((SHIPPED / name).read_text("utf-8"))


def test_the_shipped_knowledge_loads_and_has_a_digest() -> None:
    known = knowledge.load()
    assert re.fullmatch("[0-9a-f]{16}", known.digest)
    assert len(known.modalities) == 7


def test_a_copy_with_another_word_has_another_digest(copy: Path) -> None:
    assert knowledge.read(copy).digest == knowledge.load().digest
    (copy / "criteria.toml").write_text((copy / "criteria.toml").read_text("utf-8") + "# read again\n", "utf-8")
    assert knowledge.read(copy).digest != knowledge.load().digest


def test_every_fault_between_the_files_is_told_at_once_with_file_and_key(copy: Path) -> None:
    result = next(name for name, entry in table("statements.toml").items() if entry["kind"] == "RESULT")
    first, second = [fact for fact in knowledge.load().facts.values() if fact.assessment][:2]
    spoil(copy, "criteria.toml", r'(\[contraindication\.hepatic-failure\].*?statements = )\["S053"\]', rf'\1["{result}"]')
    spoil(copy, "criteria.toml", r'(\[contraindication\.portal-vein-occlusion\].*?fact = )"portal_vein"', r'\1"portal_vain"')
    spoil(copy, "modalities/resection.toml", r"^(beside = \[)", r'\1"S999", ')
    spoil(copy, "statements.toml", r"(\[S002\].*?publications = )\[[^\]]*\]", r"\1[]")
    spoil(copy, "facts.toml", rf'assessment = \["{second.assessment[0]}"', f'assessment = ["{first.assessment[0]}"')
    faults = told(copy)
    for line in (
        f"criteria.toml: contraindication.hepatic-failure.statements: found {result}",
        "criteria.toml: contraindication.portal-vein-occlusion.fact: found 'portal_vain'",
        "modalities/resection.toml: beside: found 'S999'",
        "statements.toml: S002.publications: found no publication",
        f"facts.toml: fact.{second.id}.assessment: found '{first.assessment[0]}'",
    ):
        assert line in faults, f"{line} is not in\n{faults}"


def test_every_fault_within_the_files_is_told_at_once_with_file_and_key(copy: Path) -> None:
    spoil(copy, "criteria.toml", r"(\[contraindication\.hepatic-failure\]\n)", r"\1if_silnet = 'unknown'\n")
    spoil(copy, "facts.toml", r'(\[fact\.primary_site\].*?)kind = "code"', r'\1kind = "cod"')
    spoil(copy, "publications.toml", r'doi = "10', 'doi = "11')
    spoil(copy, "modalities/ablation.toml", r'nec = "not-indicated"', 'nec = "never"')
    (copy / "board.toml").unlink()
    (copy / "staging.toml").write_text("[timing\n", "utf-8")
    faults = told(copy)
    for words in (
        ("criteria.toml: contraindication.hepatic-failure", "if_silnet"),
        ("facts.toml: fact.primary_site.kind", "'cod'"),
        ("publications.toml: ", "doi"),
        ("modalities/ablation.toml: nec", "'never'"),
        ("board.toml", "no file"),
        ("staging.toml", "line 1"),
    ):
        assert any(all(word in line for word in words) for line in faults.splitlines()), f"{words} not in\n{faults}"


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "where"),
    [
        ("facts.toml", r'"obs\.ki67"', '"obs.ki76"', "facts.toml: fact.ki67_index.concepts"),
        ("facts.toml", r'^missing_order = \[', 'missing_order = ["who_grad", ', "facts.toml: missing_order"),
        ("derived.toml", r"^reads = \[", 'reads = ["nobody", ', "derived.toml: "),
        ("terminology.toml", r'^system  = "icd-10-cm"', 'system  = "icd-11"', "terminology.toml: "),
        ("statements.toml", r'"reddy-clary-2010"', '"reddy-2010"', "statements.toml: S001.publications"),
        ("modalities/ablation.toml", r'"hepatic-failure"', '"hepatic-failing"', "modalities/ablation.toml: contraindicated_by"),
        ("modalities/ablation.toml", r'^id = "ablation"', 'id = "ablating"', "modalities/ablation.toml: id"),
        ("criteria.toml", r'(fact = "portal_vein"\nis = )"occluded"', r'\1"shut"', "criteria.toml: contraindication.portal"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_keeps_the_service_from_starting(
    copy: Path, file: str, pattern: str, replacement: str, where: str
) -> None:
    spoil(copy, file, pattern, replacement)
    assert where in told(copy)


def test_a_number_of_the_scores_that_is_missing_or_misspelt_is_told(copy: Path) -> None:
    spoil(copy, "scores.toml", r"^g3_above", "g3_abvoe")
    assert "scores.toml" in told(copy)


def test_every_publication_can_be_found_or_says_why_not() -> None:
    for name, publication in knowledge.load().publications.items():
        assert publication.url or publication.unlinked, name
        assert publication.url.startswith("https://") or not publication.url, name
        assert len(publication.citation) > 20, name


def test_no_two_publications_are_one() -> None:
    found = knowledge.load().publications.values()
    for numbers in ([p.doi.lower() for p in found], [p.pmid for p in found], [p.citation for p in found]):
        assert [number for number, count in Counter(filter(None, numbers)).items() if count > 1] == []


def test_every_statement_names_a_publication_or_says_why_not() -> None:
    for name, statement in knowledge.load().statements.items():
        assert statement.publications or statement.unsourced, name


def test_everything_says_that_no_clinician_has_signed_it_until_one_has() -> None:
    for file in ("publications.toml", "statements.toml"):
        for name, entry in table(file).items():
            assert entry["verified"], f"{file}: {name}"


@pytest.mark.parametrize("code", FORBIDDEN, ids=str)
def test_a_code_that_is_wrong_or_unseen_is_not_shipped(code: tuple[str, str]) -> None:
    shipped = {(rows["system"], found) for rows in table("terminology.toml")["value_set"] for found in rows["codes"]}
    coded = {
        (system, found)
        for by_value in table("coded_values.toml").values()
        for by_system in by_value.values()
        if isinstance(by_system, dict)
        for system, codes in by_system.items()
        for found in codes
    }
    assert code not in shipped | coded, FORBIDDEN[code]


def test_every_derived_fact_has_its_calculation_and_every_calculation_its_fact() -> None:
    assert set(CALCULATIONS) == set(knowledge.load().derived)


def test_every_id_is_one_thing_only() -> None:
    known = knowledge.load()
    assert not set(known.facts) & set(known.derived)
    assert not set(known.statements) & {criterion.id for criterion in known.criteria.values()}
    codes = Counter(code for fact in known.facts.values() for code in fact.assessment)
    assert [code for code, count in codes.items() if count > 1] == []
    indications = Counter(indication.id for modality in known.modalities for indication in modality.indications)
    assert [name for name, count in indications.items() if count > 1] == []
    assert not set(indications) & {criterion.id for criterion in known.criteria.values()}
    for modality in known.modalities:
        parts = (*modality.contraindications, *modality.cautions, *(criterion for criterion, _ in modality.exclusions))
        assert [name for name, count in Counter(part.key for part in parts).items() if count > 1] == [], modality.id


def test_what_is_contraindicated_or_recommended_rests_on_a_statement_that_may_decide() -> None:
    known = knowledge.load()
    for modality in known.modalities:
        for criterion in modality.contraindications:
            kinds = {known.statements[name].kind for name in criterion.statements}
            assert criterion.local or kinds & {"RULE", "LIMIT", "LATER"}, criterion.key
        for indication in modality.indications:
            kinds = {known.statements[name].kind for name in indication.statements}
            assert indication.local or kinds & {"RULE", "LATER"}, indication.id
            assert indication.strength in {Verdict.RECOMMENDED, Verdict.CONSIDER}


def test_every_fixture_is_shipped_with_the_package() -> None:
    """The command line and the pages show them where nobody has the repository."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    shipped = {ROOT / source: target for source, target in wheel["force-include"].items()}
    assert shipped[ROOT / "openapi.yaml"] == "cds_service/openapi.yaml"
    assert shipped[ROOT / "fhir_fixtures"] == "cds_service/fhir_fixtures"
    for fixture in FIXTURES:
        assert {path.name for path in folder_of(fixture).iterdir()} >= {"chart.json", "story.md"}
        assert folder_of(fixture).parent in shipped


def test_a_misspelt_key_does_not_hide_the_faults_between_the_files(copy: Path) -> None:
    spoil(copy, "criteria.toml", r"(\[contraindication\.hepatic-failure\]\n)", r"\1if_silnet = 'unknown'\n")
    spoil(copy, "modalities/resection.toml", r"^(beside = \[)", r'\1"S999", ')
    faults = told(copy)
    assert "if_silnet" in faults
    assert "S999" in faults
