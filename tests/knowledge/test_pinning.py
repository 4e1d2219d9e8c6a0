"""Every change of a number of the knowledge is noticed: each mutant of the tables makes a vignette or a chart fail.

Pinned: limits (a step of their last digit either way) and comparisons (their neighbour), flags, windows (a day either way),
silence, every entry of every list that a verdict, a caution, an option, an alarm, a question or an order reads, their
order where it counts, answers of coded facts, strength and edition, `use` and system of every code, units with their
factors, ranges, the numbers of scores.toml and the bands of staging.toml. A mutant that the loader rejects counts as
noticed: the service would not start.

Not pinned, each with its reason in tests/pins/rules.py: sentences, titles and the marks "local", which are for people and
affect no verdict; statement ids and publications (the loader checks that they resolve and may decide, the golden cards what is
shown); the answers from which the search for deciding facts starts; codes of concepts that no fact, order or line of the
reading uses; ICD-10 codes inside a shorter one that says the same; and keys that repeat an answer given elsewhere.

`make test` tries some mutants of every rule in every file; `make prove-pinning` tries all of them, on every processor.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from cds_service import knowledge
from tests.conftest import PROOF, Record
from tests.pins import mutants
from tests.pins.change_facts import CAN_BE_SILENT
from tests.pins.killers import Pinning
from tests.support.coding_tables import lines
from tests.support.vignette import vignettes

AT_ONCE = 16
"""Mutants that a process takes at once."""
OF_EACH = 1
"""Number of mutants of every rule in every file that the short form tries."""


OF_NO_CONSEQUENCE = {
    "terminology.toml: alone_in.icd-10-cm: without D3A":
        "a benign tumour asks beside liver metastases, whether it is read or its code is one of another system",
    "terminology.toml: certainty.letters.V: unconfirmed → nothing":
        "a letter that is not known asks as a suspected diagnosis does",
    "modalities/hepatic-arterial-therapy.toml: nec: at-most-consider → open":
        "its indications are considered at most, and the ranks order it after systemic therapy",
    "modalities/hormonal-suppression.toml: nec: open → at-most-consider": "its indications are considered at most",
    "modalities/hormonal-suppression.toml: technique.0.when: without analogue-syndrome":
        "it stands on the line of the analogue, which asks for the same",
    "modalities/systemic-therapy.toml: technique.0.for: without Y4":
        "it stands on the line of the analogue, which is judged by Y4 alone",
    "criteria.toml: caution.remnant-near-limit.all_of.1.is: normal → normal or chemotherapy":
        "a remnant that is enough at 26 % or less is one of a normal liver: after chemotherapy it would be too small",
    "criteria.toml: caution.remnant-near-limit.all_of.1.is: normal → normal or cirrhosis": "the same in cirrhosis",
    "stances.toml: stance.20.any: without requirement.resectability-debulkable":
        "a liver that can only be debulked has no curative resection, which stands in the same list",
    "stances.toml: stance.21.any: without requirement.resectability-debulkable": "the same",
    "terminology.toml: value_set: cond.ci.portal_vein_thrombosis icd-10 I81: taken out":
        "a thrombosis without its trunk asks, and so does the code of another edition that holds it",
    "terminology.toml: value_set: cond.ci.portal_vein_thrombosis icd-10-cm I81: taken out": "the same",
    "terminology.toml: value_set: cond.extrahepatic_mets icd-10 C77.2: taken out":
        "nodes of the abdomen ask, and so does the code of another edition that holds it",
    "terminology.toml: value_set: cond.extrahepatic_mets icd-10 C77.9: taken out": "the same",
    "terminology.toml: value_set: cond.extrahepatic_mets icd-10-cm C77.2: taken out": "the same",
    "terminology.toml: value_set: cond.extrahepatic_mets icd-10-cm C77.9: taken out": "the same",
    "terminology.toml: systems.atc: without http://www.whocc.no/atc":
        "its own word atc has it read like a national edition; as the first of the list it is the one that is sent",
}  # fmt: skip
"""Mutants that change no result for any patient, each with its reason."""


@cache
def pinning() -> tuple[Pinning, list[mutants.Mutant]]:
    """Return the patients, with what is computed once per process, and all mutants."""
    found = Pinning()
    return found, list(mutants.mutants(found.files))


def unnoticed(numbers: Sequence[int]) -> dict[int, str]:
    """Return, for each of the numbered mutants, its text if nothing notices it, else ""."""
    pins, all_of_them = pinning()
    return {number: "" if pins.killer(all_of_them[number], number) else str(all_of_them[number]) for number in numbers}


def on_every_processor(count: int) -> Iterator[dict[int, str]]:
    """Yield what `unnoticed` returns of all mutants, from processes that start afresh."""
    parts = [range(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1) as pool:
        yield from pool.imap_unordered(unnoticed, parts)


def test_every_datum_of_the_knowledge_is_pinned_by_a_vignette_or_a_chart(full: bool, record_property: Record) -> None:
    began = time.monotonic()
    all_of_them = list(mutants.mutants(mutants.read()))
    tried: dict[int, str] = {}
    for found in on_every_processor(len(all_of_them)) if full else [unnoticed(mutants.sample(all_of_them, OF_EACH))]:
        tried |= found
    left = sorted(set(filter(None, tried.values())) - set(OF_NO_CONSEQUENCE))
    record_property(
        PROOF,
        f"pinning: {len(tried)} of {len(all_of_them)} mutants of the knowledge, {len(list(vignettes()))} vignettes and "
        f"{len(list(lines()))} charts, {len(left)} survivors, {time.monotonic() - began:.0f} s",
    )
    assert set(OF_NO_CONSEQUENCE) <= set(map(str, all_of_them)), "a mutant of no consequence that is none any more"
    assert left == [], "nothing notices:\n" + "\n".join(left)
    assert len(tried) == len(all_of_them) or not full


def test_the_sample_has_mutants_of_every_rule_in_every_file() -> None:
    all_of_them = list(mutants.mutants(mutants.read()))
    some = [all_of_them[number] for number in mutants.sample(all_of_them, OF_EACH)]
    assert {(mutant.file, mutant.rule) for mutant in some} == {(mutant.file, mutant.rule) for mutant in all_of_them}
    assert max(Counter((mutant.file, mutant.rule) for mutant in some).values()) == OF_EACH
    backwards = all_of_them[::-1]
    others = [backwards[number] for number in mutants.sample(backwards, OF_EACH)]
    assert sorted(map(str, others)) == sorted(map(str, some)), "the sample depends on the order of the mutants"


def test_a_key_that_the_pinning_does_not_know_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = copy.deepcopy(mutants.SCHEMA)
    schema["$defs"]["criterion"]["properties"]["weight"] = {"type": "number"}
    monkeypatch.setattr(mutants, "SCHEMA", schema)
    with pytest.raises(mutants.KeyWithoutRule, match=r"criterion\.weight"):
        list(mutants.mutants(mutants.read()))


def test_a_word_among_the_numbers_of_the_calculations_that_the_pinning_does_not_know_is_a_failure() -> None:
    files = mutants.read()
    files["scores.toml"] = {**files["scores.toml"], "timing": {"local": True, "how": "loosely"}}
    with pytest.raises(mutants.KeyWithoutRule, match=r"timing\.how"):
        list(mutants.mutants(files))


def test_only_the_calculations_said_to_come_out_silent_do() -> None:
    pins, _ = pinning()
    derived = knowledge.load().derived
    silent = {name for case in pins.cases for name in derived if case.facts[name].silent}
    assert silent <= CAN_BE_SILENT
