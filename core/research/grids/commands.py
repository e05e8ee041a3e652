"""The command `grid`: named grids of trainings. torch is imported only when the grid starts."""

import argparse
from pathlib import Path
from typing import Any

from core.cli import options
from core.common.formatting import format_duration
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.research.grids.registry import GRIDS, PRESETS, load_grid
from core.training.config import TrainConfig

MACHINE = ("device", "workers", "cache")


def add_grid(commands: Any) -> None:
    width = max(map(len, GRIDS))
    listed = "\n".join(f"  {name:<{width}}  {asks}" for name, (_, asks) in GRIDS.items())
    notes = (
        f"grids:\n{listed}\n\n"
        "cells.csv grows run by run, and table.md sums it up. Run the same command again to continue, with\n"
        "more --seeds to add runs. The encoders are kept in FOLDER/cells, and `analyze` opens them\n"
        "(those of `tokens` read objects and relations: `compositionality` opens them)."
    )
    sub = options.add_command(
        commands,
        "grid",
        run_grid_command,
        "train and evaluate the runs of a named grid, as one table that grows",
        "grid suppression -o grids/suppression --seeds 5",
        "grid suppression -o grids/quick --seeds 1 --set epochs=2 --set epsilons=0,0.1",
        notes=notes,
    )
    sub.add_argument("name", metavar="NAME", help=f"name of the grid: {', '.join(GRIDS)}")
    sub.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="folder of the grid")
    sub.add_argument(
        "--preset",
        choices=PRESETS,
        help="settings: of a small machine, of the paper, or short: a run takes at most three minutes of a "
        "core, with a smaller network and smaller images (default: cpu)",
    )
    sub.add_argument(
        "--seeds",
        type=options.POSITIVE,
        metavar="N",
        help="runs of each arm, with seeds 0 to N - 1 (default: the grid's)",
    )
    sub.add_argument("--arms", type=options.names, metavar="A,B", help="only these arms (default: all)")
    sub.add_argument(
        "--set",
        dest="changes",
        action="append",
        metavar="KEY=VALUE",
        help="change a setting of the preset; may be repeated",
    )
    sub.add_argument(
        "--readout",
        choices=("sgd", "lbfgs"),
        help="probe of the grids on shortcuts: that of a study, or the IFM paper's; short for --set readout=",
    )
    sub.add_argument(
        "--augmented",
        action="store_true",
        help="read out of pre-training views; short for --set augmented=true",
    )
    sub.add_argument("--list", action="store_true", help="list the settings and the runs, and which are done")
    options.add_options(sub, TrainConfig, *MACHINE)


def run_grid_command(args: argparse.Namespace) -> None:
    """Run what the folder lacks, and print the summary; with --list only what there is to run."""
    from core.research.grids.definition import cells_of_grid, preset_values
    from core.research.grids.run import run_named

    given = vars(args)
    with Progress.for_command(None, stages_total=2) as progress:
        if "output" not in given:
            raise SettingsError("which folder? Give -o FOLDER")
        grid = load_grid(args.name)
        changes = changes_of(given.get("changes", ()))
        changes |= {"readout": given["readout"]} if "readout" in given else {}
        changes |= {"augmented": "true"} if "augmented" in given else {}
        values = preset_values(grid, given.get("preset", "cpu"), changes)
        cells = cells_of_grid(grid, values, given.get("seeds", grid.seeds), arms=given.get("arms", ()))
        if "list" in given:
            print("\n".join(listing(args.output, values, cells)))
            return
        machine = {name: given[name] for name in MACHINE if name in given}
        run_named(grid, args.output, values, cells, progress=progress, **machine)
    print((args.output / "table.md").read_text(encoding="utf-8"), end="")
    print(f"\n{args.output / 'cells.csv'}\nnext:\n  {grid.follow_up(values, args.output, cells)}")


def changes_of(pairs: Any) -> dict[str, str]:
    """Split KEY=VALUE pairs. Raises SettingsError."""
    values = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (sign and name):
            raise SettingsError(f"--set {pair}: write KEY=VALUE, such as epochs=20")
        values[name] = value
    return values


def listing(folder: Path, values: dict[str, Any], cells: list[Any]) -> list[str]:
    """Return the settings, each cell with the time it took or 'to do', and an estimate for the rest."""
    from core.research.grids.runner import SECONDS, read_rows

    rows = {row["cell"]: row for row in read_rows(folder)}
    lines = [f"{name} = {value}" for name, value in values.items()] + [""]
    took = {cell.name: float(rows[cell.name].get(SECONDS) or 0) for cell in cells if cell.name in rows}
    for cell in cells:
        lines.append(f"{cell.name}: {format_duration(took[cell.name]) if cell.name in took else 'to do'}")
    left = len(cells) - len(took)
    estimate = (
        f", about {format_duration(left * sum(took.values()) / len(took))} left" if took and left else ""
    )
    return [*lines, "", f"{len(took)} of {len(cells)} runs done{estimate}"]
