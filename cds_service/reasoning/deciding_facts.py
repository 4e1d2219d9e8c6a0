"""What would decide an undetermined verdict: the facts to ask for, and the best verdict still possible. Pure.

A fact is asked for when, with the other open facts at some value or left open, two of its values give different
verdicts (CLINICAL section 9). The search runs over values, one for each region that the limits of the knowledge cut,
not over criteria. It starts from contexts in which an indication is met, the last one lost, or a contraindication met,
stripped of what they do not need, and varies the fact there together with one fact that meets it in a criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product

from cds_service.knowledge.model import RANK, Criterion, Indication, Modality, Verdict
from cds_service.knowledge.vocabulary import Edition, FactKind, Supplier
from cds_service.reasoning.judgement import EditionVerdict, Finding, decide
from cds_service.reasoning.undecided import criteria_of, undecided_facts
from cds_service.reasoning.what_if import Context, WhatIf

CONTEXT_STEPS = 300
"""Verdicts tried in search of one favourable context: a bound on time."""


def find_deciding_facts(modality: Modality, what_if: WhatIf, ruled_out: bool | None) -> tuple[tuple[str, ...], Verdict]:
    """The missing facts, most decisive first, and the best verdict still possible."""
    search = DecidingFactSearch(modality, what_if, ruled_out)
    contexts: list[Context] = [{}]
    best = Verdict.UNDETERMINED
    for indication in modality.indications:
        if indication.when_closed:
            best = max(best, indication.strength, key=RANK.__getitem__) if ruled_out is None else best
            continue
        if (context := search.favourable_contexts(indication)) is not None:
            contexts.append(context)
            best = max(best, search.decision(search.findings(context)).verdict, key=RANK.__getitem__)
    several = len(modality.indications) > 1
    edges = [
        search.closing_contexts(),
        *(search.last_indication_contexts(i) for i in modality.indications if several and not i.when_closed),
    ]
    contexts += [edge for edge in edges if edge is not None and edge not in contexts]
    asked = [name for name in search.asked if what_if.knowledge.facts[name].ask is not Supplier.NEVER]
    found = {name for name in asked if search.changes_verdict(name, contexts)}
    joint = search.joint_contexts(contexts)
    found |= {name for name in asked if name in joint and name not in found and search.changes_verdict(name, joint[name])}
    order = {name: place for place, name in enumerate(what_if.knowledge.missing_order)}
    return tuple(sorted(found, key=lambda name: (order.get(name, len(order)), name))), best


class DecidingFactSearch:
    """The search in one modality."""

    def __init__(self, modality: Modality, what_if: WhatIf, ruled_out: bool | None) -> None:
        self.modality, self.what_if, self.ruled_out = modality, what_if, ruled_out
        self.asked = undecided_facts(modality, what_if.facts, ruled_out)
        self.values = {name: what_if.trial_values(name) for name in self.asked}
        self._criteria = tuple(dict.fromkeys(criteria_of(modality, what_if.knowledge)))
        inputs = [what_if.inputs_of(criterion).answerable for criterion in self._criteria]
        self._fed = {name: frozenset(place for place, names in enumerate(inputs) if name in names) for name in self.asked}
        self._opinions: dict[tuple[bool | None, ...], EditionVerdict] = {}

    def findings(self, context: Context, base: tuple[Finding, ...] = (), fed: Iterable[int] = ()) -> tuple[Finding, ...]:
        """All criteria in a context; if `base` is given, only those at the places `fed` are judged anew."""
        if not base:
            return tuple([self.what_if.finding(criterion, context) for criterion in self._criteria])
        found = list(base)
        for place in fed:
            found[place] = self.what_if.finding(self._criteria[place], context)
        return tuple(found)

    def decision(self, findings: tuple[Finding, ...]) -> EditionVerdict:
        key = tuple([finding.met for finding in findings])
        if (known := self._opinions.get(key)) is None:
            judged = {finding.criterion.key: finding for finding in findings}
            criteria = self.what_if.knowledge.criteria
            known = decide(self.modality, criteria, lambda criterion: judged[criterion.key], Edition.UPDATE, self.ruled_out)
            self._opinions[key] = known
        return known

    def favourable_contexts(self, indication: Indication) -> Context | None:
        """Answers with which the indication is met, alone of all if that can be, at its full strength if that can be,
        and nothing stands against it; without those answers it can do without."""
        for alone, goal in product((True, False), dict.fromkeys((indication.strength, Verdict.CONSIDER))):
            if (found := self._favourable(indication, alone, RANK[goal])) is not None:
                return found
        return None

    def _favourable(self, wanted: Indication, alone: bool, goal: int) -> Context | None:
        indication = wanted.id

        def hopeless(decision: EditionVerdict) -> bool:
            met = {found.indication.id: found.met for found in decision.indications}
            others = alone and any(answer for name, answer in met.items() if name != indication)
            return met[indication] is False or others or RANK[decision.verdict] == 0

        def reached(decision: EditionVerdict) -> bool:
            met = any(found.met and found.indication.id == indication for found in decision.indications)
            return met and RANK[decision.verdict] >= goal and not hopeless(decision)

        own = {c.key for c in (*wanted.requires, *wanted.update_requires)}
        own |= {c.key for c, only in self.modality.exclusions if not only or indication in only}
        own |= {c.key for c in self._criteria if not c.key.startswith(("requirement.", "exclusion."))}
        bearing = {place for place, criterion in enumerate(self._criteria) if criterion.key in own}
        return self._context(hopeless, reached, tuple(n for n in self.asked if self._fed[n] & bearing))

    def last_indication_contexts(self, indication: Indication) -> Context | None:
        """Answers with which every other indication is lost and this one open: one more answer may lose it too."""
        others = [part for part in self.modality.indications if part.id != indication.id]

        def hopeless(decision: EditionVerdict) -> bool:
            met = {found.indication.id: found.met for found in decision.indications}
            return RANK[decision.verdict] == 0 or met[indication.id] is False or any(met[part.id] for part in others)

        def reached(decision: EditionVerdict) -> bool:
            closed = all(found.met is False for found in decision.indications if found.indication.id != indication.id)
            return closed and not hopeless(decision)

        own = {c.key for part in others for c in (*part.requires, *part.update_requires)}
        bearing = {place for place, criterion in enumerate(self._criteria) if criterion.key in own}
        return self._context(hopeless, reached, tuple(n for n in self.asked if self._fed[n] & bearing), usual=False)

    def closing_contexts(self) -> Context | None:
        """Answers with which nothing stands against the modality and yet no indication is left: each one counts."""

        def hopeless(decision: EditionVerdict) -> bool:
            return decision.verdict is Verdict.CONTRAINDICATED or any(found.met for found in decision.indications)

        def reached(decision: EditionVerdict) -> bool:
            return decision.verdict is Verdict.NOT_INDICATED and all(f.met is False for f in decision.indications)

        return self._context(hopeless, reached, self.asked)

    def joint_contexts(self, contexts: list[Context]) -> dict[str, list[Context]]:
        """Contexts in which several answers make a contraindication together, for each fact that has a part in one. The
        contraindication may be another modality's, and what an indication of this one needs."""
        found: dict[str, list[Context]] = {}
        for name, criterion in self.what_if.knowledge.criteria.items():
            if name.startswith("contraindication."):
                feeding = [name for name in self.what_if.inputs_of(criterion).answerable if name in self.values]
                for edge in (edge for edge in self.contraindicating_contexts(criterion, feeding) if len(edge) > 1):
                    for part in feeding:
                        found.setdefault(part, []).extend([edge, *({**context, **edge} for context in contexts[1:])])
        return found

    def contraindicating_contexts(self, contraindication: Criterion, names: list[str]) -> Iterator[Context]:
        """Answers with which a contraindication is met, none of them idle: as documented, and by several tests together
        (Child-Pugh C). Tried at the ends of what each fact can be; ways that share no answer come one after another."""

        def met(context: Context) -> bool:
            return self.what_if.finding(contraindication, context).met is True

        while names:
            ends = (sorted({0, len(self.values[name]) - 1}) for name in names)
            context = next((c for places in product(*ends) if met(c := dict(zip(names, places, strict=True)))), None)
            if context is None:
                return
            for name in names:
                without = {other: place for other, place in context.items() if other != name}
                context = without if met(without) else context
            if not context:
                return
            yield context
            names = [name for name in names if name not in context]

    def _context(
        self,
        hopeless: Callable[[EditionVerdict], bool],
        reached: Callable[[EditionVerdict], bool],
        names: tuple[str, ...],
        usual: bool = True,
    ) -> Context | None:
        """Depth first over `names`, the usual answers given from the start; then once more without them."""
        definitions = self.what_if.knowledge.facts
        start = {
            name: self.values[name].index(often)
            for name in names
            if usual and (often := definitions[name].usual) is not None and often in self.values[name]
        }
        free = tuple(name for name in names if name not in start) + tuple(start)
        found = self._first(start, free, hopeless, reached) or (self._first({}, free, hopeless, reached) if start else None)
        return None if found is None else self._needed(found, reached)

    def _first(
        self,
        start: Context,
        free: tuple[str, ...],
        hopeless: Callable[[EditionVerdict], bool],
        reached: Callable[[EditionVerdict], bool],
    ) -> Context | None:
        """Depth first; of each fact its values in their order, then left open. A stack, as a function that calls itself
        would keep all that was judged until the next full collection of cycles."""
        waiting: list[tuple[int, Context, tuple[Finding, ...], frozenset[int]]]
        waiting = [(0, start, self.findings(start), frozenset())]
        steps = 0
        while waiting:
            position, context, before, fed = waiting.pop()
            steps += 1
            findings = self.findings(context, before, fed)
            decision = self.decision(findings)
            if reached(decision):
                return context
            if steps > CONTEXT_STEPS or hopeless(decision) or position == len(free):
                continue
            name = free[position]
            answers = [{**context, name: place} for place in reversed(range(len(self.values[name])))]
            waiting.append((position + 1, context, findings, frozenset()))
            waiting.extend((position + 1, answer, findings, self._fed[name]) for answer in answers)
        return None

    def _needed(self, context: Context, reached: Callable[[EditionVerdict], bool]) -> Context:
        """The context without what it can do without; judgements go first, so that the laboratory is seen to decide."""
        definitions = self.what_if.knowledge.facts
        first = {
            name: (definitions[name].kind is not FactKind.BOOLEAN, definitions[name].ask is not Supplier.BOARD)
            for name in context
        }
        for name in sorted(context, key=first.__getitem__):
            without = {other: place for other, place in context.items() if other != name}
            if reached(self.decision(self.findings(without))):
                context = without
        return context

    def changes_verdict(self, name: str, contexts: Iterable[Context]) -> bool:
        """Whether two values of the fact give two verdicts: in a context as it is, with one of the fact's neighbours
        (facts that meet it in a criterion) left open, or with one of them answered otherwise."""
        fed = self._fed[name]
        asked = (n for n in self.asked if self.what_if.knowledge.facts[n].ask is not Supplier.NEVER)
        near = [other for other in asked if other != name and not fed.isdisjoint(self._fed[other])]
        for context in contexts:
            base = self.findings(context)
            if self._differs(name, context, base, fed):
                return True
            for other in near:
                kept = {n: place for n, place in context.items() if n != other}
                changes: list[Context] = [kept] if other in context else []
                changes += [{**kept, other: p} for p in range(len(self.values[other])) if context.get(other) != p]
                if any(self._differs(name, changed, base, fed | self._fed[other]) for changed in changes):
                    return True
        return False

    def _differs(self, name: str, context: Context, base: tuple[Finding, ...], fed: frozenset[int]) -> bool:
        if not any(self.what_if.can_change(name, self._criteria[place], context) for place in self._fed[name]):
            return False
        answers = ({**context, name: place} for place in range(len(self.values[name])))
        return len({self.decision(self.findings(answer, base, fed)).verdict for answer in answers}) > 1
