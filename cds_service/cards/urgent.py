"""Cards that never move out of sight: contraindications and cardiac safety (CLINICAL section 7.3 and 7.4)."""

from __future__ import annotations

from cds_service.cards import evidence, wording
from cds_service.cards.card import Card, fitting
from cds_service.cards.modality_card import about, card_on, cited
from cds_service.cards.overview import reasons
from cds_service.cards.technique_findings import ordered
from cds_service.knowledge.model import Verdict
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board
from cds_service.reasoning.judgement import judge


def contraindications(board: Board) -> Card | None:
    """A contraindication met while an indication is met or not excluded, or while the treatment is ordered.
    Transplantation is a line of the overview until it is ordered. Those ordered come first."""
    found = [modality for modality in board.with_verdict(Verdict.CONTRAINDICATED) if _concerns(board, modality)]
    if not found:
        return None
    found.sort(key=lambda modality: modality.modality.id not in board.picture.ordered)
    names = [modality.modality.short for modality in found]
    why = dict.fromkeys(f.criterion.says for modality in found for f in modality.contraindications)
    summary = f"{wording.listing([names[0], *(name.lower() for name in names[1:])])}: contraindicated"
    if len(found) == 1:
        summary = fitting(f"{summary} ({wording.listing(map(wording.name, why))})", summary)
    details = []
    for modality in found:
        order = board.picture.ordered.get(modality.modality.id)
        parts = [
            f"**{modality.modality.title}**{wording.ordered(order)}",
            wording.bullets(reasons(board.knowledge, modality)),
        ]
        parts.append(modality.modality.contraindications_say)
        if cautions := [wording.finding_line(board.knowledge, f) for f in modality.cautions if f.facts]:
            parts.append("**Cautions**\n\n" + wording.bullets(cautions))
        details.append("\n\n".join(part for part in parts if part))
    indicator = "critical" if any(_critical(board, modality) for modality in found) else "warning"
    return card_on(board, "contraindication", "NlmContraindication", summary, indicator, "\n\n".join(details), found)


LOST_BY_CONTRAINDICATION = "requirement.curative-resection-possible"
"""A contraindication to resection makes a curative one not possible (CLINICAL section 4), so R1 is always lost with it.
Whether the indication is met but for that (7.3), say the exclusions: they are all else that makes it not possible."""


def _concerns(board: Board, modality: Assessed) -> bool:
    """Whether the modality is ordered, or its indication met or not excluded, its contraindications aside."""
    if modality.modality.id in board.picture.ordered:
        return True
    excluded = any(judge(criterion, board.facts).met for criterion, only in modality.modality.exclusions if not only)
    possible = any(
        part.met is not False or {f.criterion.key for f in part.requirements if f.met is False} == {LOST_BY_CONTRAINDICATION}
        for part in modality.opinion.indications
    )
    return modality.modality.id != "transplantation" and possible and not excluded


HARD = {
    "hepatic-arterial-therapy": {"portal-vein-occlusion", "hepatic-failure"},
    "transplantation": {"distant-extrahepatic-disease"},
}
"""Hard facts against a treatment that is ordered or scheduled (CLINICAL 7.3); those against a technique stand with it."""


def _critical(board: Board, modality: Assessed) -> bool:
    name = modality.modality.id
    met = {finding.criterion.id for finding in modality.contraindications}
    return name in board.picture.ordered and bool(met & HARD.get(name, set()))


def stopped_order(board: Board) -> Card | None:
    """An ordered technique (radioembolization, radionuclide therapy) with a hard fact against it: always critical."""
    lines: list[str] = []
    why: dict[str, str] = {}
    modalities: list[str] = []
    statements: list[str] = []
    for modality in board.knowledge.modalities:
        for technique in modality.techniques:
            order = ordered(technique, board.picture.ordered)
            found = [judge(criterion, board.facts) for criterion in technique.stopped_by if criterion.id in technique.critical]
            if order is None or not (met := [finding for finding in found if finding.met]):
                continue
            against = wording.finding_lines(board.knowledge, met)
            lines.append(f"{technique.says}{wording.ordered(order)}: {against}")
            why[technique.says.split(",")[0]] = wording.listing(finding.criterion.says.lower() for finding in met)
            modalities.append(modality.id)
            statements += [s for finding in met for s in finding.criterion.statements]
    if not lines:
        return None
    one = len(why) == 1
    names = [name if not place else wording.name(name) for place, name in enumerate(why)]
    summary = f"{wording.listing(names)} ordered: " + ("".join(why.values()) if one else "contraindicated")
    statements = list(dict.fromkeys(statements))
    content: dict[str, object] = {"kind": "contraindication", "knowledge": board.knowledge.digest}
    content |= {"statements": statements, **about(modalities)}
    source = evidence.source(board.knowledge, statements, "NlmContraindication", summary[:100])
    return cited(board, summary, "critical", source, wording.bullets(lines), content, statements)


SAFETY = ("carcinoid-heart-disease", "cardiac-assessment-missing")


def safety(board: Board) -> Card | None:
    """Carcinoid syndrome without a cardiac assessment in its window, or carcinoid heart disease."""
    criteria = board.knowledge.criteria
    findings = [judge(criteria[f"caution.{name}"], board.facts) for name in SAFETY]
    severe = judge(criteria["contraindication.severe-carcinoid-heart-disease"], board.facts)
    found = [finding for finding in (severe, *findings) if finding.met]
    if not found:
        return None
    heart = any(finding.criterion.id == "carcinoid-heart-disease" for finding in found)
    unassessed = board.facts["cardiac_assessment_current"].is_(False)
    at_risk = {"resection", "debulking", "hepatic-arterial-therapy"} & set(board.picture.ordered)
    critical = heart and unassessed and bool(at_risk)
    summary = wording.listing(f.criterion.says if not n else f.criterion.says.lower() for n, f in enumerate(found))
    statements = list(dict.fromkeys(s for finding in found for s in finding.criterion.statements))
    cautions = [finding.criterion.id for finding in findings if finding.met]
    content: dict[str, object] = {"kind": "safety", "knowledge": board.knowledge.digest, "statements": statements}
    content |= {"cautions": cautions} if cautions else {}
    detail = wording.bullets(wording.finding_line(board.knowledge, finding) for finding in found)
    source = evidence.source(board.knowledge, statements, "NlmSafety", "Cardiac safety")
    return cited(board, summary, "critical" if critical else "warning", source, detail, content, statements)
