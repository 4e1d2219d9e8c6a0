"""The knowledge files as types. Every number, code, citation and sentence comes from the TOML files beside this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

import msgspec

from cds_service.knowledge.terminology import Terminology
from cds_service.picture import Value


class Verdict(StrEnum):
    CONTRAINDICATED = "contraindicated"
    NOT_INDICATED = "not-indicated"
    UNDETERMINED = "undetermined"
    CONSIDER = "consider"
    RECOMMENDED = "recommended"


RANK = {
    Verdict.CONTRAINDICATED: 0,
    Verdict.NOT_INDICATED: 0,
    Verdict.UNDETERMINED: 1,
    Verdict.CONSIDER: 2,
    Verdict.RECOMMENDED: 3,
}
"""Order of strength; contraindicated and not-indicated rank equal (CLINICAL section 5, laws)."""

EDITIONS = ("2010", "update")


@dataclass(frozen=True, slots=True)
class FactDefinition:
    """One table of facts.toml; its keys are explained there."""

    id: str
    says: str
    kind: str
    ask: str
    assessment: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    uses: tuple[str, ...] = ("decides",)
    source: str = "Observation"
    active: bool = False
    every_entry_recognised: bool = False
    unit: str = ""
    units: Mapping[str, Decimal] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    range: tuple[Decimal, Decimal] | None = None
    window_days: int | None = None
    imaging: bool = False
    adverse: tuple[str | bool, ...] | None = None
    adverse_above: Decimal | None = None
    choose: str = "latest"
    conflict: str = ""
    vague: str = ""
    usual: Value | None = None

    @property
    def precise(self) -> tuple[str, ...]:
        """The answers that make a vague one precise: `present` may be resectable or unresectable."""
        return tuple(option for option in self.options if option not in {self.vague, "none"})

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """`how`: is | one_of | at_most | at_least | below | above; `limit` in the fact's unit."""

    fact: str
    how: str
    limit: Decimal | bool | str | frozenset[str]


@dataclass(frozen=True, slots=True)
class Criterion:
    key: str
    """Its name in criteria.toml: role and id, e.g. "caution.inr-above-limit"."""
    id: str
    """The id it goes by outside (CLINICAL section 9)."""
    says: str
    tests: tuple[Comparison, ...]
    combine: str
    """all | any; a criterion without tests always holds."""
    silent_is_not_met: bool
    unknown_is_not_met: bool
    statements: tuple[str, ...]
    local: bool = False
    then: str = ""

    @property
    def facts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(test.fact for test in self.tests))


@dataclass(frozen=True, slots=True)
class Indication:
    id: str
    edition: str
    strength: Verdict
    says: str
    requires: tuple[Criterion, ...]
    update_requires: tuple[Criterion, ...]
    when_closed: tuple[str, ...]
    statements: tuple[str, ...]
    local: bool = False


@dataclass(frozen=True, slots=True)
class Modality:
    id: str
    title: str
    short: str
    liver_directed: bool
    nec: str
    nec_open: str
    g3: str
    downgraded_by: tuple[str, ...]
    contraindications: tuple[Criterion, ...]
    contraindications_say: str
    exclusions: tuple[tuple[Criterion, frozenset[str]], ...]
    """Each with the indications it belongs to; an empty set: the whole modality."""
    excluded_say: str
    cautions: tuple[Criterion, ...]
    indications: tuple[Indication, ...]
    beside: tuple[str, ...]
    support: tuple[str, ...]
    about: tuple[str, ...]


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
class Publication:
    id: str
    citation: str
    doi: str = ""
    pmid: str = ""
    search: str = ""
    unlinked: str = ""
    note: str = ""
    from_memory: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """DOI, else PMID, else the PubMed citation search; empty where it is cited in words only."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        if self.pmid:
            return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"
        return self.search


@dataclass(frozen=True, slots=True)
class Statement:
    id: str
    edition: str
    kind: str
    says: str
    publications: tuple[str, ...]
    confidence: str
    numbers: str = ""
    caution: str = ""
    unsourced: str = ""
    from_memory: tuple[str, ...] = ()
    display: bool = True


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Bands(_Table):
    g2_from: Decimal
    g3_above: Decimal


class GradeBands(_Table):
    statements: tuple[str, ...]
    ki67_index: Bands
    mitotic_count: Bands


class RemnantLimits(_Table):
    statements: tuple[str, ...]
    fact: str
    normal: Decimal
    chemotherapy: Decimal
    cirrhosis: Decimal


class HepaticLimits(_Table):
    statements: tuple[str, ...]
    local: bool
    total_bilirubin_at_most: Decimal
    albumin_below: Decimal
    child_pugh_sum_at_most: int
    child_pugh_c_from: int
    child_pugh_b_from: int


class Rising(_Table):
    two_from: Decimal
    three_above: Decimal


class Falling(_Table):
    one_above: Decimal
    three_below: Decimal


class ChildPugh(_Table):
    citation: str
    total_bilirubin: Rising
    albumin: Falling
    inr: Rising
    ascites: dict[str, int]
    encephalopathy: dict[str, int]


class CoagulationLimits(_Table):
    statements: tuple[str, ...]
    inr_from: Decimal
    platelets_below: Decimal


class RenalLimits(_Table):
    statements: tuple[str, ...]
    egfr_below: Decimal
    egfr_denies_acute_from: Decimal


class CkdEpi(_Table):
    citation: str
    factor: Decimal
    kappa: dict[str, Decimal]
    alpha: dict[str, Decimal]
    exponent_above: Decimal
    per_year: Decimal
    female: Decimal
    adults_from_years: int


class RemovableLimits(_Table):
    statements: tuple[str, ...]
    fact: str
    later_above: Decimal
    review_at_least: Decimal


class SynchronousWithin(_Table):
    local: bool
    synchronous_within_months: int


class WithinDays(_Table):
    local: bool
    within_days: int


class StableDisease(_Table):
    statements: tuple[str, ...]
    months: Decimal


class Scores(_Table):
    grade: GradeBands
    remnant: RemnantLimits
    hepatic_failure: HepaticLimits
    child_pugh: ChildPugh
    coagulation: CoagulationLimits
    renal_failure: RenalLimits
    ckd_epi_2021: CkdEpi
    removable_fraction: RemovableLimits
    timing: SynchronousWithin
    new_diagnosis: WithinDays
    recent_liver_surgery: WithinDays
    stable_disease: StableDisease

    def cuts(self) -> dict[str, tuple[Decimal, ...]]:
        """Fact -> the limits with which a calculation divides its values."""
        cp, grade = self.child_pugh, self.grade
        return {
            "ki67_index": (grade.ki67_index.g2_from, grade.ki67_index.g3_above),
            "mitotic_count": (grade.mitotic_count.g2_from, grade.mitotic_count.g3_above),
            "future_liver_remnant": (self.remnant.normal, self.remnant.chemotherapy, self.remnant.cirrhosis),
            "total_bilirubin": (
                self.hepatic_failure.total_bilirubin_at_most,
                cp.total_bilirubin.two_from,
                cp.total_bilirubin.three_above,
            ),
            "albumin": (self.hepatic_failure.albumin_below, cp.albumin.one_above, cp.albumin.three_below),
            "inr": (self.coagulation.inr_from, cp.inr.two_from, cp.inr.three_above),
            "platelets": (self.coagulation.platelets_below,),
            "egfr": (self.renal_failure.egfr_below, self.renal_failure.egfr_denies_acute_from),
            "months_since_status": (self.stable_disease.months,),
            "removable_fraction": (self.removable_fraction.later_above, self.removable_fraction.review_at_least),
        }


@dataclass(frozen=True)
class Knowledge:
    """Everything the service knows. `digest` names the exact text of all files; it stands on every card."""

    digest: str
    assessment_system: str
    missing_order: tuple[str, ...]
    strict_imaging_days: int
    facts: Mapping[str, FactDefinition]
    derived: Mapping[str, DerivedDefinition]
    criteria: Mapping[str, Criterion]
    modalities: tuple[Modality, ...]
    statements: Mapping[str, Statement]
    publications: Mapping[str, Publication]
    terminology: Terminology
    scores: Scores
    portal_drained: Mapping[str, bool]
    staging: Mapping[str, StagePart]
    words: Mapping[str, str]
    board_facts: tuple[str, ...]
    board_questions: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def ecog_limit(self) -> Decimal:
        """The ECOG status from which an operation is contraindicated: the limit of that criterion, not a second one."""
        limit = self.criteria["contraindication.ecog-3-or-worse"].tests[0].limit
        assert isinstance(limit, Decimal)
        return limit

    def modality(self, name: str) -> Modality:
        return next(modality for modality in self.modalities if modality.id == name)

    @cached_property
    def cuts(self) -> dict[str, tuple[Decimal, ...]]:
        """Fact -> every limit that any criterion or calculation compares it with, sorted."""
        limits: dict[str, set[Decimal]] = {fact: set(values) for fact, values in self.scores.cuts().items()}
        alias = {"removable": "removable_fraction", "egfr_used": "egfr"}
        for criterion in self.criteria.values():
            for test in criterion.tests:
                if isinstance(test.limit, Decimal):
                    limits.setdefault(alias.get(test.fact, test.fact), set()).add(test.limit)
        return {fact: tuple(sorted(values)) for fact, values in limits.items()}
