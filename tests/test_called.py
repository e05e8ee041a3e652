"""Every public function has a caller, and the documents teach the functions that the product calls.

A second form that only tests compare with the first is a twin in the tests (`tests/reference*.py`).
"""

from __future__ import annotations

import ast
import doctest
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # every module is parsed
ROOT = Path(__file__).resolve().parents[1]
BY_NAME = {"dashboard.server.routes"}  # `dashboard/app.py` asks for its functions by name
Function = tuple[str, str]  # module, name


@cache
def modules(top: str) -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted((ROOT / top).rglob("*.py"))
    }


def public_functions(top: str) -> set[Function]:
    return {
        (module, node.name)
        for module, tree in modules(top).items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@cache
def called(*tops: str) -> set[Function]:
    """What modules import by name, read of imported modules, name as "module:name", or read of themselves."""
    return {use for top in tops for name, tree in modules(top).items() for use in uses(name, tree)}


def uses(name: str, tree: ast.Module) -> set[Function]:
    uses: set[Function] = set()
    aliases: dict[str, str] = {}
    read: list[ast.Attribute] = []
    for statement in tree.body:
        names: set[str] = set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                read.append(node)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    uses.add((str(node.module), alias.name))
                    aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.]+:\w+", str(node.value)):
                module, _, function = str(node.value).partition(":")
                uses.add((module, function))
        uses |= {(name, word) for word in names - {getattr(statement, "name", "")}}
    for node in read:
        if isinstance(node.value, ast.Name) and node.value.id in aliases:
            uses.add((aliases[node.value.id], node.attr))
    return uses


def test_every_public_function_is_called():
    functions = public_functions("core") | public_functions("dashboard")
    assert len(functions) > 2000
    uncalled = functions - called("core", "dashboard") - called("benchmarks", "reproductions", "examples")
    assert {f"{module}:{name}" for module, name in uncalled if module not in BY_NAME} == set()


def test_the_product_calls_what_the_api_teaches():
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    taught = {
        (str(node.module), alias.name)
        for example in doctest.DocTestParser().get_examples(api)
        for node in ast.walk(ast.parse(example.source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = taught & public_functions("core")
    assert len(functions) > 60
    assert functions - called("core", "dashboard") == set()
