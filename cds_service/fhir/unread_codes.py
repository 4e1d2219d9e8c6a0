"""Finds the facts that an Observation may state whose code is not read: a code of another system, or words that name the fact.

Such facts become unknown. They never get a value (docs/knowledge.md, "Facts").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from cds_service.fhir.concepts import codings, compute_once, names_of
from cds_service.fhir.resources import CodeableConcept
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import StandardCoding, Use, plain_uri
from cds_service.reasons import Reason

BARE_OID = re.compile(r"[0-2](?:\.\d{1,40}){2,40}")
"""An OID without the "urn:oid:" prefix, so not a URI."""
CODE_IN_TEXT = re.compile(r"(?<![\w-])\d{3,18}(?:-\d)?(?![\w-])")
MARKS = " ?!*+~"
"""Signs behind a code that may negate it or put it in doubt."""
MAX_NAME_CHARS = 200
Meant = list[tuple[FactDefinition, bool]]


def read_name(text: str) -> str:
    """Return a name in the form in which names are compared: letters and digits only, in lower case."""
    return "".join(sign for sign in text[:MAX_NAME_CHARS].casefold() if sign.isalnum())


class UnreadCodes:
    """The codes and names of all facts that Observations state, by which a code that is not read may name them."""

    def __init__(self, knowledge: Knowledge, codes: Set[str], meant: Callable[[Iterable[StandardCoding]], Meant]) -> None:
        """`codes`: every Observation code that is read. `meant`: the facts that codings state."""
        self.knowledge = knowledge
        terms = knowledge.terminology
        self._read_systems = frozenset({*terms.uris, knowledge.assessment_system})
        by_code = {code: meant(StandardCoding(system, code) for system in self._read_systems) for code in codes}
        # a tumour size states a fact of the liver only with its body site
        self._by_code = {
            code: [definition for definition, stated in found if stated or definition.id != "largest_lesion"]
            for code, found in by_code.items()
        }
        self._by_name: dict[str, list[FactDefinition]] = {}
        for definition in knowledge.facts.values():
            for name in (*definition.assessment, *definition.names):
                self._add(name, definition)
        for system, meaning in terms.all_rows():
            if meaning.use is Use.DECIDES and meaning.code in codes:
                for stated, alone in meant([StandardCoding(system, meaning.code)]):
                    if alone or stated.id != "largest_lesion":
                        self._add(meaning.display, stated)

    def _add(self, name: str, definition: FactDefinition) -> None:
        held = self._by_name.setdefault(read_name(name), [])
        if name and definition not in held:
            held.append(definition)

    def facts(self, concept: CodeableConcept | None) -> dict[str, Reason]:
        """Return fact → why its value cannot be read, for each fact that a concept without a known code may state."""
        if concept is None:
            return {}
        return compute_once(self.knowledge, concept, "facts of an unread code", lambda: self._work_out(concept))

    def _work_out(self, concept: CodeableConcept) -> dict[str, Reason]:
        sent = codings(self.knowledge, concept)
        found: dict[str, Reason] = {}
        for coding in sent:
            for definition in self._by_code.get(coding.code, ()) if _names_no_system(coding) else ():
                found.setdefault(definition.id, Reason.CODE_WITHOUT_SYSTEM)
        if not any(self._is_read(coding) for coding in sent):
            for definition, why in self._otherwise(concept, sent):
                found.setdefault(definition.id, why)
        return found

    def _is_read(self, coding: StandardCoding) -> bool:
        """Return True if the code's own system is read, so that it is the code of another test."""
        return coding.system in self._read_systems and bool(coding.code) and coding.code == coding.code.rstrip(MARKS)

    def _otherwise(self, concept: CodeableConcept, sent: Sequence[StandardCoding]) -> Iterator[tuple[FactDefinition, Reason]]:
        for coding in sent:
            if plain_uri(coding.system) in self.knowledge.terminology.written.other_classifications:
                continue
            own = coding.system in self._read_systems
            for definition in self._by_code.get(coding.code.rstrip(MARKS), ()):
                yield definition, Reason.TEXT_BEHIND_CODE if own else Reason.CODE_OF_ANOTHER_SYSTEM
        for name in names_of(concept, concept.coding or ()):
            for definition in self._by_name.get(read_name(name), ()):
                yield definition, Reason.CODE_OF_ANOTHER_SYSTEM if sent else Reason.TEXT_ALONE
            for code in CODE_IN_TEXT.findall(name[:MAX_NAME_CHARS]):
                for definition in self._by_code.get(code, ()):
                    yield definition, Reason.TEXT_ALONE


def _names_no_system(coding: StandardCoding) -> bool:
    return not coding.system or BARE_OID.fullmatch(coding.system) is not None
