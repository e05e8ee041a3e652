"""What every script shares: its options, its table of results, and its picture."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

HERE = Path(__file__).parent


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
    """Write each row as soon as it is computed, and return the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, fieldnames=list(row))
                writer.writeheader()
            writer.writerow(row)
            file.flush()
    return pd.read_csv(path)


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
    path = args.output / f"{name}.csv"
    table = pd.read_csv(path) if args.draw else write_rows(path, rows(args.smoke))
    draw(table).write_html(path.with_suffix(".html"), include_plotlyjs=True)
    print(table.to_string(index=False))
