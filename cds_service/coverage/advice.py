"""What to do next, from what was counted; and lines for the site file, ready but for what a code means: a person says that."""

from __future__ import annotations

from cds_service.coverage.report import Report
from cds_service.picture import Nlm

MOST_TABLES = 20
"""[[code]] tables offered at once; the rest follow when these are decided."""


def advice(report: Report) -> list[str]:
    """Sentences, the most pressing first."""
    if not report.charts:
        return ["No chart was found: name folders or files with FHIR R4 Bundles, resources, NDJSON or hook requests."]
    said: list[str] = []
    if report.files_unreadable or report.resources_unreadable:
        said.append("Some of what was sent could not be read (below, with the reason). It is missing in every count.")
    if report.charts_without_patient:
        said.append(
            f"Charts without their Patient: {report.charts_without_patient} of {report.charts}. Age and sex are unknown there. "
            "Export Patient too, and name the whole folder as one path."
        )
    if not (report.nlm[Nlm.YES] or report.possible):
        said.append(
            "No chart holds neuroendocrine liver metastases. If one should: both halves have to be coded, the tumour and the "
            "liver metastasis (ICD-10-CM, ICD-10, ICD-O-3 or SNOMED CT). Free text is not read."
        )
    if report.local:
        said.append(
            f"Codes of systems that are not read, and that look relevant: {len(report.local)}. Where one means exactly one of "
            "the facts or concepts, fill in its [[code]] lines below. A word is no proof: direct bilirubin is not total."
        )
    if report.standard:
        said.append(
            f"Codes of systems that are read, not among those held, and that look relevant: {len(report.standard)}. Most are "
            "rightly left out (another test, another organ); drug products and procedures may deserve a [[code]]."
        )
    if report.text_only:
        said.append("Entries that carry such words and no code: ask for a code; text alone is not read.")
    if report.units_refused:
        said.append(
            "Units were refused: their values are unreadable, and nothing is converted by guess. Send the UCUM code, or say in "
            "[units] of your site file what the unit means."
        )
    if report.out_of_window:
        said.append(f"Values are too old on {report.as_of}: for an old export, give the day it was made with --as-of.")
    if report.to_map or report.units_refused:
        said.append("Change the site file and run this again with --site FILE, until nothing is left that should be read.")
    return said


def snippet(report: Report) -> str:
    """[[code]] tables of TOML. The code of an Observation states a fact, any other belongs to a concept of terminology.toml;
    both are empty, and so refused, until somebody decides."""
    tables = []
    for row in report.to_map[:MOST_TABLES]:
        perhaps = f"perhaps {' or '.join(row.looks_like)}" if row.looks_like else ""
        about = "; ".join(part for part in (row.display, f"charts: {row.charts}", perhaps) if part)
        says = "fact" if row.source == "Observation" else "concept"
        tables.append(f'[[code]]   # {about}\nsystem = {_quoted(row.system)}\ncode = {_quoted(row.code)}\n{says} = ""')
    return "\n\n".join(tables)


def _quoted(text: str) -> str:
    """A basic TOML string; control characters are gone already."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
