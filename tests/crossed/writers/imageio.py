"""Pictures and masks that imageio writes, as it reads them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from tests.crossed.pixels_kit import colours, deep, folder_of, grey, masks_of, on_white, with_alpha


def saved(path: Path, values: np.ndarray, **how: Any) -> None:
    iio.imwrite(path, values, **how)


def loaded(path: Path) -> np.ndarray:
    return np.asarray(iio.imread(path, index=0))


def pictures(values: Any, ending: str, **written: Any) -> Any:
    how = written.pop("how", {})
    return partial(
        folder_of, values=values, save=partial(saved, **how), load=loaded, ending=ending, **written
    )


def masks(values: Any, ending: str, **written: Any) -> Any:
    return partial(masks_of, values=values, save=saved, load=loaded, ending=ending, **written)


def frames(number: int) -> np.ndarray:
    """(3, H, W, 3): an animation."""
    return np.stack([colours(number + 40 * at) for at in range(3)])


CASES = {
    ("imwrite", "PNG"): pictures(colours, ".png"),
    ("imwrite", "PNG, grey"): pictures(grey, ".png"),
    ("imwrite", "PNG, 16 bits"): pictures(deep, ".png"),
    ("imwrite", "PNG with alpha"): pictures(with_alpha, ".png", shown=on_white),
    ("imwrite", "JPEG"): pictures(colours, ".jpg"),
    ("imwrite", "JPEG, grey"): pictures(grey, ".jpg"),
    ("imwrite", "BMP"): pictures(colours, ".bmp"),
    ("imwrite", "WebP, lossless"): pictures(colours, ".webp", how={"lossless": True}),
    ("imwrite", "TIFF"): pictures(colours, ".tiff"),
    ("imwrite", "TIFF, 16 bits"): pictures(deep, ".tiff"),
    ("imwrite", "JPEG 2000"): pictures(colours, ".jp2"),
    ("imwrite", "GIF, an animation"): pictures(frames, ".gif"),
    ("imwrite", "mask, PNG, bool"): masks(lambda held: held.astype(bool), ".png"),
    ("imwrite", "mask, PNG, 0 and 1"): masks(lambda held: held, ".png"),
    ("imwrite", "mask, PNG, 0 and 255"): masks(lambda held: held * 255, ".png"),
    ("imwrite", "mask, PNG, 16 bits, 0 and 1"): masks(lambda held: held.astype(np.uint16), ".png"),
    ("imwrite", "mask, TIFF, bool"): masks(lambda held: held.astype(bool), ".tiff"),
    ("imwrite", "mask, TIFF, 0 and 1"): masks(lambda held: held, ".tiff"),
    ("imwrite", "mask, GIF"): masks(
        lambda held: held * 255, ".gif", full=lambda held: held.reshape(*held.shape[:2], -1)[..., 0] > 128
    ),
    ("imwrite", "mask, JPEG"): masks(lambda held: held * 255, ".jpg", full=lambda held: held > 128),
    ("imwrite", "mask, PNG, 0, 1 and 255"): masks(
        lambda held: held + 255 * (np.arange(48) > 44).astype(np.uint8) * (1 - held),
        ".png",
        full=lambda held: held == 1,
        then="?value=1",
    ),
    ("imwrite", "mask, PNG, red on black"): masks(
        lambda held: np.dstack([held * 200, held * 0, held * 0]), ".png", full=lambda held: held[..., 0] > 0
    ),
    ("imwrite", "mask, PNG, alpha"): masks(
        lambda held: np.dstack([held * 0 + 90] * 3 + [held * 255]), ".png", full=lambda held: held[..., 3] > 0
    ),
}
