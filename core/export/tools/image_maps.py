"""Heatmap and masks of an image of a study, laid on the image: whole pixels from 0 to 255. No torch."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from core.common.threadsafe import cached_property
from core.errors import PeregrineError
from core.heatmaps.combine import place_on_image
from core.heatmaps.overlay_image import limited
from core.store import Study

HEAT, CORE, SPURIOUS = "heatmap", "core", "spurious"
MAPS = (HEAT, CORE, SPURIOUS)
LONGEST = 256  # pixels of the longer side of a map that is laid over its image by the tool
LEVELS = 255  # what the heat 1 is written as
HOT = 0.6  # heat from which on a pixel belongs to the hot region (docs/method.md 6.2)


class ImageMaps:
    """The stored heatmaps and the masks of a study."""

    def __init__(self, study: Study):
        self.study = study

    @cached_property
    def kinds(self) -> dict[str, frozenset[str]]:
        """The masks that each image has, by image id; empty where they cannot be opened here."""
        try:
            table = self.study.masks.table if self.study.masks is not None else None
        except (PeregrineError, OSError):
            return {}
        if table is None:
            return {}
        return {str(name): frozenset(rows["mask"]) for name, rows in table.groupby("image_id")}

    @property
    def held(self) -> list[str]:
        """The names in MAPS of the maps that any image of the study has."""
        held = set().union(*self.kinds.values()) | ({HEAT} if self.study.has("heatmap_rows") else set())
        return [name for name in MAPS if name in held]

    def size(self, row: int) -> tuple[int, int]:
        """Return width and height of an image, upright, in pixels. Raises UnreadableImage."""
        if self.study.has("pictures"):
            width, height = (self.study.column("pictures", name).iat[row] for name in ("width", "height"))
            if not (np.isnan(width) or np.isnan(height)):
                return int(width), int(height)
        return self.study.image(row).size

    def of_image(self, row: int, longest: int | None = LONGEST) -> dict[str, np.ndarray]:
        """Return the maps of an image by their names in MAPS; one that is not there is left out.

        Args:
            longest: pixels of the longer side; None: as the image has.
        Returns:
            (H, W) uint8: heat times LEVELS, rounded; of a mask LEVELS inside (>= .5). What the encoder does
            not see is 0.
        """
        image_id = str(self.study.column("images", "image_id").iat[row])
        kinds = self.kinds.get(image_id, frozenset())
        if not (kinds or self.has_heat(row)):
            return {}
        try:
            picture = self.study.image(row)
            frames = dict(self._frames(row, image_id, kinds, picture.size))
            box = np.array(self.study.transform.box(*picture.size))
        except PeregrineError:
            return {}
        shown = limited(picture, longest)
        left, top, right, bottom = (box / np.tile(picture.size, 2) * np.tile(shown.size, 2)).tolist()
        placed = {}
        for name, frame in frames.items():
            on_image = place_on_image(frame, (left, top, right, bottom), *shown.size)
            placed[name] = np.nan_to_num(on_image)
        return {name: _levels(name, frame) for name, frame in placed.items()}

    def has_heat(self, row: int) -> bool:
        """Return True for an image with a stored map of any feature."""
        return bool(len(self.study.heatmap_reader.features_of(row)))

    def _frames(
        self, row: int, image_id: str, kinds: frozenset[str], size: tuple[int, int]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """The maps in the encoder's input view."""
        if self.has_heat(row):
            with suppress(PeregrineError):  # not all that the image's heatmap needs may be stored
                yield HEAT, self.study.heatmap(row)
        for kind in MAPS[1:]:
            if kind in kinds:
                yield kind, self.study.mask(image_id, kind, size=size)


def _levels(name: str, frame: np.ndarray) -> np.ndarray:
    values = frame if name == HEAT else frame >= 0.5
    return np.round(values * LEVELS).astype(np.uint8)


def hot_region(heat: np.ndarray) -> np.ndarray:
    """Return where a heatmap of `ImageMaps` is hot: LEVELS there, 0 elsewhere."""
    return ((heat >= HOT * LEVELS) * LEVELS).astype(np.uint8)
