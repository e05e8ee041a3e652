"""Small complete studies with a planted structure, made through the real readers and writers.

Each class owns a block of features. An image fires its class's block with a strength that is its own
clarity; an unclear image mixes in another class's block, and so tends to be misclassified.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from core.pipeline.run import analyze
from core.study.progress import Progress
from tests.manifests import edited_manifest
from tests.shared import once_a_run

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")


def planted_representations(
    rng: np.random.Generator, classes: np.ndarray, n_features: int, n_classes: int
) -> np.ndarray:
    """(n_images, n_features) float32, non-negative and sparse; see the module's docstring."""
    n_images = len(classes)
    raw = rng.gamma(0.15, 0.2, (n_images, n_features)).astype(np.float32)
    raw[raw < 0.01] = 0.0
    block = max(n_features // (2 * n_classes), 1)
    clarity = rng.beta(2.0, 1.0, n_images)
    other = (classes + rng.integers(1, max(n_classes, 2), n_images)) % n_classes
    for row in range(n_images):
        own = classes[row] * block + np.arange(block)
        foreign = other[row] * block + np.arange(block)
        raw[row, own] += clarity[row] * rng.gamma(4.0, 0.5, block)
        raw[row, foreign] += (1.0 - clarity[row]) * rng.gamma(3.0, 0.5, block)
    return raw


def draw_picture(rng: np.random.Generator, label: int, size: int = 48) -> Image.Image:
    """A disc on a plain ground: the hue says the class."""
    ground = tuple(int(v) for v in rng.integers(180, 255, 3))
    image = Image.new("RGB", (size, size), ground)
    hue = Image.new("HSV", (1, 1), (int(label * 37 % 256), 200, 200)).convert("RGB").getpixel((0, 0))
    x, y = (int(v) for v in rng.integers(4, size // 2, 2))
    ImageDraw.Draw(image).ellipse((x, y, x + size // 2 - 4, y + size // 2 - 4), fill=hue)
    return image


def make_study(folder: str | Path, **options: Any) -> Path:
    """Make a study in `folder` (its images and representations go to `folder` + '.input') and return it.

    In a run of tests the first call with some options makes it, and later ones copy that.

    Args:
        options: see `_make_study`.
    """
    return _copy_of(_make_study, Path(folder), options)


def _copy_of(make: Callable[..., Path], folder: Path, options: dict[str, Any]) -> Path:
    """What `make` makes in `folder` and beside it: copied, after its first call with these options."""
    asked = inspect.signature(make).bind(folder, **options)
    asked.apply_defaults()
    name = hashlib.sha256(repr(asked.args[1:] + (sorted(asked.kwargs.items()),)).encode()).hexdigest()[:16]
    made = once_a_run(f"{make.__name__.strip('_')}_{name}", lambda at: make(at / "study", **options))
    if made is None:
        return make(folder, **options)
    old, new = made / "study.input", folder.with_name(folder.name + ".input")
    shutil.copytree(old, new, dirs_exist_ok=True)  # with the times of its files, which the study holds
    shutil.copytree(made / "study", folder)
    with edited_manifest(folder) as manifest:
        for step in manifest["steps"].values():
            for part in ("settings", "summary"):
                step[part] = _moved(step[part], str(old), str(new))
    return folder


def _moved(value: Any, old: str, new: str) -> Any:
    """A JSON value in which each path of the folder `old` is one of `new`."""
    if isinstance(value, dict):
        return {key: _moved(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, old, new) for one in value]
    return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value


def _make_study(
    folder: Path,
    *,
    n_train: int = 80,
    n_val: int = 40,
    n_features: int = 48,
    n_classes: int = 4,
    labels: bool = True,
    partly: bool = False,
    seed: int = 0,
    pictures: bool = True,
    class_names: tuple[str, ...] = NAMES,
    **options: object,
) -> Path:
    """Make the study.

    Args:
        partly: every third image has no label.
        pictures: write a small PNG an image; without, the study is made from a table alone (quick, for
            large ones) and has no thumbnails.
        options: further options of `core.pipeline.run.analyze` (epsilon, bootstrap …).
    """
    source = folder.with_name(folder.name + ".input")
    source.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    n_images = n_train + n_val
    classes = np.arange(n_images) % n_classes
    names = np.array([class_names[c % len(class_names)] for c in range(n_classes)], dtype=object)
    table = pd.DataFrame(
        {
            "image_id": [f"{'train' if i < n_train else 'val'}/{i:06d}" for i in range(n_images)],
            "split": np.where(np.arange(n_images) < n_train, "train", "val"),
        }
    )
    if labels:
        texts = names[classes]
        texts[partly & (np.arange(n_images) % 3 == 2)] = None
        table["label"] = texts
    if pictures:
        table["path"] = [f"{i:06d}.png" for i in range(n_images)]
        for row, name in enumerate(table["path"]):
            draw_picture(rng, int(classes[row])).save(source / name)
    table.to_csv(source / "images.csv", index=False)
    np.save(source / "raw.npy", planted_representations(rng, classes, n_features, n_classes))
    chosen = {"epsilon": "auto", "bootstrap": 50, "workers": 0, "method": "pca"} | options
    files = {"images": str(source / "images.csv"), "representations": str(source / "raw.npy")}
    _analyze(folder, files | chosen)
    return folder


def make_seen_study(folder: str | Path, **options: Any) -> Path:
    """Make a study of pictures that a planted encoder has seen, with heatmaps, masks and overlaps.

    An image is a disc whose hue is near its class's (its core mask) and mostly a square whose hue goes with
    the class (its spurious mask); the encoder's features are hues, so it is known where each of them looks.
    The pictures and masks go to `folder` + '.input'. As `make_study`, it is made once a run and copied.

    Args:
        options: see `_make_seen_study`.
    """
    return _copy_of(_make_seen_study, Path(folder), options)


def _make_seen_study(
    folder: Path,
    *,
    n_train: int = 64,
    n_val: int = 40,
    n_classes: int = 4,
    seed: int = 0,
    class_names: tuple[str, ...] = NAMES,
    tail: str = "",
) -> Path:
    """Make the study. tail: ends every picture's name."""
    source = folder.with_name(folder.name + ".input")
    rng = np.random.default_rng(seed)
    for number in range(n_train + n_val):
        label = number % n_classes
        name = f"{'train' if number < n_train else 'val'}/{class_names[label]}/{number:04d}{tail}.png"
        picture, core, spurious = draw_scene(rng, label, n_classes)
        for part, kind in ((picture, "images"), (core, "masks/core"), (spurious, "masks/spurious")):
            if part is not None:
                path = source / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                part.save(path)
    options = {"images": str(source / "images"), "masks": str(source / "masks")}
    options |= {"encoder": "python:tests.planted_encoder:hues", "device": "cpu", "workers": 0}
    options |= {"epsilon": "auto", "bootstrap": 50, "lr": 0.1, "method": "pca"}
    _analyze(folder, options)
    return folder


def _analyze(folder: Path, options: dict[str, Any]) -> None:
    """Make a study as on a computer without a CLIP of photographs: its steps must not depend on which."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.concepts.clip_and_captions.clip_is_here", lambda spec: False)
        analyze(folder, options, Progress.silent())


def draw_scene(
    rng: np.random.Generator, label: int, n_classes: int
) -> tuple[Image.Image, Image.Image, Image.Image | None]:
    """A picture of 64 x 48 pixels, its core mask, and its spurious mask (None without a square)."""
    size = 64, 48
    picture = Image.new("RGB", size, tuple(int(v) for v in rng.integers(200, 255, 3)))
    core, spurious = Image.new("L", size), Image.new("L", size)
    x, y, wide = (int(v) for v in rng.integers((8, 2, 14), (20, 20, 24)))
    disc = (x, y, x + wide, y + wide)
    ImageDraw.Draw(core).ellipse(disc, fill=255)
    ImageDraw.Draw(picture).ellipse(disc, fill=_hue((label + rng.normal(0.0, 0.35)) / n_classes))
    if rng.random() < 0.2:
        return picture, core, None
    told = label if rng.random() < 0.7 else int(rng.integers(n_classes))
    x, y = (int(v) for v in rng.integers((36, 2), (46, 34)))
    square = (x, y, x + 11, y + 11)
    ImageDraw.Draw(spurious).rectangle(square, fill=255)
    ImageDraw.Draw(picture).rectangle(square, fill=_hue((told + 0.5) / n_classes))
    return picture, core, spurious


def _hue(hue: float) -> tuple[int, ...]:
    found = Image.new("HSV", (1, 1), (int(255 * hue) % 256, 220, 210)).convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    return found
