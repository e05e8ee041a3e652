"""Mutants of functions that two trees share: does the new suite kill what the old one killed?

Out of CI. Both trees are clones with an environment, and both were run once with
`pytest --cov --cov-context=test`; cosmic-ray (8.7.0) has the operators.

    python -m tests.mutants draw OLD NEW --contexts OLD.coverage NEW.coverage --seed 64 -n 120 -o mutants.json
    python -m tests.mutants run mutants.json OLD NEW --from 0 --to 10         # appends to tests/mutants.csv
    python -m tests.mutants count                                             # what tests/mutants.csv says

A test that both trees hold with the same statements is the same test. So OLD.coverage needs to hold only
the tests that are not in the new tree, and a mutant is run in the new tree first. Where a test kills it there
that is the same in the old tree, the old suite kills it as well, and is not run; where none does, only the
tests that the old suite has alone are run.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOMS = (
    *(f"core/{room}" for room in ("analysis", "answers", "measures", "study", "data", "encoders")),
    *("core/concepts", "core/charts", "dashboard/server", "dashboard/state", "dashboard/jobs"),
)
TABLE = Path(__file__).parent / "mutants.csv"
COLUMNS = ("number", "module", "function", "line", "operator", "occurrence", "new_killed_by", "old_killed_by")
SURVIVED, UNDECIDED, AS_NEW = "", "undecided", "the same test"
HANGS = "a test that hangs"
PATIENCE = 300  # seconds for the tests of a mutant in one tree
NEED_ARGUMENTS = (
    "core/VariableReplacer",
    "core/VariableInserter",
)  # operators for one variable that is named
FAST, SLOW = "not slow and not browser", "slow or browser"


def functions(source: str) -> dict[str, tuple[str, int]]:
    """Map each function at the top level of a module to its text and the number of its first line."""
    lines = source.splitlines(keepends=True)
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ("".join(lines[node.lineno - 1 : node.end_lineno]), node.lineno)
    return found


def shared_functions(old: Path, new: Path) -> Iterator[tuple[str, str, str, int]]:
    """Yield module, name, text and first line in the old tree of each function that is equal in both."""
    for room in ROOMS:
        for path in sorted((old / room).rglob("*.py")):
            module = path.relative_to(old).as_posix()
            if not (new / module).exists():
                continue
            theirs = functions((new / module).read_text(encoding="utf-8"))
            for name, (text, line) in functions(path.read_text(encoding="utf-8")).items():
                if theirs.get(name, ("", 0))[0] == text:
                    yield module, name, text, line


def mutations(text: str) -> Iterator[tuple[str, int, int, str]]:
    """Yield operator, occurrence, line within the text, and mutated text of each mutation of a function."""
    from cosmic_ray.ast import ast_nodes, get_ast  # pyright: ignore[reportMissingImports]
    from cosmic_ray.mutating import mutate_code  # pyright: ignore[reportMissingImports]
    from cosmic_ray.plugins import get_operator, operator_names  # pyright: ignore[reportMissingImports]

    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        if name in NEED_ARGUMENTS:
            continue
        operator = get_operator(name)()
        positions = [position for node in nodes for position in operator.mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            mutated = mutate_code(text, operator, occurrence)
            if mutated is not None and is_another_program(text, mutated):
                yield name, occurrence, start[0] - 1, mutated


def is_another_program(text: str, mutated: str) -> bool:
    """Whether a mutated function is Python, and not only written in another way."""
    try:
        return ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(text))
    except SyntaxError:  # such as the star before arguments with names, taken for a product
        return False


# pytest-cov writes "test|run"; a process of a test writes what PYTEST_CURRENT_TEST holds, "test (call)".
PHASE = re.compile(r"(\|(setup|run|teardown)| \((setup|call|teardown)\))$")


def reached_by_line(contexts: Path, tree: Path, module: str) -> dict[int, list[str]]:
    """Map each line of a module to the tests that ran it, also in processes that they started."""
    from coverage import CoverageData  # pyright: ignore[reportMissingImports]

    data = CoverageData(str(contexts))
    data.read()
    names = data.contexts_by_lineno(str(tree / module))
    return {
        line: sorted({PHASE.sub("", name) for name in found if "::" in name}) for line, found in names.items()
    }


@cache
def statements(file: Path) -> dict[str, str]:
    """Map each function of a test file to its arguments and statements, without its docstring."""
    if not file.is_file():
        return {}
    found = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            body = ast.Module(node.body[documented:], [])
            found[node.name] = ast.dump(node.args) + ast.dump(body)
    return found


def same_test(old: Path, new: Path, test: str) -> bool:
    """Whether a test has the same statements in both trees."""
    file, name = test.split("[")[0].split("::")
    ours = statements(new / file).get(name)
    return ours is not None and statements(old / file).get(name) == ours


def reached_of(
    args: argparse.Namespace, module: str, name: str, first: int
) -> dict[int, dict[str, list[str]]]:
    """Map each line of a function, counted from its first, to the tests of either suite that run it."""
    begins = functions((args.new / module).read_text(encoding="utf-8"))[name][1]
    only_old = reached_by_line(args.contexts[0], args.old, module)
    by_new = reached_by_line(args.contexts[1], args.new, module)
    found = {}
    for offset in range(1, 1 + max([*only_old, *by_new], default=0)):
        new = by_new.get(begins + offset, [])
        shared = [test for test in new if same_test(args.old, args.new, test)]
        old = only_old.get(first + offset, [])
        found[offset] = {"new": new, "old": sorted({*shared, *old})}
    return found


def draw(args: argparse.Namespace) -> None:
    """Write the mutants that are drawn: each in a line that a test of the old suite reaches."""
    rng = random.Random(args.seed)
    candidates = list(shared_functions(args.old, args.new))
    rng.shuffle(candidates)
    mutants: list[dict[str, Any]] = []
    for module, function, text, first in candidates:
        reached = reached_of(args, module, function, first)
        possible = [one for one in mutations(text) if reached.get(one[2], {}).get("old")]
        if not possible:
            continue
        operator, occurrence, offset, mutated = rng.choice(possible)
        where = {"module": module, "function": function, "line": first + offset}
        what = {"operator": operator, "occurrence": occurrence, "text": text, "mutated": mutated}
        mutants.append({"number": len(mutants), **where, **what, "tests": reached[offset]})
        if len(mutants) == args.n:
            break
    args.output.write_text(json.dumps(mutants, indent=1), encoding="utf-8")
    print(f"{len(mutants)} mutants of {len(candidates)} functions")


def nearest_first(tests: list[str], module: str) -> tuple[list[str], list[str]]:
    """Part the tests into those of the room of a module, its mirrored file first, and all others."""
    mirrored = f"{Path(module).parent.as_posix().removeprefix('core/')}/test_{Path(module).name}"
    room = f"tests/{Path(module).parts[1]}/" if module.startswith("core/") else "tests/dashboard/"
    near = [test for test in tests if test.startswith(room)]
    far = [test for test in tests if not test.startswith(room)]
    return sorted(near, key=lambda test: (mirrored not in test, test)), far


def first_failure(tree: Path, tests: list[str], marks: str, seconds: float) -> str:
    """Return the first of the tests with these marks that fails; SURVIVED or UNDECIDED."""
    listed = tree / ".mutant_tests"
    listed.write_text("\n".join(tests), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout", "120", "-m", marks]
    try:
        done = subprocess.run(
            [".venv/bin/python", "-m", "pytest", *options, f"@{listed}"], cwd=tree, env=environment,
            timeout=seconds, capture_output=True, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return UNDECIDED
    finally:
        listed.unlink()
    if done.returncode in (0, 5):  # 5: none of them has such a mark
        return SURVIVED
    lines = done.stdout.splitlines()
    failed = [line.split(" ", 1)[1] for line in lines if line.startswith(("FAILED tests/", "ERROR tests/"))]
    if failed:
        return failed[0].partition(" - ")[0]
    return HANGS if "Timeout" in done.stdout + done.stderr else "collection"


@cache
def collected(tree: Path) -> frozenset[str]:
    """List the tests that a tree holds: it may be some commits younger than its contexts."""
    command = [".venv/bin/python", "-m", "pytest", "--collect-only", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    return frozenset(line for line in done.stdout.splitlines() if "::" in line)


def killer(tree: Path, mutant: dict[str, Any], tests: list[str]) -> str:
    """Return the test that fails with the mutant in the tree; SURVIVED, or UNDECIDED where time runs out."""
    path = tree / mutant["module"]
    before = path.read_text(encoding="utf-8")
    near, far = nearest_first([test for test in tests if test in collected(tree)], mutant["module"])
    ends = time.monotonic() + PATIENCE
    path.write_text(before.replace(mutant["text"], mutant["mutated"], 1), encoding="utf-8")
    try:
        for chosen, marks in ((near, FAST), (far, FAST), (near, SLOW), (far, SLOW)):
            found = first_failure(tree, chosen, marks, ends - time.monotonic()) if chosen else SURVIVED
            if found != SURVIVED:
                return found
        return SURVIVED
    finally:
        path.write_text(before, encoding="utf-8")


def run(args: argparse.Namespace) -> None:
    """Run mutants and append a row for each to the table."""
    mutants = json.loads(args.mutants.read_text(encoding="utf-8"))
    begins = not TABLE.exists()
    with open(TABLE, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, extrasaction="ignore")
        if begins:
            writer.writeheader()
        for mutant in mutants[args.first : args.last]:
            trees = (args.old, args.new)
            if any(mutant["text"] not in (tree / mutant["module"]).read_text("utf-8") for tree in trees):
                print(f"{mutant['number']}: {mutant['function']} has changed since it was drawn")
                continue
            new = killer(args.new, mutant, mutant["tests"]["new"])
            if "::" in new and same_test(args.old, args.new, new):
                old = AS_NEW
            else:
                theirs = mutant["tests"]["old"]
                if new == SURVIVED:  # each test that both have has passed
                    theirs = [test for test in theirs if not same_test(args.old, args.new, test)]
                old = killer(args.old, mutant, theirs)
            row = {**mutant, "new_killed_by": new, "old_killed_by": old}
            writer.writerow(row)
            file.flush()
            print(*(row[name] for name in COLUMNS), sep="  ")


def count(args: argparse.Namespace) -> None:
    """Print room by room how many mutants each suite kills, and how many both do."""
    with open(TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    alive = (SURVIVED, UNDECIDED)
    rooms = {row["module"]: "/".join(row["module"].split("/")[:2]) for row in rows}
    for room in [*sorted(set(rooms.values())), ""]:
        here = [row for row in rows if rooms[row["module"]].startswith(room)]
        by_old = [row for row in here if row["old_killed_by"] not in alive]
        by_both = [row for row in by_old if row["new_killed_by"] not in alive]
        by_new = sum(row["new_killed_by"] not in alive for row in here)
        print(f"{room or 'all':24} {len(here):4} drawn {len(by_old):4} by the old {by_new:4} by the new "
              f"{len(by_both):4} by both")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    running = commands.add_parser("run")
    running.add_argument("mutants", type=Path)
    commands.add_parser("count").set_defaults(do=count)
    for sub in (drawing, running):
        sub.add_argument("old", type=Path)
        sub.add_argument("new", type=Path)
    drawing.add_argument("--contexts", type=Path, nargs=2, required=True)
    drawing.add_argument("--seed", type=int, default=64)
    drawing.add_argument("-n", type=int, default=120)
    drawing.add_argument("-o", dest="output", type=Path, required=True)
    drawing.set_defaults(do=draw)
    running.add_argument("--from", dest="first", type=int, default=0)
    running.add_argument("--to", dest="last", type=int, default=None)
    running.set_defaults(do=run)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
