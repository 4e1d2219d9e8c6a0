"""What stands around the criteria, as types: publications, outcomes of Tables 1 to 3, conflicts, review dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

Tables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publication:
    id: str
    label: str
    """What a card calls it."""
    citation: str
    doi: str = ""
    pmid: str = ""
    pmcid: str = ""
    page: str = ""
    search: str = ""
    unlinked: str = ""
    note: str = ""
    from_memory: tuple[str, ...] = ()
    reference: int | None = None
    """Its number among the 39 references of the review."""
    verified: str = ""

    @property
    def url(self) -> str:
        """Its address for a card: by DOI, else PMID, else PMC; empty where a card cites it in words."""
        if self.doi:
            return f"https://doi.org/{quote(self.doi, safe='/:;._-')}"
        if self.pmid:
            return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"
        return f"https://pmc.ncbi.nlm.nih.gov/articles/{self.pmcid}/" if self.pmcid else ""

    @property
    def page_url(self) -> str:
        """Its address for an evidence page, which may also name a publisher's page or a PubMed search."""
        return self.url or self.page or self.search


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    number: int
    title: str
    design: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of Table 1, 2 or 3; its keys are explained in outcomes.toml."""

    id: str
    table: OutcomeTable
    series: str
    publication: str
    n: int
    groups: str
    treated: str
    survival: str
    symptoms: str
    course: str
    patients: str
    note: str
    defect: str
    statements: tuple[str, ...]
    withheld: tuple[str, ...]
    modalities: tuple[str, ...]
    all: Mapping[str, frozenset[str]]
    tells_of: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Statements that do not agree: of the review and of later evidence, or (`later` empty) within the review."""

    topic: str
    review: tuple[str, ...]
    later: tuple[str, ...]
    service: str


@dataclass(frozen=True, slots=True)
class OpenCheck:
    """What a human with access to the sources still has to look up."""

    says: str
    statements: tuple[str, ...]
    due: date


@dataclass(frozen=True, slots=True)
class ReviewPlan:
    drawn_up: date
    months: Mapping[str, int]
    open: tuple[OpenCheck, ...]


def build_outcomes(file: Tables, publications: Mapping[str, Publication]) -> tuple[Outcome, ...]:
    heads = {
        number: OutcomeTable(int(number), head["title"], head["design"], tuple(head["statements"]))
        for number, head in file["table"].items()
    }
    return tuple(
        Outcome(
            id=name,
            table=heads[name[1]],
            series=publications[row["publication"]].label if row["publication"] in publications else row["publication"],
            publication=row["publication"],
            n=row["n"],
            groups=row.get("groups", ""),
            treated=row["treated"],
            survival=row.get("survival", ""),
            symptoms=row.get("symptoms", ""),
            course=row.get("course", ""),
            patients=row.get("patients", ""),
            note=row.get("note", ""),
            defect=row.get("defect", ""),
            statements=tuple(row["statements"]),
            withheld=tuple(row.get("withheld", ())),
            modalities=tuple(row["modalities"]),
            all={fact: frozenset(values) for fact, values in row.get("all", {}).items()},
            tells_of={fact: frozenset(values) for fact, values in row.get("tells_of", {}).items()},
        )
        for name, row in file["row"].items()
    )


def build_conflicts(file: Tables) -> tuple[Conflict, ...]:
    found = [Conflict(c["topic"], tuple(c["review"]), tuple(c["later"]), c["service"]) for c in file["between"]]
    found += [Conflict(c["topic"], tuple(c["statements"]), (), c["service"]) for c in file["within"]]
    return tuple(found)


def build_review_plan(file: Tables) -> ReviewPlan:
    drawn_up = file["drawn_up"]  # a guideline that is not read yet is due from then on
    checks = (OpenCheck(c["says"], tuple(c["statements"]), date.fromisoformat(c.get("due", drawn_up))) for c in file["open"])
    return ReviewPlan(date.fromisoformat(drawn_up), dict(file["months"]), tuple(checks))
