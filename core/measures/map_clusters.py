"""Clusters of a map, and what they are called: places where many images lie close together.

The density of the images is smoothed, and each image belongs to the peak that a walk uphill leads to. A
cluster is called by its class, if one class makes up at least half of it, or else by the words of the feature
that fires there most above its rate elsewhere, or else by two of the classes that are at home there: classes
with most of their images in the cluster that together make up at least half of it. In a study without words
the classes at home go before the name of a feature. A cluster that none of them marks has no name. Clusters
of one name are told apart by the words of a further feature; where nothing does, the largest alone has it.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from core.common.captions import with_class_names
from core.common.dataframes import safe_divide
from core.common.records import Templates
from core.measures.design_effect import groups_among, of_copies
from core.measures.feature_names import feature_names
from core.measures.intervals import newcombe
from core.measures.slice_features import count_firing_images
from core.measures.slice_words import feature_words
from core.study.reader import StudyReader

CELLS = 96  # of the density, along either side of the map
SMOOTHED = 2.5  # cells: standard deviation of the smoothing
NEAR_PEAK = 0.25  # images where the density is below this share of the peak's are in no cluster
FEWEST = 10  # images in a cluster
SMALLEST = 0.01  # share of the images in a cluster
MOST = 24  # clusters, the largest first
MAJORITY = 0.5  # share of its class, or of the classes at home, in a cluster called by them
NAMED = 2  # classes at home that a cluster is called by
CLEARER = 0.2  # lower end of the interval of a feature's firing rate in a cluster, minus that outside
NONE = -1
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Cluster:
    """A place on a map and its name.

    Attributes:
        words: class or words. x, y: of the peak. top, bottom: the highest and the lowest
            place of its images. n: how many they are.
        share, outside: share of the class or classes, or firing rate of the feature, here and elsewhere.
        feature: whose words these are; None for a class. n_classes: how many are at home; 0 for other names.
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
    n_classes: int = 0
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
        what = self.words if self.n_classes or self.feature is None else f"{self.kind} {self.feature}"
        kind = "one_class" if self.feature is None else "feature"
        sentence = _say(
            "classes" if self.n_classes else kind,
            n=self.n_classes,
            of=self.n,
            value=self.share,
            chance=self.outside,
            what=what,
        )
        if not self.apart:
            return sentence
        return _say("apart", what=f"{self.kind.lower()} {self.apart_by}", parts=(sentence,))


def clusters_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cluster images by the coordinates of a map that a step wrote, where they lie dense, the largest first.

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
    for inside, peak in zip(members, peaks, strict=True):  # the nearest to the peak first
        inside[:] = inside[np.argsort(np.linalg.norm(places[inside] - peak, axis=1), kind="stable")]
    names: list[Name | None] = [None] * len(members)
    others = (_words, _majority_classes) if study.has("concepts") else (_majority_classes, _words)
    for name_them in (_classes, *others):
        left = [number for number, name in enumerate(names) if name is None]
        for number, name in zip(left, name_them(study, rows, [members[one] for one in left]), strict=True):
            names[number] = name
    clusters, homes_of = [], []
    for (x, y), inside, name in zip(peaks.tolist(), members, names, strict=True):
        if name is not None:
            bottom, top = places[inside, 1].min(), places[inside, 1].max()
            ends = (float(top), float(bottom))
            clusters.append(Cluster(name[0], x, y, *ends, len(inside), *name[1:], kind=study.feature_kind))
            homes_of.append(inside)
    return _distinct_names(study, clusters, homes_of)


Name = tuple[str, float, float, int | None, int]  # words, share, share outside, feature, classes at home


def _uphill(density: np.ndarray) -> np.ndarray:
    """(CELLS, CELLS) int64: the flat index of the peak that a walk uphill from each cell ends at."""
    around = np.pad(density, 1, constant_values=-np.inf)
    steps = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    views = np.stack([_shifted(around, dx, dy) for dx, dy in steps])
    views[4] = np.nextafter(density, np.inf)  # the cell itself goes first where others equal it
    best = np.array(steps)[views.argmax(0)]  # (CELLS, CELLS, 2)
    x, y = np.indices(density.shape)
    target = ((x + best[..., 0]) * CELLS + y + best[..., 1]).ravel()
    while True:  # pointer doubling: each turn doubles the length of every walk, so there are few turns
        further = target[target]
        if np.array_equal(further, target):
            return target.reshape(density.shape)
        target = further


def _shifted(padded: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """(CELLS, CELLS): the neighbour of each cell in one direction; `padded` has a border of one cell."""
    return padded[1 + dx : 1 + dx + CELLS, 1 + dy : 1 + dy + CELLS]


def _classes(study: StudyReader, rows: np.ndarray, members: list[np.ndarray]) -> list[Name | None]:
    """Return the class that makes up at least half of each cluster."""
    return _by_classes(study, rows, members, lambda mine, _: np.argsort(-mine, kind="stable")[:1])


def _majority_classes(study: StudyReader, rows: np.ndarray, members: list[np.ndarray]) -> list[Name | None]:
    """Return two of the classes that have most of their images in a cluster: large ones, then at its peak."""

    def at_home(mine: np.ndarray, every: np.ndarray) -> np.ndarray:
        here = np.flatnonzero(2 * mine > every)
        return here if len(here) >= NAMED else here[:0]

    return _by_classes(study, rows, members, at_home)


def _by_classes(
    study: StudyReader,
    rows: np.ndarray,
    members: list[np.ndarray],
    choose: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[Name | None]:
    """Name clusters by classes that make up at least half of them.

    choose: gives the classes from how many images (n_classes,) each has in the cluster, and among all `rows`.
    """
    if not study.labelled:
        return [None] * len(members)
    codes, names = study.column("images", "label").factorize()
    every = np.bincount(codes[rows][codes[rows] >= 0], minlength=len(names))
    names_of: list[Name | None] = []
    for inside in members:
        present = codes[inside][codes[inside] >= 0]  # the nearest to the peak first
        mine = np.bincount(present, minlength=len(names))
        these = choose(mine, every)
        n = int(mine[these].sum())
        if not n or n < MAJORITY * len(inside):
            names_of.append(None)
            continue
        nearest = dict.fromkeys(present[np.isin(present, these)].tolist())
        first = sorted(nearest, key=lambda code: -mine[code])[:NAMED]
        words = ", ".join(with_class_names(str(names[code])) for code in first)
        outside = float(safe_divide(every[these].sum() - n, len(rows) - len(inside), empty=0.0))
        n_classes = len(these) if len(these) > 1 else 0
        names_of.append((words, n / len(inside), outside, None, n_classes))
    return names_of


def _words(study: StudyReader, rows: np.ndarray, members: list[np.ndarray]) -> list[Name | None]:
    """Return the words of the feature whose firing rate in each cluster lies most above that outside."""
    words: dict[int, list[str]] = {}
    if members and study.has("concepts"):
        words = feature_words(study)
    elif members:
        words = {feature: [name] for feature, name in feature_names(study).items()}
    if not words or not study.has_firing:
        return [None] * len(members)
    features = np.array(sorted(words))
    counts = count_firing_images(study, [_mask(study, rows), *(_mask(study, member) for member in members)])
    every, names_of = counts[0][features], []
    for inside, mine in zip(members, counts[1:, features], strict=True):
        n, others = len(inside), len(rows) - len(inside)
        if not others:
            names_of.append(None)
            continue
        outside = rows[~np.isin(rows, inside)]
        d, d_others = (of_copies(groups_among(study.groups, part)) for part in (inside, outside))
        low, _ = newcombe(mine / d, n / d, (every - mine) / d_others, others / d_others)
        difference = mine / n - (every - mine) / others
        best = int(np.argmax(np.where(low >= CLEARER, difference, -np.inf)))
        if low[best] < CLEARER:
            names_of.append(None)
            continue
        name = ", ".join(words[int(features[best])])
        share, share_outside = mine[best] / n, (every - mine)[best] / others
        names_of.append((name, share, share_outside, int(features[best]), 0))
    return names_of


def _distinct_names(study: StudyReader, clusters: list[Cluster], members: list[np.ndarray]) -> list[Cluster]:
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
