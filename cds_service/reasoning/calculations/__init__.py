"""Facts that are calculated from other facts: grade, organ failure, resectability, hormones, course. All pure.

Each calculation is registered by its name in knowledge/derived.toml, which also lists the facts that it may read.
"""

from __future__ import annotations

from collections.abc import Mapping

from cds_service.reasoning.calculations import course, grade, hormones, liver, liver_function, organs
from cds_service.reasoning.facts import Calculation

CALCULATIONS: Mapping[str, Calculation] = {
    "ki67_grade": grade.ki67_grade,
    "mitotic_grade": grade.mitotic_grade,
    "grade_by_index": grade.grade_by_index,
    "grade": grade.grade,
    "nec": grade.nec,
    "nec_open": grade.nec_open,
    "g3": grade.g3,
    "grade_by_one_index": grade.grade_by_one_index,
    "well_differentiated": grade.well_differentiated,
    "egfr_used": organs.egfr_used,
    "bilirubin_points": liver_function.bilirubin_points,
    "albumin_points": liver_function.albumin_points,
    "inr_points": liver_function.inr_points,
    "ascites_points": liver_function.ascites_points,
    "encephalopathy_points": liver_function.encephalopathy_points,
    "laboratory_points": liver_function.laboratory_points,
    "sign_points": liver_function.sign_points,
    "child_pugh_class": liver_function.child_pugh_class,
    "laboratory_points_counted": liver_function.laboratory_points_counted,
    "sign_points_counted": liver_function.sign_points_counted,
    "bilirubin_within_limit": liver_function.bilirubin_within_limit,
    "inr_within_limit": liver_function.inr_within_limit,
    "abnormal_bilirubin": liver_function.abnormal_bilirubin,
    "abnormal_albumin": liver_function.abnormal_albumin,
    "abnormal_inr": liver_function.abnormal_inr,
    "hepatic_failure_by_laboratory": liver_function.hepatic_failure_by_laboratory,
    "hepatic_failure_found": liver_function.hepatic_failure_found,
    "coagulopathy_found": organs.coagulopathy_found,
    "renal_failure_found": organs.renal_failure_found,
    "ascites_found": organs.ascites_found,
    "obstruction_documented": organs.obstruction_documented,
    "portal_thrombosis_open": organs.portal_thrombosis_open,
    "transplanted": course.transplanted,
    "ecog_known": organs.ecog_known,
    "carcinoid_heart_open": hormones.carcinoid_heart_open,
    "cardiac_assessment_current": hormones.cardiac_assessment_current,
    "biliary_access": liver.biliary_access,
    "remnant": liver.remnant,
    "remnant_volume_awaited": liver.remnant_volume_awaited,
    "liver_prevents_resection": liver.liver_prevents_resection,
    "curative_resection": liver.curative_resection,
    "extent": liver.extent,
    "removable": liver.removable,
    "recurrence": course.recurrence,
    "liver_only_confirmed": liver.liver_only_confirmed,
    "liver_only_unconfirmed": liver.liver_only_unconfirmed,
    "portal_drained": liver.portal_drained,
    "functioning": hormones.functioning,
    "insulinoma": hormones.insulinoma,
    "carcinoid_possible": hormones.carcinoid_possible,
    "analogue_possible": hormones.analogue_possible,
    "gallbladder_may_remain": course.gallbladder_may_remain,
    "refractory_to_suppression": hormones.refractory_to_suppression,
    "arterial_therapy_failed": hormones.arterial_therapy_failed,
    "refractory_for_transplantation": hormones.refractory_for_transplantation,
    "stable_six_months": course.stable_six_months,
    "progression_on_analogue": course.progression_on_analogue,
    "earlier_treatment": course.earlier_treatment,
    "newly_diagnosed": course.newly_diagnosed,
    "recent_liver_surgery": course.recent_liver_surgery,
}
