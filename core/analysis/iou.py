"""Compare heatmaps with masks: four overlaps per image, a threshold sweep, and the focus of a feature.

Many images at once, each separately; all sums are in float64. docs/method.md 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.analysis.overlap_kernels import SUMS, overlap_sums, reached_sums
from core.common.dataframes import safe_divide
from core.errors import ShapeError
from core.measures.design_effect import groups_among
from core.measures.intervals import percentile_interval, resampled_means

SWEPT = ("paper", "binary")
MASK_REGION = 0.5  # minimum value inside a mask's region
LEAST_IMAGES = 10  # with fewer images a feature stays undecided


def overlap_scores(heat: np.ndarray, mask: np.ndarray, *, threshold: float = 0.5) -> dict[str, np.ndarray]:
    """Compute four overlaps of each heatmap G with its mask M.

    With regions R = {G >= t} and B = {M >= 0.5}, sums over pixels:
    paper  = sum_{R & B} G / sum_{R | B} G
    binary = |R & B| / |R | B|
    soft   = sum min(G, M) / sum max(G, M)
    energy = sum G M / sum G
    All in [0, 1]. For a uniform heatmap, energy is the mask's mean, `mask_area`.

    Args:
        heat: (n_images, H, W) in [0, 1]. mask: the same shape, in [0, 1].
        threshold: t. As t -> 0, `paper` approaches the share of heat inside B.
    Returns:
        each (n_images,) float64. NaN for a heatmap without heat; NaN for an empty mask, which for `paper` and
        `binary` is one with empty B, for the others one that is 0 everywhere. `paper` is 0 if R is empty
        and B contains no heat.
    Raises:
        ShapeError: the shapes differ, or are not (n_images, H, W).
    """
    g, m = _rows(heat, mask)
    sums = np.empty((len(SUMS), len(g)))
    overlap_sums(g, m, float(threshold), MASK_REGION, sums)
    of = dict(zip(SUMS, sums, strict=True))
    defined = (of["heat"] > 0) & (of["mask"] > 0)
    region = (of["heat"] > 0) & (of["n_marked"] > 0)
    paper = safe_divide(of["heat_inside"], of["heat_marked"] + of["heat_outside"], empty=0.0)
    binary = safe_divide(of["n_inside"], of["n_marked"] + of["n_outside"])
    soft = safe_divide(of["smaller"], of["heat"] + of["mask"] - of["smaller"])
    energy = safe_divide(of["product"], of["heat"])
    scores = {"paper": np.where(region, paper, np.nan), "binary": np.where(region, binary, np.nan)}
    return scores | {"soft": np.where(defined, soft, np.nan), "energy": np.where(defined, energy, np.nan)}


def overlap_sweep(heat: np.ndarray, mask: np.ndarray, thresholds: Sequence[float]) -> dict[str, np.ndarray]:
    """Compute the overlap of heatmaps with masks at many thresholds.

    Compute `paper` and `binary` of `overlap_scores` at many thresholds, for little more than the cost of
    one.

    Every pixel is counted once, at the highest threshold it reaches; cumulative sums from the top then give
    R & B and R - B for every threshold.

    Args:
        heat, mask: as for `overlap_scores`.
        thresholds: ascending.
    Returns:
        "paper" and "binary", (n_images, n_thresholds) float64 each, NaN as for `overlap_scores`.
    Raises:
        ShapeError: as there, or the thresholds do not ascend.
    """
    t = np.asarray(thresholds, np.float64)
    if t.ndim != 1 or (np.diff(t) <= 0).any():
        raise ShapeError("thresholds must be a list of ascending numbers")
    g, m = _rows(heat, mask)
    heats, counts = np.zeros((2, len(g), 2, len(t) + 1))
    total, n_marked = reached_sums(g, m, t, MASK_REGION, heats, counts)
    is_defined = ((total > 0) & (n_marked > 0))[:, None]
    paper, binary = _above(heats, empty=0.0), _above(counts, empty=np.nan)
    return {"paper": np.where(is_defined, paper, np.nan), "binary": np.where(is_defined, binary, np.nan)}


def _above(sums: np.ndarray, *, empty: float) -> np.ndarray:
    """(n, 2, T + 1) sums by side of the mask and number of thresholds reached -> (n, T) R & B over R | B."""
    from_top = np.cumsum(sums[:, :, ::-1], axis=2)[:, :, ::-1]
    outside, inside = from_top[:, 0, 1:], from_top[:, 1, 1:]
    return safe_divide(inside, from_top[:, 1, :1] + outside, empty=empty)


def _rows(heat: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as (n_images, H * W), float32 where both are, else float64."""
    if heat.ndim != 3 or heat.shape != mask.shape:
        raise ShapeError(f"heat {heat.shape} and mask {mask.shape} must both be (n_images, H, W)")
    dtype = np.float32 if heat.dtype == mask.dtype == np.float32 else np.float64
    shape = (len(heat), heat.shape[1] * heat.shape[2])
    return np.ascontiguousarray(heat, dtype).reshape(shape), np.ascontiguousarray(mask, dtype).reshape(shape)


class Lift(NamedTuple):
    """Share of heat on a mask relative to the mask's area, with its 95 % interval, over n images."""

    value: float
    low: float
    high: float
    n: int


def heat_lift(
    energy: np.ndarray,
    area: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Lift:
    """For the step `overlap`: a feature's share of heat on a mask, divided by the mask's share of the view.

    lift = mean energy / mean area over the images with defined energy. It is 1 for a feature with uniform
    heat, so a large background gains nothing by its size. The ratio of means is used because small masks
    would dominate the mean of ratios.

    Args:
        energy, area: (n,) float of one feature's own maps and their masks.
        groups: (n,) codes of patients, lesions or sequences, drawn in place of images; None: images.
    Returns:
        NaN without images; no interval for a single image or group.
    """
    is_defined = np.isfinite(energy)
    pairs, defined_groups = np.column_stack([energy, area])[is_defined], groups_among(groups, is_defined)
    if len(pairs) == 0:
        return Lift(np.nan, np.nan, np.nan, 0)
    top, bottom = pairs.mean(0)
    if len(pairs) == 1 or (defined_groups is not None and len(np.unique(defined_groups)) == 1):
        return Lift(float(top / bottom), np.nan, np.nan, len(pairs))
    draws = resampled_means(pairs, resamples=resamples, seed=seed, groups=defined_groups)
    low, high = percentile_interval(safe_divide(draws[:, 0], draws[:, 1])[:, None])
    return Lift(float(top / bottom), float(low[0]), float(high[0]), len(pairs))


def mask_preference(core: Lift, spurious: Lift) -> str:
    """Decide what a feature's heatmaps overlap, from its lift on core and on spurious masks.

    "core" if the whole interval of its lift on core lies above that of its lift on spurious, and above 1 (the
    lift of uniform heat); "spurious" the other way round; else "undecided", also with fewer than 10 images of
    either kind.
    """
    if min(core.n, spurious.n) < LEAST_IMAGES:
        return "undecided"
    if core.low > max(spurious.high, 1.0):
        return "core"
    return "spurious" if spurious.low > max(core.high, 1.0) else "undecided"
