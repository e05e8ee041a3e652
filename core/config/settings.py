"""Settings as options of the command line, and as stored configs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


def option(
    text: str,
    *,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    unit: str = "",
    minimum: float | None = None,
    default: str = "",
    flags: Sequence[str] = (),
    group: str = "",
    bare: Any = None,
) -> dict[str, Any]:
    """Return the `metadata` of a setting that is also an option of the command line.

    `core.cli.options.add_options` makes the option; its type and its default are those of the field.

    Args:
        text: the help text, without the default.
        default: what applies when the option is left out, in words, where the default value does not say it.
        flags: option strings; none: `--` and the name of the field.
        group: heading in the help text.
        bare: value of the option without a value after it; None: it needs one.
    """
    return {
        "help": text,
        "metavar": metavar,
        "choices": choices,
        "unit": unit,
        "minimum": minimum,
        "default": default,
        "flags": flags,
        "group": group,
        "bare": bare,
    }


def as_settings(config: Any) -> dict[str, Any]:
    """A JSON-able dict of a step's settings, with tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
