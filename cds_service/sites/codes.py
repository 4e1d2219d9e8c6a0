"""Read `[[code]]` of a site file: the site's own codes and texts, in the terms of the knowledge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_service.errors import Fault
from cds_service.fhir.number_texts import read_number_text
from cds_service.fhir.values import exact_number
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.shape import did_you_mean
from cds_service.knowledge.terminology import TEXT, LocalCodes, StandardCoding, Use, ValueSetMember, without_dots
from cds_service.knowledge.vocabulary import FactKind

Tables = Mapping[str, Any]
OWN_SYSTEM = "nlm-assessment"
"""How `means` names the project's own CodeSystem."""
ADVICE_BY_KIND = {
    FactKind.PRESENCE: "is stated by codes of diagnoses, procedures or drugs; use `means` or `concept` instead",
    FactKind.PERSON: "is a fact that a site cannot map",
}
"""Kinds of facts that no `fact` may name → the rest of a sentence about such a fact."""


@dataclass
class SiteCodes:
    """Collects the entries of `[[code]]`."""

    knowledge: Knowledge
    means: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(system, code) → the standard (system, code)."""
    facts: dict[tuple[str, str], str] = field(default_factory=dict)
    """(system, code) → the fact that an Observation of it states."""
    values: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(fact, system, code or text) → the answer."""
    rows: list[ValueSetMember] = field(default_factory=list)
    _explained_by: dict[tuple[str, ...], str] = field(default_factory=dict)

    def local(self) -> LocalCodes:
        """Return the entries that `read` collected."""
        return LocalCodes(self.means, self.facts, self.values, tuple(self.rows))

    def read(self, entries: list[Tables | None]) -> Iterator[Fault]:
        """Collect the entries and yield their faults. An entry that does not fit the schema is None here."""
        for number, entry in enumerate(entries, 1):
            if entry is None:
                continue
            where = f"code.{number}"
            kinds = [key for key in ("means", "fact", "concept") if key in entry]
            if len(kinds) != 1:
                yield Fault(where, f"must have one of means, fact and concept; it has {' and '.join(kinds) or 'none'}")
            elif "text" in entry:
                yield from self._text(where, entry)
            elif "system" not in entry or "code" not in entry:
                yield Fault(where, "must have system and code, or else a text that is an answer")
            else:
                yield from self._entry(where, entry, kinds[0])

    def _entry(self, where: str, entry: Tables, kind: str) -> Iterator[Fault]:
        for also, only in (("value", "fact"), ("unheld", "means"), ("use", "concept")):
            if also in entry and kind != only:
                yield Fault(f"{where}.{also}", f"must be used with {only}, not with {kind}")
        value = None
        if kind == "fact":
            definition = self.knowledge.facts.get(entry["fact"])
            if definition is None or definition.kind in ADVICE_BY_KIND:
                yield _fact_fault(f"{where}.fact", entry["fact"], self.knowledge)
                return
            if "value" in entry:
                value = self._value(definition, entry["value"])
                if value is None:
                    yield _value_fault(f"{where}.value", entry["value"], definition)
                    return
        target: tuple[str, str] | None = None
        if kind == "means":
            target = self._standard(entry["means"])
            if target is None or not (self._held(target) or entry.get("unheld")):
                text = (
                    f"is {entry['means']!r}, a code that the knowledge does not hold; add `unheld = true` if that is intended"
                )
                yield Fault(f"{where}.means", text)
                return
        use: Use | None = None
        if kind == "concept":
            uses = {m.use.value: m.use for _, m in self.knowledge.terminology.all_rows() if m.concept == entry["concept"]}
            asked = entry.get("use", Use.DECIDES.value)
            use = uses.get(asked)
            if use is None:
                yield self._concept_fault(where, entry["concept"], asked, uses)
                return
        codes = [entry["code"]] if isinstance(entry["code"], str) else entry["code"]
        for code in codes:
            key: tuple[str, str] = (self._short(entry["system"]), code.strip())
            if key[0] == self.knowledge.assessment_system or self._held(key):
                yield Fault(f"{where}.code", f"is {code!r}, which the knowledge already reads; its meaning cannot be changed")
                continue
            about: tuple[str, ...] = (*key, entry["fact"]) if value is not None else key
            answer_too = any(other[1:] == key for other in self.values) if kind == "means" else key in self.means
            if self._explained_by.setdefault(about, where) != where or (answer_too and kind != "concept"):
                yield Fault(f"{where}.code", f"is {code!r}, which another entry already explains")
                continue
            if value is not None:
                self.values[(entry["fact"], *key)] = value
            elif kind == "fact":
                self.facts[key] = entry["fact"]
            elif target is not None:
                self.means[key] = target
            elif use is not None:
                self.rows.append(ValueSetMember(*key, entry["concept"], use, entry.get("display", code)))

    def _text(self, where: str, entry: Tables) -> Iterator[Fault]:
        """Collect a text that charts send as an answer. It is compared as a whole: no free text is read."""
        definition = self.knowledge.facts.get(entry.get("fact", ""))
        if (
            definition is None
            or definition.kind in ADVICE_BY_KIND
            or "value" not in entry
            or "code" in entry
            or "system" in entry
        ):
            yield Fault(where, "has a text, and so needs a fact of Observations and its value, without system and code")
            return
        value = self._value(definition, entry["value"])
        if value is None:
            yield _value_fault(f"{where}.value", entry["value"], definition)
            return
        said = without_dots(TEXT, entry["text"])
        asked = [definition.id, *(["yes_no"] if definition.kind is FactKind.BOOLEAN else [])]
        answers = {self.knowledge.terminology.value(name, StandardCoding(TEXT, said)) for name in asked}
        answers |= {option for option in definition.options if without_dots(TEXT, option) == said}
        number = definition.kind.numeric and read_number_text(said, self.knowledge.number_writing, definition.names)
        if answers - {None, value} or number:
            yield Fault(f"{where}.text", f"is {entry['text']!r}, which is already read as another answer or as a number")
        elif self._explained_by.setdefault((TEXT, said, definition.id), where) != where:
            text = f"is {entry['text']!r}, which another entry already explains (case and blanks are ignored)"
            yield Fault(f"{where}.text", text)
        else:
            self.values[(definition.id, TEXT, said)] = value

    def _value(self, definition: FactDefinition, value: object) -> str | None:
        """Return a site's answer as the terminology keeps answers, a number in the unit of the fact; None if the fact cannot
        have it."""
        if definition.kind is FactKind.BOOLEAN:
            return str(value).lower() if isinstance(value, bool) else None
        if definition.kind.numeric and isinstance(value, str):
            return exact_number(self.knowledge, definition, value)
        if definition.kind.numeric:
            if not isinstance(value, int) or isinstance(value, bool) or not definition.range:
                return None
            return str(value) if definition.range[0] <= value <= definition.range[1] else None
        return value if isinstance(value, str) and value in definition.options else None

    def _concept_fault(self, where: str, concept: str, use: str, uses: Mapping[str, Use]) -> Fault:
        if uses:
            return Fault(f"{where}.use", f"is {use!r}, which {concept} does not have; its uses: {', '.join(sorted(uses))}")
        known = sorted({member.concept for _, member in self.knowledge.terminology.all_rows()})
        return Fault(
            f"{where}.concept", f"is {concept!r}, which is no concept of terminology.toml{did_you_mean(concept, known)}"
        )

    def _short(self, system: str) -> str:
        return self.knowledge.terminology.system_name(system)

    def _standard(self, means: str) -> tuple[str, str] | None:
        system, _, code = means.partition("|")
        if system == OWN_SYSTEM:
            return (self.knowledge.assessment_system, code)
        return (system, code) if system in self.knowledge.terminology.uris else None

    def _held(self, key: tuple[str, str]) -> bool:
        coding, facts = StandardCoding(*key), self.knowledge.facts
        if key[0] == self.knowledge.assessment_system:
            return any(key[1] in (*d.assessment, *d.options) for d in facts.values())
        terms = self.knowledge.terminology
        questions = (*facts, "yes_no", "body_site")
        return bool(terms.meanings(coding)) or any(terms.value(name, coding) is not None for name in questions)


def _fact_fault(where: str, name: str, knowledge: Knowledge) -> Fault:
    if name in knowledge.facts:
        return Fault(where, f"is {name!r}, which {ADVICE_BY_KIND[knowledge.facts[name].kind]}")
    return Fault(where, f"is {name!r}, which is no fact of facts.toml{did_you_mean(name, knowledge.facts)}")


def _value_fault(where: str, value: object, definition: FactDefinition) -> Fault:
    if definition.kind is FactKind.BOOLEAN:
        allowed = "true or false"
    elif definition.options:
        allowed = f"one of {', '.join(definition.options)}"
    else:
        low, high = definition.range or ("?", "?")
        written = f"a number with its unit in quotes ({', '.join(definition.units)})"
        allowed = f"a whole number or {written}, in the range of {definition.id} ({low} to {high})"
    return Fault(where, f"is {value!r}, and must be {allowed}")
