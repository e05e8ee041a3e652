"""Accuracy under noise in the core or the spurious region, as Salient ImageNet measures it (Singla 2021).

    python -m reproductions.mask_interventions
    python -m reproductions.mask_interventions --study STUDY -o build/noise

Gaussian noise of standard deviation sigma (pixels in [0, 1]) is added where an image's core mask lies, or its
spurious mask, weighted by the mask. "Core accuracy" is that with noise in the spurious region: what the
encoder and its probe get right from the object alone. Beside it, on the same images, object or background is
blurred or removed, and removed with the mask of the picture next in area (the control; docs/method.md 5.4).
STUDY is any study with masks and a probe; by default Glyphworld with the encoder that ships. The stored table
took a few minutes of one processor core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch

from core.analysis.heatmaps_on_demand import study_encoder
from core.analysis.input_masks import MaskFrames, masked_images, masks_of
from core.analysis.iou import MASK_REGION
from core.config import MaskOptions
from core.data.masks import KINDS
from core.errors import MaskError
from core.measures.evaluate import class_column
from core.measures.intervals import mean_interval, wilson
from core.pictures.alterations import ALTERATIONS, alike_in_area, alterations, fill_colour
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from reproductions.common import options, run_script

ENCODER = "asset:simclr_glyphworld"
IMAGES, SMOKE_IMAGES = "glyphworld?train=2000&val=600", "glyphworld?train=40&val=12"
SIGMAS = (0.1, 0.25, 0.5)
MOST = 600  # images, drawn with the seed
SEED, BATCH = 0, 32


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--study", type=Path, metavar="STUDY", help="a study with masks and a probe")
    args = parser.parse_args(argv)
    run_script("mask_interventions", args, lambda smoke: rows(smoke, args.study), draw)


def rows(smoke: bool, folder: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for the images as they are, for noise in each region, and for each alteration."""
    with TemporaryDirectory() as temporary:
        study = Study(folder) if folder else new_study(Path(temporary), smoke)
        sampled = masked_pictures(study)
        encoder = study_encoder(study)
        true = class_column(study, "label")[sampled.rows]
        before = predicted(study, encoder, sampled.pictures) == true
        yield row_of("none", 0.0, before, before)
        noise = np.random.default_rng(SEED).standard_normal(sampled.pictures.shape, np.float32)
        for number, kind in enumerate(KINDS):
            has_mask = sampled.masks[:, number].any((1, 2))
            for sigma in SIGMAS:
                noisy = with_noise(sampled.pictures, sampled.masks[:, number], noise, sigma)
                right = predicted(study, encoder, noisy) == true
                yield row_of(f"noise, {kind}", sigma, before[has_mask], right[has_mask])
        altered = altered_pictures(sampled, fill_colour(study.transform.mean))
        for number, name in enumerate(ALTERATIONS):
            yield row_of(name, np.nan, before, predicted(study, encoder, altered[:, number]) == true)


def new_study(folder: Path, smoke: bool) -> Study:
    """Make a study of Glyphworld with a probe."""
    images = SMOKE_IMAGES if smoke else IMAGES
    run_step("embed", folder, {"images": images, "encoder": ENCODER, "workers": 0}, Progress.silent())
    run_step("probe", folder, {}, Progress.silent())
    return Study(folder)


@dataclass(frozen=True)
class Sampled:
    """Evaluation images whose core mask divides them, in the encoder's input view.

    Attributes:
        rows: (n,) of the study. pictures: (n, H, W, 3) uint8. masks: (n, 2, H, W) float32 in [0, 1], core and
            spurious.
    """

    rows: np.ndarray
    pictures: np.ndarray
    masks: np.ndarray


def masked_pictures(study: Study) -> Sampled:
    """Draw at most MOST evaluation images whose core mask holds some and not all pixels.

    Raises:
        MaskError: the study has no masks.
    """
    masks = study.masks or masks_of(study, MaskOptions())
    if masks is None:
        raise MaskError(f"'{study.path}' has no masks")
    places, exists = masked_images(study, masks)
    usable = exists[:, 0] & study.is_val[places]
    drawn = np.random.default_rng(SEED).permutation(np.flatnonzero(usable))[:MOST]
    drawn = np.sort(drawn)
    ids = study.images["image_id"].iloc[places[drawn]].tolist()
    needed = np.ones(len(drawn), bool)
    frames = MaskFrames(masks, study.source, study.transform, ids, exists[drawn], needed)
    parts = [frames[range(start, min(start + BATCH, len(ids)))] for start in range(0, len(ids), BATCH)]
    pictures = np.concatenate([np.asarray(part.pixels) for part in parts])
    held = np.concatenate([part.masks.numpy() for part in parts])
    shares = (held[:, 0] >= MASK_REGION).mean((1, 2))
    divides = (shares > 0) & (shares < 1)
    return Sampled(places[drawn][divides], pictures[divides], held[divides])


def with_noise(pictures: np.ndarray, masks: np.ndarray, noise: np.ndarray, sigma: float) -> np.ndarray:
    """x + sigma z M for pictures in [0, 1], clipped, and back to uint8.

    Args:
        pictures: (n, H, W, 3) uint8. masks: (n, H, W) in [0, 1]. noise: (n, H, W, 3), standard normal.
    """
    shares = pictures.astype(np.float32) / 255 + sigma * noise * masks[..., None]
    return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)


def altered_pictures(sampled: Sampled, fill: np.ndarray) -> np.ndarray:
    """(n, len(ALTERATIONS), H, W, 3) uint8: object or background blurred, removed, and the control."""
    objects = sampled.masks[:, 0] >= MASK_REGION
    others = alike_in_area(objects.sum((1, 2)), np.random.default_rng([SEED, 2]))
    triples = zip(sampled.pictures, objects, objects[others], strict=True)
    return np.stack([alterations(one, mask, other_mask=other, fill=fill) for one, mask, other in triples])


def predicted(study: Study, encoder: Any, pictures: np.ndarray) -> np.ndarray:
    """(n,) class codes that the study's probe gives to pictures."""
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    codes = []
    for start in range(0, len(pictures), BATCH):
        pixels = torch.from_numpy(np.ascontiguousarray(pictures[start : start + BATCH]))
        with torch.inference_mode():
            raw = encoder.represent(pixels).double().cpu().numpy()
        codes.append((raw @ weights.T + bias).argmax(1))
    return np.concatenate(codes)


def row_of(alteration: str, sigma: float, before: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Return accuracy with Wilson's interval, and its paired change with Student's.

    Args:
        before, right: (n,) bool, whether the answers to the same images are right: as they are, and altered.
    """
    low, high = wilson(right.sum(), len(right))
    change = right.astype(np.float64) - before
    mean, change_low, change_high, n = mean_interval(change, within=(-1.0, 1.0))
    accuracy = {"accuracy": float(right.mean()), "low": float(low), "high": float(high)}
    changes = {"change": mean, "change_low": change_low, "change_high": change_high}
    values = {name: round(value, 4) for name, value in (accuracy | changes).items()}
    return {"alteration": alteration, "sigma": sigma, "n": n} | values


def draw(table: pd.DataFrame) -> go.Figure:
    """Accuracy over the noise in each region."""
    untouched = table.loc[table["alteration"] == "none"]
    starts = [untouched.assign(alteration=f"noise, {kind}") for kind in KINDS]
    lines = pd.concat([*starts, table.loc[table["alteration"].str.startswith("noise")]])
    title = "Accuracy with noise in the core or the spurious region"
    return px.line(lines, x="sigma", y="accuracy", color="alteration", markers=True, title=title)


if __name__ == "__main__":
    main()
