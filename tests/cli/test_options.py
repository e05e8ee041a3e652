"""The options of every command: the same set as always, read as always."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli import build_parser

LISTED = Path(__file__).with_name("options.txt")  # a command a line: its positionals, then its options


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    names = commands_of(build_parser())
    return {name: commands_of(build_parser())[name] for name in names}


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [action] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return action.choices


def words_of(parser: argparse.ArgumentParser) -> list[str]:
    """What can be written after a command: its positionals in their order, its options by name."""
    positionals = [str(action.metavar) for action in parser._actions if not action.option_strings]
    options = [option for action in parser._actions for option in action.option_strings]
    return positionals + sorted(set(options) - {"-h", "--help", "--debug", "--trust"})


def test_options__are_those_listed():
    shown = [" ".join([f"{name}:", *words_of(parser)]) for name, parser in subparsers().items()]
    assert shown == LISTED.read_text(encoding="utf-8").splitlines()


def test_every_command_has_help_debug_and_trust():
    for name, parser in subparsers().items():
        options = {option for action in parser._actions for option in action.option_strings}
        assert {"-h", "--help", "--debug", "--trust"} <= options, name
