"""Mask files that the tests make: folders like the images, and a tiny Salient ImageNet in its real layout."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.source import ImageSource, ListedSource, Listing, image_table
from tests.data.pictures import encoded

TENCH, GOLDFISH = "n01440764", "n01443537"
ANSWER_COLUMNS = (
    "WorkerId,Input.wordnet_id,Input.class_index,Input.feature_index,Input.feature_rank,"
    "Answer.main,Answer.confidence,Answer.reasons"
)
FILE_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}
Judged = Mapping[tuple[int, str, int, int], Sequence[str]]  # class index, wnid, feature, rank -> answers


class NamedImages(ListedSource):
    """Images of which only the names exist."""

    kind = "named"

    def __init__(
        self,
        image_ids: Sequence[str],
        labels: Sequence[str | None] | None = None,
        paths: Sequence[str] | None = None,
    ):
        self.names = list(image_ids)
        self.labels = list(labels or [None] * len(self.names))
        self.paths = list(paths or self.names)

    def _list(self) -> Listing:
        return Listing(image_table(self.names, self.paths, ["train"] * len(self.names), self.labels))

    def read(self, row: int) -> Image.Image:
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        return {}

    def fingerprint(self) -> str:
        return "names"


def mask_bytes(pixels: object, name: str = "mask.png", **options: object) -> bytes:
    """An image file of (H, W) or (H, W, channels) values, in the format that its name says."""
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    return encoded(image, FILE_FORMATS[name.rpartition(".")[2].lower()], **options)


def soft(level: int, size: tuple[int, int] = (4, 4)) -> np.ndarray:
    """A mask of one level: (height, width)."""
    return np.full(size, level, np.uint8)


def put_masks(root: Path, masks: Mapping[str, object]) -> Path:
    """Write masks below `root`: file name -> pixels, a level from 0 to 255, or ready bytes."""
    for name, pixels in masks.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(pixels, bytes):
            path.write_bytes(pixels)
        else:
            path.write_bytes(mask_bytes(soft(pixels) if isinstance(pixels, int) else pixels, name))
    return root


def answers_csv(judged: Judged) -> str:
    """The workers' file: one line an answer, with a reason that tells them apart."""
    lines = [ANSWER_COLUMNS]
    for (index, wnid, feature, rank), answers in judged.items():
        for worker, answer in enumerate(answers):
            reason = f'"seen at {feature}, as {answer}"'
            lines.append(f"{worker},{wnid},{index},{feature},{rank},{answer},4.0,{reason}")
    return "\n".join(lines) + "\n"


def answers(n_spurious: int) -> list[str]:
    """Five answers, of which so many say that the feature is not the object."""
    other = ["background", "separate_object", "background", "separate_object", "background"]
    return [*other[:n_spurious], *["main_object"] * (5 - n_spurious)]


def put_class(root: Path, wnid: str, features: Mapping[int, Mapping[str, object]]) -> None:
    """One class folder: feature -> image name -> level or pixels of its one-channel JPEG mask."""
    folder = root / wnid
    folder.mkdir(parents=True, exist_ok=True)
    longest = max(len(names) for names in features.values())
    columns = [[*names, *[""] * (longest - len(names))] for names in features.values()]
    with open(folder / "image_names_map.csv", "w", newline="") as file:
        csv.writer(file).writerows([list(features), *zip(*columns, strict=True)])
    for feature, names in features.items():
        put_masks(folder / f"feature_{feature}", {f"{name}.JPEG": level for name, level in names.items()})


def salient_folder(root: Path) -> Path:
    """Two classes. Of tench, feature 59 is core and 981 spurious; of goldfish, 59 is spurious, 316 core.

    n01440764_1 stands under both of its features, n01440764_2 under 59 alone, n01440764_3 under 981 alone.
    """
    put_class(
        root, TENCH, {59: {f"{TENCH}_1": 200, f"{TENCH}_2": 100}, 981: {f"{TENCH}_1": 40, f"{TENCH}_3": 250}}
    )
    put_class(root, GOLDFISH, {59: {f"{GOLDFISH}_7": 80}, 316: {f"{GOLDFISH}_7": 160}})
    (root / "wordnet_dict.py").write_text(f"{{0: '{TENCH}', 1: '{GOLDFISH}'}}")
    judged = {
        (0, TENCH, 59, 1): answers(0),
        (0, TENCH, 981, 2): answers(5),
        (1, GOLDFISH, 59, 1): answers(3),
        (1, GOLDFISH, 316, 2): answers(2),
    }
    (root / "discover_spurious_features.csv").write_text(answers_csv(judged))
    return root


def imagenet(*names: str, prefix: str = "train/") -> ImageSource:
    """Train images under their class folders: `imagenet("n01440764_1")`."""
    return NamedImages([f"{prefix}{name.partition('_')[0]}/{name}.JPEG" for name in names])
