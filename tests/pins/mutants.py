"""Make every mutant of the TOML tables that the pinning has to catch (knowledge/test_pinning.py): one datum changed each.

A walk along knowledge/schema.json and the tables visits every key, and each key of each kind of table has a rule in rules.py
that says how to change its value. A key without a rule raises KeyWithoutRule, so that no new key stays unmutated. A rule is a
function value → other values (ABSENT: the key removed, or, given ABSENT, the key added), DOWN (a table to walk into) or a
`NotPinned` with the reason why no verdict depends on it.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Any

from cds_service.knowledge import MODALITIES
from cds_service.knowledge.drugs import COLUMNS, read_table
from tests.pins.change import ABSENT, DOWN, Files, Instead, NotPinned, Path, Place, number, short
from tests.pins.rules import RULES

FOLDER = resources.files("cds_service.knowledge")
SCHEMA = json.loads((FOLDER / "schema.json").read_text("utf-8"))
NAMES = (*(name for name in SCHEMA["$defs"] if name.endswith(".toml")), *(f"modalities/{name}.toml" for name in MODALITIES))


@dataclass(frozen=True)
class Mutant:
    """A change of one datum of one file."""

    file: str
    path: Path
    says: str
    new: Any
    at: Path
    """The path of what `new` replaces: the datum itself, or a table around it."""
    rule: str
    """Name of the rule in RULES that made it, with its index if a key has several."""

    def __str__(self) -> str:
        return f"{self.file}: {'.'.join(map(str, self.path))}: {self.says}"

    def of(self, files: Mapping[str, Any]) -> Files:
        """Return the files with this change; everything not on its path is shared with the original."""
        return {**files, self.file: _changed(files[self.file], self.at, self.new)}


class KeyWithoutRule(AssertionError):
    """A key of the schema without a rule in RULES."""


def read() -> Files:
    """Return the parsed TOML files and generated tables; tests/knowledge/test_drug_tables.py checks every row of the latter."""
    files: Files = {name: read_table(FOLDER.joinpath(name).read_text("utf-8")) for name in COLUMNS}
    for name in NAMES:
        files[name] = tomllib.loads(FOLDER.joinpath(*name.split("/")).read_text("utf-8"), parse_float=Decimal)
    return files


def mutants(files: Files) -> Iterator[Mutant]:
    for name in NAMES:
        kind = "modality" if name.startswith("modalities/") else name
        if name == "scores.toml":  # its types are closed by knowledge/scores.py; the schema leaves them to it
            yield from _scores(Place(files, name, (), files[name]), files[name])
        else:
            yield from _walk(SCHEMA["$defs"][kind], kind, Place(files, name, (), files[name]), files[name])


def sample(all_of_them: Sequence[Mutant], of_each: int) -> list[int]:
    """Return the numbers of up to `of_each` mutants of every rule in every file.

    Which ones is decided by a digest of their text: the same on every machine, and a new mutant displaces few of the others.
    """
    by_rule: dict[tuple[str, str], list[int]] = {}
    for place, mutant in sorted(enumerate(all_of_them), key=lambda pair: _digest(pair[1])):
        by_rule.setdefault((mutant.file, mutant.rule), []).append(place)
    return sorted(place for places in by_rule.values() for place in places[:of_each])


def _digest(mutant: Mutant) -> str:
    return hashlib.sha256(str(mutant).encode()).hexdigest()


def _walk(schema: Mapping[str, Any], kind: str, place: Place, value: Any) -> Iterator[Mutant]:
    """Yield the mutants of a table. `kind`: the name in RULES of the tables of this schema."""
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
    """Return the schema of keys that the file itself chooses."""
    patterns = schema.get("patternProperties", {})
    return next(iter(patterns.values()), None) if patterns else schema.get("additionalProperties")


def _key(schema: Mapping[str, Any], name: str, here: Place, value: Any) -> Iterator[Mutant]:
    rules = RULES.get(name)
    if rules is None:
        raise KeyWithoutRule(
            f"{here.file}: {'.'.join(map(str, here.path))}: no rule for {name}: say in tests/pins/rules.py how to change it"
        )
    for place, rule in enumerate(rules if isinstance(rules, tuple) else (rules,)):
        if isinstance(rule, NotPinned):
            continue
        if rule is DOWN:
            yield from _walk(schema, name, here, value) if value is not ABSENT else ()
            continue
        for new in rule(value, here):
            if isinstance(new, Instead):
                at = here.path[:-1] if new.around else here.path
                yield Mutant(here.file, here.path, new.says, new.new, at, f"{name} {place}")
            elif new != value or isinstance(new, bool) != isinstance(value, bool):
                yield Mutant(here.file, here.path, f"{short(value)} → {short(new)}", new, here.path, f"{name} {place}")


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


def _scores(place: Place, value: Any) -> Iterator[Mutant]:
    """Yield the mutants of every number of the calculations; `statements`, `citation` and `local` are about them."""
    for key, part in value.items():
        here = Place(place.files, place.file, (*place.path, key), value)
        if isinstance(part, dict):
            yield from _scores(here, part)
        elif isinstance(part, (int, Decimal)) and not isinstance(part, bool):
            for new in number(part, here):
                yield Mutant(here.file, here.path, f"{part} → {new}", new, here.path, "scores.toml")
        elif key not in {"statements", "citation", "local"}:
            raise KeyWithoutRule(f"scores.toml: {'.'.join(map(str, here.path))}: neither a number nor words about one")
