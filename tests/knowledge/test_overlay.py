"""What a site file may change in the knowledge and what not; cards and the rule book name the choices of the site."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.errors import SiteError
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.queries import build_queries
from cds_service.fhir.reader import ChartReader
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Fact
from cds_service.sites.loader import read_site
from tests.charts.test_reading import OWN, PATIENT, TODAY, observation, quantity
from tests.conftest import EXTENSION, ROOT, as_of, chart_file

EXAMPLE = ROOT / "docs/site.example.toml"
LEAST = '[site]\nid = "north"\ntitle = "North Hospital"\n'
LOCAL = "urn:oid:2.999.1"


def known(tmp_path: Path, text: str) -> Knowledge:
    file = tmp_path / "north.toml"
    file.write_text(LEAST + text, "utf-8")
    return read_site(file).knowledge


def told(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SiteError) as caught:
        known(tmp_path, text)
    return [str(fault) for fault in caught.value.faults]


def fact(by: Knowledge, name: str, *resources: dict[str, Any]) -> Fact:
    chart = read_chart([ChartEntry(json.dumps(r).encode()) for r in (PATIENT, *resources)], "p", EVERYTHING_ARRIVED)
    return determine_facts(ChartReader(by).read(chart, TODAY), by, TODAY)[name]


def overview(by: Knowledge, fixture: str = "resectable") -> str:
    return cards_of_chart(chart_file(fixture).chart(), by, as_of(fixture), "test")[0].detail


def code(says: str, where: str = f'system = "{LOCAL}"\ncode = "X"') -> str:
    return f"[[code]]\n{where}\n{says}\n"


def test_the_example_is_a_site_file() -> None:
    site = read_site(EXAMPLE)
    assert site.knowledge.digest != knowledge.load().digest
    assert site.knowledge.facts["inr"].window_days == 90
    assert site.knowledge.ecog_limit == 2


def test_the_example_shows_every_section_and_every_key() -> None:
    sections = json.loads((ROOT / "cds_service/sites/schema.json").read_text("utf-8"))["properties"]
    text = EXAMPLE.read_text("utf-8")
    for section, schema in sections.items():
        assert re.search(rf"^\[+{section}[.\]]", text, re.MULTILINE), section
        for key in schema.get("items", schema).get("properties", {}):
            assert re.search(rf"\b{key}\b", text), f"{section}.{key}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (code(""), "code.1 must have one of means, fact and concept; it has none"),
        (
            code('means = "loinc|1975-2"\nfact = "inr"'),
            "code.1 must have one of means, fact and concept; it has means and fact",
        ),
        (code('means = "loinc|1975-2"', ""), "code.1 must have system and code, or else a text"),
        (code('means = "loinc|9999-9"'), "code.1.means is 'loinc|9999-9', a code that the knowledge does not hold"),
        (code('means = "cpt|1975-2"'), "code.1.means is 'cpt|1975-2'"),
        (code('fact = "bilirubin"'), "code.1.fact is 'bilirubin', which is no fact of facts.toml; did you mean"),
        (code('fact = "age"'), "code.1.fact is 'age', which is a fact that a site cannot map"),
        (code('fact = "anticoagulant"'), "use `means` or `concept` instead"),
        (code('fact = "resectability"\nvalue = "inoperable"'), "must be one of complete, debulkable, unresectable"),
        (code('fact = "hilar_lesion"\nvalue = "yes"'), "must be true or false"),
        (
            code('fact = "ecog"\nvalue = 7'),
            "a whole number or a number with its unit in quotes (1, {score}), in the range of ecog (0 to 5)",
        ),
        (
            code('concept = "proc.embolisation"'),
            'which is no concept of terminology.toml; did you mean "proc.embolization"?',
        ),
        (
            code('concept = "proc.embolization"\nuse = "always"'),
            "code.1.use is 'always', which proc.embolization does not have; its uses: ",
        ),
        (code('means = "loinc|1975-2"\nvalue = true'), "code.1.value must be used with fact, not with means"),
        (code('fact = "inr"', 'system = "http://loinc.org"\ncode = "1975-2"'), "which the knowledge already reads"),
        (
            code('fact = "inr"', 'system = "http://hl7.org/fhir/sid/icd-10-cm"\ncode = "C7B.021"'),
            "which the knowledge already reads",
        ),
        (
            code('fact = "inr"', f'system = "{knowledge.load().assessment_system}"\ncode = "new"'),
            "which the knowledge already reads",
        ),
        (code('fact = "inr"') + code('fact = "albumin"'), "code.2.code is 'X', which another entry already explains"),
        (code('means = "loinc|1975-2"') + code('fact = "hilar_lesion"\nvalue = true'), "which another entry already explains"),
        (code('fact = "hilar_lesion"\nvalue = true') + code('means = "loinc|1975-2"'), "which another entry already explains"),
        (
            code('fact = "hilar_lesion"\nvalue = false', 'text = "Yes"'),
            "code.1.text is 'Yes', which is already read as another answer",
        ),
        (code('fact = "hilar_lesion"', 'text = "present"'), "has a text, and so needs a fact of Observations and its value"),
        (
            code('fact = "resectability"\nvalue = "complete"', 'text = " Unresectable"'),
            "already read as another answer or as a number",
        ),
        (code('fact = "ecog"\nvalue = 1', 'text = "3"'), "already read as another answer or as a number"),
        (
            code('fact = "resectability"\nvalue = "complete"', 'text = "seen"')
            + code('fact = "resectability"\nvalue = "debulkable"', 'text = " SEEN"'),
            "code.2.text is ' SEEN', which another entry",
        ),
        (code('fact = "inr"', 'system = "local"\ncode = "X"'), "code.1.system is 'local'"),
        ('[units.platelets]\n"G/L" = "g/L"', "units.platelets.G/L is 'g/L', and must be one of 10*9/L"),
        ('[units.creatinine]\n"mg/dl" = "umol/L"', "this spelling already means mg/dL"),
        ('[units.creatinine]\n"mg/dL " = "mg/L"', "this spelling already means mg/dL"),
        ('[units.creatinine]\n"mg / dl" = "umol/L"', "this spelling already means mg/dL"),
        ('[units.platelets]\n"mg/dL" = "10*9/L"', "this spelling already means mg/dL"),
        ('[units.platelets]\n"G/L" = "10*9/L"\n"G / L" = "/uL"', "units.platelets.G / L is a spelling that appears twice"),
        ('[units.portal_vein]\n"x" = "1"', "units.portal_vein is for no fact of facts.toml that has a unit"),
        ("[windows]\ninr = 400", "windows.inr is 400 days, and must be 30 to 180 days"),
        ("[windows]\ninr = 7", "windows.inr is 7 days"),
        ("[windows]\necog = 60", "is for no fact whose window a site may set"),
        ("[windows]\ncapecitabine_recent = 30", "is for no fact whose window a site may set"),
        ('[limits."contraindication.ecog-3-or-worse"]\nlimit = 4\nsays = "ECOG 4"', "is 4, and must be 2 to 3"),
        ('[limits."contraindication.ecog-3-or-worse"]\nlimit = 2\nsays = "ECOG"', "must be a sentence that names its limit, 2"),
        (
            '[limits."caution.lesion-above-3-cm"]\nlimit = 2\nsays = "2"',
            "limits.caution.lesion-above-3-cm is no limit that a site may set",
        ),
        ('[limits."contraindication.ecog-3-or-worse"]\nlimit = 2\nsays = "' + "ECOG 2 " * 9 + '"', "at most 34"),
        ('[wording]\nnote = "You must call us"', "must be plain text that neither instructs nor reassures"),
        ('[wording]\nnote = "[x](https://y)"', "plain text"),
        ('[wording.facts]\ninr = "Albumin"', "which is the name of another fact"),
        ('[wording.facts]\nquick = "Quick"', "wording.facts.quick is for no fact of facts.toml"),
        ('[sign_off]\nname = "A"\nrole = "B"\non = "2026-11-20"\nwhat = "x"\nknowledge = "0123456789abcdef"', "without quotes"),
        ('[sign_off]\nname = "A"\nrole = "B"\nwhat = "all"\nknowledge = "0123456789abcdef"', "sign_off.on is required"),
        ("[windos]\ninr = 90", 'windos is not a known key; did you mean "windows"? Allowed: '),
    ],
    ids=lambda part: part.replace("\n", " ")[:70],
)
def test_what_a_site_may_not_say_is_refused_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    found = told(tmp_path, text)
    assert any(fault in line for line in found), found


def test_every_fault_of_every_section_is_told_at_once(tmp_path: Path) -> None:
    text = (
        code('means = "loinc|9999-9"') + code('fact = "inr"\nvalue = 99') + '[units.inr]\n"s" = "seconds"\n[windows]\ninr = 1\n'
        '[limits."contraindication.ecog-3-or-worse"]\nlimit = 5\nsays = "x"\n[wording]\nnote = "it is safe"\ncolour = "red"\n'
    )
    found = told(tmp_path, text)
    for place in ("code.1.means", "code.2.value", "units.inr.s", "windows.inr", "ecog-3-or-worse.limit", "ecog-3-or-worse.says",
                  "wording.colour"):  # fmt: skip
        assert any(place in line for line in found), (place, found)


def test_an_entry_that_does_not_fit_hides_no_fault_of_the_entries_beside_it(tmp_path: Path) -> None:
    found = told(tmp_path, (
        code('fact = 1') + code('fact = "imr"') + '[units.inr]\nx = 1\ny = "s"\n[windows]\ninr = "soon"\nalbumin = 7\n'
        '[limits."contraindication.ecog-3-or-worse"]\nlimit = "2"\nsays = "2"\n'
        '[limits."exclusion.age-limit"]\nlimit = 20\nsays = "20"\n[wording]\nnote = 1\nfacts = { inr = 1, imr = "INR" }\n'
    ))  # fmt: skip
    places = (
        "code.1.fact",
        "code.2.fact is 'imr'",
        "units.inr.x",
        "units.inr.y",
        "windows.inr",
        "windows.albumin",
        "ecog-3-or-worse.limit",
        "exclusion.age-limit.limit",
        "wording.note",
        "wording.facts.inr",
        "wording.facts.imr",
    )
    for place in places:
        assert any(place in line for line in found), (place, found)


def test_nobody_has_signed_on_a_day_to_come(tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    signature = '[sign_off]\nname = "A"\nrole = "B"\non = 2026-11-20\nwhat = "x"\nknowledge = "0123456789abcdef"\n'
    file.write_text(LEAST + signature, "utf-8")
    assert read_site(file, date(2026, 11, 20)).knowledge.overlay.sign_off
    with pytest.raises(SiteError, match=r"sign_off\.on is 2026-11-20, which is in the future: today is 2026-11-19"):
        read_site(file, date(2026, 11, 19))


def test_without_a_clinical_section_the_knowledge_is_the_shipped_one(tmp_path: Path) -> None:
    assert known(tmp_path, "").digest == knowledge.load().digest


def test_each_choice_of_a_site_changes_the_digest_and_the_order_of_sections_does_not(tmp_path: Path) -> None:
    windows, wording = "[windows]\ninr = 90\n", '[wording]\nnote = "Board on Thursdays"\n'
    digests = {known(tmp_path, text).digest for text in ("", windows, wording, "[windows]\ninr = 91\n", windows + wording)}
    assert len(digests) == 5
    assert known(tmp_path, windows + wording).digest == known(tmp_path, wording + windows).digest


def test_a_local_code_states_its_fact_and_its_answers(tmp_path: Path) -> None:
    question = code('fact = "hilar_lesion"', f'system = "{LOCAL}"\ncode = "Q"')
    answers = code('fact = "hilar_lesion"\nvalue = true') + code('fact = "hilar_lesion"\nvalue = false', 'text = "none seen"')
    by = known(tmp_path, question + answers)
    asked = observation("Q", LOCAL)
    yes = {"valueCodeableConcept": {"coding": [{"system": LOCAL, "code": "X"}]}}
    assert fact(by, "hilar_lesion", asked | yes).equals(True)
    assert fact(by, "hilar_lesion", asked | {"valueString": "None  seen "}).equals(False)
    assert fact(by, "hilar_lesion", asked | {"valueString": "none seen today"}).unknown
    assert fact(knowledge.load(), "hilar_lesion", asked | yes).silent


def test_a_local_code_that_says_liver_needs_no_body_site(tmp_path: Path) -> None:
    by = known(tmp_path, code('fact = "largest_lesion"'))
    assert str(fact(by, "largest_lesion", observation("X", LOCAL, **quantity(31, "mm"))).value) == "3.1"
    assert fact(knowledge.load(), "largest_lesion", observation("21889-1", "http://loinc.org", **quantity(31, "mm"))).unknown


def test_codes_that_the_project_may_not_ship_come_from_the_site(tmp_path: Path) -> None:
    cpt = "http://www.ama-assn.org/go/cpt"
    by = known(tmp_path, code('concept = "proc.embolization"', f'system = "{cpt}"\ncode = ["X1", "X2"]'))
    done = {"resourceType": "Procedure", "id": "op", "status": "completed", "subject": {"reference": "Patient/p"},
            "performedDateTime": "2026-01-01", "code": {"coding": [{"system": cpt, "code": "X2"}]}}  # fmt: skip
    assert fact(by, "liver_embolization", done).equals(True)
    assert fact(by, "liver_resection", done).silent, "a code that a site explains is recognised"
    assert fact(knowledge.load(), "liver_resection", done).unknown


def test_a_local_spelling_counts_for_its_fact_and_no_other(tmp_path: Path) -> None:
    by = known(tmp_path, '[units.platelets]\n"G/L" = "10*9/L"\n[units.albumin]\n"" = "g/L"\n')
    loinc = "http://loinc.org"
    assert str(fact(by, "platelets", observation("777-3", loinc, **quantity(210, "G/L"))).value) == "210"
    assert fact(by, "leukocytes", observation("6690-2", loinc, **quantity(5, "G/L"))).unknown
    assert str(fact(by, "albumin", observation("1751-7", loinc, valueQuantity={"value": 38})).value) == "3.8"
    assert fact(by, "creatinine", observation("2160-0", loinc, valueQuantity={"value": 1})).unknown
    both = {"system": "http://unitsofmeasure.org", "code": "10*9/L", "unit": "G/L"}
    assert str(fact(by, "platelets", observation("777-3", loinc, valueQuantity={"value": 210, **both})).value) == "210"
    spaced = known(tmp_path, '[units.platelets]\n" G / L" = "10*9/L"\n')
    assert str(fact(spaced, "platelets", observation("777-3", loinc, **quantity(210, "G/L"))).value) == "210"


def test_a_shorter_window_ages_a_value_and_a_stricter_limit_stops_sooner(tmp_path: Path) -> None:
    by = known(tmp_path, '[windows]\ninr = 30\n[limits."contraindication.ecog-3-or-worse"]\nlimit = 2\n'
               'says = "ECOG performance status 2 or worse"\n')  # fmt: skip
    old = observation("6301-6", "http://loinc.org", on=str(TODAY - timedelta(days=31)), **quantity(1.1, "1"))
    assert fact(by, "inr", old).unknown
    assert fact(knowledge.load(), "inr", old).known
    for modality in by.modalities:
        for criterion in modality.contraindications:
            assert criterion is by.criteria[criterion.key]
    assert by.criteria["contraindication.ecog-3-or-worse"].tests[0].limit == Decimal(2)


def test_an_old_value_beyond_a_sites_limit_is_no_denial_of_it(tmp_path: Path) -> None:
    by = known(
        tmp_path, '[limits."exclusion.involvement-above-half"]\nlimit = 30\nsays = "More than 30 % of the liver is tumour"\n'
    )
    old = str(TODAY - timedelta(days=400))

    def involved(percent: int, knowing: Knowledge) -> Fact:
        return fact(knowing, "liver_involvement", observation("liver-involvement", OWN, on=old, **quantity(percent, "%")))

    assert not involved(40, by).silent
    assert involved(40, by).unknown
    assert involved(30, by).silent
    assert involved(40, knowledge.load()).silent
    looser = '[limits."caution.beyond-published-lesion-count"]\nlimit = 6\nsays = "More than 6 lesions"\n'
    assert known(tmp_path, looser).facts["lesion_count"].adverse_above == knowledge.load().facts["lesion_count"].adverse_above


def test_every_limit_that_a_site_may_set_is_of_a_fact_whose_old_values_keep_to_it() -> None:
    base = knowledge.load()
    for key in base.limit_bounds:
        for test in base.criteria[key].tests:
            if test.fact in base.facts and base.facts[test.fact].stale_denial_is_silent:
                whole = test.how == "at_least" and base.facts[test.fact].kind == "integer"
                assert test.how == "above" or whole, f"{key}: sites/overlay.py moves adverse_above for these only"
                assert base.facts[test.fact].adverse_above is not None


def test_a_stricter_ecog_limit_keeps_an_old_ecog_that_meets_it_a_question(tmp_path: Path) -> None:
    by = known(
        tmp_path, '[limits."contraindication.ecog-3-or-worse"]\nlimit = 2\nsays = "ECOG performance status 2 or worse"\n'
    )
    assert [found.facts["ecog"].adverse_above for found in (knowledge.load(), by)] == [Decimal(2), Decimal(1)]


def test_local_questions_are_asked_for_and_local_answers_are_not(tmp_path: Path) -> None:
    by = known(tmp_path, code('fact = "inr"', f'system = "{LOCAL}"\ncode = "ASK"')
               + code('means = "loinc|1975-2"', f'system = "{LOCAL}"\ncode = "BILT"')
               + code('means = "icd-10-cm|C7B.02"', f'system = "{LOCAL}"\ncode = "DX"')
               + code('fact = "resectability"\nvalue = "unresectable"', f'system = "{LOCAL}"\ncode = "A"'))  # fmt: skip
    before = set(build_queries(knowledge.load())["observations"].split(","))
    assert set(build_queries(by)["observations"].split(",")) - before == {"ASK", "BILT"}


def test_cards_say_by_which_knowledge_they_are_and_whether_a_site_signed_it(tmp_path: Path) -> None:
    """The rule book has the site's choices and signature; a card has the first half of the digest."""
    base = knowledge.load()
    assert f"Not clinically verified (knowledge {base.digest[:8]})." in overview(base)
    text = '[windows]\ninr = 90\n[wording]\nnote = "HPB board on Thursdays."\n'
    unsigned = known(tmp_path, text)
    assert unsigned.digest[:8] != base.digest[:8]
    assert f"Not clinically verified (knowledge {unsigned.digest[:8]})." in overview(unsigned)
    assert overview(unsigned).endswith("HPB board on Thursdays.")
    said = f"knowledge {unsigned.digest} (with the codes and choices of the site north, {unsigned.overlay.digest})"
    assert unsigned.provenance == f"{said}, not clinically verified"
    signature = '[sign_off]\nname = "Dr. A. Example"\nrole = "surgeon"\non = 2026-11-20\nwhat = "all modalities"\nknowledge = '
    signed = known(tmp_path, f'{text}{signature}"{unsigned.digest}"\n')
    assert signed.digest == unsigned.digest, "a signature does not change what it signs"
    assert f"Signed by the site (knowledge {unsigned.digest[:8]})." in overview(signed)
    assert "ot clinically verified" not in overview(signed)
    assert signed.provenance == f"{said}, signed by Dr. A. Example, surgeon, on 2026-11-20: all modalities"
    changed = known(tmp_path, f'{text.replace("90", "91")}{signature}"{unsigned.digest}"\n')
    assert not changed.signed
    assert f"Not clinically verified (knowledge {changed.digest[:8]})." in overview(changed)
    assert f"not clinically verified as it is now ({unsigned.digest} was signed by Dr. A. Example" in changed.provenance


def test_the_rule_book_of_a_site_says_all_that_its_clinician_signs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["knowledge", "--site", str(EXAMPLE)]) == 0
    text = capsys.readouterr().out
    for words in (
        read_site(EXAMPLE).knowledge.digest,
        "urn:oid:2.999.1.100 DX-4711 means icd-10-cm|C7B.02",
        "urn:oid:2.999.1.301 3 states resectability: unresectable",
        "http://www.ama-assn.org/go/cpt 99999-example belongs to proc.embolization",
        "platelets: G/L is read as 10*9/L",
        "inr: out of date after 90 days (as shipped: 180)",
        "ECOG performance status 2 or worse (as shipped: ECOG performance status 3 or worse)",
    ):
        assert words in text


def test_every_card_bears_the_digest_of_the_knowledge_with_the_overlay(tmp_path: Path) -> None:
    by = known(tmp_path, "[windows]\ninr = 90\n")
    for fixture in ("resectable", "possible-nlm-two-primaries"):
        cards = cards_of_chart(chart_file(fixture).chart(), by, as_of(fixture), "test")
        assert cards
        assert all(by.digest in json.dumps(card.extension) for card in cards)
        assert by.digest[:8] in cards[0].detail


@pytest.mark.parametrize("fixture", ["resectable", "nec", "arterial-portal-vein-occluded"])
def test_a_chart_without_local_codes_is_judged_by_a_site_as_by_none(tmp_path: Path, fixture: str) -> None:
    by = known(tmp_path, code('means = "icd-10-cm|C7B.02"') + '[units.platelets]\n"G/L" = "10*9/L"\n')
    found, wanted = (
        cards_of_chart(chart_file(fixture).chart(), which, as_of(fixture), "test")[0].extension[EXTENSION]["modalities"]
        for which in (by, knowledge.load())
    )
    assert found == wanted
