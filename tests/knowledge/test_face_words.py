"""The card words of criteria, facts and questions: every entry exists, and those with a figure equal a second copy."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.knowledge import check_faces
from cds_service.knowledge.overlay import NO_SITE
from tests.pins import mutants

KNOWN = knowledge.load()
assert KNOWN.overlay is NO_SITE

FACES = {
    "caution.inr-above-limit": "INR {number}: correct first, below 1.8",
    "caution.platelets-below-limit": "platelets {number}: correct first (50 for ablation, 20 for embolization)",
    "caution.bilirubin-above-2": "bilirubin {value}, above 2: failure or obstruction? (limit from memory)",
    "caution.caudate-lesion": "caudate lesion: response to chemoembolization 12.3 % against 82 % elsewhere",
    "caution.lesion-above-3-cm":
        "largest {value}: above 3 cm worse survival after radiofrequency, HR 3.3 (1.1-10.1)",
    "caution.lesion-above-5-cm": "above 5 cm not by ablation alone (limit from memory)",
    "caution.beyond-published-lesion-count":
        "{number} lesions: more than 12 are beyond the published ablation series (local)",
    "caution.cardiac-assessment-missing":
        "no cardiac assessment in 365 days (local): echocardiogram first; a normal NT-proBNP is not enough",
    "caution.carcinoid-crisis-plan":
        "crisis plan: octreotide by protocol, no sure prevention; "
        "vasopressors first shortened crises (3 against 6 minutes)",
    "caution.age-above-50": "{number} y: over 50 worse survival after transplantation, HR 2.1 (1.1-4.0)",
    "caution.age-56-to-59": "{number} y: above the Milan limit of 55",
    "caution.age-60-or-more": "{number} y: above the age of current guidance (below 60, from memory)",
    "caution.synchronous-abdominal-operation":
        "primary in place: worse survival if removed in the same operation, HR 4.8 (2.3-10.0)",
    "caution.ki67-10-or-more":
        "Ki-67 {value}: the Milan group asks less than 10 %, exception guidance less than 20 % (from memory)",
    "caution.remnant-near-limit": "remnant {value}: the series behind the limit ask for 20, 25, 25 and 26.6 %",
    "contraindication.ecog-3-or-worse": "ECOG {number}, has to be below 3 (local)",
    "exclusion.removable-at-most-70": "{value} removable, more than 70 % asked",
    "exclusion.age-limit": "{number} y, local limit below 60",
    "technique.lung-shunt": "lung shunt {value}, limit 20 %",
    "technique.egfr-below-40": "eGFR {number}, below 40",
    "technique.haemoglobin-below-8": "Hb {number}, below 8 g/dL",
    "technique.carcinoid-crisis-plan":
        "crisis plan (PRRT can trigger a crisis): octreotide, no sure prevention; vasopressors shorten a crisis",
}  # fmt: skip
PER_TEST = {
    "requirement.recurrence-or-poor-fitness": ("recurrence in the liver after resection", "ECOG {number}"),
    "technique.capecitabine": ("capecitabine now", "capecitabine in the last 62 days"),
    "technique.pretreated": (
        "PRRT before", "lutetium dotatate before", "everolimus before", "sunitinib before", "chemotherapy before",
    ),
}  # fmt: skip
LIFTS = {
    "gate.nec": "a second reading as well differentiated",
    "contraindication.portal-vein-occlusion": "portal flow or collaterals on new imaging",
    "contraindication.ecog-3-or-worse": "ECOG below 3",
    "exclusion.not-stable-6-months": "6 months without progression",
    "exclusion.involvement-above-half": "50 % of the liver or less on new imaging",
    "caution.carcinoid-heart-disease": "cardiac assessment now: mild or treated",
    "technique.capecitabine": "62 days without capecitabine, and none afterwards",
    "technique.platelets-below-75": "platelets of 75 or more",
}
WORDS = {
    ("portal_vein", "occluded"): "main portal vein occluded",
    ("portal_vein", "branch"): "branch of the portal vein occluded",
    ("primary_site", "small-bowel"): "small-bowel primary",
    ("extrahepatic_disease", "none"): "none outside the liver",
    ("sstr_positive", "false"): "receptor PET negative",
    ("sstr_positive", "true"): "receptor PET positive",
    ("carcinoid_heart_disease", "severe-untreated"): "severe carcinoid heart disease, untreated",
    ("drainage_intact", "false"): "drainage not intact",
    ("primary_resected", "false"): "primary in place",
    ("resectability", "debulkable"): "resectable in part",
    ("liver_embolization", "false"): "no liver embolization",
    ("who_grade", "G3-or-NEC"): "G3 or carcinoma",
    ("capecitabine_recent", "true"): "capecitabine in the last 62 days",
}
NUMBERS = {
    "inr": "INR {number}",
    "total_bilirubin": "bilirubin {value}",
    "lesion_count": "{number} lesions",
    "liver_involvement": "{value} of the liver",
    "removable_fraction": "{value} removable",
    "haemoglobin": "Hb {value}",
    "age": "{number} y",
}
MOST = {"requirement": 40, "exclusion": 40, "contraindication": 60, "gate": 60, "caution": 120, "technique": 105}
"""Most characters of a face, with placeholders counted as written."""


def faces() -> list[tuple[str, str]]:
    return [(key, face) for key, c in KNOWN.criteria.items() for face in (c.faces or (c.face,))]


def test_a_face_that_carries_a_figure_says_the_one_written_here() -> None:
    assert {key: KNOWN.criteria[key].face for key in FACES} == FACES
    assert {key: c.faces for key, c in KNOWN.criteria.items() if c.faces} == PER_TEST
    assert {key: KNOWN.criteria[key].lift for key in LIFTS} == LIFTS


def test_a_fact_says_its_answers_and_its_numbers_as_written_here() -> None:
    assert {place: KNOWN.facts[place[0]].words[place[1]] for place in WORDS} == WORDS
    assert {name: KNOWN.facts[name].face for name in NUMBERS} == NUMBERS


def test_every_face_fits_a_line_and_every_place_but_the_patients_is_filled() -> None:
    assert [(key, len(face)) for key, face in faces() if len(face) > MOST[key.split(".")[0]]] == []
    assert [(key, c.lift) for key, c in KNOWN.criteria.items() if len(c.lift) > 60] == []
    texts = [face for _, face in faces()] + [c.lift for c in KNOWN.criteria.values()]
    texts += [text for f in KNOWN.facts.values() for text in (f.short, f.face, *f.words.values())]
    places = {place for text in texts for place in re.findall(r"\{[^{}]*\}", text)}
    assert places == {"{value}", "{number}"}
    assert [text for text in texts if text.endswith((".", " ")) or text.startswith(" ")] == []


def test_no_face_names_two_ways_of_meeting_a_criterion_of_which_the_patient_has_one() -> None:
    """Faces with "or" in them: one fact that a chart records as one answer, or a question."""
    several = {key for key, face in faces() if re.search(r"\bor\b", face)}
    assert several == {
        "requirement.threatening-lesion",  # one answer of a surgeon
        "requirement.stable-six-months",  # so many months or more
        "caution.bilirubin-above-2",  # a question
        "caution.carcinoid-heart-disease",  # neither of them is recorded
        "caution.four-or-more-lesions",  # so many lesions or more
    }


def test_the_value_of_a_face_is_that_of_the_first_number() -> None:
    valued = {key: KNOWN.criteria[key].valued_fact for key in ("caution.remnant-near-limit", "caution.portal-vein-branch",
              "caution.egfr-15-to-29", "caution.drug-eluting-beads")}  # fmt: skip
    assert valued == {
        "caution.remnant-near-limit": "future_liver_remnant",
        "caution.portal-vein-branch": "portal_vein",
        "caution.egfr-15-to-29": "egfr_used",
        "caution.drug-eluting-beads": "",
    }


def test_each_question_of_a_board_says_who_answers_and_what_follows() -> None:
    assert [question.who for question in KNOWN.board_questions] == [
        ("pathology",), ("surgeon",), ("imaging",), ("imaging", "laboratory"), ("clinic",),
    ]  # fmt: skip
    assert KNOWN.board_questions[0].then == (
        "a carcinoma not excluded holds back resection, debulking, ablation and transplantation; "
        "its treatment is systemic first"
    )
    for question in KNOWN.board_questions:
        assert question.short.endswith("?")
        assert len(question.short) <= 40
        assert 0 < len(question.then) <= 150
        assert set(question.statements) <= KNOWN.statements.keys()


def faults(*change: Any) -> list[str]:
    """Return where the faults are if the value at a path is changed; None removes it."""
    *path, last, new = change
    files = copy.deepcopy(mutants.read())
    table: Any = files
    for step in path:
        table = table[step]
    if new is None:
        del table[last]
    else:
        table[last] = new
    return [fault.where for check in check_faces.CHECKS for fault in check(files)]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("criteria.toml", "caution", "on-anticoagulant", "face", None), "criteria.toml: caution.on-anticoagulant.face"),
        (("criteria.toml", "gate", "nec", "lift", None), "criteria.toml: gate.nec.lift"),
        (("criteria.toml", "exclusion", "age-limit", "lift", None), "criteria.toml: exclusion.age-limit.lift"),
        (("criteria.toml", "technique", "ascites", "lift", None), "criteria.toml: technique.ascites.lift"),
        (("criteria.toml", "caution", "carcinoid-heart-disease", "lift", None),
         "criteria.toml: caution.carcinoid-heart-disease.lift"),
        (("criteria.toml", "technique", "capecitabine", "faces", ["capecitabine"]),
         "criteria.toml: technique.capecitabine.faces"),
        (("criteria.toml", "contraindication", "portal-vein-occlusion", "face", "portal vein {number}"),
         "criteria.toml: contraindication.portal-vein-occlusion.face"),
        (("criteria.toml", "caution", "drug-eluting-beads", "face", "beads {value}"),
         "criteria.toml: caution.drug-eluting-beads.face"),
        (("facts.toml", "fact", "hormonal_syndrome", "words", "vipoma", None), "facts.toml: fact.hormonal_syndrome.words"),
        (("facts.toml", "fact", "portal_vein", "words", "open", "portal vein open"), "facts.toml: fact.portal_vein.words"),
        (("facts.toml", "fact", "hilar_lesion", "words", "false", None), "facts.toml: fact.hilar_lesion.words"),
        (("facts.toml", "fact", "portal_vein", "face", "portal vein {value}"), "facts.toml: fact.portal_vein.face"),
        (("facts.toml", "fact", "inr", "face", "INR"), "facts.toml: fact.inr.face"),
        (("facts.toml", "fact", "alt", "face", None), "facts.toml: fact.alt"),
        (("facts.toml", "fact", "sunitinib", "words", None), "facts.toml: fact.sunitinib"),
    ],
)  # fmt: skip
def test_words_that_are_missing_or_do_not_fit_are_refused(change: tuple[Any, ...], where: str) -> None:
    assert where in faults(*change)


def test_the_words_as_they_are_have_no_fault() -> None:
    files = mutants.read()
    assert [fault for check in check_faces.CHECKS for fault in check(files)] == []
