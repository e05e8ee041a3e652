"""The image geometry that an encoder expects: Pillow in, uint8 pixels out. No torch, for workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from PIL import Image

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
CROPS = ("center", "squash")
# A 20,000 x 1 strip would become 256 x 5,120,000 when its shorter side is resized; only its middle is used.
MAX_ASPECT = 32


@dataclass(frozen=True)
class Transform:
    """Resize the shorter side to `resize`, centre crop to `input_size`, then (x / 255 - mean) / std.

    `resize=None` resizes the shorter side to `input_size`, so an image of that size stays unchanged.
    `crop="squash"` resizes both sides to `input_size`, whatever the aspect ratio.

    Raises:
        SettingsError: a value cannot be used.
    """

    resize: int | None = 256
    input_size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    crop: str = "center"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise SettingsError(f"std must be three positive numbers, got {self.std}")
        for name, size in (("input size", self.input_size), ("resize", self.resize)):
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

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return the encoder's input view of an RGB image.

        Args:
            image: PIL image, mode RGB, any size.
        Returns:
            (input_size, input_size, 3) uint8; with a black margin if `resize` is smaller than `input_size`.
        """
        left, top, right, bottom = _middle(*image.size)
        if (right - left, bottom - top) != image.size:
            image = image.crop((left, top, right, bottom))
        size = self._resized(*image.size)
        if size != image.size:
            image = image.resize(size, INTERPOLATIONS[self.interpolation])
        x, y = self._corner(*size)
        if size != (self.input_size, self.input_size):
            image = image.crop((x, y, x + self.input_size, y + self.input_size))
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
        return (
            left + x * per_x,
            top + y * per_y,
            left + (x + self.input_size) * per_x,
            top + (y + self.input_size) * per_y,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` accepts."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: Transform | None = None) -> Transform:
        """Build a transform from a (partial) dictionary; missing values come from `base`."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise SettingsError(
                    f"unknown transform setting '{name}'; known: {', '.join(sorted(known))}."
                    f"{did_you_mean(name, known)}"
                )
        return cls(**((base or cls()).to_dict() | dict(values)))

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.crop == "squash":
            return self.input_size, self.input_size
        short = self.resize or self.input_size
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short

    def _corner(self, width: int, height: int) -> tuple[int, int]:
        """Return left and top of the centre crop in the resized image, rounded as in torchvision."""

        def start(size: int) -> int:
            excess = size - self.input_size
            return round(excess / 2) if excess >= 0 else -((-excess) // 2)

        return start(width), start(height)


def _middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Return the whole image, or its centre if one side exceeds MAX_ASPECT times the other."""
    new_width, new_height = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return left, top, left + new_width, top + new_height


def _three_numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        raise SettingsError(f"{name} must be three numbers (red, green, blue), got {values!r}")
    return numbers
