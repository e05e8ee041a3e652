"""Batches for the CLIP training: scenes and windows, each with a caption of what it shows."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.sources.glyphworld import GlyphworldSource
from core.research.small_clip.config import ClipTrainConfig
from core.worlds.glyphworld.captions import (
    SceneFacts,
    Window,
    absent_caption,
    absent_words,
    caption_facts,
    scene_caption,
    window_caption,
)
from core.worlds.glyphworld.scenes import Dice

FILL = 128  # grey level around images that are not square, in training and in use
SMALLEST = 0.16  # side of a window, in image sides


@dataclass(frozen=True)
class ClipBatch:
    """Images (B, S, S, 3) uint8, their captions (B), and captions that are true of no image."""

    pictures: np.ndarray
    captions: list[str]
    absent: list[str]


class SceneViews:
    """Draw batches; batch `step` depends only on the settings, the scenes and `step`."""

    def __init__(self, config: ClipTrainConfig, source: GlyphworldSource, images: np.ndarray) -> None:
        self.config, self.source, self.images = config, source, images
        self._facts: dict[int, SceneFacts] = {}

    def batch(self, step: int) -> ClipBatch:
        config = self.config
        rows, words = self.rows_of(step), absent_words("read")
        views = [self.view(int(row), Dice(config.seed, step, position)) for position, row in enumerate(rows)]
        absent = [
            absent_caption(self.facts(int(row)), Dice(config.seed, step, config.batch_size + position), words)
            for position, row in enumerate(rows[: config.absent])
        ]
        return ClipBatch(np.stack([picture for picture, _ in views]), [text for _, text in views], absent)

    def rows_of(self, step: int) -> np.ndarray:
        """Return the scenes of a step: every epoch is a permutation drawn from (seed, epoch)."""
        n_images, size = len(self.images), min(self.config.batch_size, len(self.images))
        epoch, batch = divmod(step, n_images // size)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(n_images)
        return order[batch * size : (batch + 1) * size]

    def facts(self, row: int) -> SceneFacts:
        if row not in self._facts:
            self._facts[row] = caption_facts(self.source.plan(row))
        return self._facts[row]

    def view(self, row: int, dice: Dice) -> tuple[np.ndarray, str]:
        """Return one image (S, S, 3) uint8 and a caption of it."""
        config, facts = self.config, self.facts(row)
        flipped = dice.chance(0.5)
        if dice.chance(config.whole_share):
            window = _window(0.5, 0.5, dice.between(0.86, 1.0), 1.0)
            caption = scene_caption(facts, dice, flipped=flipped)
        else:
            window = _draw_window(facts, config.object_share, dice)
            caption = window_caption(facts, window, dice)
        picture = cut(Image.fromarray(self.images[row]), window, config.image_size)
        if flipped:
            picture = picture[:, ::-1]
        gain = dice.between(0.8, 1.2)
        return np.clip(picture * np.float32(gain), 0, 255).astype(np.uint8), caption


def _draw_window(facts: SceneFacts, object_share: float, dice: Dice) -> Window:
    aspect = dice.between(0.6, 1.7) if dice.chance(0.4) else 1.0
    if not dice.chance(object_share):
        return _window(dice.draw(), dice.draw(), dice.between(0.3, 0.8), aspect)
    seen = facts.main if dice.chance(0.6) or not facts.others else dice.pick(facts.others)
    item, side = seen.item, seen.item.size * dice.between(0.8, 1.7)
    shift = 0.15 * item.size
    x, y = item.x + dice.between(-shift, shift), item.y + dice.between(-shift, shift)
    return _window(x, y, side, aspect)


def _window(x: float, y: float, side: float, aspect: float) -> Window:
    """Place a window at (x, y), shifted into the image; `aspect`: width / height; area: side squared."""
    width = min(max(side * aspect**0.5, SMALLEST), 1.0)
    height = min(max(side / aspect**0.5, SMALLEST), 1.0)
    left = min(max(x - width / 2, 0.0), 1 - width)
    top = min(max(y - height / 2, 0.0), 1 - height)
    return left, top, left + width, top + height


def cut(image: Image.Image, window: Window, size: int) -> np.ndarray:
    """Cut a window from an image, its longer side `size` pixels, centred on grey: (size, size, 3) uint8."""
    box = tuple(edge * side for edge, side in zip(window, image.size * 2, strict=True))
    scale = size / max(box[2] - box[0], box[3] - box[1])
    shape = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    part = image.resize(shape, Image.Resampling.BILINEAR, box)  # pyright: ignore[reportArgumentType]
    if shape == (size, size):
        return np.asarray(part)
    canvas = Image.new("RGB", (size, size), (FILL,) * 3)
    canvas.paste(part, ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return np.asarray(canvas)
