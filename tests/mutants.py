"""Knowledge with one datum changed: every mutant of the TOML tables that the pinning (tests/test_pinning.py) has to catch.

Driven by knowledge/schema.json: a walk along schema and tables meets every key, and each key of each kind of table has a
rule below that says how to change its value. A key without a rule is an error, so that nothing new escapes unmutated. A
rule is a function value → other values (ABSENT: the key taken away, or, given ABSENT, the key added), DOWN (a table to
walk into) or a `NotPinned` with the reason why no verdict can tell.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Any

from cds_service.fhir.gate import PLAIN_METASTASIS
from cds_service.knowledge import MODALITIES
from cds_service.knowledge.terminology import PREFIX_SYSTEMS

FOLDER = resources.files("cds_service.knowledge")
SCHEMA = json.loads((FOLDER / "schema.json").read_text("utf-8"))
NAMES = (*(name for name in SCHEMA["$defs"] if name.endswith(".toml")), *(f"modalities/{name}.toml" for name in MODALITIES))

Path = tuple[str | int, ...]
Files = dict[str, Any]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True)
class Mutant:
    """One datum of one file with another value."""

    file: str
    path: Path
    says: str
    new: Any
    at: Path
    """What `new` replaces: the datum itself, or a table around it."""

    def __str__(self) -> str:
        return f"{self.file}: {'.'.join(map(str, self.path))}: {self.says}"

    def of(self, files: Mapping[str, Any]) -> Files:
        """The files with this change; what is not on its path is shared."""
        return {**files, self.file: _changed(files[self.file], self.at, self.new)}


@dataclass(frozen=True)
class Instead:
    """What a rule yields where more than the value changes: the table around it, or a change with words of its own."""

    says: str
    new: Any
    around: bool = True


@dataclass(frozen=True)
class NotPinned:
    because: str


@dataclass(frozen=True)
class Place:
    """Where a value stands: its file, path, and the table around it."""

    files: Mapping[str, Any]
    file: str
    path: Path
    table: Mapping[str, Any]


class KeyWithoutRule(AssertionError):
    """The schema has a key that the pinning knows nothing of."""


def read() -> Files:
    return {name: tomllib.loads(FOLDER.joinpath(*name.split("/")).read_text("utf-8"), parse_float=Decimal) for name in NAMES}


def mutants(files: Files) -> Iterator[Mutant]:
    for name in NAMES:
        kind = "modality" if name.startswith("modalities/") else name
        if name == "scores.toml":  # its types are closed by knowledge/scores.py; the schema leaves them to it
            yield from _scores(Place(files, name, (), files[name]), files[name])
        else:
            yield from _walk(SCHEMA["$defs"][kind], kind, Place(files, name, (), files[name]), files[name])


def _walk(schema: Mapping[str, Any], kind: str, place: Place, value: Any) -> Iterator[Mutant]:
    """`kind`: the name in RULES of the tables of this schema."""
    if "$ref" in schema:
        kind = schema["$ref"].rsplit("/", 1)[1]
        schema = SCHEMA["$defs"][kind]
    if "oneOf" in schema and "properties" not in schema:
        schema = next(part for part in schema["oneOf"] if (part.get("type") == "object") == isinstance(value, dict))
        if not isinstance(value, dict):
            return
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from _walk(schema["items"], kind, Place(place.files, place.file, (*place.path, number), place.table), part)
        return
    properties = schema.get("properties", {})
    for key in {**properties, **value}:
        inner, here = value.get(key, ABSENT), Place(place.files, place.file, (*place.path, key), value)
        if key in properties:
            yield from _key(properties[key], f"{kind}.{key}", here, inner)
        elif (free := _free(schema, key)) is not None:
            yield from _key(free, f"{kind}.*", here, inner)


def _free(schema: Mapping[str, Any], key: str) -> Any:
    """The schema of keys that the file itself names."""
    patterns = schema.get("patternProperties", {})
    return next(iter(patterns.values()), None) if patterns else schema.get("additionalProperties")


def _key(schema: Mapping[str, Any], name: str, here: Place, value: Any) -> Iterator[Mutant]:
    rules = RULES.get(name)
    if rules is None:
        raise KeyWithoutRule(
            f"{here.file}: {'.'.join(map(str, here.path))}: no rule for {name}: say in tests/mutants.py how to change it"
        )
    for rule in rules if isinstance(rules, tuple) else (rules,):
        if isinstance(rule, NotPinned):
            continue
        if rule is DOWN:
            yield from _walk(schema, name, here, value) if value is not ABSENT else ()
            continue
        for new in rule(value, here):
            if isinstance(new, Instead):
                at = here.path[:-1] if new.around else here.path
                yield Mutant(here.file, here.path, new.says, new.new, at)
            elif new != value or isinstance(new, bool) != isinstance(value, bool):
                yield Mutant(here.file, here.path, f"{_short(value)} → {_short(new)}", new, here.path)


def _changed(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    step, *rest = path
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    if rest:
        copy[step] = _changed(value[step], tuple(rest), new)
    elif new is ABSENT:
        del copy[step]
    else:
        copy[step] = new
    return copy


def _short(value: Any) -> str:
    return " ".join(str(value).split())[:70]


# ── how values are changed ──────────────────────────────────────────────────────────────────────────────────────────
Rule = Callable[[Any, Place], Iterable[Any]]


def DOWN(value: Any, place: Place) -> Iterable[Any]:  # a rule like the others, but never called
    return ()


def number(value: Any, place: Place) -> Iterator[Any]:
    """One step of its last digit up and down."""
    if value is not ABSENT:
        step = Decimal(1).scaleb(int(Decimal(value).as_tuple().exponent)) if isinstance(value, Decimal) else 1
        yield from (value + step, value - step)


def optional_number(added: int) -> Rule:
    """A number that may be missing: without it, or with one where there is none."""

    def change(value: Any, place: Place) -> Iterator[Any]:
        yield from [added] if value is ABSENT else [*number(value, place), ABSENT]

    return change


def flag(value: Any, place: Place) -> list[Any]:
    return [True] if value is ABSENT else [not value]


def set_or_not(value: Any, place: Place) -> list[Any]:
    """A key that is true where it stands."""
    return [True] if value is ABSENT else [ABSENT]


def one_of(*words: Any) -> Rule:
    """A word of a closed list, or, with ABSENT in the list, none: every other one."""
    return lambda value, place: [word for word in words if word != value]


def _name(entry: Any) -> Any:
    return entry.get("id", entry) if isinstance(entry, dict) else entry


def entries(value: Any, place: Place) -> list[Any]:
    """Each entry taken out."""
    if value is ABSENT:
        return []
    gone = [(value[n], [*value[:n], *value[n + 1 :]]) for n in range(len(value))]
    return [Instead(f"without {_short(_name(one))}", rest, around=False) for one, rest in gone]


def ordered_entries(value: Any, place: Place) -> list[Any]:
    """Each entry taken out, and each two neighbours changed over."""
    if value is ABSENT:
        return []
    vague = place.table.get("vague")  # an answer that never meets a precise one, but as the worst of all
    swapped = [
        Instead(f"{value[n + 1]} before {value[n]}", [*value[:n], value[n + 1], value[n], *value[n + 2 :]], around=False)
        for n in range(len(value) - 1)
        if not (n and vague in value[n : n + 2])
    ]
    return [*entries(value, place), *swapped]


def removed(value: Any, place: Place) -> list[Any]:
    return [] if value is ABSENT else [ABSENT]


def other_word(value: Any, place: Place) -> list[Any]:
    return [] if value is ABSENT else [f"{value}-other"]


WORDING = NotPinned("a sentence or a title: read by people, weighed by no verdict; the golden cards of fhir_fixtures hold it")
SOURCE = NotPinned("a citation: tests/test_knowledge.py and the loader hold that it resolves, the golden cards what is shown")


def _kind(value: Any, place: Place) -> list[str]:
    """A kind of another family; quantity and integer are read alike."""
    return [{"quantity": "boolean", "integer": "boolean", "boolean": "code", "code": "boolean", "codes": "code",
             "presence": "boolean", "person": "code"}[value]]  # fmt: skip


def _factors(value: Any, place: Place) -> Iterator[Any]:
    """Each unit taken out, each factor one step off; a factor 1 also ten times too large."""
    for unit, factor in ({} if value is ABSENT else value).items():
        yield {name: other for name, other in value.items() if name != unit}
        exact = Decimal(factor)
        step = Decimal(1).scaleb(int(exact.as_tuple().exponent))
        yield from ({**value, unit: str(exact + off)} for off in (step, -step) if exact + off > 0)


def _bounds(value: Any, place: Place) -> Iterator[Any]:
    if value is not ABSENT and place.table["kind"] != "person":  # a person's age is calculated, never out of range
        low, high = value
        yield from ([other, high] for other in number(low, place))
        yield from ([low, other] for other in number(high, place))
        yield ABSENT


def _options(value: Any, place: Place) -> list[Any]:
    """Without a code of our own no answer is read by its name, and nobody is asked for one."""
    return entries(value, place) if "assessment" in place.table else []


def _adverse(value: Any, place: Place) -> list[Any]:
    if value is ABSENT:
        return [[]] if "window_days" in place.table and "adverse_above" not in place.table else []  # a denial ages otherwise
    return [*ordered_entries(value, place), ABSENT]


def _silence(value: Any, place: Place) -> list[str]:
    """Cautions and techniques take silence as not met whatever stands here (CLINICAL section 5); what passes over an
    unknown passes over silence; and a calculation that never comes out silent leaves nothing to pass over."""
    parts = (*place.table.get("any_of", ()), *place.table.get("all_of", ()), place.table)
    facts = {part["fact"] for part in parts if "fact" in part}
    if place.path[0] in {"caution", "technique"} or place.table.get("if_unknown") == "not-met":
        return []
    if facts <= place.files["derived.toml"].keys() - CAN_BE_SILENT or "always" in place.table:
        return []
    return ["unknown"] if value == "not-met" else ["not-met"]


def _if_unknown(value: Any, place: Place) -> list[str]:
    if place.path[0] in {"caution", "technique"}:
        return []
    return ["unknown"] if value == "not-met" else ["not-met"]


CAN_BE_SILENT = frozenset({"transplanted", "extent", "removable"})
"""The calculations of derived/ that may come out silent; the others answer yes, no or unknown (held by test_pinning)."""

HOW = {"at_most": "below", "below": "at_most", "at_least": "above", "above": "at_least"}


def _limit(how: str) -> Rule:
    """A limit: one step off, and the neighbouring comparison."""

    def change(value: Any, place: Place) -> Iterator[Any]:
        if value is not ABSENT:
            yield from number(value, place)
            table = {HOW.get(key, key) if key == how else key: part for key, part in place.table.items()}
            yield Instead(f"{how} {value} → {HOW[how]} {value}", table)

    return change


def _answers(place: Place) -> list[str]:
    options: list[str] = place.files["facts.toml"]["fact"].get(place.table.get("fact"), {}).get("options", [])
    return options


def _is(value: Any, place: Place) -> Iterator[Any]:
    """Another answer; another answer too."""
    if isinstance(value, bool):
        yield not value
    elif value is not ABSENT:
        rest = {key: part for key, part in place.table.items() if key != "is"}
        others = [option for option in _answers(place) if option != value]
        yield from others or [f"{value}-other"]
        yield from (Instead(f"{value} → {value} or {other}", {**rest, "one_of": [value, other]}) for other in others)


def _one_of(value: Any, place: Place) -> Iterator[Any]:
    if value is not ABSENT:
        yield from entries(value, place)
        more = (option for option in _answers(place) if option not in value)
        yield from (Instead(f"with {option}", [*value, option], around=False) for option in more)


def _other_fact(value: Any, place: Place) -> list[str]:
    """The next fact of its file."""
    if value is ABSENT:
        return []
    facts = place.files["facts.toml"]["fact"]
    names = list(facts if value in facts else place.files["derived.toml"])
    return [names[(names.index(value) + 1) % len(names)]]


def _together(how: str) -> Rule:
    other = {"any_of": "all_of", "all_of": "any_of"}[how]

    def change(value: Any, place: Place) -> Iterator[Any]:
        if value is not ABSENT:
            yield from entries(value, place)
            yield Instead(f"{how} → {other}", {other if key == how else key: part for key, part in place.table.items()})

    return change


def _codes(value: Any, place: Place) -> Iterator[Instead]:
    """Every code taken out, and under every other `use` of its concept. ICD-10 codes inside a shorter one that says the
    same cannot be missed by anybody, so those are not taken out."""
    uses: dict[str, dict[str, None]] = {}
    rows: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for table in value:
        uses.setdefault(table["concept"], {"decides": None, "context": None})[table["use"]] = None
        for code in table["codes"]:
            rows.setdefault((table["system"], code.replace(".", "")), set()).add((table["concept"], table["use"]))
    for number_, table in enumerate(value):
        if not _is_read(table["concept"], table["use"], place.files):
            continue
        for code, display in table["codes"].items():
            fewer = {**table, "codes": {other: d for other, d in table["codes"].items() if other != code}}
            rest = [*value[:number_], fewer, *value[number_ + 1 :]]
            words = f"{table['concept']} {table['system']} {code}"
            if not _inside(table, code, rows) and code not in PLAIN_METASTASIS:
                yield Instead(f"{words}: taken out", rest, around=False)
            for use in uses[table["concept"]]:
                if use != table["use"] and not _alike(table["concept"], code, {use, table["use"]}):
                    moved = {**table, "use": use, "codes": {code: display}}
                    yield Instead(f"{words}: {table['use']} → {use}", [*rest, moved], around=False)


def _inside(table: Mapping[str, Any], code: str, rows: Mapping[tuple[str, str], set[tuple[str, str]]]) -> bool:
    bare = code.replace(".", "")
    shorter = (rows.get((table["system"], bare[:length])) for length in range(len(bare) - 1, 2, -1))
    return table["system"] in PREFIX_SYSTEMS and next(filter(None, shorter), None) == rows[table["system"], bare]


def _alike(concept: str, code: str, uses: set[str]) -> bool:
    """Whether two uses say the same of a code. A neuroendocrine code whose differentiation is not known says it as any other
    does; a morphology has no site; a portal vein thrombosis asks for its extent; a plain metastasis is no more by either."""
    if uses == {"decides", "decides NEN; differentiation unknown"} or (concept.startswith("morph.") and uses <= NO_SITE):
        return True
    if concept.endswith(".portal_vein_thrombosis"):
        return "context" not in uses
    return code in PLAIN_METASTASIS and uses == {"exclude", "context"}


NO_SITE = {
    "decides",
    "decides NEN; differentiation unknown",
    "decides NEN; liver or extrahepatic only with a body site",
}
IN_CODE = "".join(
    (resources.files("cds_service.fhir") / f"{name}.py").read_text("utf-8") for name in ("gate", "reading", "tumour_sizes")
)
NAMED_IN_CODE = frozenset(re.findall(r'"([^"\n]+)"', IN_CODE))
FAMILIES_IN_CODE = ("site.liver_segment", "cond.extrahepatic_mets", "med.", "proc.")
"""Concepts that are looked at by how they begin. All drugs and procedures: a known one is a recognised entry (CLINICAL
section 5, prior treatment)."""


def _is_read(concept: str, use: str, files: Mapping[str, Any]) -> bool:
    """Whether a fact, or a line of the reading of charts, names the concept, or what its codes are for."""
    facts = {name for table in files["facts.toml"]["fact"].values() for name in table.get("concepts", ())}
    by_use = use in NAMED_IN_CODE - {"decides"}
    return concept in facts | NAMED_IN_CODE or by_use or concept.startswith(FAMILIES_IN_CODE)


def _coded(value: Any, place: Place) -> Iterator[Any]:
    """Each code taken out, but for an ICD-10 code inside a shorter one of the same answer."""
    rows = {
        (system, code.replace(".", "")): answer
        for answer, by_system in place.files[place.file][place.path[0]].items()
        for system, codes in by_system.items()
        for code in codes
    }
    system, answer = place.path[2], place.path[1]
    for fewer in entries(value, place):
        gone = next(code for code in value if code not in fewer.new).replace(".", "")
        shorter = (rows.get((str(system), gone[:length])) for length in range(len(gone) - 1, 2, -1))
        if system in PREFIX_SYSTEMS and next(filter(None, shorter), None) == answer:
            continue
        yield fewer


def _scores(place: Place, value: Any) -> Iterator[Mutant]:
    """Every number of the calculations; `statements`, `citation` and `local` are words about them."""
    for key, part in value.items():
        here = Place(place.files, place.file, (*place.path, key), value)
        if isinstance(part, dict):
            yield from _scores(here, part)
        elif isinstance(part, (int, Decimal)) and not isinstance(part, bool):
            for new in number(part, here):
                yield Mutant(here.file, here.path, f"{part} → {new}", new, here.path)
        elif key not in {"statements", "citation", "local"}:
            raise KeyWithoutRule(f"scores.toml: {'.'.join(map(str, here.path))}: neither a number nor words about one")


def _g3(value: Any, place: Place) -> list[str]:
    """Where nothing is recommended there is nothing to hold down to "consider"."""
    recommended = any(indication["strength"] == "recommended" for indication in place.table["indication"])
    words = ["not-indicated", "at-most-consider", "open"] if recommended else ["not-indicated", "open"]
    return [word for word in words if word != value]


def _reached(files: Mapping[str, Any], roles: Iterable[str]) -> set[str]:
    """The facts, through every calculation, that criteria of these roles look at."""
    open_ones = [
        part["fact"]
        for role in roles
        for table in files["criteria.toml"][role].values()
        for part in (*table.get("any_of", ()), *table.get("all_of", ()), table)
        if "fact" in part
    ]
    found: set[str] = set()
    while open_ones:
        if (name := open_ones.pop()) not in found:
            found.add(name)
            open_ones += files["derived.toml"].get(name, {}).get("reads", ())
    return found


def _ask(value: Any, place: Place) -> list[str]:
    """Who is asked matters where the answer may decide; behind a caution only whether anybody can be asked."""
    name = place.path[1]
    if name in _reached(place.files, ("gate", "contraindication", "exclusion", "requirement")):
        return [word for word in ASK if word != value]
    return ["board" if value == "never" else "never"] if name in _reached(place.files, ("caution",)) else []


def _removed_order(value: Any, place: Place) -> list[Any]:
    """A test that another fact orders as well is ordered all the same."""
    orders = [table.get("order") for table in place.files["facts.toml"]["fact"].values()]
    return removed(value, place) if orders.count(value) == 1 else []


ASK = ("laboratory", "imaging", "pathology", "board", "never")
EDITION, STRENGTH = ("2010", "update"), ("recommended", "consider")
DERIVED = NotPinned("what the criterion needs to be found by; the loader refuses another")
SEARCH = NotPinned("an answer from which the search for deciding facts starts; nothing is judged by it")

RULES: Mapping[str, Any] = {
    "facts.toml.missing_order": ordered_entries,
    "facts.toml.assessment_system": other_word,
    "facts.toml.imaging_window_in_g3_and_nec_days": number,
    "facts.toml.laboratory_window_with_order_days": number,
    "facts.toml.fact": DOWN,
    "facts.toml.fact.*": DOWN,
    "fact.says": WORDING,
    "fact.kind": _kind,
    "fact.assessment": entries,
    "fact.concepts": entries,
    "fact.uses": (entries, removed),
    "fact.from": one_of("Condition", "Procedure", "Medication"),
    "fact.active": set_or_not,
    "fact.every_entry_recognised": set_or_not,
    "fact.names": entries,
    "fact.unit": other_word,
    "fact.units": _factors,
    "fact.options": _options,
    "fact.range": _bounds,
    "fact.window_days": optional_number(366),
    "fact.imaging": flag,
    "fact.adverse": _adverse,
    "fact.adverse_above": (number, removed),
    "fact.choose": lambda value, place: ["latest" if value == "highest" else "highest"],
    "fact.conflict": one_of("highest", ABSENT),
    "fact.vague": removed,
    "fact.trend": removed,
    "fact.usual": SEARCH,
    "fact.order": (other_word, _removed_order),
    "fact.ask": _ask,
    "derived.toml.*": DOWN,
    "derived.toml.*.says": WORDING,
    "derived.toml.*.reads": entries,
    "derived.toml.*.settled_by_silence": entries,
    "criteria.toml.*": DOWN,
    "criteria.toml.*.*": DOWN,
    "criterion.says": WORDING,
    "criterion.then": WORDING,
    "criterion.as": removed,
    "criterion.fact": _other_fact,
    "criterion.is": _is,
    "criterion.one_of": _one_of,
    **{f"{table}.{how}": _limit(how) for table in ("criterion", "comparison") for how in HOW},
    "criterion.any_of": (_together("any_of"), DOWN),
    "criterion.all_of": (_together("all_of"), DOWN),
    "criterion.always": NotPinned("a standing remark: true or not there at all, as the lists of cautions are pinned"),
    "criterion.if_silent": _silence,
    "criterion.if_unknown": _if_unknown,
    "criterion.statements": SOURCE,
    "criterion.local": WORDING,
    "comparison.fact": _other_fact,
    "comparison.is": _is,
    "comparison.one_of": _one_of,
    "modality.id": other_word,
    "modality.title": WORDING,
    "modality.short": WORDING,
    "modality.liver_directed": flag,
    "modality.ordered_by": entries,
    "modality.nec": one_of("not-indicated", "at-most-consider", "open"),
    "modality.g3": _g3,
    "modality.downgraded_by": entries,
    "modality.contraindicated_by": entries,
    "modality.contraindications_say": WORDING,
    "modality.excluded_by": (entries, DOWN),
    "modality.excluded_by.id": NotPinned("the entry itself is taken out"),
    "modality.excluded_by.only": entries,
    "modality.excluded_say": WORDING,
    "modality.cautions": entries,
    "modality.beside": SOURCE,
    "modality.support": SOURCE,
    "modality.about": SOURCE,
    "modality.indication": (entries, DOWN),
    "modality.indication.id": other_word,
    "modality.indication.edition": one_of(*EDITION),
    "modality.indication.strength": one_of(*STRENGTH),
    "modality.indication.says": WORDING,
    "modality.indication.requires": entries,
    "modality.indication.update_requires": entries,
    "modality.indication.when_closed": entries,
    "modality.indication.local": WORDING,
    "modality.indication.statements": SOURCE,
    "modality.technique": (entries, DOWN),
    "modality.technique.says": WORDING,
    "modality.technique.also": WORDING,
    "modality.technique.when": entries,
    "modality.technique.for": entries,
    "modality.technique.stopped_by": entries,
    "modality.technique.cautions": entries,
    "modality.technique.ordered_by": entries,
    "modality.technique.critical": entries,
    "modality.technique.statements": SOURCE,
    "terminology.toml.systems": DOWN,
    "terminology.toml.systems.*": entries,
    "terminology.toml.value_set": _codes,
    "coded_values.toml.portal_drained": DOWN,
    "coded_values.toml.portal_drained.*": entries,
    "coded_values.toml.*": DOWN,
    "coded_values.toml.*.*": DOWN,
    "coded_values.toml.*.*.*": _coded,
    "board.toml.known": ordered_entries,
    "board.toml.question": (entries, DOWN),
    "board.toml.question.says": WORDING,
    "board.toml.question.facts": entries,
    "staging.toml.words": WORDING,
    "staging.toml.*": DOWN,
    "staging.toml.*.title": WORDING,
    "staging.toml.*.statements": SOURCE,
    "staging.toml.*.fact": _other_fact,
    "staging.toml.*.well_differentiated_sites": entries,
    "staging.toml.*.band": (entries, DOWN),
    "staging.toml.*.band.up_to": number,
    "staging.toml.*.band.below": number,
    "staging.toml.*.band.is": other_word,
    "publications.toml.*": SOURCE,
    "statements.toml.*": SOURCE,
}
"""Kind of table and key → how its value is changed."""
