"""Statements and publications: cited where they exist, used or refused with a reason; outcomes, conflicts, reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge import numbers
from cds_service.knowledge.sentences import figure_faults, number_faults, numerals
from cds_service.knowledge.vocabulary import Edition

Tables = Mapping[str, Any]

PLACES = ("face", "for", "unless", "when", "technique", "place")
"""The keys of a [[shown]] that say where it stands."""


class Citation(NamedTuple):
    """A place of the files that cites a statement."""

    where: str
    statement: str


def _cited(files: Mapping[str, Tables]) -> list[Citation]:
    """Every place that cites a statement."""
    cited: list[Citation] = []
    for role, tables in files["criteria.toml"].items():
        cited += [
            Citation(f"criteria.toml: {role}.{name}.statements", s)
            for name, table in tables.items()
            for s in table["statements"]
        ]
    for name, table in files.items():
        if name.startswith("modalities/"):
            cited += [Citation(f"{name}: {key}", s) for key in ("beside", "support", "about") for s in table[key]]
            cited += [
                Citation(f"{name}: indication {i['id']}.statements", s) for i in table["indication"] for s in i["statements"]
            ]
            cited += [Citation(f"{name}: technique", s) for t in table.get("technique", []) for s in t["statements"]]
        if name in {"scores.toml", "staging.toml"}:
            cited += [
                Citation(f"{name}: {key}.statements", s) for key, part in table.items() for s in part.get("statements", [])
            ]
        if name == "board.toml":
            cited += [Citation(f"{name}: question.statements", s) for q in table["question"] for s in q["statements"]]
        if name == "outcomes.toml":
            parts = [(f"{kind}.{key}", part) for kind in ("table", "row") for key, part in table[kind].items()]
            cited += [Citation(f"{name}: {key}.statements", s) for key, part in parts for s in part["statements"]]
    return cited


def _citations(files: Mapping[str, Tables]) -> Iterator[Fault]:
    statements, publications = files["statements.toml"], files["publications.toml"]
    for where, statement in _cited(files):
        if statement not in statements:
            yield Fault(where, repr(statement), "a statement of statements.toml")
        elif not statements[statement].get("display", True):
            yield Fault(where, repr(statement), "a statement that may be displayed: its figures are misprinted or withheld")
    for name, table in statements.items():
        for publication in table["publications"]:
            if publication not in publications:
                yield Fault(f"statements.toml: {name}.publications", repr(publication), "a key of publications.toml")
        if not table["publications"] and not table.get("unsourced"):
            where = f"statements.toml: {name}.publications"
            yield Fault(where, "no publication", "a publication, or `unsourced` with the reason")
    relied_on = {publication for table in statements.values() for publication in table["publications"]}
    for name in publications:
        if name not in relied_on:
            yield Fault(f"publications.toml: {name}", "used by no statement", "a publication that a statement cites")


def unused_faults(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Every statement is used, or says why not. Only for files that are all there: what is missing might use them."""
    places: dict[str, str] = {}
    for where, statement in _cited(files):
        places.setdefault(statement, where)
    for name, table in files["statements.toml"].items():
        where = f"statements.toml: {name}.not_used"
        if name not in places and "not_used" not in table:
            yield Fault(where, "nothing, and nothing uses it", "the reason why not, or a place that uses it")
        elif name in places and "not_used" in table:
            yield Fault(where, f"a reason, though {places[name]} uses it", "no reason")


def _same_twice(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """One paper under two keys, one id of an indication in two modalities."""
    for key in ("doi", "pmid", "pmcid", "reference"):
        seen: dict[Any, str] = {}
        for name, table in files["publications.toml"].items():
            if (value := table.get(key)) in seen:
                yield Fault(f"publications.toml: {name}.{key}", repr(value), f"one not used by {seen[value]}")
            elif value is not None:
                seen[value] = name
    places: dict[str, str] = {}
    for file in (name for name in files if name.startswith("modalities/")):
        for indication in files[file]["indication"]:
            if indication["id"] in places:
                yield Fault(f"{file}: indication.id", repr(indication["id"]), f"an id not used by {places[indication['id']]}")
            places[indication["id"]] = file


def _outcomes(files: Mapping[str, Tables]) -> Iterator[Fault]:
    statements = files["statements.toml"]
    modalities = {files[name]["id"] for name in files if name.startswith("modalities/")}
    for name, row in files["outcomes.toml"]["row"].items():
        where = f"outcomes.toml: row.{name}"
        if row["publication"] not in files["publications.toml"]:
            yield Fault(f"{where}.publication", repr(row["publication"]), "a key of publications.toml")
        for statement in (*row["statements"], *row.get("withheld", [])):
            if row["publication"] not in statements.get(statement, {}).get("publications", []):
                yield Fault(f"{where}.statements", repr(statement), f"a statement that rests on {row['publication']}")
        for statement in row.get("withheld", []):
            if statements.get(statement, {}).get("display", True) or "defect" not in row:
                yield Fault(f"{where}.withheld", repr(statement), "one that may not be displayed, and `defect` that says why")
        held = numerals(*(statements.get(s, {}).get("numbers", "") for s in (*row["statements"], *row.get("withheld", []))))
        if str(row["n"]) not in held and (row["statements"] or row.get("withheld")):
            yield Fault(f"{where}.n", str(row["n"]), "the number of patients that its statements give")
        if row["modalities"] and not row["statements"]:
            yield Fault(f"{where}.modalities", repr(row["modalities"]), "none: no statement holds its figures")
        for modality in row["modalities"]:
            if modality not in modalities:
                yield Fault(f"{where}.modalities", repr(modality), "the id of a modality")
        for key in ("all", "tells_of"):
            for fact, values in row.get(key, {}).items():
                allowed = _answers(files, fact)
                for value in values:
                    if value not in allowed:
                        told = (
                            f"one of {', '.join(sorted(allowed))}" if allowed else "of a fact or part of the stage with names"
                        )
                        yield Fault(f"{where}.{key}.{fact}", repr(value), told)


def _answers(files: Mapping[str, Tables], name: str) -> set[str]:
    """What a fact or a part of the stage can be."""
    if bands := files["staging.toml"].get(name, {}).get("band"):
        return {band["is"] for band in bands}
    name = {"extent": "disease_extent"}.get(name, name)
    return set(files["facts.toml"]["fact"].get(name, {}).get("options", ()))


class NamedStatements(NamedTuple):
    """Statements that a place of the files names, and the edition that they have to be of ("": any)."""

    where: str
    statements: Iterable[str]
    edition: str


def _named(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Statements that the conflicts and the open checks name, dates that are no dates."""
    conflicts, review = files["conflicts.toml"], files["review.toml"]
    named: list[NamedStatements] = []
    for part in conflicts["between"]:
        named += [NamedStatements(f"conflicts.toml: {part['topic']}.{key}", part[key], edition)
                  for key, edition in (("review", Edition.REVIEW), ("later", Edition.UPDATE))]  # fmt: skip
    named += [
        NamedStatements(f"conflicts.toml: {part['topic']}.statements", part["statements"], Edition.REVIEW)
        for part in conflicts["within"]
    ]
    named += [NamedStatements(f"review.toml: {part['says'][:40]}", part["statements"], "") for part in review["open"]]
    for where, statements, edition in named:
        for statement in statements:
            found = files["statements.toml"].get(statement)
            if found is None or (edition and found["edition"] != edition):
                yield Fault(where, repr(statement), f"a statement of edition {edition}" if edition else "a statement")
    dates = [
        ("review.toml: drawn_up", review["drawn_up"]),
        *(("review.toml: open.due", part["due"]) for part in review["open"] if "due" in part),
    ]
    dates += [(f"statements.toml: {n}.checked", s["checked"]) for n, s in files["statements.toml"].items() if "checked" in s]
    for where, text in dates:
        try:
            date.fromisoformat(text)
        except ValueError:
            yield Fault(where, repr(text), "a day of the calendar, as YYYY-MM-DD")


def _shown(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """What a modality says of its statements: each one it cites, with what is not met nowhere."""
    for file in (name for name in files if name.startswith("modalities/")):
        table = files[file]
        cited = {statement for where, statement in _cited({file: table, "criteria.toml": {}})}
        yield from _sentences_of_faces(files, file)
        ways = {technique["id"] for technique in table.get("technique", ()) if "id" in technique}
        indications = {indication["id"] for indication in table["indication"]}
        for part in table.get("shown", ()):
            where = f"{file}: shown.{part['statement']}"
            if part["statement"] not in cited:
                yield Fault(where, repr(part["statement"]), "a statement that this file cites")
            for name in (*part.get("for", ()), *part.get("unless", ())):
                if name not in indications:
                    yield Fault(where, repr(name), f"one of {', '.join(sorted(indications))}")
            yield from _criteria_named(files, where, part.get("when", ()))
            if part.get("technique", next(iter(ways), "")) not in ways | {""}:
                yield Fault(f"{where}.technique", repr(part["technique"]), "the id of one of its techniques")
            if ("place" in part) != (part["face"] == "risk"):
                yield Fault(f"{where}.place", repr(part.get("place")), "a place for a risk, and for nothing else")


def _sentences_of_faces(files: Mapping[str, Tables], file: str) -> Iterator[Fault]:
    """What stands on a face says something, or shares the sentence of the row before it: same place, same source."""
    sources, before = files["statements.toml"], None
    for part in files[file].get("shown", ()):
        where, says = f"{file}: shown.{part['statement']}.says", part.get("says", "")
        if part["face"] == "page":
            if says or "brief" in part:
                yield Fault(where, repr(says), "nothing: the evidence page shows the statement itself")
        elif not says:
            if before is None or not _one_place_and_source(sources, part, before):
                yield Fault(where, "nothing", "a sentence, or a row before it of the same place and source that has one")
        elif part["face"] == "for" and not {"for", "when", "technique"} & part.keys():
            yield Fault(where, repr(says), "the indication, the criteria or the technique that it speaks for")
        for key in ("says", "brief"):
            if part.get(key, "").endswith("."):
                yield Fault(f"{file}: shown.{part['statement']}.{key}", repr(part[key]), "no full stop: the source follows")
        shortens = numbers.placeholders(says) or sources.get(part["statement"], {}).get("from_memory")
        if "brief" in part and (numbers.placeholders(part["brief"]) or not shortens):
            allowed = "the sentence without the figures that it has, or that it is from memory"
            yield Fault(where.replace(".says", ".brief"), repr(part["brief"]), allowed)
        before = part


def _one_place_and_source(statements: Tables, part: Tables, before: Tables) -> bool:
    sources = [set(statements.get(row["statement"], {}).get("publications", ())) for row in (part, before)]
    return bool(sources[0] & sources[1]) and all(part.get(key) == before.get(key) for key in PLACES)


def _criteria_named(files: Mapping[str, Tables], where: str, names: Iterable[str]) -> Iterator[Fault]:
    for name in names:
        role, _, criterion = name.partition(".")
        if criterion not in files["criteria.toml"].get(role, {}):
            yield Fault(where, repr(name), "role and name of a criterion of criteria.toml")


def _stances(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Only a rule or a limit of the review makes a stance; the last row of a modality holds for the rest."""
    modalities = {files[name]["id"] for name in files if name.startswith("modalities/")}
    last: dict[str, Tables] = {}
    for row in files["stances.toml"]["stance"]:
        where = f"stances.toml: {row['modality']}, {row['situation'][:40]}"
        if row["modality"] not in modalities:
            yield Fault(where, repr(row["modality"]), "the id of a modality")
        last[row["modality"]] = row
        yield from _criteria_named(files, where, [*row.get("all", ()), *row.get("any", ()), *row.get("none", ())])
        for name in row["by"]:
            if files["statements.toml"].get(name, {}).get("kind") not in {"RULE", "LIMIT"}:
                yield Fault(f"{where}.by", repr(name), "a RULE or LIMIT of the review")
        if ("says" in row) == (row["stance"] == "silent"):
            yield Fault(f"{where}.says", repr(row.get("says")), "a sentence for a stance, and none where the review is silent")
        if not row["by"] and row["stance"] != "silent":
            yield Fault(f"{where}.by", "none", "the statement that says so")
    for name in modalities:
        if last.get(name, {"all": []}).keys() & {"all", "any", "none"}:
            yield Fault(f"stances.toml: {name}", "no last row without a condition", "one for all other situations")


def _populations(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Whom a statement speaks of: on each that is used, and only so."""
    facts = files["facts.toml"]["fact"]
    for name, table in files["statements.toml"].items():
        where, population = f"statements.toml: {name}.population", table.get("population")
        if (population is None) != ("not_used" in table):
            yield Fault(where, "one" if population else "none", "one where the statement is used, none elsewhere")
        if population is None:
            continue
        if "any" in population and len(population) > 1:
            yield Fault(where, "any beside a part", "the parts, or `any` with the reason")
        if ("says" in population) == ("any" in population):
            yield Fault(f"{where}.says", repr(population.get("says")), "whom it speaks of in words, or `any` with the reason")
        for key, fact in (("primary", "primary_site"), ("grade", "who_grade")):
            for value in population.get(key, ()):
                if value not in facts[fact]["options"]:
                    yield Fault(f"{where}.{key}", repr(value), f"one of {', '.join(facts[fact]['options'])}")


CHECKS: tuple[Callable[[Mapping[str, Tables]], Iterator[Fault]], ...] = (
    _citations, _same_twice, _outcomes, _named, _shown, _stances, _populations, number_faults, figure_faults,
)  # fmt: skip
