"""The shipped knowledge is valid; invalid knowledge is not loaded, and every fault is reported with file and key."""

from __future__ import annotations

import csv
import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.errors import Fault, KnowledgeError
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.statement_uses import statement_uses
from cds_service.reasoning.calculations import CALCULATIONS
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
}
"""Codes that circulate and are wrong, or that were not seen in a source."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped files, to introduce faults."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "knowledge", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def spoil(folder: Path, name: str, pattern: str, replacement: str) -> None:
    """Introduce one fault: replace the first match of the pattern."""
    text = (folder / name).read_text("utf-8")
    spoilt, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE | re.DOTALL)
    assert count, f"{name} has no {pattern}"
    (folder / name).write_text(spoilt, "utf-8")


def told(folder: Path) -> str:
    with pytest.raises(KnowledgeError) as refused:
        knowledge.read_folder(folder)
    assert all(fault.where and fault.problem for fault in refused.value.faults)
    return str(refused.value)


def table(name: str) -> dict[str, Any]:
    return tomllib.loads((SHIPPED / name).read_text("utf-8"))


def test_the_shipped_knowledge_loads_and_has_a_digest() -> None:
    known = knowledge.load()
    assert re.fullmatch("[0-9a-f]{16}", known.digest)
    assert len(known.modalities) == 7


def test_no_line_of_a_knowledge_file_is_too_long_for_a_diff() -> None:
    """An address cannot be broken, so the PubMed searches of publications.toml may be longer."""
    files = [*SHIPPED.rglob("*.toml"), ROOT / "cds_service/rulebook/prose.toml"]
    lines = [f"{file.name}: {line}" for file in files for line in file.read_text("utf-8").splitlines() if len(line) > 160]
    assert [line for line in lines if not line.startswith('publications.toml: search = "https://')] == []


def test_a_copy_with_another_word_has_another_digest(copy: Path) -> None:
    assert knowledge.read_folder(copy).digest == knowledge.load().digest
    (copy / "criteria.toml").write_text((copy / "criteria.toml").read_text("utf-8") + "# read again\n", "utf-8")
    assert knowledge.read_folder(copy).digest != knowledge.load().digest


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
        "criteria.toml: contraindication.hepatic-failure.statements must have a RULE, LIMIT or LATER statement that is not of "
        f"low confidence or from memory; it has {result} (RESULT)",
        "criteria.toml: contraindication.portal-vein-occlusion.fact names 'portal_vain', which is not a fact of facts.toml or",
        "modalities/resection.toml: beside names 'S999', which is not a statement of statements.toml",
        "statements.toml: S002.publications must name a publication, or the statement have `unsourced` with the reason",
        f"facts.toml: fact.{second.id}.assessment repeats '{first.assessment[0]}', which fact.{first.id} has",
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
        ("board.toml", "is missing"),
        ("staging.toml", "line 1"),
    ):
        assert any(all(word in line for word in words) for line in faults.splitlines()), f"{words} not in\n{faults}"


def test_six_faults_of_six_kinds_are_reported_in_one_run_each_with_file_table_key_and_what_is_allowed(copy: Path) -> None:
    """A wrong key, an unknown id, a RESULT that decides, no source, a code that may not decide, a duplicate."""
    spoil(copy, "facts.toml", r"(\[fact\.inr\].*?)window_days", r"\1window_day")
    spoil(copy, "modalities/resection.toml", r'"four-or-more-lesions"', '"for-or-more-lesions"')
    spoil(copy, "criteria.toml", r"(\[contraindication\.portal-vein-occlusion\].*?statements = )\[[^\]]*\]", r'\1["S047"]')
    spoil(copy, "statements.toml", r"(\[S053\].*?publications = )\[[^\]]*\]", r"\1[]")
    spoil(copy, "facts.toml", r'uses = \["decides-lasting"\]', 'uses = ["context"]')
    spoil(copy, "publications.toml", r"(\[clary-2006\].*?reference = )2", r"\g<1>1")
    faults = told(copy)
    for sentence in (
        'facts.toml: fact.inr.window_day is not a known key; did you mean "window_days"? Allowed: active, adverse, ',
        "modalities/resection.toml: cautions names 'for-or-more-lesions', which is not a [caution.…] of criteria.toml; "
        "did you mean 'four-or-more-lesions'?",
        "criteria.toml: contraindication.portal-vein-occlusion.statements must have a RULE, LIMIT or LATER statement that is "
        "not of low confidence or from memory; it has S047 (RESULT)",
        "statements.toml: S053.publications must name a publication, or the statement have `unsourced` with the reason",
        "facts.toml: fact.renal_failure_coded.uses names 'context', which is not a use that decides or asks",
        "publications.toml: clary-2006.reference repeats 1, which vogl-2009-interventional has",
    ):
        assert any(line.strip().startswith(sentence) for line in faults.splitlines()), f"{sentence} is not in\n{faults}"


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "where", "allowed"),
    [
        ("statements.toml", r"^\[S002\]", "[S001]", "statements.toml must be TOML in UTF-8", "Cannot"),
        ("statements.toml", r'not_used = "explains M001[^"]*"\n', "", "statements.toml: M003.not_used", "is required with"),
        ("statements.toml", r"(\[S019\]\n)", r'\1not_used = "no"\n', "statements.toml: S019.not_used", "is not allowed"),
        ("statements.toml", r"(\[S019\]\n)", r'\1checked = "2026-02-30"\n', "statements.toml: S019.checked", "a day of"),
        ("terminology.toml", r'"29593-1" =', '"85330-1" =', "terminology.toml: obs.ki67.codes", "of terminology.toml rejects"),
        ("terminology.toml", r'("K72\.90" = [^\n]*\n)', r'\1"K7290" = "again"\n', "terminology.toml: ", "'K7290' twice"),
        ("coded_values.toml", r'icd-10-cm = \["C25"\]', 'loinc = ["33756-8"]', "coded_values.toml: primary_site", "rejects"),
        ("facts.toml", r'uses = \["decides-lasting"\]', 'uses = ["decides"]', "facts.toml: fact.renal", "one of context"),
        ("criteria.toml", r'fact = "hepatic_failure_found"', 'fact = "coagulopathy_coded"',
         "criteria.toml: contraindication.hepatic-failure.fact", "a fact whose codes may decide"),
        ("criteria.toml", r'(\[exclusion\.widespread-disease\].*?statements = )\["S070"\]', r'\1["M077"]',
         "criteria.toml: exclusion.widespread-disease.statements", "or from memory"),
        ("modalities/resection.toml", r'statements = \["S019", "S064"\]', 'statements = ["M012"]',
         "modalities/resection.toml: indication R1.statements", "a RULE statement"),
        ("modalities/ablation.toml", r'id = "A1"', 'id = "R1"', "indication.id", "repeats 'R1'"),
        ("outcomes.toml", r"n = 33", "n = 0", "outcomes.toml: row.T1-1.n", "at least 1"),
        ("outcomes.toml", r'withheld = \["S075"\]', 'withheld = ["S074"]', "outcomes.toml: row.T1-3.withheld", "display ="),
        ("outcomes.toml", r'statements = \["S074", "S076"\]', 'statements = ["S075"]', "outcomes.toml: row.T1-3.statements",
         "which may not be displayed"),
        ("outcomes.toml", r'statements = \["S071"\]', 'statements = ["S081"]', "row.T1-1.statements", "rests on reddy-2007"),
        ("outcomes.toml", r'lesion_number = \["over-5"\]', 'lesion_number = ["many"]', "row.T1-1.tells_of", "one of 1, 2-3"),
        ("outcomes.toml", r'modalities = \["resection"\]', 'modalities = ["resektion"]', "row.T1-1.modalities", "a modality"),
        ("conflicts.toml", r'"S069"', '"M043"', "conflicts.toml: Transplantation.review", "a statement of edition 2010"),
        ("review.toml", r'due = "2027-02-25"', 'due = "2027-02-29"', "review.toml: open.due", "a day of the calendar"),
        ("derived.toml", r"\{remnant\.normal\}", "{remnant.usual}", "derived.toml: remnant.how", "a number of scores.toml"),
        ("criteria.toml", r'says = "INR \{limit\} or above"', 'says = "INR 1.8 or above"',
         "criteria.toml: caution.inr-above-limit.says has the number 1.8", "a placeholder in braces"),
        ("criteria.toml", r'says = "INR \{limit\} or above"', 'says = "INR {limit2} or above"',
         "criteria.toml: caution.inr-above-limit.says has the placeholder {limit2}", "{limit}"),
        ("modalities/hormonal-suppression.toml", r"Telotristat for \{[^}]*\} or", "Telotristat for four or",
         "technique.2.says has the number four", "a name of names.toml"),
        ("outcomes.toml", r'survival = "\{S071[^"]*"', 'survival = "3-year survival 75 %"',
         "row.T1-1.survival has the number 3", "a placeholder"),
        ("staging.toml", r"more than \{band:over-5\.above\}", "more than 5", "words.over-5 has the number 5", "a placeholder"),
        ("local.toml", r"up to \{M043\.age\} years", "up to 55 years", "reason has the number 55", "a placeholder"),
        ("statements.toml", r'hazard = "HR 3\.3', 'hazard = "HR 3.4', "S030.figures.hazard has numbers",
         "the statement itself does not have: 3.4"),
        ("statements.toml", r"(\[S019\].*?)population = [^\n]*\n", r"\1", "S019.population is required",
         "where the statement is used"),
        ("statements.toml", r"(\[M014\].*?)\"appendix\"", r'\1"appendicitis"', "M014.population.primary", "one of small-bowel"),
        ("outcomes.toml", r"n = 170", "n = 171", "outcomes.toml: row.T1-3.n must be", "its statements give, not 171"),
        ("modalities/transplantation.toml", r'critical = \["distant-extrahepatic-disease"\]', 'critical = ["renal-failure"]',
         "transplantation.toml: critical", "in contraindicated_by or cautions of this file"),
        ("stances.toml", r'by = \["S019", "S064"\]', 'by = ["S016"]', "stances.toml: resection", "a RULE or LIMIT"),
        ("stances.toml", r'none = \["exclusion\.not', 'none = ["exclusion.nought', "stances.toml: resection", "a criterion"),
        ("modalities/resection.toml", r'statement = "S016"', 'statement = "S028"', "shown.S028", "that this file cites"),
        ("modalities/ablation.toml", r'face = "risk"\nplace = 1', 'face = "risk"', "shown.S028.place", "is required for face"),
        ("modalities/resection.toml", r'(statement = "S016"\nface = "risk"\nplace = 1)\nsays = [^\n]*', r"\1",
         "shown.S016.says", "the same place and source"),
        ("modalities/ablation.toml", r'(statement = "S066"\nface = "for"\nfor = )\["A1"\]', r'\1["A2"]', "shown.S066.says",
         "the same place and source"),
        ("modalities/transplantation.toml", r'statement = "S054"\nface = "dissent"', 'statement = "M046"\nface = "dissent"',
         "shown.M046.says", "the same place and source"),
        ("modalities/resection.toml", r'even after complete resection"', 'even after complete resection."', "shown.S016.says",
         "a full stop"),
        ("modalities/resection.toml", r'(statement = "S012"\nface = "page")', r'\1\nsays = "No trial"', "shown.S012.says",
         "not allowed with face = 'page'"),
        ("modalities/resection.toml", r'(statement = "M013"\nface = "for")\nfor = [^\n]*', r"\1", "shown.M013.says",
         "technique it supports"),
        ("modalities/resection.toml", r'brief = "Survival better', 'brief = "{M013.embolization}: better', "shown.M013.brief",
         "without its figures"),
        ("modalities/resection.toml", r'(says = "Often comes back[^\n]*)', r'\1\nbrief = "Comes back"', "shown.S016.brief",
         "without its figures"),
        ("modalities/resection.toml", r"\{M013\.embolization\}", "HR 0.34", "says has the number 0.34", "a placeholder"),
        ("stances.toml", r'says = "For most patients[^\n]*\n', "", "stances.toml: resection", "says is required"),
        ("stances.toml", r'(situation = "resection possible"\n)', r'\1says = "Nothing"\n', "stances.toml: ablation",
         "where it is not allowed"),
        ("statements.toml", r', says = "in pancreatic tumours"', "", "S097.population.says", "is required"),
        ("statements.toml", r'Ki-67 \{M052\.ki67\}', "Ki-67 below 10 %",
         "M052.population.says has the number 10", "a placeholder"),
        ("publications.toml", r'label = "Reddy & Clary 2010"\n', "", "reddy-clary-2010.label", "is required"),
        ("publications.toml", r'pmcid = "PMC', 'pmcid = "PMD', "publications.toml: ", "PMC"),
        ("review.toml", r"^unread = true", 'unread = true\ndue = "2027-01-01"', "review.toml: open", "one of due, unread"),
    ],
)  # fmt: skip
def test_what_is_cited_counted_or_dated_wrongly_keeps_the_service_from_starting(
    copy: Path, file: str, pattern: str, replacement: str, where: str, allowed: str
) -> None:
    spoil(copy, file, pattern, replacement)
    faults = told(copy)
    assert any(where in line and allowed in line for line in faults.splitlines()), faults


def test_a_file_that_cannot_be_read_does_not_hide_the_faults_of_the_others(copy: Path) -> None:
    (copy / "modalities/ablation.toml").write_text("[ablation\n", "utf-8")
    spoil(copy, "derived.toml", r"\{remnant\.normal\}", "{remnant.usual}")
    spoil(copy, "facts.toml", r'"obs\.ki67"', '"obs.ki76"')
    faults = told(copy)
    assert all(words in faults for words in ("modalities/ablation.toml", "{remnant.usual}", "'obs.ki76'"))
    assert "not_used" not in faults


def test_every_statement_decides_is_context_or_says_why_it_is_not_used() -> None:
    known = knowledge.load()
    entries = statement_uses(known)
    assert Counter((entry.statement[0], entry.standing) for entry in entries) == {
        ("S", "decides"): 13, ("S", "context"): 68, ("S", "not used"): 22,
        ("M", "decides"): 31, ("M", "context"): 59, ("M", "not used"): 15,
    }  # fmt: skip
    assert [entry.statement for entry in entries] == [f"S{n:03}" for n in range(1, 104)] + [f"M{n:03}" for n in range(1, 106)]
    for entry in entries:
        assert bool(entry.why) == (entry.standing == "not used"), entry
        statement = known.statements[entry.statement]
        if entry.standing == "decides":
            assert statement.kind in {"RULE", "LIMIT", "LATER"}, entry
            assert statement.confidence != "low", entry
        assert statement.display or entry.standing == "not used", entry


def test_misprints_factors_without_direction_and_sex_are_used_nowhere() -> None:
    standing = {entry.statement: entry.standing for entry in statement_uses(knowledge.load())}
    for name in ("S035", "S075", "S087", "S099", "S084", "S089", "S096", "S029", "M059"):
        assert standing[name] == "not used", name


def test_every_publication_has_a_link_or_says_why_not_and_the_39_references_are_there() -> None:
    publications = knowledge.load().publications.values()
    assert sorted(p.reference for p in publications if p.reference) == list(range(1, 40))
    assert all(bool(p.page_url) != bool(p.unlinked) for p in publications)
    kinds = Counter(
        "doi" if p.doi else "pmid" if p.pmid else "pmc" if p.pmcid else "page" if p.page else "search" if p.search else "words"
        for p in publications
    )
    assert kinds == {"doi": 67, "pmid": 3, "pmc": 7, "page": 24, "search": 38, "words": 7}


def test_a_card_links_by_doi_pmid_or_pmc_alone_and_calls_a_publication_by_a_short_label() -> None:
    for publication in knowledge.load().publications.values():
        assert re.match(r"https://(doi\.org/10\.|(pubmed|pmc)\.ncbi\.nlm\.nih\.gov/[^?])|$", publication.url), publication.id
        assert "…" not in publication.label
        year = (re.findall(r"-(\d{4})", publication.id) or [""])[0]
        assert (
            not re.search(r"\d{4}", publication.label)
            or year in {"", publication.label[-4:]}
            or publication.label == "AJCC 2017"
        )


def test_a_publication_without_a_year_is_called_by_its_name_alone() -> None:
    table = tomllib.loads((ROOT / "cds_service/knowledge/publications.toml").read_text("utf-8"))
    undated = {name: part["label"] for name, part in table.items() if "year" not in part}
    assert "panets-2022-review" in undated  # 2022 is when its search ended
    assert [label for label in undated.values() if re.search(r"\d", label)] == []
    dated = {name: (str(part["year"]), part["label"]) for name, part in table.items() if name not in undated}
    assert [name for name, (year, label) in dated.items() if not label.endswith(f" {year}")] == [
        "padia-2017"
    ]  # a page of a body


def test_every_identifier_of_the_list_of_november_2026_is_in_the_publications() -> None:
    rows = list(csv.DictReader((ROOT / "tests/data/identifiers_2026-11.csv").read_text("utf-8").splitlines()))
    held = knowledge.load().publications
    for row in rows:
        name = re.sub(r"^NEW | \(.*", "", row["publication id"])
        publication = held[name]
        assert publication.doi == row["doi"] or not row["doi"], name
        assert publication.pmid == row["pmid"] or not row["pmid"] or name in {"yao-2011", "raymond-2011"}, name
        assert row["doi"] or row["pmid"] or publication.pmcid or publication.page, name
    assert len(rows) == 31


def test_every_calculation_is_told_in_words_with_the_numbers_it_decides_by() -> None:
    known = knowledge.load()
    for derived in known.derived.values():
        told_in_words = derived.how
        assert len(told_in_words) > 20, derived.id
        assert "{" not in told_in_words
    assert "20 % of a normal liver, 30 % after" in known.derived["remnant"].how


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
        assert publication.page_url or publication.unlinked, name
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
    """The command line and the pages show them without the repository."""
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


def test_a_fault_stops_the_start_and_is_told_once_before_any_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> Knowledge:
        raise KnowledgeError([Fault("criteria.toml: contraindication.x.fact", "names 'y', which is not a fact of facts.toml")])

    monkeypatch.setattr(knowledge, "load", refuse)
    assert main(["serve", "--port", "1"]) == 1
    told_of_it = capsys.readouterr()
    assert told_of_it.out == ""
    assert told_of_it.err == (
        "the knowledge files have errors:\n"
        "  criteria.toml: contraindication.x.fact names 'y', which is not a fact of facts.toml\n"
    )
