"""Draw evaluations for the laws of the cards, by a seed: patients of a board situation with some facts and orders redrawn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from cds_service.clinical_picture import Observed, Readings, Regimen, Unreadable
from cds_service.knowledge.modality import Modality
from cds_service.knowledge.shown import TreatmentLine
from cds_service.reasoning.evaluation import Evaluation, evaluate
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasons import Explanation, Reason
from tests.support.pictures import UNIT, picture
from tests.support.strategies import FIT, KNOWN, NAMES, SITUATIONS, TODAY, days_ago, variants

ORDERS = {
    "resection": ("resection",),
    "ablation": ("ablation",),
    "hepatic-arterial-therapy": ("hepatic-arterial-therapy",),
    "proc.radioembolization": ("proc.radioembolization", "hepatic-arterial-therapy"),
    "proc.prrt": ("proc.prrt", "systemic-therapy"),
    "transplantation": ("transplantation",),
}
ADVERSE: dict[str, object] = {"hepatic_failure": True, "coagulopathy_uncorrectable": True, "renal_failure": True, "ecog": 3,
                              "portal_vein": "occluded", "carcinoid_heart_disease": "severe-untreated"}  # fmt: skip

NOTHING = "nothing on record"
DRUGS = tuple(fact.id for fact in KNOWN.facts.values() if fact.source == "Medication")
OPEN_TO_A_DRUG: dict[str, object] = {"sstr_positive": True, "disease_status": "progression 20 days ago", "largest_lesion": 4,
                                     "lesion_count": 9}  # fmt: skip
"""Facts with which the lines of systemic therapy are met, except for one."""
LINES = tuple((modality, line) for modality in KNOWN.modalities for line in modality.lines)


def draw_evaluations(count: int, seed: int) -> Iterator[Evaluation]:
    """Yield `count` evaluations, the same for the same seed on every machine."""
    drawn = random.Random(seed)
    for _ in range(count):
        yield _draw(drawn)


def _draw(drawn: random.Random) -> Evaluation:
    situation = NOTHING if drawn.random() < 0.04 else drawn.choice(list(SITUATIONS))
    given = {**(FIT if SITUATIONS[situation] else {}), **SITUATIONS[situation]}
    if SITUATIONS[situation] and drawn.random() < 0.15:
        given |= {name: ADVERSE[name] for name in drawn.sample(sorted(ADVERSE), 2)}
    if SITUATIONS[situation] and drawn.random() < 0.4:
        given |= {"lesion_count": 9, "largest_lesion": 4, "stools_per_day": 5, "somatostatin_analogue": "true 400 days ago",
                  "disease_status": "progression 20 days ago"}  # fmt: skip
    redrawn: dict[str, Readings] = {}
    ordered: tuple[str, ...] = ()
    if SITUATIONS[situation] and drawn.random() < 0.25:
        ordered = _make_hard(drawn, given, redrawn)
    whole = picture(KNOWN, given, TODAY)
    of_chance = {name: drawn.choice(variants(name)) for name in drawn.sample(NAMES, drawn.choice((0, 2, 5, 10)))}
    if not SITUATIONS[situation] and drawn.random() < 0.8:
        of_chance = {}
    if not ordered and drawn.random() < 0.22:
        ordered = ORDERS[drawn.choice(list(ORDERS))]
    orders = dict.fromkeys(ordered, Observed(True, days_ago(1), "ServiceRequest/1", "ordered"))
    about = replace(whole, readings={**whole.readings, **of_chance, **redrawn}, orders=orders, patient_id="example")
    return evaluate(about, KNOWN, TODAY)


def _make_hard(drawn: random.Random, given: dict[str, object], redrawn: dict[str, Readings]) -> tuple[str, ...]:
    """Add one or two things that are hard for the cards to `given` and `redrawn`. Return the orders."""
    ordered: tuple[str, ...] = ()
    for hard in drawn.sample((0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 6), drawn.choice((1, 2))):
        if hard == 0:
            given["liver_transplant"] = True
        elif hard == 1:
            for name in drawn.sample(DRUGS, 2):
                redrawn[name] = _by_name(name)
        elif hard == 2:
            ordered = ORDERS["proc.radioembolization"]
            given |= {drawn.choice(("hepatic_failure", "renal_failure", "coagulopathy_uncorrectable")): True}
            given |= {"platelets": 30, "total_bilirubin": 4} if drawn.random() < 0.5 else {"lung_shunt_fraction": 25}
        elif hard == 3:
            modality, line = drawn.choice(LINES)
            _make_open(drawn, modality, line, given, redrawn)
        elif hard == 4:
            given |= {"hormonal_syndrome": "insulinoma", "primary_site": "pancreas"}
        elif hard == 5:
            given["primary_site"] = "unknown"
        else:
            redrawn["somatostatin_analogue"] = _stopped("octreotide")
    return ordered


def _by_name(name: str) -> Readings:
    """A drug that is known by its name alone."""
    asks = Observed(True, days_ago(30), f"MedicationStatement/{name}", name, Explanation(Reason.BY_NAME))
    return Readings(complete=True, open_question=(asks,))


def _stopped(drug: str) -> Readings:
    """A drug that was given until lately and is not any more."""
    regimen = Regimen(drug, active=False, since=days_ago(400))
    return Readings((Observed(True, days_ago(400), "MedicationStatement/stopped", drug, regimen=regimen),), complete=True)


def inputs_of(modality: Modality, line: TreatmentLine) -> tuple[str, ...]:
    """Return the recorded facts behind a line: its indications, and the stops and cautions of its techniques."""
    criteria = [c for i in modality.indications if i.id in line.indications for c in (*i.requires, *i.update_requires)]
    criteria += [c for t in modality.techniques if t.own_line == line.id for c in (*t.when, *t.stopped_by, *t.cautions)]
    read = frozenset().union(*(recorded_inputs(KNOWN, name) for criterion in criteria for name in criterion.facts))
    return tuple(name for name in KNOWN.facts if name in read)


def _make_open(
    drawn: random.Random,
    modality: Modality,
    line: TreatmentLine,
    given: dict[str, object],
    redrawn: dict[str, Readings],
) -> None:
    """Make one fact of the line unreadable and all others as it requires."""
    given |= OPEN_TO_A_DRUG
    if modality.id == "hormonal-suppression":
        given["hormonal_syndrome"] = {"hormone-treatment": "gastrinoma"}.get(line.id, "carcinoid")
    else:
        given["somatostatin_analogue"] = "true 400 days ago"
    if line.id == "drugs":
        given["primary_site"] = "pancreas"
    name = drawn.choice(inputs_of(modality, line))
    if KNOWN.facts[name].kind != "person":
        given.pop(name, None)
        redrawn[name] = Readings((), (Unreadable(days_ago(5), f"X/{name}-bad", UNIT),), complete=True)


__all__ = ["LINES", "draw_evaluations", "inputs_of"]
