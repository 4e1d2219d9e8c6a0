"""The chapter on treatments: indications, contraindications, exclusions, gates, cautions, options and context of each."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cds_service.knowledge.modality import Criterion, Indication, Modality, Technique
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import GradeLimit
from cds_service.rulebook.blocks import Block, Section, Text, bullet_block, table_block
from cds_service.rulebook.prose import chapter, load_prose
from cds_service.rulebook.words import CALCULATED, EDITION, condition_text, criterion_text, silence_text, source_list


def treatments_section(knowledge: Knowledge) -> Section:
    """Return the chapter with one section for each treatment."""
    return chapter("treatments", sections=tuple(_treatment(knowledge, modality) for modality in knowledge.modalities))


def _treatment(knowledge: Knowledge, modality: Modality) -> Section:
    beside = [f"{knowledge.statements[s].says} [{s}]" for s in (*modality.beside, *modality.support)]
    about = [f"Also: {', '.join(modality.about)}."] if modality.about else []
    beside_it = Section(f"{modality.id}-beside", "What its card says beside it", bullet_block([*beside, *about]))
    return Section(modality.id, modality.title, (), (*rule_sections(knowledge, modality), beside_it))


def rule_sections(knowledge: Knowledge, modality: Modality) -> tuple[Section, ...]:
    """Return the rules of one treatment: indications, contraindications, exclusions, gates, cautions and options. The anchor of
    a rule is its id."""
    name = modality.id
    return tuple(
        Section(f"{name}-{part}", title, blocks)
        for part, title, blocks in (
            ("indications", "Indications", _indications(knowledge, modality)),
            ("contraindications", "Contraindications", _contraindications(knowledge, modality)),
            ("exclusions", "Exclusions: not indicated", _exclusions(knowledge, modality)),
            ("gates", "Grade and other gates", _gates(knowledge, modality)),
            ("cautions", "Cautions", _cautions(knowledge, modality)),
            ("options", "Options and techniques: told, never part of the verdict", _options(knowledge, modality)),
        )
        if blocks
    )


def _indications(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    rows = (_indication(knowledge, indication) for indication in modality.indications)
    anchors = (indication.id for indication in modality.indications)
    return table_block("Indication|Edition, strength|Needs, all of|Sources", rows, (25, 15, 40, 20), anchors)


def _contraindications(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    if not modality.contraindications:
        return (Text("None of the treatment as a whole."),)
    say = (Text(f"{modality.contraindications_say}."),) if modality.contraindications_say else ()
    return (*say, *_deciding(knowledge, ((criterion, "") for criterion in modality.contraindications)))


def _exclusions(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    told = [(criterion, ", ".join(sorted(only))) for criterion, only in modality.exclusions]
    say = (Text(f"Beside them: {modality.excluded_say}."),) if told and modality.excluded_say else ()
    return (*_deciding(knowledge, told), *say)


def _gates(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    words = load_prose()["gates"]
    cautioned = any(caution.id == "grade-unknown" for caution in modality.cautions)
    not_excluded = modality.nec if modality.nec is GradeLimit.NOT_INDICATED else "caution" if cautioned else ""
    nec, g3, graft = (knowledge.criteria[f"gate.{name}"].id for name in ("nec", "g3", "transplanted-liver"))
    gates = [
        (nec, words["nec"][modality.nec]),
        (nec, words["nec_not_excluded"][not_excluded] if not_excluded else ""),
        (g3, words["g3"][modality.g3]),
        (graft, words["words"]["graft"] if modality.liver_directed else ""),
        *((caution, words["words"]["downgraded"].format(caution=caution)) for caution in modality.downgraded_by),
    ]
    shown = [(anchor, text) for anchor, text in gates if text]
    return bullet_block((text for _, text in shown), (anchor for anchor, _ in shown))


def _cautions(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    rows = (
        (criterion_text(c), condition_text(knowledge, c), source_list(knowledge, c.statements, c.local))
        for c in modality.cautions
    )
    return table_block("Caution|Told when|Sources", rows, (45, 35, 20), (c.id for c in modality.cautions))


def _options(knowledge: Knowledge, modality: Modality) -> tuple[Block, ...]:
    """Return the techniques, then a table of the criteria that stop them, caution against them or are needed for them."""
    effects = {c: "needed" for technique in modality.techniques for c in technique.when}
    effects |= {c: "caution" for technique in modality.techniques for c in technique.cautions}
    effects |= {c: "stop" for technique in modality.techniques for c in technique.stopped_by}
    rows = (
        (criterion_text(c), effect, condition_text(knowledge, c), source_list(knowledge, c.statements, c.local))
        for c, effect in effects.items()
    )
    anchors = (c.id for c in effects)
    listed = table_block("Criterion of a technique|Effect|Met when|Sources", rows, (40, 10, 30, 20), anchors)
    return (*bullet_block([_option(knowledge, technique) for technique in modality.techniques]), *listed)


def _indication(knowledge: Knowledge, indication: Indication) -> tuple[str, ...]:
    strength = f"{EDITION[indication.edition]}, {indication.strength.value}"
    needs = [_need(knowledge, criterion) for criterion in indication.requires]
    needs += [f"by later evidence also: {_need(knowledge, criterion)}" for criterion in indication.update_requires]
    if indication.when_closed:
        names = ", ".join(knowledge.modality(name).short.lower() for name in indication.when_closed)
        needs.append(f"contraindicated or not indicated: {names}")
    cited = dict.fromkeys([*indication.statements, *(s for c in indication.requires for s in c.statements)])
    cited |= dict.fromkeys(s for c in indication.update_requires for s in c.statements)
    return (
        f"**{indication.id}** {indication.says}",
        strength,
        "\n".join(f"• {need}" for need in needs),
        source_list(knowledge, cited, indication.local),
    )


def _need(knowledge: Knowledge, criterion: Criterion) -> str:
    """Return the sentence of a requirement, with the comparison unless that is only "yes" or a calculation."""
    number = any(isinstance(test.limit, Decimal) for test in criterion.tests)
    calculated = any(test.fact in knowledge.derived for test in criterion.tests)
    plain_yes = all(test.limit is True for test in criterion.tests)
    told = CALCULATED if calculated else ""
    if number or not (calculated or plain_yes):
        told = f" ({condition_text(knowledge, criterion)})"
    return f"{criterion.says}{told}{' **local**' if criterion.local else ''}"


def _deciding(knowledge: Knowledge, criteria: Iterable[tuple[Criterion, str]]) -> tuple[Block, ...]:
    found = list(criteria)
    rows = (
        (
            criterion_text(criterion) + (f"; of {only} only" if only else ""),
            condition_text(knowledge, criterion),
            silence_text(knowledge, criterion),
            source_list(knowledge, criterion.statements, criterion.local),
        )
        for criterion, only in found
    )
    anchors = (criterion.id for criterion, _ in found)
    return table_block("Criterion|Met when|Nothing recorded|Sources", rows, (30, 30, 20, 20), anchors)


def _option(knowledge: Knowledge, technique: Technique) -> str:
    parts = [f"**{technique.says}** [{', '.join(technique.statements)}]"]
    if technique.only_for:
        parts.append(f"told with {', '.join(sorted(technique.only_for))}")
    for words, criteria in (
        ("told when", technique.when),
        ("stopped by", technique.stopped_by),
        ("caution", technique.cautions),
    ):
        if criteria:
            cited = words != "told when"
            listed = (f"{c.says} [{', '.join(c.statements)}]" if cited else c.says for c in criteria)
            parts.append(f"{words}: {' · '.join(listed)}")
    if technique.also:
        parts.append(technique.also)
    return "; ".join(parts)
