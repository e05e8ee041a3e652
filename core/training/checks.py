"""Checks of settings against the ranges and choices that their fields state. Free of torch.

A range stands in the type of a field, as in `momentum: Share = 0.9`.
"""

import dataclasses
import typing
from collections.abc import Callable
from math import inf
from typing import Annotated, Any

from core.config.checks import is_level
from core.errors import SettingsError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must do, in the words of the message, and whether one does it."""

    words: str
    holds: Callable[[Any], bool]


Positive = Annotated[float, Rule("be above 0", lambda value: 0 < value < inf)]
NotNegative = Annotated[float, Rule("be 0 or more", lambda value: 0 <= value < inf)]
NotNegativeOrNone = Annotated[float | None, Rule("be 0 or more", lambda value: 0 <= value < inf)]
Share = Annotated[float, Rule("lie between 0 and 1", lambda value: 0 <= value <= 1)]
Count = Annotated[int, Rule("be at least 1", lambda value: value >= 1)]
CountFrom0 = Annotated[int, Rule("be at least 0", lambda value: value >= 0)]
FolderLevel = Annotated[int | str | None, Rule("be a level from 1 on, or 'leaf'", is_level)]
Ends = tuple[float, float]
Ascending = Annotated[
    Ends, Rule("be two ascending numbers above 0", lambda ends: 0 < ends[0] <= ends[1] < inf)
]
AscendingFrom0 = Annotated[
    Ends, Rule("be two ascending numbers, not below 0", lambda ends: 0 <= ends[0] <= ends[1] < inf)
]
Shares = Annotated[Ends, Rule("be two ascending shares up to 1", lambda ends: 0 < ends[0] <= ends[1] <= 1)]


def check_settings(config: Any, *, prefix: str = "") -> None:
    """Check each setting of a training by the rule in its type, `minimum` and `choices` in its metadata.

    Args:
        prefix: what stands before the name of a setting in a message, such as "regularizer.".
    Raises:
        SettingsError: the first setting that is out of range.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    for setting in dataclasses.fields(config):
        name, value = f"{prefix}{setting.name}", getattr(config, setting.name)
        minimum, choices = setting.metadata.get("minimum"), setting.metadata.get("choices")
        if isinstance(value, int) and value >= 2**63:  # for numbers and seeds of numpy and torch
            raise SettingsError(f"{name} = {value} is too large.")
        if minimum is not None and value is not None and not value >= minimum:
            raise SettingsError(f"{name} = {value} must be at least {minimum}.")
        if choices and value is not None and value not in choices:
            named = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise SettingsError(f"{name} = '{value}' must be {named}.{did_you_mean(str(value), choices)}")
        for rule in getattr(hints[setting.name], "__metadata__", ()):
            if value is not None and not rule.holds(value):
                shown = list(value) if isinstance(value, tuple) else value
                raise SettingsError(f"{name} = {shown} must {rule.words}.")
