"""The "Change a fact" controls: the value of the chart in each, and the values that the user supposes instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from cds_service.cards import wording
from cds_service.clinical_picture import Interval, Observed, format_decimal
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import FactKind
from cds_service.pages.phrases import describe_reading, fact_phrase
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Facts

OFTEN_CHANGED = (
    "inr", "portal_vein", "egfr", "resectability", "removable_fraction", "liver_involvement", "extrahepatic_disease",
    "who_grade",
)  # fmt: skip
FIRST_OF_GROUP = {
    "primary_site": "Tumour",
    "lesion_count": "Liver",
    "extrahepatic_disease": "Beyond the liver",
    "age": "Fitness and organs",
    "liver_transplant": "Treatment so far",
}
"""The first fact of each group, in the order of facts.toml → the title of the group."""
CALCULATED_COUNTERPART = {"who_grade": "grade", "egfr": "egfr_used"}
"""Recorded fact → the derived fact that is also shown beside its control."""
MAX_LABEL_CHARS = 42
NOTHING = "nothing"
"""The choice that nothing is on record, although it was asked for."""
SEX = ("female", "male")
NUMBERS = frozenset({FactKind.QUANTITY, FactKind.INTEGER})
LARGEST = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a control accepts: a number from `low` to `high`, or one of `options`; several of them if `multiple`."""

    options: tuple[tuple[str, str], ...] = ()
    """(value, words); empty for a number."""
    multiple: bool = False
    low: str = ""
    high: str = ""
    whole: bool = False
    """Whether only whole numbers are accepted."""
    dated: bool = False
    """Whether the day of the answer can be chosen; else it is today."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control, as the template shows it."""

    name: str
    label: str
    unit: str
    accepts: Choices
    chart: tuple[str, ...]
    """The value of the chart as the control would send it; empty if there is no usable value."""
    shown: tuple[str, ...]
    """The value in the control now."""
    shown_on: str
    """The day in the control now, if it is dated."""
    says: str
    """The value of the chart in words, or why it has none."""
    on: str
    """The date of the value of the chart, "undated", or empty if there is no value."""
    words: str
    """The words by which a search finds it."""
    decides: str = ""
    """The treatments whose verdict it would decide; empty if none."""
    fault: str = ""
    hidden: bool = False
    """Whether the search leaves it out."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A group of controls. It is shown open if something in it would decide, is supposed, or was searched for."""

    id: str
    title: str
    controls: tuple[Control, ...]
    open: bool

    @property
    def deciding(self) -> int:
        """Return how many of its facts would decide a verdict."""
        return sum(bool(control.decides) for control in self.controls)

    @property
    def hidden(self) -> bool:
        """Return whether the search leaves out all its controls."""
        return all(control.hidden for control in self.controls)


@dataclass(frozen=True, slots=True)
class Entered:
    """What the user entered: the texts of each control, its day, and the sentence about it if it is not valid."""

    texts: Mapping[str, tuple[str, ...]]
    days: Mapping[str, str]
    faults: Mapping[str, str]
    find: str = ""
    """The words of the search for a fact."""
    only_deciding: bool = False


def control_groups(facts: Facts, now: Evaluation, entered: Entered) -> list[ControlGroup]:
    """Return all controls in their groups. `facts`: those of the chart, without supposed values. `now`: with them."""
    deciding = _treatments_by_fact(now)
    groups: dict[str, list[Control]] = {"Often changed": [_control(facts, name, entered, deciding) for name in OFTEN_CHANGED]}
    title = ""
    for name in facts.knowledge.facts:
        title = FIRST_OF_GROUP.get(name, title)
        if name not in OFTEN_CHANGED:
            groups.setdefault(title, []).append(_control(facts, name, entered, deciding))
    searched = bool(entered.find.strip() or entered.only_deciding)
    return [
        ControlGroup(
            title.lower().replace(" ", "-"),
            title,
            tuple(controls),
            searched or not number or any(control.decides or control.name in entered.texts for control in controls),
        )
        for number, (title, controls) in enumerate(groups.items())
    ]


def _treatments_by_fact(evaluation: Evaluation) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for assessment in evaluation.assessments.values():
        for name in assessment.missing:
            found.setdefault(name, []).append(assessment.modality.short)
    return {name: ", ".join(treatments) for name, treatments in found.items()}


def _control(facts: Facts, name: str, entered: Entered, deciding: Mapping[str, str]) -> Control:
    definition = facts.knowledge.facts[name]
    chart, accepts = chart_value(facts, name), choices(definition)
    label, decides = control_label(definition), deciding.get(name, "")
    words = " ".join([label, definition.says, definition.short, name, *(text for _, text in accepts.options)]).casefold()
    wanted = entered.find.casefold().split()
    return Control(
        name=name,
        label=label,
        unit=definition.unit_in_words.strip(),
        accepts=accepts,
        chart=chart,
        shown=entered.texts.get(name, chart),
        shown_on=entered.days.get(name, chart_day(facts, name) if accepts.dated and chart else ""),
        says=_says(facts, name),
        on=str(facts[name].on or "undated") if facts[name].known else "",
        words=words,
        decides=decides,
        fault=entered.faults.get(name, ""),
        hidden=not all(word in words for word in wanted) or (entered.only_deciding and not decides),
    )


def control_label(definition: FactDefinition) -> str:
    """Return the label of a control: the name of its fact, the short one if that is long."""
    says = definition.says if len(definition.says) <= MAX_LABEL_CHARS or not definition.short else definition.short
    return f"{says[:1].upper()}{says[1:]}" if not says[1:2].isupper() and says != "eGFR" else says


def choices(definition: FactDefinition) -> Choices:
    """Return what the control of a fact accepts."""
    if definition.kind in NUMBERS or definition.id == "age":
        low, high = definition.range or (Decimal(0), LARGEST)
        whole = definition.kind is not FactKind.QUANTITY
        return Choices(low=format_decimal(low), high=format_decimal(high), whole=whole)
    nothing = (NOTHING, "nothing on record")
    if definition.options or definition.id == "sex":
        options = [(option, wording.format_value(definition, option)) for option in definition.options or SEX]
        return Choices((*options, nothing), multiple=definition.kind is FactKind.CODES)
    if definition.kind is FactKind.BOOLEAN:
        return Choices((("true", "yes"), ("false", "no"), nothing))
    return Choices((("true", "yes"), nothing), dated=True)


def chart_value(facts: Facts, name: str) -> tuple[str, ...]:
    """Return the value of a fact in the chart as its control would send it; empty if there is no usable value."""
    value = facts[name].value if facts[name].known else None
    match value:
        case Interval():
            return (format_decimal(value.exact),) if value.exact is not None else ()
        case bool():
            return ("true" if value else "false",)
        case frozenset():
            return tuple(sorted(value))
    return (value,) if value is not None else ()


def chart_day(facts: Facts, name: str) -> str:
    """Return the day of a fact in the chart as YYYY-MM-DD; "" if it has none, or only a month or year."""
    on = facts[name].on
    return str(on) if on is not None and on.earliest == on.latest else ""


def _says(facts: Facts, name: str) -> str:
    fact = facts[name]
    said = fact_phrase(facts.knowledge, name, fact)
    if not fact.known and fact.seen:
        said += ": " + "; ".join(_readings(facts.knowledge, fact.seen[:2]))
    beside = CALCULATED_COUNTERPART.get(name)
    if beside and facts[beside].known and facts[beside].value != fact.value:
        said += f"; calculated: {fact_phrase(facts.knowledge, beside, facts[beside])}"
    return said


def _readings(knowledge: Knowledge, seen: tuple[Observed, ...]) -> Iterator[str]:
    for reading in seen:
        view = describe_reading(knowledge, reading)
        yield f"{view.value}, {view.on}"
