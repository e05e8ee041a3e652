"""Clusters of a map, and what they are called: places where many images lie close together.

The density of the images is smoothed, and each image belongs to the peak that a walk uphill leads to. A
cluster is called by its class, if one class makes up at least half of it, or else by the words (in a study
without words: the name) of the feature that fires there most above its rate elsewhere. A cluster that neither
marks has no name. Clusters of one name are told apart by the words of a further feature; where nothing does,
the largest one alone has the name.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from core.common.dataframes import safe_divide
from core.common.formatting import percent
from core.common.statistics.intervals import newcombe
from core.reader import StudyReader
from core.slices.firing_counts import count_firing_images, has_firing
from core.slices.inspection.names import feature_names
from core.slices.inspection.words import feature_words

CELLS = 96  # of the density, along either side of the map
SMOOTHED = 2.5  # cells: standard deviation of the smoothing
NEAR_PEAK = 0.25  # images where the density is below this share of the peak's are in no cluster
FEWEST = 10  # images in a cluster
SMALLEST = 0.01  # share of the images in a cluster
MOST = 24  # clusters, the largest first
MAJORITY = 0.5  # share of its class in a cluster called by a class
CLEARER = 0.2  # lower end of the interval of a feature's firing rate in a cluster, minus that outside
NONE = -1


@dataclass(frozen=True)
class Cluster:
    """A place on a map and its name.

    Attributes:
        words: class or words. x, y: of the peak. top, bottom: the highest and the lowest
            place of its images. n: how many they are.
        share, outside: share of the class, or firing rate of the feature, in the cluster and outside.
        feature: whose words these are; None for a class.
        apart: words that tell it from other clusters of the same name; empty where there are none. apart_by:
            the feature with these words. kind: what a feature is called.
    """

    words: str
    x: float
    y: float
    top: float
    bottom: float
    n: int
    share: float
    outside: float
    feature: int | None = None
    apart: str = ""
    apart_by: int | None = None
    kind: str = "Feature"

    @property
    def name(self) -> str:
        """Return what the cluster is called; no other cluster of the map is called the same."""
        return f"{self.words} · {self.apart}" if self.apart else self.words

    @property
    def reason(self) -> str:
        """Return how the cluster got its name."""
        here, elsewhere = percent(self.share, digits=0), percent(self.outside, digits=0)
        sentence = f"{self.kind} {self.feature} fires on {here} of the {self.n:,} images here"
        if self.feature is None:
            sentence = f"{here} of the {self.n:,} images here are {self.words}"
        sentence += f"; elsewhere {elsewhere}."
        if self.apart:
            sentence += f" Among places of this name, {self.kind.lower()} {self.apart_by} marks this one."
        return sentence


def clusters_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find where points lie dense, the largest cluster first.

    Args:
        points: (n, 2) finite.
    Returns:
        (n,) int64 cluster of each point, -1 for none; (k, 2) float64 the peaks. Points in one place, or too
        few of them, make no cluster.
    """
    homes = np.full(len(points), NONE)
    nowhere = np.empty((0, 2))
    low = points.min(0).astype(np.float64) if len(points) else np.zeros(2)
    span = float((points.max(0) - low).max()) if len(points) else 0.0
    if len(points) < FEWEST or span <= 0:
        return homes, nowhere
    cells = np.minimum((points - low) / span * CELLS, CELLS - 1).astype(np.int64)  # (n, 2)
    counts = np.zeros((CELLS, CELLS))
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    density = gaussian_filter(counts, SMOOTHED, mode="constant")
    peak_of = _uphill(density).ravel()
    cell = cells[:, 0] * CELLS + cells[:, 1]
    peaks = peak_of[cell]
    peaks[density.ravel()[cell] < NEAR_PEAK * density.ravel()[peaks]] = NONE
    peak_cells, sizes = np.unique(peaks[peaks != NONE], return_counts=True)
    is_large = sizes >= max(FEWEST, SMALLEST * len(points))
    peak_cells, sizes = peak_cells[is_large], sizes[is_large]
    peak_cells = peak_cells[np.argsort(-sizes, kind="stable")][:MOST]
    for number, peak in enumerate(peak_cells):
        homes[peaks == peak] = number
    places = np.stack([peak_cells // CELLS, peak_cells % CELLS], axis=1)  # (k, 2)
    return homes, low + (places + 0.5) * span / CELLS


def named_clusters(study: StudyReader, places: np.ndarray, mask: np.ndarray) -> list[Cluster]:
    """Find and name the clusters of some images on a map, the largest first; unnamed ones are left out.

    Args:
        places: (n_images, 2) of a map. mask: (n_images,) bool.
    """
    rows = np.flatnonzero(mask & np.isfinite(places).all(1))
    homes, peaks = clusters_of(places[rows])
    members = [rows[homes == number] for number in range(len(peaks))]
    by_class = _classes(study, rows, members)
    left = [number for number, name in enumerate(by_class) if name is None]
    by_words = dict(zip(left, _words(study, rows, [members[number] for number in left]), strict=True))
    clusters, homes_of = [], []
    for number, (x, y) in enumerate(peaks.tolist()):
        name = by_class[number] or by_words[number]
        if name is not None:
            words, share, outside, feature = name
            inside = members[number]
            bottom, top = places[inside, 1].min(), places[inside, 1].max()
            clusters.append(
                Cluster(
                    *(words, x, y, float(top), float(bottom), len(inside), share, outside, feature),
                    kind=study.feature_kind,
                )
            )
            homes_of.append(inside)
    return _told_apart(study, clusters, homes_of)


Name = tuple[str, float, float, int | None]  # words, share, share outside, feature


def _uphill(density: np.ndarray) -> np.ndarray:
    """(CELLS, CELLS) int64: the flat index of the peak that a walk uphill from each cell ends at."""
    around = np.pad(density, 1, constant_values=-np.inf)
    steps = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    views = np.stack([around[1 + dx : 1 + dx + CELLS, 1 + dy : 1 + dy + CELLS] for dx, dy in steps])
    views[4] = np.nextafter(density, np.inf)  # the cell itself goes first where others equal it
    best = np.array(steps)[views.argmax(0)]  # (CELLS, CELLS, 2)
    x, y = np.indices(density.shape)
    target = ((x + best[..., 0]) * CELLS + y + best[..., 1]).ravel()
    while True:  # pointer doubling: each turn doubles the length of every walk, so there are few turns
        further = target[target]
        if np.array_equal(further, target):
            return target.reshape(density.shape)
        target = further


def _classes(study: StudyReader, rows: np.ndarray, members: list[np.ndarray]) -> list[Name | None]:
    """Return the class that makes up at least half of each cluster."""
    if not study.labelled:
        return [None] * len(members)
    codes, names = study.column("images", "label").factorize()
    every = np.bincount(codes[rows][codes[rows] >= 0], minlength=len(names))
    names_of: list[Name | None] = []
    for inside in members:
        mine = np.bincount(codes[inside][codes[inside] >= 0], minlength=len(names))
        best = int(mine.argmax()) if len(mine) else 0
        if not len(mine) or mine[best] < MAJORITY * len(inside):
            names_of.append(None)
            continue
        outside = safe_divide(every[best] - mine[best], len(rows) - len(inside))
        names_of.append((str(names[best]), mine[best] / len(inside), float(np.nan_to_num(outside)), None))
    return names_of


def _words(study: StudyReader, rows: np.ndarray, members: list[np.ndarray]) -> list[Name | None]:
    """Return the words of the feature whose firing rate in each cluster lies most above that outside."""
    words: dict[int, list[str]] = {}
    if members and study.has("concepts"):
        words = feature_words(study)
    elif members:
        words = {feature: [name] for feature, name in feature_names(study).items()}
    if not words or not has_firing(study):
        return [None] * len(members)
    features = np.array(sorted(words))
    counts = count_firing_images(study, [_mask(study, rows), *(_mask(study, one) for one in members)])
    every, names_of = counts[0][features], []
    for inside, mine in zip(members, counts[1:, features], strict=True):
        n, others = len(inside), len(rows) - len(inside)
        if not others:
            names_of.append(None)
            continue
        low, _ = newcombe(mine, n, every - mine, others)
        difference = mine / n - (every - mine) / others
        best = int(np.argmax(np.where(low >= CLEARER, difference, -np.inf)))
        if low[best] < CLEARER:
            names_of.append(None)
            continue
        name = ", ".join(words[int(features[best])])
        names_of.append((name, mine[best] / n, (every - mine)[best] / others, int(features[best])))
    return names_of


def _told_apart(study: StudyReader, clusters: list[Cluster], members: list[np.ndarray]) -> list[Cluster]:
    """Give clusters of one name the words of a feature that only this one of them has; leave out those that
    would still be called like a larger one.
    """
    alike = defaultdict(list)
    for number, one in enumerate(clusters):
        alike[one.words].append(number)
    renamed = list(clusters)
    for words, numbers in alike.items():
        if len(numbers) == 1:
            continue
        inside = [members[number] for number in numbers]
        for number, name in zip(numbers, _words(study, np.concatenate(inside), inside), strict=True):
            if name is not None and name[0] != words:
                renamed[number] = replace(clusters[number], apart=name[0], apart_by=name[3])
    first = {one.name: number for number, one in reversed(list(enumerate(renamed)))}
    return [one for number, one in enumerate(renamed) if first[one.name] == number]


def _mask(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(study.n_images, bool)
    mask[rows] = True
    return mask
