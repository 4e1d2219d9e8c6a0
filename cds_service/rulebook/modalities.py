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
    name = modality.id
    parts = [
        Section(
            f"{name}-indications",
            "Indications",
            table_block(
                "Indication|Edition, strength|Needs, all of|Sources",
                (_indication(knowledge, indication) for indication in modality.indications),
                (25, 15, 40, 20),
            ),
        ),
        Section(
            f"{name}-contraindications",
            "Contraindications",
            (
                *((Text(f"{modality.contraindications_say}."),) if modality.contraindications_say else ()),
                *_deciding(knowledge, ((criterion, "") for criterion in modality.contraindications)),
            )
            if modality.contraindications
            else (Text("None of the treatment as a whole."),),
        ),
    ]
    if modality.exclusions:
        told = ((criterion, ", ".join(sorted(only))) for criterion, only in modality.exclusions)
        say = (Text(f"Beside them: {modality.excluded_say}."),) if modality.excluded_say else ()
        parts.append(Section(f"{name}-exclusions", "Exclusions: not indicated", (*_deciding(knowledge, told), *say)))
    told_gates = load_prose()["gates"]
    cautioned = any(caution.id == "grade-unknown" for caution in modality.cautions)
    not_excluded = modality.nec if modality.nec is GradeLimit.NOT_INDICATED else "caution" if cautioned else ""
    gates = [told_gates["nec"][modality.nec]]
    gates += [told_gates["nec_not_excluded"][not_excluded]] if not_excluded else []
    gates += [words] if (words := told_gates["g3"][modality.g3]) else []
    gates += [load_prose()["gates"]["words"]["graft"]] if modality.liver_directed else []
    gates += [load_prose()["gates"]["words"]["downgraded"].format(caution=caution) for caution in modality.downgraded_by]
    parts.append(Section(f"{name}-gates", "Grade and other gates", bullet_block(gates)))
    cautions = (
        (criterion_text(c), condition_text(knowledge, c), source_list(knowledge, c.statements, c.local))
        for c in modality.cautions
    )
    parts.append(Section(f"{name}-cautions", "Cautions", table_block("Caution|Told when|Sources", cautions, (45, 35, 20))))
    if modality.techniques:
        options = [_option(knowledge, technique) for technique in modality.techniques]
        parts.append(
            Section(f"{name}-options", "Options and techniques: told, never part of the verdict", bullet_block(options))
        )
    beside = [f"{knowledge.statements[s].says} [{s}]" for s in (*modality.beside, *modality.support)]
    about = [f"Also: {', '.join(modality.about)}."] if modality.about else []
    parts.append(Section(f"{name}-beside", "What its card says beside it", bullet_block([*beside, *about])))
    return Section(name, modality.title, (), tuple(parts))


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
    rows = (
        (
            criterion_text(criterion) + (f"; of {only} only" if only else ""),
            condition_text(knowledge, criterion),
            silence_text(knowledge, criterion),
            source_list(knowledge, criterion.statements, criterion.local),
        )
        for criterion, only in criteria
    )
    return table_block("Criterion|Met when|Nothing recorded|Sources", rows, (30, 30, 20, 20))


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
