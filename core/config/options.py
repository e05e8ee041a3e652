"""The options of `analyze` as every surface shows them: a record for each, made of its field."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from core.config.analysis import (
    AnswersConfig,
    EmbedConfig,
    FeaturesConfig,
    MapConfig,
    MaskOptions,
    ProbeConfig,
    RunOptions,
)
from core.config.concepts import ConceptsConfig
from core.config.reading import reader, written
from core.config.settings import flag
from core.errors import SettingsError

# In the order of the help text: settings of the steps, and their fields that `analyze` takes; (): every one.
IN_ANALYZE: Sequence[tuple[type, tuple[str, ...]]] = (
    (EmbedConfig, ()),
    (FeaturesConfig, ("epsilon",)),
    (ProbeConfig, ("lr", "solver")),
    (AnswersConfig, ("head_classes", "head_activation")),
    (MaskOptions, ()),
    (ConceptsConfig, ("captions", "clip")),
    (MapConfig, ("method",)),
    (RunOptions, ()),
)


@dataclass(frozen=True)
class Option:
    """An option: name, type and default of its field, and what `core.config.option` was told of it."""

    name: str
    hint: Any
    default: Any
    described: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """Return what is typed in a terminal: `--input-size`."""
        return flag(self.name)

    @property
    def title(self) -> str:
        """Return what a form calls it."""
        return str(self.described["title"] or self.name.replace("_", " ").capitalize())

    @property
    def about(self) -> str:
        """Return what a form says beside its field."""
        text = str(self.described["about"] or self.described["help"])
        return text[:1].upper() + text[1:]

    def read(self, text: str) -> str:
        """Return a typed value as the command takes it; "" leaves the option out.

        >>> [OPTIONS["resize"].read(" 032 "), OPTIONS["std"].read("0.50, .4,1"), OPTIONS["pool"].read("")]
        ['32', '0.5,0.4,1', '']

        Raises:
            SettingsError: a value that the option does not take; one line names the field of the form.
        """
        word = text.strip() or str(self.described["empty"])
        if not word:
            return ""
        choices = self.described["choices"]
        if choices and word not in choices:
            raise SettingsError(f"{self.title} '{word[:40]}': choose one of {', '.join(choices)}")
        try:
            bounds = {name: self.described[name] for name in ("minimum", "above", "unit")}
            return written(reader(self.hint, **bounds)(word))
        except ValueError as error:
            example = self.described["example"]
            raise SettingsError(
                f"{self.title}: '{word[:60]}' {error}" + (f"; for example {example}" if example else "")
            ) from None


def options_of(config: type, names: Sequence[str] = ()) -> dict[str, Option]:
    """Return the options of a config dataclass by name; of these names, or all."""
    hints = typing.get_type_hints(config)
    described = {field.name: field for field in fields(config) if "help" in field.metadata}
    return {
        name: Option(name, hints[name], described[name].default, described[name].metadata)
        for name in names or described
    }


_OF_COMMANDS = [options_of(config, names) for config, names in IN_ANALYZE]
OPTIONS: Mapping[str, Option] = {name: option for options in _OF_COMMANDS for name, option in options.items()}


def given_options(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the options of `analyze` that were given: flag, title, and the value as it is typed."""
    given = {name: settings[name] for name in OPTIONS if settings.get(name) not in (None, "", False)}
    return [
        {"flag": OPTIONS[name].flag, "title": OPTIONS[name].title, "value": written(value)}
        for name, value in given.items()
    ]


def in_form(where: str) -> list[Option]:
    """Return the options of settings that *New study* has a field for: always, or of a checkpoint."""
    return [one for one in OPTIONS.values() if one.described["form"] == where]
