"""The command `transfer-probe`: a study's encoder on other image sets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.cli import options
from core.jobs.progress import Progress


def add_transfer_probe(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `add` makes a subcommand from name, function, summary and example."""
    sub = add(
        commands,
        "transfer-probe",
        transfer_probe,
        "try a study's encoder on other image sets: probe accuracy, and Q with the study's features",
        "transfer-probe studies/demo --images photos --images torchvision:CIFAR10?root=data -o transfer.csv",
    )
    sub.add_argument(
        "studies", type=Path, nargs="+", metavar="STUDY", help="whose encoders and D are tried; one or more"
    )
    sub.add_argument(
        "--images", action="append", metavar="DIR", help="an image set, as for analyze; may be repeated"
    )
    sub.add_argument("--val", metavar="DIR", help="evaluation images of a single set, where they lie apart")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE.csv", help="also write the table")
    sub.add_argument("--bootstrap", type=options.COUNT, metavar="N", help="resamples of the intervals (1000)")
    options.add_lr(sub)
    options.add_running(sub)
    options.add_json(sub)


def transfer_probe(args: argparse.Namespace) -> None:
    """Try every study on every set, print one line each, and write the table where a file is named."""
    from core.analysis.probe.transfer import transfer_probe as probe
    from core.cli import output
    from core.errors import SettingsError
    from core.store import open_study

    if "images" not in args:
        raise SettingsError("which images? Give --images DIR, once or more")
    if "val" in args and len(args.images) > 1:
        raise SettingsError("--val belongs to one image set; give --images once, or leave out --val")
    out = vars(args).get("output")
    if out is not None and out.suffix.lower() != ".csv":
        raise SettingsError(f"'{out}': the table is written as .csv")
    names = {"val": "val", "lr": "lr", "device": "device", "workers": "workers", "seed": "seed"}
    names |= {"batch_size": "batch_size", "bootstrap": "resamples"}
    given = {argument: vars(args)[name] for name, argument in names.items() if name in args}
    studies = [open_study(path) for path in args.studies]
    with Progress.for_command(None, stages_total=len(studies) * len(args.images)) as progress:
        table = probe(studies, args.images, **given, progress=progress)
    if out is not None:
        from core.common.csv_text import write_csv
        from core.export.files import complete_file

        with complete_file(out) as temporary:
            write_csv(table, temporary)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    output.show({"rows": rows}, text, as_json="json" in args)


def text(report: Any) -> str:
    """One line a study and image set, for people."""
    return "\n".join(_line(row) for row in report["rows"])


def _line(row: dict[str, Any]) -> str:
    start = f"{row['study']} on {row['images']}: "
    if row["top1"] is None:
        return f"{start}no probe: {row['note']}"
    accuracy = f"top-1 {_percent(row, 'top1')}, top-5 {_percent(row, 'top5')}"
    images = f"{row['n_train']:,} train and {row['n_val']:,} val images, {row['n_classes']} classes"
    if row["q_auroc"] is None:
        return f"{start}{accuracy}; Q is not tested: {row['note'] or 'all verdicts are alike'}; {images}"
    low, high = row["q_auroc_low"], row["q_auroc_high"]
    between = "" if low is None else f" ({low:.3f} to {high:.3f})"
    rates = f"AUPRC {row['q_auprc']:.3f} (base rate {row['base_rate']:.3f})"
    return f"{start}{accuracy}; AUROC of Q {row['q_auroc']:.3f}{between}, {rates}; {images}"


def _percent(row: dict[str, Any], name: str) -> str:
    """'62.10 % (59.00 to 65.20)'."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    between = "" if low is None else f" ({100 * low:.2f} to {100 * high:.2f})"
    return f"{100 * row[name]:.2f} %{between}"
