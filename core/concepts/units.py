"""The units to explain: single features and groups of features, each with its highly activating images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.common.group_names import group_name
from core.concepts.activating import HighActivations, ProbeImages, Threshold, why_none
from core.concepts.falcon import CounterfactualSearch
from core.concepts.groups import Groups
from core.config import ConceptsConfig
from core.errors import SettingsError

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


def feature_units(activations: HighActivations, alpha: float, features: np.ndarray) -> list[Unit]:
    """Return single features with their T_i."""
    positions, owners, values = activations.above(alpha)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], [features, features + 1])
    units = []
    for feature, low, high in zip(features, *ends, strict=True):
        images = order[low:high]
        units.append(Unit((int(feature),), positions[images].astype(np.int64), values[images]))
    return units


def group_units(activations: HighActivations, alpha: float, groups: Groups, min_images: int) -> list[Unit]:
    """Return groups of several features with more than `min_images` images."""
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
    units = feature_units(activations, alpha, explainable) if both or config.explainable else []
    joint = group_units(activations, alpha, groups, config.min_images) if both or config.groups else []
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
    units = feature_units(activations, threshold.alpha, features)
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
    """Find the counterfactual images of each unit."""
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
