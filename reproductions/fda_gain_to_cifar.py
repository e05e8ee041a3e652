"""What Fourier augmentations add to SimCLR and BYOL, here and on other images: trained on scenes of
Glyphworld, probed on CIFAR-10.

Kalibhat's dissertation, Tables 5.1 and 5.2 (there ImageNet and eleven data sets). The stored table: 12
trainings (seeds 0 to 2), 22 minutes of one core of an AMD EPYC that did other work, too.
`fda_gain_from_cifar` is the way back.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reproductions import common
from reproductions.fda_augmentations import SETTINGS, SMOKE, train_and_measure, views

NAME = "fda_gain_to_cifar"
N_IMAGES = {"train": 400, "test": 100}  # of each class of CIFAR-10
TRANSFER = {
    "top1": "top-1",
    "transfer_top1": "transfer, top-1",
    "transfer_few_shot_5": "transfer, 5-shot",
    "transfer_few_shot_10": "transfer, 10-shot",
}


def parse(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """Read the options, with the folder of the photographs."""
    parser = common.options(description)
    layout = "CIFAR-10 as train/CLASS/IMAGE and test/CLASS/IMAGE (default: %(default)s)"
    parser.add_argument("--cifar", type=Path, default=Path("data/cifar10"), metavar="FOLDER", help=layout)
    return parser.parse_args(argv)


def cifar_sample(cifar: Path, folder: Path) -> str:
    """Write the table of the first photographs of each class, and return its path."""
    photographs = [
        {"path": str(path.resolve()), "label": class_folder.name, "split": split}
        for split, n in N_IMAGES.items()
        for class_folder in sorted((cifar / split).iterdir())
        for path in sorted(class_folder.iterdir())[:n]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cifar.csv"
    pd.DataFrame(photographs).to_csv(path, index=False)
    return str(path)


def rows(
    folder: Path, settings: dict[str, Any], transfer: str, groups: Sequence[str], smoke: bool
) -> Iterator[dict[str, Any]]:
    """Yield a row a training: each method, plain and with Fourier augmentations on its left view."""
    methods = ("byol",) if smoke else ("simclr", "byol")
    for seed in range(1 if smoke else 3):
        for method in methods:
            for fda in (True,) if smoke else (False, True):
                arm = f"{method}-fda" if fda else method
                own = {**settings, "augment": views({"fourier": {}} if fda else {}, {})}
                output = folder / f"{arm}-s{seed}.safetensors"
                run = partial(
                    train_and_measure, output, seed, own, method=method, transfer=transfer, groups=groups
                )
                columns = {"method": method, "fda": fda}
                yield common.cell(arm, seed, columns, run, "smoke" if smoke else "short")


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw top-1 on the images of the training, and what the frozen encoder is worth elsewhere."""
    return common.arm_bars(table, TRANSFER, axis="accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    args = parse(argv, __doc__)
    folder = common.output_folder(args) / "encoders" / NAME

    def computed(smoke: bool) -> Iterator[dict[str, Any]]:
        if smoke:
            return rows(folder, SMOKE, f"{SMOKE['images']}&seed=3", ("background",), smoke)
        return rows(folder, SETTINGS, cifar_sample(args.cifar, folder), ("background",), smoke)

    common.run_script(NAME, args, computed, draw)


if __name__ == "__main__":
    main()
