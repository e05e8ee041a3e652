"""Settings as options of the command line, and as stored configs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

NAMES = ("file", "images", "encoder", "clip", "code")  # "file": also a folder


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
) -> Any:
    """Return the field of a setting that is also an option of the command line.

    `core.cli.options.add_options` makes the option; its type is that of the field.

    Args:
        text: the help text, without the default.
        minimum, above: a number must be at least the one, or larger than the other.
        left_out: what applies when the option is left out, in words, where the default does not say it.
        flags: option strings; none: `--` and the name of the field.
        group: heading in the help text.
        bare: value of the option without a value after it; None: it needs one.
        names: what the value names outside the study, one of NAMES. A click reaches only what it may.
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
    }
    return dataclasses.field(default=default, metadata=metadata)


def as_settings(config: Any) -> dict[str, Any]:
    """A JSON-able dict of a step's settings, with tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
