"""The knowledge files as types. Every number, code, citation and sentence comes from the TOML files in this folder."""

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
from cds_service.knowledge.orders import Orders
from cds_service.knowledge.overlay import NO_SITE, Bounds, Overlay
from cds_service.knowledge.scores import Scores
from cds_service.knowledge.shown import StanceRow
from cds_service.knowledge.statement import Statement
from cds_service.knowledge.terminology import Terminology, Use
from cds_service.knowledge.vocabulary import Choice, FactKind, Supplier

UNITS = {"1": "", "{INR}": "", "10*9/L": " × 10⁹/L", "mL/min/{1.73_m2}": " mL/min/1.73 m²", "mo": " months"}
"""UCUM code → how a text shows the unit, where the code itself is unusual in texts."""


@dataclass(frozen=True, slots=True)
class FactDefinition:
    """One table of facts.toml."""

    id: str
    """Name of the table, such as `ki67_index`."""
    says: str
    """What the fact is, in words."""
    kind: FactKind
    """The type of its value."""
    ask: Supplier
    """Who can supply the fact."""
    assessment: tuple[str, ...] = ()
    """Codes of the project's own CodeSystem; an Observation with one of them states the fact."""
    concepts: tuple[str, ...] = ()
    """Value sets of terminology.toml whose codes state the fact."""
    uses: tuple[Use, ...] = (Use.DECIDES,)
    """For presence: the uses of those codes that count."""
    source: str = "Observation"
    """For presence (`from`): Condition, Procedure or Medication."""
    active: bool = False
    """For presence: only active entries count; otherwise past ones too."""
    every_entry_read: bool = False
    """Silence counts only if every procedure of the chart could be identified."""
    unit: str = ""
    """UCUM code of its values; empty for kinds without a unit."""
    units: Mapping[str, Decimal] = field(default_factory=dict)
    """Accepted UCUM code → how many of it make one `unit`."""
    options: tuple[str, ...] = ()
    """Allowed answers of a coded fact."""
    range: tuple[Decimal, Decimal] | None = None
    """Smallest and largest plausible value, in `unit`; a value outside is unreadable."""
    window_days: int | None = None
    """Days after which a value is out of date; None: never."""
    imaging: bool = False
    """In G3 and NEC the window is at most `Knowledge.strict_imaging_days`."""
    adverse: tuple[str | bool, ...] | None = None
    """Answers, worst first, that make the fact unknown when out of date and that override others of the same date."""
    adverse_above: Decimal | None = None
    """The same for numbers above this one, in `unit`."""
    choose: Choice = Choice.LATEST
    """Which of several numbers counts."""
    conflict: Choice | None = None
    """Which of two numbers of one date counts; None: the fact is unknown."""
    diagnosis_stands: bool = False
    """An active coded diagnosis is as new as any answer; if they disagree, the fact is unknown."""
    vague: str = ""
    """An answer that a precise one within the window refines, such as `present`."""
    vague_answers: bool = False
    """Without a precise answer, the vague one is an answer itself."""
    usual: Value | None = None
    """An answer that rules out no treatment; only the search for missing facts tries it."""
    order: str = ""
    """LOINC code of the test that supplies the fact, for a draft order."""
    trend: bool = False
    """The value before the last one is shown too."""
    face: str = ""
    """How a card shows a number: {value} with its unit, {number} without; empty: the name and the value."""
    short: str = ""
    """Its name within a line of a card; empty: `says` in lower case."""
    names: tuple[str, ...] = ()
    """What charts call it, before a number in a text or in place of a code that is read."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Answer ("true", "patent") → how a card words it."""
    upper_limit_of: str = ""
    """Fact of a laboratory value; this fact is that value divided by the upper limit that its own Observation states."""
    local_units: Mapping[str, str] = field(default_factory=dict)
    """A site's spellings for this fact: spelling, or "" for a number without unit → a unit of `units`."""

    @property
    def unit_in_words(self) -> str:
        """Return the unit as written after a number, with the space before it."""
        return UNITS.get(self.unit, f" {self.unit}" if self.unit else "")

    @property
    def laboratory(self) -> bool:
        """Return whether the fact is a laboratory value, asked for or not; an active order shortens its window."""
        return bool(self.upper_limit_of) or any(concept.startswith("lab.") for concept in self.concepts)

    @property
    def supposable(self) -> bool:
        """Return whether an answer may be tried to see what would decide; includes age and ECOG, which are never asked for."""
        return self.ask is not Supplier.NEVER or self.id in {"age", "ecog"}

    @property
    def precise(self) -> tuple[str, ...]:
        """Return the answers that make a vague one precise: `present` may be resectable or unresectable."""
        return tuple(option for option in self.options if option not in {self.vague, "none", "absent"})

    @property
    def stale_denial_is_silent(self) -> bool:
        """Return whether an out-of-date value that is not adverse counts as silent (docs/knowledge.md, "Verdicts")."""
        return self.adverse is not None or self.adverse_above is not None


@dataclass(frozen=True, slots=True)
class DerivedDefinition:
    """One table of derived.toml: a fact that a calculation makes from others."""

    id: str
    """Name of the table, such as `grade_by_index`."""
    says: str
    """What the fact is, in words."""
    reads: tuple[str, ...]
    """The only facts that the calculation may read."""
    settled_by_silence: tuple[str, ...] = ()
    """Those of `reads` whose silence is itself an answer, so that they are not asked for because of this fact."""
    how: str = ""
    """For a clinician: what makes it so, what denies it, what leaves it open."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Answer → how a card words it, where it rules a treatment out."""
    dated: bool = False
    """The calculation reads dates, earlier readings or reasons."""


@dataclass(frozen=True, slots=True)
class Band:
    """A range of numbers of a part of the stage, in the unit of its fact. If both limits are None, it is open upwards."""

    name: str
    up_to: Decimal | None
    """Largest value in the band."""
    below: Decimal | None
    """First value above the band."""


@dataclass(frozen=True, slots=True)
class StagePart:
    """One table of staging.toml: a part of the stage (docs/knowledge.md, "Staging")."""

    id: str
    title: str
    statements: tuple[str, ...]
    """Ids of the statements that it rests on."""
    fact: str = ""
    """The fact that `bands` divide."""
    bands: tuple[Band, ...] = ()
    """From low to high."""
    sites: frozenset[str] = frozenset()
    """Primary sites of well differentiated tumours to which it applies."""


@dataclass(frozen=True, slots=True)
class Units:
    """How charts write units (units.toml)."""

    aliases: Mapping[str, str]
    """Spelling → UCUM code."""
    refused: Mapping[str, str]
    """Spelling → why its meaning must not be guessed."""
    systems: frozenset[str]
    """How charts write the URI of UCUM, in lower case, without its scheme, "www.", "urn:oid:" and a slash at its end."""

    def is_ucum(self, system: str | None) -> bool:
        """Return whether the system of a unit is UCUM, in any spelling of its URI, OID or name."""
        said = (system or "").strip().casefold().rstrip("/")
        return re.sub(r"^(?:https?://(?:www\.)?|urn:oid:)", "", said) in self.systems


@dataclass(frozen=True, slots=True)
class NumberWriting:
    """How charts write numbers in texts (units.toml)."""

    inexact_words: tuple[str, ...]
    """Words before a number that is approximate, the longest first."""
    inexact_share: Decimal
    """By which share of itself an approximate number may be off, either way."""
    decimal_comma: bool = False
    """A site writes 1.200,5; otherwise a number has a decimal point and no thousands separator."""


class Board(NamedTuple):
    """Facts that the lines of the overview card show if they are known, in this order."""

    disease: tuple[str, ...]
    liver: tuple[str, ...]
    patient: tuple[str, ...]
    laboratory: tuple[str, ...]
    done: tuple[str, ...]
    spare: tuple[str, ...]
    """Those of the facts above that may be left out if space runs out."""


class BoardQuestion(NamedTuple):
    """What a tumour board asks first if a chart has little data."""

    says: str
    """The question."""
    facts: tuple[str, ...]
    """The facts that answer it; it is asked while none of them is known."""
    short: str
    """The question as a card words it."""
    who: tuple[str, ...]
    """Who can answer: pathology, surgeon, imaging, laboratory, clinic."""
    then: str
    """What the answers open or close."""
    statements: tuple[str, ...]
    """Ids of the statements that say so; the service's own rules have none."""
    also: tuple[str, ...] = ()
    """Facts that the same person would report with them."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The content of all knowledge files, with a site's overlay if there is one."""

    digest: str
    """16 hexadecimal digits of the SHA-256 of all files, or of these and a site's overlay; shown on every card."""
    assessment_system: str
    """URI of the project's own CodeSystem."""
    missing_order: tuple[str, ...]
    """Facts in the order in which cards list them as missing."""
    strict_imaging_days: int
    """Longest window of facts with `imaging` in G3 and NEC, in days."""
    laboratory_days_with_order: int
    """Longest window of laboratory facts in a chart with an active order or scheduled procedure, in days."""
    facts: Mapping[str, FactDefinition]
    """Id → fact that is read from a chart."""
    derived: Mapping[str, DerivedDefinition]
    """Id → fact that is calculated."""
    criteria: Mapping[str, Criterion]
    """`role.name` → criterion."""
    modalities: tuple[Modality, ...]
    """In the order of `MODALITIES`."""
    statements: Mapping[str, Statement]
    """Id (S001, M001) → statement."""
    publications: Mapping[str, Publication]
    """Key (reddy-clary-2010) → publication."""
    terminology: Terminology
    drugs: Drugs
    scores: Scores
    units: Units
    number_writing: NumberWriting
    portal_drained: Mapping[str, bool]
    """Primary site → whether its veins drain into the portal vein (M043)."""
    staging: Mapping[str, StagePart]
    """Id → part of the stage."""
    words: Mapping[str, str]
    """Name of a band or value of the stage → how a card words it."""
    board: Board
    board_questions: tuple[BoardQuestion, ...]
    outcomes: tuple[Outcome, ...]
    """Rows of Tables 1 to 3 of the review."""
    conflicts: tuple[Conflict, ...]
    review: ReviewPlan
    window_bounds: Mapping[str, Bounds]
    """Fact → bounds of the window, in days, that a site may set."""
    limit_bounds: Mapping[str, Bounds]
    """Key of a criterion → bounds of the limit, in the unit of its fact, that a site may set."""
    orders: Orders
    stances: tuple[StanceRow, ...] = ()
    """From top to bottom; the first that applies to a modality counts."""
    overlay: Overlay = NO_SITE
    """What a site changed."""
    unfilled: Knowledge | None = field(default=None, repr=False)
    """The same with the sentences as in the files, with placeholders instead of numbers."""

    @property
    def signed(self) -> bool:
        """Return whether a clinician of the site signed exactly this knowledge."""
        return self.overlay.sign_off is not None and self.overlay.sign_off.knowledge == self.digest

    @property
    def provenance(self) -> str:
        """Return the digest, the site whose overlay is included, and who signed it. A signature is valid for one digest."""
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
        """Return the ECOG status from which an operation is contraindicated, the limit of that criterion."""
        limit = self.criteria["contraindication.ecog-3-or-worse"].tests[0].limit
        assert isinstance(limit, Decimal)
        return limit

    def modality(self, name: str) -> Modality:
        """Return the modality with that id. Raises StopIteration if there is none."""
        return next(modality for modality in self.modalities if modality.id == name)

    @cached_property
    def judged_facts(self) -> frozenset[str]:
        """Facts that a criterion compares; every other calculated fact is only an input of these."""
        return frozenset(test.fact for criterion in self.criteria.values() for test in criterion.tests)

    @cached_property
    def cuts(self) -> dict[str, tuple[Decimal, ...]]:
        """Fact → the sorted limits that deciding criteria and calculations compare its values with, in the unit of the fact."""
        limits: dict[str, set[Decimal]] = {fact: set(values) for fact, values in self.scores.cuts().items()}
        alias = {"removable": "removable_fraction", "egfr_used": "egfr"}
        for criterion in self.criteria.values():
            if criterion.key.startswith(("caution.", "technique.")):
                continue
            for test in criterion.tests:
                if isinstance(test.limit, Decimal):
                    limits.setdefault(alias.get(test.fact, test.fact), set()).add(test.limit)
        return {fact: tuple(sorted(values)) for fact, values in limits.items()}
