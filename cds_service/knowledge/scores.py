"""The numbers of knowledge/scores.toml as closed types: a misspelt or missing key is rejected at load."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Bands(_Table):
    """Limits of the grade by an index: below `g2_from` G1, above `g3_above` G3. Ki-67 in per cent, mitoses per 2 mm²."""

    g2_from: Decimal
    g3_above: Decimal


class GradeBands(_Table):
    statements: tuple[str, ...]
    ki67_index: Bands
    mitotic_count: Bands


class RemnantLimits(_Table):
    """Smallest future liver remnant in per cent, by background liver (M015)."""

    statements: tuple[str, ...]
    normal: Decimal
    chemotherapy: Decimal
    cirrhosis: Decimal


class HepaticLimits(_Table):
    """When laboratory values deny hepatic failure. Bilirubin in mg/dL, albumin in g/dL, Child-Pugh in points."""

    statements: tuple[str, ...]
    local: bool
    total_bilirubin_at_most: Decimal
    albumin_below: Decimal
    child_pugh_sum_at_most: int
    child_pugh_c_from: int
    child_pugh_b_from: int


class Rising(_Table):
    """Child-Pugh bands of a value that is worse when higher: one point below `two_from`, three above `three_above`."""

    two_from: Decimal
    three_above: Decimal


class Falling(_Table):
    """Child-Pugh bands of a value that is worse when lower: one point above `one_above`, three below `three_below`."""

    one_above: Decimal
    three_below: Decimal


class ChildPugh(_Table):
    """Points of the Child-Pugh score. Bilirubin in mg/dL, albumin in g/dL; ascites and encephalopathy by answer."""

    citation: str
    total_bilirubin: Rising
    albumin: Falling
    inr: Rising
    ascites: dict[str, int]
    encephalopathy: dict[str, int]


class CoagulationLimits(_Table):
    """From this INR, or below these platelets in 10*9/L, coagulopathy has to be corrected first."""

    statements: tuple[str, ...]
    inr_from: Decimal
    platelets_below: Decimal


class RenalLimits(_Table):
    """Limits of the eGFR in mL/min/1.73 m²."""

    statements: tuple[str, ...]
    egfr_below: Decimal
    egfr_denies_acute_from: Decimal


class CkdEpi(_Table):
    """Constants of the CKD-EPI equation of 2021 for the eGFR."""

    citation: str
    factor: Decimal
    kappa: dict[str, Decimal]
    alpha: dict[str, Decimal]
    exponent_above: Decimal
    per_year: Decimal
    female: Decimal
    adults_from_years: int


class SynchronousWithin(_Table):
    """Liver metastases within so many months of the primary are synchronous."""

    local: bool
    synchronous_within_months: int


class WithinDays(_Table):
    local: bool
    within_days: int


class DiagnosedWithin(_Table):
    """A diagnosis within so many days is new (M055)."""

    statements: tuple[str, ...]
    within_days: int


class AskedUpTo(_Table):
    """Pregnancy is asked for up to this age in years."""

    local: bool
    asked_up_to_years: Decimal


class StableDisease(_Table):
    """Months of response or stable disease that transplantation requires (M043)."""

    statements: tuple[str, ...]
    months: Decimal


class Scores(_Table):
    """All tables of scores.toml."""

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
        """Return fact → the limits with which calculations compare its values, in the unit of the fact."""
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
