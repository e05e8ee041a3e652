"""Settings as options of the command line, and as stored configs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("file", "images", "encoder", "clip", "code")  # "file": also a folder
FORM, OF_CHECKPOINT = "form", "checkpoint"  # where *New study* has a field: always, or for a checkpoint


def option(
    text: str,
    default: Any = dataclasses.MISSING,
    *,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    unit: str = "",
    minimum: float | None = None,
    above: float | None = None,
    left_out: str = "",
    flags: Sequence[str] = (),
    group: str = "",
    bare: Any = None,
    names: str = "",
    usual: bool = False,
    form: str = "",
    title: str = "",
    about: str = "",
    example: str = "",
    titles: Mapping[str, str] | None = None,
    empty: str = "",
    endings: Sequence[str] = (),
) -> Any:
    """Return the field of a setting that is also an option of the command line, and perhaps of *New study*.

    `core.cli.options.add_options` makes the option, `core.config.options` says what a form shows of it; its
    type is that of the field.

    Args:
        text: the help text, without the default.
        minimum, above: a number must be at least the one, or larger than the other.
        left_out: what applies when the option is left out, in words, where the default does not say it.
        flags: option strings; none: `--` and the name of the field.
        group: heading in the help text.
        bare: value of the option without a value after it; None: it needs one.
        names: what the value names outside the study, one of NAMES. A click reaches only what it may.
        usual: `analyze --help` lists it; the others are listed by --help-all.
        form: where *New study* has a field for it, FORM or OF_CHECKPOINT; "": nowhere.
        title: of that field. about: what stands beside it; "": the help text. example: what it shows while it
            is empty.
        titles: the choices of the form with their words, "" for the option left out.
        empty: value of the option where the field of the form is left empty; "": it is left out.
        endings: of the files that the form lists.
    """
    metadata = {
        "help": text,
        "metavar": metavar,
        "choices": choices,
        "unit": unit,
        "minimum": minimum,
        "above": above,
        "left_out": left_out,
        "flags": flags,
        "group": group,
        "bare": bare,
        "names": names,
        "usual": usual,
        "form": form,
        "title": title,
        "about": about,
        "example": example,
        "titles": titles or {},
        "empty": empty,
        "endings": endings,
    }
    return dataclasses.field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """Write the name of a setting as it is typed, as an option of a command.

    >>> flag("input_size")
    '--input-size'
    """
    return f"--{name.replace('_', '-')}"


def as_settings(config: Any) -> dict[str, Any]:
    """A JSON-able dict of a step's settings, with tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
