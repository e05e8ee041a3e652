"""The texts of the program avoid words that no native writer of English uses in technical text.

Checked are the docstrings and the strings of `core/` and `dashboard/`; an identifier (a column or a function
name, alone or in backticks) is not prose.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ODD = {  # pattern -> what to write instead
    r"foretell\w*|foretold": "predict",
    r"likest": "most similar",
    r"commonest": "most common",
    r"commoner": "more common",
    r"anew": "again, or from scratch",
    r"surest": "most significant, or most confident",
    r"whoever": "anyone who, or name the caller",
    r"gone on with|goes? on with": "resume",
    r"rest on an?|press on an?": "hover over, click",
    r"dressed in": "drawn with the theme of",
    r"as told": "as configured",
    r"so many of": "name the number",
}
PATTERN = re.compile(rf"\b({'|'.join(ODD)})\b", re.IGNORECASE)
IDENTIFIER = re.compile(r"\w+")
IN_BACKTICKS = re.compile(r"`[^`]*`")


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and value of every string and docstring, f-strings piece by piece."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def odd_words(source: str) -> list[tuple[int, str]]:
    """List the line and word of every odd word in the texts of a module."""
    found = []
    for line, text in texts(source):
        if IDENTIFIER.fullmatch(text):
            continue
        found += [(line, match[0].lower()) for match in PATTERN.finditer(IN_BACKTICKS.sub("", text))]
    return found


def python_files() -> dict[str, list[Path]]:
    """All files of core and dashboard, by their folder."""
    found: dict[str, list[Path]] = {}
    for top in ("core", "dashboard"):
        for path in sorted((ROOT / top).rglob("*.py")):
            found.setdefault("/".join(path.relative_to(ROOT).parts[:-1][:2]), []).append(path)
    return found


@pytest.mark.parametrize("folder", python_files())
def test_texts__hold_no_odd_words(folder):
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: '{word}'"
        for path in python_files()[folder]
        for line, word in odd_words(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_odd_words__in_docstrings_strings_and_f_strings_but_not_in_names():
    source = '''
def first(found):
    """The likest of `likest`."""
    help = "opened anew"
    name = {"commonest": "commonest"}
    return f"{found} is the Surest of {name}"
'''
    assert odd_words(source) == [(3, "likest"), (4, "anew"), (6, "surest")]
