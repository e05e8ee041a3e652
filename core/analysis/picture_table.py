"""The table `pictures`: numbers of each picture, and which repeats which (docs/method.md 1.8)."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from core.common.score_names import COLUMNS, DUPLICATE_OF, NEAR_DUPLICATE_OF, NUMBERS
from core.data.pixel_values import TRANSPARENT, TURNED, file_facts
from core.study.chunked_array import ChunkedArray
from core.study.writer import StepWriter

# Which pictures are the same, pixel by pixel or nearly (docs/method.md 1.8), in bounded memory.
#
# Two pictures are nearly the same where their perceptual hashes differ in at most 4 of 63 bits and the
# cosine of their representations is at least .95. Only hashes that share one of four bands of 16 bits are
# compared.


MOST_BITS = 4  # in which the hashes of near duplicates differ
LEAST_COSINE = 0.95
BANDS = tuple(range(0, 64, 16))  # first bits
WINDOW = 2048  # hashes of a band that are compared with the one before them, at most
CANDIDATES = 16  # earlier pictures that are compared with a picture, at most
PAIRS_AT_ONCE = 1 << 22
ROWS_AT_ONCE = 1 << 12
NONE = -1


@dataclass(frozen=True)
class Duplicates:
    """Which picture repeats which, by row.

    Attributes:
        exact: (n,) int64, the first picture of the same pixels; -1 where the picture is itself that, or none.
        near: the same of nearly the same pictures, exact duplicates among them.
        n_cut: pictures that were compared with some of their candidates only.
    """

    exact: np.ndarray
    near: np.ndarray
    n_cut: int


def find_duplicates(prints: np.ndarray, has_picture: np.ndarray, representations: ChunkedArray) -> Duplicates:
    """For the table `pictures`: find exact and near duplicates, by checksum, hash and representation.

    Args:
        prints: (n, 3) uint64: a checksum of the pixels in two halves, and the perceptual hash.
        has_picture: (n,) bool; the others repeat none. representations: (n, n_features), as they are stored.
    """
    rows = np.flatnonzero(has_picture)
    exact = np.full(len(prints), NONE)
    exact[rows] = _first_of_same(prints[rows, :2], rows)
    firsts = rows[exact[rows] == NONE]
    near = np.full(len(prints), NONE)
    candidates = _Candidates(prints[firsts, 2])
    near[firsts] = _first_alike(candidates, firsts, representations)
    repeats = np.flatnonzero(exact != NONE)
    of_first = near[exact[repeats]]
    near[repeats] = np.where(of_first != NONE, of_first, exact[repeats])
    return Duplicates(exact, near, candidates.n_cut)


def _first_of_same(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n,) the first row of each key, (n, k); -1 for that row itself."""
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    first_rows = rows[first][which.ravel()] if len(rows) else rows
    return np.where(first_rows == rows, NONE, first_rows)


class _Candidates:
    """Earlier pictures with a hash close to that of a picture, the first ones first.

    Args:
        hashes: (n,) uint64, in the order of the pictures.
    """

    def __init__(self, hashes: np.ndarray):
        self.unique, first, which = np.unique(hashes, return_index=True, return_inverse=True)
        self._which = which.ravel()
        order = np.argsort(self._which, kind="stable")
        self._members = order
        self._ends = np.searchsorted(self._which[order], np.arange(len(self.unique) + 1))
        self._is_cut = np.zeros(len(self.unique), bool)
        self._close = self._close_hashes(first)
        self._is_cut |= np.diff(self._ends) > CANDIDATES
        self.n_cut = int(self._is_cut[self._which].sum())

    def of(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (picture, an earlier one) of the pictures start … stop - 1, at most CANDIDATES a picture."""
        later = np.arange(start, stop)
        of_hash, close = self._close
        low, high = (
            np.searchsorted(of_hash, self._which[later]),
            np.searchsorted(of_hash, self._which[later], "right"),
        )
        pictures, places = _spread(later, low, high)
        hashes = close[places]
        ends = np.minimum(self._ends[hashes] + CANDIDATES, self._ends[hashes + 1])
        pictures, places = _spread(pictures, self._ends[hashes], ends)
        earlier = self._members[places]
        is_before = earlier < pictures
        return _first_few(pictures[is_before], earlier[is_before])

    def _close_hashes(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of places in `unique`, sorted, each hash with itself, and with the CANDIDATES whose first
        picture is earliest.

        Args:
            first: (n_unique,) the first picture of each hash.
        """
        same = np.arange(len(self.unique))
        parts, n_pairs = [(same, same)], 0
        for band in BANDS:
            for one, other in self._close_in_band(band):
                parts += [(one, other), (other, one)]
                n_pairs += len(one)
                if n_pairs > PAIRS_AT_ONCE:
                    parts, n_pairs = [self._earliest(parts, first)], 0
        return self._earliest(parts, first)

    def _close_in_band(self, band: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pairs of hashes that share 16 bits and differ in few of the others."""
        shared = (self.unique >> np.uint64(band)) & np.uint64(0xFFFF)
        order = np.lexsort([self.unique, shared])
        shared, hashes = shared[order], self.unique[order]
        at = np.arange(len(order))
        for step in range(1, WINDOW + 1):
            at = at[at < len(order) - step]
            at = at[shared[at] == shared[at + step]]
            if not len(at):
                return
            is_close = np.bitwise_count(hashes[at] ^ hashes[at + step]) <= MOST_BITS
            yield order[at[is_close]], order[at[is_close] + step]
        self._is_cut[order[at]] = True

    def _earliest(
        self, parts: list[tuple[np.ndarray, np.ndarray]], first: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        one, other = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        by_first = np.argsort(first, kind="stable")
        place = np.empty(len(first), np.int64)
        place[by_first] = np.arange(len(first))
        one, places = _first_few(one, place[other], self._is_cut)
        return one, by_first[places]


def _spread(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value with each whole number from its low to its high - 1."""
    counts = high - low
    starts = np.cumsum(counts) - counts
    return np.repeat(values, counts), np.arange(counts.sum()) + np.repeat(low - starts, counts)


def _first_few(
    values: np.ndarray, others: np.ndarray, is_cut: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs, sorted, of each value the CANDIDATES lowest others.

    Args:
        is_cut: gets True at the values that have more.
    """
    order = np.lexsort([others, values])
    values, others = values[order], others[order]
    is_new = np.ones(len(values), bool)
    is_new[1:] = values[1:] != values[:-1]
    is_new[1:] |= others[1:] != others[:-1]
    values, others = values[is_new], others[is_new]
    nth = np.arange(len(values)) - np.searchsorted(values, values)
    if is_cut is not None:
        is_cut[values[nth >= CANDIDATES]] = True
    return values[nth < CANDIDATES], others[nth < CANDIDATES]


def _first_alike(candidates: _Candidates, rows: np.ndarray, representations: ChunkedArray) -> np.ndarray:
    """(n,) the first of the candidates of each of `rows` with a representation alike; -1 without one."""
    first = np.full(len(rows), NONE)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        pictures, earlier = candidates.of(start, min(start + ROWS_AT_ONCE, len(rows)))
        for part in np.array_split(np.arange(len(pictures)), len(pictures) // ROWS_AT_ONCE + 1):
            one, other = rows[pictures[part]], rows[earlier[part]]
            alike = part[_cosines(representations, one, other) >= LEAST_COSINE][::-1]
            fresh = alike[first[pictures[alike]] == NONE]
            first[pictures[fresh]] = rows[earlier[fresh]]  # the last assignment is the earliest picture
    return first


def _cosines(representations: ChunkedArray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) cosine of pairs of rows; NaN for a row of zeros."""
    first, second = (representations.rows(rows).astype(np.float64) for rows in (one, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore"):
        return np.einsum("ij,ij->i", first, second) / lengths


# Numbers of a picture itself, whatever encoder looks at it (docs/method.md 1.8): light, colour, sharpness,
# size, a checksum of its pixels and a perceptual hash.


VALUES = (*(name for name in NUMBERS if name != "aspect"), "turned")
PRINTS = ("first_half", "second_half", "perceptual")  # of the checksum, and the perceptual hash
WHITE = 255
LOW, HIGH = 5, 99  # percentiles of the luma
BLACK = 0.05  # the brightest channel of pixels whose saturation is not told
SHARP_SIDE = 256  # shorter side on which sharpness is measure_picture
LEAST_VARIANCE = 1e-6
HASH_SIDE, HASH_WAVES = 32, 8
HASH_DIGITS = 4  # of cosine coefficients: below them is the rounding of a plain picture
STRIP = 1 << 20  # pixels that are converted at a time


def measure_picture(picture: Image.Image | None) -> tuple[np.ndarray, np.ndarray]:
    """For the table `pictures`: measure an upright RGB picture at its stored size, and take its prints.

    With the luma Y = .299 R + .587 G + .114 B in [0, 1]: brightness is its mean, dark its 99th and light its
    5th percentile, contrast its standard deviation, sharpness as `sharpness` says; saturation is the mean of
    (max - min) / max over pixels whose largest channel is above .05.

    Returns:
        (10,) float32 in the order of VALUES: width and height in pixels, transparent a share, turned 0 or 1;
        NaN without a picture, saturation also where all pixels are black. (3,) uint64 in the order of PRINTS,
        0 without a picture.
    """
    if picture is None:
        return np.full(len(VALUES), np.nan, np.float32), np.zeros(len(PRINTS), np.uint64)
    pixels = np.ascontiguousarray(picture)
    luma, saturation = _light_and_colour(pixels)
    mean, deviation = (float(one[0, 0]) / WHITE for one in cv2.meanStdDev(luma))
    light, dark = (value / WHITE for value in _percentiles(luma, (LOW, HIGH)))
    facts = file_facts(picture)
    transparent = facts.get(TRANSPARENT) or (0.0,)
    light_of = [mean, dark, light, deviation, _sharpness(luma), saturation]
    values = np.array([*light_of, *picture.size, transparent[0], TURNED in facts], np.float32)
    prints = np.array([*_checksum(pixels), _hash(luma)], np.uint64)
    return values, prints


def _light_and_colour(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """(H, W, 3) uint8 -> luma, (H, W) float32 from 0 to 255, and the mean of (max - min) / max over the
    channels of pixels that are not black; NaN where all are. Strip by strip: as floats a large picture takes
    gigabytes."""
    height, width = pixels.shape[:2]
    luma, total, n_lit = np.empty((height, width), np.float32), 0.0, 0
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = pixels[top : top + rows]
        cv2.cvtColor(strip.astype(np.float32), cv2.COLOR_RGB2GRAY, dst=luma[top : top + rows])
        red, green, blue = cv2.split(strip)
        highest = cv2.max(cv2.max(red, green), blue)
        spread = cv2.subtract(highest, cv2.min(cv2.min(red, green), blue))
        is_lit = (highest > WHITE * BLACK).astype(
            np.uint8
        )  # cv2.compare takes 4 pixels and a number for a pair
        lit = cv2.countNonZero(is_lit)
        total += cv2.mean(cv2.divide(spread, highest, dtype=cv2.CV_32F), mask=is_lit)[0] * lit
        n_lit += lit
    return luma, total / n_lit if n_lit else np.nan


def _percentiles(luma: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Percentiles of a picture's luma, (H, W) float32 from 0 to 255, as numpy interpolates.

    Only the values that are rounded to the same whole number as the sought one are sorted.
    """
    rounded = cv2.convertScaleAbs(luma)
    ends = np.cumsum(cv2.calcHist([rounded], [0], None, [256], [0, 256]).ravel().astype(np.int64))
    within: dict[int, np.ndarray] = {}

    def smallest(k: int) -> float:
        level = int(np.searchsorted(ends, k, "right"))
        if level not in within:
            within[level] = np.sort(luma[rounded == level])
        return float(within[level][k - ends[level]])  # counted from the end of its level

    places = [share / 100 * (luma.size - 1) for share in shares]
    lows = [(int(position), position - int(position)) for position in places]
    values = []
    for k, part in lows:
        value = smallest(k)
        if part:
            value = value * (1 - part) + smallest(min(k + 1, luma.size - 1)) * part
        values.append(value)
    return values


def _sharpness(luma: np.ndarray) -> float:
    """log10(1e-6 + variance of the 4-neighbour Laplacian) of the luma, (H, W) float32 from 0 to 255.

    It is scaled by area to a shorter side of 256 if that is larger; at the border the picture is mirrored.
    """
    shorter = min(luma.shape)
    if shorter > SHARP_SIDE:
        height, width = (round(side * SHARP_SIDE / shorter) for side in luma.shape)
        luma = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    deviation = float(cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_32F))[1][0, 0]) / WHITE
    return math.log10(LEAST_VARIANCE + deviation**2)


def _hash(luma: np.ndarray) -> int:
    """Return 63 bits that similar pictures share: signs of the 8 x 8 lowest cosine coefficients without the
    first, against their median, of the luma scaled by area to 32 x 32. A plain picture has 0."""
    small = cv2.resize(luma, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small / WHITE)[:HASH_WAVES, :HASH_WAVES].ravel()[1:]
    rounded = np.round(waves.astype(np.float64), HASH_DIGITS)
    bits = rounded > np.median(rounded)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _checksum(pixels: np.ndarray) -> tuple[int, int]:
    """128 bits of the SHA-256 of the size and the pixels."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    whole = digest.digest()
    return int.from_bytes(whole[:8], "big"), int.from_bytes(whole[8:16], "big")


# The table `pictures` of a study: numbers of each picture itself, and which picture repeats which.


TYPES = {"image_id": "str", "width": "Int32", "height": "Int32", "turned": "boolean"}
TYPES |= {DUPLICATE_OF: "str", NEAR_DUPLICATE_OF: "str"}


def write_picture_table(step: StepWriter, image_ids: pd.Series) -> dict[str, Any]:
    """Find duplicates among pictures by arrays of `embed`, and write the table `pictures`; return counts."""
    values = _finished_array(step, "picture_values")[:]
    prints = _finished_array(step, "picture_prints")[:]
    has_picture = np.isfinite(values[:, VALUES.index("width")])
    duplicates = find_duplicates(prints, has_picture, _finished_array(step, "representations"))
    step.table("pictures", _picture_table(image_ids, values, duplicates))
    n_exact = int((duplicates.exact != NONE).sum())
    n_near = int((duplicates.near != NONE).sum())
    return {
        "n_without": int((~has_picture).sum()),
        "n_exact": n_exact,
        "n_near": n_near,
        "n_cut": duplicates.n_cut,
    }


def _finished_array(step: StepWriter, name: str) -> ChunkedArray:
    """Return an array that the step `embed` has finished and that no manifest names yet."""
    entry = step.items[name]
    rows = [chunk["rows"] for chunk in entry["chunks"]]
    return ChunkedArray(step.folder / name, rows, entry["dtype"], entry["shape"][1:])


def _picture_table(image_ids: pd.Series, values: np.ndarray, duplicates: Duplicates) -> pd.DataFrame:
    """Return table `pictures`: one row an image, the VALUES, NaN without one, and which images it repeats.

    Args:
        values: (n, len(VALUES)) float32.
    """
    table = pd.DataFrame(dict(zip(VALUES, values.T, strict=True)))
    table = table.assign(aspect=table["width"] / table["height"], image_id=image_ids.to_numpy(object))
    ids = np.append(image_ids.to_numpy(object), np.array([None]))
    table[DUPLICATE_OF], table[NEAR_DUPLICATE_OF] = ids[duplicates.exact], ids[duplicates.near]
    return table.loc[:, ["image_id", *COLUMNS]].astype(TYPES)
