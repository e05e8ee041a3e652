"""What an encoder makes of one picture, how it may be altered before, and samples. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np

from core.common.step_facts import FeaturesFacts
from core.errors import SettingsError
from core.store import Study
from core.study.stored_heatmaps import StoredMaps

# Photographs that everybody has: those that scikit-learn ships. No torch.


@dataclass(frozen=True)
class Sample:
    """A picture that ships with a package that Peregrine depends on. `about`: what it shows."""

    name: str
    about: str
    path: Path


def samples() -> dict[str, Sample]:
    """Return the sample pictures that people can try, by name; without those that this computer lacks."""
    package = find_spec("sklearn")  # finds it without loading it
    folder = Path(package.origin if package and package.origin else "").parent / "datasets" / "images"
    both = [
        Sample("temple", "a temple in China", folder / "china.jpg"),
        Sample("flower", "a dahlia", folder / "flower.jpg"),
    ]
    return {one.name: one for one in both if one.path.is_file()}


# What an encoder makes of one picture, and how the picture may be altered before it looks. No torch.


ShareBox = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides
MOST_COVERED = 20
EPSILON = 4.0  # of the definition of firing, where no study says another


@dataclass(frozen=True)
class Alteration:
    """What is done to a picture before the encoder looks at it.

    Attributes:
        crop: the part that it is given; None: the whole. covered: parts that are painted over before.
    Raises:
        SettingsError: a box is empty or leaves the picture, or there are too many.
    """

    crop: ShareBox | None = None
    covered: tuple[ShareBox, ...] = ()

    def __post_init__(self) -> None:
        if len(self.covered) > MOST_COVERED:
            raise SettingsError(f"{len(self.covered)} parts are covered; the limit is {MOST_COVERED}")
        for box in (*self.covered, *((self.crop,) if self.crop else ())):
            left, top, right, bottom = box
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise SettingsError(f"a box is left, top, right, bottom between 0 and 1; got {list(box)}")

    @classmethod
    def of(cls, crop: Sequence[Any] | None, covered: Sequence[Sequence[Any]]) -> "Alteration":
        """Read boxes as they come from a page, a request or a command. Raises SettingsError."""
        return cls(None if crop is None else _box(crop), tuple(_box(one) for one in covered))

    def __bool__(self) -> bool:
        return self.crop is not None or bool(self.covered)

    def covered_share(self, region: ShareBox) -> float:
        """Share of a region of the picture that is covered; parts that overlap count once.

        >>> Alteration(covered=((0, 0, 0.5, 1), (0.25, 0, 0.75, 1))).covered_share((0, 0, 1, 1))
        0.75
        """
        left, top, right, bottom = region
        boxes = np.array(self.covered, float).reshape(-1, 4).clip([left, top] * 2, [right, bottom] * 2)
        xs, ys = (np.unique(boxes[:, axis::2]) for axis in (0, 1))
        x, y = xs[:-1, None], ys[None, :-1]  # corners of cells, each of which a box covers whole or not
        inside = [(a <= x) & (x < c) & (b <= y) & (y < d) for a, b, c, d in boxes]
        cells = np.diff(xs)[:, None] * np.diff(ys)[None, :]
        area = float(cells[np.logical_or.reduce(inside)].sum()) if inside else 0.0
        return area / ((right - left) * (bottom - top))


def _box(values: Sequence[Any]) -> ShareBox:
    try:
        left, top, right, bottom = (float(value) for value in values)
    except (TypeError, ValueError):
        raise SettingsError(f"a box is four numbers: left, top, right, bottom; got {values!r}") from None
    return left, top, right, bottom


def in_pixels(box: ShareBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the pixels that a box touches on one picture, to crop or cover it before an encoder sees it.

    >>> in_pixels((0.25, 0.0, 0.5, 1.0), 10, 4)
    (2, 0, 5, 4)
    """
    left, top, right, bottom = box
    return floor(left * width), floor(top * height), ceil(right * width), ceil(bottom * height)


def how_to_see(study: Study) -> dict[str, Any]:
    """How one picture is seen as a study's images are: the options of `resident_encoder.see`."""
    epsilon = study.facts(FeaturesFacts).epsilon
    return {
        "epsilon": EPSILON if epsilon is None else epsilon,
        "dtype": str(study.settings("embed").get("dtype", "float32")),
    }


@dataclass(frozen=True)
class Glance:
    """What an encoder makes of a picture.

    Attributes:
        raw: (n_features,) float32 representation. fires: (n_features,) bool, by the epsilon asked for.
        logits: (n_outputs,) of the encoder's own classifier where it is not linear; else empty.
        features, maps, peaks, floors: as in `StoredMaps`, of the features that maps were asked for.
        preview: the upright picture with what is covered as JPEG, its longer side at most PREVIEW pixels.
        size: its width and height in pixels. view: the part that the encoder saw, in these pixels (left, top,
            right, bottom). sides: height and width of the input view.
    """

    raw: np.ndarray
    fires: np.ndarray
    logits: np.ndarray
    features: np.ndarray
    maps: np.ndarray
    peaks: np.ndarray
    floors: np.ndarray
    preview: np.ndarray
    size: np.ndarray
    view: np.ndarray
    sides: np.ndarray

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Glance":
        """From the arrays of an answer. Raises SettingsError where one is missing."""
        try:
            return cls(**{part.name: arrays[part.name] for part in fields(cls)})
        except KeyError as error:
            raise SettingsError(f"the encoder's answer lacks {error}") from None

    @property
    def arrays(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def stored_maps(self) -> StoredMaps:
        return StoredMaps(self.features, self.maps, self.peaks, self.floors)
