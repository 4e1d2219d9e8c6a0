"""Each part of the stage: its value, the readings it rests on, and its notes (docs/knowledge.md, "Staging"); and the resources
that a verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

import pytest

from cds_service import knowledge
from cds_service.clinical_picture import Observed, PartialDate, Readings
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.staging import determine_stage
from cds_service.reasons import Explanation
from tests.support.pictures import picture

TODAY = date(2026, 11, 1)
WELL = {"primary_site": "small-bowel", "who_grade": "G2", "differentiation": "well"}
CARCINOMA = {"primary_site": "small-bowel", "who_grade": "NEC", "differentiation": "poor"}
UNCONFIRMED = "liver-only-not-confirmed"
WIDESPREAD = "widespread-but-liver-only"
NO_M = "{}; no-m-category-for-tumour"
NO_RESECTION = "no-treatment-group"


def part(name: str, given: Mapping[str, object]) -> tuple[str, list[str], str]:
    """Return the value of a part, the resources it rests on, and the reasons beside it with what they name."""
    known = knowledge.load()
    found = determine_stage(determine_facts(picture(known, given, TODAY), known, TODAY))[name]
    assert found.id == name
    return found.value, [reading.seen_in.removeprefix("Observation/") for reading in found.seen], reasons(found.because)


def reasons(because: Iterable[Explanation]) -> str:
    return "; ".join(
        ": ".join(
            [part.reason.value, *(d.reason.value if isinstance(d, Explanation) else str(d) for d in part.details.values())]
        )
        for part in because
    )


def test_a_part_that_is_not_known_says_why_and_names_what_is_there() -> None:
    assert part("lobes", {}) == ("unknown", [], "not-documented")
    assert part("lobes", {"lobes_involved": "bilobar 181 days ago"}) == ("unknown", ["lobes-involved-0"], "out-of-date")
    assert part("lobes", {"lobes_involved": "bilobar"}) == ("bilobar", ["lobes-involved-0"], "")
    assert part("hormonal", {})[0] == "unknown"
    assert part("who_grade", {"who_grade": "G2"}) == ("G2", ["who-grade-0"], "")
    assert part("who_grade", {**WELL, "ki67_index": 30})[::2] == ("G3", "grades-disagree")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ("unknown", [], "outside-open: not-documented")),
        ({"extrahepatic_disease": "unresectable 181 days ago"},
         ("unknown", ["extrahepatic-disease-0"], "outside-open: out-of-date")),
        ({"m_category": "M1a"}, ("M1a", ["m-category-0"], "as-recorded")),
        ({"m_category": "M1c"}, ("M1c", ["m-category-0"], "as-recorded")),
        ({"m_category": "M1b"}, ("unknown", [], "outside-open: not-documented")),
        ({"extrahepatic_disease": "none"}, ("M1a", ["extrahepatic-disease-0"], UNCONFIRMED)),
        ({"extrahepatic_disease": "none", "sstr_positive": True}, ("M1a", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "resectable"}, ("M1c", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "none", "sstr_positive": True, "disease_extent": "widespread"},
         ("M1a", ["extrahepatic-disease-0", "disease-extent-0"], WIDESPREAD)),
        ({"extrahepatic_disease": "none", "disease_extent": "widespread"},
         ("M1a", ["extrahepatic-disease-0", "disease-extent-0"], f"{WIDESPREAD}; {UNCONFIRMED}")),
        ({"extrahepatic_disease": "none", "disease_extent": "liver-dominant", "sstr_positive": True},
         ("M1a", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "resectable", "disease_extent": "widespread"}, ("M1c", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "resectable", "m_category": "M1c"}, ("M1c", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "none", "m_category": "M1c"},
         ("M1c", ["extrahepatic-disease-0"], "recorded-against-documented: M1c: M1a")),
        ({"extrahepatic_disease": "resectable", "m_category": "M1a"},
         ("M1a", ["extrahepatic-disease-0"], "recorded-against-documented: M1a: M1c")),
        ({"extrahepatic_disease": "resectable", "m_category": "M0"},
         ("M1c", ["extrahepatic-disease-0"], "recorded-otherwise: M0")),
        ({"extrahepatic_disease": "resectable", "m_category": "M1"}, ("M1c", ["extrahepatic-disease-0"], "")),
        ({"extrahepatic_disease": "none", "m_category": "M1b"},
         ("M1a", ["extrahepatic-disease-0"], "recorded-otherwise: M1b")),
        ({"extrahepatic_disease": "none", "primary_site": "lung"},
         ("unknown", ["extrahepatic-disease-0"], NO_M.format("liver-only"))),
        ({"extrahepatic_disease": "none", **CARCINOMA}, ("unknown", ["extrahepatic-disease-0"], NO_M.format("liver-only"))),
        ({"extrahepatic_disease": "present", "primary_site": "thymus"},
         ("unknown", ["extrahepatic-disease-0"], NO_M.format("liver-and-elsewhere"))),
    ],
    ids=str,
)  # fmt: skip
def test_the_m_category_is_kept_as_recorded_else_made_and_a_conflict_is_told(
    given: dict[str, object], wanted: tuple[str, list[str], str]
) -> None:
    assert part("m_category", {**WELL, **given}) == wanted


def test_a_single_lesion_is_pattern_one_and_a_recorded_pattern_is_kept() -> None:
    assert part("hepatic_pattern", {"lesion_count": 1}) == ("I", ["lesion-count-0"], "single-lesion")
    assert part("hepatic_pattern", {"lesion_count": 1, "frilling_type": "III"}) == ("III", ["frilling-type-0"], "")
    assert part("hepatic_pattern", {"lesion_count": 2}) == ("unknown", [], "not-documented")
    assert part("hepatic_pattern", {"lesion_count": "<= 1"}) == ("unknown", [], "not-documented")


def test_a_number_that_lies_in_several_bands_is_in_none() -> None:
    assert part("lesion_number", {"lesion_count": ">= 3"}) == ("unknown", ["lesion-count-0"], "number-not-exact")
    assert part("lesion_number", {"lesion_count": "> 5"}) == ("over-5", ["lesion-count-0"], "")
    assert part("lesion_number", {}) == ("unknown", [], "not-documented")
    assert part("liver_involvement", {"liver_involvement": "< 50"}) == ("below-50", ["liver-involvement-0"], "")
    assert part("liver_involvement", {"liver_involvement": "<= 50"})[0] == "unknown"


@pytest.mark.parametrize(
    ("primary", "liver", "value"),
    [
        ("2026-01-15", "2026-07-15", "synchronous"),
        ("2026-01-15", "2026-07-16", "metachronous"),
        ("2026-01-15", "2026-08-01", "metachronous"),
        ("2026-01-15", "2026-06-30", "synchronous"),
        ("2025-08-15", "2026-02-15", "synchronous"),
        ("2025-08-15", "2026-02-16", "metachronous"),
        ("2024-08-15", "2026-02-10", "metachronous"),
        ("2026-07-16", "2026-01-15", "metachronous"),
        ("2026-07-15", "2026-01-15", "synchronous"),
    ],
)
def test_metastases_within_six_months_of_the_primary_are_synchronous(primary: str, liver: str, value: str) -> None:
    given = {"primary_diagnosis": f"true on {primary}", "liver_metastases_diagnosis": f"true on {liver}"}
    seen = ["primary-diagnosis-0", "liver-metastases-diagnosis-0"]
    assert part("timing", given) == (value, seen, "by-dates")
    assert part("timing", given | {"timing": "synchronous"}) == ("synchronous", ["timing-0"], "")


def test_without_both_dates_the_timing_is_not_known() -> None:
    liver = {"liver_metastases_diagnosis": "true on 2026-02-01"}
    assert part("timing", liver) == ("unknown", [], "not-documented")
    assert part("timing", {"primary_diagnosis": "true on 2026-02-01"}) == ("unknown", [], "not-documented")
    assert part("timing", liver | {"primary_diagnosis": "true on no date"}) == ("unknown", [], "not-documented")


@pytest.mark.parametrize(("primary", "liver"), [("2026-01", "2026-02-01"), ("2026-02-01", "2026-03"), ("2026-01", "2026-03")])
def test_a_date_that_names_no_day_gives_no_timing_and_an_assessed_one_is_kept(primary: str, liver: str) -> None:
    known = knowledge.load()
    for given, wanted in (({}, ("unknown", "not-documented")), ({"timing": "metachronous"}, ("metachronous", ""))):
        asked = picture(known, given, TODAY)
        diagnoses = {"primary_diagnosis": primary, "liver_metastases_diagnosis": liver}
        readings = {name: Readings((Observed(True, dated(on), f"Condition/{name}", on),)) for name, on in diagnoses.items()}
        asked = replace(asked, readings={**asked.readings, **readings})
        found = determine_stage(determine_facts(asked, known, TODAY))["timing"]
        assert (found.id, found.value, reasons(found.because)) == ("timing", *wanted)


def dated(text: str) -> PartialDate:
    """Return a day or a month."""
    if len(text) == 10:
        return PartialDate.from_day(date.fromisoformat(text))
    return PartialDate(date.fromisoformat(f"{text}-01"), date.fromisoformat(f"{text}-28"))


EXTREME = {"hormonal_syndrome": "carcinoid", "hormonal_symptoms_extreme": True}


@pytest.mark.parametrize(
    ("given", "value", "seen"),
    [
        ({"hormonal_syndrome": "none"}, "non-functioning", ["hormonal-syndrome-0"]),
        ({"hormonal_syndrome": "carcinoid"}, "functioning", ["hormonal-syndrome-0"]),
        ({"hormonal_syndrome": "carcinoid", "hormonal_symptoms_controlled": False}, "functioning", ["hormonal-syndrome-0"]),
        ({"hormonal_syndrome": "carcinoid", "hormonal_symptoms_controlled": True},
         "functioning-controlled", ["hormonal-syndrome-0"]),
        (EXTREME, "extreme", ["hormonal-symptoms-extreme-0"]),
        (EXTREME | {"symptoms_refractory_to": "hormonal-suppression"}, "refractory", ["symptoms-refractory-to-0"]),
    ],
    ids=str,
)  # fmt: skip
def test_the_hormonal_state_is_the_worst_that_is_known(given: Mapping[str, object], value: str, seen: list[str]) -> None:
    assert part("hormonal", given) == (value, seen, "")


OPERABLE = {"resectability": "complete", "remnant_sufficient": True, "drainage_intact": True}
SOUND = {"hepatic_failure": False, "carcinoid_heart_disease": "absent", "total_bilirubin": 1, "ecog": 0}


@pytest.mark.parametrize(
    ("given", "value", "seen"),
    [
        ({"liver_transplant": True, **CARCINOMA}, "after-transplant", ["liver-transplant-0"]),
        ({**CARCINOMA, "disease_extent": "widespread"}, "nec", None),
        ({**OPERABLE, "disease_extent": "widespread"}, "widespread", ["disease-extent-0"]),
        ({**OPERABLE, **SOUND, "extrahepatic_disease": "none"}, "resectable", None),
        ({**OPERABLE, "extrahepatic_disease": "unresectable"}, "liver-resectable-extrahepatic-not", ["extrahepatic-disease-0"]),
        (
            {**OPERABLE, "remnant_sufficient": False, "extrahepatic_disease": "unresectable"},
            "unresectable-liver-dominant",
            None,
        ),
        ({**OPERABLE, "drainage_intact": False, "extrahepatic_disease": "unresectable"}, "unresectable-liver-dominant", None),
        ({"resectability": "debulkable"}, "debulkable", ["resectability-0"]),
        ({"resectability": "unresectable"}, "unresectable-liver-dominant", ["resectability-0"]),
    ],
    ids=str,
)
def test_the_treatment_group_is_the_first_that_holds(given: Mapping[str, object], value: str, seen: list[str] | None) -> None:
    found = part("treatment_group", {**WELL, **given})
    assert (found[0], found[2]) == (value, "")
    assert seen is None or found[1] == seen


def test_an_undetermined_group_says_why() -> None:
    assert part("treatment_group", WELL | {"ecog": 3})[::2] == ("undetermined", NO_RESECTION)
    assert part("treatment_group", WELL | {"ecog": 3})[1] == ["ecog-0"]
    assert part("treatment_group", WELL)[0] == "undetermined"
    assert part("treatment_group", WELL)[2]


def test_a_verdict_rests_on_what_met_its_indication_and_its_cautions_and_on_nothing_else() -> None:
    known = knowledge.load()
    given = {**WELL, "resectability": "unresectable", "hilar_lesion": True, "recurrence_after_resection": False, "ecog": 0}
    assessed = assess_modalities(determine_facts(picture(known, given, TODAY), known, TODAY))
    named = assessed["hepatic-arterial-therapy"].references()
    assert {"Observation/resectability-0", "Observation/hilar-lesion-0"} <= set(named)
    assert not {"Observation/recurrence-after-resection-0", "Observation/ecog-0"} & set(named)
