"""The tables of orders (tests/orders/*.toml): orders and what stops them → how loud their card is; drafts → what they order;
what a card offers. The pinning of the knowledge tries its mutants on them (tests/pins/killers.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

from cds_service.cards.order_cards import speaks
from cds_service.cards.suggestions import board_referrals, draft_orders
from cds_service.cards.suggestions import offers as offered
from cds_service.clinical_picture import DraftOrder
from cds_service.fhir.draft_orders import read_drafts, unpack_drafts
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.evaluation import Evaluation, evaluate
from cds_service.reasoning.judgement import judge_criterion
from cds_service.reasoning.order_judgement import judge_orders
from tests.conftest import ROOT
from tests.support.pictures import picture
from tests.support.vignette import without_search

FOLDER = ROOT / "tests/orders"
URIS = {
    "snomed-ct": "http://snomed.info/sct", "icd-10-pcs": "http://www.cms.gov/Medicare/Coding/ICD10",
    "hcpcs": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "atc": "http://www.whocc.no/atc",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm", "loinc": "http://loinc.org",
}  # fmt: skip
NOTHING = "none"


@cache
def content(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text("utf-8"))


@dataclass(frozen=True)
class Row:
    """An order for a patient of whom one thing is true → the indicator of its card, or "none"."""

    order: str
    stop: str
    expected: str

    @property
    def beside(self) -> str:
        """The order at the same time, or ""."""
        return str(content("severity.toml")["beside"].get(self.stop, ""))

    def evaluation(self, knowledge: Knowledge) -> Evaluation:
        table = content("severity.toml")
        given = table["base"][table["orders"][self.order]["base"]] | table["patient"][self.stop]
        given = {name: value for name, value in given.items() if value != "silent"}
        drafts = [DraftOrder(self.order, "X/1"), *([DraftOrder(self.beside, "X/2", judged=False)] if self.beside else [])]
        return of_patient(knowledge, given, table["today"], drafts)

    def disagreement(self, evaluation: Evaluation) -> str:
        """Return how the service differs, or ""."""
        (judgement,) = judge_orders(evaluation)
        found = judgement.severity.value if speaks(evaluation, judgement) else NOTHING
        if found != self.expected:
            return f"{self.order} × {self.stop}: expected {self.expected}, found {found}"
        ids = {finding.criterion.id for finding in (*judgement.against, *judgement.cautions)}
        wanted = self.stop.partition(",")[0]
        known = {criterion.id for criterion in evaluation.knowledge.criteria.values()}
        is_quiet = self.expected == NOTHING or wanted not in known
        return "" if is_quiet or wanted in ids else f"{self.order} × {self.stop}: not said, but {sorted(ids)}"


def of_patient(knowledge: Knowledge, given: dict[str, Any], today: date, drafts: list[DraftOrder]) -> Evaluation:
    """Return the evaluation of a patient, without the search for deciding facts, which is slow."""
    found = replace(picture(knowledge, given, today), drafts=tuple(drafts), patient_id="example")
    whole = evaluate(found, knowledge, today)
    return replace(whole, assessments={name: without_search(part) for name, part in whole.assessments.items()})


def rows() -> Iterator[Row]:
    for order, table in content("severity.toml")["orders"].items():
        for stop, expected in table["expect"].items():
            yield Row(order, stop, expected)


@dataclass(frozen=True)
class DraftRow:
    """A draft → the kinds that it orders, and the tests."""

    story: str
    resource: dict[str, Any]
    kinds: tuple[str, ...]
    by_name: bool
    tests: frozenset[str]

    def disagreement(self, knowledge: Knowledge) -> str:
        sent = {"resourceType": "Bundle", "entry": [{"resource": self.resource}]}
        found = read_drafts(unpack_drafts(sent, "p"), knowledge, None)
        kinds = tuple(order.kind for order in found.orders)
        if kinds != self.kinds or any(order.by_name != self.by_name for order in found.orders):
            return f"{self.story}: expected {self.kinds}, found {found.orders}"
        return "" if found.tests == self.tests else f"{self.story}: expected tests {self.tests}, found {found.tests}"


def draft_rows() -> Iterator[DraftRow]:
    for table in content("drafts.toml")["draft"]:
        for system, codes in table["codes"].items():
            for code in codes:
                concept = {"text": code} if system == "text" else {"coding": [{"system": URIS[system], "code": code}]}
                key = "code" if table["as"] == "ServiceRequest" else "medicationCodeableConcept"
                resource = {"resourceType": table["as"], "id": "1", "status": "draft", key: concept}
                tests = frozenset(table.get("tests", ())) | ({code} if system == "loinc" else frozenset())
                kinds = tuple(table.get("kinds", ()))
                yield DraftRow(f"{table['story']} ({system} {code})", resource, kinds, system == "text", tests)


def nobody(knowledge: Knowledge) -> Evaluation:
    """Return the evaluation of a patient of whom nothing is known."""
    return of_patient(knowledge, {}, date(2026, 11, 1), [])


def offers(nobody: Evaluation) -> Iterator[str]:
    """Yield where what a card offers differs from offers.toml: the code, title and category for each fact and caution."""
    table = content("offers.toml")
    knowledge = nobody.knowledge
    pairs = [(name, found) for name in knowledge.facts for found in draft_orders(nobody, [name])]
    criteria = [c for key, c in knowledge.criteria.items() if key.startswith("caution.")]
    findings = [replace(judge_criterion(criterion, nobody.facts), met=True) for criterion in criteria]
    pairs += [(f.criterion.id, found) for f in findings for found in draft_orders(nobody, [], [f])]
    pairs += [("tumour board", found) for found in offered(nobody, board_referrals(knowledge))]
    told = {name: _shape(found) for name, found in pairs}
    if told != table["offer"]:
        yield f"expected {table['offer']}, found {told}"
    reasons = [[reason.code, reason.system, reason.display] for reason in knowledge.orders.reasons]
    if reasons != table["reasons"]:
        yield f"expected {table['reasons']}, found {reasons}"


def _shape(suggestion: Any) -> list[str]:
    resource = suggestion.actions[0].resource
    (coding,) = resource["code"]["coding"]
    category = [f"{c['coding'][0]['code']} {c['coding'][0]['display']}" for c in resource.get("category", [])]
    return [coding["system"], coding["code"], coding["display"], *category]
