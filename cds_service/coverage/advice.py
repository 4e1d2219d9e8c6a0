"""Next steps derived from the counts, and lines for the site file that are complete except for what each code means, which a
person has to add."""

from __future__ import annotations

from cds_service.clinical_picture import Nlm
from cds_service.coverage.report import NO_SYSTEM, Report

MAX_TABLES = 20
"""Maximum [[code]] tables offered at once; the rest follow when these are decided."""


def advice(report: Report) -> list[str]:
    """Return the next steps as sentences, the most urgent first."""
    if not report.charts:
        return ["No chart was found. Give folders or files with FHIR R4 Bundles, resources, NDJSON or hook requests."]
    said: list[str] = []
    if report.files_unreadable or report.resources_unreadable:
        said.append("Some files or resources could not be read (reasons below). They are missing from every count.")
    if report.answers_skipped:
        said.append(f"Answers with cards instead of charts: {report.answers_skipped}. They were skipped.")
    if report.charts_without_patient:
        said.append(
            f"Charts without a Patient: {report.charts_without_patient} of {report.charts}. Their age and sex are unknown. "
            "Export Patient too, and give the whole folder as one path."
        )
    if not (report.nlm[Nlm.YES] or report.possible):
        said.append(
            "No chart has neuroendocrine liver metastases. To be found, both the tumour and the liver metastasis have to be "
            "coded (ICD-10-CM, ICD-10, ICD-O-3 or SNOMED CT). Free text is not read."
        )
    if report.local:
        said.append(
            f"Codes of systems that are not read but look relevant: {len(report.local)}. If a code means exactly one fact or "
            "concept, complete its [[code]] lines below. A word is not proof: direct bilirubin is not total bilirubin."
        )
    if report.standard:
        said.append(
            f"Unknown codes of systems that are read, which look relevant: {len(report.standard)}. Most are correctly left out "
            "(another test, another organ); drug products and procedures may need a [[code]]."
        )
    if report.wordless:
        said.append(
            f"Unknown codes without a display or text in Latin letters: {len(report.wordless)} (below). Each may be a fact "
            "that is lost. Ask the source what they mean."
        )
    if report.text_only:
        said.append("Some entries have relevant words but no code. Ask the source for codes; text alone decides nothing.")
    if report.answers_not_read:
        said.append("Some coded answers are unknown. Add below which answer each one means.")
    if report.units_refused:
        said.append(
            "Some units were rejected, so their values are unreadable; conversions are never guessed. Send the UCUM code, or, "
            "if you know that a spelling means one of the accepted units, add it under [units] below."
        )
    if report.written_otherwise:
        said.append(
            "Some content is not coded or sent as standards require (below). Some of it is read; some raises a question on "
            "every such chart. Send the system with the code, a date with the value, the results with the report."
        )
    if report.out_of_window:
        said.append(f"Some values are too old on {report.as_of}. For an old export, give its date with --as-of.")
    if snippet(report):
        said.append("Change the site file and rerun with --site FILE, until nothing that should be read is left.")
    return said


def snippet(report: Report) -> str:
    """Return [[code]] and [units] tables in TOML, or "". An Observation code gets a fact, any other a concept of
    terminology.toml. What a person has to add is left empty, and rejected while it is empty."""
    tables = []
    equal = [row for row in report.written_otherwise if row.means]
    done = {(row.system, row.code) for row in equal}
    for code in [row for row in report.to_map if (row.system, row.code) not in done][:MAX_TABLES]:
        perhaps = f"perhaps {' or '.join(code.looks_like)}" if code.looks_like else ""
        says = "fact" if code.source == "Observation" else "concept"
        tables.append(_code([code.display, f"charts: {code.charts}", perhaps], code.system, code.code, f'{says} = ""'))
    for answer in [row for row in report.answers_not_read if row.code_shown and row.system_known][:MAX_TABLES]:
        about = [answer.display, f"charts: {answer.charts}", f"an answer: {', '.join(answer.allowed)}"]
        tables.append(_code(about, answer.system, answer.code, f'fact = "{answer.fact}"\nvalue = ""'))
    for row in equal[:MAX_TABLES]:
        system = "" if row.system == NO_SYSTEM else row.system
        tables.append(_code([f"charts: {row.charts}", "if it is this code"], system, row.code, f"means = {_quoted(row.means)}"))
    units: dict[str, list[str]] = {}
    for unit in report.units_refused:
        if unit.is_spelling:
            line = f'{_quoted(unit.unit or "")} = ""   # charts: {unit.charts}; one of {", ".join(unit.accepted)}'
            units.setdefault(unit.fact, []).append(line)
    held = {unit.fact for unit in report.units_refused if unit.has_table}
    for fact, lines in units.items():  # a table may be in a file once only
        tables.append(
            "\n".join(
                [f"# add to your [units.{fact}]", *(f"# {line}" for line in lines)]
                if fact in held
                else [f"[units.{fact}]", *lines]
            )
        )
    return "\n\n".join(tables)


def _code(about: list[str], system: str, code: str, says: str) -> str:
    said = "; ".join(part for part in about if part)
    return f"[[code]]   # {said}\nsystem = {_quoted(system)}\ncode = {_quoted(code)}\n{says}"


def _quoted(text: str) -> str:
    """Return a basic TOML string; control characters were already removed."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
