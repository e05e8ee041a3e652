"""The command `slices`: what is saved in a study, and the slices that are misclassified too often."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from core.cli import options

if TYPE_CHECKING:
    from core.store import Study


def add_slices(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command `slices`."""
    sub = add(
        "slices",
        slices,
        "list the slices saved in a study, or find the worst ones",
        "slices studies/demo --worst 10",
    )
    options.add_study(sub)
    sub.add_argument(
        "--worst", type=options.POSITIVE, metavar="N", help="instead find the N worst slices of all"
    )
    sub.add_argument(
        "--against",
        choices=["all", "class"],
        help="worst slices are compared with all other images (default) or with the rest of their class",
    )
    sub.add_argument(
        "--min-images", type=options.POSITIVE, metavar="N", help="least images of a worst slice (default 10)"
    )
    options.add_json(sub)


def slices(args: argparse.Namespace) -> None:
    """Print the saved or the worst slices."""
    from core.cli import output
    from core.store import open_study

    study = open_study(args.study)
    if "worst" in args:
        given = {name: getattr(args, name) for name in ("against", "min_images") if name in args}
        output.show(worst_report(study, args.worst, given), worst_text, as_json="json" in args)
    else:
        output.show(saved_report(study), saved_text, as_json="json" in args)


def saved_report(study: Study) -> dict[str, Any]:
    """Every saved slice: name, where (its text form), n_images; why, for one that cannot be read now."""
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
    """One line a slice."""
    if not report["slices"]:
        return "no slice is saved; save one in the dashboard, or with core.slices.saved_slices.save"
    lines = []
    for row in report["slices"]:
        n = "cannot be read" if row["n_images"] is None else f"{row['n_images']:,} images"
        lines.append(f"@{row['name']}  {n}  {row.get('why', row['where'])}")
    return "\n".join(lines)


def worst_report(study: Study, limit: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The first rows of `slice_finder.worst_slices`."""
    from core.slices.finder import worst_slices

    found = worst_slices(study, limit=limit, **given)
    return {"study": str(study.path), "slices": found.to_dict("records")}


def worst_text(report: Mapping[str, Any]) -> str:
    """One line a slice, most surely bad first."""
    if not report["slices"]:
        return "no image has a verdict of the probe, or no slice holds enough images"
    return "\n".join(
        f"{100 * row['error_rate']:5.1f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f}) of "
        f"{row['n']:,} misclassified, others {100 * row['rest']:.1f} %, q {row['q']:.2g}: {row['where']}"
        for row in report["slices"]
    )
