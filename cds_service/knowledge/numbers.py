"""Fill the placeholders of sentences with numbers of the data, so that no sentence can contradict the number it states.

Placeholders: {limit}, {limit2} of the criterion itself, {limit:role.name} of another; {days}, {days:fact} a window;
{remnant.normal} a number of scores.toml; {band:over-5.above} a band of the stage; {at_least}, {at_most} a site's bounds;
{S030.hazard} a figure of a statement; {label:gaba-2017} the label of a publication.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import msgspec

from cds_service.clinical_picture import format_decimal
from cds_service.knowledge.bound_texts import BOUND, WORDS
from cds_service.knowledge.modality import Criterion, Exclusion, Modality
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.overlay import Bounds
from cds_service.knowledge.statement import Statement

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Tables = Mapping[str, Any]
Fill = Callable[..., str]
_Part = TypeVar("_Part")


def fill_sentences(knowledge: Knowledge) -> Knowledge:
    """Return the knowledge with the placeholders of its sentences filled; its `unfilled` keeps the sentences of the files."""
    known = _places(knowledge)

    def fill(text: str, **own: object) -> str:
        """Leave unknown placeholders as they are; the loader has rejected them in the shipped files."""
        return PLACEHOLDER.sub(lambda place: str(own.get(place[1], known.get(place[1], place[0]))), text)

    def filled(file: str, part: _Part, **own: object) -> _Part:
        return _with_texts(part, file, lambda text: fill(text, **own))

    criteria = {key: filled("criteria.toml", criterion, **_own(criterion)) for key, criterion in knowledge.criteria.items()}
    return replace(
        knowledge,
        facts={name: filled("facts.toml", fact, days=fact.window_days or "") for name, fact in knowledge.facts.items()},
        derived={name: filled("derived.toml", part) for name, part in knowledge.derived.items()},
        criteria=criteria,
        modalities=tuple(_modality(modality, criteria, filled) for modality in knowledge.modalities),
        words={name: fill(words) for name, words in knowledge.words.items()},
        staging={name: filled("staging.toml", part) for name, part in knowledge.staging.items()},
        board_questions=tuple(filled("board.toml", question) for question in knowledge.board_questions),
        outcomes=tuple(
            replace(filled("outcomes.toml", row), table=filled("outcomes.toml", row.table)) for row in knowledge.outcomes
        ),
        conflicts=tuple(filled("conflicts.toml", conflict) for conflict in knowledge.conflicts),
        review=replace(knowledge.review, open=tuple(filled("review.toml", check) for check in knowledge.review.open)),
        stances=tuple(filled("stances.toml", row) for row in knowledge.stances),
        orders=replace(
            knowledge.orders,
            kinds=tuple(filled("orders.toml", kind) for kind in knowledge.orders.kinds),
            tests=tuple(filled("orders.toml", test) for test in knowledge.orders.tests),
        ),
        statements={name: _statement(statement, fill) for name, statement in knowledge.statements.items()},
        window_bounds={name: _bounds(bounds, filled) for name, bounds in knowledge.window_bounds.items()},
        limit_bounds={name: _bounds(bounds, filled) for name, bounds in knowledge.limit_bounds.items()},
        unfilled=knowledge,
    )


def _with_texts(part: _Part, file: str, fill: Callable[[str], str]) -> _Part:
    """Return the part with its bound texts filled. Its attributes must have the names of the keys of the file."""
    keys = BOUND[file] | ({"words"} if file in WORDS else set())
    texts = {key: _filled(getattr(part, key), fill) for key in keys if hasattr(part, key)}
    whole: Any = part
    new: _Part = whole._replace(**texts) if isinstance(part, tuple) else replace(whole, **texts)
    return new


def _filled(text: object, fill: Callable[[str], str]) -> object:
    """Fill a text or each of several; return anything else unchanged, such as the enum in `face` of a shown statement."""
    if isinstance(text, tuple):
        return tuple(fill(one) for one in text)
    if isinstance(text, Mapping):
        return {name: fill(words) for name, words in text.items()}
    return fill(text) if isinstance(text, str) and not isinstance(text, Enum) else text


def _own(criterion: Criterion) -> dict[str, object]:
    limits = [test.limit for test in criterion.tests if isinstance(test.limit, Decimal)]
    return {f"limit{n or ''}": limit for n, limit in zip(("", 2, 3), limits, strict=False)}


def _modality(modality: Modality, criteria: Mapping[str, Criterion], filled: Callable[[str, Any], Any]) -> Modality:
    def filled_criteria(parts: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        return tuple(criteria[part.key] for part in parts)

    def fill_part(part: _Part) -> _Part:
        found: _Part = filled("modalities", part)
        return found

    return replace(
        fill_part(modality),
        contraindications=filled_criteria(modality.contraindications),
        exclusions=tuple(Exclusion(criteria[part.key], only) for part, only in modality.exclusions),
        cautions=filled_criteria(modality.cautions),
        shown=tuple(fill_part(part) for part in modality.shown),
        lines=tuple(fill_part(line) for line in modality.lines),
        indications=tuple(
            replace(fill_part(i), requires=filled_criteria(i.requires), update_requires=filled_criteria(i.update_requires))
            for i in modality.indications
        ),
        techniques=tuple(
            replace(
                fill_part(t),
                when=filled_criteria(t.when),
                stopped_by=filled_criteria(t.stopped_by),
                cautions=filled_criteria(t.cautions),
            )
            for t in modality.techniques
        ),
    )


def _statement(statement: Statement, fill: Fill) -> Statement:
    population = statement.population
    return replace(statement, population=population and replace(population, says=fill(population.says)))


def _bounds(bounds: Bounds, filled: Callable[..., Bounds]) -> Bounds:
    return filled("local.toml", bounds, at_least=bounds.at_least, at_most=bounds.at_most)


def _places(knowledge: Knowledge) -> dict[str, str]:
    """Return placeholder → number, for the placeholders that any sentence of this knowledge may use."""
    known = dict(_leaves(msgspec.to_builtins(knowledge.scores)))
    known |= {f"days:{name}": str(fact.window_days) for name, fact in knowledge.facts.items() if fact.window_days}
    for key, criterion in knowledge.criteria.items():
        known |= {f"{place}:{key}": str(limit) for place, limit in _own(criterion).items()}
    for part in knowledge.staging.values():
        known |= dict(_band_places([(band.name, band.up_to, band.below) for band in part.bands]))
    for name, statement in knowledge.statements.items():
        known |= {f"{name}.{figure}": words for figure, words in statement.figures.items()}
    known |= {f"label:{name}": publication.label for name, publication in knowledge.publications.items()}
    for answer, words in ((True, "yes"), (False, "no")):
        sites = (site for site, drained in knowledge.portal_drained.items() if drained is answer)
        known[f"portal_drained:{words}"] = ", ".join(site.replace("-", " ") for site in sites)
    return known


def _band_places(bands: list[tuple[str, Decimal | None, Decimal | None]]) -> Iterator[tuple[str, str]]:
    """Yield placeholder and number of each limit: start (`above`; `first`, the next integer) and end (`up_to`, `below`)."""
    before: Decimal | None = None
    for name, up_to, below in bands:
        if before is not None:
            yield f"band:{name}.above", format_decimal(before)
            yield f"band:{name}.first", format_decimal(before + 1)
        if up_to is not None:
            yield f"band:{name}.up_to", format_decimal(up_to)
        if below is not None:
            yield f"band:{name}.below", format_decimal(below)
        before = up_to if up_to is not None else below


def placeholders(text: str) -> list[str]:
    """Return the names in braces of a text, without the braces."""
    return PLACEHOLDER.findall(text)


def known_placeholders(files: Mapping[str, Tables]) -> set[str]:
    """Return the placeholders that any sentence of the knowledge files may use."""
    known = {path for path, _ in _leaves(files["scores.toml"])} | {"portal_drained:yes", "portal_drained:no"}
    known |= {f"days:{name}" for name, fact in files["facts.toml"]["fact"].items() if "window_days" in fact}
    for role, tables in files["criteria.toml"].items():
        known |= {f"{place}:{role}.{name}" for name, table in tables.items() for place in own_places(table)}
    for part in files["staging.toml"].values():
        bands = [(b["is"], b.get("up_to"), b.get("below")) for b in part.get("band", ())]
        known |= {place for place, _ in _band_places(bands)}
    known |= {f"{name}.{figure}" for name, table in files["statements.toml"].items() for figure in table.get("figures", ())}
    return known | {f"label:{name}" for name in files["publications.toml"]}


NUMERIC = frozenset({"at_most", "at_least", "below", "above"})


def own_places(table: Tables) -> list[str]:
    """Return the placeholders that only the sentences of this criterion may use: its limits."""
    tests = [table, *table.get("all_of", ()), *table.get("any_of", ())]
    limits = sum(bool(test.keys() & NUMERIC) for test in tests)
    return [f"limit{n or ''}" for n in ("", 2, 3)[:limits]]


def _leaves(table: Tables, path: str = "") -> Iterator[tuple[str, str]]:
    for key, part in table.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{path}{key}.")
        elif isinstance(part, (int, str, Decimal)) and not isinstance(part, bool):
            yield f"{path}{key}", str(part)
