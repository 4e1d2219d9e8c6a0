"""The evidence around the criteria as types: publications, outcomes of Tables 1 to 3, conflicts, review dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

Tables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publication:
    """One table of publications.toml; texts are empty where the file has none."""

    id: str
    """Its key, such as `reddy-2007`."""
    label: str
    """Its name on a card."""
    citation: str
    """Authors, title, journal, year;volume:pages."""
    doi: str = ""
    pmid: str = ""
    pmcid: str = ""
    page: str = ""
    """Address of a publisher's or a body's page."""
    search: str = ""
    """Address of a PubMed search for the citation."""
    unlinked: str = ""
    """Why there is no address at all."""
    note: str = ""
    """What a reader of the citation should know."""
    from_memory: tuple[str, ...] = ()
    """Parts of the citation that were not seen in a source."""
    reference: int | None = None
    """Its number among the 39 references of the review."""
    verified: str = ""
    """Who signed it."""

    @property
    def url(self) -> str:
        """Return its address for a card, by DOI, else PMID, else PMC; empty if a card cites it in words."""
        if self.doi:
            return f"https://doi.org/{quote(self.doi, safe='/:;._-')}"
        if self.pmid:
            return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"
        return f"https://pmc.ncbi.nlm.nih.gov/articles/{self.pmcid}/" if self.pmcid else ""

    @property
    def page_url(self) -> str:
        """Return its address for an evidence page, which may also be a publisher's page or a PubMed search."""
        return self.url or self.page or self.search


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Table 1, 2 or 3 of the review."""

    number: int
    title: str
    design: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of Table 1, 2 or 3; texts are empty where the file has none."""

    id: str
    """Its key, such as `T1-3`."""
    table: OutcomeTable
    series: str
    """Label of its publication."""
    publication: str
    """Key of its publication."""
    n: int
    """Number of patients."""
    groups: str
    """Who they were or how they divide."""
    treated: str
    """What was done."""
    survival: str
    symptoms: str
    """Share of patients whose symptoms improved."""
    course: str
    """Recurrence or progression."""
    patients: str
    """More about the patients."""
    note: str
    """What a reader must also know."""
    defect: str
    """What the review misprints, which is left out."""
    statements: tuple[str, ...]
    """Ids of the statements that have these figures."""
    withheld: tuple[str, ...]
    """Ids of the statements whose figures are left out."""
    modalities: tuple[str, ...]
    """Ids of the modalities whose card may show the row."""
    all: Mapping[str, frozenset[str]]
    """Fact or part of the stage → values that every patient of the series had."""
    tells_of: Mapping[str, frozenset[str]]
    """Fact or part of the stage → values about which the row reports."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Statements that disagree: of the review and of later evidence, or within the review, where `later` is empty."""

    topic: str
    review: tuple[str, ...]
    later: tuple[str, ...]
    service: str
    """What the service does about it."""


@dataclass(frozen=True, slots=True)
class OpenCheck:
    """What a human with access to the sources still has to check."""

    says: str
    statements: tuple[str, ...]
    due: date


@dataclass(frozen=True, slots=True)
class ReviewPlan:
    """When the knowledge has to be checked again (review.toml)."""

    drawn_up: date
    """Day on which the statements were last compared with the record of their sources."""
    months: Mapping[str, int]
    """`review`, `from_memory` or a confidence → months until such a statement is due."""
    open: tuple[OpenCheck, ...]


def build_outcomes(file: Tables, publications: Mapping[str, Publication]) -> tuple[Outcome, ...]:
    """Build the rows of outcomes.toml."""
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
    """Build the conflicts of conflicts.toml: first those between the editions, then those within the review."""
    found = [Conflict(c["topic"], tuple(c["review"]), tuple(c["later"]), c["service"]) for c in file["between"]]
    found += [Conflict(c["topic"], tuple(c["statements"]), (), c["service"]) for c in file["within"]]
    return tuple(found)


def build_review_plan(file: Tables) -> ReviewPlan:
    """Build the review plan of review.toml."""
    drawn_up = file["drawn_up"]  # also the due date of guidelines that are not read yet
    checks = (OpenCheck(c["says"], tuple(c["statements"]), date.fromisoformat(c.get("due", drawn_up))) for c in file["open"])
    return ReviewPlan(date.fromisoformat(drawn_up), dict(file["months"]), tuple(checks))
