"""Photos with a digit painted over them: two features that can be read out, one easy, one hard.

After the STL-digits of Robinson et al. 2021 (App. C.2.1): a photo is divided into 3 x 3 cells, the same
picture of a digit is centred in each, and the digit's pixels with an intensity of at least a threshold
replace the photo's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.common.threads import cached_property
from core.data.source import ImageSource, image_table, one_evaluation_split, unseen_classes_note
from core.errors import ImageSourceError, UnreadableImage, unknown_name

GRID = 3  # cells a side
SIDE = 28  # pixels of the bundled digits: 8 x 8, enlarged; MNIST's own size
BUNDLED = "bundled"  # scikit-learn's digits
OPTIONS = ("images", "digits", "threshold", "size", "seed")
EXAMPLE = "composite?images=(glyphworld?train=4000&val=1000)&threshold=100&seed=0"
Open = Callable[[str], ImageSource]


class CompositeSource(ImageSource):
    """The images of a source, each with a digit drawn independently of its class.

    Train images have train digits and val images val digits. `label` is the object's, `extras` has the digit.
    """

    kind = "composite"

    def __init__(
        self, inner: ImageSource, digits: ImageSource | None, *, threshold: int, size: int, seed: int
    ) -> None:
        self.inner, self.digits = inner, digits
        self.threshold, self.size, self.seed = threshold, size, seed
        self.split_given, self.group = inner.split_given, inner.group
        self.has_pictures = inner.has_pictures
        self.notes = list(inner.notes)

    @classmethod
    def from_spec(cls, spec: str, opener: Open, seed: int | None = None) -> CompositeSource:
        """Open `composite?images=SPEC&digits=SPEC&threshold=100&size=96&seed=0`; only images is required.

        Args:
            opener: opens the inner sources, also by `seed`; a SPEC with options of its own is put into
                parentheses.
        Raises:
            ImageSourceError: an unknown option, a value out of range, or what the inner sources raise.
        """
        options = _parse_composite(spec)
        digits = options.get("digits", BUNDLED)
        photos = opener(options["images"])
        glyphs = None if digits == BUNDLED else opener(digits)
        threshold = _number("threshold", options.get("threshold", "100"), 0, 255)
        size = _number("size", options.get("size", "0"), 0, 1024)
        seed = _number("seed", options.get("seed", "0"), 0, 2**31 - 1)
        return cls(photos, glyphs, threshold=threshold, size=size, seed=seed)

    @classmethod
    def reopen(
        cls, description: dict[str, Any], reopener: Callable[[dict[str, Any]], ImageSource]
    ) -> CompositeSource:
        digits = description["digits"]
        options = {name: description[name] for name in ("threshold", "size", "seed")}
        return cls(reopener(description["images"]), None if digits is None else reopener(digits), **options)

    def describe(self) -> dict[str, Any]:
        digits = None if self.digits is None else self.digits.describe()
        options = {"threshold": self.threshold, "size": self.size, "seed": self.seed}
        return {"kind": self.kind, "images": self.inner.describe(), "digits": digits, **options}

    def fingerprint(self) -> str:
        digits = BUNDLED if self.digits is None else self.digits.fingerprint()
        parts = (self.kind, self.inner.fingerprint(), digits, self.threshold, self.size, self.seed)
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.inner.table)

    @cached_property
    def table(self) -> pd.DataFrame:  # pyright: ignore[reportIncompatibleVariableOverride]
        inner_table = self.inner.table
        labels = [label if isinstance(label, str) else None for label in inner_table["label"]]
        self.notes += unseen_classes_note(inner_table["split"], labels)
        return image_table(
            inner_table["image_id"].tolist(),
            inner_table["path"].tolist(),
            inner_table["split"].tolist(),
            labels,
        )

    @cached_property
    def extras(self) -> pd.DataFrame | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        inner_extras = self.inner.extras
        frame = (
            pd.DataFrame(index=range(len(self)))
            if inner_extras is None
            else inner_extras.reset_index(drop=True)
        )
        return frame.assign(digit=pd.array([str(level) for level in self.digit_levels], dtype="str"))

    @cached_property
    def digit_levels(self) -> np.ndarray:
        """(n,) int: the digit on each image, 0 to 9."""
        return self._bank[1][self._picture_rows]

    def read(self, row: int) -> Image.Image:
        if not 0 <= row < len(self):
            raise UnreadableImage(f"row {row} is not among the {len(self)} images")
        photo = self.inner.read(row)
        if self.size:
            photo = photo.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return paint_digits(photo, self._picture(int(self._picture_rows[row])), threshold=self.threshold)

    def _picture(self, number: int) -> np.ndarray:
        """(s, s) uint8 intensities of a digit."""
        pictures, _, _ = self._bank
        if pictures is not None:
            return pictures[number]
        assert self.digits is not None
        return np.asarray(self.digits.read(number).convert("L"))

    @cached_property
    def _bank(self) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """Pictures (None: in their source), digit and split of each picture."""
        if self.digits is None:
            pictures, levels = bundled_digits()
            is_val = np.zeros(len(levels), bool)
            order = np.random.default_rng(0).permutation(len(levels))  # one division, whatever the seed
            is_val[order[: len(levels) // 5]] = True
            return pictures, levels, is_val
        table = self.digits.table
        if bool(table["label"].isna().any()):
            raise ImageSourceError("composite: digits have images without a label; give digits with labels")
        _, splits, _ = one_evaluation_split(table["split"].tolist())
        codes = pd.Categorical(table["label"]).codes.astype(np.int64)
        return None, codes, np.asarray(splits) == "val"

    @cached_property
    def _picture_rows(self) -> np.ndarray:
        """(n,) int: number of the digit's picture on each image, drawn within its split."""
        _, levels, is_val = self._bank
        needs_val = (self.table["split"] == "val").to_numpy()
        rng, pictures = np.random.default_rng([self.seed, 1]), np.zeros(len(needs_val), np.int64)
        for side in (False, True):
            pool = np.flatnonzero(is_val == side)
            if not len(pool) and (needs_val == side).any():
                raise ImageSourceError(
                    f"composite: there are no digits for {'val' if side else 'train'} images"
                )
            pictures[needs_val == side] = rng.choice(pool, int((needs_val == side).sum())) if len(pool) else 0
        return pictures


def paint_digits(photo: Image.Image, digit: np.ndarray, *, threshold: int = 100) -> Image.Image:
    """Paint a digit, a shortcut of research, into the centre of each of 3 x 3 cells of a photograph.

    Args:
        photo: RGB. digit: (h, w) uint8; pixels of at least `threshold` replace the photo's, in gray.
    Raises:
        ImageSourceError: the digit is larger than a cell.
    """
    pixels = np.array(photo.convert("RGB"))
    height, width = (side // GRID for side in pixels.shape[:2])
    if digit.shape[0] > height or digit.shape[1] > width:
        digit_size = f"{digit.shape[1]} x {digit.shape[0]} pixels"
        raise ImageSourceError(
            f"composite: a digit of {digit_size} does not fit into a cell of {width} x {height}, a third of "
            f"the image. Give larger images: size={GRID * max(digit.shape)}"
        )
    seen = digit >= threshold
    for row in range(GRID):
        for column in range(GRID):
            top = row * height + (height - digit.shape[0]) // 2
            left = column * width + (width - digit.shape[1]) // 2
            cell = pixels[top : top + digit.shape[0], left : left + digit.shape[1]]
            cell[seen] = digit[seen][:, None]
    return Image.fromarray(pixels)


@lru_cache(maxsize=1)
def bundled_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits for images with shortcuts (research), (n, 28, 28), and values (n,).

    Return scikit-learn's 1,797 digits, (n, 28, 28) uint8 from 8 x 8 of 0 to 16, and their values (n,).
    """
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    small = (digits.images * (255 / 16)).round().astype(np.uint8)
    large = [Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for one in small]
    return np.stack([np.asarray(one) for one in large]), digits.target.astype(np.int64)


def _parse_composite(spec: str) -> dict[str, str]:
    """Split the options of a `composite?…` string at the & outside parentheses. Raises ImageSourceError.

    >>> _parse_composite("composite?images=(glyphworld?train=10&val=5)&seed=1")
    {'images': 'glyphworld?train=10&val=5', 'seed': '1'}
    """
    _, _, query = spec.partition("?")
    parts, depth = [""], 0
    for letter in query:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "&" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise ImageSourceError(f"cannot read '{spec}': a parenthesis is left open. Write {EXAMPLE}")
    options = {}
    for part in filter(None, parts):
        name, equals, value = part.partition("=")
        if name not in OPTIONS or not equals:
            raise ImageSourceError(
                unknown_name(f"composite has no option '{name}'", name, OPTIONS, "Options")
            )
        options[name] = value[1:-1] if value.startswith("(") and value.endswith(")") else value
    if not options.get("images"):
        raise ImageSourceError(f"composite needs the images to paint on. Write {EXAMPLE}")
    return options


def _number(option: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise ImageSourceError(
            f"composite: {option} must be a whole number from {low} to {high}, not '{text}'"
        )
    return int(text)
