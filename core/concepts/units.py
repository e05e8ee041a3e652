"""The units to explain: features and groups of features, each with its highly activating images. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.common.dataframes import unit_rows
from core.common.group_names import group_name
from core.concepts.falcon import K_CANDIDATES, CounterfactualSearch, EntryMoments, choose_k, largest_k
from core.concepts.groups import Groups, find_groups, pack_pairs
from core.config import ConceptsConfig
from core.errors import SettingsError
from core.measures.slice_comparison import train_images
from core.store import Study

# The probe images of a study and their highly activating entries, read chunk by chunk.


SPLITS = ("val", "train", "all")


class ProbeImages:
    """The images on which features are explained, with their normalised rows.

    Attributes:
        rows: (n,) int64, ascending: rows of the study. A *position* is an index into these.
    """

    def __init__(self, study: Study, split: str = "val"):
        if split not in SPLITS:
            raise SettingsError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
        self.study = study
        self.array = study.array("representations")
        self._in_split = (
            np.ones(study.n_images, bool) if split == "all" else train_images(study) ^ (split == "val")
        )
        self.rows = np.flatnonzero(self._in_split)
        if not len(self.rows):
            raise SettingsError(f"'{study.path}' has no {split} images; choose another --split")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_features(self) -> int:
        return self.array.shape[1]

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield pairs (first position, h (n, n_features) float64), chunk by chunk."""
        position = 0
        for start, chunk in self.array.chunks():
            raw = chunk[self._in_split[start : start + len(chunk)]]
            yield position, unit_rows(raw)
            position += len(raw)


@dataclass(frozen=True)
class HighActivations:
    """Statistics of all entries of h, and the entries above a floor.

    Attributes:
        moments: of all entries. means: (n_features,) mean of each feature. floor: the smallest valid alpha.
            positions, features: (n,) int32, and values (n,) float64: entries above it, row by row.
    """

    n_images: int
    moments: EntryMoments
    means: np.ndarray
    floor: float
    positions: np.ndarray
    features: np.ndarray
    values: np.ndarray

    def above(self, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, features and values of the entries above alpha >= floor, row by row."""
        is_above = self.values > alpha
        return self.positions[is_above], self.features[is_above], self.values[is_above]

    def n_activating(self, alpha: float) -> np.ndarray:
        """(n_features,) |T_i|."""
        return np.bincount(self.above(alpha)[1], minlength=len(self.means))

    def groups(self, alpha: float) -> Groups:
        """Find the groups by Algorithm 1."""
        positions, features, _ = self.above(alpha)
        return find_groups(pack_pairs(positions, features, self.n_images, len(self.means)), len(self.means))


def scan(probe: ProbeImages, ks: Sequence[float]) -> HighActivations:
    """Read representations in two passes to find highly activating images: moments, then entries."""
    moments, sums = EntryMoments(), np.zeros(probe.n_features)
    for _, h in probe.blocks():
        moments += EntryMoments.of(h)
        sums += h.sum(0)
    floor = moments.alpha(min(ks))
    entries = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))]
    for start, h in probe.blocks():
        rows, features = np.nonzero(h > floor)
        entries.append(((rows + start).astype(np.int32), features.astype(np.int32), h[rows, features]))
    positions, features, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    return HighActivations(len(probe), moments, sums / len(probe), floor, positions, features, values)


@dataclass(frozen=True)
class Threshold:
    """The chosen k, its alpha, and the effect of other values of k.

    Attributes:
        per_k: for each candidate k (and the one used), descending: k, alpha, n_explainable, n_groups (with
            more than min_images images), n_joint_groups (those of several features).
    """

    k: float
    alpha: float
    per_k: list[dict[str, Any]]


def threshold_of(activations: HighActivations, k: float | str, *, min_images: int) -> Threshold:
    """Return the k above which a feature is highly active: as given, or for "auto" by docs/method.md 6.1."""
    candidates = set(K_CANDIDATES) | (set() if k == "auto" else {float(k)})
    per_k = []
    for candidate in sorted(candidates, reverse=True):
        alpha = activations.moments.alpha(candidate)
        if alpha < activations.floor:
            continue
        groups = activations.groups(alpha)
        large = groups.sizes > min_images
        n_explainable = int((activations.n_activating(alpha) > min_images).sum())
        n_groups, n_joint_groups = int(large.sum()), int((large & (groups.n_members > 1)).sum())
        per_k.append(
            {
                "k": candidate,
                "alpha": alpha,
                "n_explainable": n_explainable,
                "n_groups": n_groups,
                "n_joint_groups": n_joint_groups,
            }
        )
    counts = {line["k"]: line["n_explainable"] for line in per_k}
    best_k = choose_k(counts, len(activations.means)) if k == "auto" else float(k)
    return Threshold(best_k, activations.moments.alpha(best_k), per_k)


def reached_by(probe: ProbeImages, n: int) -> np.ndarray:
    """(n_features,) the n-th largest activation of each feature; -inf if there are fewer images."""
    best = np.full((n, probe.n_features), -np.inf)
    for _, h in probe.blocks():
        both = np.concatenate([best, h])
        best = np.partition(both, len(both) - n, axis=0)[len(both) - n :]
    return best.min(0)


def why_none(probe: ProbeImages, activations: HighActivations, threshold: Threshold, min_images: int) -> str:
    """Explain why no feature is explainable by words: the message names a k that would leave one."""
    if len(probe) <= min_images:
        return (
            f"there are {len(probe)} probe images; a feature is explained by more than {min_images} that "
            "activate it highly. Choose a larger split (--split train or all)"
        )
    limit = largest_k(activations.moments, reached_by(probe, min_images + 1))
    if not np.isfinite(limit) or limit <= 0:
        return "no feature stands out on more than a few images, at any k"
    usable = np.floor(limit * 100 - 1e-9) / 100
    by_itself = "--k auto, or " if usable >= min(K_CANDIDATES) else ""  # no smaller k is tried by itself
    return (
        f"no feature has more than {min_images} highly activating images at k = {threshold.k:g}; the largest "
        f"k that leaves one is {usable:g}. Run with {by_itself}--k {usable:g} or less"
    )


def check_k(k: float | str) -> None:
    """Check k, above which images show the concept that names a feature: raise SettingsError if not >= 0."""
    if k != "auto" and not (isinstance(k, (int, float)) and 0 <= k < float("inf")):
        raise SettingsError(f"k must be a number of standard deviations (0 or more) or 'auto', not {k!r}")


# The units to explain: single features and groups of features, each with its highly activating images.


UNITS_AT_ONCE = 512  # units per counterfactual search: limits its memory


@dataclass(frozen=True)
class Unit:
    """A feature, or a group of features, to explain.

    Attributes:
        features: ascending. positions: (n,) ascending: the highly activating probe images; for a single
            feature all that highly activate it, for a group those with exactly that set. values: (n,) their
            activation (of a group: the minimum over its features).
    """

    features: tuple[int, ...]
    positions: np.ndarray
    values: np.ndarray

    @property
    def name(self) -> str:
        return group_name(self.features)


def _feature_units(activations: HighActivations, alpha: float, features: np.ndarray) -> list[Unit]:
    """Return single features as units that words explain, with their images T_i."""
    positions, owners, values = activations.above(alpha)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], [features, features + 1])
    units = []
    for feature, low, high in zip(features, *ends, strict=True):
        images = order[low:high]
        units.append(Unit((int(feature),), positions[images].astype(np.int64), values[images]))
    return units


def _group_units(activations: HighActivations, alpha: float, groups: Groups, min_images: int) -> list[Unit]:
    """Return groups of several features, to be named, with more than `min_images` images."""
    joint = [group for group in groups.larger_than(min_images) if len(group.features) > 1]
    positions, _, values = activations.above(alpha)
    least = np.full(activations.n_images, np.inf)
    np.minimum.at(least, positions, values)  # an image of the group activates exactly its features
    return [Unit(group.features, group.rows, least[group.rows]) for group in joint]


def choose_units(
    probe: ProbeImages,
    activations: HighActivations,
    threshold: Threshold,
    groups: Groups,
    config: ConceptsConfig,
) -> list[Unit]:
    """Return the units that `concepts` explains, single features first.

    Raises:
        SettingsError: no unit qualifies; the message names a k that works.
    """
    alpha = threshold.alpha
    if config.features is not None:
        return _named_units(probe, activations, threshold, config)
    counts = activations.n_activating(alpha)
    explainable = np.flatnonzero(counts > config.min_images)
    if not len(explainable):
        raise SettingsError(why_none(probe, activations, threshold, config.min_images))
    both = config.explainable == config.groups
    units = _feature_units(activations, alpha, explainable) if both or config.explainable else []
    joint = _group_units(activations, alpha, groups, config.min_images) if both or config.groups else []
    if not units and not joint:
        raise SettingsError(no_groups(threshold, config.min_images))
    return units + joint


def no_groups(threshold: Threshold, min_images: int) -> str:
    """Return a message for when no group of several features is large enough."""
    others = [
        f"{line['k']:g} ({line['n_joint_groups']})" for line in threshold.per_k if line["n_joint_groups"]
    ]
    hint = f"; there are some at k = {', '.join(others)}" if others else ""
    return f"no group of several features has more than {min_images} images at k = {threshold.k:g}{hint}"


def _named_units(
    probe: ProbeImages, activations: HighActivations, threshold: Threshold, config: ConceptsConfig
) -> list[Unit]:
    features = np.unique(np.asarray(config.features, np.int64))
    outside = features[(features < 0) | (features >= probe.n_features)]
    if not len(features) or len(outside):
        unknown = outside[0] if len(outside) else "(none named)"
        raise SettingsError(
            f"there is no feature {unknown} in '{probe.study.path}': it has {probe.n_features}, from 0 to "
            f"{probe.n_features - 1}"
        )
    units = _feature_units(activations, threshold.alpha, features)
    if not any(len(unit.positions) for unit in units):
        peaks = np.zeros(len(features))
        for _, h in probe.blocks():
            peaks = np.maximum(peaks, h[:, features].max(0, initial=0.0))
        k = (peaks.max() - activations.moments.mean) / activations.moments.std
        which = f"feature {features[0]}" if len(features) == 1 else "none of these features"
        article = "no" if len(features) == 1 else "a"
        smaller_k = np.floor(k * 100) / 100
        raise SettingsError(
            f"{which} has {article} highly activating image at k = {threshold.k:g}; a k below {smaller_k:g} "
            "leaves some"
        )
    return [unit for unit in units if len(unit.positions)]


@dataclass(frozen=True)
class Counterfactuals:
    """Images similar to the highly activating ones of a unit in everything but its features
    (Kalibhat, dissertation, eq. 4.2).

    Attributes:
        positions, dots: (m,), most similar first. largest_beta: the largest dot product of an image that
            lies below the means, i.e. the largest beta that finds a counterfactual image; -inf if none does.
    """

    positions: np.ndarray
    dots: np.ndarray
    largest_beta: float


def find_counterfactuals(
    probe: ProbeImages, activations: HighActivations, units: Sequence[Unit], *, beta: float, n: int
) -> list[Counterfactuals]:
    """Find the counterfactual images of each unit: alike in everything but its features."""
    counterfactuals = []
    for start in range(0, len(units), UNITS_AT_ONCE):
        part = units[start : start + UNITS_AT_ONCE]
        sums = _sums(probe, part)
        counts = [len(unit.positions) for unit in part]
        search = CounterfactualSearch(
            [unit.features for unit in part], sums, counts, activations.means, beta=beta, n=n
        )
        for first, h in probe.blocks():
            search.update(first, h)
        pairs = zip(search.finish(), search.largest_beta.tolist(), strict=True)
        counterfactuals += [
            Counterfactuals(positions, dots, largest_beta) for (positions, dots), largest_beta in pairs
        ]
    return counterfactuals


def _sums(probe: ProbeImages, units: Sequence[Unit]) -> np.ndarray:
    """(n_units, n_features) sum of the highly activating rows of each unit."""
    sums = np.zeros((len(units), probe.n_features))
    for first, h in probe.blocks():
        for total, unit in zip(sums, units, strict=True):
            low, high = np.searchsorted(unit.positions, [first, first + len(h)])
            if high > low:
                total += h[unit.positions[low:high] - first].sum(0)
    return sums
