"""The knowledge files as types. Every number, code, citation and sentence comes from the TOML files beside this."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from cds_service.clinical_picture import Value
from cds_service.knowledge.drugs import Drugs
from cds_service.knowledge.evidence import Conflict, Outcome, Publication, ReviewPlan
from cds_service.knowledge.modality import Criterion, Modality
from cds_service.knowledge.overlay import NO_SITE, Bounds, Overlay
from cds_service.knowledge.scores import Scores
from cds_service.knowledge.shown import StanceRow
from cds_service.knowledge.statement import Statement
from cds_service.knowledge.terminology import Terminology, Use
from cds_service.knowledge.vocabulary import Choice, FactKind, Supplier

UNITS = {"1": "", "{INR}": "", "10*9/L": " × 10⁹/L", "mL/min/{1.73_m2}": " mL/min/1.73 m²", "mo": " months"}
"""Units that nobody writes as UCUM does."""


@dataclass(frozen=True, slots=True)
class FactDefinition:
    """One table of facts.toml; its keys are explained there."""

    id: str
    says: str
    kind: FactKind
    ask: Supplier
    assessment: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    uses: tuple[Use, ...] = (Use.DECIDES,)
    source: str = "Observation"
    active: bool = False
    every_entry_read: bool = False
    unit: str = ""
    units: Mapping[str, Decimal] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    range: tuple[Decimal, Decimal] | None = None
    window_days: int | None = None
    imaging: bool = False
    adverse: tuple[str | bool, ...] | None = None
    adverse_above: Decimal | None = None
    choose: Choice = Choice.LATEST
    conflict: Choice | None = None
    """Which of two numbers of one date counts; None: the fact is unknown."""
    diagnosis_stands: bool = False
    vague: str = ""
    vague_answers: bool = False
    usual: Value | None = None
    order: str = ""
    trend: bool = False
    face: str = ""
    """How a card says a number: {value} with its unit, {number} without; empty: its name and the value."""
    short: str = ""
    """Its name within a line of a card; empty: `says`, as it stands within a sentence."""
    words: Mapping[str, str] = field(default_factory=dict)
    """An answer ("true", "patent") → how a card says it."""
    upper_limit_of: str = ""
    """The laboratory value of which this one is how many times the upper limit that its own Observation states."""
    local_units: Mapping[str, str] = field(default_factory=dict)
    """A site's spellings for this fact: spelling, or "" for a number without unit → a unit of `units`."""

    @property
    def unit_in_words(self) -> str:
        """The unit as a reader writes it behind a number, with the space before it."""
        return UNITS.get(self.unit, f" {self.unit}" if self.unit else "")

    @property
    def laboratory(self) -> bool:
        """A laboratory value, whether anybody is asked for it or not: an order shortens its window."""
        return bool(self.upper_limit_of) or any(concept.startswith("lab.") for concept in self.concepts)

    @property
    def supposable(self) -> bool:
        """Whether an answer may be tried to see what would decide: also of age and fitness, which are never asked for."""
        return self.ask is not Supplier.NEVER or self.id in {"age", "ecog"}

    @property
    def precise(self) -> tuple[str, ...]:
        """The answers that make a vague one precise: `present` may be resectable or unresectable."""
        return tuple(option for option in self.options if option not in {self.vague, "none", "absent"})

    @property
    def stale_denial_is_silent(self) -> bool:
        """Whether an out-of-date value that is not adverse counts as silent (CLINICAL section 5)."""
        return self.adverse is not None or self.adverse_above is not None


@dataclass(frozen=True, slots=True)
class DerivedDefinition:
    id: str
    says: str
    reads: tuple[str, ...]
    settled_by_silence: tuple[str, ...] = ()
    how: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    """An answer → how a card says it, where it rules a treatment out."""
    dated: bool = False
    """Whether its calculation looks at dates, earlier readings or reasons."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of numbers; `up_to` its largest value, or `below` the first beyond it; both None: open upwards."""

    name: str
    up_to: Decimal | None
    below: Decimal | None


@dataclass(frozen=True, slots=True)
class StagePart:
    id: str
    title: str
    statements: tuple[str, ...]
    fact: str = ""
    bands: tuple[Band, ...] = ()
    sites: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Units:
    """How units are written: spelling → UCUM code, and spelling → why nobody may guess what it means."""

    aliases: Mapping[str, str]
    refused: Mapping[str, str]
    systems: frozenset[str]
    """How charts write the URI of UCUM, in lower case, without its scheme, "www.", "urn:oid:" and a slash at its end."""

    def is_ucum(self, system: str | None) -> bool:
        """Whether the system of a unit is UCUM, however its URI is spelt."""
        said = (system or "").strip().casefold().rstrip("/")
        return re.sub(r"^(?:https?://(?:www\.)?|urn:oid:)", "", said) in self.systems


class Board(NamedTuple):
    """Facts that the lines of an overview show when they are known, in their order."""

    disease: tuple[str, ...]
    liver: tuple[str, ...]
    patient: tuple[str, ...]
    laboratory: tuple[str, ...]
    done: tuple[str, ...]
    spare: tuple[str, ...]
    """Of these, those that may be left out where space runs out."""


class BoardQuestion(NamedTuple):
    """What a tumour board asks first on a chart that says little, and the facts that would answer it."""

    says: str
    facts: tuple[str, ...]
    short: str
    """The question as a card asks it."""
    who: tuple[str, ...]
    """Who can answer: pathology, surgeon, imaging, laboratory, clinic."""
    then: str
    """What the answers open or close."""
    statements: tuple[str, ...]
    """Those that say so; the program's own rules need none."""
    also: tuple[str, ...] = ()
    """Facts that the same person would tell with them."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Everything the service knows. `digest` names the exact text of all files, and of a site's overlay; it stands on
    every card."""

    digest: str
    assessment_system: str
    missing_order: tuple[str, ...]
    strict_imaging_days: int
    laboratory_days_with_order: int
    facts: Mapping[str, FactDefinition]
    derived: Mapping[str, DerivedDefinition]
    criteria: Mapping[str, Criterion]
    modalities: tuple[Modality, ...]
    statements: Mapping[str, Statement]
    publications: Mapping[str, Publication]
    terminology: Terminology
    drugs: Drugs
    scores: Scores
    units: Units
    portal_drained: Mapping[str, bool]
    staging: Mapping[str, StagePart]
    words: Mapping[str, str]
    board: Board
    board_questions: tuple[BoardQuestion, ...]
    outcomes: tuple[Outcome, ...]
    conflicts: tuple[Conflict, ...]
    review: ReviewPlan
    window_bounds: Mapping[str, Bounds]
    limit_bounds: Mapping[str, Bounds]
    stances: tuple[StanceRow, ...] = ()
    overlay: Overlay = NO_SITE
    unfilled: Knowledge | None = field(default=None, repr=False)
    """The same with the sentences as they stand in the files, places of numbers and all."""

    @property
    def signed(self) -> bool:
        """Whether a clinician of the site signed exactly this."""
        return self.overlay.sign_off is not None and self.overlay.sign_off.knowledge == self.digest

    @property
    def provenance(self) -> str:
        """Which knowledge judges, what of it is a site's, and who answers for it. A signature counts for one digest."""
        overlay, signature = self.overlay, self.overlay.sign_off
        said = f"knowledge {self.digest}"
        if overlay.digest:
            said += f" (with the codes and choices of the site {overlay.site}, {overlay.digest})"
        if signature is None:
            return f"{said}, not clinically verified"
        by = f"{signature.name}, {signature.role}, on {signature.on}: {signature.what}"
        if self.signed:
            return f"{said}, signed by {by}"
        return f"{said}, not clinically verified as it is now ({signature.knowledge} was signed by {by})"

    @property
    def ecog_limit(self) -> Decimal:
        """The ECOG status from which an operation is contraindicated: the limit of that criterion, not a second one."""
        limit = self.criteria["contraindication.ecog-3-or-worse"].tests[0].limit
        assert isinstance(limit, Decimal)
        return limit

    def modality(self, name: str) -> Modality:
        return next(modality for modality in self.modalities if modality.id == name)

    @cached_property
    def judged_facts(self) -> frozenset[str]:
        """Facts that a criterion looks at; any other calculated fact is but a part of these."""
        return frozenset(test.fact for criterion in self.criteria.values() for test in criterion.tests)

    @cached_property
    def cuts(self) -> dict[str, tuple[Decimal, ...]]:
        """Fact -> every limit with which a deciding criterion or a calculation divides its values, sorted."""
        limits: dict[str, set[Decimal]] = {fact: set(values) for fact, values in self.scores.cuts().items()}
        alias = {"removable": "removable_fraction", "egfr_used": "egfr"}
        for criterion in self.criteria.values():
            if criterion.key.startswith(("caution.", "technique.")):
                continue
            for test in criterion.tests:
                if isinstance(test.limit, Decimal):
                    limits.setdefault(alias.get(test.fact, test.fact), set()).add(test.limit)
        return {fact: tuple(sorted(values)) for fact, values in limits.items()}
