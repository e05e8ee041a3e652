"""Checks of settings against the ranges and choices that their fields state. Free of torch."""

import dataclasses
from typing import Any

from core.errors import SettingsError, did_you_mean


def check_settings(config: Any, *, prefix: str = "") -> None:
    """Check each setting against the `minimum` and the `choices` in its field's metadata.

    Args:
        prefix: what stands before the name of a setting in a message, such as "regularizer.".
    Raises:
        SettingsError: the first setting that is out of range.
    """
    for setting in dataclasses.fields(config):
        name, value = f"{prefix}{setting.name}", getattr(config, setting.name)
        minimum, choices = setting.metadata.get("minimum"), setting.metadata.get("choices")
        if minimum is not None and value is not None and value < minimum:
            raise SettingsError(f"{name} = {value} must be at least {minimum}.")
        if choices and value not in choices:
            named = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise SettingsError(f"{name} = '{value}' must be {named}.{did_you_mean(str(value), choices)}")
