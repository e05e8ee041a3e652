"""The reference of all commands as Markdown, read off their parsers: `python -m tests.cli.reference` writes
docs/commands.md, and the table of the settings of `analyze` into docs/api.md.
"""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from core.cli import build_parser
from core.cli.options import Commands, Heading, default_text, show_all
from core.config.options import OPTIONS, Option

REFERENCE = Path(__file__).parents[2] / "docs" / "commands.md"
API = REFERENCE.with_name("api.md")
BEGIN, END = "<!-- settings: written by `python -m tests.cli.reference` -->", "<!-- end of settings -->"
HEAD = """# Commands

`peregrine` is `python -m core` under another name. `COMMAND --help` prints what stands here; of `analyze` it
prints what most people need, and `--help-all` the rest. Every command also takes `--debug`, which shows the
traceback of an error, and `--trust python:module:factory`, which lets code that a study or a checkpoint names
run. Written by `python -m tests.cli.reference`."""
EVERYWHERE = {"-h", "--help", "--help-all", "--debug", "--trust"}


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    names = commands_of(build_parser())
    parsers = {name: commands_of(build_parser())[name] for name in names}
    for parser in parsers.values():
        show_all(parser)
    return parsers


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [action] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return action.choices


def _listed(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The commands as the help lists them, with the headings between them."""
    [action] = [one for one in parser._actions if isinstance(one, Commands)]
    return action._choices_actions


def reference() -> str:
    """The whole text: a list of the commands, then the options and examples of each."""
    parsers = subparsers()
    summary = []
    for action in _listed(build_parser()):
        if isinstance(action, Heading):
            summary += ["", f"{action.dest.capitalize()}:", ""]
        else:
            summary.append(f"* [`{action.dest}`](#{action.dest}): {_begun(parsers[action.dest])}")
    sections = [_section(name, parser) for name, parser in parsers.items()]
    return "\n".join([HEAD, "", *summary, *sections]) + "\n"


def _begun(parser: argparse.ArgumentParser) -> str:
    text = (parser.description or "").rstrip(".")
    return text[:1].lower() + text[1:]


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if not EVERYWHERE & set(action.option_strings)]
    rows = [f"| {_form(parser, action)} | {_help(parser, action)} |" for action in actions]
    examples = (parser.epilog or "").partition(":\n")[2]
    commands, _, notes = examples.partition("\n\n")
    shown = "\n".join(line.strip() for line in commands.splitlines())
    lines = [f"\n## {name}\n", parser.description or "", "", "| | |", "|---|---|", *rows]
    return "\n".join([*lines, "", f"```\n{shown}\n```", *([f"\n{notes.strip()}"] if notes else [])])


def _form(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """An option with what it takes, as the usage line writes it: `--top N`."""
    takes = parser._get_formatter()._format_args(action, _metavar(action)) if action.nargs != 0 else ""
    return f"`{' '.join(filter(None, (', '.join(action.option_strings), takes)))}`".replace("|", "\\|")


def _metavar(action: argparse.Action) -> str:
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return text.replace("|", "\\|").replace("<", "&lt;")


def settings() -> str:
    """The settings of `analyze` as a table between BEGIN and END: name in a dict, type, default, meaning."""
    rows = [
        f"| `{name}` | {_type(one)} | {_default(one)} | {one.described['help']} |"
        for name, one in OPTIONS.items()
    ]
    return "\n".join([BEGIN, "", "| setting | type | default | |", "|---|---|---|---|", *rows, "", END])


def _type(option: Option) -> str:
    written = inspect.formatannotation(option.hint).replace(" | None", " or None").replace(" | ", " or ")
    return f"`{written}`"


def _default(option: Option) -> str:
    usual = "off" if option.hint is bool else default_text(option.default)
    return str(option.described["left_out"] or usual)


def with_settings(text: str) -> str:
    """A document with the table as it should be. Raises ValueError where it has no place for it."""
    start, stop = text.index(BEGIN), text.index(END) + len(END)
    return text[:start] + settings() + text[stop:]


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
    API.write_text(with_settings(API.read_text(encoding="utf-8")), encoding="utf-8")
