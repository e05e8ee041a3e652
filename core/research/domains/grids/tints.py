"""What two tints cost an encoder of CIFAR-10, and how much of it a prefix gives back (Kalibhat,
dissertation, Figs 2.3, 2.4).

One tint for all images loses the same hues without a second domain: it is the control (docs/method.md 14.4).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.csv_text import write_csv
from core.common.inside import replacing
from core.data.sources.images import open_images
from core.errors import SettingsError
from core.research.domains.analysis.parts import DomainImages
from core.research.domains.grids import styles
from core.research.domains.grids.domain_verdict import ONE, TWO, gap_sentence
from core.research.domains.tinted import COLOURS, COLUMN, tinted_spec
from core.research.domains.training.labels import prefix_length
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row
from core.research.grids.trained import HALF_WIDTH_PLAIN_STEM, cell_config, raw_splits, train_cell

PLAIN = "untinted"
SAMPLE = "images.csv"
CPU: dict[str, Any] = {
    "images": "data/cifar10",
    "n_train": 10_000,
    "n_val": 2000,
    "colours": ["red", "green"],
    "strength": 1.0,
    "arms": [PLAIN, ONE, TWO, f"{TWO}-{styles.DDM}", *(f"{TWO}-{kind}" for kind in styles.PSEUDO)],
    "method": "simclr",
    "arch": "torchvision:resnet18",
    "stem": "cifar",
    "image_size": 32,
    "crop_size": 16,
    "epochs": 10,
    "batch_size": 128,
    "weight": 0.5,
    "critic_reads": "unit",
    "threshold": "auto",
    "precision": "bf16",
}
SHORT = {**CPU, "n_train": 4000, "n_val": 1000, "arch": HALF_WIDTH_PLAIN_STEM, "epochs": 12}
PAPER = {
    **CPU,
    "n_train": 50_000,
    "n_val": 10_000,
    "crop_size": 32,
    "epochs": 500,
    "batch_size": 512,
    "threshold": "1",  # Kalibhat's epsilon
}


def tinted_arms(values: Values) -> list[GridCell]:
    """List the images without tint, with one and with two, and the two disentangled. Raises SettingsError."""
    styles.outlier_threshold(values["threshold"])
    two = [arm for arm in values["arms"] if arm.startswith(TWO)]
    if two and len(values["colours"]) < 2:
        raise SettingsError(f"colours = {values['colours'][0]} is one tint, but the arm '{two[0]}' needs two")
    return [GridCell(arm, {"tints": arm.split("-")[0], "domains": _domains(arm)}) for arm in values["arms"]]


def _domains(arm: str) -> str:
    kind = arm.rpartition("-")[2]
    return kind if kind in (styles.DDM, *styles.PSEUDO) else styles.BASELINE


def two_tints(values: Values, arm: str) -> str | None:
    """Return the arm that an arm is compared with: the two tints of the plain method."""
    return TWO if arm != TWO and TWO in values["arms"] else None


def sampled_table(job: CellJob) -> Path:
    """Write the seeded, balanced sample of the images that all cells share, as a table of paths.

    Raises:
        SettingsError: a class has too few images.
    """
    path = job.folder / SAMPLE
    if path.exists():
        return path
    source = open_images(job.values["images"])
    table, parts = source.table, []
    n_classes = table["label"].nunique()
    for split, n_images in (("train", job.values["n_train"]), ("val", job.values["n_val"])):
        for label, rows in table[table["split"] == split].groupby("label"):
            n = n_images // n_classes
            if len(rows) < n:
                raise SettingsError(
                    f"'{job.values['images']}' has {len(rows)} {split} images of '{label}', but n_{split} = "
                    f"{n_images} needs {n} of each class."
                )
            parts.append(rows.iloc[np.sort(np.random.default_rng(0).permutation(len(rows))[:n])])
    sample = pd.concat(parts)
    with replacing(path, parents=True) as temporary:
        write_csv(sample.loc[:, ["image_id", "path", "split", "label"]], temporary)
    return path


def arm_images(values: Values, arm: str, sample: Path) -> str:
    """Return the spec of the images of an arm."""
    if arm == PLAIN:
        return str(sample)
    colours = values["colours"][:1] if arm == ONE else values["colours"]
    return tinted_spec(str(sample), colours=",".join(colours), strength=values["strength"])


def run_tinted(job: CellJob) -> Row:
    """Train one cell, and evaluate it on val images that are tinted like its own."""
    values, arm = job.values, job.cell.arm
    spec = arm_images(values, arm, sampled_table(job))
    names = ("method", "arch", "stem", "image_size", "crop_size", "epochs", "batch_size", "precision")
    augment = {"crop_scale": [0.2, 0.7] if values["crop_size"] < values["image_size"] else [0.2, 1.0]}
    settings = {name: values[name] for name in names} | {
        "images": spec,
        "augment": {**augment, "blur": 0.0},
        "domains": styles.domain_settings(_domains(arm), len(values["colours"]), values, f"column:{COLUMN}"),
    }
    row = train_cell(job, cell_config(job, settings))
    images = tinted_images(job, spec)
    k = prefix_length(None, images.raw.shape[1])
    return {**styles.measured_domains(images, None, k, ""), **styles.last_of_log(job), **row}


def tinted_images(job: CellJob, spec: str) -> DomainImages:
    """Represent the images of an arm; those without tint are one domain."""
    source = open_images(spec)
    raw = raw_splits(job, source)
    is_val = (source.table["split"] == "val").to_numpy()
    tints = source.extras[COLUMN] if source.extras is not None and COLUMN in source.extras else None
    tints = pd.Series(["none"] * len(is_val)) if tints is None else tints
    order = np.concatenate([np.flatnonzero(~is_val), np.flatnonzero(is_val)])
    classes, class_names = pd.factorize(source.table["label"], sort=True)
    domains, domain_names = pd.factorize(tints, sort=True)
    return DomainImages(
        np.concatenate([raw["train"], raw["val"]]),
        classes[order],
        domains[order],
        is_val[order],
        tuple(class_names),
        tuple(domain_names),
    )


def tinted_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    """Say how much of the gap each disentangled arm closes."""
    arms = dict.fromkeys(str(arm) for arm in table["arm"])
    return [gap_sentence(table, arm) for arm in arms if arm not in (PLAIN, ONE, TWO)]


GRID = Grid(
    name="tinted",
    presets={"cpu": CPU, "paper": PAPER, "short": SHORT},
    arms=tinted_arms,
    run=run_tinted,
    measures={
        "seen_seen_all": ("top-1 %", 100.0),
        "seen_seen_rest": ("top-1 of the rest %", 100.0),
        "domain_mlp_rest": ("tint from rest, MLP %", 100.0),
        "domain_mlp_prefix": ("tint from prefix, MLP %", 100.0),
    },
    baseline=two_tints,
    of_arms=("arms",),
    choices=styles.DOMAIN_CHOICES | {"arms": tuple(CPU["arms"]), "colours": tuple(COLOURS)},
    verdicts=tinted_verdicts,
)
