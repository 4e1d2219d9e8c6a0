"""Drugs in charts: by product, ingredient and name, from Medications inside and outside the prescription, and unreadable
ones."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from cds_service.clinical_picture import ClinicalPicture
from cds_service.fhir.chart import Availability
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.resources import READ_TYPES
from cds_service.knowledge.model import FactDefinition
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasons import Reason
from tests.charts.test_cards import cards, order, patient_of, resources
from tests.charts.test_reading import KNOWN, LIVER, MINE, NEN, PATIENT, READER, SNOMED, TODAY, picture

ATC, RXNORM = "http://www.whocc.no/atc", "http://www.nlm.nih.gov/research/umls/rxnorm"
PZN, GERMAN_ATC = "http://fhir.de/CodeSystem/ifa/pzn", "http://fhir.de/CodeSystem/bfarm/atc"
DRUGS = {name for name, fact in KNOWN.facts.items() if fact.source == "Medication" and fact.kind == "presence"}
TREATMENTS = {
    "liver_resection", "liver_ablation", "liver_embolization", "liver_radioembolization", "radionuclide_therapy",
    "somatostatin_analogue", "interferon", "everolimus", "sunitinib", "chemotherapy", "lu177_dotatate",
    "capecitabine", "capecitabine_recent", "anticoagulant", "vitamin_k_antagonist",
}  # fmt: skip
"""Earlier treatment stated by a code, and current medication (docs/knowledge.md, "What silence means")."""
NOT_TREATMENTS = {"liver_transplant_coded", "biliary_procedure_coded", "dialysis", "cholecystectomy"}
"""Procedures that are not earlier treatment: the transplant gate, two cautions, and dialysis, which answers renal failure."""


def concept(code: str = "", system: str = RXNORM, display: str = "", text: str = "") -> dict[str, Any]:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return ({"coding": [coding]} if code else {}) | ({"text": text} if text else {})


def drug(about: dict[str, Any], kind: str = "MedicationRequest", **more: Any) -> dict[str, Any]:
    made = {"resourceType": kind, "id": "drug", "status": "active", "subject": MINE, **about}
    return made | ({"intent": "order", "authoredOn": "2026-10-20"} if kind == "MedicationRequest" else {}) | more


def prescribed(*args: str, **more: Any) -> dict[str, Any]:
    return drug({"medicationCodeableConcept": concept(*args, **more)})


def procedure(about: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Procedure", "id": "done", "status": "completed", "subject": MINE,
            "performedDateTime": "2026-10-20", "code": about}  # fmt: skip


def facts(*found: dict[str, Any], without: str = "") -> Facts:
    entries = [ChartEntry(json.dumps(resource).encode()) for resource in (PATIENT, NEN, LIVER, *found)]
    chart = read_chart(entries, "p", Availability(frozenset(READ_TYPES) - {without}))
    return determine_facts(READER.read(chart, TODAY), KNOWN, TODAY)


def states(found: Facts, names: set[str]) -> set[str]:
    return {found[name].state.value for name in names}


# ── silence ───────────────────────────────────────────────────────────────────────────────────────────────────────
def of(source: str) -> set[str]:
    return {name for name in TREATMENTS if KNOWN.facts[name].source == source}


def test_the_silence_row_for_treatments_covers_every_drug_and_earlier_treatment() -> None:
    def presence(fact: FactDefinition) -> bool:
        return fact.kind == "presence" and fact.source in {"Medication", "Procedure"}

    assert {name for name, fact in KNOWN.facts.items() if presence(fact)} == TREATMENTS | NOT_TREATMENTS
    assert of("Medication") == DRUGS
    assert {name for name, fact in KNOWN.facts.items() if fact.every_entry_read} == of("Procedure")


@pytest.mark.parametrize(("source", "kind"), [("Medication", "MedicationRequest"), ("Procedure", "Procedure")])
def test_nothing_recorded_is_silence_only_where_the_search_was_whole(source: str, kind: str) -> None:
    assert states(facts(), of(source)) == {"silent"}
    assert states(facts(without=kind), of(source)) == {"unknown"}


NOT_READ = [
    {}, concept("00000017", PZN), concept("999999"), concept("L01BC", ATC, "Pyrimidine analogues"), concept("C08CA01", ATC),
    concept(text="see note"), concept(text="Chemotherapie Zyklus 3"), concept(text="Infusion"), concept(text="other"),
    concept(text="Studienmedikation"), concept(text="unknown"), concept(text="FOLFOX"), concept(text="12345"),
    concept(text="  "), concept("00000017", PZN, "siehe Arztbrief"), concept("999999", text="Unbekannt"),
    concept("999999", "", "trial medication"), concept("B01A", ATC, "Antithrombotic agents", "Antithrombotic agents"),
    concept("999999", RXNORM, "500 MG Oral Tablet"), concept(text="CAPEOX"), concept(text="home meds"), concept(text="Kombi N"),
]  # fmt: skip
READ = [
    concept("C08CA01", GERMAN_ATC, "Amlodipin"), concept("197361", RXNORM, "amlodipine 5 MG Oral Tablet"),
    concept(text="Amlodipin 5 mg"), concept("00000017", PZN, "Ramipril 5mg"), concept("7646"), concept("1362060"),
    concept("00000017", PZN, "Creon"), concept("999999", "http://hl7.org/fhir/sid/ndc", "Lisinopril 10 MG"),
]  # fmt: skip


@pytest.mark.parametrize("about", NOT_READ, ids=str)
def test_a_drug_entry_that_does_not_say_which_drug_leaves_every_drug_open_and_is_counted(about: dict[str, Any]) -> None:
    found = facts(drug({"medicationCodeableConcept": about}))
    assert states(found, DRUGS) == {"unknown"}
    assert {found[name].reason for name in DRUGS} == {Reason.ENTRIES_UNREADABLE}
    assert picture(NEN, LIVER, drug({"medicationCodeableConcept": about})).unread_drugs == 1


@pytest.mark.parametrize("about", READ, ids=str)
def test_a_drug_entry_that_says_which_drug_leaves_the_others_silent(about: dict[str, Any]) -> None:
    assert states(facts(drug({"medicationCodeableConcept": about})), DRUGS) == {"silent"}
    assert picture(NEN, LIVER, drug({"medicationCodeableConcept": about})).unread_drugs == 0


def test_an_entry_without_any_medication_leaves_every_drug_open() -> None:
    assert states(facts(drug({})), DRUGS) == {"unknown"}


def test_an_unread_inactive_entry_leaves_earlier_drugs_open() -> None:
    found = facts(drug({"medicationCodeableConcept": concept("999999")}, status="completed"))
    assert {name for name in DRUGS if found[name].silent} == {name for name in DRUGS if KNOWN.facts[name].active}


@pytest.mark.parametrize(
    "about",
    [{}, concept("80146002", SNOMED), concept("4711", "urn:oid:1.2.3"), concept(text="Operation"), concept(text="TACE"),
     concept("47120", "http://www.ama-assn.org/go/cpt", "Hepatectomy, partial"), concept(text="Hemihepatektomie rechts")],
    ids=str,
)  # fmt: skip
def test_a_procedure_that_does_not_say_which_one_leaves_every_treatment_of_the_liver_open(about: dict[str, Any]) -> None:
    found = facts(procedure(about))
    assert states(found, of("Procedure")) == {"unknown"}
    assert found["recurrence"].unknown
    # the gate "transplanted liver" is not met when silent (docs/knowledge.md, "What silence means")
    assert found["liver_transplant_coded"].silent


@pytest.mark.parametrize(
    "about",
    [concept("80146002", SNOMED, "Appendectomy"), concept(text="Appendectomy"), concept("4711", "urn:oid:1.2.3", "Cataract")],
    ids=str,
)
def test_another_procedure_leaves_the_treatments_of_the_liver_silent(about: dict[str, Any]) -> None:
    assert states(facts(procedure(about)), of("Procedure")) == {"silent"}


FORMS = [
    "topical", "topisch", "topique", "topico", "cream", "creme", "crema", "ointment", "salbe", "pommade", "pomada", "pomata",
    "unguent", "zalf", "flush", "lock", "spul", "rincage",
]  # fmt: skip
WHOLE_FORMS = ["gel", "skin", "haut"]


@pytest.mark.parametrize("form", FORMS + WHOLE_FORMS)
def test_a_word_of_a_form_leads_to_a_question_and_not_to_silence_or_a_drug_by_name(form: str) -> None:
    def reading(text: str) -> tuple[bool, bool, Reason | None]:
        found = facts(prescribed(text=text))["anticoagulant"]
        return found.unknown, found.by_name, found.reason

    assert reading(f"Heparin {form}") == (True, False, Reason.PRODUCT_UNCERTAIN)
    longer = (True, True, Reason.BY_NAME) if form in WHOLE_FORMS else (True, False, Reason.PRODUCT_UNCERTAIN)
    assert reading(f"Heparin {form}afundin 500 ml") == longer


def test_the_knowledge_has_no_other_words_for_forms() -> None:
    assert (KNOWN.drugs.form_words, KNOWN.drugs.whole_form_words) == (tuple(FORMS), frozenset(WHOLE_FORMS))


# ── Medications ───────────────────────────────────────────────────────────────────────────────────────────────────
def medication(name: str = "med", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": name, **more}


def ingredient(about: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"itemCodeableConcept": about, **more}


CAPECITABINE = concept("L01BC06", GERMAN_ATC)
BY_REFERENCE = {"medicationReference": {"reference": "Medication/med"}}
CONTAINED = {"medicationReference": {"reference": "#med"}}


@pytest.mark.parametrize(
    "found",
    [
        [medication(code=CAPECITABINE), drug(BY_REFERENCE)],
        [medication(ingredient=[ingredient(CAPECITABINE)]), drug(BY_REFERENCE)],
        [medication(code=concept("00000017", PZN), ingredient=[ingredient(CAPECITABINE)]), drug(BY_REFERENCE)],
        [medication(code=concept("00000017", PZN, "Kombi N"), ingredient=[ingredient(concept("C08CA01", ATC, "amlodipine")),
                    ingredient(CAPECITABINE, isActive=True)]), drug(BY_REFERENCE, "MedicationStatement")],
        [drug(CONTAINED, contained=[medication(code=concept("194000"))])],
        [drug(CONTAINED, contained=[medication(ingredient=[ingredient(CAPECITABINE)])])],
        [drug(CONTAINED, contained=[medication(ingredient=[{"itemReference": {"reference": "#sub"}}]),
                                    {"resourceType": "Substance", "id": "sub", "code": CAPECITABINE}])],
        [medication(ingredient=[{"itemReference": {"reference": "Medication/sub"}}]), medication("sub", code=CAPECITABINE),
         drug(BY_REFERENCE)],
    ],
)  # fmt: skip
def test_a_drug_is_read_from_its_medication_and_the_ingredients_of_it(found: list[dict[str, Any]]) -> None:
    assert facts(*found)["capecitabine"].equals(True)


@pytest.mark.parametrize(
    "found",
    [
        [drug(BY_REFERENCE)],
        [drug({"medicationReference": {}})],
        [drug(CONTAINED)],
        [medication(), drug(BY_REFERENCE)],
        [medication(ingredient=[ingredient(concept("C08CA01", ATC, "amlodipine")), {}]), drug(BY_REFERENCE)],
        [medication(ingredient=[{"itemReference": {"reference": "Substance/far"}}]), drug(BY_REFERENCE)],
        [medication(code=concept("00000017", PZN), ingredient=[ingredient(concept("11111", PZN))]), drug(BY_REFERENCE)],
    ],
)
def test_a_medication_that_was_not_sent_or_an_ingredient_that_cannot_be_read_leaves_every_drug_open(
    found: list[dict[str, Any]],
) -> None:
    assert states(facts(*found), DRUGS) == {"unknown"}


@pytest.mark.parametrize(
    "found",
    [
        [drug({"medicationReference": {"reference": "Medication/far", "display": "Xeloda 500 mg"}})],
        [drug({"medicationReference": {"display": "Xeloda 500 mg"}})],
        [
            medication(ingredient=[{"itemReference": {"reference": "Substance/far", "display": "Capecitabin"}}]),
            drug(BY_REFERENCE),
        ],
        [medication(code=concept("00000017", PZN), ingredient=[ingredient(concept(text="Capecitabin"))]), drug(BY_REFERENCE)],
    ],
)
def test_the_display_of_a_reference_names_a_drug_that_was_not_sent(found: list[dict[str, Any]]) -> None:
    got = facts(*found)
    assert got["capecitabine"].by_name
    assert got["everolimus"].silent


def test_an_ingredient_marked_inactive_is_ignored() -> None:
    found = [
        medication(code=concept("1", PZN, "Creon"), ingredient=[ingredient(CAPECITABINE, isActive=False)]),
        drug(BY_REFERENCE),
    ]
    assert facts(*found)["capecitabine"].silent


def test_the_ingredient_of_a_product_in_a_form_that_states_nothing_states_nothing() -> None:
    flush = medication(code=concept("1362060"), ingredient=[ingredient(concept("5224"))])
    assert facts(flush, drug(BY_REFERENCE))["anticoagulant"].silent
    infusion = medication(code=concept("1659197"), ingredient=[ingredient(concept("5224"))])
    assert facts(infusion, drug(BY_REFERENCE))["anticoagulant"].equals(True)


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────
def given(status: str, text: str = "Xeloda 500 mg", **period: str) -> dict[str, Any]:
    about = {"medicationCodeableConcept": concept(text=text), "effectivePeriod": period}
    return drug(about, "MedicationStatement", status=status)


@pytest.mark.parametrize(
    ("found", "state", "by_name"),
    [
        (given("completed", start="2026-04-01", end="2026-10-20"), "unknown", True),
        (given("stopped", start="2026-04-01", end="2026-08-01"), "silent", False),
        (given("stopped", start="2026-10-01"), "unknown", True),
        (given("stopped", start="2026-04-01"), "unknown", False),
        (given("stopped", end="2026-10-20"), "unknown", True),
        (given("active"), "unknown", False),
    ],
)
def test_a_drug_by_name_counts_in_the_window_in_which_its_code_would(found: dict[str, Any], state: str, by_name: bool) -> None:
    recent = facts(found)["capecitabine_recent"]
    assert (recent.state.value, recent.by_name) == (state, by_name)


def test_a_drug_whose_record_is_not_believed_asks_and_does_not_count_by_its_name() -> None:
    doubtful = facts(given("unknown"))["capecitabine"]
    assert (doubtful.unknown, doubtful.by_name) == (True, False)


def test_a_code_still_decides_beside_an_entry_with_another_name() -> None:
    named = drug({"medicationCodeableConcept": concept(text="Xeloda")}) | {"id": "named"}
    assert facts(prescribed("194000"), named)["capecitabine"].equals(True)


def test_a_drug_name_is_reported_before_unreadable_entries() -> None:
    unread = drug({"medicationCodeableConcept": concept("999999")}) | {"id": "a"}
    found = facts(prescribed(text="Xeloda"), unread)["capecitabine"]
    assert (found.reason, found.by_name) == (Reason.BY_NAME, True)
    assert facts(prescribed(text="Xeloda"), unread)["everolimus"].reason is Reason.ENTRIES_UNREADABLE


def test_a_code_without_text_is_shown_with_its_name_in_the_knowledge() -> None:
    found = facts(prescribed("855332"))["anticoagulant"]
    assert [reading.recorded for reading in found.seen] == ["warfarin sodium 5 MG Oral Tablet (855332)"]
    assert [reading.recorded for reading in facts(prescribed("855332", text="Jantoven"))["anticoagulant"].seen] == ["Jantoven"]


def ordered_with(about: dict[str, Any], **more: Any) -> list[Any]:
    """Return the cards of a candidate for arterial therapy with radioembolization ordered, and a drug."""
    found, day = resources("arterial-candidate")
    subject = {"reference": f"Patient/{patient_of(found)}"}
    taken = drug({"medicationCodeableConcept": about}, authoredOn=day.isoformat(), subject=subject, **more)
    return cards([*found, taken, order(found, "3E053HZ", day, "http://www.cms.gov/Medicare/Coding/ICD10")], day)


@pytest.mark.parametrize(
    ("about", "words"),
    [(CAPECITABINE, "capecitabine (L01BC06)"), (concept("200328"), "200328"),
     (concept(text="Xeloda 500 mg"), "by name, not by code"),
     (concept("00000017", PZN, "Capecitabin Hexal"), "by name, not by code"), (concept("999999", RXNORM, "Xeloda"), "by name")],
    ids=str,
)  # fmt: skip
def test_capecitabine_stops_an_ordered_radioembolization_however_it_is_written_and_by_name_says_so(
    about: dict[str, Any], words: str
) -> None:
    alarm = [card for card in ordered_with(about) if card.kind == "contraindication"]
    assert [card.indicator for card in alarm] == ["critical"]
    assert words in f"{alarm[0].detail} {alarm[0].extension}"


def test_a_drug_that_cannot_be_read_is_told_where_capecitabine_would_stop_an_order() -> None:
    shown = ordered_with(concept("00000017", PZN))
    assert not [card for card in shown if card.kind == "contraindication"]
    assert any("1 drug entry could not be read" in card.detail for card in shown)
    assert any(
        "capecitabine" in line for line in shown[0].detail.splitlines() if line.startswith("**Out of date or unreadable")
    )


def test_by_name_no_treatment_is_contraindicated_and_none_indicated() -> None:
    found, day = resources("arterial-candidate")
    subject = {"reference": f"Patient/{patient_of(found)}"}
    names = ["Xeloda", "Marcumar", "Lutathera", "Afinitor", "Sutent", "Intron A", "Sandostatin", "Carboplatin", "Eliquis"]
    named = [drug({"medicationCodeableConcept": concept(text=name)}, id=f"named-{name[:3]}", subject=subject) for name in names]

    def verdicts(shown: list[Any]) -> dict[str, str]:
        overview = shown[0].extension["example.nlm-cds.assessment"]["modalities"]
        return {name: part["verdict"] for name, part in overview.items()}

    before, after = verdicts(cards(found, day)), verdicts(cards([*found, *named], day))
    rank = ["contraindicated", "not-indicated", "undetermined", "consider", "recommended"]
    for name, verdict in after.items():
        assert verdict == before[name] or (verdict == "undetermined" and rank.index(before[name]) != 2), name
    assert "contraindicated" not in set(after.values()) - set(before.values())


def readings(found: ClinicalPicture, name: str) -> int:
    return len(found.readings_of(name).valid)


def test_prescriptions_of_one_medication_state_one_fact_each() -> None:
    found = [medication(ingredient=[ingredient(CAPECITABINE)] * 3)]
    found += [drug(BY_REFERENCE) | {"id": f"drug-{n}"} for n in range(4)]
    assert readings(picture(NEN, LIVER, *found), "capecitabine") == 4


def test_the_future_date_of_a_drug_is_ignored() -> None:
    later = drug({"medicationCodeableConcept": concept(text="Xeloda")}, authoredOn=date(2027, 1, 1).isoformat())
    seen: Fact = facts(later)["capecitabine"]
    assert [reading.on for reading in seen.seen] == [None]
