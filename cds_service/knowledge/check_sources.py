"""Check statements and publications (each exists where cited, and is used or has a reason), outcomes, conflicts, reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge import numbers
from cds_service.knowledge.sentences import figure_faults, number_faults, numerals
from cds_service.knowledge.shape import unknown_name
from cds_service.knowledge.vocabulary import Edition

Tables = Mapping[str, Any]

PLACES = ("face", "for", "unless", "when", "technique", "place")
"""The keys of a [[shown]] that say where on the card it appears."""


class Citation(NamedTuple):
    """A statement, and the path of the key that cites it."""

    where: str
    statement: str


def _cited(files: Mapping[str, Tables]) -> list[Citation]:
    """Return every citation of a statement."""
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
            yield unknown_name(where, statement, "a statement of statements.toml")
        elif not statements[statement].get("display", True):
            yield Fault(where, f"names {statement!r}, which may not be displayed: its figures are misprinted or withheld")
    for name, table in statements.items():
        for publication in table["publications"]:
            if publication not in publications:
                yield unknown_name(
                    f"statements.toml: {name}.publications", publication, "a key of publications.toml", publications
                )
        if not table["publications"] and not table.get("unsourced"):
            problem = "must name a publication, or the statement have `unsourced` with the reason"
            yield Fault(f"statements.toml: {name}.publications", problem)
    relied_on = {publication for table in statements.values() for publication in table["publications"]}
    for name in publications:
        if name not in relied_on:
            yield Fault(f"publications.toml: {name}", "is cited by no statement")


def unused_faults(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield unused statements without a reason. Call it only if every file was read: a missing file might use them."""
    places: dict[str, str] = {}
    for where, statement in _cited(files):
        places.setdefault(statement, where)
    for name, table in files["statements.toml"].items():
        where = f"statements.toml: {name}.not_used"
        if name not in places and "not_used" not in table:
            yield Fault(where, "is required with the reason, as nothing uses the statement")
        elif name in places and "not_used" in table:
            yield Fault(where, f"is not allowed, as {places[name]} uses the statement")


def _same_twice(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield papers that appear under two keys, and ids that indications of two modalities share."""
    for key in ("doi", "pmid", "pmcid", "reference"):
        seen: dict[Any, str] = {}
        for name, table in files["publications.toml"].items():
            if (value := table.get(key)) in seen:
                yield Fault(f"publications.toml: {name}.{key}", f"repeats {value!r}, which {seen[value]} has")
            elif value is not None:
                seen[value] = name
    places: dict[str, str] = {}
    for file in (name for name in files if name.startswith("modalities/")):
        for indication in files[file]["indication"]:
            if indication["id"] in places:
                yield Fault(f"{file}: indication.id", f"repeats {indication['id']!r}, which {places[indication['id']]} has")
            places[indication["id"]] = file


def _outcomes(files: Mapping[str, Tables]) -> Iterator[Fault]:
    statements = files["statements.toml"]
    modalities = {files[name]["id"] for name in files if name.startswith("modalities/")}
    for name, row in files["outcomes.toml"]["row"].items():
        where = f"outcomes.toml: row.{name}"
        if row["publication"] not in files["publications.toml"]:
            yield unknown_name(
                f"{where}.publication", row["publication"], "a key of publications.toml", files["publications.toml"]
            )
        for statement in (*row["statements"], *row.get("withheld", [])):
            if row["publication"] not in statements.get(statement, {}).get("publications", []):
                yield unknown_name(f"{where}.statements", statement, f"a statement that rests on {row['publication']}")
        for statement in row.get("withheld", []):
            if statements.get(statement, {}).get("display", True) or "defect" not in row:
                problem = "which must have display = false, and the row a `defect` that says why"
                yield Fault(f"{where}.withheld", f"names {statement!r}, {problem}")
        held = numerals(*(statements.get(s, {}).get("numbers", "") for s in (*row["statements"], *row.get("withheld", []))))
        if str(row["n"]) not in held and (row["statements"] or row.get("withheld")):
            yield Fault.wrong(f"{where}.n", str(row["n"]), "the number of patients that its statements give")
        if row["modalities"] and not row["statements"]:
            yield Fault(f"{where}.modalities", "must be empty, as no statement holds the figures of the row")
        for modality in row["modalities"]:
            if modality not in modalities:
                yield unknown_name(f"{where}.modalities", modality, "the id of a modality", modalities)
        for key in ("all", "tells_of"):
            for fact, values in row.get(key, {}).items():
                allowed = _answers(files, fact)
                for value in values:
                    if value not in allowed:
                        expected = f"one of {', '.join(sorted(allowed))}" if allowed else f"an answer, as {fact} has none"
                        yield unknown_name(f"{where}.{key}.{fact}", value, expected)


def _answers(files: Mapping[str, Tables], name: str) -> set[str]:
    """Return the answers that a fact or a part of the stage can have; empty if it has no named ones."""
    if bands := files["staging.toml"].get(name, {}).get("band"):
        return {band["is"] for band in bands}
    name = {"extent": "disease_extent"}.get(name, name)
    return set(files["facts.toml"]["fact"].get(name, {}).get("options", ()))


class NamedStatements(NamedTuple):
    """Statements that one key names, and the edition that they must have ("" for any)."""

    where: str
    statements: Iterable[str]
    edition: str


def _named(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield unknown statements of conflicts.toml and review.toml, and invalid dates."""
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
                yield unknown_name(where, statement, f"a statement of edition {edition}" if edition else "a statement")
    dates = [
        ("review.toml: drawn_up", review["drawn_up"]),
        *(("review.toml: open.due", part["due"]) for part in review["open"] if "due" in part),
    ]
    dates += [(f"statements.toml: {n}.checked", s["checked"]) for n, s in files["statements.toml"].items() if "checked" in s]
    for where, text in dates:
        try:
            date.fromisoformat(text)
        except ValueError:
            yield Fault.wrong(where, repr(text), "a day of the calendar as YYYY-MM-DD")


def _shown(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield [[shown]] rows with statements, indications, criteria or techniques that do not exist, or with a wrong place."""
    for file in (name for name in files if name.startswith("modalities/")):
        table = files[file]
        cited = {statement for where, statement in _cited({file: table, "criteria.toml": {}})}
        yield from _sentences_of_faces(files, file)
        ways = {technique["id"] for technique in table.get("technique", ()) if "id" in technique}
        indications = {indication["id"] for indication in table["indication"]}
        for part in table.get("shown", ()):
            where = f"{file}: shown.{part['statement']}"
            if part["statement"] not in cited:
                yield unknown_name(where, part["statement"], "a statement that this file cites")
            for name in (*part.get("for", ()), *part.get("unless", ())):
                if name not in indications:
                    yield unknown_name(where, name, f"one of {', '.join(sorted(indications))}")
            yield from _criteria_named(files, where, part.get("when", ()))
            if part.get("technique", next(iter(ways), "")) not in ways | {""}:
                yield unknown_name(f"{where}.technique", part["technique"], "the id of a technique of this file")
            if ("place" in part) != (part["face"] == "risk"):
                yield Fault(f"{where}.place", "is required for face = 'risk' and not allowed for any other face")


def _sentences_of_faces(files: Mapping[str, Tables], file: str) -> Iterator[Fault]:
    """Yield [[shown]] rows of a card face without a sentence, unless the row before has one for the same place and source."""
    sources, before = files["statements.toml"], None
    for part in files[file].get("shown", ()):
        where, says = f"{file}: shown.{part['statement']}.says", part.get("says", "")
        if part["face"] == "page":
            if says or "brief" in part:
                yield Fault(where, "and brief are not allowed with face = 'page': the evidence page shows the statement itself")
        elif not says:
            if before is None or not _one_place_and_source(sources, part, before):
                yield Fault(where, "is required, unless the row before has a sentence and the same place and source")
        elif part["face"] == "for" and not {"for", "when", "technique"} & part.keys():
            yield Fault(
                where, "needs `for`, `when` or `technique` beside it: the indication, criteria or technique it supports"
            )
        for key in ("says", "brief"):
            if part.get(key, "").endswith("."):
                yield Fault(f"{file}: shown.{part['statement']}.{key}", "must not end with a full stop, as the source follows")
        shortens = numbers.placeholders(says) or sources.get(part["statement"], {}).get("from_memory")
        if "brief" in part and (numbers.placeholders(part["brief"]) or not shortens):
            problem = "must be the sentence without its figures, or without the remark that it is from memory"
            yield Fault(where.replace(".says", ".brief"), problem)
        before = part


def _one_place_and_source(statements: Tables, part: Tables, before: Tables) -> bool:
    sources = [set(statements.get(row["statement"], {}).get("publications", ())) for row in (part, before)]
    return bool(sources[0] & sources[1]) and all(part.get(key) == before.get(key) for key in PLACES)


def _criteria_named(files: Mapping[str, Tables], where: str, names: Iterable[str]) -> Iterator[Fault]:
    for name in names:
        role, _, criterion = name.partition(".")
        if criterion not in files["criteria.toml"].get(role, {}):
            yield unknown_name(where, name, "role.name of a criterion of criteria.toml")


def _stances(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield stances that rest on anything but a RULE or LIMIT, and modalities without a last row for all other situations."""
    modalities = {files[name]["id"] for name in files if name.startswith("modalities/")}
    last: dict[str, Tables] = {}
    for row in files["stances.toml"]["stance"]:
        where = f"stances.toml: {row['modality']}, {row['situation'][:40]}"
        if row["modality"] not in modalities:
            yield unknown_name(where, row["modality"], "the id of a modality", modalities)
        last[row["modality"]] = row
        yield from _criteria_named(files, where, [*row.get("all", ()), *row.get("any", ()), *row.get("none", ())])
        for name in row["by"]:
            if files["statements.toml"].get(name, {}).get("kind") not in {"RULE", "LIMIT"}:
                yield unknown_name(f"{where}.by", name, "a RULE or LIMIT of the review")
        if ("says" in row) == (row["stance"] == "silent"):
            yield Fault(f"{where}.says", "is required, except with stance = 'silent', where it is not allowed")
        if not row["by"] and row["stance"] != "silent":
            yield Fault(f"{where}.by", "must name the statement that says so")
    for name in modalities:
        if last.get(name, {"all": []}).keys() & {"all", "any", "none"}:
            yield Fault(f"stances.toml: {name}", "must have a last row without all, any or none, for all other situations")


def _populations(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield used statements without a population, unused ones with one, and errors within a population."""
    facts = files["facts.toml"]["fact"]
    for name, table in files["statements.toml"].items():
        where, population = f"statements.toml: {name}.population", table.get("population")
        if (population is None) != ("not_used" in table):
            yield Fault(where, "is not allowed beside not_used" if population else "is required where the statement is used")
        if population is None:
            continue
        if "any" in population and len(population) > 1:
            yield Fault(where, "must have either `any` with the reason, or the other keys")
        if ("says" in population) == ("any" in population):
            yield Fault(f"{where}.says", "is required, except with `any`, where it is not allowed: the population in words")
        for key, fact in (("primary", "primary_site"), ("grade", "who_grade")):
            for value in population.get(key, ()):
                if value not in facts[fact]["options"]:
                    yield unknown_name(f"{where}.{key}", value, f"one of {', '.join(facts[fact]['options'])}")


CHECKS: tuple[Callable[[Mapping[str, Tables]], Iterator[Fault]], ...] = (
    _citations, _same_twice, _outcomes, _named, _shown, _stances, _populations, number_faults, figure_faults,
)  # fmt: skip
