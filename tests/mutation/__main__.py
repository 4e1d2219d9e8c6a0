"""`make mutants`: mutmut mutates the code that judges, and every mutant has to fail a vignette, a fixture or a test of reading.

mutmut makes the mutants. They are run here and not by `mutmut run`, which starts pytest for each mutant and picks tests by
function, although every vignette enters every function. Here a mutant is run only with the checks that reach its line, first
those that killed its neighbours. Every survivor needs a reason in triage.toml. A killed mutant is not run again until its
function changes (mutants/judged.json).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from difflib import unified_diff
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from mutmut.mutation.data import LineSpan

from tests.mutation.mutants import Mutant, Place, places, statements

WORK = Path("mutants")
JUDGED = WORK / "judged.json"
CPU_SECONDS = 30
PROCESSES = os.cpu_count() or 1
TRIAGE = Path(__file__).with_name("triage.toml")


ORDER = ("assessment", "staging", "facts", "judgement", "current_facts", "units")


def made() -> list[Mutant]:
    """Make all mutants; mutmut has no command that stops after this."""
    from mutmut.__main__ import create_mutants
    from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
    from mutmut.mutation.diff_apply import generated_function_names
    from mutmut.utils.file_utils import copy_src_dir, walk_mutatable_files
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    WORK.mkdir(exist_ok=True)
    for old in WORK.iterdir():  # mutmut leaves an older copy as it is
        if old != JUDGED:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    copy_src_dir()
    create_mutants(1)
    found = []
    for path in walk_mutatable_files():
        known = {place.function: place for place in places(path)}
        mutated = (WORK / path).read_text("utf-8").splitlines()
        index = MutantLineSpans.load(path)
        assert index, path
        spans = index.span_by_function_name
        data = SourceFileMutationData(path=path)
        data.load()
        for name in data.exit_code_by_key:
            function, of_class = orig_function_and_class_names_from_key(name)
            before, after = (_code(mutated, spans[part]) for part in generated_function_names(name))
            lines = [line for line in unified_diff(before, after, n=0, lineterm="") if line[:3] not in {"---", "+++"}]
            was = " / ".join(line[1:].strip() for line in lines if line.startswith("-"))
            becomes = " / ".join(line[1:].strip() for line in lines if line.startswith("+"))
            found.append(Mutant(name, known[f"{of_class}.{function}" if of_class else function], was, becomes))
    return sorted(found, key=lambda mutant: [name not in mutant.place.path for name in ORDER])


def _code(mutated: list[str], span: LineSpan) -> list[str]:
    """Return the source of a generated function without its generated name."""
    lines = mutated[span.start - 1 : span.end]
    head = next(place for place, line in enumerate(lines) if line.lstrip().startswith("def "))
    return [line.strip() for line in lines[head + 1 :]]


def reach(target: Path) -> None:
    """Return which checks reach which line of the unchanged code; every check has to pass on it."""
    import coverage

    from tests.mutation.checks import checks

    cover = coverage.Coverage(include=["cds_service/*"], data_file=None)
    cover.start()
    for number, check in enumerate(checks().values()):
        cover.switch_context(str(number))
        check()
    cover.stop()
    data = cover.get_data()
    found = {str(Path(file).relative_to(Path.cwd())): data.contexts_by_lineno(file) for file in data.measured_files()}
    target.write_text(json.dumps(found), "utf-8")


def judge(plan: Path) -> None:
    """Run each mutant in a process of its own until a check fails. Prints name and result as they come."""
    from tests.mutation.checks import checks

    found = list(checks().values())
    todo = json.loads(plan.read_text("utf-8"))
    mutants = {name: function_pair(name) for name, _, _ in todo}
    killers: dict[str, Counter[int]] = defaultdict(Counter)
    running: dict[int, tuple[str, str, int]] = {}
    inner = {code for pair in mutants.values() for code in codes_within(pair[0])}
    made_before = [part for part in gc.get_objects() if isinstance(part, FunctionType) and part.__code__ in inner]

    def wait() -> None:
        child, status = os.wait()
        name, function, reading = running.pop(child)
        killer = os.read(reading, 20)
        os.close(reading)
        if killer:
            killers[function][int(killer)] += 1
        answer = "survived" if status == 0 else "killed" if os.WIFEXITED(status) else "endless"
        print(json.dumps([name, answer]), flush=True)

    gc.freeze()  # a child copies no page only to count references
    for name, function, wanted in todo:
        order = sorted(wanted, key=lambda number: (-killers[function][number], number))
        reading, writing = os.pipe()
        if not (child := os.fork()):
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            original, mutant = mutants[name]
            new = dict(zip(codes_within(original), codes_within(mutant), strict=True))
            for part in made_before:  # inner functions that the original made when its module was imported
                part.__code__ = new.get(part.__code__, part.__code__)
            original.__code__ = mutant.__code__
            original.__defaults__, original.__kwdefaults__ = mutant.__defaults__, mutant.__kwdefaults__
            for number in order:
                try:
                    found[number]()
                except (Exception, pytest.fail.Exception):
                    os.write(writing, str(number).encode())
                    os._exit(1)
            os._exit(0)
        os.close(writing)
        running[child] = (name, function, reading)
        if len(running) >= PROCESSES:
            wait()
    while running:
        wait()


@cache
def mutated(module: str) -> dict[str, Any]:
    """Return the names of a module and of its mutants. The mutants look up the names they use in the true module: only
    their code is taken, because to call through mutmut's wrappers is six times as slow."""
    path = WORK / f"{module.replace('.', '/')}.py"
    names = dict(vars(importlib.import_module(module)))
    exec(compile(path.read_text("utf-8"), path, "exec"), names)
    return names


def function_pair(name: str) -> tuple[FunctionType, FunctionType]:
    """Return a function of the code and its mutant."""
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    module, _, generated = name.rpartition(".")
    function, of_class = orig_function_and_class_names_from_key(name)
    true, false = vars(importlib.import_module(module)), mutated(module)
    if of_class:
        true, false = vars(true[of_class]), vars(false[of_class])
    pair = tuple(getattr(found, "__func__", found) for found in (true[function], false[generated]))
    assert all(isinstance(part, FunctionType) for part in pair), name
    return pair


def codes_within(function: FunctionType) -> list[CodeType]:
    """Return the code of the functions that are defined within a function."""
    return [part for part in function.__code__.co_consts if isinstance(part, CodeType) and part.co_name[0] != "<"]


def reached_by(mutant: Mutant, reached: dict[str, dict[str, list[str]]]) -> list[int]:
    path = Path(mutant.place.path)
    lines: set[int] = set()
    for part in mutant.was.split(" / "):
        for line in mutant.place.lines(part):
            lines |= set(statements(path).get(line, [line]))
    by_line = reached.get(mutant.place.path, {})
    wanted = lines or range(mutant.place.first, mutant.place.last + 1)
    return sorted({int(number) for line in wanted for number in by_line.get(str(line), ()) if number})


def main() -> int:
    start = time.monotonic()
    python = [sys.executable, "-m", "tests.mutation"]
    mutants = made()
    subprocess.run([*python, "reach", str(WORK / "reach.json")], check=True)
    reached = json.loads((WORK / "reach.json").read_text("utf-8"))
    before = json.loads(JUDGED.read_text("utf-8")) if JUDGED.is_file() else {}
    answers: dict[str, str] = {}
    plan = []
    for mutant in mutants:
        if mutant.only_words:
            answers[mutant.name] = "only words"
        elif before.get(mutant.name) == ["killed", mutant.place.digest]:
            answers[mutant.name] = "killed"
        else:
            plan.append([mutant.name, mutant.place.path + mutant.place.function, reached_by(mutant, reached)])
    plan.sort(key=lambda entry: before.get(entry[0], [""])[0] == "survived")  # those take longest
    (WORK / "plan.json").write_text(json.dumps(plan), "utf-8")
    digests = {mutant.name: mutant.place.digest for mutant in mutants}
    with subprocess.Popen([*python, "judge", str(WORK / "plan.json")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for count, line in enumerate(process.stdout, 1):
            name, answer = json.loads(line)
            answers[name] = answer
            before[name] = [answer, digests[name]]
            if count % 25 == 0:
                JUDGED.write_text(json.dumps(before), "utf-8")
                print(f"{count} of {len(plan)} judged, {time.monotonic() - start:.0f} s", flush=True)
    JUDGED.write_text(json.dumps(before), "utf-8")
    assert process.returncode == 0
    return report(mutants, answers, time.monotonic() - start)


def report(mutants: list[Mutant], answers: dict[str, str], seconds: float) -> int:
    triage = tomllib.loads(TRIAGE.read_text("utf-8"))["survivor"]
    kinds = ("only words", "killed", "endless", "survived")
    print(f"{'':34}{'mutants':>9}" + "".join(f"{kind:>17}" for kind in kinds))
    by_path: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant in mutants:
        by_path[mutant.place.path][answers[mutant.name]] += 1
        by_path["all"][answers[mutant.name]] += 1
    for path, counts in sorted(by_path.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        print(f"{path:34}{sum(counts.values()):9}" + "".join(f"{counts[kind]:17}" for kind in kinds))
    used: Counter[int] = Counter()
    untriaged = []
    for mutant in mutants:
        if answers[mutant.name] == "survived":
            found = [number for number, entry in enumerate(triage) if explains(entry, mutant.place, mutant)]
            used.update(found)
            if not found:
                untriaged.append(mutant)
    for mutant in untriaged:
        print(f"\nuntriaged: {mutant.place.path} {mutant.place.function}\n  - {mutant.was}\n  + {mutant.becomes}")
    idle = [entry for number, entry in enumerate(triage) if not used[number]]
    for entry in idle:
        print(f"\ntriaged, but killed or gone: {entry['path']} {entry['function']}: {entry['line']}")
    print(f"\n{sum(used.values())} survivors triaged, {len(untriaged)} not; {len(idle)} reasons idle; {seconds:.0f} s")
    return 1 if untriaged or idle else 0


def explains(entry: dict[str, Any], place: Place, mutant: Mutant) -> bool:
    """Return whether an entry of triage.toml explains a mutant: of all mutants of its lines, or of those in `becomes`."""
    lines = entry["line"] if isinstance(entry["line"], list) else [entry["line"]]
    same = (entry["path"], entry["function"]) == (place.path, place.function) and mutant.was in lines
    return same and mutant.becomes in entry.get("becomes", [mutant.becomes])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["reach", target]:
            reach(Path(target))
        case ["judge", plan]:
            judge(Path(plan))
        case _:
            sys.exit(main())
