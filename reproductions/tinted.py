"""What two tints cost an encoder of CIFAR-10, and how much of it a domain prefix gives back.

Kalibhat's dissertation, Figs 2.3 and 2.4 (docs/method.md 14.4). One tint for all images loses the same hues
without a second domain: it is the control. 30 trainings (seeds 0 to 4), 65 minutes of one core; tinted.md
has the means, the rows of that run are not kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.data.images import open_images
from core.research.domains_images import TINT_COLUMN, tinted_spec
from core.research.domains_parts import DomainImages
from reproductions import common
from reproductions.domains import domain_arms, last_of_log, measured_domains, represented

NAME = "tinted"
COLOURS = ("red", "green")
N_IMAGES = {"train": 400, "val": 100}  # of each class
ARMS = ("untinted", "one-tint", "two-tints", "two-tints-ddm", "two-tints-kmeans", "two-tints-robust")
SETTINGS: dict[str, Any] = {
    "method": "simclr",
    "arch": common.HALF_WIDTH_PLAIN_STEM,
    "stem": "cifar",
    "image_size": 32,
    "crop_size": 16,
    "epochs": 12,
    "batch_size": 128,
    "precision": "bf16",
    "augment": {"crop_scale": [0.2, 0.7], "blur": 0.0},
}
SMOKE = {**SETTINGS, "arch": common.TINY, "stem": "standard", "epochs": 1, "batch_size": 30}
SMOKE["precision"] = "fp32"


def sampled(images: str, folder: Path) -> str:
    """Write a seeded, balanced sample of the images as a table of paths, and return its path."""
    table, parts = open_images(images).table, []
    for split, n in N_IMAGES.items():
        for _, one in table[table["split"] == split].groupby("label"):
            parts.append(one.iloc[np.sort(np.random.default_rng(0).permutation(len(one))[:n])])
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(parts)[["image_id", "path", "split", "label"]].to_csv(folder / "images.csv", index=False)
    return str(folder / "images.csv")


def train_and_measure(output: Path, seed: int, settings: Mapping[str, Any]) -> dict[str, float]:
    """Train one arm, and measure it on val images that are tinted like its own."""
    trained = common.train_encoder(output, seed, settings)
    source = open_images(settings["images"])
    raw = represented(output, source)
    is_val = (source.table["split"] == "val").to_numpy()
    order = np.argsort(is_val, kind="stable")
    tints = pd.Series("none", index=source.table.index)
    if source.extras is not None and TINT_COLUMN in source.extras:
        tints = source.extras[TINT_COLUMN]
    classes, class_names = pd.factorize(source.table["label"], sort=True)
    domains, domain_names = pd.factorize(tints, sort=True)
    images = DomainImages(
        raw=np.concatenate([raw["train"], raw["val"]]),
        classes=classes[order],
        domains=domains[order],
        is_val=is_val[order],
        class_names=tuple(class_names),
        domain_names=tuple(domain_names),
    )
    return measured_domains(images, None) | trained


def rows(cifar: str, folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all arms of a seed before the next seed."""
    images = "glyphworld?train=60&val=40&size=32" if smoke else sampled(cifar, folder)
    kinds = domain_arms(f"column:{TINT_COLUMN}", len(COLOURS))
    for seed in range(1 if smoke else 5):
        for arm in ARMS[1:4:2] if smoke else ARMS:
            kind = arm.removeprefix("two-tints-") if arm.startswith("two-tints-") else "baseline"
            n_colours = 1 if arm == "one-tint" else len(COLOURS)
            spec = tinted_spec(images, colours=",".join(COLOURS[:n_colours]), strength=1.0)
            own = {**(SMOKE if smoke else SETTINGS), "domains": kinds[kind]}
            own["images"] = images if arm == "untinted" else spec
            output = folder / f"{arm}-s{seed}.safetensors"
            columns = {"tints": arm.split("-")[0], "domains": kind}
            run = partial(train_and_measure, output, seed, own)
            row = common.cell(arm, seed, columns, run, "smoke" if smoke else "short")
            yield row | last_of_log(output)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw accuracy by arm, and the tint read from the rest."""
    measures = {"seen_seen_all": "top-1", "domain_mlp_rest": "tint read from the rest by an MLP"}
    return common.arm_bars(table, measures, axis="accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("--cifar", default="data/cifar10", metavar="IMAGES",
                        help="CIFAR-10, as for `core` (default: %(default)s)")  # fmt: skip
    args = parser.parse_args(argv)
    folder = common.output_folder(args) / "encoders" / NAME
    common.run_script(NAME, args, partial(rows, args.cifar, folder), draw)


if __name__ == "__main__":
    main()
