"""Which cards, in what order, and how many (CLINICAL section 7). A contraindication never moves out of sight."""

from __future__ import annotations

from collections import Counter

from cds_service.assessment import Assessed
from cds_service.cards import evidence, wording
from cds_service.cards.board import Board, assessment_of, caution_ids, deciding, editions, overview, reasons, unchecked
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.suggestions import draft_orders
from cds_service.cards.techniques import techniques
from cds_service.judgement import judge
from cds_service.knowledge.model import Knowledge, Verdict
from cds_service.picture import ClinicalPicture, Nlm
from cds_service.settling import stale_or_conflicting

AT_MOST, WITH_ORDER = 3, 5
"""Cards without and with an active order; the overview is one of them."""
ASKED = {"laboratory": "Laboratory", "imaging": "Imaging", "pathology": "Pathology", "board": "For the board to judge"}


def compose(board: Board) -> list[Card]:
    """The cards of a patient with neuroendocrine liver metastases, most important first, the overview first of all."""
    urgent = [card for card in (_contraindications(board), _safety(board)) if card]
    room = (WITH_ORDER if board.picture.ordered else AT_MOST) - 1 - len(urgent)
    options = [_option(board, [modality]) for modality in board.options]
    if len(options) > room:
        options = [_option(board, board.options)] if room > 0 else []
    room -= len(options)
    folded: list[str] = []
    last: list[Card] = []
    for card, section in ((_missing(board), _missing_section(board)), (_data_quality(board), _quality_section(board))):
        if card and room > 0 and (urgent or options):
            last.append(card)
            room -= 1
        elif section:
            folded.append(section)
    return [overview(board, folded), *urgent, *options, *last]


def possible_nlm(picture: ClinicalPicture, knowledge: Knowledge) -> Card:
    """Somebody has to say whether this is the disease the service is for (CLINICAL section 2)."""
    lines = [
        f"{wording.safe(seen.recorded) or 'recorded'} ({seen.on or 'undated'}, {wording.safe(seen.seen_in)})"
        for seen in picture.gate.seen
    ]
    unreadable = picture.gate.answer is Nlm.CANNOT_TELL
    summary = (
        "Neuroendocrine liver metastases cannot be ruled in or out: some diagnoses could not be read"
        if unreadable
        else "Possible neuroendocrine liver metastases: please confirm before criteria are applied"
    )
    detail = f"{picture.gate.because[:1].upper()}{picture.gate.because[1:]}\n\n{wording.bullets(lines)}\n\n{wording.TONE}"
    kind = "data-quality" if unreadable else "possible-nlm"
    return Card(
        summary=summary,
        indicator="info",
        source=evidence.source(knowledge, ["S063"], "PossibleNlm", "Possible neuroendocrine liver metastases"),
        detail=detail,
        extension={EXTENSION: {"kind": kind, "knowledge": knowledge.digest}},
    )


def _card(board: Board, kind: str, topic: str, summary: str, indicator: str, detail: str, modalities: list[Assessed]) -> Card:
    """A card on one or several modalities, with what the machine needs to know of them."""
    relied_on = [s for modality in modalities for s in modality.statements()]
    if kind == "modality":
        relied_on += [s for modality in modalities for cited in techniques(board, modality).values() for s in cited]
    statements = list(dict.fromkeys(relied_on))
    decided = list(dict.fromkeys(s for modality in modalities for s in deciding(modality)))
    content: dict[str, object] = {"kind": kind, "knowledge": board.knowledge.digest}
    if len(modalities) == 1:
        one = assessment_of(modalities[0])
        content |= {"modality": modalities[0].modality.id, "verdict": one["verdict"]}
    elif modalities:
        content |= {"modalities": [modality.modality.id for modality in modalities]}
    lists = {
        "decided_by": list(dict.fromkeys(name for modality in modalities for name in modality.opinion.decided_by)),
        "cautions": caution_ids(modalities),
        "statements": statements,
    }
    content |= {key: found for key, found in lists.items() if found}
    in_words = evidence.unlinked(board.knowledge, statements)
    if in_words:
        detail += "\n\n**Cited without a link:** " + "; ".join(in_words)
    return Card(
        summary=summary,
        indicator=indicator,
        source=evidence.source(board.knowledge, decided or statements or ["S063"], topic, summary[:100]),
        detail=f"{detail}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        links=evidence.links(board.knowledge, statements),
    )


def _option(board: Board, modalities: list[Assessed]) -> Card:
    """What can be considered, strongest first; several on one card where there is no room for each."""
    if len(modalities) == 1:
        modality = modalities[0]
        word = "criteria are met" if modality.verdict is Verdict.RECOMMENDED else "consider"
        summary = f"{modality.modality.title}: {word}"
    else:
        names = [modality.modality.short if not place else modality.modality.short.lower()
                 for place, modality in enumerate(modalities)]  # fmt: skip
        summary = f"To discuss: {wording.listing(names)}"
    detail = "\n\n".join(_option_detail(board, modality, len(modalities) > 1) for modality in modalities)
    topic = "NlmModality" if len(modalities) > 1 else "Nlm" + modalities[0].modality.id.title().replace("-", "")
    return _card(board, "modality", topic, summary, "info", detail, modalities)


def _option_detail(board: Board, modality: Assessed, folded: bool) -> str:
    met = {f.indication.edition for f in modality.opinion.indications if f.met}
    whose = "the review of 2010" if "2010" in met else "later evidence"
    said = "recommended" if modality.verdict is Verdict.RECOMMENDED else "to be considered"
    parts = [f"**{modality.modality.title}**: criteria of {whose} are met, {said}{editions(modality)}."]
    parts.append(wording.bullets([*reasons(board.knowledge, modality), *_requirements(board, modality)]))
    if cautions := [wording.finding_line(board.knowledge, finding) for finding in modality.cautions]:
        parts.append("**Cautions**\n\n" + wording.bullets(cautions))
    if names := unchecked(board, [modality]):
        parts.append(f"**Not checked:** {', '.join(names)}.")
    names_beside = modality.modality.beside if folded else (*modality.modality.beside, *modality.modality.support)
    beside = [_statement(board.knowledge, name) for name in names_beside]
    if ways := techniques(board, modality):
        parts.append("**Techniques and options**\n\n" + wording.bullets(ways))
    parts.append("**Beside it**\n\n" + wording.bullets(beside))
    if modality.modality.about:
        parts.append(f"About this evidence: {', '.join(modality.modality.about)}.")
    return "\n\n".join(parts)


def _requirements(board: Board, modality: Assessed) -> list[str]:
    """The values behind the indications that are met."""
    found = {
        finding.criterion.key: finding
        for part in modality.opinion.indications
        if part.met and part.indication.id in modality.opinion.decided_by
        for finding in part.requirements
    }
    return [wording.finding_line(board.knowledge, finding) for finding in found.values()]


def _statement(knowledge: Knowledge, name: str) -> str:
    statement = knowledge.statements[name]
    dated = "2010" if statement.edition == "2010" else "later"
    tags = [name, dated]
    if statement.confidence != "high":
        tags.append(f"{statement.confidence} confidence")
    if statement.from_memory:
        tags.append("partly from memory")
    return f"{statement.says} [{', '.join(tags)}]"


def _contraindications(board: Board) -> Card | None:
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
        summary = f"{summary} ({wording.listing(w[:1].lower() + w[1:] for w in why)})"
    details = []
    for modality in found:
        order = board.picture.ordered.get(modality.modality.id)
        ordered = f", ordered ({order.on or 'undated'}, {wording.safe(order.seen_in)})" if order else ""
        parts = [f"**{modality.modality.title}**{ordered}", wording.bullets(reasons(board.knowledge, modality))]
        parts.append(modality.modality.contraindications_say)
        if cautions := [wording.finding_line(board.knowledge, f) for f in modality.cautions if f.facts]:
            parts.append("**Cautions**\n\n" + wording.bullets(cautions))
        details.append("\n\n".join(part for part in parts if part))
    indicator = "critical" if any(_critical(board, modality) for modality in found) else "warning"
    return _card(board, "contraindication", "NlmContraindication", summary, indicator, "\n\n".join(details), found)


def _concerns(board: Board, modality: Assessed) -> bool:
    if modality.modality.id in board.picture.ordered:
        return True
    excluded = any(judge(criterion, board.facts).met for criterion, only in modality.modality.exclusions if not only)
    possible = any(part.met is not False for part in modality.opinion.indications)
    return modality.modality.id != "transplantation" and possible and not excluded


HARD = {
    "hepatic-arterial-therapy": {"portal-vein-occlusion", "hepatic-failure"},
    "transplantation": {"distant-extrahepatic-disease"},
}
"""Hard facts against a treatment that is ordered or scheduled: the only ground for a critical card (CLINICAL 7.3)."""


def _critical(board: Board, modality: Assessed) -> bool:
    name = modality.modality.id
    met = {finding.criterion.id for finding in modality.contraindications}
    return name in board.picture.ordered and bool(met & HARD.get(name, set()))


SAFETY = ("carcinoid-heart-disease", "cardiac-assessment-missing")


def _safety(board: Board) -> Card | None:
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
    in_words = evidence.unlinked(board.knowledge, statements)
    if in_words:
        detail += "\n\n**Cited without a link:** " + "; ".join(in_words)
    return Card(
        summary=summary,
        indicator="critical" if critical else "warning",
        source=evidence.source(board.knowledge, statements, "NlmSafety", "Cardiac safety"),
        detail=f"{detail}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        links=evidence.links(board.knowledge, statements),
    )


def missing_facts(board: Board) -> list[str]:
    """Deciding facts, those first that decide most modalities, then in the order of the knowledge."""
    counts = Counter(name for modality in board.assessed.values() for name in modality.missing)
    place = {name: number for number, name in enumerate(board.knowledge.missing_order)}
    return sorted(counts, key=lambda name: (-counts[name], place.get(name, len(place)), name))


def _missing_lines(board: Board) -> list[str]:
    missing, knowledge = missing_facts(board), board.knowledge
    lines = []
    for ask, title in ASKED.items():
        names = [name for name in missing if knowledge.facts[name].ask == ask]
        if names:
            said = [f"{wording.name(knowledge.facts[name].says)}{_why(board, name)}" for name in names]
            lines.append(f"{title}: {'; '.join(said)}")
    return lines


def _why(board: Board, name: str) -> str:
    fact = board.facts[name]
    if fact.seen or fact.why.startswith(("unreadable", "conflict")):
        return f" ({wording.fact_line(board.knowledge, name, fact).split(': ', 1)[1]})"
    return ""


def _missing_section(board: Board) -> str:
    """On a chart that says almost nothing the board's five questions, else the facts that decide."""
    questions = [says for says, facts in board.knowledge.board_questions if not any(board.facts[name].known for name in facts)]
    undetermined = board.with_verdict(Verdict.UNDETERMINED)
    if questions and len(undetermined) == len(board.assessed):
        return "**Questions for the board**\n\n" + wording.bullets(questions)
    lines = _missing_lines(board)
    return "**What would decide**\n\n" + wording.bullets(lines) if lines else ""


def _missing(board: Board) -> Card | None:
    lines = _missing_lines(board)
    if not lines:
        return None
    open_ones = [modality for modality in board.with_verdict(Verdict.UNDETERMINED) if modality.missing]
    names = [modality.modality.short.lower() for modality in open_ones]
    told = wording.listing(names) if len(names) <= 3 else f"{len(names)} treatments"
    content = {"kind": "missing-data", "knowledge": board.knowledge.digest, "missing": missing_facts(board)}
    content["modalities"] = [modality.modality.id for modality in open_ones]
    suggestions = draft_orders(board, missing_facts(board))
    return Card(
        summary=f"Not documented: what would decide on {told}",
        indicator="info",
        source=evidence.source(board.knowledge, ["S063"], "NlmMissingData", "Missing data"),
        detail=f"{wording.bullets(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        suggestions=suggestions,
        selection_behavior="any" if suggestions else "",
    )


def _quality_lines(board: Board) -> list[str]:
    """Data that is there but cannot be used, where it could matter: a fact that decides, or one that was in conflict."""
    missing = set(missing_facts(board))
    lines = [
        wording.fact_line(board.knowledge, definition.id, fact)
        for definition, fact in stale_or_conflicting(board.facts)
        if definition.id in missing
    ]
    lines += [
        wording.fact_line(board.knowledge, name, fact)
        for name, fact in board.facts.leaves.items()
        if fact.known and fact.note.startswith("conflicting")
    ]
    if missing:
        lines += [
            f"{wording.safe(item.seen_in)} could not be read: {wording.safe(item.why)}" for item in board.picture.unreadable[:5]
        ]
        lines += [f"not consulted: {wording.safe(name)}" for name in board.picture.not_consulted]
    lines += [f"{wording.safe(item.seen_in)} decided and is {wording.safe(item.why)}" for item in board.invalid]
    return lines


def _quality_section(board: Board) -> str:
    lines = _quality_lines(board)
    return "**Data that could not be used**\n\n" + wording.bullets(lines) if lines else ""


def _data_quality(board: Board) -> Card | None:
    lines = _quality_lines(board)
    if not lines:
        return None
    return Card(
        summary="Some data could not be used: out of date, conflicting or unreadable",
        indicator="info",
        source=evidence.source(board.knowledge, ["S063"], "NlmDataQuality", "Data quality"),
        detail=f"{wording.bullets(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: {"kind": "data-quality", "knowledge": board.knowledge.digest}},
    )
