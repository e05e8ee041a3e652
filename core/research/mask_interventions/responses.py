"""How features answer to altered pictures: paired changes over the images on which they fire
(docs/method.md 5.4). numpy and pandas only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.overlap.iou import LEAST_IMAGES
from core.common.dataframes import safe_divide
from core.common.statistics import intervals
from core.research.mask_interventions import alterations

DIFFERENCE, CONTROL, EXCESS, PER_AREA = CONTRASTS = ("difference", "control", "excess", "per_area")
MEASURES = (*alterations.ALTERATIONS, *CONTRASTS)
CALLED = ("core", "spurious", "undecided")
AGREES = {"core": 1.0, "spurious": -1.0}  # the sign of a contrast that a name asks for
BLOCK = 1 << 21  # numbers held at a time, before resampling


@dataclass(frozen=True)
class FiringPairs:
    """Activations of the features that fire on the pictures as they are.

    image: (P,) position of the picture. feature: (P,). before: (P,) raw. after: (P, len(ALTERATIONS)) raw.
    """

    image: np.ndarray
    feature: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Responses:
    """What `feature_responses` found, feature after feature.

    Attributes:
        features: (K,). n: (K,) pictures on which it fires. mean, low, high: (K, len(MEASURES)), NaN where
            undefined. kept: (K, len(ALTERATIONS)) mean activation after, divided by that before.
        groups: name -> its features with enough pictures, and mean, low, high (len(MEASURES),) over them.
    """

    features: np.ndarray
    n: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kept: np.ndarray
    groups: dict[str, tuple[int, np.ndarray, np.ndarray, np.ndarray]]


def feature_responses(
    pairs: FiringPairs,
    features: np.ndarray,
    called: np.ndarray,
    scales: np.ndarray,
    *,
    areas: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> Responses:
    """Mean paired change of each feature, in standard deviations, over the pictures on which it fires.

    change_a = mean_i (raw_ij(a) - raw_ij) / s_j over the pictures i on which j fires as they are.
    difference = change_background removed - change_object removed: above 0 where the object counts for more.
    control: the same with another picture's mask. excess = difference - control.
    per_area = change_background removed / (1 - A_j) - change_object removed / A_j, A_j the mean area of these
    pictures' objects: the difference per share of the picture that goes.
    Intervals: Student's; of a group of features, bootstrap of the pictures, the same for all features.

    Args:
        features: (K,) those to report. called: (K,) str, the group of each. scales: (K,) s_j, > 0 or NaN.
        areas: (n,) share of each picture that its object covers, also of those on which nothing fires.
    Returns:
        NaN for a feature that fires on none, or whose s_j is 0; no interval from a single picture. A group's
        mean is that of its features' means, of those that fire on at least LEAST_IMAGES pictures.
    """
    shape, n_images = (len(features), len(MEASURES)), len(areas)
    mean, low, high = (np.full(shape, np.nan) for _ in range(3))
    n = np.zeros(len(features), np.int64)
    retained = np.full((len(features), len(alterations.ALTERATIONS)), np.nan)
    totals = {name: [0.0, 0.0] for name in CALLED}
    for start, stop in _blocks(len(features), n_images):
        block = slice(start, stop)
        before, after = _dense(pairs, features[block], n_images)
        n[block] = np.isfinite(before).sum(0)
        retained[block] = safe_divide(np.nansum(after, axis=0), np.nansum(before, axis=0)[:, None])
        changes = measures_of(before, after, scales[block], areas).reshape(n_images, -1)
        part = intervals.mean_intervals(changes)[:3]
        mean[block], low[block], high[block] = (one.reshape(stop - start, -1) for one in part)
        draws = intervals.resampled_means(changes, resamples=resamples, seed=seed).reshape(
            resamples, stop - start, -1
        )
        for name in CALLED:
            mine = draws[:, (called[block] == name) & enough(n[block], scales[block])]
            totals[name][0] += np.where(np.isnan(mine), 0.0, mine).sum(1)
            totals[name][1] += np.isfinite(mine).sum(1)
    groups = {}
    for name, (total, count) in totals.items():
        members = (called == name) & enough(n, scales)
        if members.any():
            ends = intervals.percentile_interval(safe_divide(total, count))
            groups[name] = int(members.sum()), mean[members].mean(0), *ends
    return Responses(features, n, mean, low, high, retained, groups)


def measures_of(before: np.ndarray, after: np.ndarray, scales: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """(n, K, len(MEASURES)) changes in standard deviations, and their contrasts; NaN where nothing fires.

    Args:
        before: (n, K), NaN where the feature does not fire. after: (n, K, len(ALTERATIONS)). scales: (K,).
        areas: (n,) of the objects.
    """
    spread = np.where(scales > 0, scales, np.nan)[:, None]
    change = (after - before[..., None]) / spread
    at = {name: change[..., number] for number, name in enumerate(alterations.ALTERATIONS)}
    difference = at[alterations.BACKGROUND_REMOVED] - at[alterations.OBJECT_REMOVED]
    control = at[alterations.CONTROL_BACKGROUND] - at[alterations.CONTROL_OBJECT]
    fires = np.isfinite(before)
    area = safe_divide((fires * areas[:, None]).sum(0), fires.sum(0))
    per_area = at[alterations.BACKGROUND_REMOVED] / (1 - area) - at[alterations.OBJECT_REMOVED] / area
    return np.concatenate(
        [change, np.stack([difference, control, difference - control, per_area], axis=-1)], axis=-1
    )


def enough(n: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(K,) bool: features of which groups and verdicts may speak."""
    return (n >= LEAST_IMAGES) & (scales > 0)


def _blocks(n_features: int, n_images: int) -> Iterator[tuple[int, int]]:
    size = max(1, BLOCK // max(n_images * len(MEASURES), 1))
    for start in range(0, n_features, size):
        yield start, min(start + size, n_features)


def _dense(pairs: FiringPairs, features: np.ndarray, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    position = pd.Index(features).get_indexer(pd.Index(pairs.feature))
    here = np.flatnonzero(position >= 0)
    before = np.full((n_images, len(features)), np.nan)
    after = np.full((n_images, len(features), len(alterations.ALTERATIONS)), np.nan)
    before[pairs.image[here], position[here]] = pairs.before[here]
    after[pairs.image[here], position[here]] = pairs.after[here]
    return before, after


def responses_table(responses: Responses) -> pd.DataFrame:
    """Table `mask_responses`: feature, alteration, n, change, low, high, kept; one row for each pair."""
    n_alterations = len(alterations.ALTERATIONS)
    parts = {"change": responses.mean, "low": responses.low, "high": responses.high}
    return pd.DataFrame(
        {
            "feature": np.repeat(responses.features, n_alterations).astype(np.int32),
            "alteration": pd.array(list(alterations.ALTERATIONS) * len(responses.features), dtype="str"),
            "n": np.repeat(responses.n, n_alterations),
            **{name: values[:, :n_alterations].reshape(-1) for name, values in parts.items()},
            "kept": responses.kept.reshape(-1),
        }
    )


def contrasts_table(
    responses: Responses, called: np.ndarray, discriminative: np.ndarray, scales: np.ndarray
) -> pd.DataFrame:
    """Table `mask_contrasts`, a row a feature: feature, called, discriminative, n, and difference, control,
    excess and per_area with their intervals, and responds_to (`responds_to`).
    """
    columns = {}
    for number, name in enumerate(CONTRASTS, start=len(alterations.ALTERATIONS)):
        columns |= {name: responses.mean[:, number], f"{name}_low": responses.low[:, number]}
        columns |= {f"{name}_high": responses.high[:, number]}
    return pd.DataFrame(
        {
            "feature": responses.features.astype(np.int32),
            "called": pd.array(called, dtype="str"),
            "discriminative": discriminative,
            "n": responses.n,
            **columns,
            "responds_to": pd.array(responds_to(responses, scales), dtype="str"),
        }
    )


def responds_to(responses: Responses, scales: np.ndarray) -> np.ndarray:
    """(K,) object: "object" where the whole intervals of difference and of excess lie above 0, "background"
    where both lie below, else "undecided", also with fewer than LEAST_IMAGES pictures.
    """
    columns = [MEASURES.index(DIFFERENCE), MEASURES.index(EXCESS)]
    has_enough = enough(responses.n, scales)
    above = (responses.low[:, columns] > 0).all(1) & has_enough
    below = (responses.high[:, columns] < 0).all(1) & has_enough
    return np.select([above, below], ["object", "background"], "undecided").astype(object)


def groups_table(responses: Responses) -> pd.DataFrame:
    """Table `mask_groups`: called, measure, n_features, change, low, high."""
    rows = [
        (name, measure, n_features, *values)
        for name, (n_features, *parts) in responses.groups.items()
        for measure, *values in zip(MEASURES, *parts, strict=True)
    ]
    columns = ["called", "measure", "n_features", "change", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"called": "str", "measure": "str"})


def agreement_table(responses: Responses, called: np.ndarray, scales: np.ndarray) -> pd.DataFrame:
    """Table `mask_agreement`: how many features answer as they are called.

    A core feature agrees where its contrast is above 0 (it falls more as the object goes), a spurious one
    where it is below.

    Columns: called, measure (one of CONTRASTS), n_features, agree (share), low, high (Wilson, as
    if features were drawn), clearly (share whose whole interval agrees), against (share whose whole interval
    says the opposite). Features with fewer than LEAST_IMAGES pictures are left out.
    """
    rows = []
    for name, sign in AGREES.items():
        members = (called == name) & enough(responses.n, scales)
        n = int(members.sum())
        for measure in CONTRASTS:
            column = MEASURES.index(measure)
            mean, low, high = (
                part[members, column] for part in (responses.mean, responses.low, responses.high)
            )
            nearer, further = (low, high) if sign > 0 else (-high, -low)
            agree = int((sign * mean > 0).sum())
            shares = (agree, int((nearer > 0).sum()), int((further < 0).sum()))
            share, clearly, against = (float(safe_divide(count, n)) for count in shares)
            ends = (float(end) for end in intervals.wilson(agree, n))
            rows.append((name, measure, n, share, *ends, clearly, against))
    columns = ["called", "measure", "n_features", "agree", "low", "high", "clearly", "against"]
    return pd.DataFrame(rows, columns=columns).astype({"called": "str", "measure": "str"})


def core_from_spurious(
    responses: Responses, called: np.ndarray, scales: np.ndarray
) -> dict[str, dict[str, float]]:
    """How well a contrast tells features called core from those called spurious: {measure: auroc, low, high}.

    The area under the ROC curve needs no zero, so what all features share does not count: 0.5 where
    the names say nothing. NaN without features of both.
    """
    either = np.isin(called, list(AGREES)) & enough(responses.n, scales)
    core, separations = called[either] == "core", {}
    for measure in CONTRASTS:
        area, low, high, _ = intervals.auroc_interval(responses.mean[either, MEASURES.index(measure)], core)
        separations[measure] = {"auroc": area, "low": low, "high": high}
    return separations


def accuracy_table(predicted: np.ndarray, true: np.ndarray) -> pd.DataFrame:
    """Table `mask_accuracy`: the probe's accuracy on each alteration, and its paired change.

    Columns: alteration ("none" for the pictures as they are), n, accuracy, low, high (Wilson), change,
    change_low, change_high (Student, of the changes of single pictures), same (share of predictions that
    stay).

    Args:
        predicted: (n, 1 + len(ALTERATIONS)) class codes, the unaltered pictures first. true: (n,), -1 where
            unknown; those are left out.
    """
    has_truth = true >= 0
    right = (predicted[has_truth] == true[has_truth, None]).astype(np.float64)
    same = (predicted[has_truth] == predicted[has_truth, :1]).astype(np.float64)
    columns: dict[str, object] = {"alteration": pd.array(["none", *alterations.ALTERATIONS], dtype="str")}
    columns["n"] = int(has_truth.sum())
    columns |= dict(zip(("accuracy", "low", "high"), intervals.share_intervals(right), strict=False))
    change = intervals.mean_intervals(right - right[:, :1], within=(-1.0, 1.0))
    columns |= dict(zip(("change", "change_low", "change_high"), change, strict=False))
    columns["same"] = intervals.share_intervals(same)[0]
    return pd.DataFrame(columns)
