"""The table of reproductions names every script, and each of its commands parses."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from core.cli.parser import build_parser

FOLDER = Path(__file__).parents[2] / "reproductions"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`python -m ([^`]+)`", TEXT)) - {"reproductions.NAME"})
SCRIPTS = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "common"}


def test_every_script_is_named_with_its_command() -> None:
    named = {words.split()[0].removeprefix("reproductions.") for words in COMMANDS}
    assert SCRIPTS - named == set()
    assert named - SCRIPTS == {"core"}


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for table in re.findall(r"(?:^[|].*\n)+", TEXT, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("command", [words for words in COMMANDS if words.startswith("core ")])
def test_a_command_of_the_workbench_parses(command: str) -> None:
    _, name, *options = shlex.split(command)
    assert build_parser().parse_args([name, *options]).command == name


@pytest.mark.parametrize("command", [words for words in COMMANDS if not words.startswith("core ")])
def test_the_options_of_a_script_are_known(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, *options = shlex.split(command)
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(module).main([*options, "--help"])
    assert stopped.value.code == 0 and capsys.readouterr().out
