"""Options of the command line: generated from config dataclasses, and those that several commands share."""

import argparse
import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from core.cli.sentences import say_of_command
from core.common.addresses import study_folder
from core.common.command_line import PROGRAM
from core.config import reading
from core.config.reading import Reader, parts_of_list, written
from core.config.settings import flag
from core.errors import AddressRefused, SettingsError, did_you_mean

# Numbers of features on the command line, and the basis that they are of.


class Latents(tuple[int, ...]):
    """Numbers of features of a basis."""

    basis = ""


def features(text: str) -> tuple[int, ...]:
    """Read the option --features of a command: numbers, perhaps with the basis that they are of.

    >>> features("3, 98"), features("sae/3,98"), features("sae/3,sae/98").basis
    ((3, 98), (3, 98), 'sae')
    """
    named = [part.rpartition("/") for part in parts_of_list(text)]
    read = Latents(int(number) for _, _, number in named)
    bases = {basis for basis, _, _ in named if basis}
    if len(bases) > 1:
        raise ValueError
    read.basis = next(iter(bases), "")
    return read if read.basis else tuple(read)


def in_basis(args: argparse.Namespace) -> None:
    """Point a command to the basis that `--basis NAME`, or a feature written NAME/12, names.

    Raises:
        SettingsError: two bases are named.
    """
    if getattr(args, "command", "basis") == "basis" or getattr(args, "table", None) == "basis":
        return
    values = [*vars(args).values()]
    bases = {value.basis for value in values if isinstance(value, Latents)}
    if "basis" in args:
        bases.add(args.basis)
        delattr(args, "basis")
    if len(bases) > 1:
        raise SettingsError(say_of_command("two_bases", names=tuple(sorted(bases))))
    for basis in bases - {"units"}:
        from core.study.layers import layer

        if "studies" in args:
            args.studies = [layer(study, basis) for study in args.studies]
        elif getattr(args, "study", None) is not None:
            args.study = layer(args.study, basis)


# Options of the command line: generated from config dataclasses, and those that several commands share.
#
# An option that is not given is absent from the namespace.


_whole_help: WeakKeyDictionary[argparse.Action, str | None] = (
    WeakKeyDictionary()
)  # of options that are hidden


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors and a suggestion for a mistyped command or option."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message.rstrip('.')}.{self._suggestion(message)} See: {self.prog} --help\n")

    def _suggestion(self, message: str) -> str:
        """Suggest the option or choice nearest to the one that argparse rejects."""
        wrong = re.search(r"(?:unrecognized arguments: |invalid choice: ')([^\s']+)", message)
        if wrong is None:
            return ""
        candidates = [option for action in self._actions for option in action.option_strings]
        candidates += [str(choice) for action in self._actions for choice in action.choices or ()]
        return did_you_mean(wrong[1].partition("=")[0], candidates)


class Commands(argparse._SubParsersAction):
    """The commands of a parser, which the help lists under headings."""

    def begin(self, heading: str) -> None:
        """List the commands that are added from now on under a heading of their own."""
        self._choices_actions.append(Heading(option_strings=[], dest=heading, help=""))


class Heading(argparse.Action):
    """A line between commands in the help; never parsed."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the example on its own line, ready to paste, and the headings of commands on theirs."""

    def _format_action(self, action: argparse.Action) -> str:
        return f"\n{action.dest}:\n" if isinstance(action, Heading) else super()._format_action(action)

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)


def example(*lines: str, notes: str = "") -> str:
    """Return the end of a command's help text: examples, and what else there is to say."""
    title = "example" if len(lines) == 1 else "examples"
    return f"{title}:\n" + "\n".join(f"  {PROGRAM} {line}" for line in lines) + (notes and f"\n\n{notes}")


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], Any],
    summary: str,
    *examples: str,
    notes: str = "",
) -> argparse.ArgumentParser:
    """Add a command to the command line with the options that every command has; return its parser.

    Args:
        run: called with the parsed arguments.
    """
    description = f"{summary[0].upper()}{summary[1:]}."
    epilog = example(*examples, notes=notes)
    sub = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    sub.set_defaults(run=run, parser=sub)
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    sub.add_argument(
        "--trust",
        action="append",
        metavar="SPEC",
        help="allow code named by a study or checkpoint to run, if it is exactly python:module:factory; may "
        "be repeated",
    )
    return sub


class HelpOfAll(argparse.Action):
    """Prints the help with the options that `shorten_help` has left out."""

    def __call__(self, parser: argparse.ArgumentParser, *of_parsing: Any) -> None:
        show_all(parser)
        parser.print_help()
        parser.exit()


def shorten_help(parser: argparse.ArgumentParser, *usual: str) -> None:
    """List only these options in the help of a command, and the others with --help-all."""
    rest = [one for one in parser._actions if one.option_strings and one.dest not in (*usual, "help")]
    for action in rest:
        _whole_help[action] = action.help
        action.help = argparse.SUPPRESS
    more = f"show this help with the other {len(rest)} options, and exit"
    parser.add_argument("--help-all", action=HelpOfAll, nargs=0, help=more)


def show_all(parser: argparse.ArgumentParser) -> None:
    """List every option in the help of a command."""
    for action in parser._actions:
        action.help = _whole_help.get(action, action.help)


def add_options(
    parser: argparse.ArgumentParser, config: type, *names: str, defaults: Mapping[str, Any] | None = None
) -> None:
    """Add a config dataclass as options of a command: help, type, choices, default from its fields.

    Args:
        names: only these fields. Without names: every field that describes an option.
        defaults: values, or words, that apply here instead of the default of a field.
    """
    fields = {field.name: field for field in dataclasses.fields(config) if "help" in field.metadata}
    hints = typing.get_type_hints(config)
    for name in names or fields:
        field = fields[name]
        default = (defaults or {}).get(name, field.metadata["left_out"] or field.default)
        _add_option(_group(parser, field.metadata["group"]), field, hints[name], default)


def _add_option(group: argparse._ActionsContainer, field: Any, hint: Any, default: Any) -> None:
    about = field.metadata
    flags = about["flags"] or (flag(field.name),)
    common = {"dest": field.name, "default": argparse.SUPPRESS, "help": _help_text(about, default)}
    if hint is bool and field.default and not about["flags"]:
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **common)
    elif hint is bool:
        group.add_argument(*flags, action="store_false" if field.default else "store_true", **common)
    else:
        bare = {} if about["bare"] is None else {"nargs": "?", "const": about["bare"]}
        group.add_argument(
            *flags,
            type=reader(hint, about),
            choices=about["choices"] or None,
            metavar=about["metavar"],
            **bare,
            **common,
        )


def _group(parser: argparse.ArgumentParser, title: str) -> argparse._ActionsContainer:
    """Return the group of that title, made if there is none; without a title, the parser itself."""
    if not title:
        return parser
    groups = {group.title: group for group in parser._action_groups}
    return groups[title] if title in groups else parser.add_argument_group(title)


def _help_text(about: Mapping[str, Any], default: Any) -> str:
    """Return the help text of a command's option, with unit and default.

    >>> _help_text({"help": "size of the crops", "unit": "pixels"}, 64)
    'size of the crops (in pixels; default: 64)'
    """
    value = default_text(default)
    facts = [f"in {about['unit']}"] if about["unit"] else []
    facts += [f"default: {value}"] if value else []
    return (about["help"] + (f" ({'; '.join(facts)})" if facts else "")).replace("%", "%%")


def default_text(default: Any) -> str:
    """Return an option's default as the help of a command writes it; empty for a flag or without one."""
    return "" if default is dataclasses.MISSING else written(default)


def typed(read: Reader) -> Callable[[str], Any]:
    """Return the reader of a command's option for argparse, whose error names what was typed."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' {error}") from None

    return convert


def reader(hint: Any, about: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return what argparse reads an option of a command with: the `type` for a settings field."""
    if hint in (tuple[int, ...], tuple[int, ...] | None) and not about["unit"]:
        return FEATURES
    return typed(reading.reader(hint, **{name: about[name] for name in ("minimum", "above", "unit")}))


POSITIVE = typed(reading.whole_number(1))
COUNT = typed(reading.whole_number(0))
FEATURES = typed(
    reading.saying(features, "a list of feature numbers, as in 3 or 3,98, or of latents, as in sae/3")
)
NUMBERS = typed(reading.saying(reading.finite_numbers, "a list of numbers, as in 1e-5,1e-4"))


def folder(text: str) -> Path:
    """Read a command's argument that is the folder of a study, or of studies; an address is refused."""
    try:
        return study_folder(text)
    except AddressRefused as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the study that a command works on."""
    parser.add_argument("study", type=folder, metavar="STUDY", help="folder of the study")


POPULATION = "A slice holds evaluation images unless it names a split: 'split=train label=dog'."


def add_where(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option --where of a command: the slice that it works on."""
    parser.add_argument(
        "--where", metavar="SLICE", help=f"{what}, as in 'label=dog correct=false' or '@saved'"
    )


def add_basis(parser: argparse.ArgumentParser) -> None:
    """Add the option of a command that names the basis in which the study is read."""
    parser.add_argument(
        "--basis",
        metavar="NAME",
        help="read the study in this basis: features are its latents (`info` lists them; without it: units)",
    )


def add_answer(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command for the answer that says what is correct, and for the basis."""
    add_basis(parser)
    parser.add_argument(
        "--answer",
        metavar="NAME",
        help="what says which images are correct: head, probe, knn or the name of another answer of the "
        "study (default: the encoder's own head if it has one that fits, else the probe)",
    )


def study_of(args: argparse.Namespace) -> Any:
    """Open the study of a command that has the options of `add_answer`."""
    from core.store import open_study

    return open_study(args.study, getattr(args, "answer", None))


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option --seed of a command without a config."""
    parser.add_argument("--seed", type=COUNT, metavar="N", help=f"random seed of {what} (default: 0)")


def add_output(
    parser: argparse.ArgumentParser, help: str, *, metavar: str = "FILE", required: bool = True, **more: Any
) -> None:
    """Add the option of the file or folder that a command writes."""
    parser.add_argument("-o", "--output", type=Path, metavar=metavar, required=required, help=help, **more)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option --json of a command: JSON instead of text."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
