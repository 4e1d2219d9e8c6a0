"""The assessment of one modality: its dependencies, its resources and statements, and when the search for deciding facts
runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from cds_service import knowledge
from cds_service.knowledge.modality import Verdict
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from tests.support.pictures import picture
from tests.support.vignette import vignettes

KNOWN = knowledge.load()
TODAY = date(2026, 11, 1)
LOCAL = ("resection", "debulking", "ablation", "hepatic-arterial-therapy")
[CLOSED] = [
    v.given
    for v in vignettes()
    if v.story.endswith("Every liver-directed treatment is closed: systemic therapy is what remains")
]


def assessed(given: Mapping[str, object]) -> dict[str, Assessment]:
    return assess_modalities(determine_facts(picture(KNOWN, given, TODAY), KNOWN, TODAY))


def seen(assessment: Assessment) -> list[str]:
    return [reference.removeprefix("Observation/").removesuffix("-0") for reference in assessment.references()]


# ── Y3 depends on the other verdicts ──────────────────────────────────────────────────────────────────────────────
def test_systemic_therapy_left_open_by_another_modality_depends_on_the_four_instead_of_copying_their_gaps() -> None:
    found = assessed({name: value for name, value in CLOSED.items() if name != "portal_vein"})
    systemic = found["systemic-therapy"]
    assert systemic.verdict is found["hepatic-arterial-therapy"].verdict is Verdict.UNDETERMINED
    assert systemic.depends_on == LOCAL
    assert "portal_vein" in found["hepatic-arterial-therapy"].missing
    assert "portal_vein" not in systemic.missing


def test_systemic_therapy_that_is_decided_depends_on_nothing() -> None:
    closed = assessed(CLOSED)["systemic-therapy"]
    assert (closed.verdict, closed.depends_on) == (Verdict.CONSIDER, ())
    anyhow = {name: value for name, value in CLOSED.items() if name != "portal_vein"} | {"disease_extent": "widespread"}
    widespread = assessed(anyhow)["systemic-therapy"]
    assert (widespread.verdict, widespread.depends_on) == (Verdict.RECOMMENDED, ())


def test_systemic_therapy_open_for_its_own_sake_depends_on_nothing() -> None:
    given = {name: value for name, value in CLOSED.items() if name != "differentiation"}
    found = assessed(given | {"portal_vein": "patent", "ki67_index": 30, "mitotic_count": 30, "renal_failure": False})
    assert found["hepatic-arterial-therapy"].verdict is Verdict.CONSIDER
    assert (found["systemic-therapy"].verdict, found["systemic-therapy"].depends_on) == (Verdict.UNDETERMINED, ())


def test_no_other_modality_depends_on_verdicts() -> None:
    assert {name for name, assessment in assessed({}).items() if assessment.depends_on} == {"systemic-therapy"}


# ── what would decide ─────────────────────────────────────────────────────────────────────────────────────────────
def test_a_decided_verdict_has_nothing_missing_and_no_better_one_possible() -> None:
    closed = assessed(CLOSED)["systemic-therapy"]
    assert (closed.missing, closed.best_possible) == ((), None)


def test_where_a_local_treatment_is_open_the_search_takes_systemic_therapy_as_not_forced() -> None:
    """G3, with an undated finding: a negative PET ends Y6, and only Y3 would be left."""
    given = {name: value for name, value in CLOSED.items() if name not in {"nen_diagnosis", "sstr_positive"}}
    found = assessed(given | {"ki67_index": 30, "portal_vein": "patent", "renal_failure": False})
    assert found["hepatic-arterial-therapy"].verdict is Verdict.CONSIDER
    assert found["systemic-therapy"].missing == ("sstr_positive",)


# ── contraindications, statements and references ──────────────────────────────────────────────────────────────────
def test_contraindications_are_named_of_a_contraindicated_modality_only() -> None:
    found = assessed(CLOSED)
    arterial, resection = found["hepatic-arterial-therapy"], found["resection"]
    assert [finding.criterion.id for finding in arterial.contraindications] == ["portal-vein-occlusion"]
    assert resection.verdict is Verdict.NOT_INDICATED
    assert resection.decision.findings
    assert resection.contraindications == ()


def test_the_statements_are_those_that_decided_of_the_cautions_met_and_those_always_shown_each_once() -> None:
    arterial = assessed(CLOSED | {"hilar_lesion": True})["hepatic-arterial-therapy"]
    portal_vein, involvement, hilar = ("S053", "S042"), ("S073", "M031", "M032"), ("S049",)
    beads, always = ("M024", "M025"), ("S068", "S047", "S085")
    assert set(arterial.statements()) >= {*portal_vein, *involvement, *hilar, *always}
    assert arterial.statements()[:2] == portal_vein
    assert arterial.statements()[-3:] == always
    assert len(set(arterial.statements())) == len(arterial.statements())
    assert set(arterial.statements()) - {*beads} == {*portal_vein, *involvement, *hilar, *always}
    assert not {"S041", "S067"} & set(arterial.statements()), "H1 did not decide"


def test_the_statements_of_an_indication_are_relied_on_where_it_decided_and_only_there() -> None:
    arterial = assessed(CLOSED | {"portal_vein": "patent", "renal_failure": False})["hepatic-arterial-therapy"]
    assert arterial.decision.decided_by == ("H1",)
    assert arterial.statements()[:2] == ("S041", "S067")
    systemic = assessed(CLOSED)["systemic-therapy"]
    assert systemic.decision.decided_by == ("Y3",)
    assert systemic.statements() == ("S070", "S004")


def test_a_verdict_rests_on_what_decided_it_once_each_the_deciding_finding_first() -> None:
    arterial = assessed(CLOSED | {"hilar_lesion": True, "ascites": "none"})["hepatic-arterial-therapy"]
    assert seen(arterial)[0] == "portal-vein"
    assert {"resectability", "hilar-lesion", "liver-involvement"} <= set(seen(arterial))
    assert len(set(seen(arterial))) == len(seen(arterial))
    assert not {"age", "ascites", "egfr"} & set(seen(arterial))
