"""Options of the command line: generated from config dataclasses, and those that several commands share.

An option that is not given is absent from the namespace.
"""

import argparse
import dataclasses
import math
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn

from core.cli.latents import features, names, parts_of
from core.common.command_line import PROGRAM
from core.common.remote.addresses import study_folder
from core.errors import AddressRefused, did_you_mean

TOO_LARGE = 2**63  # for numbers and seeds of numpy and torch


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
    """Return the end of a help text: examples, and what else there is to say."""
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
    """Add a command with the options that every command has, and return its parser.

    Args:
        run: called with the parsed arguments.
    """
    sub = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=example(*examples, notes=notes),
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


def add_options(
    parser: argparse.ArgumentParser, config: type, *names: str, defaults: Mapping[str, Any] | None = None
) -> None:
    """Add the options of a config dataclass: help, type, choices and default come from its fields.

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
    flags = about["flags"] or (f"--{field.name.replace('_', '-')}",)
    common = {"dest": field.name, "default": argparse.SUPPRESS, "help": help_text(about, default)}
    if hint is bool and field.default and not about["flags"]:
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **common)
    elif hint is bool:
        group.add_argument(*flags, action="store_false" if field.default else "store_true", **common)
    else:
        group.add_argument(
            *flags,
            type=reader(hint, minimum=about["minimum"], above=about["above"], unit=about["unit"]),
            choices=about["choices"] or None,
            metavar=about["metavar"],
            **({} if about["bare"] is None else {"nargs": "?", "const": about["bare"]}),
            **common,
        )


def _group(parser: argparse.ArgumentParser, title: str) -> argparse._ActionsContainer:
    """Return the group of that title, made if there is none; without a title, the parser itself."""
    if not title:
        return parser
    groups = {group.title: group for group in parser._action_groups}
    return groups[title] if title in groups else parser.add_argument_group(title)


def help_text(about: Mapping[str, Any], default: Any) -> str:
    """
    >>> help_text({"help": "size of the crops", "unit": "pixels"}, 64)
    'size of the crops (in pixels; default: 64)'
    """
    value = default_text(default)
    facts = [f"in {about['unit']}"] if about["unit"] else []
    facts += [f"default: {value}"] if value else []
    return (about["help"] + (f" ({'; '.join(facts)})" if facts else "")).replace("%", "%%")


def default_text(default: Any) -> str:
    """Return a default as help texts write it; empty for a flag and where there is none.

    >>> default_text(4.0), default_text(1e-5), default_text((1e-5, 0.1)), default_text(None)
    ('4', '1e-05', '1e-05,0.1', '')
    """
    if default is None or default is dataclasses.MISSING or isinstance(default, bool):
        return ""
    if isinstance(default, tuple):
        return ",".join(map(default_text, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def number_or_auto(text: str) -> float | str:
    """
    >>> number_or_auto("auto"), number_or_auto("3.5")
    ('auto', 3.5)
    """
    if text == "auto":
        return text
    return number(minimum=0)(text)


def number(minimum: float | None = None, above: float | None = None) -> Callable[[str], float]:
    """Return the function that converts text to a finite number within these bounds. It raises ValueError."""

    def convert(text: str) -> float:
        value = float(text)
        is_low = (minimum is not None and value < minimum) or (above is not None and value <= above)
        if is_low or not math.isfinite(value):
            raise ValueError
        return value

    return convert


def triple(text: str) -> tuple[float, ...]:
    """
    >>> triple("0.485,0.456,0.406")
    (0.485, 0.456, 0.406)
    """
    values = tuple(map(number(), text.split(",")))
    if len(values) not in (1, 3):
        raise ValueError
    return values * 3 if len(values) == 1 else values


def whole_numbers(text: str) -> tuple[int, ...]:
    """
    >>> whole_numbers("3, 98")
    (3, 98)
    """
    return tuple(int(part) for part in parts_of(text))


def numbers(text: str) -> tuple[float, ...]:
    """
    >>> numbers("0,1e-4")
    (0.0, 0.0001)
    """
    return tuple(map(number(), parts_of(text)))


def _reader(convert: Callable[[str], Any], expected: str) -> Callable[[str], Any]:
    """Return `convert` with an error that says what is wanted instead of naming a Python function."""

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not {expected}") from None

    return read


def reader(
    hint: Any, *, minimum: float | None = None, above: float | None = None, unit: str = ""
) -> Callable[[str], Any]:
    """Return the function that reads a value of a field from the command line.

    Args:
        hint: type of the field; `float | str` is a number or 'auto'.
        minimum: smallest number that is accepted. above: every number is that is larger.
        unit: named in the error about a value that is no number.
    """
    kinds = set(typing.get_args(hint)) if isinstance(hint, UnionType) else {hint}
    kinds.discard(NoneType)
    if kinds == {float, str}:
        return _reader(number_or_auto, f"a number{unit and f' of {unit}'} (0 or more) or 'auto'")
    [kind] = kinds
    if kind is int:
        return whole_number(minimum)
    return {
        str: str,
        float: _reader(number(minimum, above), f"a number{_bounds(minimum, above)}"),
        tuple[int, ...]: _reader(whole_numbers, f"a list of {unit}, as in 5,10") if unit else FEATURES,
        tuple[float, ...]: _reader(triple, "three numbers R,G,B"),
        tuple[str, ...]: names,
    }[kind]


def whole_number(minimum: float | None = None) -> Callable[[str], Any]:
    """Return the function that reads a whole number, refused below a minimum and from TOO_LARGE on."""

    def convert(text: str) -> int:
        value = int(text)
        if value >= TOO_LARGE:
            raise argparse.ArgumentTypeError(f"'{text}' is too large")
        if minimum is not None and value < minimum:
            raise ValueError
        return value

    above = minimum - 1 if minimum else None
    return _reader(convert, f"a whole number{_bounds(minimum, above)}")


def _bounds(minimum: float | None, above: float | None) -> str:
    if above is not None:
        return f" above {above:g}"
    return "" if minimum is None else f" of {minimum:g} or more"


POSITIVE = whole_number(1)
COUNT = whole_number(0)
FEATURES = _reader(features, "a list of feature numbers, as in 3 or 3,98, or of latents, as in sae/3")
NUMBERS = _reader(numbers, "a list of numbers, as in 1e-5,1e-4")


def folder(text: str) -> Path:
    """Read the folder of a study, or of studies; an address is refused."""
    try:
        return study_folder(text)
    except AddressRefused as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the study that a command works on."""
    parser.add_argument("study", type=folder, metavar="STUDY", help="folder of the study")


POPULATION = "A slice holds evaluation images unless it names a split: 'split=train label=dog'."


def add_where(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the slice that a command works on."""
    parser.add_argument(
        "--where", metavar="SLICE", help=f"{what}, as in 'label=dog correct=false' or '@saved'"
    )


def add_basis(parser: argparse.ArgumentParser) -> None:
    """Add the basis in which the study is read."""
    parser.add_argument(
        "--basis",
        metavar="NAME",
        help="read the study in this basis: features are its latents (`info` lists them; without it: units)",
    )


def add_answer(parser: argparse.ArgumentParser) -> None:
    """Add the answer that says what is correct, and the basis in which the study is read."""
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
    """Add the seed of a command without a config."""
    parser.add_argument("--seed", type=COUNT, metavar="N", help=f"random seed of {what} (default: 0)")


def add_output(
    parser: argparse.ArgumentParser, help: str, *, metavar: str = "FILE", required: bool = True, **more: Any
) -> None:
    """Add the file or folder that a command writes."""
    parser.add_argument("-o", "--output", type=Path, metavar=metavar, required=required, help=help, **more)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice between text and JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
