"""The rule book: what the service knows and how it decides, in Markdown, for a clinician to read."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.knowledge.model import Comparison, Criterion, Knowledge, Modality, Verdict
from cds_service.picture import plain

COMPARISONS = {"at_most": "at most", "at_least": "at least", "below": "below", "above": "above"}


def rule_book(knowledge: Knowledge) -> str:
    parts = [
        "# Rule book: neuroendocrine liver metastases",
        f"By {knowledge.provenance}. Criteria of Reddy and Clary 2010 (edition 2010) and later evidence (edition update), "
        "for discussion in a tumour board.",
    ]
    if knowledge.overlay.choices:
        parts.append(
            f"## Said by the site {knowledge.overlay.site}\n\n" + "\n".join(f"- {c}" for c in knowledge.overlay.choices)
        )
    for modality in knowledge.modalities:
        parts.append(_modality(knowledge, modality))
    parts.append("## Statements\n\n" + "\n".join(_statements(knowledge)))
    return "\n\n".join(parts)


def _modality(knowledge: Knowledge, modality: Modality) -> str:
    lines = [f"## {modality.title}", "", "### Indications", ""]
    for indication in modality.indications:
        strength = "recommended" if indication.strength is Verdict.RECOMMENDED else "consider"
        local = ", local convention" if indication.local else ""
        sources = ", ".join(indication.statements)
        lines.append(f"- **{indication.id}** ({indication.edition}, {strength}{local}): {indication.says} [{sources}]")
        lines += [f"  - {_criterion(knowledge, criterion)}" for criterion in indication.requires]
        lines += [f"  - with later evidence: {_criterion(knowledge, criterion)}" for criterion in indication.update_requires]
        lines += [f"  - closed: {', '.join(indication.when_closed)}"] if indication.when_closed else []
    for title, criteria in (
        ("Contraindications", modality.contraindications),
        ("Cautions", modality.cautions),
    ):
        if criteria:
            lines += ["", f"### {title}", "", *(f"- {_criterion(knowledge, criterion)}" for criterion in criteria)]
    if modality.exclusions:
        lines += ["", "### Exclusions", ""]
        for criterion, only in modality.exclusions:
            scope = f" (only {', '.join(sorted(only))})" if only else ""
            lines.append(f"- {_criterion(knowledge, criterion)}{scope}")
    return "\n".join(lines)


def _criterion(knowledge: Knowledge, criterion: Criterion) -> str:
    joint = " or " if criterion.combine == "any" else " and "
    tests = joint.join(_comparison(knowledge, test) for test in criterion.tests) or "always"
    silence = "silence: not met" if criterion.silent_is_not_met else "silence: unknown"
    sources = [*criterion.statements, *(["local convention"] if criterion.local else [])]
    then = f": {criterion.then}" if criterion.then else ""
    return f"`{criterion.id}` {criterion.says}{then} ({tests}; {silence}) [{', '.join(sources)}]"


def _comparison(knowledge: Knowledge, test: Comparison) -> str:
    definition = knowledge.facts.get(test.fact)
    says = definition.says if definition else knowledge.derived[test.fact].says
    if test.how in COMPARISONS and not isinstance(test.limit, (bool, str, frozenset)):
        unit = definition.unit if definition and definition.unit != "1" else ""
        return f"{says} {COMPARISONS[test.how]} {plain(test.limit)} {unit}".strip()
    limit = test.limit
    if isinstance(limit, bool):
        return says if limit else f"not: {says}"
    wanted: Iterable[str] = sorted(limit) if isinstance(limit, frozenset) else [str(limit)]
    return f"{says} is {' or '.join(wanted)}"


def _statements(knowledge: Knowledge) -> Iterable[str]:
    for statement in knowledge.statements.values():
        tags = [statement.kind, statement.edition, f"confidence {statement.confidence}"]
        caution = f" Caution: {statement.caution}" if statement.caution else ""
        sources = "; ".join(knowledge.publications[name].citation for name in statement.publications) or statement.unsourced
        shown = statement.says if statement.display else "Not shown as fact."
        yield f"- **{statement.id}** ({', '.join(tags)}): {shown}{caution} — {sources}"
