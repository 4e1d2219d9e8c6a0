"""Orders that are no treatment of neuroendocrine liver metastases get no card, whatever the chart says and whatever else is
being written. `make prove-orders` generates 1,000 drafts for each fixture; the short form 500 in all."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.fhir.drug_reading import DrugReader
from cds_service.fhir.medication import Medicine
from cds_service.fhir.resources import CodeableConcept, Coding
from cds_service.hooks.order_review import answer_select, answer_sign
from cds_service.hooks.request import parse_request
from cds_service.sites import development_site
from tests.conftest import FIXTURES, PROOF, ROOT, Record, as_of
from tests.support import depth
from tests.support.order_requests import ATC, EVERY_KIND, PCS, SNOMED, drafted, order_request

KNOWN, SITE = knowledge.load(), development_site()
SHORT, FULL = 500, 1000
LOUD = ("arterial-portal-vein-occluded", "carcinoid-heart-before-resection")
RXNORM, LOINC, LOCAL = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://loinc.org", "urn:oid:1.2.840.114350.1.13.9"
JUDGED = frozenset().union(*(kind.concepts for kind in KNOWN.orders.kinds))
WORDS = (
    "MRI", "CT", "ultrasound", "biopsy", "clinic", "visit", "follow-up", "after", "before", "panel", "level", "liver",
    "hepatic", "renal", "uterine", "prostatic", "cardiac", "endometrial", "embolization", "ablation", "resection",
    "transplant", "infusion", "of", "the", "left", "right", "planning", "angiography", "consult", "education", "TACE", "PRRT",
    "SIRT", "kidney", "bowel", "radiotherapy", "physical therapy", "diet", "oxygen", "wound care", "vaccination",
    "colonoscopy", "dialysis", "stent",
)  # fmt: skip
DRUGS = ("metformin", "aspirin 100 mg", "ramipril", "pantoprazole", "insulin", "warfarin", "heparin", "morphine",
         "telotristat", "diazoxide", "bevacizumab", "chemotherapy per protocol", "study medication")  # fmt: skip


@cache
def other_codes() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return system → codes and names that the knowledge has for something else than an order that is judged."""
    reader, found = DrugReader(KNOWN), dict[str, list[tuple[str, str]]]()
    for system, meaning in KNOWN.terminology.all_rows():
        found.setdefault(system, []).append((meaning.code, meaning.display))
    judged = {(s, m.code) for s, m in KNOWN.terminology.all_rows() if m.concept in JUDGED}
    with (ROOT / "cds_service/knowledge/drug_products.csv").open(encoding="utf-8") as table:
        names = {row["rxcui"] for row in csv.DictReader(line for line in table if not line.startswith("#"))}
    assert names

    def is_judged(system: str, code: str, display: str) -> bool:
        told = reader.reading_of(Medicine(CodeableConcept([Coding(KNOWN.terminology.uris.get(system, system), code, display)])))
        return (system, code) in judged or bool((told.decides | told.named) & JUDGED)

    return {
        system: tuple(pair for pair in pairs if not is_judged(system, *pair))
        for system, pairs in found.items()
        if system in {"loinc", "snomed-ct", "icd-10-pcs", "rxnorm", "atc"}
    }


def drafts(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield drafts of other tests, procedures and drugs, in the shapes that EHRs send."""
    draw = random.Random(seed)
    while count:
        draft = _draft(draw)
        if draft is not None:
            count -= 1
            yield draft | {"id": f"u{count}"}


def _draft(draw: random.Random) -> dict[str, Any] | None:
    kind = draw.choice(("code", "code", "text", "both", "local", "drug", "drug code", "drug code", "bare"))
    key, resource = ("medicationCodeableConcept", "MedicationRequest") if "drug" in kind else ("code", "ServiceRequest")
    if resource == "ServiceRequest" and draw.random() < 0.1:
        resource = draw.choice(("NutritionOrder", "DeviceRequest", "VisionPrescription", "CommunicationRequest", "Appointment"))
    codes = other_codes()
    system = draw.choice(["rxnorm", "atc"] if "drug" in kind else ["loinc", "snomed-ct", "icd-10-pcs"])
    code, display = draw.choice(codes[system])
    text = draw.choice(DRUGS) if "drug" in kind else " ".join(draw.sample(WORDS, draw.randint(1, 4)))
    if KNOWN.orders.named(text) is not None:
        return None  # by chance the name of a treatment
    coding = {"system": KNOWN.terminology.uris[system], "code": code, "display": display}
    concept: dict[str, Any] = {"coding": [coding]} if "code" in kind or kind == "both" else {}
    if kind in {"text", "both", "drug"}:
        concept["text"] = text
    if kind == "local":
        concept = {"coding": [{"system": LOCAL, "code": str(draw.randint(1, 999_999)), "display": text}]}
    whole: dict[str, Any] = {
        "resourceType": resource,
        "status": draw.choice(("draft", "draft", "active", None)),
        "intent": "order",
    }
    if kind != "bare":
        whole[key] = concept
    if draw.random() < 0.2:
        whole["category"] = {"coding": [{"code": "community"}]}
    return whole


@pytest.mark.parametrize("fixture", FIXTURES)
def test_an_unrelated_order_gets_no_card(fixture: str, record_property: Record) -> None:
    """Half of them stand alone; the other half is selected beside drafts of every treatment, some of which are critical."""
    count = FULL if depth.full else SHORT // len(FIXTURES) + 1
    today, cards, kinds = as_of(fixture), 0, Counter[str]()
    others = [draft | {"id": f"o{place}"} for place, draft in enumerate(EVERY_KIND.values())]
    sent = parse_request(msgspec.json.encode(order_request(fixture, *others)), "order-sign")
    for place, draft in enumerate(drafts(FIXTURES.index(fixture), count)):
        kinds[draft["resourceType"]] += 1
        if place % 2:
            named = (f"{draft['resourceType']}/{draft['id']}",)
            answer = answer_select(replace(sent, draft_orders=drafted([draft, *others]), selections=named), SITE, today)
        else:
            answer = answer_sign(replace(sent, draft_orders=drafted([draft])), SITE, today)
        assert answer.cards == [], (fixture, draft)
        cards += len(answer.cards)
    assert sum(kinds.values()) == count
    assert len(kinds) >= 2
    record_property(PROOF, f"orders: {count} unrelated drafts on {fixture}, {cards} cards")


def test_the_same_charts_are_not_silent_about_the_orders_that_are_judged() -> None:
    """The proof could not fail on charts without a critical order."""
    loud = Counter[str]()
    for fixture in FIXTURES if depth.full else LOUD:
        for draft in EVERY_KIND.values():
            request = msgspec.json.encode(order_request(fixture, draft))
            answer = answer_sign(parse_request(request, "order-sign"), SITE, as_of(fixture))
            loud.update(card.indicator for card in answer.cards)
    assert min(loud["critical"], loud["warning"]) >= 3
    assert loud["info"] >= 10


def test_the_systems_of_the_proof_are_those_that_orders_are_written_in() -> None:
    assert {KNOWN.terminology.uris[name] for name in other_codes()} == {LOINC, SNOMED, PCS, RXNORM, ATC}
    assert all(other_codes().values())
