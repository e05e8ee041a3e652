"""The command `transfer-probe`: evaluate the encoder of a study on other image sets."""

import argparse
from pathlib import Path
from typing import Any

from core.cli import options, output
from core.config import EmbedConfig, ProbeConfig, RunOptions
from core.errors import SettingsError
from core.study.progress import Progress


def add_transfer_probe(commands: Any) -> None:
    """Add the research command `transfer-probe` to the command line."""
    sub = options.add_command(
        commands,
        "transfer-probe",
        _transfer_probe,
        "evaluate the encoder of a study on other image sets: probe accuracy and Q-Scores",
        "transfer-probe studies/demo --images photos --images torchvision:CIFAR10?root=data -o transfer.csv",
        "transfer-probe studies/labelled --into studies/unlabelled",
    )
    sub.add_argument(
        "studies",
        type=options.folder,
        nargs="+",
        metavar="STUDY",
        help="studies whose encoders and discriminative features are used",
    )
    sub.add_argument(
        "--images", action="append", metavar="DIR", help="image set, as for analyze; may be repeated"
    )
    sub.add_argument(
        "--into",
        action="append",
        type=options.folder,
        metavar="STUDY",
        help="study of other images with the same encoder; it keeps the estimated accuracy for compare; may "
        "be repeated",
    )
    sub.add_argument(
        "--val", metavar="DIR", help="evaluation images of a single set, if they are stored separately"
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FILE.csv", help="also write the table to a file")
    sub.add_argument(
        "--bootstrap",
        type=options.COUNT,
        metavar="N",
        help="bootstrap resamples for the confidence intervals (default: 1000)",
    )
    sub.add_argument(
        "--corrupted",
        type=options.COUNT,
        metavar="N",
        help="evaluation images of the study that are corrupted in 15 ways to back-test the estimates of "
        "accuracy (default: 200)",
    )
    options.add_options(sub, ProbeConfig, "lr")
    options.add_options(sub, RunOptions, "device", "batch_size", "workers")
    options.add_options(sub, EmbedConfig, "seed")
    options.add_json(sub)


def _transfer_probe(args: argparse.Namespace) -> None:
    """Run the research command `transfer-probe`: evaluate studies on image sets, print, write the table."""
    from core.research.transfer_learning_transfer import transfer_probe as probe
    from core.store import Study

    images, into = (vars(args).get(name, []) for name in ("images", "into"))
    if not images and not into:
        raise SettingsError("which images? Give --images DIR at least once, or --into STUDY")
    if into and len(args.studies) > 1:
        raise SettingsError("--into keeps what the probe of one study says: name one STUDY")
    if "val" in args and len(images) != 1:
        raise SettingsError("--val belongs to one image set: give --images once, or leave out --val")
    out = vars(args).get("output")
    if out is not None and out.suffix.lower() != ".csv":
        raise SettingsError(f"'{out}': the table is written as .csv; choose a name that ends in .csv")
    names = {"val": "val", "lr": "lr", "device": "device", "workers": "workers", "seed": "seed"}
    names |= {"batch_size": "batch_size", "bootstrap": "resamples", "corrupted": "n_corrupted"}
    given = {argument: vars(args)[name] for name, argument in names.items() if name in args}
    studies, targets = ([Study(path) for path in paths] for paths in (args.studies, into))
    with Progress.for_command(None, stages_total=len(studies) * (len(images) + 1)) as progress:
        table = probe(studies, images, into=targets, **given, progress=progress)
    if out is not None:
        from core.charts.table_file import complete_file
        from core.common.csv_text import write_csv

        with complete_file(out) as temporary:
            write_csv(table, temporary)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    output.show({"rows": rows}, text, as_json="json" in args)


def text(report: Any) -> str:
    """Return what the research command `transfer-probe` prints: one line per study and image set."""
    from core.research.transfer_learning_own_probe import in_words

    return "\n".join("; ".join(filter(None, [_line(row), in_words(row)])) for row in report["rows"])


def _line(row: dict[str, Any]) -> str:
    start = f"{row['study']} on {row['images']}: "
    if row["top1"] is None:
        return f"{start}no probe: {row['note']}"
    accuracy = f"top-1 {_percent(row, 'top1')}, top-5 {_percent(row, 'top5')}"
    images = f"{row['n_train']:,} train and {row['n_val']:,} val images, {row['n_classes']} classes"
    if row["q_auroc"] is None:
        reason = row["note"] or "every prediction is correct, or none is"
        return f"{start}{accuracy}; Q not evaluated: {reason}; {images}"
    low, high = row["q_auroc_low"], row["q_auroc_high"]
    between = "" if low is None else f" ({low:.3f} to {high:.3f})"
    rates = f"AUPRC {row['q_auprc']:.3f} (base rate {row['base_rate']:.3f})"
    return f"{start}{accuracy}; AUROC of Q {row['q_auroc']:.3f}{between}, {rates}; {images}"


def _percent(row: dict[str, Any], name: str) -> str:
    """Return a rate with its interval, such as '62.10 % (59.00 to 65.20)'."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    between = "" if low is None else f" ({100 * low:.2f} to {100 * high:.2f})"
    return f"{100 * row[name]:.2f} %{between}"
