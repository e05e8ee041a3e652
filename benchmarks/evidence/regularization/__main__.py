"""The experiment with eq. 3: what a fine-tuning with the Q-Score regulariser changes, in one resumable table.

python -m benchmarks.evidence.regularization -o build/eq3
python -m benchmarks.evidence.regularization --images CIFAR10 --start simclr_cifar10.safetensors -o build/eq3c

CIFAR10 is a folder of train/CLASS/IMAGE and test/CLASS/IMAGE. From one start encoder: the same fine-tuning
without a regulariser, with the Lasso, with Q in the three readings of eq. 3, and with fixed weights (the
control of BatchNorm's statistics), at a practical and at the paper's rate, with three seeds. Everything is
kept in the folder: a command that was stopped or killed goes on where it was when it is given again. runs.csv
has a row a run, table.md the means with intervals over seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.regularization import cells as cells_of
from benchmarks.evidence.regularization import folder as folders
from benchmarks.evidence.regularization.plan import FROZEN, KINDS, PRESETS, RATES, Cell, plan
from core.errors import PeregrineError, SettingsError
from core.training.regularizers.config import RegularizerConfig, check_regularizer

SHIPPED = "asset:simclr_glyphworld"
LAMBDAS = ("lambda1", "lambda2")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.regularization", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="cpu", help="number of images and epochs")
    parser.add_argument("--images", metavar="DIR", help="labelled images instead of Glyphworld, with --start")
    parser.add_argument("--start", metavar="SPEC", help=f"start encoder (default: {SHIPPED})")
    parser.add_argument("--epsilon", default="auto", help="of the start study (default: auto)")
    parser.add_argument("--train", type=int, metavar="N", help="train images of --images (default: preset's)")
    parser.add_argument("--val", type=int, metavar="N", help="evaluation images of --images")
    parser.add_argument("--epochs", type=int, metavar="N", help="of each fine-tuning (default: the preset's)")
    for name in LAMBDAS:
        default = getattr(RegularizerConfig(), name)
        text = f"{name} of all readings of Q (default: the paper's {default:g})"
        parser.add_argument(f"--{name}", type=float, default=default, metavar="L", help=text)
    parser.add_argument("--seeds", default="0,1,2", metavar="A,B")
    parser.add_argument("--kinds", default=",".join((*KINDS, FROZEN)), metavar="A,B")
    parser.add_argument("--rates", default=",".join(RATES), metavar="A,B")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--keep", action="store_true", help="keep the fine-tuned encoders in FOLDER/runs")
    return parser.parse_args(words)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what all rows of a folder share. Raises SettingsError."""
    preset = PRESETS[args.preset]
    if args.images and not args.start:
        raise SettingsError("--images needs the encoder to begin from, trained on such images: give --start")
    for name in ("train", "val", "epochs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise SettingsError(f"--{name} {value} must be at least 1")
        if value is not None and name != "epochs" and not args.images:
            raise SettingsError(f"--{name} is for --images; Glyphworld's are 'glyphworld?train=N&val=N'")
    lambdas = {name: getattr(args, name) for name in LAMBDAS}
    check_regularizer(RegularizerConfig(**lambdas), start=None, frozen=False)
    own_images = bool(args.images) and not args.images.startswith("glyphworld")
    return {
        "images": args.images or preset.images,
        "start": args.start or SHIPPED,
        "epsilon": args.epsilon,
        "train": (args.train or preset.n_train) if own_images else None,
        "val": (args.val or preset.n_val) if own_images else None,
        "epochs": args.epochs or preset.epochs,
        **lambdas,
    }


def numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part]
    except ValueError:
        raise SettingsError(f"--seeds {text}: expected whole numbers, such as 0,1,2") from None


def fill(args: argparse.Namespace) -> Path:
    """Run what the folder lacks, row by row, and return the table; `table.md` is written after each row."""
    from benchmarks.__main__ import machine
    from benchmarks.evidence.regularization.report import write_report

    jobs = plan(
        numbers(args.seeds),
        kinds=[kind for kind in args.kinds.split(",") if kind],
        rates=[rate for rate in args.rates.split(",") if rate],
    )
    shared, folder = settings_of(args), args.output
    folder.mkdir(parents=True, exist_ok=True)
    folders.check_settings(folder, shared)
    rows = folders.read_rows(folder)
    done = {row["cell"] for row in rows}
    if all(cell.name in done for cell in jobs):
        return write_report(folder)
    images = folders.sampled_images(shared["images"], folder, n_train=shared["train"], n_val=shared["val"])
    study = cells_of.start_study(
        images, shared["start"], folder, epsilon=shared["epsilon"], device=args.device
    )
    for number, cell in enumerate(jobs):
        if cell.name in done:
            if not args.keep:  # a command that was killed before may have left them
                cells_of.remove_files(folder, cell)
            continue
        print(f"[{number + 1} of {len(jobs)}] {cell.name}", flush=True)
        config = None
        if cell.rate:
            config = cells_of.cell_config(cell, study, folder, shared, device=args.device)
        row = cells_of.cell_row(study, config) if config else cells_of.start_row(study)
        about = {"cell": cell.name, "kind": cell.kind, "rate": cell.rate, "seed": cell.seed}
        rows.append(about | row | {"device": machine()})
        folders.write_rows(folder, rows)
        print(line(cell, row), flush=True)
        if not args.keep:
            cells_of.remove_files(folder, cell)
        write_report(folder)
    return write_report(folder)


def line(cell: Cell, row: dict[str, Any]) -> str:
    """Summarise a row for the terminal."""
    parts = [cell.name]
    for name, text in (
        ("top1", "top-1 {:.1%}"),
        ("mean_firing", "mean |L_i| {:.2f}"),
        ("q_auroc", "AUROC of Q {:.3f}"),
        ("rewarded", "rewarded rows {:.1f}"),
        ("weight_change", "weights moved {:.2g}"),
        ("seconds", "{:.0f} s"),
    ):
        if name in row:
            parts.append(text.format(row[name]))
    return "  ".join(parts)


def main(words: Sequence[str] | None = None) -> int:
    args = parse(words)
    try:
        table = fill(args)
    except PeregrineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command to resume", file=sys.stderr)
        return 130
    print(table.read_text(encoding="utf-8"), end="")
    print(f"{args.output / folders.ROWS}, {table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
