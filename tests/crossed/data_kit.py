"""What the writers of data share: pictures that can be told apart, and how a tool's truth is stored beside.

It runs in the environments of all tools, and imports only numpy and Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CASE, TRUTH = "case.json", "truth.npz"
BLOCKS = 4  # of a side of a picture, each of a colour of its own
ARRAYS = ("pixels", "mask")


@dataclass
class Picture:
    """What a tool's own loader says of one picture. "" stands for what it does not say; it is not compared.

    Attributes:
        pixels: (H, W, 3) uint8.
        label: the name of its class; None where the tool says that it has none.
        split: as the tool calls it. file: the end of its path. text: its caption.
        group: of which patient, lesion or sequence it is.
        mask: (H, W), 1 where it is of the class; None where there is no mask.
    """

    pixels: Any
    label: str | None = ""
    split: str = ""
    file: str = ""
    text: str = ""
    group: str = ""
    mask: Any = None


@dataclass
class WrittenData:
    """What a case wrote, with the tool's own reading. `{folder}` in a text stands for the folder of the case.

    Attributes:
        spec: what `open_images` reads. options: its further arguments.
        then: (spec, options) that read it where the first is refused: the way out.
        pictures: what the tool's own loader returns.
        masks: what `open_masks` reads. masks_then: the same, where the first is refused.
        captions: what `open_bank` reads. captions_then: the same, where the first is refused. texts: its
            distinct captions in their order.
        may_lack: labels may be missing, since the form holds them where we do not look; none may be another.
        refused: it must be refused. excused: part of a note that excuses labels and splits which the files do
            not hold.
    """

    spec: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, dict[str, Any]] | None = None
    pictures: list[Picture] = field(default_factory=list)
    masks: str = ""
    masks_then: str = ""
    captions: str = ""
    captions_then: str = ""
    texts: list[str] = field(default_factory=list)
    may_lack: bool = False
    refused: bool = False
    excused: str = ""

    def store(self, folder: Path) -> None:
        """Write `case.json` and the arrays of `truth.npz` into the folder."""
        about = asdict(self)
        arrays = {}
        for number, picture in enumerate(about["pictures"]):
            for name in ARRAYS:
                held = picture.pop(name)
                if held is not None:
                    arrays[f"{name}{number}"] = np.asarray(held, np.uint8)
        np.savez_compressed(folder / TRUTH, **arrays)
        (folder / CASE).write_text(json.dumps(about, indent=1), encoding="utf-8")


def stored_data(folder: Path) -> WrittenData:
    """Read what `WrittenData.store` wrote."""
    about = json.loads((folder / CASE).read_text(encoding="utf-8"))
    with np.load(folder / TRUTH) as arrays:
        held: dict[str, Any] = dict(arrays)
    pictures = [
        Picture(**(one | {name: held.get(f"{name}{number}") for name in ARRAYS}))
        for number, one in enumerate(about.pop("pictures"))
    ]
    return WrittenData(**about, pictures=pictures)


def drawn(number: int, *, width: int = 48, height: int = 40) -> Image.Image:
    """The RGB picture of a number: blocks of random colours, no two alike."""
    rng = np.random.default_rng(6800 + number)
    colours = rng.integers(8, 248, (BLOCKS, BLOCKS, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)


def outlined(number: int, *, width: int = 48, height: int = 40) -> np.ndarray:
    """(height, width) uint8: a rectangle of ones, another place for each number."""
    left, top = 2 + number % 9, 3 + number % 7
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + 18, left : left + 21] = 1
    return mask


def save_all(places: Iterable[Path], first: int = 0, **options: Any) -> list[Image.Image]:
    """Save pictures of the numbers from `first` on, one at each place; folders are made."""
    made = []
    for number, place in enumerate(places, first):
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = drawn(number, **options)
        picture.save(place, quality=95)  # which only JPEG asks for
        made.append(picture)
    return made


def tree(
    root: Path, classes: Sequence[str], n: int = 3, *, first: int = 0, ending: str = ".png"
) -> list[Path]:
    """Save n pictures in a folder for each class; return their places."""
    places = [root / name / f"{name[:4]}_{number}{ending}" for name in classes for number in range(n)]
    save_all(places, first)
    return places


def rgb(picture: Any) -> np.ndarray:
    """(H, W, 3) uint8 of a picture, a path or an array (H, W[, 3])."""
    if isinstance(picture, str | Path):
        with Image.open(picture) as opened:
            return np.asarray(opened.convert("RGB"))
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    values = np.asarray(picture, np.uint8)
    return values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
