"""Frames of one clip, track or burst, known by file names and pictures: most resemble each other closely.

The unit is the folder below the class (`CLASS/CLIP/0001.jpg`), else what stands before the last number of a
name (`CLASS/00003_00017.ppm`). Names alone are no evidence: subspecies are called so, too.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from core.common.dataframes import evenly
from core.data.sources.likeness import LOOKED_AT, PictureOf, likeness, resemble_more

SAMPLED = 2000  # names that tell whether it is worth looking at all
RUN = 50  # names in a row
LEAST_SHARE = 0.5  # of images with a neighbour of the same unit
FEWEST = 5  # units with several images
PER_CLASS = 1.5  # units of a class in the mean, at least
NEAR = 0.8  # median correlation of two frames
NUMBERED = re.compile(r"(?P<unit>.*[^ _.-])[ _.-]+[A-Za-z]{0,8}[ _.-]?\d+")
UnitOf = Callable[[str, str | None], str]


def sequences(ids: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """Name the clip or track of each image; None where files do not show that several are of one.

    Args:
        ids: paths below the root. labels: names of folders among them. look: reads the picture of a row.
    """
    for unit_of in (folder_below, before_number):
        if not _is_promising(ids, labels, unit_of):
            continue
        units = [unit_of(one, label) or one for one, label in zip(ids, labels, strict=True)]
        if _are_several(units, labels) and _are_near(units, labels, look):
            return units
    return None


def folder_below(image_id: str, label: str | None) -> str:
    """
    >>> folder_below("yoyo/v_g01/1.jpg", "yoyo"), folder_below("yoyo/1.jpg", "yoyo")
    ('yoyo/v_g01', '')
    """
    folder = image_id.rpartition("/")[0]
    at = f"/{folder}/".rfind(f"/{label}/") if label is not None else -1
    return folder if at >= 0 and len(folder) > at + len(str(label)) else ""


def before_number(image_id: str, label: str | None) -> str:
    """
    >>> before_number("1/00003_00017.ppm", "1"), before_number("cat/IMG.1.jpg", "cat")
    ('1/00003', 'cat/IMG')
    >>> before_number("1.jpg", None)
    ''
    """
    folder, slash, name = image_id.rpartition("/")
    match = NUMBERED.fullmatch(name.rpartition(".")[0] or name)
    return folder + slash + match["unit"] if match else ""


def _is_promising(ids: Sequence[str], labels: Sequence[str | None], unit_of: UnitOf) -> bool:
    """Whether a look at some names shows units, more than classes, and neighbours of one."""
    rows = [int(at) for at in evenly(len(ids), SAMPLED)]
    units = {unit for row in rows if (unit := unit_of(ids[row], labels[row]))}
    if len(units) < PER_CLASS * len({labels[row] for row in rows}):
        return False
    starts = [int(at) for at in evenly(len(ids), SAMPLED // RUN)]
    pairs = []
    for start in starts:
        end = min(start + RUN, len(ids) - 1)
        pairs += [(row, row + 1) for row in range(start, end)]
    shared = []
    for row, after in pairs:
        unit = unit_of(ids[row], labels[row])
        shared.append(bool(unit) and unit == unit_of(ids[after], labels[after]))
    return sum(shared) >= LEAST_SHARE * max(len(shared), 1)


def _are_several(units: Sequence[str], labels: Sequence[str | None]) -> bool:
    """Whether at least `FEWEST` units have several images, and none holds half of its class."""
    sizes, of_class = Counter(units), Counter(labels)
    class_of_unit = dict(zip(units, labels, strict=True))
    several = [(sizes[unit], label) for unit, label in class_of_unit.items() if sizes[unit] > 2]
    large = any(2 * n > of_class[label] for n, label in several)
    return not large and sum(n > 1 for n in sizes.values()) >= FEWEST


def _are_near(units: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> bool:
    """Whether two images of a unit resemble each other closely, and more than others of their class."""
    rng = np.random.default_rng(0)
    unit_codes, class_codes = (
        pd.factorize(pd.Series(list(column), dtype="str"))[0] for column in (units, labels)
    )
    several = np.flatnonzero(np.bincount(unit_codes)[unit_codes] > 1)
    outcomes = []
    for row in rng.permutation(several)[: 2 * LOOKED_AT]:
        same = np.flatnonzero(unit_codes == unit_codes[row])
        others = np.flatnonzero((class_codes == class_codes[row]) & (unit_codes != unit_codes[row]))
        if not len(others) or len(outcomes) == LOOKED_AT:
            continue
        frame, other = int(rng.choice(same[same != row])), int(rng.choice(others))
        alike = [likeness(look, int(row), one) for one in (frame, other)]
        if np.isfinite(alike).all():
            outcomes.append(alike)
    return resemble_more(outcomes) and float(np.median([frame for frame, _ in outcomes])) >= NEAR
