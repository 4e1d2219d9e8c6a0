"""Numbers that a sentence names by their place, so that no sentence can contradict the number it states.

The places: {limit}, {limit2} of the criterion itself, {limit:role.name} of another; {days}, {days:fact} a window;
{remnant.normal} a number of scores.toml; {band:over-5.above} a band of the stage; {at_least}, {at_most} a site's bounds;
{S030.hazard} a figure of a statement; {label:gaba-2017} what a publication is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.clinical_picture import format_decimal
from cds_service.knowledge.evidence import ReviewPlan
from cds_service.knowledge.model import Criterion, Exclusion, Knowledge, Modality
from cds_service.knowledge.overlay import Bounds

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Tables = Mapping[str, Any]
Fill = Callable[..., str]


def fill_sentences(knowledge: Knowledge) -> Knowledge:
    """The knowledge with its numbers in its sentences; `unfilled` keeps the sentences as they stand in the files."""
    known = _places(knowledge)

    def fill(text: str, **own: object) -> str:
        """A place that nobody knows stays as it is: the loader has refused it in the files that ship."""
        return PLACEHOLDER.sub(lambda place: str(own.get(place[1], known.get(place[1], place[0]))), text)

    criteria = {
        key: replace(c, says=fill(c.says, **_own(c)), then=fill(c.then, **_own(c))) for key, c in knowledge.criteria.items()
    }
    return replace(
        knowledge,
        facts={
            name: replace(fact, says=fill(fact.says, days=fact.window_days or "")) for name, fact in knowledge.facts.items()
        },
        derived={name: replace(d, says=fill(d.says), how=fill(d.how)) for name, d in knowledge.derived.items()},
        criteria=criteria,
        modalities=tuple(_modality(modality, criteria, fill) for modality in knowledge.modalities),
        words={name: fill(words) for name, words in knowledge.words.items()},
        staging={name: replace(part, title=fill(part.title)) for name, part in knowledge.staging.items()},
        board_questions=tuple(question._replace(says=fill(question.says)) for question in knowledge.board_questions),
        outcomes=tuple(
            replace(
                row,
                groups=fill(row.groups),
                treated=fill(row.treated),
                survival=fill(row.survival),
                symptoms=fill(row.symptoms),
                course=fill(row.course),
                patients=fill(row.patients),
                note=fill(row.note),
                defect=fill(row.defect),
            )
            for row in knowledge.outcomes
        ),
        conflicts=tuple(replace(c, topic=fill(c.topic), service=fill(c.service)) for c in knowledge.conflicts),
        review=_review(knowledge.review, fill),
        stances=tuple(replace(row, situation=fill(row.situation)) for row in knowledge.stances),
        window_bounds={name: _bounds(bounds, fill) for name, bounds in knowledge.window_bounds.items()},
        limit_bounds={name: _bounds(bounds, fill) for name, bounds in knowledge.limit_bounds.items()},
        unfilled=knowledge,
    )


def _own(criterion: Criterion) -> dict[str, object]:
    limits = [test.limit for test in criterion.tests if isinstance(test.limit, Decimal)]
    return {f"limit{n or ''}": limit for n, limit in zip(("", 2, 3), limits, strict=False)}


def _modality(modality: Modality, criteria: Mapping[str, Criterion], fill: Fill) -> Modality:
    def new(parts: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        return tuple(criteria[part.key] for part in parts)

    return replace(
        modality,
        title=fill(modality.title),
        short=fill(modality.short),
        contraindications=new(modality.contraindications),
        contraindications_say=fill(modality.contraindications_say),
        exclusions=tuple(Exclusion(criteria[part.key], only) for part, only in modality.exclusions),
        excluded_say=fill(modality.excluded_say),
        cautions=new(modality.cautions),
        indications=tuple(
            replace(i, says=fill(i.says), requires=new(i.requires), update_requires=new(i.update_requires))
            for i in modality.indications
        ),
        techniques=tuple(
            replace(
                t,
                says=fill(t.says),
                also=fill(t.also),
                when=new(t.when),
                stopped_by=new(t.stopped_by),
                cautions=new(t.cautions),
            )
            for t in modality.techniques
        ),
    )


def _review(review: ReviewPlan, fill: Fill) -> ReviewPlan:
    return replace(review, open=tuple(replace(check, says=fill(check.says)) for check in review.open))


def _bounds(bounds: Bounds, fill: Fill) -> Bounds:
    return replace(bounds, reason=fill(bounds.reason, at_least=bounds.at_least, at_most=bounds.at_most))


def _places(knowledge: Knowledge) -> dict[str, str]:
    """Every place that this knowledge offers to any sentence → its number."""
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
    """Where a band begins (`above`, or `first`, the whole number after it) and ends (`up_to`, `below`)."""
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
    return PLACEHOLDER.findall(text)


def known_placeholders(files: Mapping[str, Tables]) -> set[str]:
    """Every place that the knowledge files offer to any sentence."""
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
    """The places of its own that the table of a criterion, a fact or a bound offers to its sentences."""
    tests = [table, *table.get("all_of", ()), *table.get("any_of", ())]
    limits = sum(bool(test.keys() & NUMERIC) for test in tests)
    return [f"limit{n or ''}" for n in ("", 2, 3)[:limits]]


def _leaves(table: Tables, path: str = "") -> Iterator[tuple[str, str]]:
    for key, part in table.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{path}{key}.")
        elif isinstance(part, (int, str, Decimal)) and not isinstance(part, bool):
            yield f"{path}{key}", str(part)
