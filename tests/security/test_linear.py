"""The cost of an input is linear in its length: twice the length takes twice the time, in the service and on the page.

The tests measure processor time, and take the minimum of several runs if one run was too slow. Times below the floor say
nothing, so a longer input is tried. `make test` tries some of the strings and one in three of the lists; `make prove-linear`
tries every string under every system, every list at both doors, and the largest bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.fhir.observation_reader import MAX_FACTS_OF_A_CODE
from cds_service.fhir.plausibility import MAX_LIST_ITEMS
from cds_service.fhir.resources import READ_TYPES
from tests.conftest import PROOF, Record
from tests.support import depth
from tests.support.costs import (
    DOORS,
    ICD_10_CM,
    base,
    coded,
    other_objects_frozen,
    request_with,
    resource,
    seconds,
    slowness,
    systems,
)

LETTERS = {"letters": "Z", "digits": "7", "dots": ".", "blanks": "a ", "slashes": "/"}
LENGTH = 100_000
TWICE = 2.2
"""Largest allowed ratio of the times for double and single length."""
MAX_ROUNDS = 4
"""Further runs of both lengths in turn, where twice the length took too long."""
FLOOR_S = 0.1
"""Seconds below which a time is noise: on some kernels the process clock ticks at 4 ms, and other processes disturb it."""
SMALL_BODY, LARGEST_BODY = 990_000, 19_900_000
Path = tuple[str, ...]
GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
LOINC, SNOMED, ATC = "http://loinc.org", "http://snomed.info/sct", "http://www.whocc.no/atc"


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    with other_objects_frozen():
        yield


# ── strings ───────────────────────────────────────────────────────────────────────────────────────────────────────
def string_paths(held: msgspec.inspect.Type, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the strings that are read of a resource: ("code", "coding", "[]", "display")."""
    match held:
        case msgspec.inspect.UnionType():
            for one in held.types:
                yield from string_paths(one, path)
        case msgspec.inspect.ListType():
            yield from string_paths(held.item_type, (*path, "[]"))
        case msgspec.inspect.StructType():
            for field in held.fields:
                yield from string_paths(field.type, (*path, field.encode_name))
        case msgspec.inspect.StrType() | msgspec.inspect.AnyType() | msgspec.inspect.DecimalType():
            yield path


def placed(path: Path, text: str, system: str) -> Any:
    """Return the JSON with the text at its path; a code gets the system."""
    if not path:
        return text
    first, *rest = path
    inner = placed(tuple(rest), text, system)
    if first == "[]":
        return [inner]
    return {first: inner, "system": system} if path == ("code",) and system else {first: inner}


def with_text(kind: str, path: Path, text: str, system: str) -> dict[str, Any]:
    """Return a valid resource with the text at its path."""
    sound = resource(kind, "a", status="final" if kind in {"Observation", "DiagnosticReport"} else "active")
    if kind in {"Observation", "DiagnosticReport"} and path[0] != "code":
        sound["code"] = coded("6301-6", LOINC)
    if kind == "Condition" and path[0] != "code":
        sound["code"] = coded("C78.7")
    return {**sound, **placed(path, text, system)}


STRINGS = [
    (kind, path, system)
    for kind, struct in READ_TYPES.items()
    for path in dict.fromkeys(string_paths(msgspec.inspect.type_info(struct)))
    for system in (systems() if path[-1] == "code" and "coding" in path else {"": ""})
]


def law(door: str, make: Callable[[int], bytes], length: int, disease: bool, largest: int = 0) -> tuple[float, float]:
    """Assert linear time at a length and its double, and at the largest size if the time is too short to measure. Where twice
    the length took too long, a law of three doublings decides."""
    nothing, statuses = base(door, disease), (200, 400, 412)
    longer = make(2 * length)
    twice = seconds(DOORS[door], longer, statuses, 1) - nothing
    if twice <= FLOOR_S and 2 * len(longer) < largest:
        length *= largest // len(longer)
        longer = make(2 * length)
        twice = seconds(DOORS[door], longer, statuses, 1) - nothing
    if twice <= FLOOR_S and largest:
        return 0.0, twice
    shorter = make(length)
    once = seconds(DOORS[door], shorter, statuses, 1) - nothing
    noise = FLOOR_S + nothing / 2
    for _ in range(MAX_ROUNDS):  # other work may have disturbed a run, which only ever adds: the least of several runs counts
        if twice <= TWICE * max(once, 0) + noise:
            return once, twice
        once = min(once, seconds(DOORS[door], shorter, statuses, 1) - nothing)
        twice = min(twice, seconds(DOORS[door], longer, statuses, 1) - nothing)
    # a processor that is shared may differ by a third between two runs, and by no more between lengths that are far apart
    shortest = make(max(1, length // 4))
    least = min(seconds(DOORS[door], shortest, statuses, 1) - nothing for _ in range(MAX_ROUNDS))
    assert twice <= TWICE**3 * max(least, 0) + noise, (
        f"{length // 4:,}: {least:.2f} s, four times: {once:.2f} s, eight times: {twice:.2f} s"
    )
    return once, twice


def test_every_string_of_every_resource_is_among_those_tried() -> None:
    paths = {(kind, path) for kind, path, _ in STRINGS}
    assert len(paths) > 150
    assert ("Condition", ("code", "coding", "[]", "code")) in paths
    assert ("Observation", ("component", "[]", "valueQuantity", "unit")) in paths
    assert {system for kind, path, system in STRINGS if path == ("code", "coding", "[]", "code")} == set(systems())


@pytest.mark.parametrize("letters", LETTERS)
@pytest.mark.parametrize("kind", READ_TYPES)
def test_no_string_costs_more_than_its_length(kind: str, letters: str, full: bool, record_property: Record) -> None:
    tried = [(path, system) for of, path, system in STRINGS if of == kind]
    if not full:  # codes under each system, but only some of the other strings
        tried = tried[:: max(1, len(tried) // 3)]
    for path, system in tried:

        def make(length: int, path: Path = path, system: str = system) -> bytes:
            text = (LETTERS[letters] * length)[:length]
            return request_with([with_text(kind, path, text, systems().get(system, ""))])

        for door in DOORS:
            try:
                law(door, make, LENGTH, disease=False, largest=2_000_000 if full else 1_000_000)
            except AssertionError as error:
                raise AssertionError(f"{door}, {kind}.{'.'.join(path)} {system}: {error}") from None
    record_property(PROOF, f"law of length: {kind} {letters}: {len(tried)} strings")


ANSWERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda text: {"valueString": text},
    "number in a text": lambda text: {"valueString": f"1 {text}"},
    "unit": lambda text: {"valueQuantity": {"value": 1, "unit": text}},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("letters", LETTERS)
def test_no_text_that_many_facts_are_asked_of_costs_more_than_its_length(letters: str, answer: str, door: str) -> None:
    def make(length: int) -> bytes:
        text = (LETTERS[letters] * length)[:length]
        return request_with([observed("o", code=of_facts(MAX_FACTS_OF_A_CODE), **ANSWERS[answer](text))])

    law(door, make, LENGTH, disease=False, largest=2_000_000)


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def all_facts() -> dict[str, Any]:
    """Return a concept that is checked for every fact of an Observation."""
    loaded = knowledge.load()
    concepts = {c for d in loaded.facts.values() if d.source == "Observation" for c in d.concepts}
    read = [
        (s, m.code) for s, m in loaded.terminology.all_rows() if m.concept in concepts and not m.concept.startswith("cond.")
    ]
    own = [(loaded.assessment_system, code) for d in loaded.facts.values() for code in d.assessment]
    uris = loaded.terminology.uris
    return {"coding": [{"system": uris.get(system, system), "code": code} for system, code in [*read, *own]][:MAX_LIST_ITEMS]}


def of_facts(count: int) -> dict[str, Any]:
    """Return a concept with `count` of the service's own codes, each of another fact."""
    loaded = knowledge.load()
    codes = [d.assessment[0] for d in loaded.facts.values() if d.assessment][:count]
    return {"coding": [{"system": loaded.assessment_system, "code": code} for code in codes]}


def observed(name: object, **fields: Any) -> dict[str, Any]:
    """Return an INR of a few days ago, or with other fields if given."""
    sound = {"effectiveDateTime": "2026-11-20", "status": "final", "code": coded("6301-6", LOINC)}
    return resource("Observation", name, **{**sound, **fields})


def within(count: int, most: int, make: Callable[[int, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return resources with `count` items in all, each with a limited number."""
    return [make(number, min(most, count - first)) for number, first in enumerate(range(0, count, most))]


def inr(number: object, value: object) -> dict[str, Any]:
    return observed(number, valueQuantity={"value": value, "unit": "1"})


HISTOLOGY = {
    "code": coded("59847-4", LOINC),
    "valueCodeableConcept": coded("8240/3", "http://terminology.hl7.org/CodeSystem/icd-o-3"),
}
RESOLVED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
SAME_HASH = 2**61 - 1
"""Python hashes numbers modulo this prime."""
MOST = MAX_LIST_ITEMS
THREE_FACTS = {"coding": [*coded("K72.10")["coding"], *coded("I50.9")["coding"], *coded("C78.7")["coding"]]}

IN_LIVER = {"bodySite": coded("10200004", SNOMED)}
ORDERED = {"status": "active", "intent": "order"}
A_CODE = {"code": {"coding": [{"code": "a"}]}}
WITHOUT_SYSTEM = {"code": {"coding": [{"code": "6301-6"}]}}
OF_MANY_SITES = {"coding": coded("10200004", SNOMED)["coding"] * 50}
OF_MANY_CODES = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": ATC, "code": "L01BC06"}] * MOST}}
OF_MANY_INGREDIENTS = {
    "resourceType": "Medication", "id": "m",
    "ingredient": [{"itemCodeableConcept": {"coding": [{"system": ATC, "code": "L01BC06"}]}}] * MOST,
}  # fmt: skip
Make = Callable[[int], list[dict[str, Any]]]


def of_codings(make: Callable[[int], dict[str, Any]]) -> Make:
    return lambda n: within(n, MOST, lambda i, k: resource("Condition", i, code={"coding": [make(j) for j in range(k)]}))


def of_components(make: Callable[[int], dict[str, Any]]) -> Make:
    return lambda n: within(n, MOST, lambda i, k: observed(i, component=[make(j) for j in range(k)]))


def of_conditions(make: Callable[[int], dict[str, Any]]) -> Make:
    return lambda n: [resource("Condition", i, **make(i)) for i in range(n)]


def of_observations(make: Callable[[int], dict[str, Any]]) -> Make:
    return lambda n: [observed(i, **make(i)) for i in range(n)]


def sizes(count: int, named: Callable[[int], str]) -> list[dict[str, Any]]:
    """Return tumour sizes whose focus is on `count` diagnoses in all, each with a limited number."""
    return within(count, MOST, lambda i, k: observed(
        i, code=coded("33728-7", LOINC), focus=[{"reference": f"Condition/{named(j)}"} for j in range(k)]
    ))  # fmt: skip


def of_drugs(make: Callable[[int], dict[str, Any]]) -> Make:
    return lambda n: [resource("MedicationRequest", i, **ORDERED, **make(i)) for i in range(n)]


def together(*parts: Make) -> Make:
    """Return equal numbers of each kind, with distinct ids."""
    return lambda n: [
        {**found, "id": f"{place}-{found['id']}"} for place, part in enumerate(parts) for found in part(max(1, n // len(parts)))
    ]


LISTS: dict[str, Make] = {
    "codings of ICD-10": of_codings(lambda j: {"system": ICD_10_CM, "code": "C34.90"}),
    "codings of nothing": of_codings(lambda j: {}),
    "codings of all sorts": of_codings(lambda j: {"system": f"s{j}", "code": "a"}),
    "components of nothing": of_components(lambda j: A_CODE),
    "components that answer": of_components(
        lambda j: {"code": coded("6301-6", LOINC), "valueQuantity": {"value": j, "unit": "1"}}
    ),
    "components without a system": of_components(lambda j: WITHOUT_SYSTEM),
    "members of a panel of all facts": lambda n: within(
        n, MOST, lambda i, k: observed(i, code=all_facts(), hasMember=[{}] * k)
    ),
    "members": lambda n: within(
        n, MOST, lambda i, k: observed(i, hasMember=[{"reference": f"Observation/{j}"} for j in range(k)])
    ),
    "focuses of histologies": lambda n: within(
        n, MOST, lambda i, k: observed(i, **HISTOLOGY, focus=[{"reference": f"Condition/{j}"} for j in range(k)])
    ),
    "body sites": lambda n: within(
        n, MOST, lambda i, k: resource("Condition", i, code=coded("C79.9"), bodySite=[coded("10200004", SNOMED)] * k)
    ),
    "extensions": lambda n: within(
        n, MOST, lambda i, k: resource("Condition", i, code=coded("C34.90"), extension=[{"url": "u"}] * k)
    ),
    "body sites and codings": lambda n: within(
        n, MOST, lambda i, k: resource(
            "Condition", i, code={"coding": [{"system": ICD_10_CM, "code": "C79.9"}] * k},
            bodySite=[coded("10200004", SNOMED)] * k,
        ),
    ),
    "codings of a size and components": lambda n: within(
        n, MOST, lambda i, k: observed(
            i, **IN_LIVER, code={"coding": [{"system": LOINC, "code": "33728-7"}] * k}, component=[{"valueString": "x"}] * k
        ),
    ),
    "codings of a histology and of its answer": lambda n: within(
        n, MOST, lambda i, k: observed(
            i, **IN_LIVER, code={"coding": HISTOLOGY["code"]["coding"] * k},
            valueCodeableConcept={"coding": [{"code": "a"}] * k},
        ),
    ),
    "codings of an answer that all facts are asked of": lambda n: within(
        n, MOST, lambda i, k: observed(i, code=all_facts(), valueCodeableConcept={"coding": [{}] * k})
    ),
    "codings of an answer that many facts are asked of": lambda n: within(
        n, MOST, lambda i, k: observed(i, code=of_facts(MAX_FACTS_OF_A_CODE), valueCodeableConcept={"coding": [{}] * k})
    ),
    "codings without a system": lambda n: within(
        n, MOST, lambda i, k: observed(i, code={"coding": [{"code": "6301-6"}, *({"code": str(j)} for j in range(k - 1))]})
    ),
    "codings of orders": lambda n: within(
        n, MOST, lambda i, k: resource("ServiceRequest", i, **ORDERED, code={"coding": [{}] * k})
    ),
    "a list longer than is read": lambda n: [resource("Condition", "long", code={"coding": [{"code": "a"}] * n})],
    "versions": lambda n: [inr("same", 5 + i) for i in range(n)],
    "versions of one hash": lambda n: [inr("same", 5 + i * SAME_HASH) for i in range(n)],
    "versions of one hash, an end": lambda n: [
        resource("Condition", "same", code=coded("K76.0"), abatementAge=5 + i * SAME_HASH) for i in range(n)
    ],
    "versions of one hash, a component": lambda n: [
        observed("same", component=[{"valueQuantity": {"value": 5 + i * SAME_HASH}}]) for i in range(n)
    ],
    "diagnoses of one fact": of_conditions(lambda i: {"code": coded("K72.10")}),
    "diagnoses of two facts": of_conditions(lambda i: {"code": coded("K72.10" if i % 2 else "I50.9")}),
    "procedures of three facts": lambda n: [resource("Procedure", i, status="completed", code=THREE_FACTS) for i in range(n)],
    "diagnoses and histologies": together(
        of_conditions(lambda i: {"code": coded("C18.7")}), of_observations(lambda i: HISTOLOGY)
    ),
    "resolved tumours of the lung, diagnoses and histologies": together(
        of_conditions(lambda i: {"code": coded("C34.90"), **RESOLVED}),
        of_conditions(lambda i: {"code": coded("I10")}),
        of_observations(lambda i: HISTOLOGY),
    ),
    "values of one day": of_observations(lambda i: {"valueQuantity": {"value": 1 + i / 1_000_000, "unit": "1"}}),
    "values of many days": of_observations(
        lambda i: {
            "valueQuantity": {"value": 1, "unit": "1"},
            "effectiveDateTime": f"20{i % 26:02}-{i % 12 + 1:02}-{i % 28 + 1:02}",
        }
    ),
    "abnormal values of many instants": of_observations(
        lambda i: {
            "valueQuantity": {"value": 3 + i / 1_000_000, "unit": "1"},
            "effectiveDateTime": f"2026-11-{i % 20 + 1:02}T{i // 20 % 24:02}:{i // 480 % 60:02}:{i // 28_800:02}Z",
        }
    ),
    "readings of all facts": lambda n: of_observations(
        lambda i: {"code": all_facts(), "valueQuantity": {"value": 1 + i / 1000, "unit": "1"}}
    )(max(1, n // 200)),
    "tumour sizes": of_observations(
        lambda i: {"code": coded("33728-7", LOINC), **IN_LIVER, "valueQuantity": {"value": 1 + i / 1000, "unit": "cm"}}
    ),
    "prescriptions of one drug of many codes": lambda n: [
        OF_MANY_CODES, *of_drugs(lambda i: {"medicationReference": {"reference": "Medication/m"}})(n)
    ],
    "prescriptions of one drug of a long name": lambda n: [
        {"resourceType": "Medication", "id": "m", "code": {"text": "a " * (n * 20)}},
        *of_drugs(lambda i: {"medicationReference": {"reference": "Medication/m"}})(max(1, n // 10)),
    ],
    "prescriptions by name": of_drugs(lambda i: {"medicationCodeableConcept": {"text": f"capecitabine {i}"}}),
    "prescriptions of one drug of many ingredients": lambda n: [
        OF_MANY_INGREDIENTS, *of_drugs(lambda i: {"medicationReference": {"reference": "Medication/m"}})(n)
    ],
    "ingredients that refer to what is contained": lambda n: within(
        n, MOST // 2, lambda i, k: resource(
            "MedicationRequest", i, **ORDERED, medicationReference={"reference": "#m"},
            contained=[
                {"resourceType": "Medication", "id": "m", "ingredient": [{"itemReference": {"reference": f"#{j}"}}
                                                                         for j in range(k)]},
                *({"resourceType": "Substance", "id": str(j), "code": {"text": "x"}} for j in range(k)),
            ],
        ),
    ),
    "names that begin like those of drugs": of_drugs(
        lambda i: {"medicationCodeableConcept": {"text": "interferon alfa 3 n human leukocyte " * 20 + str(i)}}
    ),
    "accents in the name of a drug": lambda n: [
        resource("MedicationRequest", 0, **ORDERED, medicationCodeableConcept={"text": "a" + "\u0301\u0316" * (n * 2)}),
        *of_drugs(lambda i: {"medicationCodeableConcept": {"text": "\u0301"}})(n // 2),
    ],
    "procedures in words": lambda n: [
        resource("Procedure", i, status="completed", code={"text": "hemi" * 100 + str(i)}) for i in range(max(1, n // 10))
    ],
    "contained drugs": lambda n: within(
        n, MOST, lambda i, k: resource(
            "MedicationRequest", i, **ORDERED, medicationReference={"reference": "#no"},
            contained=[{"resourceType": "Medication", "id": str(j)} for j in range(k)],
        ),
    ),
    "orders": lambda n: [resource("ServiceRequest", i, **ORDERED, code=coded("6301-6", LOINC)) for i in range(n)],
    "reports": lambda n: [resource("DiagnosticReport", i, status="final", code=coded("42148-7", LOINC)) for i in range(n)],
    "unreadable resources": of_observations(lambda i: {"valueQuantity": "no quantity"}),
    "codes that ICD-10 cannot have": of_conditions(lambda i: {"code": coded("C78.7 RULED OUT")}),
    "results contained in reports": lambda n: within(
        n, MOST, lambda i, k: resource(
            "DiagnosticReport", i, status="final", code=coded("58410-2", LOINC),
            result=[{"reference": f"#{j}"} for j in range(k)],
            contained=[{"resourceType": "Observation", "id": str(j), "status": "final", "code": coded("6301-6", LOINC),
                        "valueQuantity": {"value": j, "unit": "1"}} for j in range(k)],
        ),
    ),
    "results that were promised": lambda n: within(
        n, MOST, lambda i, k: resource(
            "DiagnosticReport", i, status="final", result=[{"reference": f"Observation/{j}"} for j in range(k)]
        )
    ),
    "values without a date": of_observations(
        lambda i: {"effectiveDateTime": None, "issued": f"2026-10-{i % 28 + 1:02}", "valueQuantity": {"value": i, "unit": "1"}}
    ),
    "findings of nobody knows whom": together(
        of_conditions(lambda i: {"code": coded("C78.7"), "subject": None}),
        of_observations(lambda i: {**HISTOLOGY, "subject": None}),
    ),
    "sites by another resource": lambda n: [
        resource("Condition", "of-many-sites", code=coded("C79.9"), bodySite=[OF_MANY_SITES] * (MOST // 10)),
        *sizes(n, lambda j: "of-many-sites"),
    ],
    "sites by many other resources": lambda n: [
        *(resource("Condition", f"liver-{j}", code=coded("C78.7")) for j in range(MOST)),
        *sizes(n, lambda j: f"liver-{j}"),
    ],
    "certainties": of_codings(lambda j: {"system": GM, "code": "C78.7A"}),
    "codes of no system": of_codings(lambda j: {"system": f"s{j}", "code": "C7B.02"}),
    "accents that compose": lambda n: [
        resource("Condition", "a" + "\u0301\u0316" * 500 + str(i), code=coded("C78.7?")) for i in range(max(1, n // 20))
    ],
}  # fmt: skip


def of_size(name: str, size: int) -> int:
    """Return the number of items for a body of about `size` bytes, within the limits of values and resources."""
    few, more = (request_with(LISTS[name](count), disease=True) for count in (3_000, 6_000))
    each, commas = (len(more) - len(few)) / 3_000, (more.count(b",") - few.count(b",")) / 3_000
    resources = len(LISTS[name](6_000)) / 6_000
    return int(min((size - len(few) + 3_000 * each) / each, 950_000 / commas, 49_000 / resources))


OF_SHORT_FORM, OF_LARGEST = 3, 16
"""The short form tries every third list, at one door, and every sixteenth of the largest bodies."""


def tried() -> Iterator[tuple[str, str]]:
    """Yield the lists to try, each with its door."""
    for place, name in enumerate(LISTS):
        if depth.full:
            yield from ((name, door) for door in DOORS)
        elif place % OF_SHORT_FORM == 0:
            yield name, [*DOORS][place // OF_SHORT_FORM % len(DOORS)]


@pytest.mark.parametrize(("name", "door"), [*tried()])
def test_no_list_costs_more_than_its_length(name: str, door: str, record_property: Record) -> None:
    """Also checks the promise of two seconds for a chart of 1 MB with the disease."""

    def make(length: int) -> bytes:
        return request_with(LISTS[name](length), disease=True)

    once, twice = law(door, make, of_size(name, SMALL_BODY) // 2, disease=True)
    assert twice + base(door, True) <= 2 * slowness()
    record_property(PROOF, f"1 MB, {door}: {name}: {once:.2f} s for half of it, {twice:.2f} s for all")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [*LISTS][:: 1 if depth.full else OF_LARGEST])
def test_the_largest_body_costs_no_more_than_was_promised(name: str, door: str, full: bool, record_property: Record) -> None:
    """Ten seconds for a chart with the disease. The short form tries a fifth of the size, for some lists."""
    size, most = (LARGEST_BODY, 10.0) if full else (LARGEST_BODY // 5, 4.0)
    body = request_with(LISTS[name](of_size(name, size - 100_000)), disease=True)
    took = seconds(DOORS[door], body, (200, 413), 1)
    most *= slowness()
    if took > most:
        took = seconds(DOORS[door], body, (200, 413), 2)
    record_property(PROOF, f"{len(body) / 1e6:.1f} MB, {door}: {name}: {took:.2f} s")
    assert took <= most, f"{len(body):,} bytes took {took:.1f} s"
