"""The command `export`: a table, a heatmap or a mask of a study as a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from core.cli import options


def add_export(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command and its options."""
    sample = 'export studies/demo quality -o worst.csv --slice "split=val correct=false q_score=..0.1"'
    sub = add("export", export, "write a table of a study to a file", sample)
    options.add_study(sub)
    sub.add_argument(
        "table",
        metavar="TABLE",
        help="images, features, quality, probe, overlap, representations, skipped, neighbours, attributes, "
        "metrics, heatmap or mask",
    )
    sub.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".csv, .parquet, .json or .npy"
    )
    sub.add_argument(
        "--slice", metavar="TEXT", help='only these images, as in "split=val label=dog correct=false"'
    )
    group = sub.add_argument_group("heatmap or mask of one image")
    group.add_argument("--image", metavar="ID", help="image id")
    group.add_argument(
        "--feature", type=options.NUMBERS, metavar="J[,K]", help="default: its firing discriminative features"
    )
    group.add_argument(
        "--combine", choices=["mean", "sum", "max", "min"], help="maps of several features (default mean)"
    )
    group.add_argument("--mask", choices=["core", "spurious"], help="which mask (default core)")
    options.add_device(sub)


def export(args: argparse.Namespace) -> None:
    from core.export.files import export_table
    from core.slices.slice import Slice
    from core.store import open_study

    if args.table in ("heatmap", "mask"):
        return _export_frame(args)
    chosen = Slice.parse(args.slice) if "slice" in args else None
    n_rows = export_table(open_study(args.study), args.table, args.output, slice=chosen)
    print(f"{args.output}: {n_rows} rows")


def _export_frame(args: argparse.Namespace) -> None:
    from core.errors import SettingsError
    from core.export.files import export_frame
    from core.store import open_study

    if "image" not in args:
        raise SettingsError(f"which {args.table}? Give --image IMAGE_ID (export STUDY images lists them)")
    height, width = export_frame(
        open_study(args.study),
        args.table,
        args.output,
        image=args.image,
        features=getattr(args, "feature", None),
        combine=getattr(args, "combine", "mean"),
        mask=getattr(args, "mask", "core"),
        device=getattr(args, "device", "auto"),
    )
    print(f"{args.output}: {height} x {width}")
