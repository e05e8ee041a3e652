"""The probe images of a study and their highly activating entries, read chunk by chunk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.common.dataframes import unit_rows
from core.concepts.falcon import K_CANDIDATES, EntryMoments, choose_k, largest_k
from core.concepts.groups import Groups, find_groups, pack_pairs
from core.errors import SettingsError
from core.slices.inspection.populations import train_images
from core.store import Study

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
    """Read the rows in two passes: moments, then the entries above the lowest alpha of `ks`."""
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
    """Return the given k, or for "auto" that of docs/method.md 6.1 among the candidates above the floor."""
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
    """(n_features,) the n-th largest value of each feature; -inf if there are fewer images."""
    best = np.full((n, probe.n_features), -np.inf)
    for _, h in probe.blocks():
        both = np.concatenate([best, h])
        best = np.partition(both, len(both) - n, axis=0)[len(both) - n :]
    return best.min(0)


def why_none(probe: ProbeImages, activations: HighActivations, threshold: Threshold, min_images: int) -> str:
    """Explain why no feature is explainable: the message names a k that would leave one."""
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
    """Raise SettingsError for a k that is neither "auto" nor a number >= 0."""
    if k != "auto" and not (isinstance(k, (int, float)) and 0 <= k < float("inf")):
        raise SettingsError(f"k must be a number of standard deviations (0 or more) or 'auto', not {k!r}")
