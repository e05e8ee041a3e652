"""The rules of the tree as Markdown, for ARCHITECTURE.md: `python -m tests.rules` writes them there.

`python -m tests.rules --measures` prints what the mechanisms of the tree are measured by, and
`python -m tests.rules --draw 24 --seed 1` functions for somebody who knows only the list of rooms to put into
them; with `--rooms` it says where they are.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.config.options import OPTIONS
from tests.test_architecture import CORE_FOR_DASHBOARD, ONLY_IN, RESEARCH_FOR_DASHBOARD

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- rules: written by `python -m tests.rules` -->", "<!-- end of rules -->"

GLANCE = 40
"""Syntax nodes of a statement that is read at a glance."""
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr, ast.Raise, ast.Assert, ast.Delete)


def listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def homes(only_in: Mapping[str, Sequence[str]]) -> str:
    places = [f"`{package}` in {listed(where)}" for package, where in only_in.items()]
    return f"* **One home each**: {'; '.join(places)}."


def rules() -> str:
    """The block between BEGIN and END."""
    return "\n".join(
        [
            BEGIN,
            f"* **What the dashboard may import of core**: {listed(CORE_FOR_DASHBOARD)}.",
            f"* **What `dashboard/panels/research.py` may import besides**: "
            f"{listed(RESEARCH_FOR_DASHBOARD)}.",
            homes(ONLY_IN),
            END,
        ]
    )


def replaced(text: str) -> str:
    """A document with the block as it should be. Raises ValueError where it has none."""
    start, stop = text.index(BEGIN), text.index(END) + len(END)
    return text[:start] + rules() + text[stop:]


def _code() -> Iterator[Path]:
    """The modules of the workbench."""
    for room in ("core", "dashboard"):
        yield from sorted((ROOT / room).rglob("*.py"))


def _nodes() -> Iterator[ast.AST]:
    for path in _code():
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def files_of_option(name: str) -> int:
    """In how many modules an option of `analyze` stands, by its name or its flag."""
    word = re.compile(rf"\b{name}\b|{OPTIONS[name].flag}\b")
    return sum(bool(word.search(path.read_text(encoding="utf-8"))) for path in _code())


def reads_by_string() -> int:
    """How often the summary of one step is asked for, whose entries have a record to be read by."""
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "summary"
        and any(_names_a_step(argument) for argument in node.args)
        for node in _nodes()
    )


def _names_a_step(argument: ast.expr) -> bool:
    """Whether it is a text or a constant: what shows any step's summary whole has it as a variable."""
    return isinstance(argument, ast.Constant) or (isinstance(argument, ast.Name) and argument.id.isupper())


def uses_of_dict() -> int:
    """How often the attributes of an object are reached around the object."""
    return sum(isinstance(node, ast.Attribute) and node.attr == "__dict__" for node in _nodes())


VAGUE = {"found", "chosen", "said", "told", "wanted", "known", "kept", "own"}  # names that do not say of what


def vague_names() -> int:
    """How many variables and parameters have a vague name."""
    bound = (
        (node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else "")
        or (node.arg if isinstance(node, ast.arg) else "")
        for node in _nodes()
    )
    return sum(name in VAGUE for name in bound)


def composers() -> int:
    """How many functions return text and compose it of words and values."""
    return sum(_composes(node) for node in _nodes() if isinstance(node, ast.FunctionDef))


def _composes(function: ast.FunctionDef) -> bool:
    gives_text = isinstance(function.returns, ast.Name) and function.returns.id == "str"
    words = [
        part.value
        for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.Constant)
    ]
    return gives_text and any(re.search("[a-z]{2,} [a-z]{2,}", str(text)) for text in words)


# How code asks for a mode of a study: by what it compares with None, or by a name on a line of it.
COMPARED = {"basis": "below", "answer": "answer", "narrowed": "chosen"}
MENTIONED = {"address": "AddressPath", "ranks": "ranks"}
OF_PROCESSES = re.compile(
    r"\bRanks\b|\bjoin_ranks\b|\b(?:step|writer)\.ranks\b"
)  # elsewhere, ranks of values


def branches() -> dict[str, int]:
    """How often code outside of research asks for each mode that every feature must answer."""
    counts = dict.fromkeys((*COMPARED, *MENTIONED), 0)
    for path in _code():
        text = path.read_text(encoding="utf-8")
        if path.parent.name == "research":
            continue
        for mode, name in COMPARED.items():
            counts[mode] += len(re.findall(rf"\b{name} is (?:not )?None", text))
        for mode, name in MENTIONED.items():
            if name == "ranks" and not OF_PROCESSES.search(text):
                continue
            counts[mode] += sum(bool(re.search(rf"\b{name}\b", line)) for line in text.splitlines())
    return counts


def statements() -> int:
    """How many statements there are."""
    return sum(isinstance(node, ast.stmt) for node in _nodes())


def dense_statements() -> int:
    """How many simple statements have too many syntax nodes to be read at a glance, tables included."""
    return sum(isinstance(node, SIMPLE) and _size(node) > GLANCE for node in _nodes())


def _size(node: ast.AST) -> int:
    """The syntax nodes of a statement, itself included."""
    return sum(1 for _ in ast.walk(node))


def packages() -> int:
    """How many folders have modules."""
    return len({path.parent for path in _code()})


def measures() -> str:
    """The lines that --measures prints."""
    named = ("token_norm", "head_classes", "class_level", "input_size")
    of_options = ", ".join(f"{name} {files_of_option(name)}" for name in named)
    of_modes = ", ".join(f"{mode} {n}" for mode, n in branches().items())
    return "\n".join(
        [
            f"statements: {statements()}",
            f"statements of more than {GLANCE} nodes: {dense_statements()}",
            f"files: {sum(1 for _ in _code())}",
            f"packages: {packages()}",
            f"modules that an option stands in: {of_options}",
            f"reads of summaries by string: {reads_by_string()}",
            f"uses of __dict__: {uses_of_dict()}",
            f"functions that compose text: {composers()}",
            f"branches on modes: {of_modes}",
            f"variables of a vague name: {vague_names()}",
        ]
    )


def room_functions() -> list[tuple[str, str]]:
    """The public functions of `core`: the room of each, and its name, arguments and first line."""
    return [
        (path.parent.name, _described(node))
        for path in sorted(ROOT.glob("core/*/*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def _described(function: ast.FunctionDef) -> str:
    arguments = ast.unparse(function.args).replace("*, ", "")
    returned = ast.unparse(function.returns) if function.returns else "None"
    first_line = (ast.get_docstring(function) or "").partition("\n")[0]
    return f"`{function.name}({arguments}) -> {returned}`: {first_line}"


def drawn(n: int, seed: int, *, with_rooms: bool) -> str:
    """A line for each of n functions drawn with a seed."""
    functions = random.Random(seed).sample(room_functions(), n)
    return "\n".join(
        f"{number}. {f'{room}: ' if with_rooms else ''}{described}"
        for number, (room, described) in enumerate(functions, 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rules", description=__doc__)
    parser.add_argument("--measures", action="store_true", help="print what the tree is measured by")
    parser.add_argument("--draw", type=int, metavar="N", help="print N functions without their rooms")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--rooms", action="store_true", help="print the rooms of the drawn functions, too")
    args = parser.parse_args()
    if args.measures:
        print(measures())
    elif args.draw:
        print(drawn(args.draw, args.seed, with_rooms=args.rooms))
    else:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
