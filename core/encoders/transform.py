"""The image geometry that an encoder expects: Pillow in, uint8 pixels out. No torch, for workers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from PIL import Image

from core.common.records import Record
from core.encoders.assumptions import assumed
from core.errors import SettingsError, did_you_mean

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
CROPS = ("center", "squash", "squash center", "floor", "squash floor", "unscaled")
FLOORS = ("floor", "squash floor", "unscaled")  # crops that begin at (size - crop) // 2
# A 20,000 x 1 strip would become 256 x 5,120,000 when its shorter side is resized; only its middle is used.
MAX_ASPECT = 32


@dataclass(frozen=True)
class Transform:
    """Resize the shorter side to `resize`, centre crop to `input_size`, then (x / 255 - mean) / std.

    `resize=None` resizes the shorter side to `input_size`, so an image of that size stays unchanged.
    `crop="squash"` resizes both sides to `input_size`, whatever the aspect ratio; "squash center" both to
    `resize`, and cuts out the centre, as timm does where its squashed view has a margin. As the processors of
    transformers do it, whose centre crop begins half a pixel earlier: "floor" resizes the shorter side to
    `resize`, "squash floor" both sides, "unscaled" neither; then `input_size` is cut out.
    `input_size=(height, width)` is a view that is not square: the image is resized until it covers the view's
    proportions, the view's shorter side being `resize` then.

    Raises:
        SettingsError: a value cannot be used.
    """

    resize: int | None = 256
    input_size: int | tuple[int, int] = 224  # pixels; a pair is height and width
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    crop: str = "center"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise SettingsError(f"std must be three positive numbers, got {self.std}")
        if isinstance(self.input_size, list | tuple) and len(self.input_size) == 2:
            height, width = self.input_size
            object.__setattr__(self, "input_size", height if height == width else (height, width))
        pair = isinstance(self.input_size, tuple) and len(self.input_size) == 2
        sizes: Any = self.input_size if pair else (self.input_size,)
        for name, size in (*(("input size", size) for size in sizes), ("resize", self.resize)):
            if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
                raise SettingsError(f"{name} must be a positive whole number of pixels, got {size!r}")
        for name, value, options in (
            ("interpolation", self.interpolation, tuple(INTERPOLATIONS)),
            ("crop", self.crop, CROPS),
        ):
            if value not in options:
                raise SettingsError(
                    f"unknown {name} '{value}'; known: {', '.join(options)}.{did_you_mean(value, options)}"
                )

    @property
    def sides(self) -> tuple[int, int]:
        """Return height and width of the input view, pixels."""
        return sides_of(self.input_size)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return the encoder's input view of an RGB image.

        Args:
            image: PIL image, mode RGB, any size.
        Returns:
            (height, width, 3) uint8; with a black margin if `resize` is smaller than `input_size`.
        """
        image = without_ends(image)
        size = self._resized(*image.size)
        if size != image.size:
            image = image.resize(size, INTERPOLATIONS[self.interpolation])
        (x, y), (height, width) = self._corner(*size), self.sides
        if size != (width, height):
            image = image.crop((x, y, x + width, y + height))
        return np.array(image, dtype=np.uint8)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the region of the original image that fills the encoder's input view, to undo the geometry.

        Args:
            width, height: original size, pixels.
        Returns:
            (left, top, right, bottom) in original pixels; exceeds the image where the input view has a
            margin.
        """
        left, top, right, bottom = _middle(width, height)
        new_width, new_height = self._resized(right - left, bottom - top)
        x, y = self._corner(new_width, new_height)
        per_x, per_y = (right - left) / new_width, (bottom - top) / new_height
        right_end, bottom_end = x + self.sides[1], y + self.sides[0]
        first_corner = left + x * per_x, top + y * per_y
        return *first_corner, left + right_end * per_x, top + bottom_end * per_y

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` accepts."""
        size = list(self.input_size) if isinstance(self.input_size, tuple) else self.input_size
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std), "input_size": size}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: "Transform | None" = None) -> "Transform":
        """Build a transform from a (partial) dictionary; missing values come from `base`."""
        setting_names = {field.name for field in fields(cls)}
        for name in values:
            if name not in setting_names:
                raise SettingsError(
                    f"unknown transform setting '{name}'; known: {', '.join(sorted(setting_names))}."
                    f"{did_you_mean(name, setting_names)}"
                )
        return cls(**((base or cls()).to_dict() | dict(values)))

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.crop == "squash":
            return self.sides[1], self.sides[0]
        if self.crop == "unscaled":
            return width, height
        short = self.resize or min(self.sides)
        if self.crop == "squash floor":
            return short, short
        if self.crop == "squash center":
            height, width = (round(side * short / min(self.sides)) for side in self.sides)
            return width, height
        if isinstance(self.input_size, tuple) and self.crop != "floor":
            scale = short / min(self.sides)
            needed = scale * self.sides[1] / width, scale * self.sides[0] / height
            # what decides is exact, so that no rounding leaves a margin
            return round(max(needed) * width), round(max(needed) * height)
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short

    def _corner(self, width: int, height: int) -> tuple[int, int]:
        """Return left and top of the centre crop in the resized image, rounded as in torchvision or down."""

        def start(size: int, seen: int) -> int:
            excess = size - seen
            if self.crop in FLOORS and excess >= 0:
                return excess // 2
            return round(excess / 2) if excess >= 0 else -((-excess) // 2)

        return start(width, self.sides[1]), start(height, self.sides[0])


def sides_of(input_size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of an encoder's input size: one number for a square, or the pair itself.

    >>> sides_of(96), sides_of((64, 96))
    ((96, 96), (64, 96))
    """
    if isinstance(input_size, int | np.integer):
        return int(input_size), int(input_size)
    height, width = input_size
    return int(height), int(width)


def without_ends(image: Image.Image) -> Image.Image:
    """Return the image for an encoder, or its centre if one side exceeds MAX_ASPECT times the other."""
    box = _middle(*image.size)
    return image if box == (0, 0, *image.size) else image.crop(box)


def _middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box of `without_ends`."""
    new_width, new_height = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return left, top, left + new_width, top + new_height


def assumed_pixels(transform: Transform, flags: frozenset[str]) -> list[Record]:
    """Note what neither checkpoint nor user states: how images were prepared in the encoder's training."""
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (transform.mean, transform.std))
    of_imagenet = (transform.mean, transform.std) == (IMAGENET_MEAN, IMAGENET_STD)
    parts = []
    if "input_size" not in flags:
        parts += [assumed("resize", what=str(transform.resize))] if transform.resize else []
        parts.append(assumed("crop", what=str(transform.input_size)))
    if "mean" not in flags:
        parts.append(assumed("mean_of_imagenet" if of_imagenet else "mean", what=mean))
    if "std" not in flags:
        parts.append(assumed("std_of_imagenet" if of_imagenet else "std", what=std))
    if not parts:
        return []
    return [assumed("pixels" if "mean" in flags else "pixels_unchecked", parts=tuple(parts))]


def _three_numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    numbers = numbers * 3 if len(numbers) == 1 else numbers  # of a network that reads grey
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        raise SettingsError(f"{name} must be three numbers (red, green, blue), got {values!r}")
    return numbers
