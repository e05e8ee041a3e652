"""What copies of one photograph do to an accuracy: corrupted as ImageNet-C is, split image by image or not.

Glyphworld's pictures stand for photographs. Each is written four times below domain folders, as it is and
with noise, blur and JPEG's artefacts, and seen by the shipped encoder.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

from benchmarks.results import Result
from core.analysis.definitions import normalise_rows
from core.analysis.neighbours import nearest_rows
from core.analysis.probe_step import train_probe
from core.config.checks import default_encoder
from core.data.images import open_images
from core.data.source import ImageSource
from core.encoders.registry import load_encoder
from core.measures.intervals import share_bounds

N_PHOTOGRAPHS, SIZE, BATCH = 60, 96, 30
MOST_APART = 12.0  # points: what an accuracy by photograph may differ from that on new photographs
AT_LEAST_APART = 20.0  # points, by which copies on both sides embellish it


def run() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        seen, new = Path(folder) / "photographs", Path(folder) / "new"
        write(seen, range(N_PHOTOGRAPHS))
        write(new, range(N_PHOTOGRAPHS, 2 * N_PHOTOGRAPHS))
        by_image = open_images(f"{seen}?group=none", class_level=2)
        by_photograph, fresh = (open_images(root, class_level=2) for root in (seen, new))
        raw, raw_new = represented(by_photograph), represented(fresh)
    for name, source in {"image by image": by_image, "by photograph": by_photograph}.items():
        yield from measured(name, source, raw, (raw_new, codes(fresh)))


def codes(source: ImageSource) -> np.ndarray:
    return pd.factorize(source.table["label"], sort=True)[0]


def represented(source: ImageSource) -> np.ndarray:
    """(n, n_features) float32 of the shipped encoder."""
    encoder = load_encoder(default_encoder({"images": "x"}), device="cpu")
    parts = []
    for start in range(0, len(source), BATCH):
        rows = range(start, min(start + BATCH, len(source)))
        pixels = np.stack([encoder.transform.pixels(source.read(row)) for row in rows])
        with torch.inference_mode():
            parts.append(np.asarray(encoder.represent(torch.from_numpy(pixels)), np.float32))
    return np.concatenate(parts)


def measured(
    name: str, source: ImageSource, raw: np.ndarray, new: tuple[np.ndarray, np.ndarray]
) -> Iterator[Result]:
    """The accuracy that a drawn split shows, less that on new photographs, of 1-NN and of a probe."""
    labels, is_val = codes(source), (source.table["split"] == "val").to_numpy()
    tests = {"shown": (raw[is_val], labels[is_val]), "new": new}
    groups = None
    if source.group is not None and source.extras is not None:
        groups = pd.factorize(source.extras[source.group])[0][is_val]
    for answer, predict in (("1-NN", nearest_label), ("probe", probed)):
        right = {
            of: predict(raw[~is_val], labels[~is_val], queries) == true
            for of, (queries, true) in tests.items()
        }
        shown, truth = (100 * float(right[of].mean()) for of in tests)
        low, high = (100 * end for end in share_bounds(right["shown"], groups))
        detail = f"{shown:.1f} % ({low:.1f} to {high:.1f}) on val, {truth:.1f} % on new photographs"
        whole = groups is not None
        goal = MOST_APART if whole else AT_LEAST_APART
        apart = abs(shown - truth) if whole else shown - truth
        yield Result(f"{answer}, split {name}", apart, "points", goal, not whole, detail)


def nearest_label(raw: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    units = [normalise_rows(torch.from_numpy(part)) for part in (queries, raw)]
    return labels[nearest_rows(*units, k=1)[0][:, 0].numpy()]


def probed(raw: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    probe = train_probe(raw, labels, int(labels.max()) + 1, lr=0.1)
    return probe.logits(queries).argmax(1).numpy()


def write(root: Path, rows: range) -> None:
    """The photographs of some rows of Glyphworld, four times each."""
    world = open_images(f"glyphworld?train={2 * N_PHOTOGRAPHS}&val=10&seed=3")
    rng = np.random.default_rng(rows.start)
    for row in rows:
        photograph = world.read(row).resize((SIZE, SIZE))
        for domain, picture in corrupted(photograph, rng).items():
            path = root / domain / str(world.table["label"].iat[row]) / f"{row:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def corrupted(picture: Image.Image, rng: np.random.Generator) -> dict[str, Image.Image]:
    pixels = np.asarray(picture, float)
    noisy = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return {
        "clean": picture,
        "noise": Image.fromarray(noisy),
        "blur": picture.filter(ImageFilter.GaussianBlur(0.7)),
        "jpeg": Image.open(file).convert("RGB"),
    }
