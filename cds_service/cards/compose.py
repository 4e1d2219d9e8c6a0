"""Chooses the cards, their order, number and length (docs/knowledge.md, "Which cards"). Contraindications are always kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cds_service.cards import evidence
from cds_service.cards.assessment import (
    caution_ids,
    modalities_json,
    provenance_json,
    shown_facts,
    techniques_json,
    unusable_json,
)
from cds_service.cards.card import EXTENSION, Card, Coding, Link
from cds_service.cards.draft import Draft, squeeze_all
from cds_service.cards.missing_data import (
    missing_draft,
    missing_facts,
    quality_draft,
    quality_paragraph,
    questions_in_a_line,
    questions_paragraphs,
)
from cds_service.cards.modality_card import group_treatments, modality_draft
from cds_service.cards.overview import overview_draft, procedure_cautions
from cds_service.cards.suggestions import draft_orders, with_suggestions
from cds_service.cards.text import Paragraph
from cds_service.cards.treatments import Treatment, list_treatments
from cds_service.cards.urgent import (
    StoppedTreatment,
    cardiac_findings,
    contraindication_draft,
    find_stopped_treatments,
    join_drafts,
    safety_draft,
    safety_is_critical,
)
from cds_service.clinical_picture import Unreadable
from cds_service.knowledge.modality import Verdict
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.judgement import Finding

MAX_CARDS, MAX_CARDS_WITH_ORDER = 3, 5
"""The numbers of cards without and with an active order, including the overview."""
MAX_CHARS, MAX_CHARS_WITH_ORDER = 4000, 5500
"""Characters of all cards together, as a reader sees them. The second applies with an active order or more than four blocks."""
BLOCKS_OF_A_SHORT_ANSWER = 4
OVERRIDABLE = frozenset({"warning", "critical"})
"""Indicators of the cards that a reader overrides with a reason."""


@dataclass(frozen=True)
class PlannedCard:
    """A draft with everything else that its card needs."""

    kind: str
    draft: Draft
    indicator: str
    topic: str
    content: dict[str, object]
    decided: Sequence[str]
    """Statements of what decided. The first whose publication has an identifier is the source of the card."""
    finish: Callable[[Card], Card] = lambda card: card


def compose_cards(evaluation: Evaluation, invalid: Sequence[Unreadable]) -> list[Card]:
    """Return the cards of a patient with neuroendocrine liver metastases: the overview, then the most important first.
    `invalid`: resources that decided and are not valid FHIR."""
    treatments = list_treatments(evaluation)
    shown = [treatment for treatment in treatments if treatment.on_face]
    urgent = _urgent(evaluation, treatments)
    has_safety = any(planned.content.get("cautions") and planned.kind != "modality" for planned in urgent)
    places = (MAX_CARDS_WITH_ORDER if evaluation.picture.orders else MAX_CARDS) - 1 - len(urgent)
    shown_cautions = frozenset(finding.criterion.id for finding in procedure_cautions(evaluation, treatments))
    groups = group_treatments(shown, places)
    options = [_modality(evaluation, group, modality_draft(evaluation, group, shown, shown_cautions)) for group in groups]
    places -= len(options)
    last: list[PlannedCard] = []
    folded: list[Paragraph] = []
    if (missing := missing_draft(evaluation, treatments)) and places > 0 and (urgent or options or evaluation.picture.orders):
        last.append(_missing(evaluation, missing))
        places -= 1
    elif missing:
        named_above = {name for treatment in shown if treatment.is_nearly_option for name in treatment.assessment.missing}
        if not shown:
            folded += questions_paragraphs(evaluation)
        elif not named_above >= {*missing_facts(evaluation)}:
            folded += questions_in_a_line(evaluation)
    if (
        (quality := quality_draft(evaluation, invalid, bool(missing)))
        and places > 0
        and (urgent or options or evaluation.picture.orders)
    ):
        named = unusable_json(evaluation, invalid)
        last.append(PlannedCard("data-quality", quality, "info", "NlmDataQuality", {"provenance": named} if named else {}, []))
    elif quality:
        folded += quality_paragraph(evaluation, invalid, bool(missing))
    own_card = [name for planned in urgent for name in _modalities_of(planned)]
    draft = overview_draft(evaluation, treatments, folded, has_safety, own_card)
    own_quality = any(planned.kind == "data-quality" for planned in last)
    unusable = [] if own_quality else unusable_json(evaluation, invalid)
    with_orders = bool(missing) and not any(planned.kind == "missing-data" for planned in last)
    overview = _overview(evaluation, treatments, draft, unusable, with_orders)
    planned = [overview, *urgent, *options, *last]
    blocks = sum(len(group) for group in groups)
    long = evaluation.picture.orders or blocks > BLOCKS_OF_A_SHORT_ANSWER
    squeezes = squeeze_all([part.draft for part in planned], MAX_CHARS_WITH_ORDER if long else MAX_CHARS)
    return [write_card(evaluation, part, squeeze) for part, squeeze in zip(planned, squeezes, strict=True)]


def write_card(evaluation: Evaluation, planned: PlannedCard, squeeze: int) -> Card:
    """Return the card of a plan at a squeeze, without its uuid."""
    knowledge = evaluation.knowledge
    written = planned.draft.write(squeeze)
    content = {"kind": planned.kind, "knowledge": knowledge.digest, **planned.content}
    display = planned.draft.summary[:100]
    card = Card(
        summary=planned.draft.summary,
        indicator=planned.indicator,
        source=evidence.primary_source(knowledge, planned.decided or ["S063"], planned.topic, display),
        detail=written.detail,
        extension={EXTENSION: content},
        links=[Link(publication.label, publication.url) for publication in written.linked],
        override_reasons=[Coding(*reason) for reason in knowledge.orders.reasons] if planned.indicator in OVERRIDABLE else [],
    )
    return planned.finish(card)


def _modalities_of(planned: PlannedCard) -> list[str]:
    found = planned.content.get("modalities", [planned.content[key] for key in ("modality",) if key in planned.content])
    return list(found) if isinstance(found, list) else []


def modality_fields(names: Iterable[str]) -> dict[str, object]:
    """Return the modalities of a card for its extension: `modality` if there is one, `modalities` if there are several."""
    found = list(dict.fromkeys(names))
    if len(found) == 1:
        return {"modality": found[0]}
    return {"modalities": found} if found else {}


def _overview(
    evaluation: Evaluation,
    treatments: Sequence[Treatment],
    draft: Draft,
    unusable: Sequence[dict[str, str]],
    with_orders: bool,
) -> PlannedCard:
    """Return the overview. `unusable`: data that could not be used, if it has no card of its own; `with_orders`: the overview
    carries the draft orders, because missing facts have no card of their own."""
    content: dict[str, object] = {
        "staging": {name: part.value for name, part in evaluation.stage.items()},
        "modalities": modalities_json(evaluation, treatments),
    }
    if techniques := techniques_json(evaluation, treatments):
        content["techniques"] = techniques
    if provenance := [*provenance_json(evaluation, shown_facts(evaluation)), *unusable]:
        content["provenance"] = provenance

    def finished(card: Card) -> Card:
        if with_orders:
            card = _with_orders(evaluation, card)
        if note := evaluation.knowledge.overlay.note:
            card.detail = f"{card.detail}\n\n{note}"
        return card

    return PlannedCard("overview", draft, "info", "NlmOverview", content, ["S063"], finished)


def _urgent(evaluation: Evaluation, treatments: Sequence[Treatment]) -> list[PlannedCard]:
    """Return the cards of contraindications and safety, at most one each. Without an order they share one card."""
    stopped, cardiac = find_stopped_treatments(evaluation), cardiac_findings(evaluation)
    procedural = procedure_cautions(evaluation, treatments)
    contraindication = contraindication_draft(evaluation, stopped) if stopped else None
    against = [finding for part in stopped for finding in part.findings]
    safety = safety_draft(evaluation, cardiac, procedural, against) if cardiac else None
    if contraindication and safety and not evaluation.picture.orders:
        joined = join_drafts(contraindication, safety)
        return [_stopped_card(evaluation, stopped, joined, [*cardiac, *procedural])]
    found = [_stopped_card(evaluation, stopped, contraindication, [])] if contraindication else []
    if safety:
        indicator = "critical" if safety_is_critical(evaluation) else "warning"
        found.append(PlannedCard("safety", safety, indicator, "NlmSafety", *_safety_content([*cardiac, *procedural])))
    return sorted(found, key=lambda planned: planned.indicator != "critical")


def _safety_content(findings: Sequence[Finding]) -> tuple[dict[str, object], list[str]]:
    statements = list(dict.fromkeys(s for finding in findings for s in finding.criterion.statements))
    cautions = list(dict.fromkeys(f.criterion.id for f in findings if f.criterion.key.startswith("caution.")))
    content: dict[str, object] = {"statements": statements} if statements else {}
    return content | ({"cautions": cautions} if cautions else {}), statements


def _stopped_card(
    evaluation: Evaluation, stopped: Sequence[StoppedTreatment], draft: Draft, safety: Sequence[Finding]
) -> PlannedCard:
    decided_by = list(dict.fromkeys(f.criterion.id for part in stopped for f in part.findings))
    statements = [s for part in stopped for f in part.findings for s in f.criterion.statements]
    content, beside = _safety_content(safety)
    content |= {"decided_by": decided_by, **modality_fields(part.modality for part in stopped)}
    whole = [part for part in stopped if part.technique is None]
    if len(stopped) == 1 and whole:
        content["verdict"] = Verdict.CONTRAINDICATED.value
    if all_statements := list(dict.fromkeys([*statements, *beside])):
        content["statements"] = all_statements
    content |= findings_provenance(evaluation, [f for part in stopped for f in part.findings])
    indicator = "critical" if any(part.critical for part in stopped) else "warning"
    return PlannedCard("contraindication", draft, indicator, "NlmContraindication", content, list(dict.fromkeys(statements)))


def findings_provenance(evaluation: Evaluation, findings: Sequence[Finding]) -> dict[str, object]:
    """Return the provenance of the facts behind findings, for the extension of a card; empty without any."""
    names = [
        n for f in findings for test in f.criterion.tests for n in sorted(recorded_inputs(evaluation.knowledge, test.fact))
    ]
    entries = provenance_json(evaluation, names)
    return {"provenance": entries} if entries else {}


def _modality(evaluation: Evaluation, group: Sequence[Treatment], draft: Draft) -> PlannedCard:
    assessments: dict[str, Assessment] = {t.modality.id: t.assessment for t in group}
    found = list(assessments.values())
    statements = list(
        dict.fromkeys([*(s for a in found for s in a.statements()), *(p.statement for t in group for p in t.shown)])
    )
    content: dict[str, object] = modality_fields(assessments)
    if len(found) == 1:
        content["verdict"] = found[0].verdict.value
    lists = {
        "decided_by": list(dict.fromkeys(name for a in found for name in a.decision.decided_by)),
        "cautions": caution_ids(found),
        "statements": statements,
        "techniques": techniques_json(evaluation, group),
    }
    content |= {key: value for key, value in lists.items() if value}
    content |= findings_provenance(evaluation, [f for t in group for part in t.met for f in part.requirements])
    decided = list(dict.fromkeys(s for treatment in group for part in treatment.met for s in part.indication.statements))
    topic = "NlmModality" if len(found) > 1 else "Nlm" + found[0].modality.id.title().replace("-", "")
    return PlannedCard("modality", draft, "info", topic, content, decided or statements)


def _missing(evaluation: Evaluation, draft: Draft) -> PlannedCard:
    open_ones = [assessment for assessment in evaluation.with_verdict(Verdict.UNDETERMINED) if assessment.missing]
    content: dict[str, object] = {"missing": missing_facts(evaluation), **modality_fields(a.modality.id for a in open_ones)}

    return PlannedCard(
        "missing-data", draft, "info", "NlmMissingData", content, ["S063"], lambda card: _with_orders(evaluation, card)
    )


def _with_orders(evaluation: Evaluation, card: Card) -> Card:
    return with_suggestions(card, draft_orders(evaluation, missing_facts(evaluation)))
