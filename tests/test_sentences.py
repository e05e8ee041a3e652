"""Every file of templates: each kind that code makes has a template, and none is left that no code makes."""

from __future__ import annotations

import ast
import json
import pickle
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import pytest

from core.common.records import RENDERER, Record, Templates

ROOT = Path(__file__).resolve().parents[1]
FIELDS = frozenset(field.name for field in fields(Record)) - {"text", "kind"}
PART = Record("a part", "part")
NUMBERS = {"n": 2, "of": 9, "value": 0.25, "interval": (0.2, 0.3), "chance": 0.5}
FULL = NUMBERS | {
    "what": "a name",
    "why": "a reason",
    "names": ("one", "two", "three", "four"),
    "parts": (PART, PART),
}


@dataclass(frozen=True)
class Made:
    """A call that makes a record, in a module of the product."""

    home: str  # the file of the templates, without its ending
    kinds: frozenset[str]  # that it may make
    given: frozenset[str]  # the facts
    where: str


@cache
def sources() -> dict[str, str]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for top in ("core", "dashboard")
        for path in sorted((ROOT / top).rglob("*.py"))
    }


@cache
def homes() -> dict[tuple[str, str], str]:
    """The modules that hold templates, by module and the name that they are called by there."""
    found = {}
    for module, text in sources().items():
        for name in re.findall(r"^(\w+) = Templates\.beside\(__file__\)$", text, re.M):
            found[module, name] = module
    return found


@cache
def made() -> list[Made]:
    found = []
    for module, text in sources().items():
        names = {name: home for (where, name), home in homes().items() if where == module}
        if not names and not any(home in text for home in homes().values()):
            continue  # parsed only where it can make one
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if home := homes().get((str(node.module), alias.name)):
                        names[alias.asname or alias.name] = home
        found += _calls(module, tree, names)
    return found


def _calls(module: str, tree: ast.Module, names: dict[str, str]) -> Iterator[Made]:
    nodes = list(ast.walk(tree))
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    for call in nodes:
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
            continue
        if home := names.get(call.func.id):
            kind, may_be = call.args[0], texts & set(templates(home))
            kinds = {str(kind.value)} if isinstance(kind, ast.Constant) else may_be
            given = frozenset(str(keyword.arg) for keyword in call.keywords)
            yield Made(home, frozenset(kinds), given, f"{module}:{call.lineno}")


@cache
def templates(home: str) -> dict[str, str]:
    return dict(Templates.beside(str(ROOT.joinpath(*home.split("."))) + ".py").by_kind)


def placeholders(template: str) -> set[str]:
    """The fields of a template: "interval[0]" is "interval"."""
    parsed = string.Formatter().parse(template)
    return {name.partition("[")[0] for _, name, _, _ in parsed if name is not None}


def test_templates__every_kind_is_made_and_has_a_template():
    assert homes()
    for home in homes().values():
        kinds = {kind for call in made() if call.home == home for kind in call.kinds}
        assert kinds == set(templates(home)), home


def test_templates__every_placeholder_is_a_field_and_given_where_the_record_is_made():
    for call in made():
        assert call.given <= FIELDS, call
        for kind in call.kinds:
            asked = placeholders(templates(call.home)[kind])
            assert asked <= FIELDS, (call, kind)
            if len(call.kinds) == 1:
                assert asked <= call.given, (call, kind)


def test_templates__render_and_are_no_code():
    for home in homes().values():
        for kind, template in templates(home).items():
            assert RENDERER.vformat(template, (), FULL), (home, kind)
            assert "." not in "".join(str(name) for _, name, _, _ in string.Formatter().parse(template)), kind


def test_record__is_a_text_wherever_a_text_can_stand():
    say = Templates({"found": "{n:counted study/studies}, {n:ordinal}"})
    found = say("found", n=2, parts=(PART,))
    assert found == found.text == str(found) and f"{found}." == f"{found.text}."
    assert json.loads(json.dumps([found])) == [found.text] and type(str(found)) is str
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Record) and again.as_json() == found.as_json() and again.parts[0].kind == "part"
    assert found.as_json() == {"text": found.text, "kind": "found", "n": 2, "parts": [PART.as_json()]}


def test_templates__an_unknown_kind_or_fact_is_refused():
    say = Templates({"found": "{n}"})
    for call in (lambda: say("lost", n=1), lambda: say("found"), lambda: say("found", n=1, m=2)):
        with pytest.raises((KeyError, TypeError)):
            call()
