"""What a grid is: its settings, its arms, and the function that runs a cell."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.command_line import command_line
from core.errors import SettingsError, did_you_mean, unknown_name
from core.jobs.progress import Progress
from core.research.grids.runner import GridCell, Row, checkpoint, with_seeds

Values = Mapping[str, Any]
UNTRAINED = "untrained"  # the arm whose encoder is only exported
PRESET = "preset"  # the name of the preset among the settings, and as a column of the table


@dataclass(frozen=True)
class CellJob:
    """What the function of a grid gets for one cell.

    Attributes:
        values: the settings that all cells share: a preset, with the changes of `--set`.
        output: path of the cell's checkpoint; it lies in FOLDER/cells.
        folder: of the grid, for what its cells share (a start encoder, a sample of the images).
    """

    cell: GridCell
    values: Values
    output: Path
    folder: Path
    progress: Progress
    device: str = "auto"
    workers: int = 0
    cache: str | None = None


def analyze_first(values: Values, folder: Path, cells: Sequence[GridCell]) -> str:
    """Return the command that opens the encoder of the first cell that trained one as a study."""
    first = next((cell for cell in cells if cell.arm != UNTRAINED), cells[0])
    encoder = checkpoint(folder, first)  # small ones seldom have features that fire at the usual epsilon
    return command_line("analyze", "STUDY", images=values.get("images"), encoder=encoder, epsilon="auto")


@dataclass(frozen=True)
class Grid:
    """A grid: which cells it has, how one is run, and what is read from it.

    Attributes:
        presets: settings by the name of the preset, cpu, paper and perhaps short, with the same keys in each.
        arms: (settings) -> cells without seeds, in the order of the table.
        run: (CellJob) -> results by column; NaN or None where undefined.
        measures: columns of the results that the summary shows, each with its title and factor.
        baseline: (settings, arm) -> the arm that it is compared with, paired by seed, or None.
        seeds: number of seeds where none is given.
        verdicts: (settings, rows without diverged runs) -> sentences on what the protocol says of them.
        of_arms: settings that only say which arms there are; a folder may get further arms.
        choices: the values that a setting, or each entry of a list, may have, where they are names.
        positive, not_negative: settings of which every number must be above 0, or at least 0.
        follow_up: (settings, folder, cells) -> the command that opens what the grid has trained.
    """

    name: str
    presets: Mapping[str, Values]
    arms: Callable[[Values], Sequence[GridCell]]
    run: Callable[[CellJob], Row]
    measures: Mapping[str, tuple[str, float]]
    baseline: Callable[[Values, str], str | None] = lambda values, arm: None
    seeds: int = 5
    of_arms: tuple[str, ...] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    not_negative: tuple[str, ...] = ()
    verdicts: Callable[[Values, pd.DataFrame], Sequence[str]] = lambda values, table: ()
    follow_up: Callable[[Values, Path, Sequence[GridCell]], str] = analyze_first


def preset_values(
    grid: Grid, preset: str = "cpu", changes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the settings of a preset, with changes given as text and read as the type of the preset.

    The name of the preset is the first of them, so folders record it and cannot be continued with another.

    Raises:
        SettingsError: an unknown preset or setting, or a value of another type, beyond its range, twice in
            its list or not among its choices. All this is said before the first cell trains.
    """
    if preset not in grid.presets:
        raise SettingsError(
            unknown_name(f"no preset '{preset}' of '{grid.name}'", preset, grid.presets, "Presets")
        )
    values = dict(grid.presets[preset])
    for name, text in (changes or {}).items():
        if name not in values:
            raise SettingsError(
                unknown_name(f"'{grid.name}' has no setting '{name}'", name, values, "Settings")
            )
        values[name] = _as_type_of(values[name], text, f"{grid.name}: {name}")
        _check_range(grid, name, values[name])
    return {PRESET: preset, **values}


def _check_range(grid: Grid, name: str, value: Any) -> None:
    """Raise SettingsError for a value, or an entry of a list, that no cell could be trained with."""
    for one in value if isinstance(value, list) else [value]:
        allowed = grid.choices.get(name, (one,))
        if one not in allowed:
            raise SettingsError(
                f"{grid.name}: {name} has no '{one}'.{did_you_mean(str(one), allowed)} "
                f"Choose from {', '.join(allowed)}"
            )
        if (name in grid.positive and not one > 0) or (name in grid.not_negative and not one >= 0):
            least = "above 0" if name in grid.positive else "at least 0"
            raise SettingsError(f"{grid.name}: {name} = {one:g} must be {least}")


def _as_type_of(default: Any, text: str, where: str) -> Any:
    """Read a text as a value like `default`; a list is written A,B and has the type of its first entry.

    A list has one entry or more, each once; a tuple is a range and has as many as the default.

    >>> _as_type_of(1.0, "2", "x"), _as_type_of([0.1], "0.2,inf", "x"), _as_type_of("a", "b", "x")
    (2.0, [0.2, inf], 'b')
    >>> _as_type_of((0.2, 1.0), "1,1", "x")
    (1.0, 1.0)
    """
    if isinstance(default, (list, tuple)):
        parts = [_as_type_of(default[0], part.strip(), where) for part in text.split(",") if part.strip()]
        sample = ",".join(map(str, default))
        if isinstance(default, tuple):
            if len(parts) != len(default):
                raise SettingsError(f"{where} = '{text}' should be {len(default)} numbers, such as {sample}")
            return tuple(parts)
        if not parts:
            raise SettingsError(f"{where} is empty. Give one value or more, such as {sample}")
        if twice := [part for number, part in enumerate(parts) if part in parts[:number]]:
            raise SettingsError(f"{where} = '{text}' names {twice[0]} twice. Give each value once")
        return parts
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise SettingsError(f"{where} = '{text}' should be true or false")
        return text == "true"
    if isinstance(default, str) or default is None:
        return text
    try:
        value = type(default)(text)
    except ValueError:
        value = math.nan
    if value != value:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise SettingsError(f"{where} = '{text}' should be {kind}")
    return value


def cells_of_grid(
    grid: Grid, values: Values, seeds: int, *, arms: Sequence[str] = (), first_seed: int = 0
) -> list[GridCell]:
    """List the cells, seeds last. Raises SettingsError: an unknown arm, or no seed."""
    if seeds < 1:
        raise SettingsError(f"--seeds {seeds} must be at least 1")
    by_name = {arm.arm: arm for arm in grid.arms(values)}
    for name in arms:
        if name not in by_name:
            raise SettingsError(unknown_name(f"no arm '{name}' of '{grid.name}'", name, by_name, "Arms"))
    selected = [by_name[name] for name in arms] if arms else list(by_name.values())
    return with_seeds(selected, range(first_seed, first_seed + seeds))
