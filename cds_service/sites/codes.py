"""`[[code]]` of a site file: what a site's own codes and texts say, in the terms of the knowledge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_service.errors import Fault
from cds_service.fhir.values import NUMBER_IN_TEXT
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import TEXT, LocalCodes, StandardCoding, Use, ValueSetMember, without_dots
from cds_service.knowledge.vocabulary import FactKind

Tables = Mapping[str, Any]
OWN_SYSTEM = "nlm-assessment"
"""How `means` names the project's own CodeSystem."""
ADVICE_BY_KIND = {FactKind.PRESENCE: "a fact that codes of diagnoses, procedures or drugs state: `means` or `concept` instead",
             FactKind.PERSON: "a fact that a site can map"}  # fmt: skip


@dataclass
class SiteCodes:
    """Collects the entries, and every fault of them."""

    knowledge: Knowledge
    means: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    facts: dict[tuple[str, str], str] = field(default_factory=dict)
    values: dict[tuple[str, str, str], str] = field(default_factory=dict)
    rows: list[ValueSetMember] = field(default_factory=list)
    _said: dict[tuple[str, ...], str] = field(default_factory=dict)

    def local(self) -> LocalCodes:
        return LocalCodes(self.means, self.facts, self.values, tuple(self.rows))

    def read(self, entries: list[Tables | None]) -> Iterator[Fault]:
        """None: an entry whose shape is at fault, which is told already."""
        for place, entry in enumerate(entries):
            if entry is None:
                continue
            where = f"code.{place}"
            kinds = [key for key in ("means", "fact", "concept") if key in entry]
            if len(kinds) != 1:
                yield Fault(where, ", ".join(kinds) or "none of them", "one of means, fact and concept")
            elif "text" in entry:
                yield from self._text(where, entry)
            elif "system" not in entry or "code" not in entry:
                yield Fault(where, "no system or no code", "system and code, or a text that is an answer")
            else:
                yield from self._entry(where, entry, kinds[0])

    def _entry(self, where: str, entry: Tables, kind: str) -> Iterator[Fault]:
        for also, only in (("value", "fact"), ("unheld", "means"), ("use", "concept")):
            if also in entry and kind != only:
                yield Fault(f"{where}.{also}", f"beside {kind}", f"only beside {only}")
        value = None
        if kind == "fact":
            definition = self.knowledge.facts.get(entry["fact"])
            if definition is None or definition.kind in ADVICE_BY_KIND:
                allowed = ADVICE_BY_KIND[definition.kind] if definition else "a fact of facts.toml"
                yield Fault(f"{where}.fact", repr(entry["fact"]), allowed)
                return
            if "value" in entry:
                value = _value(definition, entry["value"])
                if value is None:
                    yield Fault(f"{where}.value", repr(entry["value"]), _allowed(definition))
                    return
        target: tuple[str, str] | None = None
        if kind == "means":
            target = self._standard(entry["means"])
            if target is None or not (self._held(target) or entry.get("unheld")):
                yield Fault(
                    f"{where}.means", repr(entry["means"]), "a code that the knowledge holds, or `unheld = true` beside it"
                )
                return
        use: Use | None = None
        if kind == "concept":
            uses = {m.use.value: m.use for _, m in self.knowledge.terminology.all_rows() if m.concept == entry["concept"]}
            asked = entry.get("use", Use.DECIDES.value)
            use = uses.get(asked)
            if use is None:
                allowed = "a concept of terminology.toml and a use it has" + (f": {', '.join(sorted(uses))}" if uses else "")
                yield Fault(f"{where}.concept", f"{entry['concept']!r}, use {asked!r}", allowed)
                return
        codes = [entry["code"]] if isinstance(entry["code"], str) else entry["code"]
        for code in codes:
            key: tuple[str, str] = (self._short(entry["system"]), code.strip())
            if key[0] == self.knowledge.assessment_system or self._held(key):
                yield Fault(f"{where}.code", repr(code), "a code that the knowledge does not read already")
                continue
            about: tuple[str, ...] = (*key, entry["fact"]) if value is not None else key
            answer_too = any(other[1:] == key for other in self.values) if kind == "means" else key in self.means
            if self._said.setdefault(about, where) != where or (answer_too and kind != "concept"):
                yield Fault(f"{where}.code", repr(code), "a code that no other entry explains")
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
        """A text that a chart sends for an answer, whole and nothing else: no free text is read."""
        definition = self.knowledge.facts.get(entry.get("fact", ""))
        if (
            definition is None
            or definition.kind in ADVICE_BY_KIND
            or "value" not in entry
            or "code" in entry
            or "system" in entry
        ):
            yield Fault(where, "a text", "a text beside a fact of Observations and its value, without system and code")
            return
        value = _value(definition, entry["value"])
        if value is None:
            yield Fault(f"{where}.value", repr(entry["value"]), _allowed(definition))
            return
        said = without_dots(TEXT, entry["text"])
        asked = [definition.id, *(["yes_no"] if definition.kind is FactKind.BOOLEAN else [])]
        answers = {self.knowledge.terminology.value(name, StandardCoding(TEXT, said)) for name in asked}
        answers |= {option for option in definition.options if without_dots(TEXT, option) == said}
        if answers - {None, value} or (definition.kind.numeric and NUMBER_IN_TEXT.fullmatch(said)):
            yield Fault(f"{where}.text", repr(entry["text"]), "a text that is no answer already, and not read as a number")
        elif self._said.setdefault((TEXT, said, definition.id), where) != where:
            yield Fault(f"{where}.text", repr(entry["text"]), "a text that no other entry explains, case and blanks aside")
        else:
            self.values[(definition.id, TEXT, said)] = value

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


def _value(definition: FactDefinition, value: object) -> str | None:
    """A site's answer as the terminology keeps answers; None where the fact cannot be that."""
    if definition.kind is FactKind.BOOLEAN:
        return str(value).lower() if isinstance(value, bool) else None
    if definition.kind.numeric:
        if not isinstance(value, int) or isinstance(value, bool) or not definition.range:
            return None
        return str(value) if definition.range[0] <= value <= definition.range[1] else None
    return value if isinstance(value, str) and value in definition.options else None


def _allowed(definition: FactDefinition) -> str:
    if definition.kind is FactKind.BOOLEAN:
        return "true or false"
    return ", ".join(definition.options) or f"a whole number in the range of {definition.id}"
