"""Reasons are codes. The program reads only the codes, so the words of a reason can change freely."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from cds_service.cards.wording import explain, reason_key
from cds_service.reasons import Explanation, Reason, reason_of
from tests.conftest import ROOT

PACKAGE = ROOT / "cds_service"
TREES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
WORDS: dict[str, str] = tomllib.loads((PACKAGE / "cards" / "reasons.toml").read_text("utf-8"))["why"]
EXPLAINING = frozenset({"why", "note", "because", "doubt", "question"})
"""Names of attributes and variables that hold explanations."""
SEARCHES = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "split", "rsplit", "partition", "rpartition", "splitlines",
     "find", "rfind", "index", "rindex", "count", "replace", "strip", "lstrip", "rstrip", "lower", "upper", "casefold",
     "format", "join", "encode", "translate"}
)  # fmt: skip
TEXTS = frozenset({"publication.note"})
"""Attributes with such a name that are texts of the knowledge, for its rule book."""


def names_in(words: str) -> set[str]:
    """Return the placeholders in the words of a reason."""
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


# ── the words ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_reason_has_words_and_no_words_are_left_over() -> None:
    assert sorted(WORDS) == sorted(reason.value for reason in Reason)
    assert all(words.strip() for words in WORDS.values())


@pytest.mark.parametrize("reason", Reason)
def test_the_code_of_a_reason_is_its_name(reason: Reason) -> None:
    assert reason.value == reason.name.lower().replace("_", "-")


def test_an_explanation_is_rendered_with_what_it_names() -> None:
    inner = Explanation(Reason.RESULTS_NOT_SENT, count=12)
    outer = Explanation(Reason.UNREADABLE, because=inner)
    told = WORDS["results-not-sent"].format(count=12)
    assert explain(outer) == WORDS["unreadable"].format(because=told)
    assert explain(reason_key(outer, numbers="some")) == explain(outer).replace("12", "some")
    assert explain(Explanation(Reason.UNREADABLE, because=Reason.NO_VALUE)) == WORDS["unreadable"].format(
        because=WORDS["no-value"]
    )


def test_braces_of_a_chart_are_text() -> None:
    assert explain(Explanation(Reason.NOT_DECODABLE, fault="{count} {0.__class__}")).endswith("{count} {0.__class__}")


# ── what an explanation refuses ───────────────────────────────────────────────────────────────────────────────────
EXPLAINED = Explanation(Reason.UNIT_AMBIGUOUS, because="secret")
# mypy rejects most of these by itself. An unneeded ignore is an error, so the comments check that too.
REFUSED: dict[str, Callable[[], object]] = {
    "equal": lambda: EXPLAINED == EXPLAINED,
    "unequal": lambda: EXPLAINED != "unit not accepted",  # type: ignore[comparison-overlap]  # refuses
    "before": lambda: EXPLAINED < EXPLAINED,  # type: ignore[operator]  # refuses
    "in": lambda: "unit" in EXPLAINED,  # type: ignore[operator]  # refuses
    "in a list": lambda: EXPLAINED in ["unit not accepted"],  # type: ignore[comparison-overlap]  # refuses
    "in a set": lambda: EXPLAINED in {"unit not accepted"},  # type: ignore[comparison-overlap]  # refuses
    "slice": lambda: EXPLAINED[:4],  # type: ignore[index]  # refuses
    "each": lambda: list(EXPLAINED),  # type: ignore[call-overload]  # refuses
    "length": lambda: len(EXPLAINED),  # type: ignore[arg-type]  # refuses
    "added": lambda: EXPLAINED + "",  # type: ignore[operator]  # refuses
    "text": lambda: str(EXPLAINED),
    "f-string": lambda: f"{EXPLAINED}",
    "format": lambda: "{}".format(EXPLAINED),  # noqa: UP032  # the other way to format
    "joined": lambda: ", ".join([EXPLAINED]),  # type: ignore[list-item]  # refuses
}


@pytest.mark.parametrize("way", REFUSED)
def test_an_explanation_is_neither_compared_nor_searched_nor_turned_into_text(way: str) -> None:
    with pytest.raises(TypeError):
        REFUSED[way]()


def test_an_explanation_cannot_be_changed_and_shows_no_detail_in_print() -> None:
    with pytest.raises(AttributeError):
        EXPLAINED.reason = Reason.NO_UNIT
    with pytest.raises(TypeError):
        EXPLAINED.details["because"] = "more"  # type: ignore[index]  # refuses
    assert repr(EXPLAINED) == "Explanation(UNIT_AMBIGUOUS)"


def test_an_explanation_is_true_and_gives_its_reason() -> None:
    assert bool(EXPLAINED)
    assert reason_of(EXPLAINED) is Reason.UNIT_AMBIGUOUS
    assert reason_of(None) is None


# ── the package, by its syntax tree ───────────────────────────────────────────────────────────────────────────────
class Place(NamedTuple):
    module: str
    node: ast.AST

    def __str__(self) -> str:
        return f"{self.module}:{getattr(self.node, 'lineno', 0)}: {ast.unparse(self.node)[:100]}"


def nodes() -> Iterator[Place]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            yield Place(module, node)


def reasons_in(node: ast.AST) -> list[Reason]:
    """Return every `Reason.X` below a node."""
    return [
        Reason[part.attr]
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "Reason"
        and part.attr in Reason.__members__
    ]  # fmt: skip


def test_every_reason_is_used() -> None:
    used = {reason for module, tree in TREES.items() if module != "reasons.py" for reason in reasons_in(tree)}
    assert set(Reason) - used == set()


def calls_of(name: str) -> Iterator[tuple[Place, ast.Call]]:
    for place in nodes():
        if isinstance(place.node, ast.Call) and isinstance(place.node.func, ast.Name) and place.node.func.id == name:
            yield place, place.node


def test_an_explanation_names_exactly_what_its_words_leave_open() -> None:
    wrong, seen = [], 0
    for place, call in calls_of("Explanation"):
        named = {keyword.arg or "**" for keyword in call.keywords}
        for reason in reasons_in(call.args[0]):
            seen += 1
            if named - {"**"} != names_in(WORDS[reason.value]) and "**" not in named:
                wrong.append(f"{place}: named {named}")
    assert wrong == []
    assert seen > 100


def test_a_reason_that_is_an_explanation_by_itself_leaves_nothing_open() -> None:
    """`unknown(Reason.X)`: a reason that is neither compared nor the first argument of an Explanation."""
    explained = {id(part) for _, call in calls_of("Explanation") for part in ast.walk(call.args[0])}
    compared: set[int] = set()
    sets: set[int] = set()
    for place in nodes():
        if isinstance(place.node, ast.Compare):
            compared |= {id(part) for part in ast.walk(place.node)}
        if isinstance(place.node, ast.Set):
            sets |= {id(part) for part in ast.walk(place.node)}
        if isinstance(place.node, ast.Call) and ast.unparse(place.node.func) == "_of":  # a reason with what it rests on
            explained |= {id(part) for part in ast.walk(place.node.args[0])}
    wrong = [
        str(place)
        for place in nodes()
        if isinstance(place.node, ast.Attribute) and id(place.node) not in explained | compared | sets
        for reason in (reasons_in(place.node) if place.module != "reasons.py" else [])
        if names_in(WORDS[reason.value])
    ]
    assert wrong == []


def explaining(node: ast.AST) -> bool:
    """Return True for `fact.why`, `self.doubt`, and a variable of that name."""
    return of_something(node) or (isinstance(node, ast.Name) and node.id in EXPLAINING)


def of_something(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in EXPLAINING and ast.unparse(node) not in TEXTS


def makes_explanations(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.alias) and node.name == "Explanation" for node in ast.walk(tree))


def searched(node: ast.AST) -> bool:
    """Return True if a node compares, searches, slices or prints something named as an explanation."""
    match node:
        case ast.Compare():
            by_identity = all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
            return not by_identity and any(map(explaining, [node.left, *node.comparators]))
        case ast.Subscript():
            return explaining(node.value)
        case ast.FormattedValue():
            return explaining(node.value)
        case ast.BinOp():
            return explaining(node.left) or explaining(node.right)
        case ast.Call(func=ast.Attribute() as method):
            of_text = method.attr in SEARCHES and explaining(method.value)
            pattern = isinstance(method.value, ast.Name) and (method.value.id == "re" or method.value.id.isupper())
            return of_text or ((pattern or method.attr == "join") and any(map(explaining, node.args)))
        case ast.Call(func=ast.Name() as function):
            return function.id in {"str", "len", "sorted", "list", "set", "tuple"} and any(map(explaining, node.args))
    return False


FAULTY = [
    'fact.why == "not consulted"', '"trunk" in fact.why', 'fact.why.startswith("unreadable")', 'found.why != "answered 400"',
    "fact.note[:3]", 'why.split("; ")', 're.search("trunk", fact.why)', "PATTERN.match(seen.note)", 'f"{found.why}: confirm"',
    "str(error.why)", "fact.why in told", '"; ".join(because)', 'question + "?"', 'fact.note.removeprefix("a")',
    "fact.why == other.why", "len(doubt)",
]  # fmt: skip
SOUND = ["fact.why is None", "fact.reason is Reason.UNDATED", "fact.why or other", "explain(found.why)", "fact.reason in LATE"]


@pytest.mark.parametrize("line", FAULTY)
def test_the_search_finds_each_way_to_read_a_sentence(line: str) -> None:
    assert any(searched(node) for node in ast.walk(ast.parse(line)))


@pytest.mark.parametrize("line", SOUND)
def test_the_search_lets_codes_pass(line: str) -> None:
    assert not any(searched(node) for node in ast.walk(ast.parse(line)))


def test_no_module_reads_a_sentence_of_the_program() -> None:
    """A plain variable counts where explanations are created; elsewhere it may be a text or a table of that name."""
    making = {module for module, tree in TREES.items() if makes_explanations(tree)}
    assert len(making) > 20
    found = [place for place in nodes() if searched(place.node)]
    of_ours = [p for p in found if p.module in making or any(map(of_something, ast.walk(p.node)))]
    assert [str(place) for place in of_ours] == []


def test_only_wording_looks_at_what_an_explanation_names() -> None:
    issue = next(
        node for node in ast.walk(TREES["hooks/prefetch.py"]) if isinstance(node, ast.ClassDef) and node.name == "Issue"
    )
    of_fhir = {id(part) for part in ast.walk(issue)}  # OperationOutcome.issue.details
    reading = {
        place.module
        for place in nodes()
        if isinstance(place.node, ast.Attribute) and place.node.attr == "details" and id(place.node) not in of_fhir
    }
    assert reading == {"cards/wording.py"}


# ── the sentences of the knowledge, and sentences that were put together ──────────────────────────────────────────
SENTENCES = frozenset(
    {"says", "then", "title", "short", "also", "citation", "series", "treated", "groups", "survival", "symptoms", "course",
     "topic", "caution", "not_used", "contraindications_say", "excluded_say", "face", "lift", "change", "brief", "adjust",
     "situation", "face_title", "face_name", "before_procedure"}
)  # fmt: skip
"""Attributes that hold a sentence or a title of the knowledge."""
RENDERERS = frozenset(
    {"explain", "safe_explanation", "sentence", "key_not_consulted", "fact_line",
     "format_reading", "format_value", "say_fact", "say_value", "say_finding", "say_criterion", "say_open",
     "say_day", "fact_name"}
)  # fmt: skip
"""Functions of wording that return words for people."""
PLACE = re.compile(r"\{[a-z]+\}$")
ALLOWED = {
    "says == other.says": "sites/overlay.py: a site may not call two facts by one name",
    "definition.says.removesuffix(ASSESSED)": "cli/terminology_export.py: the display of an exported code",
    "row.treated.split()": "rulebook/sources.py: a table of the rule book does not say one word twice",
    "row.treated.split()[0] in row.groups": "the same",
    "criterion.says.casefold()": "rulebook/words.py: the rule book does not print one sentence twice",
    "name in q.also": "cards/missing_data.py: no sentence: the facts that are asked with a question",
    "fact_label(knowledge, fact).rstrip(CALCULATED).casefold() == criterion.says.casefold()": "the same",
}
"""Code that reads a sentence all the same, and why no decision depends on it."""


def is_sentence(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in RENDERERS
    return isinstance(node, ast.Attribute) and node.attr in SENTENCES


def reads_sentence(node: ast.AST) -> bool:
    """Return True if a node compares, searches or slices a sentence, or uses one as a key."""
    match node:
        case ast.Compare():
            by_identity = all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
            return not by_identity and any(map(is_sentence, [node.left, *node.comparators]))
        case ast.Subscript():
            return is_sentence(node.value) or is_sentence(node.slice)
        case ast.Call(func=ast.Attribute(attr="replace"), args=[ast.Constant(value=str() as place), *_]) if PLACE.match(place):
            return False  # fills in the patient's own value
        case ast.Call(func=ast.Attribute() as method):
            return method.attr in SEARCHES - {"join", "format", "lower", "count"} and is_sentence(method.value)
        case ast.Dict():
            return any(key is not None and is_sentence(key) for key in node.keys)
        case ast.DictComp():
            return is_sentence(node.key)
    return False


@pytest.mark.parametrize(
    "line",
    ['technique.says.split(",")', "part.title in IN_A_LINE", 'explain(fact.why) == "y"', '"trunk" in explain(fact.why)',
     "{criterion.says: 1}", "why[technique.says]", 'wording.fact_line(k, n, f).split(": ", 1)', "{f.says: f for f in x}",
     'criterion.face.replace("local", "")', "say_fact(k, n, f).removesuffix(x)"],
)  # fmt: skip
def test_the_search_finds_each_way_to_read_a_sentence_of_the_knowledge(line: str) -> None:
    assert any(reads_sentence(node) for node in ast.walk(ast.parse(line)))


def test_no_module_reads_a_sentence_of_the_knowledge() -> None:
    found = [place for place in nodes() if reads_sentence(place.node)]
    assert [str(place) for place in found if ast.unparse(place.node) not in ALLOWED] == []


def test_a_reason_is_no_text() -> None:
    """Otherwise its code could be searched like a sentence."""
    assert not issubclass(Reason, str)
