"""Check for every row of the generated drug tables what a chart with that code or name states and asks.

The expectations are written by hand: which facts a drug is about, by which words its products are known, which codes state
nothing or only ask, and how many rows there are of each. So no row can be lost, added or given to another drug unnoticed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from cds_service import knowledge
from cds_service.errors import KnowledgeError
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.reader import ChartReader
from cds_service.knowledge.drugs import NAMES, PRODUCTS, read_table
from tests.knowledge.test_knowledge import SHIPPED, spoil, told
from tests.support.coding_tables import SYSTEMS, TODAY, said

RXNORM = SYSTEMS["rxnorm"]
READER = ChartReader(knowledge.load())
ROWS = read_table((SHIPPED / PRODUCTS).read_text("utf-8"))
NAMED = read_table((SHIPPED / NAMES).read_text("utf-8"))

CAPECITABINE = ("capecitabine", "capecitabine_recent", "chemotherapy")
ANTAGONIST = ("anticoagulant", "vitamin_k_antagonist")
DRUGS: dict[str, tuple[tuple[str, ...], int, int, str]] = {
    "acenocoumarol": (ANTAGONIST, 5, 7, "acenocoumarol"),
    "apixaban": (("anticoagulant",), 14, 4, "apixaban|eliquis"),
    "argatroban": (("anticoagulant",), 6, 1, "argatroban"),
    "betrixaban": (("anticoagulant",), 2, 0, "betrixaban|bevyxxa"),
    "bevacizumab": ((), 37, 17, "bevacizumab|avastin|mvasi|zirabev|alymsys|vegzelma|avzivi|jobevne|lytenava"),
    "bivalirudin": (("anticoagulant",), 8, 3, "bivalirudin|angiomax"),
    "cabozantinib": ((), 39, 4, "cabozantinib|cabometyx|cometriq"),
    "capecitabine": (CAPECITABINE, 16, 7, "capecitabine|xeloda"),
    "carboplatin": (("chemotherapy",), 11, 5, "carboplatin|paraplatin|kyxata"),
    "cisplatin": (("chemotherapy",), 8, 2, "cisplatin"),
    "clopidogrel": ((), 17, 15, "clopidogrel|plavix"),
    "dabigatran": (("anticoagulant",), 29, 3, "dabigatran|pradaxa"),
    "dacarbazine": (("chemotherapy",), 4, 4, "dacarbazine"),
    "dalteparin": (("anticoagulant",), 23, 4, "dalteparin|fragmin"),
    "desirudin": (("anticoagulant",), 3, 2, "desirudin|iprivask"),
    "dexlansoprazole": ((), 10, 2, "dexlansoprazole|dexilant"),
    "diazoxide": ((), 11, 5, "diazoxide|proglycem|vykat"),
    "dicumarol": (ANTAGONIST, 8, 0, "dicumarol"),
    "anisindione": (ANTAGONIST, 3, 0, "anisindione"),
    "doxorubicin": (("chemotherapy",), 47, 20, "doxorubicin|adriamycin|doxil|lipodox|caelyx"),
    "edoxaban": (("anticoagulant",), 11, 5, "edoxaban|savaysa|lixiana"),
    "enoxaparin": (("anticoagulant",), 22, 7, "enoxaparin|lovenox"),
    "esomeprazole": ((), 22, 3, "esomeprazole|nexium"),
    "etoposide": (("chemotherapy",), 27, 9, "etoposide|etopophos|toposar|vepesid|avopef"),
    "everolimus": (("everolimus",), 59, 6, "everolimus|afinitor|zortress|torpenz|votubia"),
    "fluorouracil": (("chemotherapy",), 61, 12, "fluorouracil|adrucil|carac|efudex|fluoroplex|tolak|favlyxa"),
    "fondaparinux": (("anticoagulant",), 13, 4, "fondaparinux|arixtra"),
    "heparin": (("anticoagulant",), 28, 6, "heparin|defencath"),
    "interferon_alfa": (("interferon",), 52, 17, "^(?!.*peg).*(interferon alfa|intron a|alferon|infergen|roferon|viraferon)"),
    "lanreotide": (("somatostatin_analogue",), 9, 5, "lanreotide|somatuline"),
    "lansoprazole": ((), 16, 2, "^(?!.*dex).*(lansoprazole|prevacid)"),
    "lu177_dotatate": (("lu177_dotatate",), 3, 5, "lutetium lu 177 dotatate|lutathera"),
    "octreotide": (("somatostatin_analogue",), 24, 12, "octreotide|sandostatin|mycapssa|bynfezia"),
    "omeprazole": ((), 47, 2, "^(?!.*esome).*(omeprazole|prilosec|zegerid)"),
    "oxaliplatin": (("chemotherapy",), 11, 5, "oxaliplatin|eloxatin"),
    "pantoprazole": ((), 12, 7, "pantoprazole|protonix"),
    "pasireotide": ((), 16, 6, "pasireotide|signifor"),
    "peginterferon_alfa": (("interferon",), 28, 11, "peginterferon|pegasys|pegintron|besremi"),
    "phenprocoumon": (ANTAGONIST, 3, 9, "phenprocoumon"),
    "prasugrel": ((), 17, 4, "prasugrel|effient"),
    "rabeprazole": ((), 16, 2, "rabeprazole|aciphex"),
    "rivaroxaban": (("anticoagulant",), 24, 2, "rivaroxaban|xarelto"),
    "streptozocin": (("chemotherapy",), 4, 7, "streptozocin|zanosar"),
    "sunitinib": (("sunitinib",), 25, 4, "sunitinib|sutent"),
    "telotristat": ((), 4, 3, "telotristat|xermelo"),
    "temozolomide": (("chemotherapy",), 38, 8, "temozolomide|temodar"),
    "ticagrelor": ((), 16, 4, "ticagrelor|brilinta"),
    "tinzaparin": (("anticoagulant",), 1, 1, "tinzaparin"),
    "warfarin": (ANTAGONIST, 61, 9, "warfarin|coumadin|jantoven"),
}  # fmt: skip
"""Drug → the facts it is about, its numbers of products and names, and the words by which its products are known."""
STATE_NOTHING = {
    "flush or lock": "1362060 1362062 1658690 1658692 2670457 2670465",
    "on the skin": "105583 1160832 1171213 1173675 1173846 1600379 1600380 1600382 1669868 1669869 1669870 1669871 "
                   "1669872 1669873 197709 202633 213045 224945 284191 284539 285133 310379 310380 362219 362325 362409 "
                   "372230 377700 562880 572984 574967 92752",
}  # fmt: skip
ASK = {
    "form not said": "1600381 392449 1658717",
    "name not seen": "1090558 1090559 1090560 1597596 1597601 1597820 197593 1999682 2049730 2049734 207194 207198 207200 "
                     "207634 312070 314152 749813 749814 749816 749817 749818 898601 898603 898605 898607",
}  # fmt: skip
BRANDS_STATING_NOTHING = {"Carac", "Defencath", "Efudex", "Fluoroplex", "Tolak"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped files, to introduce errors."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "knowledge", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def codes(lists: dict[str, str]) -> set[str]:
    return {code for line in lists.values() for code in line.split() if code.isdigit()}


def reading(concept: Mapping[str, object], status: str = "active") -> tuple[dict[str, str], set[str]]:
    """Return what a prescription states and asks."""
    patient = {"resourceType": "Patient", "id": "p"}
    drug = {"resourceType": "MedicationRequest", "id": "d", "subject": {"reference": "Patient/p"}, "status": status,
            "intent": "order", "authoredOn": "2026-10-20", "medicationCodeableConcept": concept}  # fmt: skip
    chart = read_chart([ChartEntry(json.dumps(part).encode()) for part in (patient, drug)], "p", EVERYTHING_ARRIVED)
    found = said(READER.knowledge, READER.read(chart, TODAY))
    return found["states"], found["asks"]


def facts_of(concept: str) -> set[str]:
    return set(DRUGS[concept.removeprefix("med.")][0])


@pytest.mark.parametrize("drug", DRUGS)
def test_every_product_of_the_table_states_the_facts_of_its_drug(drug: str) -> None:
    rows = [row for row in ROWS if row["concept"] == f"med.{drug}"]
    assert len(rows) == DRUGS[drug][1]
    for row in rows:
        coded = {"coding": [{"system": RXNORM, "code": row["rxcui"]}]}
        facts = facts_of(row["concept"])
        expected: tuple[dict[str, str], set[str]] = (dict.fromkeys(facts, "true"), set())
        if row["rxcui"] in codes(STATE_NOTHING):
            expected = {}, set()
        elif row["rxcui"] in codes(ASK):
            expected = {}, facts
        assert reading(coded) == expected, row
        past = {name for name in expected[0] if name not in {"anticoagulant", "vitamin_k_antagonist", "capecitabine"}}
        assert set(reading(coded, "completed")[0]) == past, row


@pytest.mark.parametrize("drug", DRUGS)
def test_every_product_is_called_by_a_name_of_its_drug(drug: str) -> None:
    wanted = re.compile(DRUGS[drug][3], re.IGNORECASE)
    assert [row["name"] for row in ROWS if row["concept"] == f"med.{drug}" and not wanted.search(row["name"])] == []


@pytest.mark.parametrize("drug", DRUGS)
def test_every_name_of_the_table_asks_for_the_facts_of_its_drug(drug: str) -> None:
    rows = [row for row in NAMED if row["concept"] == f"med.{drug}"]
    assert len(rows) == DRUGS[drug][2]
    for row in rows:
        expected = set() if row["name"] in BRANDS_STATING_NOTHING else facts_of(row["concept"])
        for text in (row["name"], row["name"].upper(), f"1x täglich {row['name']} (500 mg)"):
            assert reading({"text": text}) == ({}, expected), text


def test_the_tables_hold_so_many_rows_and_no_other_drug() -> None:
    assert (len(ROWS), len(NAMED)) == (971, 282)
    assert {row["concept"] for row in (*ROWS, *NAMED)} == {f"med.{drug}" for drug in DRUGS}
    assert sum(count for _, count, _, _ in DRUGS.values()) == 971
    assert codes(STATE_NOTHING) | codes(ASK) <= {row["rxcui"] for row in ROWS}


def test_a_form_that_states_nothing_is_one_on_the_skin_or_to_keep_a_line_open() -> None:
    marked = {row["rxcui"] for row in ROWS if "topical" in row["form"] or "flush" in row["form"]}
    assert codes(STATE_NOTHING) == (marked | {"2670457", "2670465"}) - {"1658717"}
    assert {row["rxcui"] for row in ROWS if row["name_seen"] == "no"} == set(ASK["name not seen"].split())


def test_every_row_says_where_it_was_seen_and_how_the_table_is_made() -> None:
    assert all(row["where_seen"] for row in (*ROWS, *NAMED))
    for name in (PRODUCTS, NAMES):
        head = (SHIPPED / name).read_text("utf-8").splitlines()[0]
        assert re.match(r"# .*Generated by \.ci/drug_tables\.py, collected \d{4}-\d\d-\d\d", head)


def test_which_drugs_of_a_fact_have_no_product() -> None:
    asked = {concept for fact in READER.knowledge.facts.values() for concept in fact.concepts if concept.startswith("med.")}
    held = Counter(row["concept"] for row in ROWS)
    assert {concept for concept in asked if not held[concept]} == set()
    only_few = {concept for concept in asked if held[concept] < 4}
    assert only_few == {
        "med.tinzaparin",
        "med.phenprocoumon",
        "med.lu177_dotatate",
        "med.anisindione",
        "med.betrixaban",
        "med.desirudin",
    }


@pytest.mark.parametrize(
    ("pattern", "replacement", "words"),
    [
        (r"^855332,", "85533x,", "rxcui"),
        (r"^855332,", "11289,", "appears twice"),
        (r"^855332,SCD,", "855332,SXD,", "tty"),
        (r"^(855332,.*),high$", r"\1,low", "confidence"),
        (r"^(855332,SCD,[^,]*,yes,)med\.warfarin", r"\1warfarin", "concept"),
        (r"^855332,SCD,", "855332,", "more or fewer cells"),
        (r"^rxcui,", "code,", "rxcui, tty, name"),
    ],
)
def test_a_faulty_row_is_refused(copied: Path, pattern: str, replacement: str, words: str) -> None:
    spoil(copied, PRODUCTS, pattern, replacement)
    assert words in told(copied)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "words"),
    [
        (NAMES, r"^Ecansya,EU,med\.capecitabine", "Xeloda,EU,med.sunitinib", "names two concepts"),
        ("drugs.toml", '"Efudex"', '"Efudix"', "name.state_nothing"),
        ("drugs.toml", '"1658717"', '"1658718"', "product.asks"),
        ("drugs.toml", '"topical \\(skin\\)"', '"topical"', "form.states_nothing"),
        ("drugs.toml", '"chemo"', '"Chemo"', "one word in lower case"),
        ("criteria.toml", r"(\[contraindication\.hepatic-failure\]\n)", r"\1by_name = true\n", "only in a caution"),
        ("criteria.toml", r"(\[technique\.pretreated\]\n)", r"\1by_name = true\n", "only in a caution"),
        ("criteria.toml", r"(\[caution\.platelets-below-limit\]\n)", r"\1by_name = true\n", "one is a drug"),
    ],
)
def test_what_contradicts_a_table_is_refused(
    copied: Path,
    file: str,
    pattern: str,
    replacement: str,
    words: str,
) -> None:
    spoil(copied, file, pattern, replacement)
    assert words in told(copied)


def test_a_missing_table_is_refused_and_a_row_more_changes_the_digest(copied: Path) -> None:
    before = knowledge.read_folder(copied).digest
    with (copied / PRODUCTS).open("a", encoding="utf-8") as table:
        table.write("9999999,SCD,warfarin 0 MG,yes,med.warfarin,,nowhere,high\n")
    assert knowledge.read_folder(copied).digest != before
    (copied / NAMES).unlink()
    with pytest.raises(KnowledgeError, match=r"drug_names\.csv"):
        knowledge.read_folder(copied)
