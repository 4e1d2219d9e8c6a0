"""Check finished cards against docs/cards.md, "Limits" (limit 1 to 14). Each check returns or yields the violations."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.fact_words import fact_name, say_fact, say_finding
from cds_service.cards.text import visible_length, visible_text
from cds_service.cards.treatments import list_treatments
from cds_service.clinical_picture import Interval, PartialDate, Readings, Value
from cds_service.knowledge.modality import Criterion, Modality, Technique, Verdict
from cds_service.knowledge.shown import Face, ShownStatement, TreatmentLine
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation, evaluate
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.judgement import Finding, IndicationFinding, OpenPart, judge_criterion
from cds_service.reasoning.populations import population_fits
from tests.support.strategies import KNOWN, observed, values, with_fact

HOSTS = ("https://doi.org/", "https://pubmed.ncbi.nlm.nih.gov/", "https://pmc.ncbi.nlm.nih.gov/")
LABELS = {publication.label for publication in KNOWN.publications.values()}
INLINE = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
TITLE = re.compile(r"^\*\*[^*]+\*\*$")
REFERENCE = re.compile(r"\b(?:Observation|Condition|Procedure|Medication\w*|Patient|ServiceRequest|DiagnosticReport|X)/[\w.-]+")
RULE = re.compile(rf"(?<![\w-])(?:{'|'.join(i.id for m in KNOWN.modalities for i in m.indications)})(?![\w.])")
RESULT = re.compile(
    r"\bHR \d|\d % (?:dead|disease-free|alive)|progression-free (?:at )?\d|(?:Since|Risk).*\d months", re.IGNORECASE
)
FULL_BLOCKS, FULL_BULLETS, SHORT_BULLETS = 3, 6, 4
MAX_AGE_OF_PREGNANCY = Decimal(55)
NEXT_STEPS = ("discuss", "?", "ask the transplant team", "confirm", "cannot be ruled", "criteria applied")

Cards = Sequence[Card]
Check = Callable[[Evaluation | None, Cards], Iterator[str]]


def body(card: Card, banner: str = "", note: str = "") -> str:
    """Return the detail without a site's banner and note, which do not count."""
    text = card.detail.removeprefix(f"**{banner}**\n\n") if banner else card.detail
    return text.removesuffix(f"\n\n{note}") if note else text


def blocks_of(card: Card) -> int:
    return sum(bool(TITLE.match(line)) for line in card.detail.splitlines())


class Block(NamedTuple):
    title: str
    text: str
    full: bool


def modality_blocks(cards: Cards) -> Iterator[Block]:
    """Yield the blocks of the modality cards; those of the first three treatments of the overview are full."""
    first = [name for card in cards if card.kind == "overview"
             for name in re.findall(r"^- \*\*(.+?):\*\*", card.detail, re.MULTILINE)][:FULL_BLOCKS]  # fmt: skip
    for card in cards:
        title = ""
        for part in card.detail.split("\n\n") if card.kind == "modality" else ():
            if TITLE.match(part):
                title = part.strip("*")
            elif title:
                yield Block(title, part, any(title.startswith(f"{name}: ") for name in first))


def summary_answers(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        if not 0 < len(card.summary) <= 130:
            yield f"{len(card.summary)} characters: {card.summary}"
    overview = cards[0].summary if cards and cards[0].kind == "overview" else ""
    if overview and evaluation is not None:
        named = [name for t in list_treatments(evaluation) if t.on_face for name in (t.name, t.title)]
        if not any(name in overview for name in named) and not any(step in overview for step in NEXT_STEPS):
            yield f"names nothing: {overview}"


def answer_first(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        first = card.detail.splitlines()[0]
        if first.startswith(("-", "1.")) or (card.kind == "overview" and not first.startswith(("**To", "**First", "**Why"))):
            yield f"{card.kind} begins with {first[:60]}"


def char_limit(card: Card) -> int:
    if card.kind == "overview":
        return 1400
    if card.kind == "modality":
        return 1200 + 400 * max(0, blocks_of(card) - 2)
    several = len(card.extension[EXTENSION].get("modalities", ())) > 1 or "cautions" in card.extension[EXTENSION]
    return 1000 if card.kind == "contraindication" and several else 700


def length(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        if (found := visible_length(card.detail)) > char_limit(card):
            yield f"{card.kind} has {found} characters of {char_limit(card)}"
    blocks = sum(blocks_of(card) for card in cards if card.kind == "modality")
    ordered = evaluation is not None and bool(evaluation.picture.orders)
    most = 5500 if ordered or blocks > 4 else 4000
    if (total := sum(visible_length(card.detail) for card in cards)) > most:
        yield f"all cards have {total} characters of {most}"


def lines(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        filled = sum(bool(line.strip()) for line in card.detail.splitlines())
        most = 16 if card.kind == "overview" else 14 + 5 * max(0, blocks_of(card) - 2)
        if filled > most:
            yield f"{card.kind} has {filled} lines of {most}"
        for line in card.detail.splitlines():
            if visible_length(line) > 220:
                yield f"{card.kind} has a line of {visible_length(line)} characters: {line}"
    for block in modality_blocks(cards):
        bullets, most = block.text.count("\n- ") + block.text.startswith("- "), FULL_BULLETS if block.full else SHORT_BULLETS
        if bullets > most:
            yield f"a {'full' if block.full else 'short'} block has {bullets} bullets of {most}: {block.title}"


def links(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        inline, listed = set(INLINE.findall(card.detail)), {(link.label, link.url) for link in card.links}
        if len({url for _, url in listed}) > 5:  # the sixth is that to an evidence page, which is added later
            yield f"{card.kind} has {len(listed)} links"
        yield from (f"not among the links: {url}" for _, url in inline - listed)
        yield from (f"a link to {url}" for _, url in listed if not url.startswith(HOSTS) or "?term=" in url)
        yield from (f"a label of its own: {label}" for label, _ in listed if label not in LABELS)


def no_ids(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        text = f"{card.summary}\n{visible_text(card.detail)}"
        for pattern in (REFERENCE, re.compile(r"\b[SM]\d{3}\b"), RULE):
            if found := pattern.search(text):
                yield f"{card.kind} says {found[0]}"


def sourced(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        for line in visible_text(card.detail).splitlines():
            if RESULT.search(line) and not any(label in line for label in LABELS):
                yield f"no source: {line}"


class Must(NamedTuple):
    """Something that must be on a card, in one of these wordings."""

    kind: str
    whose: str
    wordings: tuple[str, ...]
    may_be_counted: bool = False


@dataclass(frozen=True)
class Part:
    """A modality, or a part of it with a line of its own, from the knowledge alone. `verdict`: of a part, UNDETERMINED if one
    of its indications is open."""

    assessment: Assessment
    line: TreatmentLine | None
    verdict: Verdict
    indications: tuple[IndicationFinding, ...]
    techniques: tuple[Technique, ...]
    """The techniques that the card names."""

    @property
    def id(self) -> str:
        return self.line.id if self.line else self.assessment.modality.id

    @property
    def named(self) -> str:
        return f"{self.assessment.modality.id} {self.line.id}" if self.line else self.assessment.modality.id

    @property
    def met(self) -> set[str]:
        return {found.indication.id for found in self.indications if found.met}

    @property
    def possible(self) -> set[str]:
        return {found.indication.id for found in self.indications if found.met is not False}


def is_option(assessment: Assessment) -> bool:
    return assessment.verdict in {Verdict.RECOMMENDED, Verdict.CONSIDER}


def is_shown(assessment: Assessment) -> bool:
    safety_open = assessment.verdict is Verdict.UNDETERMINED and assessment.decision.open is OpenPart.SAFETY
    return is_option(assessment) or safety_open


def shown_assessments(evaluation: Evaluation) -> list[Assessment]:
    return [assessment for assessment in evaluation.assessments.values() if is_shown(assessment)]


def all_met(evaluation: Evaluation, criteria: Iterable[Criterion]) -> list[Finding]:
    return [finding for criterion in criteria if (finding := judge_criterion(criterion, evaluation.facts)).met]


def is_option_part(part: Part) -> bool:
    return part.verdict in {Verdict.RECOMMENDED, Verdict.CONSIDER}


def is_ordered(evaluation: Evaluation, technique: Technique) -> bool:
    return any(name in evaluation.picture.orders for name in technique.ordered_by)


def parts_of(evaluation: Evaluation, assessment: Assessment) -> list[Part]:
    """Return the shown parts of a modality."""
    if not is_shown(assessment):
        return []
    modality, indications = assessment.modality, assessment.decision.indications
    lines: dict[str, TreatmentLine] = {}
    for line in modality.lines:
        if len(all_met(evaluation, [evaluation.knowledge.criteria[key] for key in line.when])) == len(line.when):
            lines.setdefault(line.id, line)
    of_lines = {technique.own_line for technique in modality.techniques} & lines.keys()
    ways = _named(evaluation, [t for t in modality.techniques if t.own_line not in of_lines], indications)
    if not is_option(assessment) or not lines:
        return [Part(assessment, None, assessment.verdict, indications, ways)]
    parts = [_part(evaluation, assessment, line) for line in lines.values()]
    others = tuple(
        found for found in indications if not any(found.indication.id in line.indications for line in lines.values())
    )
    any_part = any(part.verdict is Verdict.CONSIDER for part in parts)
    if any(found.met and not (found.indication.local and any_part) for found in others):
        parts.append(Part(assessment, None, assessment.verdict, others, ways))
    return parts


def _part(evaluation: Evaluation, assessment: Assessment, line: TreatmentLine) -> Part:
    found = tuple(part for part in assessment.decision.indications if part.indication.id in line.indications)
    ways = _named(evaluation, [t for t in assessment.modality.techniques if t.own_line == line.id], found)
    answers = [part.met for part in found] or [bool(ways)]
    verdict = Verdict.CONSIDER if True in answers else Verdict.UNDETERMINED if None in answers else Verdict.NOT_INDICATED
    if verdict is Verdict.CONSIDER and any(all_met(evaluation, technique.stopped_by) for technique in ways):
        verdict = Verdict.CONTRAINDICATED
    return Part(assessment, line, verdict, found, ways)


def _named(
    evaluation: Evaluation, ways: Iterable[Technique], indications: Iterable[IndicationFinding]
) -> tuple[Technique, ...]:
    possible = {found.indication.id for found in indications if found.met is not False}
    return tuple(
        technique
        for technique in ways
        if is_ordered(evaluation, technique)
        or (len(all_met(evaluation, technique.when)) == len(technique.when)
            and (not technique.only_for or technique.only_for & possible))
    )  # fmt: skip


def all_parts(evaluation: Evaluation) -> list[Part]:
    return [part for assessment in evaluation.assessments.values() for part in parts_of(evaluation, assessment)]


def named_techniques(evaluation: Evaluation) -> list[tuple[Modality, Technique]]:
    """Return the techniques that are ordered, or named in a part that can be discussed, is open or is stopped."""
    found = [(assessment.modality, technique) for assessment in evaluation.assessments.values()
             for technique in assessment.modality.techniques if is_ordered(evaluation, technique)]  # fmt: skip
    named = [(part.assessment.modality, technique) for part in all_parts(evaluation) for technique in part.techniques
             if part.verdict is not Verdict.NOT_INDICATED]  # fmt: skip
    return [*found, *(pair for pair in named if pair not in found)]


def must_be_said(evaluation: Evaluation) -> Iterator[Must]:
    """Yield what limit 8 requires, computed from the assessments and the knowledge and not from the cards."""
    for assessment in evaluation.assessments.values():
        yield from _deciding(evaluation, assessment)
    blocks = {part.assessment.modality.id for part in all_parts(evaluation) if part.line is None or is_option_part(part)}
    for assessment in shown_assessments(evaluation):
        for finding in assessment.cautions:
            if not finding.criterion.risk and assessment.modality.id in blocks:
                yield Must("caution", assessment.modality.id, _wordings(evaluation, finding))
    for modality, technique in named_techniques(evaluation):
        ordered = is_ordered(evaluation, technique)
        stops = all_met(evaluation, technique.stopped_by)
        for finding in stops:
            kind = "stop of what is ordered" if ordered else "stop"
            whose = f"{modality.id} {technique.id or technique.own_line}"
            yield Must(kind, whose, stop_wordings(evaluation, modality, finding))
        if ordered and any(len(stop_wordings(evaluation, modality, finding)) == 1 for finding in stops):
            names = [name for line in modality.lines if line.id == technique.own_line for name in (line.title, line.name)]
            yield Must("name of what is ordered and stopped", modality.id, (technique.short, *names))
    parts = all_parts(evaluation)
    shown = {part.id for part in parts if part.verdict in {Verdict.RECOMMENDED, Verdict.CONSIDER}
             and part.assessment.modality.id == "hormonal-suppression"}  # fmt: skip
    for part in parts:
        yield from _of_part(evaluation, part, shown)


def _deciding(evaluation: Evaluation, assessment: Assessment) -> Iterator[Must]:
    """Yield everything that decided against a modality, and its name."""
    modality = assessment.modality
    decided = [finding for finding in assessment.decision.findings if finding.met]
    kind = "contraindication" if assessment.verdict is Verdict.CONTRAINDICATED else "exclusion"
    for finding in decided:
        gate = finding.criterion.key.startswith("gate.")
        yield Must("gate" if gate else kind, modality.id, _wordings(evaluation, finding))
    if decided or is_shown(assessment):
        names = [
            modality.face_title,
            modality.face_name,
            *(name for line in modality.lines for name in (line.title, line.name)),
        ]
        drugs = [seen.regimen.drug for line in modality.lines if line.drug
                 for seen in evaluation.facts[line.drug].seen if seen.regimen]  # fmt: skip
        yield Must("treatment", modality.id, (*names, *drugs))


def stop_wordings(evaluation: Evaluation, modality: Modality, stop: Finding) -> tuple[str, ...]:
    """Return the words of a stop, and those of a contraindication of the whole modality with the same tests."""
    same = [f for f in all_met(evaluation, modality.contraindications) if f.criterion.tests == stop.criterion.tests]
    return tuple(dict.fromkeys(say_finding(evaluation.knowledge, finding) for finding in (stop, *same)))


def _wordings(evaluation: Evaluation, finding: Finding) -> tuple[str, ...]:
    """Return the wordings of a finding; a caution shown once for all procedures may have those of any caution with its id."""
    same = [finding]
    if finding.criterion.before_procedure:
        same += all_met(evaluation, [c for c in evaluation.knowledge.criteria.values()
                                     if c.before_procedure and c.id == finding.criterion.id])  # fmt: skip
    return tuple(dict.fromkeys(say_finding(evaluation.knowledge, part) for part in same))


def _of_part(evaluation: Evaluation, part: Part, shown: Collection[str]) -> Iterator[Must]:
    """Yield cautions of its techniques, dissents and risks; those of the same drug in another modality share its block."""
    is_open = part.line is not None and part.verdict is Verdict.UNDETERMINED
    if part.verdict is Verdict.NOT_INDICATED or (is_open and part.id in shown):  # its drug has the line of the syndrome
        return
    if part.line is not None:
        names = (*titles_of(evaluation, part.id), part.line.name)
        yield Must("treatment with a line of its own", part.named, tuple(sorted(names)))
    if part.verdict is Verdict.CONTRAINDICATED or is_open:  # nothing speaks for it yet, so what speaks against it can wait
        return
    for technique in part.techniques:
        for finding in all_met(evaluation, technique.cautions):
            yield Must("caution of a technique", part.named, _wordings(evaluation, finding))
    first = True
    for statement, wordings in statements_of(evaluation, part):
        if statement.face is Face.DISSENT:
            edition = evaluation.knowledge.statements[statement.statement].edition
            yield Must(f"dissent of {edition.value}", part.named, wordings)
        elif statement.face is Face.RISK and statement.says:
            merged = part.id in shown and part.assessment.modality.id == "systemic-therapy" and part.line and part.line.drug
            countable = not first or bool(merged)  # the drug's block begins with the risk of the syndrome's line
            yield Must("first risk" if first else "risk", part.named, wordings, may_be_counted=countable)
            first = False
    for finding in part.assessment.cautions if part.line is None else ():
        if finding.criterion.risk:
            yield Must("risk", part.named, _wordings(evaluation, finding), may_be_counted=True)


def statements_of(evaluation: Evaluation, part: Part) -> list[tuple[ShownStatement, tuple[str, ...]]]:
    """Return its dissents, then its risks in order, each in its full and its short words."""
    modality, facts = part.assessment.modality, evaluation.facts
    named = {technique.id for technique in part.techniques if technique.id}
    found: list[tuple[ShownStatement, tuple[str, ...]]] = []
    before: ShownStatement | None = None
    for statement in modality.shown:
        sentence = statement if statement.says else before or statement
        before = sentence
        if statement.face not in {Face.DISSENT, Face.RISK} or not _stands(evaluation, part, statement, named):
            continue
        wordings = [_after_state(text) for text in (sentence.says, sentence.brief) if text or text is sentence.says]
        if statement.face is Face.DISSENT and facts.knowledge.statements[statement.statement].edition is Edition.REVIEW:
            wordings += [row.says for row in facts.knowledge.stances
                         if row.modality == modality.id and statement.statement in row.by and row.says]  # fmt: skip
        found.append((statement, tuple(wordings)))
    return sorted(found, key=lambda pair: (pair[0].face is Face.RISK, pair[0].place))


def _after_state(text: str) -> str:
    """Return the text after the placeholder that is filled in for the patient."""
    return text.split("{state}")[-1].removeprefix(": ")


def _stands(evaluation: Evaluation, part: Part, statement: ShownStatement, named: Collection[str]) -> bool:
    facts, known = evaluation.facts, evaluation.knowledge
    judged = {found.indication.id for found in part.indications}
    if statement.technique and statement.technique not in named:
        return False
    met = part.met or (part.possible if part.verdict is Verdict.UNDETERMINED else set())
    if statement.indications and not (judged & met & {*statement.indications}):
        return False
    if part.met & {*statement.unless}:
        return False
    if not all(judge_criterion(known.criteria[key], facts).met for key in statement.when):
        return False
    population = known.statements[statement.statement].population
    given = part.line is not None and bool(part.line.drug) and facts[part.line.drug].equals(True)
    return population is None or population_fits(population, facts, given) is not False


UNSAID_FROM = re.compile(
    r"(?:Stops looked at|Other stops looked at|Out of date or unreadable|Not recorded|Not read here|Would change it|What would "
    r"decide|In the chart, to be renewed|Data that could not be used)\b[^:.]*:.*$"
)
OF_THE_PATIENT = re.compile(r"(?:Disease|Liver|Patient|Laboratory|Done so far|First step|Then|\d+\.)[: ]")


def told_against(cards: Cards) -> str:
    """Return, in lower case, what the cards say about the treatments. It leaves out what is asked for, what was checked, what
    would change a verdict and the patient's data, where the words of a stop are not about a treatment."""
    lines: list[str] = []
    for card in cards:
        if card.kind in {"missing-data", "data-quality"}:
            continue
        for line in visible_text(card.detail).splitlines():
            if not OF_THE_PATIENT.match(line):
                line = re.sub(r"\([^()]*\?\)|[Mm]issing(?: \([^()]*\))?: .*?\.(?= 20|$)", "", UNSAID_FROM.sub("", line))
                lines.append(line)
    return "\n".join(lines).lower()


def is_said(wording: str, text: str) -> bool:
    """Return whether a text has the whole phrase: "passing liver failure" does not count as "liver failure"."""
    before, after = r"(?:^|[;:,.(\[?] ?|\bby |\bfor |- )", "" if len(wording) > 30 else r"(?=$|[;:,.)\]]| [(\[])"
    after = "" if wording.endswith("?") else after
    return re.search(f"{before}{re.escape(wording.lower())}{after}", text, re.MULTILINE) is not None


NAMES_ALONE = ("treatment", "treatment with a line of its own", "name of what is ordered and stopped")


def safety_said(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield contraindications, exclusions, gates, cautions, stops, dissents and risks that are on no card."""
    if evaluation is None or cards[0].kind != "overview":
        return
    text, whole = told_against(cards), "\n".join(visible_text(card.detail) for card in cards).lower()
    unsaid: dict[str, list[str]] = {}
    for must in dict.fromkeys(must_be_said(evaluation)):
        if not all(wording.strip() for wording in must.wordings) or not must.wordings:
            yield f"{must.kind} of {must.whose}: an empty phrase"
        elif must.kind in NAMES_ALONE:
            if not any(wording.lower() in whole for wording in must.wordings):
                yield f"{must.kind} of {must.whose}: not named"
        elif any(is_said(wording, text) for wording in must.wordings):
            continue
        elif must.may_be_counted:
            unsaid.setdefault(must.whose.split(" ")[-1], []).append(must.wordings[0])
        elif must.wordings[0] != "no current ECOG" or not re.search(r"not recorded[^:]*:[^.]*ecog", whole):
            yield f"{must.kind} of {must.whose}: not said: {must.wordings[0]}"
    for part, risks in unsaid.items():
        count = len(dict.fromkeys(risks))
        if not any(number >= count for number in counted_in_block(evaluation, part, cards)):  # a merged line counts for both
            yield f"count of risks of {part}: {count} neither said nor counted: {risks[0]}"


def counted_in_block(evaluation: Evaluation, part: str, cards: Cards) -> set[int]:
    """Return the counts in "n more: rule book" in the block of a part."""
    titles = titles_of(evaluation, part)
    found = [block.text for block in modality_blocks(cards) if any(block.title.startswith(f"{title}: ") for title in titles)]
    return {int(number) for text in found for number in re.findall(r"(\d+) more: rule book", text)}


def titles_of(evaluation: Evaluation, part: str) -> set[str]:
    titles = {modality.face_title for modality in evaluation.knowledge.modalities if modality.id == part}
    for modality in evaluation.knowledge.modalities:
        for line in modality.lines:
            if line.id == part:
                titles.add(line.title)
                seen = evaluation.facts[line.drug].seen if line.drug else ()
                titles |= {one.regimen.drug[:1].upper() + one.regimen.drug[1:] for one in seen if one.regimen}
    return titles


NONE_MET = re.compile(r"none met: (.*?)\.?(?=\. [A-Z]|\.$|$)", re.MULTILINE)


def none_met(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield facts under "none met" that are unknown or out of date, or on which something met rests (limit 10)."""
    for card in cards:
        if "no contraindication" in card.detail.lower():
            yield "no contraindication"
    if evaluation is None:
        return
    said: dict[str, list[str]] = {}
    for name in evaluation.knowledge.facts:
        if evaluation.facts[name].known:
            said.setdefault(say_fact(evaluation.knowledge, name, evaluation.facts[name]), []).append(name)
    adverse = adverse_facts(evaluation)
    for card in cards:
        for listed in NONE_MET.findall(visible_text(card.detail)):
            for entry in _entries(listed, said):
                if entry not in said:
                    yield f"not known: {entry!r} in {listed}"
                elif met := [adverse[name] for name in said[entry] if name in adverse]:
                    yield f"met: {entry} is why {met[0]}"


def _entries(listed: str, said: Collection[str]) -> list[str]:
    """Return the parts of "a, b and 3 more"; a known label with a comma in it is one part."""
    rest, found = re.sub(r" and \d+ more$", "", listed), list[str]()
    longest = sorted(said, key=len, reverse=True)
    while rest:
        entry = next((text for text in longest if rest == text or rest.startswith(f"{text}, ")), rest.split(", ")[0])
        found.append(entry)
        rest = rest[len(entry) :].removeprefix(", ")
    return found or [""]


def adverse_facts(evaluation: Evaluation) -> dict[str, str]:
    """Return fact → the met caution, contraindication or stop that rests on it."""
    criteria = [c for assessment in evaluation.assessments.values() for c in assessment.modality.contraindications]
    criteria += [finding.criterion for assessment in evaluation.assessments.values() for finding in assessment.cautions]
    criteria += [c for _, technique in named_techniques(evaluation) for c in (*technique.stopped_by, *technique.cautions)]
    found: dict[str, str] = {}
    for finding in all_met(evaluation, criteria):
        seen = {reading.fact for fact in finding.facts for reading in fact.seen if reading.fact}
        for name in seen | {test.fact for test in finding.criterion.tests}:
            found.setdefault(name, finding.criterion.id)
    return found


def dropped_in_order(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield violations of limit 9 that a finished card shows: a part to be dropped first remains while a later one is cut."""
    if evaluation is None or cards[0].kind != "overview":
        return
    overview = visible_text(cards[0].detail)
    excluded = [say_finding(evaluation.knowledge, finding) for assessment in evaluation.with_verdict(Verdict.NOT_INDICATED)
                for finding in assessment.decision.findings]  # fmt: skip
    cut = [text for text in excluded if text.lower() not in overview.lower()]
    cut += ["the fuller heading"] if "To discuss (2010" in overview else []
    if cut and (normal := normal_values(evaluation, overview)):
        yield f"normal values stand ({normal[0]}), and there is no room for: {cut[0]}"
    for card in cards:
        if card.kind == "modality":
            yield from _figures_before(evaluation, card, cards)
    for block in modality_blocks(cards):
        if "Would change it:" not in visible_text(block.text):
            yield f"does not say what would change it: {block.title}"
    text = "\n".join(visible_text(card.detail) for card in cards).lower()
    for assessment in shown_assessments(evaluation):
        for name in assessment.missing:
            if fact_name(evaluation.knowledge, name).lower() not in text:
                yield f"an unknown of {assessment.modality.id} is not named: {fact_name(evaluation.knowledge, name)}"


def normal_values(evaluation: Evaluation, overview: str) -> list[str]:
    """Return the laboratory values of an overview on which nothing rests."""
    known, facts = evaluation.knowledge, evaluation.facts
    told = " ".join(line for line in overview.splitlines() if "Laboratory: " in line)
    techniques = [technique for assessment in evaluation.assessments.values() for technique in assessment.modality.techniques]
    stops = all_met(evaluation, [c for technique in techniques for c in (*technique.stopped_by, *technique.cautions)])
    bearing = {reading.fact for assessment in evaluation.assessments.values()
               for finding in (*assessment.cautions, *assessment.decision.findings, *stops)
               for fact in finding.facts for reading in fact.seen}  # fmt: skip
    ratios = {definition.upper_limit_of for definition in known.facts.values() if definition.upper_limit_of}
    names = [n for n in known.board.laboratory if facts[n].known and not {n} & (bearing | ratios) and not known.facts[n].trend]
    return [text for name in names if (text := say_fact(known, name, facts[name])) in told]


def _figures_before(evaluation: Evaluation, card: Card, cards: Cards) -> Iterator[str]:
    """Yield figures of a claim that remain although words of a dissent or risk, or the second risk of a full block, are cut."""
    text = visible_text(card.detail).lower()
    parts = all_parts(evaluation)
    figures = [statement.says for part in parts for statement in part.assessment.modality.shown
               if statement.face is Face.FOR and re.search(r"\d", statement.says) and not re.search(r"\d", statement.brief)
               and evaluation.knowledge.statements[statement.statement].edition is Edition.UPDATE
               and statement.says.lower() in text]  # fmt: skip
    if not figures:
        return
    for part in parts:
        for statement, wordings in statements_of(evaluation, part):
            longer, brief = wordings[0].lower(), _after_state(statement.brief).lower()
            if brief and longer and longer not in text and is_said(brief, text):
                yield f"figures stand ({figures[0]}), and a {statement.face.value} is cut: {brief}"
        risks = [wordings for other in parts if other.id == part.id
                 and other.verdict is not Verdict.UNDETERMINED
                 for statement, wordings in statements_of(evaluation, other) if statement.face is Face.RISK]  # fmt: skip
        for block in modality_blocks([*(c for c in cards if c.kind == "overview"), card]):
            if block.full and any(block.title.startswith(f"{title}: ") for title in titles_of(evaluation, part.id)):
                said = {w[0] for w in risks if any(word and word.lower() in visible_text(block.text).lower() for word in w)}
                always = "drug-eluting beads" in block.text.lower()
                if part.verdict is not Verdict.UNDETERMINED and len(said) + always < min(2, len({w[0] for w in risks})):
                    yield f"figures stand ({figures[0]}), and a second risk of {part.named} does not"


NOT_RECORDED = re.compile(r"Not recorded[^:]*: (.*?)\.?(?=\. (?:Out of|Not |[A-Z])|\.$|$)", re.MULTILINE)


TOGETHER = frozenset({"creatinine", "liver_transplant", "liver_transplant_coded", "liver_transplant_status_coded"})
"""Facts that can change something only together with another one: age and sex, the date of a transplant."""


def unrecorded(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield violations of limit 11: listed facts that are known, or that could change no verdict or caution shown."""
    if evaluation is None or cards[0].kind != "overview":
        return
    by_name: dict[str, list[str]] = {}
    for name in evaluation.knowledge.facts:
        by_name.setdefault(fact_name(evaluation.knowledge, name).lower(), []).append(name)
    listed = {entry for card in cards for line in NOT_RECORDED.findall(visible_text(card.detail))
              for entry in _named_facts(line, by_name)}  # fmt: skip
    for entry in sorted(listed):
        if not (names := by_name.get(entry)):
            yield f"no fact: {entry}"
            continue
        open_ones = [name for name in names if not evaluation.facts[name].known]
        silent = [n for n in open_ones if not evaluation.facts[n].seen and not evaluation.facts[n].unread]
        if not open_ones:
            yield f"the chart holds it: {entry}"
        elif not silent:
            yield f"the chart says something of it: {entry}"
        elif "pregnancy" in silent and not may_be_pregnant(evaluation):
            yield f"not of this patient: {entry}"
        elif not {*silent} & TOGETHER and not any(could_change(evaluation, name) for name in silent):
            yield f"changes nothing: {entry}"
    for block in modality_blocks(cards):
        if block.full and _has_stops(evaluation, block) and not re.search(
            "Stops looked at|Not recorded:|Out of date|Missing", block.text
        ):  # fmt: skip
            yield f"stops not looked at: {block.title}"


def _named_facts(line: str, by_name: Collection[str]) -> list[str]:
    parts = line.split("; ") if "; " in line else re.sub(r" and \d+ more$", "", line).split(", ")
    return [line.lower()] if line.lower() in by_name else [part.lower() for part in parts if part]


def may_be_pregnant(evaluation: Evaluation) -> bool:
    age = evaluation.facts["age"].amount
    return not evaluation.facts["sex"].equals("male") and not (age is not None and age.above(MAX_AGE_OF_PREGNANCY))


def _has_stops(evaluation: Evaluation, block: Block) -> bool:
    for part in all_parts(evaluation):
        if any(block.title.startswith(f"{title}: ") for title in titles_of(evaluation, part.id)):
            if part.line is None and part.assessment.modality.contraindications:
                return True
            if part.line is not None and any(technique.stopped_by for technique in part.techniques):
                return True
    return False


_BEARING: dict[int, tuple[Evaluation, dict[str, bool]]] = {}


def could_change(evaluation: Evaluation, name: str) -> bool:
    """Return whether some value of a fact, alone or with another unrecorded fact, changes a verdict, a caution, a
    contraindication or a stop of what is shown or ordered."""
    _, done = _BEARING.setdefault(id(evaluation), (evaluation, {}))
    if name not in done:
        done[name] = any(_differs(evaluation, {name: value}) for value in trials(name)) or any(
            _differs(evaluation, {name: value, other: another})
            for other in _beside(evaluation, name)
            for value in trials(name)
            for another in trials(other)
        )
    return done[name]


@cache
def trials(name: str) -> tuple[Value, ...]:
    """Return a value of every region, including those at the limits of cautions and stops."""
    limits = {test.limit for criterion in KNOWN.criteria.values() for test in criterion.tests if test.fact == name}
    numbers = [Interval.from_number(limit + step) for limit in limits if isinstance(limit, Decimal) for step in (-1, 0, 1)]
    return (*numbers, *values(name))


def _beside(evaluation: Evaluation, name: str) -> list[str]:
    """Return the other unknown facts of the criteria that a fact is part of."""
    known = evaluation.knowledge
    criteria = [criterion for assessment in shown_assessments(evaluation)
                for criterion in (*assessment.modality.contraindications, *assessment.modality.cautions)]  # fmt: skip
    criteria += [c for _, technique in named_techniques(evaluation) for c in (*technique.stopped_by, *technique.cautions)]
    open_ones = [c for c in criteria if c.tests and not judge_criterion(c, evaluation.facts).met]
    inputs = [frozenset().union(*(recorded_inputs(known, fact) for fact in c.facts)) for c in open_ones]
    found = frozenset[str]().union(*(part for part in inputs if name in part))
    return [other for other in known.facts if other in found - {name} and not evaluation.facts[other].known]


def _differs(evaluation: Evaluation, told: Mapping[str, Value]) -> bool:
    picture, today = evaluation.picture, evaluation.facts.today
    for name, value in told.items():
        readings = observed(name, value, PartialDate.from_day(today))
        picture = with_fact(picture, name, Readings(readings, complete=True))
    after = evaluate(picture, evaluation.knowledge, today)
    return _bearing(evaluation, after) != _bearing(evaluation, evaluation)


def _bearing(base: Evaluation, evaluation: Evaluation) -> list[object]:
    """Return verdicts, contraindications and cautions of what `base` shows, and stops of what it names."""
    found: list[object] = []
    for shown in shown_assessments(base):
        assessment = evaluation.assessments[shown.modality.id]
        found.append(assessment.verdict)
        found.append([finding.criterion.id for finding in assessment.cautions])
        found.append([finding.criterion.id for finding in all_met(evaluation, assessment.modality.contraindications)])
    for _, technique in named_techniques(base):
        met = all_met(evaluation, (*technique.stopped_by, *technique.cautions))
        found.append([finding.criterion.id for finding in met])
    return found


SEVERAL = re.compile(r"^(?:Ordered: )?(?P<names>.+?): contraindicated, (?P<reasons>.+?)(?:\. What would lift it.*)?$")
AND_MORE = re.compile(r"(?P<first>[^:;]+?) and (?P<more>\d+) more contraindicated \((?P<reason>.+)\); nothing else")


def summaries_are_true(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield reasons that a summary gives for several treatments but that do not apply to each of them."""
    if evaluation is None:
        return
    for card in cards:
        summary = re.split(r"; cardiology before", card.summary)[0]
        if card.kind == "overview" and (found := AND_MORE.search(summary)):
            stopped = evaluation.with_verdict(Verdict.CONTRAINDICATED)
            for assessment in stopped if len(stopped) > int(found["more"]) else ():
                if found["reason"] not in [say_finding(evaluation.knowledge, f) for f in assessment.contraindications]:
                    yield f"of the overview, {found['reason']} is none of {assessment.modality.id}: {summary}"
        if card.kind != "contraindication" or not (found := SEVERAL.match(summary)):
            continue
        reasons = found["reasons"].split("; ")
        against = _reasons_by_name(evaluation, found["names"])
        if len(against) > 1 and len(reasons) == 1:
            for name, own in against.items():
                if reasons[0] not in own:
                    yield f"one reason, {reasons[0]} is none of {name}: {summary}"
        for name, own in against.items():
            if len(reasons) > 1 and not own & {*reasons}:
                yield f"none of the reasons is one of {name}: {summary}"


def _reasons_by_name(evaluation: Evaluation, names: str) -> dict[str, set[str]]:
    """Return each treatment that a summary names → everything against it."""
    known, found = evaluation.knowledge, dict[str, set[str]]()
    for name in re.split(r", | and ", names):
        for modality in known.modalities:
            if name.lower() in {modality.face_title.lower(), modality.face_name.lower()}:
                own = all_met(evaluation, modality.contraindications)
                found.setdefault(name, set()).update(say_finding(known, finding) for finding in own)
            for technique in modality.techniques:
                if technique.short and name.lower() == technique.short.lower():
                    stops = all_met(evaluation, technique.stopped_by)
                    found.setdefault(name, set()).update(say_finding(known, finding) for finding in stops)
    return found


def once(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    """Yield cautions and lines that appear twice in one answer."""
    if evaluation is None or cards[0].kind != "overview":
        return
    text = "\n".join(visible_text(card.detail) for card in cards).lower()
    for treatment in list_treatments(evaluation):
        if treatment.on_face and treatment.line is None:
            for finding in treatment.assessment.cautions:
                said = say_finding(evaluation.knowledge, finding).lower()
                if len(said) > 25 and text.count(said) > 1:
                    yield f"twice: {said}"


def lowered(evaluation: Evaluation | None, cards: Cards) -> Iterator[str]:
    if evaluation is None or cards[0].kind != "overview":
        return
    for treatment in list_treatments(evaluation):
        if treatment.is_lowered and not any("would be recommended but for" in card.detail for card in cards):
            yield f"{treatment.id}: does not say what lowers it"


def markdown(_: Evaluation | None, cards: Cards) -> Iterator[str]:
    for card in cards:
        for line in card.detail.splitlines():
            if re.match(r"\s+\S|#|>|\||```|!\[|\* ", line) or line.count("**") % 2:
                yield f"no Markdown of ours: {line}"


LIMITS: Mapping[str, Check] = {
    "1 the summary answers": summary_answers,
    "2 the answer stands first": answer_first,
    "3 characters": length,
    "4 lines": lines,
    "5 links": links,
    "6 no ids": no_ids,
    "7 every result has a source": sourced,
    "8 what bears on safety is said": safety_said,
    "9 dropped in this order": dropped_in_order,
    "10 none met": none_met,
    "11 not recorded": unrecorded,
    "12 once": once,
    "13 what lowers a verdict": lowered,
    "14 Markdown": markdown,
    "summaries are true of each treatment": summaries_are_true,
}
GIVES_WAY = frozenset({"3 characters", "4 lines"})
"""Limits that give way if what may never be left out does not fit (docs/cards.md, "Limits", 3)."""
