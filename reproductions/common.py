"""What every script shares: its options, its table of results, and its picture."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

HERE = Path(__file__).parent
SMOKE_FOLDER = Path("build") / "reproductions"  # a smoke run replaces no stored table
# Networks that one core trains in minutes: half of the channels, 256 features.
HALF_WIDTH = "timm:resnet10t?channels=(32,64,128,256)&stem_width=16"
HALF_WIDTH_PLAIN_STEM = "timm:resnet18?layers=(1,1,1,1)&channels=(32,64,128,256)"  # for stem = "cifar"
TINY = "timm:test_resnet"  # of a smoke run


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every script; a script may add its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run: the same columns in a minute")
    parser.add_argument("--draw", action="store_true", help="compute nothing, draw the table that is there")
    parser.add_argument(
        "-o", "--output", type=Path, default=HERE, metavar="FOLDER", help="folder of the .csv and the picture"
    )
    return parser


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Write each row as soon as it is computed, and return the table; rows may have columns of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    computed: list[dict[str, Any]] = []
    for row in rows:
        computed.append(dict(row))
        pd.DataFrame(computed, dtype=object).to_csv(path, index=False)
    return pd.read_csv(path)


def output_folder(args: argparse.Namespace) -> Path:
    """Return the folder of the table: beside the script, or of its own for a smoke run."""
    return SMOKE_FOLDER if args.smoke and args.output == HERE else args.output


def train_encoder(output: Path, seed: int, settings: Mapping[str, Any]) -> dict[str, float]:
    """Train an encoder, or go on with an interrupted training; a finished one is not repeated.

    Args:
        settings: of `core.training.config.TrainConfig`.
    Returns:
        `loss` of the last epoch, and `training_seconds` of all epochs.
    """
    from core.training import files
    from core.training.config import from_dict
    from core.training.trainer import train

    epochs = settings["epochs"]
    schedule = {"warmup_epochs": min(2.0, epochs / 10), "monitor_every": epochs, "checkpoint_minutes": 1.0}
    train(from_dict({"output": str(output), "seed": seed, **schedule, **settings}, where=output.stem))
    log = pd.read_csv(files.log_path(output))
    seconds = float(np.nansum(log["seconds"].to_numpy(float)))
    return {"loss": float(log["loss"].iloc[-1]), "training_seconds": round(seconds, 1)}


def cell(
    arm: str, seed: int, columns: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]], preset: str
) -> dict[str, Any]:
    """Return a row of a table: what was run, what `measure` returns, and the seconds that it took."""
    began = time.monotonic()
    row = {"cell": f"{arm}-s{seed}", "arm": arm, "seed": seed, **columns, **measure()}
    return {**row, "preset": preset, "seconds": round(time.monotonic() - began, 1)}


def arm_bars(table: pd.DataFrame, measures: Mapping[str, str], *, axis: str) -> go.Figure:
    """Draw the mean over seeds of each arm as a bar and each run as a dot, in percent.

    Args:
        measures: columns of shares with their titles; each is a group of bars.
    """
    figure = go.Figure()
    for column, title in measures.items():
        means: Any = table.groupby("arm", sort=False)[column].mean()
        figure.add_bar(x=means.index, y=100 * means, name=title, offsetgroup=column)
        dots = {"mode": "markers", "marker": {"color": "black", "size": 4}, "showlegend": False}
        figure.add_scatter(x=table["arm"], y=100 * table[column], offsetgroup=column, **dots)
    return figure.update_layout(barmode="group", scattermode="group", yaxis_title=axis)


def run_script(
    name: str,
    args: argparse.Namespace,
    rows: Callable[[bool], Iterable[Mapping[str, Any]]],
    draw: Callable[[pd.DataFrame], go.Figure],
) -> None:
    """Compute `name.csv` (unless only the picture is asked for), draw `name.html` of it, and print the table.

    Args:
        rows: called with whether this is a smoke run; yields the rows of the table.
        draw: draws the table.
    """
    path = output_folder(args) / f"{name}.csv"
    table = pd.read_csv(path) if args.draw else write_rows(path, rows(args.smoke))
    draw(table).write_html(path.with_suffix(".html"), include_plotlyjs=True)
    print(table.to_string(index=False))


def run_trainings(
    name: str,
    description: str | None,
    argv: Sequence[str] | None,
    rows: Callable[[Path, bool], Iterable[Mapping[str, Any]]],
    draw: Callable[[pd.DataFrame], go.Figure],
) -> None:
    """Run a script that trains encoders, with the options of every script, as `run_script` does.

    Args:
        rows: called with the folder that keeps the encoders, and whether this is a smoke run.
    """
    args = options(description).parse_args(argv)
    folder = output_folder(args) / "encoders" / name
    run_script(name, args, partial(rows, folder), draw)
