"""The command `slices`: the saved slices of a study, and those with the highest error rates."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.cli import options

if TYPE_CHECKING:
    from core.store import Study


def add_slices(commands: Any) -> None:
    """Add the command `slices`."""
    sub = options.add_command(
        commands,
        "slices",
        slices,
        "list the saved slices of a study, or find those with the highest error rates",
        "slices studies/demo --worst 10",
    )
    options.add_study(sub)
    sub.add_argument("--worst", type=options.POSITIVE, metavar="N", help="find the N worst slices instead")
    sub.add_argument(
        "--against",
        choices=["all", "class"],
        help="compare worst slices with all other images or with the rest of their class (default: all)",
    )
    sub.add_argument(
        "--min-images",
        type=options.POSITIVE,
        metavar="N",
        help="minimum number of images in a worst slice (default: 10)",
    )
    options.add_json(sub)


def slices(args: argparse.Namespace) -> None:
    """Print the saved slices or the worst ones."""
    from core.cli import output
    from core.store import open_study

    study = open_study(args.study)
    if "worst" in args:
        given = {name: getattr(args, name) for name in ("against", "min_images") if name in args}
        output.show(worst_report(study, args.worst, given), worst_text, as_json="json" in args)
    else:
        output.show(saved_report(study), saved_text, as_json="json" in args)


def saved_report(study: Study) -> dict[str, Any]:
    """Return name, where (the text form) and n_images of each saved slice; why, if it cannot be read."""
    from core.errors import SliceError
    from core.slices import saved_slices
    from core.slices.slice import Slice

    rows: list[dict[str, Any]] = []
    for name, text in saved_slices.texts(study.path).items():
        row: dict[str, Any] = {"name": name, "where": text, "n_images": None}
        try:
            row["n_images"] = int(Slice(saved=(name,)).mask(study).sum())
        except SliceError as error:
            row["why"] = str(error)
        rows.append(row)
    return {"study": str(study.path), "slices": rows}


def saved_text(report: Mapping[str, Any]) -> str:
    """Return one line per slice."""
    if not report["slices"]:
        return "no slices saved; save one in the dashboard or with core.slices.saved_slices.save"
    lines = []
    for row in report["slices"]:
        n = "cannot be read" if row["n_images"] is None else f"{row['n_images']:,} images"
        lines.append(f"@{row['name']}  {n}  {row.get('why', row['where'])}")
    return "\n".join(lines)


def worst_report(study: Study, limit: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first rows of `finder.worst_slices`."""
    from core.slices.finder import worst_slices

    table = worst_slices(study, limit=limit, **given)
    return {"study": str(study.path), "slices": table.to_dict("records")}


def worst_text(report: Mapping[str, Any]) -> str:
    """Return one line per slice, most significant first."""
    if not report["slices"]:
        return "no worst slices: the probe has classified no images, or no slice has enough of them"
    return "\n".join(
        f"{100 * row['error_rate']:5.1f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f}) of "
        f"{row['n']:,} misclassified, others {100 * row['rest']:.1f} %, q {row['q']:.2g}: {row['where']}"
        for row in report["slices"]
    )
