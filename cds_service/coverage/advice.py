"""What to do next, from what was counted; and lines for the site file, ready but for what a code means: a person says that."""

from __future__ import annotations

from cds_service.clinical_picture import Nlm
from cds_service.coverage.report import Report

MAX_TABLES = 20
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
        said.append("Entries that carry such words and no code: ask for a code; text alone decides nothing.")
    if report.answers_not_read:
        said.append("Coded answers were not understood: say below which answer each one is.")
    if report.units_refused:
        said.append(
            "Units were refused: their values are unreadable, and nothing is converted by guess. Send the UCUM code; or, where "
            "you know that a spelling means one of the accepted units, say so under [units] below."
        )
    if report.written_otherwise:
        said.append(
            "Some is written otherwise than its systems want (below): some of it is read, some is a question on every such "
            "chart. Send the system with the code, a date with the value, the results with the report."
        )
    if report.out_of_window:
        said.append(f"Values are too old on {report.as_of}: for an old export, give the day it was made with --as-of.")
    if snippet(report):
        said.append("Change the site file and run this again with --site FILE, until nothing is left that should be read.")
    return said


def snippet(report: Report) -> str:
    """[[code]] and [units] tables of TOML. The code of an Observation states a fact, any other belongs to a concept of
    terminology.toml; what a person has to say is empty, and so refused, until somebody says it."""
    tables = []
    for row in report.to_map[:MAX_TABLES]:
        perhaps = f"perhaps {' or '.join(row.looks_like)}" if row.looks_like else ""
        says = "fact" if row.source == "Observation" else "concept"
        tables.append(_code([row.display, f"charts: {row.charts}", perhaps], row.system, row.code, f'{says} = ""'))
    for answer in [row for row in report.answers_not_read if row.code_shown and row.system_known][:MAX_TABLES]:
        about = [answer.display, f"charts: {answer.charts}", f"an answer: {', '.join(answer.allowed)}"]
        tables.append(_code(about, answer.system, answer.code, f'fact = "{answer.fact}"\nvalue = ""'))
    units: dict[str, list[str]] = {}
    for unit in report.units_refused:
        if unit.is_spelling:
            line = f'{_quoted(unit.unit or "")} = ""   # charts: {unit.charts}; one of {", ".join(unit.accepted)}'
            units.setdefault(unit.fact, []).append(line)
    tables += ["\n".join([f"[units.{fact}]", *lines]) for fact, lines in units.items()]
    return "\n\n".join(tables)


def _code(about: list[str], system: str, code: str, says: str) -> str:
    said = "; ".join(part for part in about if part)
    return f"[[code]]   # {said}\nsystem = {_quoted(system)}\ncode = {_quoted(code)}\n{says}"


def _quoted(text: str) -> str:
    """A basic TOML string; control characters are gone already."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
