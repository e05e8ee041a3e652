"""Mutants of functions that two trees share: does the new suite kill what the old one killed?

Out of CI. Both trees are clones with an environment, and both were run once with
`pytest --cov --cov-context=test`; cosmic-ray (8.7.0) has the operators.

    python -m tests.mutants draw OLD NEW --contexts OLD.coverage NEW.coverage --seed 64 -n 120 -o mutants.json
    python -m tests.mutants run mutants.json OLD NEW --from 0 --to 10         # appends to tests/mutants.csv

A mutant is run in the new tree first. Where a test kills it there that is the same in the old tree, the old
suite kills it as well, and is not run.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOMS = (
    *(
        f"core/{room}"
        for room in ("analysis", "answers", "measures", "slices", "storage", "data", "encoders")
    ),
    *("core/concepts", "core/charts", "dashboard/server", "dashboard/state", "dashboard/jobs"),
)
TABLE = Path(__file__).parent / "mutants.csv"
COLUMNS = ("number", "module", "function", "line", "operator", "occurrence", "new_killed_by", "old_killed_by")
SURVIVED, UNDECIDED, AS_NEW = "", "undecided", "the same test"
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


def reached_by_line(contexts: Path, tree: Path, module: str) -> dict[int, list[str]]:
    """Map each line of a module to the tests that ran it, also in processes that they started."""
    from coverage import CoverageData  # pyright: ignore[reportMissingImports]

    data = CoverageData(str(contexts))
    data.read()
    names = data.contexts_by_lineno(str(tree / module))
    return {
        line: sorted({name.partition("|")[0].partition(" (")[0] for name in found if "::" in name})
        for line, found in names.items()
    }


def draw(args: argparse.Namespace) -> None:
    """Write the mutants that are drawn: each in a line that a test of the old suite reaches."""
    rng = random.Random(args.seed)
    candidates = []
    for module, function, text, first in shared_functions(args.old, args.new):
        reached = reached_by_line(args.contexts[0], args.old, module)
        if any(first + offset in reached for offset in range(1, text.count("\n") + 1)):
            candidates.append((module, function, text, first, reached))
    rng.shuffle(candidates)
    mutants: list[dict[str, Any]] = []
    for module, function, text, first, reached in candidates:
        possible = [one for one in mutations(text) if reached.get(first + one[2])]
        if not possible:
            continue
        operator, occurrence, offset, mutated = rng.choice(possible)
        theirs = functions((args.new / module).read_text(encoding="utf-8"))[function][1]
        tests = {
            "old": reached[first + offset],
            "new": reached_by_line(args.contexts[1], args.new, module).get(theirs + offset, []),
        }
        where = {"module": module, "function": function, "line": first + offset}
        what = {"operator": operator, "occurrence": occurrence, "text": text, "mutated": mutated}
        mutants.append({"number": len(mutants), **where, **what, "tests": tests})
        if len(mutants) == args.n:
            break
    args.output.write_text(json.dumps(mutants, indent=1), encoding="utf-8")
    print(f"{len(mutants)} mutants of {len(candidates)} functions")


def nearest_first(tests: list[str], module: str) -> list[str]:
    """Order tests: those of the file that mirrors the module, those of its room, the others."""
    mirrored = f"{Path(module).parent.as_posix().removeprefix('core/')}/test_{Path(module).name}"
    room = Path(module).parts[1]
    return sorted(tests, key=lambda test: (mirrored not in test, f"tests/{room}/" not in test, test))


def killer(tree: Path, mutant: dict[str, Any], tests: list[str]) -> str:
    """Return the test that fails with the mutant in the tree; SURVIVED, or UNDECIDED where time runs out."""
    path = tree / mutant["module"]
    before = path.read_text(encoding="utf-8")
    begun = time.monotonic()
    listed = tree / ".mutant_tests"
    listed.write_text("\n".join(nearest_first(tests, mutant["module"])), encoding="utf-8")
    path.write_text(before.replace(mutant["text"], mutant["mutated"], 1), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        for marks in (FAST, SLOW):
            command = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", marks]
            left = PATIENCE - (time.monotonic() - begun)
            try:
                done = subprocess.run(
                    [*command, f"@{listed}"], cwd=tree, env=environment, timeout=left, capture_output=True,
                    text=True,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return UNDECIDED
            if done.returncode not in (0, 5):  # 5: none of them has such a mark
                failed = [
                    line.split()[1]
                    for line in done.stdout.splitlines()
                    if line.startswith(("FAILED", "ERROR"))
                ]
                return failed[0] if failed else "collection"
        return SURVIVED
    finally:
        path.write_text(before, encoding="utf-8")
        listed.unlink()


def same_test(old: Path, new: Path, test: str) -> bool:
    """Whether the file of a test is the same in both trees."""
    files = [tree / test.partition("::")[0] for tree in (old, new)]
    return all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes()


def run(args: argparse.Namespace) -> None:
    """Run mutants and append a row for each to the table."""
    mutants = json.loads(args.mutants.read_text(encoding="utf-8"))
    begins = not TABLE.exists()
    with open(TABLE, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, extrasaction="ignore")
        if begins:
            writer.writeheader()
        for mutant in mutants[args.first : args.last]:
            new = killer(args.new, mutant, mutant["tests"]["new"])
            if new and new != UNDECIDED and same_test(args.old, args.new, new):
                old = AS_NEW
            else:
                old = killer(args.old, mutant, mutant["tests"]["old"])
            row = {**mutant, "new_killed_by": new, "old_killed_by": old}
            writer.writerow(row)
            file.flush()
            print(*(row[name] for name in COLUMNS), sep="  ")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    running = commands.add_parser("run")
    running.add_argument("mutants", type=Path)
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
