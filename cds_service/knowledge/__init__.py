"""Load the knowledge files. If anything is wrong, no file is used and every fault is reported at once.

`load()` is cached: the files are read once per process. Raises KnowledgeError.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from cds_service.clinical_picture import Interval
from cds_service.errors import Fault, KnowledgeError
from cds_service.knowledge.check import BOARD_LINES, cross_references, with_laboratory
from cds_service.knowledge.drugs import COLUMNS, build_drugs, product_rows, read_table
from cds_service.knowledge.evidence import (
    Publication,
    build_conflicts,
    build_outcomes,
    build_review_plan,
)
from cds_service.knowledge.modality import build_criterion, build_modality
from cds_service.knowledge.model import (
    Band,
    Board,
    BoardQuestion,
    DerivedDefinition,
    FactDefinition,
    Knowledge,
    NumberWriting,
    StagePart,
    Units,
)
from cds_service.knowledge.numbers import fill_sentences
from cds_service.knowledge.orders import build_orders
from cds_service.knowledge.overlay import Bounds
from cds_service.knowledge.scores import Scores
from cds_service.knowledge.shape import shape_faults
from cds_service.knowledge.shown import build_stances
from cds_service.knowledge.statement import Regulatory, Statement, build_population
from cds_service.knowledge.terminology import Terminology, Use, ValueSetMember
from cds_service.knowledge.vocabulary import Choice, Edition, FactKind, Supplier
from cds_service.knowledge.written_otherwise import WrittenOtherwise

MODALITIES = (
    "resection", "debulking", "ablation", "hepatic-arterial-therapy", "transplantation", "systemic-therapy",
    "hormonal-suppression",
)  # fmt: skip

Tables = dict[str, Any]
Files = Mapping[str, Any]
"""Name of a file → its parsed tables, or the rows of a generated CSV table."""


@cache
def load() -> Knowledge:
    """Return the knowledge that ships with the package. Raises KnowledgeError with every fault found."""
    return read_folder(resources.files("cds_service.knowledge"))


def read_folder(folder: Traversable) -> Knowledge:
    """Read the knowledge from a folder of TOML files and generated tables. Raises KnowledgeError with every fault found."""
    faults: list[Fault] = []
    schema = json.loads((resources.files("cds_service.knowledge") / "schema.json").read_text("utf-8"))
    names = [name for name in schema["$defs"] if name.endswith(".toml")] + [f"modalities/{m}.toml" for m in MODALITIES]
    files: dict[str, Any] = {}
    digest = hashlib.sha256()
    for name in names:
        try:
            text = folder.joinpath(*name.split("/")).read_text("utf-8")
            files[name] = tomllib.loads(text, parse_float=Decimal)
        except FileNotFoundError:
            faults.append(Fault(name, "is missing"))
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            faults.append(Fault(name, f"must be TOML in UTF-8: {error}"))
            continue
        digest.update(name.encode() + b"\0" + text.encode() + b"\0")
        faults += shape_faults(schema, name, files[name])
    for name in COLUMNS:
        try:
            text = folder.joinpath(name).read_text("utf-8")
            files[name] = read_table(text)
        except FileNotFoundError:
            faults.append(Fault(name, "is missing; .ci/drug_tables.py generates it"))
            continue
        except (csv.Error, ValueError) as error:
            faults.append(Fault(name, f"must be CSV in UTF-8: {error}"))
            continue
        digest.update(name.encode() + b"\0" + text.encode() + b"\0")
    faults += cross_references(files, MODALITIES, already_reported=bool(faults))
    if "scores.toml" not in files:
        raise KnowledgeError(faults)
    try:
        scores = msgspec.convert(files["scores.toml"], Scores)
    except msgspec.ValidationError as error:
        faults.append(Fault("scores.toml", f"must have the tables and keys of knowledge/scores.py: {error}"))
    if faults:
        raise KnowledgeError(faults)
    return _build(files, scores, digest.hexdigest()[:16])


def _build(files: Files, scores: Scores, digest: str) -> Knowledge:
    facts_file, values = files["facts.toml"], dict(files["coded_values.toml"])
    drained = values.pop("portal_drained")
    staging = dict(files["staging.toml"])
    words = staging.pop("words")
    terms = files["terminology.toml"]
    in_words = terms["liver_metastases_in_words"]
    criteria = {
        f"{role}.{name}": build_criterion(f"{role}.{name}", table)
        for role, tables in files["criteria.toml"].items()
        for name, table in tables.items()
    }
    publications = {
        name: Publication(
            name,
            t["label"],
            t["citation"],
            t.get("doi", ""),
            t.get("pmid", ""),
            t.get("pmcid", ""),
            t.get("page", ""),
            t.get("search", ""),
            t.get("unlinked", ""),
            t.get("note", ""),
            tuple(t.get("from_memory", ())),
            t.get("reference"),
            t["verified"],
        )
        for name, t in files["publications.toml"].items()
    }
    knowledge = Knowledge(
        digest=digest,
        assessment_system=facts_file["assessment_system"],
        missing_order=tuple(facts_file["missing_order"]),
        strict_imaging_days=facts_file["imaging_window_in_g3_and_nec_days"],
        laboratory_days_with_order=facts_file["laboratory_window_with_order_days"],
        facts={name: _fact(name, table) for name, table in facts_file["fact"].items()},
        derived={
            name: DerivedDefinition(
                name, t["says"], tuple(t["reads"]), tuple(t.get("settled_by_silence", ())), t.get("how", ""),
                t.get("words", {}), t.get("dated", False),
            )
            for name, t in files["derived.toml"].items()
        },
        criteria=criteria,
        modalities=tuple(build_modality(files[f"modalities/{name}.toml"], criteria) for name in MODALITIES),
        statements={
            name: Statement(
                name, Edition(t["edition"]), t["kind"], t["says"], tuple(t["publications"]), t["confidence"],
                t.get("numbers", ""), t.get("caution", ""), t.get("unsourced", ""), tuple(t.get("from_memory", ())),
                t.get("display", True), t.get("not_used", ""), t.get("checked", ""), t["verified"], t.get("figures", {}),
                tuple(Regulatory(r["jurisdiction"], r["on"], r["says"]) for r in t.get("regulatory", ())),
                build_population(t.get("population")),
            )
            for name, t in files["statements.toml"].items()
        },
        publications=publications,
        terminology=Terminology(
            terms["systems"],
            [
                ValueSetMember(v["system"], code, v["concept"], Use(v["use"]), display)
                for v in terms["value_set"]
                for code, display in v["codes"].items()
            ]
            + list(product_rows(files)),
            values,
            WrittenOtherwise(
                editions=terms["editions"],
                alone_in={system: tuple(beginnings) for system, beginnings in terms["alone_in"].items()},
                certainty=terms["certainty"]["letters"],
                certainty_extensions=frozenset(terms["certainty"]["extensions"]),
                certainty_systems=frozenset(terms["certainty"]["systems"]),
                letters_under=frozenset(terms["certainty"]["letters_under"]),
                other_classifications=frozenset(terms["other_classifications"]["systems"]),
                organ_words=tuple(in_words["organ"]),
                metastasis_words=tuple(in_words["metastasis"]),
                secondary_words=tuple(in_words["secondary"]),
                tumour_words=tuple(in_words["tumour"]),
            ),
        ),
        drugs=build_drugs(files),
        scores=scores,
        units=Units(
            {spelling: unit for unit, spellings in files["units.toml"]["alias"].items() for spelling in spellings},
            files["units.toml"]["refused"],
            frozenset(files["units.toml"]["systems"]),
        ),
        number_writing=NumberWriting(
            tuple(sorted(files["units.toml"]["inexact"]["words"], key=len, reverse=True)),
            Decimal(files["units.toml"]["inexact"]["percent"]) / 100,
        ),
        portal_drained=dict.fromkeys(drained["yes"], True) | dict.fromkeys(drained["no"], False),
        staging={name: _stage_part(name, table) for name, table in staging.items()},
        words=words,
        board=Board(*(tuple(with_laboratory(files["board.toml"][line], facts_file["fact"])) for line in BOARD_LINES)),
        board_questions=tuple(
            BoardQuestion(
                q["says"], tuple(q["facts"]), q["short"], tuple(q["who"]), q["then"], tuple(q["statements"]),
                tuple(q.get("also", ())),
            )
            for q in files["board.toml"]["question"]
        ),
        outcomes=build_outcomes(files["outcomes.toml"], publications),
        conflicts=build_conflicts(files["conflicts.toml"]),
        review=build_review_plan(files["review.toml"]),
        window_bounds={
            name: _bounds(part)
            for part in files["local.toml"]["window"]
            for name in with_laboratory(part["facts"], facts_file["fact"])
        },
        limit_bounds={part["criterion"]: _bounds(part) for part in files["local.toml"]["limit"]},
        stances=build_stances(files["stances.toml"]),
        orders=build_orders(files["orders.toml"]),
    )  # fmt: skip
    return fill_sentences(knowledge)


def _bounds(table: Tables) -> Bounds:
    return Bounds(Decimal(table["at_least"]), Decimal(table["at_most"]), table["reason"])


def _fact(name: str, table: Tables) -> FactDefinition:
    bounds = table.get("range")
    return FactDefinition(
        id=name,
        says=table["says"],
        kind=FactKind(table["kind"]),
        ask=Supplier(table["ask"]),
        assessment=tuple(table.get("assessment", ())),
        concepts=tuple(table.get("concepts", ())),
        uses=tuple(map(Use, table.get("uses", (Use.DECIDES,)))),
        source=table.get("from", "Observation"),
        active=table.get("active", False),
        every_entry_read=table.get("every_entry_read", False),
        unit=table.get("unit", ""),
        units={unit: Decimal(factor) for unit, factor in table.get("units", {}).items()},
        options=tuple(table.get("options", ())),
        range=(Decimal(bounds[0]), Decimal(bounds[1])) if bounds else None,
        window_days=table.get("window_days"),
        imaging=table.get("imaging", False),
        adverse=tuple(table["adverse"]) if "adverse" in table else None,
        adverse_above=Decimal(table["adverse_above"]) if "adverse_above" in table else None,
        choose=Choice(table.get("choose", Choice.LATEST)),
        conflict=Choice(table["conflict"]) if "conflict" in table else None,
        diagnosis_stands=table.get("diagnosis_stands", False),
        vague=table.get("vague", ""),
        vague_answers=table.get("vague_answers", False),
        order=table.get("order", ""),
        trend=table.get("trend", False),
        upper_limit_of=table.get("upper_limit_of", ""),
        face=table.get("face", ""),
        short=table.get("short", ""),
        names=tuple(table.get("names", ())),
        words=table.get("words", {}),
        usual=Interval.from_number(table["usual"]) if table["kind"] == "quantity" and "usual" in table else table.get("usual"),
    )


def _stage_part(name: str, table: Tables) -> StagePart:
    bands = tuple(
        Band(b["is"], Decimal(b["up_to"]) if "up_to" in b else None, Decimal(b["below"]) if "below" in b else None)
        for b in table.get("band", ())
    )
    sites = frozenset(table.get("well_differentiated_sites", ()))
    return StagePart(name, table["title"], tuple(table["statements"]), table.get("fact", ""), bands, sites)
