"""The numbers of knowledge/scores.toml as closed types: a misspelt or missing key is refused at load."""

from __future__ import annotations

from decimal import Decimal

import msgspec


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


class SynchronousWithin(_Table):
    local: bool
    synchronous_within_months: int


class WithinDays(_Table):
    local: bool
    within_days: int


class DiagnosedWithin(_Table):
    statements: tuple[str, ...]
    within_days: int


class AskedUpTo(_Table):
    local: bool
    asked_up_to_years: Decimal


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
    timing: SynchronousWithin
    new_diagnosis: DiagnosedWithin
    recent_liver_surgery: WithinDays
    pregnancy: AskedUpTo
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
        }
