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
from cds_service.reasoning.judgement import Finding, Opinion, opine
from cds_service.reasoning.undecided import criteria_of, open_leaves
from cds_service.reasoning.what_if import Context, Suppositions

CONTEXT_STEPS = 300
"""Verdicts tried in search of one favourable context: a bound on time."""


def what_would_decide(modality: Modality, suppositions: Suppositions, shut: bool | None) -> tuple[tuple[str, ...], Verdict]:
    """The missing facts, most decisive first, and the best verdict still possible."""
    search = Search(modality, suppositions, shut)
    contexts: list[Context] = [{}]
    best = Verdict.UNDETERMINED
    for indication in modality.indications:
        if indication.when_closed:
            best = max(best, indication.strength, key=RANK.__getitem__) if shut is None else best
            continue
        if (context := search.favourable(indication)) is not None:
            contexts.append(context)
            best = max(best, search.opinion(search.findings(context)).verdict, key=RANK.__getitem__)
    several = len(modality.indications) > 1
    edges = [search.closing(), *(search.lone(i) for i in modality.indications if several and not i.when_closed)]
    contexts += [edge for edge in edges if edge is not None and edge not in contexts]
    asked = [name for name in search.asked if suppositions.knowledge.facts[name].ask is not Supplier.NEVER]
    found = {name for name in asked if search.matters(name, contexts)}
    joint = search.joint(contexts)
    found |= {name for name in asked if name in joint and name not in found and search.matters(name, joint[name])}
    order = {name: place for place, name in enumerate(suppositions.knowledge.missing_order)}
    return tuple(sorted(found, key=lambda name: (order.get(name, len(order)), name))), best


class Search:
    """The search in one modality."""

    def __init__(self, modality: Modality, suppositions: Suppositions, shut: bool | None) -> None:
        self.modality, self.suppositions, self.shut = modality, suppositions, shut
        self.asked = open_leaves(modality, suppositions.facts, shut)
        self.values = {name: suppositions.values(name) for name in self.asked}
        self._criteria = tuple(dict.fromkeys(criteria_of(modality, suppositions.knowledge)))
        inputs = [suppositions.beneath(criterion).inputs for criterion in self._criteria]
        self._fed = {name: frozenset(place for place, names in enumerate(inputs) if name in names) for name in self.asked}
        self._opinions: dict[tuple[bool | None, ...], Opinion] = {}

    def findings(self, context: Context, base: tuple[Finding, ...] = (), fed: Iterable[int] = ()) -> tuple[Finding, ...]:
        """All criteria in a context; if `base` is given, only those at the places `fed` are judged anew."""
        if not base:
            return tuple([self.suppositions.finding(criterion, context) for criterion in self._criteria])
        found = list(base)
        for place in fed:
            found[place] = self.suppositions.finding(self._criteria[place], context)
        return tuple(found)

    def opinion(self, findings: tuple[Finding, ...]) -> Opinion:
        key = tuple([finding.met for finding in findings])
        if (known := self._opinions.get(key)) is None:
            judged = {finding.criterion.key: finding for finding in findings}
            criteria = self.suppositions.knowledge.criteria
            known = opine(self.modality, criteria, lambda criterion: judged[criterion.key], Edition.UPDATE, self.shut)
            self._opinions[key] = known
        return known

    def favourable(self, indication: Indication) -> Context | None:
        """Answers with which the indication is met, alone of all if that can be, at its full strength if that can be,
        and nothing stands against it; without those answers it can do without."""
        for alone, goal in product((True, False), dict.fromkeys((indication.strength, Verdict.CONSIDER))):
            if (found := self._favourable(indication, alone, RANK[goal])) is not None:
                return found
        return None

    def _favourable(self, wanted: Indication, alone: bool, goal: int) -> Context | None:
        indication = wanted.id

        def hopeless(opinion: Opinion) -> bool:
            met = {found.indication.id: found.met for found in opinion.indications}
            others = alone and any(answer for name, answer in met.items() if name != indication)
            return met[indication] is False or others or RANK[opinion.verdict] == 0

        def reached(opinion: Opinion) -> bool:
            met = any(found.met and found.indication.id == indication for found in opinion.indications)
            return met and RANK[opinion.verdict] >= goal and not hopeless(opinion)

        own = {c.key for c in (*wanted.requires, *wanted.update_requires)}
        own |= {c.key for c, only in self.modality.exclusions if not only or indication in only}
        own |= {c.key for c in self._criteria if not c.key.startswith(("requirement.", "exclusion."))}
        bearing = {place for place, criterion in enumerate(self._criteria) if criterion.key in own}
        return self._context(hopeless, reached, tuple(n for n in self.asked if self._fed[n] & bearing))

    def lone(self, indication: Indication) -> Context | None:
        """Answers with which every other indication is lost and this one open: one more answer may lose it too."""
        others = [part for part in self.modality.indications if part.id != indication.id]

        def hopeless(opinion: Opinion) -> bool:
            met = {found.indication.id: found.met for found in opinion.indications}
            return RANK[opinion.verdict] == 0 or met[indication.id] is False or any(met[part.id] for part in others)

        def reached(opinion: Opinion) -> bool:
            closed = all(found.met is False for found in opinion.indications if found.indication.id != indication.id)
            return closed and not hopeless(opinion)

        own = {c.key for part in others for c in (*part.requires, *part.update_requires)}
        bearing = {place for place, criterion in enumerate(self._criteria) if criterion.key in own}
        return self._context(hopeless, reached, tuple(n for n in self.asked if self._fed[n] & bearing), usual=False)

    def closing(self) -> Context | None:
        """Answers with which nothing stands against the modality and yet no indication is left: each one counts."""

        def hopeless(opinion: Opinion) -> bool:
            return opinion.verdict is Verdict.CONTRAINDICATED or any(found.met for found in opinion.indications)

        def reached(opinion: Opinion) -> bool:
            return opinion.verdict is Verdict.NOT_INDICATED and all(f.met is False for f in opinion.indications)

        return self._context(hopeless, reached, self.asked)

    def joint(self, contexts: list[Context]) -> dict[str, list[Context]]:
        """Contexts in which several answers make a contraindication together, for each fact that has a part in one. The
        contraindication may be another modality's, and what an indication of this one needs."""
        found: dict[str, list[Context]] = {}
        for name, criterion in self.suppositions.knowledge.criteria.items():
            if name.startswith("contraindication."):
                feeding = [name for name in self.suppositions.beneath(criterion).inputs if name in self.values]
                for edge in (edge for edge in self.against(criterion, feeding) if len(edge) > 1):
                    for part in feeding:
                        found.setdefault(part, []).extend([edge, *({**context, **edge} for context in contexts[1:])])
        return found

    def against(self, contraindication: Criterion, names: list[str]) -> Iterator[Context]:
        """Answers with which a contraindication is met, none of them idle: as documented, and by several tests together
        (Child-Pugh C). Tried at the ends of what each fact can be; ways that share no answer come one after another."""

        def met(context: Context) -> bool:
            return self.suppositions.finding(contraindication, context).met is True

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
        hopeless: Callable[[Opinion], bool],
        reached: Callable[[Opinion], bool],
        names: tuple[str, ...],
        usual: bool = True,
    ) -> Context | None:
        """Depth first over `names`, the usual answers given from the start; then once more without them."""
        definitions = self.suppositions.knowledge.facts
        start = {
            name: self.values[name].index(often)
            for name in names
            if usual and (often := definitions[name].usual) is not None and often in self.values[name]
        }
        free = tuple(name for name in names if name not in start) + tuple(start)
        found = self._first(start, free, hopeless, reached) or (self._first({}, free, hopeless, reached) if start else None)
        return None if found is None else self._needed(found, reached)

    def _first(
        self, start: Context, free: tuple[str, ...], hopeless: Callable[[Opinion], bool], reached: Callable[[Opinion], bool]
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
            opinion = self.opinion(findings)
            if reached(opinion):
                return context
            if steps > CONTEXT_STEPS or hopeless(opinion) or position == len(free):
                continue
            name = free[position]
            answers = [{**context, name: place} for place in reversed(range(len(self.values[name])))]
            waiting.append((position + 1, context, findings, frozenset()))
            waiting.extend((position + 1, answer, findings, self._fed[name]) for answer in answers)
        return None

    def _needed(self, context: Context, reached: Callable[[Opinion], bool]) -> Context:
        """The context without what it can do without; judgements go first, so that the laboratory is seen to decide."""
        definitions = self.suppositions.knowledge.facts
        first = {
            name: (definitions[name].kind is not FactKind.BOOLEAN, definitions[name].ask is not Supplier.BOARD)
            for name in context
        }
        for name in sorted(context, key=first.__getitem__):
            without = {other: place for other, place in context.items() if other != name}
            if reached(self.opinion(self.findings(without))):
                context = without
        return context

    def matters(self, name: str, contexts: Iterable[Context]) -> bool:
        """Whether two values of the fact give two verdicts: in a context as it is, with one of the fact's neighbours
        (facts that meet it in a criterion) left open, or with one of them answered otherwise."""
        fed = self._fed[name]
        asked = (n for n in self.asked if self.suppositions.knowledge.facts[n].ask is not Supplier.NEVER)
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
        if not any(self.suppositions.sways(name, self._criteria[place], context) for place in self._fed[name]):
            return False
        answers = ({**context, name: place} for place in range(len(self.values[name])))
        return len({self.opinion(self.findings(answer, base, fed)).verdict for answer in answers}) > 1
