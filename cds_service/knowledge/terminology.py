"""Codes: which concept a coding belongs to and what its `use` lets it decide (knowledge/terminology.toml)."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from cds_service.knowledge.written_otherwise import WrittenOtherwise

TEXT = "text"
"""System name of texts: the code is then a text, matched whole, case-insensitively."""
ICD_10_SYSTEMS = frozenset({"icd-10-cm", "icd-10"})
NO_SYSTEMS = frozenset[str]()
ICD_9_SYSTEMS = frozenset({"icd-9-cm"})
PREFIX_SYSTEMS = ICD_10_SYSTEMS | ICD_9_SYSTEMS
"""Systems matched by prefix, as ICD codes form a tree: C7A.010 is a C7A. Every other system matches whole codes only."""
ICD_10_CODE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?(?:\.?-)?[+*!†]?", re.IGNORECASE)
"""A code with the marks of ICD-10: a dash for an open position, dagger, asterisk and exclamation mark."""
ICD_10_WITH_LETTER = re.compile(
    r"(?P<code>[A-Z][0-9][0-9A-Z](?:\.?\d{1,4})?(?:\.?-)?[+*!†]?)(?:\s{0,3}(?P<letter>[A-Z]))?", re.IGNORECASE
)
"""A code of any edition but the American, whose codes end in letters: digits, marks, and the letter of a certainty."""
ICD_9_CODE = re.compile(r"\d{3}\.\d{1,2}")
"""A code of ICD-9-CM; the dot distinguishes it from other numbers."""
ICD_O_CODE = re.compile(r"(?<![\d/.])(?:M-?)?(\d{4}/\d)(?![\d/.])", re.IGNORECASE)
"""An ICD-O morphology within a text: 8240/3, M8240/3."""
EDITION_SUFFIX = re.compile(r"[a-z]{2}")
SNOMED = "http://snomed.info/sct"
SNOMED_EDITION = re.compile(r"(http://snomed\.info/sct)/\d+(/version/\d+)?")
"""SNOMED CT URI of an edition, with or without a version. Neither changes the meaning of a code of terminology.toml."""
MAX_URI_CHARS = 500
"""Characters of a URI that are searched."""
ATC, ATC_EDITION = "atc", re.compile(r"(?:^|[/:._|-])atc(?:[/:._|-]|$)", re.IGNORECASE)
"""URIs of national editions of ATC contain "atc": http://fhir.de/CodeSystem/bfarm/atc. They add codes and change none of
terminology.toml."""


class Use(StrEnum):
    """What a code may decide; the head of terminology.toml explains each member.

    The program uses the properties below or compares members, never their text.
    """

    DECIDES = "decides"
    DECIDES_NEN = "decides-nen"
    DECIDES_NEN_AND_NEC = "decides-nen-and-nec"
    DECIDES_NEN_SITE_FROM_BODY_SITE = "decides-nen-site-from-body-site"
    DECIDES_NEN_SITE_UNKNOWN = "decides-nen-site-unknown"
    DECIDES_IF_NOT_LUNG = "decides-if-not-lung"
    DECIDES_IF_RECENT = "decides-if-recent"
    DECIDES_LASTING = "decides-lasting"
    QUESTION = "question"
    QUESTION_SITE = "question-site"
    NODAL = "nodal"
    POSSIBLE = "possible"
    EXCLUDE = "exclude"
    HISTORY = "history"
    BENIGN = "benign"
    CONTEXT = "context"

    @property
    def decides(self) -> bool:
        """Return whether the code states what its concept says, alone or under the condition that the use names."""
        return self in _DECIDING

    @property
    def asks(self) -> bool:
        """Return whether the code only leaves a question."""
        return self in _ASKING

    @property
    def may_state_a_fact(self) -> bool:
        """Return whether a fact may use the code, if only to ask; context, history and the like never state a fact."""
        return self.decides or self.asks or self is Use.POSSIBLE

    @property
    def poorly_differentiated(self) -> bool:
        """Return whether the tumour of the code is, or may be, a carcinoma (NEC)."""
        return self is Use.DECIDES_NEN_AND_NEC or self is Use.DECIDES_IF_NOT_LUNG

    def decides_nen(self, of_lung: bool) -> bool:
        """Return whether the code states a neuroendocrine neoplasm. `of_lung`: the primary is in the lung."""
        return self.decides and not (of_lung and self is Use.DECIDES_IF_NOT_LUNG)


_DECIDING = frozenset(
    {
        Use.DECIDES, Use.DECIDES_NEN, Use.DECIDES_NEN_AND_NEC, Use.DECIDES_NEN_SITE_FROM_BODY_SITE,
        Use.DECIDES_NEN_SITE_UNKNOWN, Use.DECIDES_IF_NOT_LUNG, Use.DECIDES_IF_RECENT, Use.DECIDES_LASTING,
    }
)  # fmt: skip
_ASKING = frozenset({Use.QUESTION, Use.QUESTION_SITE})


@dataclass(frozen=True, slots=True)
class StandardCoding:
    """A coding of a chart. `system` is the short name of the system in terminology.toml, else its URI."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the terminology that a coding matches, such as cond.liver_mets, decides."""

    concept: str
    use: Use
    code: str
    display: str


class ValueSetMember(NamedTuple):
    """A code of a value set with its use there."""

    system: str
    code: str
    concept: str
    use: Use
    display: str


@dataclass(frozen=True)
class LocalCodes:
    """The meaning of a site's own codes. Keys are (system, code) as charts send them."""

    means: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Local code → standard code with the same meaning; the local code is read as that code everywhere."""
    facts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Local code → fact that an Observation with it states."""
    values: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """(fact, system or "text", code or text) → answer."""
    rows: tuple[ValueSetMember, ...] = ()
    """Codes that the site adds to value sets of terminology.toml (CPT codes of a licensed site)."""


class Terminology:
    """Look-up of codes. Immutable after construction."""

    def __init__(
        self,
        systems: Mapping[str, Iterable[str]],
        rows: Iterable[ValueSetMember],
        values: Mapping[str, Mapping[str, Mapping[str, Iterable[str]]]],
        written: WrittenOtherwise,
    ) -> None:
        """`systems`: short name → URIs; `values`: fact → value → system → codes."""
        self.system_names = {uri: name for name, uris in systems.items() for uri in uris}
        self._plain_names = {plain_uri(uri): name for uri, name in self.system_names.items()}
        self.written = written
        self.uris = {name: next(iter(uris)) for name, uris in systems.items()}
        self._rows: dict[tuple[str, str], list[Meaning]] = {}
        self._systems_of: dict[str, frozenset[str]] = {}  # by code, without the systems matched by prefix
        self._coded_systems: frozenset[str] = frozenset()  # all with a row
        for member in rows:
            self._add(member)
        self._values = {
            (fact, system, without_dots(system, code)): value
            for fact, by_value in values.items()
            for value, by_system in by_value.items()
            for system, codes in by_system.items()
            for code in codes
        }
        self.local = LocalCodes()
        self._valued_systems = frozenset(system for _, system, _ in self._values)
        self._longest = self._longest_prefix()

    def _add(self, member: ValueSetMember) -> None:
        code = without_dots(member.system, member.code)
        meaning = Meaning(member.concept, member.use, member.code, member.display)
        self._rows.setdefault((member.system, code), []).append(meaning)
        self._coded_systems |= {member.system}
        if member.system not in PREFIX_SYSTEMS:
            self._systems_of[code] = self._systems_of.get(code, frozenset()) | {member.system}

    def with_local(self, local: LocalCodes) -> Terminology:
        """Return a copy with a site's codes added; a local code never changes the meaning of a standard code."""
        made = copy.copy(self)
        made.local = local
        made._rows = {key: list(meanings) for key, meanings in self._rows.items()}
        made._systems_of = dict(self._systems_of)
        for member in local.rows:
            made._add(member)
        made._values = self._values | {(f, s, without_dots(s, code)): value for (f, s, code), value in local.values.items()}
        made._valued_systems = frozenset(system for _, system, _ in made._values)
        made._longest = made._longest_prefix()
        return made

    def _longest_prefix(self) -> int:
        """Return the length of the longest code among the systems matched by prefix."""
        held = [*self._rows, *((system, code) for _, system, code in self._values)]
        return max((len(code) for system, code in held if system in PREFIX_SYSTEMS), default=0)

    def local_questions(self, concepts: Iterable[str], own: Iterable[tuple[str, str]]) -> set[str]:
        """Return the site's codes that ask the same as these concepts, or as these standard codes (`own`)."""
        wanted, ours = set(concepts), set(own)
        asked = {code for _, code in self.local.facts}
        for (_, code), meant in self.local.means.items():
            about = {meaning.concept for meaning in self.meanings(StandardCoding(*meant))}
            if meant in ours or about & wanted:
                asked.add(code)
        return asked

    def system_name(self, system: str | None) -> str:
        """Return the short name of a system in any spelling of its URI (https, final slash, edition); else the URI."""
        sent = system.strip() if system else ""
        if not sent:
            return ""
        if name := self.system_names.get(sent):
            return name
        plain = plain_uri(sent)
        if name := self._plain_names.get(SNOMED_EDITION.sub(r"\1", plain) if plain.startswith(SNOMED) else plain):
            return name
        if (name := self.written.editions.get(plain[:-2])) and EDITION_SUFFIX.fullmatch(plain[-2:].casefold()):
            return name
        return ATC if ATC in sent[:MAX_URI_CHARS].casefold() and ATC_EDITION.search(sent[:MAX_URI_CHARS]) else sent

    def coding(self, system: str | None, code: str | None, display: str | None) -> StandardCoding:
        """Return a coding of a chart as the standard coding that it means."""
        found = StandardCoding(self.system_name(system), (code or "").strip(), (display or "").strip())
        if meant := self.local.means.get((found.system, found.code)):
            return StandardCoding(*meant, found.display)
        if found.system in ICD_10_SYSTEMS:
            for name, beginnings in self.written.alone_in.items():
                if found.code.upper().startswith(beginnings):
                    return StandardCoding(name, found.code, found.display)
        return found

    def held_elsewhere(self, coding: StandardCoding) -> tuple[StandardCoding, ...]:
        """Return the same code in the systems that have it, if the system of the coding is missing, unknown or without it.

        These may only ask, never decide. Codes of `other_classifications` never match another system."""
        code = coding.code
        if not code or self.meanings(coding):
            return ()
        having = self._systems_of.get(code, NO_SYSTEMS) | self._systems_of.get(code.upper(), NO_SYSTEMS) | _systems_shaped(code)
        if not having or plain_uri(coding.system) in self.written.other_classifications:
            return ()
        systems = sorted(having & self.uris.keys() - {coding.system}, key=[*self.uris].index)
        found = (StandardCoding(system, code, coding.display) for system in systems)
        return tuple(each for each in found if self.meanings(each))

    def meanings_elsewhere(self, coding: StandardCoding) -> tuple[Meaning, ...]:
        """Return the meanings of `held_elsewhere`, each once."""
        return tuple(dict.fromkeys(meaning for held in self.held_elsewhere(coding) for meaning in self.meanings(held)))

    def morphologies_in(self, text: str | None) -> tuple[Meaning, ...]:
        """Return the meanings of the ICD-O codes within a text."""
        codes = dict.fromkeys(ICD_O_CODE.findall(text)) if text else ()
        return tuple(meaning for code in codes for meaning in self.meanings(StandardCoding("icd-o-3", code)))

    def fact(self, coding: StandardCoding) -> str | None:
        """Return the fact that a site's code states; None for any other code."""
        return self.local.facts.get((coding.system, coding.code))

    def meanings(self, coding: StandardCoding) -> tuple[Meaning, ...]:
        """Return the rows that match; for ICD those of the longest matching prefix (C7B.1 before C7B)."""
        if coding.system not in self._coded_systems:
            return ()
        for code in self._candidates(coding):
            if rows := self._rows.get((coding.system, code)):
                return tuple(rows)
        return ()

    def value(self, fact: str, coding: StandardCoding) -> str | None:
        """Return the value that a code gives a coded fact: ("primary_site", C7A.012) → small-bowel. None if it gives none."""
        if coding.system not in self._valued_systems:
            return None
        for code in self._candidates(coding):
            if found := self._values.get((fact, coding.system, code)):
                return found
        return None

    def _candidates(self, coding: StandardCoding) -> Iterable[str]:
        """Return the keys that a coding may match, the longest first.

        No prefix is longer than the longest key, as otherwise the time would grow with the square of the length of the code.
        """
        code = without_dots(coding.system, coding.code)
        if coding.system in PREFIX_SYSTEMS:
            return (code[:length] for length in range(min(len(code), self._longest), 2, -1))
        return (code,)

    def codes(self, concepts: Iterable[str], system: str) -> list[str]:
        """Return the codes of a system that belong to any of these concepts."""
        wanted = set(concepts)
        return [
            meaning.code
            for (name, _), meanings in self._rows.items()
            for meaning in meanings
            if name == system and meaning.concept in wanted
        ]

    def all_rows(self) -> Iterable[tuple[str, Meaning]]:
        """Yield every row with its system."""
        for (system, _), meanings in self._rows.items():
            for meaning in meanings:
                yield system, meaning


def _systems_shaped(code: str) -> frozenset[str]:
    """Return the systems matched by prefix whose codes have the form of this one."""
    if code[0].isalpha():
        return ICD_10_SYSTEMS if ICD_10_CODE.fullmatch(code) or ICD_10_WITH_LETTER.fullmatch(code) else NO_SYSTEMS
    return ICD_9_SYSTEMS if ICD_9_CODE.fullmatch(code) else NO_SYSTEMS


def plain_uri(uri: str | None) -> str:
    """Return a URI without version and final slash, and with http instead of https."""
    return (uri or "").strip().split("|", 1)[0].rstrip("/").replace("https://", "http://", 1)


def without_dots(system: str, code: str) -> str:
    """Return a code in the form in which it is compared.

    ICD codes lose their dot (C78.7, C787) and become upper case, ATC codes become upper case, and texts lose case and
    repeated spaces.
    """
    if system == TEXT:
        return " ".join(code.split()).casefold()
    if system == ATC:
        return code.upper()
    return code.replace(".", "").upper() if system in PREFIX_SYSTEMS else code
