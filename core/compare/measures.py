"""Measures of several studies over the same images, and their differences with paired intervals. No torch.

Every resample draws images once and evaluates all studies on the same draw. A difference between studies
is then known far more precisely than the two numbers themselves, since hard images are hard for all.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.analysis.recommendation import CONFIDENCE
from core.common.dataframes import safe_divide
from core.compare.images import Shared
from core.measures.chance import LEAST
from core.measures.design_effect import groups_among, of_area, of_mean
from core.measures.evaluate import result_column
from core.measures.image_columns import MASKS, overlap_values
from core.measures.intervals import area_bounds, percentile_interval, resampled_logit_interval, wilson
from core.measures.metrics import rank, resample
from core.measures.score_kernels import areas_in_order, sums_of_draws
from core.store import Study

PERCENT, PLAIN = "percent", "plain"
AUROCS = ("q_auroc", "confidence_auroc")
SHARES = ("accuracy", "share_scored", "knn", "worst_class", "worst_slice")
SIDES_OF_Q = ("correct", "misclassified")
LEAST_CHANGED = 6  # images: that five all change alike happens by chance in one case of 16 (sign test)
AT_ONCE = 8  # resamples that are evaluated in one pass over the images: a vector register of float64


@dataclass(frozen=True)
class Measure:
    """A quantity to compare.

    Attributes:
        better: +1 if more is better, -1 if less is, 0 if neither. plain: what it tells, within a sentence;
            "" where the title does.
    """

    name: str
    title: str
    unit: str = PLAIN
    digits: int = 3
    better: int = 0
    plain: str = ""


MEASURES = {
    one.name: one
    for one in (
        Measure("accuracy", "Accuracy", PERCENT, 1, 1),
        Measure("q_correct", "Mean Q, correct images"),
        Measure("q_misclassified", "Mean Q, misclassified images"),
        Measure("q_gap", "Mean Q, correct minus misclassified", better=1),
        Measure("q_auroc", "AUROC of Q", better=1, plain="error prediction by Q (AUROC)"),
        Measure("q_auprc", "AUPRC of Q"),
        Measure("base_rate", "Base rate of the AUPRC"),
        Measure("q_auprc_gain", "AUPRC of Q above its base rate", better=1),
        Measure(
            "confidence_auroc",
            "AUROC of confidence",
            better=1,
            plain="error prediction by confidence (AUROC)",
        ),
        Measure("mean_firing", "Features firing on an image", digits=2),
        Measure("mean_firing_discriminative", "Discriminative features firing", digits=2),
        Measure("share_scored", "Images with a discriminative feature firing", PERCENT, 1),
        Measure("confidence", "Mean confidence", PERCENT, 1),
        Measure("miou_core", "mIoU with core masks", better=1, plain="object overlap (mIoU)"),
        Measure("miou_spurious", "mIoU with spurious masks", better=-1, plain="background overlap (mIoU)"),
    )
}


@dataclass(frozen=True)
class StudyScores:
    """Values of one study for n images, NaN where unknown; `columns` are averaged over images.

    Attributes:
        columns: name -> (n,) float64. score, correct: (n,) float64, for the metrics of a ranking.
        groups: (n,) codes of patients, lesions or sequences; None: each image is for itself.
    """

    columns: dict[str, np.ndarray]
    score: np.ndarray
    correct: np.ndarray
    groups: np.ndarray | None = None

    @property
    def n(self) -> int:
        return len(self.score)


def judged_of(study: Study, rows: np.ndarray) -> StudyScores:
    """Read the probe and Q-Score results of one of compared studies for some of its images."""
    read = ("correct", "q_score", "n_firing", "n_firing_discriminative", "confidence")
    correct, q, firing, discriminative, confidence = (result_column(study, name)[rows] for name in read)
    has_discriminative = (discriminative > 0).astype(float)
    columns = {"accuracy": correct, "q_correct": np.where(correct == 1, q, np.nan)}
    columns["q_misclassified"] = np.where(correct == 0, q, np.nan)
    columns |= {"mean_firing": firing, "mean_firing_discriminative": discriminative}
    columns["share_scored"] = np.where(np.isnan(discriminative), np.nan, has_discriminative)
    columns["confidence"] = confidence
    return StudyScores(columns, q, correct, groups_among(study.groups, rows))


def overlaps_of(shared: Shared) -> list[StudyScores]:
    """Read the mIoU (variant `paper`) of each study on shared images with both masks, of any split; if no
    image has both, on those with either. Images without masks in one of the studies are left out of all.
    """
    overlaps = [_overlap(study, rows) for study, rows in zip(shared.studies, shared.rows, strict=True)]
    there = [masked for _, masked in overlaps if masked is not None]
    masked = np.logical_and.reduce(there) if there else np.zeros((shared.n_images, 2), bool)
    compared = np.asarray(masked.all(1) if masked.all(1).any() else masked.any(1))
    nothing = np.full(int(compared.sum()), np.nan)
    scores = []
    for values, _ in overlaps:
        columns = {f"miou_{kind}": values[compared, at] for at, kind in enumerate(MASKS)}
        groups = groups_among(shared.groups, compared)
        scores.append(StudyScores(columns, nothing.copy(), nothing, groups))
    return scores


def _overlap(study: Study, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(n, 2) values and whether each mask exists; None for a study without overlaps."""
    if not study.has("overlap"):
        return np.full((len(rows), 2), np.nan), None
    values, masked = overlap_values(study)
    return values[rows], masked[rows]


class _Ranked(NamedTuple):
    """Images from the best score to the worst, as `areas_in_order` takes them."""

    rows: np.ndarray
    outcome: np.ndarray
    starts: np.ndarray


def _ranked(score: np.ndarray, correct: np.ndarray) -> _Ranked:
    among = np.flatnonzero(np.isfinite(score) & np.isfinite(correct))
    ranking = rank(score, correct, among=among)
    ordered = score[ranking.rows]
    starts = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    return _Ranked(ranking.rows, ranking.outcome, starts)


class Statistics:
    """All means and ranking metrics of several studies, for any weights of the images.

    Args:
        studies: over the same images, in the same order.
    """

    def __init__(self, studies: Sequence[StudyScores]):
        self.n, self.n_studies = studies[0].n, len(studies)
        self.means = list(studies[0].columns)
        values = np.stack([study.columns[name] for study in studies for name in self.means])
        self.is_finite = np.isfinite(values)
        columns = np.concatenate([np.where(self.is_finite, values, 0.0), self.is_finite])
        distinct = {column.tobytes(): column for column in columns}  # studies share most of them
        places = {key: at for at, key in enumerate(distinct)}
        self.places = [places[column.tobytes()] for column in columns]
        self.columns = np.column_stack(list(distinct.values()))
        nothing = np.full(self.n, np.nan)
        self.rankings = [_ranked(study.score, study.correct) for study in studies]
        self.by_confidence = [
            _ranked(study.columns.get(CONFIDENCE, nothing), study.correct) for study in studies
        ]

    @property
    def names(self) -> list[str]:
        ranked = ["q_auroc", "q_auprc", "base_rate"] if "accuracy" in self.means else []
        derived = ["q_gap", "q_auprc_gain", "confidence_auroc"] if ranked else []
        return [*self.means, *ranked, *derived]

    def of(self, counts: np.ndarray | None = None) -> np.ndarray:
        """(R, n_studies, n_names) float64; `counts` (n, R) int32: how often each image occurs in each of R
        resamples, None: once in one.
        """
        counts = np.ones((self.n, 1), np.int32) if counts is None else counts
        totals, counted = np.split(sums_of_draws(self.columns, counts)[self.places], 2)
        means = safe_divide(totals, counted).reshape(self.n_studies, len(self.means), -1)
        means = np.moveaxis(means, -1, 0)
        if len(self.names) == len(self.means):
            return means
        q_correct, q_misclassified = (means[:, :, self.means.index(f"q_{side}")] for side in SIDES_OF_Q)
        ranked = [areas_in_order(*ranking, counts) for ranking in self.rankings]
        total, right, auroc, auprc = np.moveaxis(
            np.array(ranked), (1, 2, 0), (0, 1, 2)
        )  # (R, n_studies) each
        base = safe_divide(right, total)
        of_confidence = [areas_in_order(*ranking, counts)[2] for ranking in self.by_confidence]
        derived = [auroc, auprc, base, q_correct - q_misclassified, auprc - base, np.transpose(of_confidence)]
        return np.concatenate([means, np.stack(derived, -1)], axis=-1)

    def outcomes(self, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """(n_studies,) misclassified and (n_studies,) correct images behind an AUROC of AUROCS."""
        rankings = self.by_confidence if measure == "confidence_auroc" else self.rankings
        outcome_sets = [ranking.outcome for ranking in rankings]
        n_right = np.array([outcome.sum() for outcome in outcome_sets])
        return np.array([len(outcome) for outcome in outcome_sets]) - n_right, n_right

    def n_known(self) -> np.ndarray:
        """(n_studies, n_names) int64: the number of images behind each value."""
        counts = self.is_finite.sum(1).astype(np.int64).reshape(self.n_studies, -1)
        extra = len(self.names) - len(self.means)
        ranked = np.array([[len(ranking.rows)] * extra for ranking in self.rankings], np.int64)
        n = np.concatenate([counts, ranked.reshape(self.n_studies, extra)], axis=1)
        if extra:  # the smaller side limits a difference of two means
            sides = [self.means.index(f"q_{side}") for side in SIDES_OF_Q]
            n[:, self.names.index("q_gap")] = counts[:, sides].min(1)
            n[:, self.names.index("confidence_auroc")] = [len(ranking.rows) for ranking in self.by_confidence]
        return n


def measure_table(
    studies: Sequence[StudyScores], names: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compute every measure of every study and its difference to the first, with 95 % intervals: bootstrap
    over images, but for the AUROCs (`area_bounds`) and shares (Wilson) of single studies; of AUPRCs on the
    scale of the logit. Over groups, where the first study has some.

    Returns:
        measure, study, value, low, high, difference, difference_low, difference_high (NaN for the first
        study, and of AUROCs from fewer than LEAST errors), n (images behind the value; no interval for fewer
        than two, and none of a difference for fewer than LEAST_CHANGED). Measures that no study has are left
        out.
    """
    statistics = Statistics(studies)
    if not statistics.n:
        return pd.DataFrame(columns=COLUMNS)
    values, n = statistics.of()[0], statistics.n_known()
    groups = studies[0].groups
    codes = None if groups is None else np.unique(groups, return_inverse=True)[1]

    def some(first: int) -> np.ndarray:
        numbers = range(first, min(first + AT_ONCE, resamples))
        counts = np.stack([resample(statistics.n, seed, number, codes) for number in numbers], axis=1)
        return statistics.of(counts.astype(np.int32))

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        draws = np.concatenate(list(pool.map(some, range(0, resamples, AT_ONCE))))
    rows = []
    for at, measure in enumerate(statistics.names):
        if not np.isfinite(values[:, at]).any():
            continue
        low, high = percentile_interval(draws[:, :, at])
        apart_low, apart_high = percentile_interval(draws[:, :, at] - draws[:, :1, at])
        if measure in SHARES:  # a bootstrap of images that are all right never errs
            effect = np.array([of_mean(study.columns[measure], groups) for study in studies])
            n_effective = n[:, at] / effect
            low, high = wilson(values[:, at] * n[:, at] / effect, n_effective)
        few = n[:, at] < 2  # a single image has no spread; that does not mean certainty
        low, high = np.where(few, np.nan, low), np.where(few, np.nan, high)
        if measure == "q_auprc":
            low, high = resampled_logit_interval(values[:, at], draws[:, :, at], n[:, at])
        if measure in AUROCS:
            n_wrong, n_right = statistics.outcomes(measure)
            effect = np.array([_effect_of_area(study, measure, groups) for study in studies])
            low, high = area_bounds(values[:, at], n_right, n_wrong, effect=effect)
            few = np.minimum(n_wrong, n_right) < LEAST
        few |= n[:, at] < LEAST_CHANGED
        few |= few[0]
        apart_low, apart_high = np.where(few, np.nan, apart_low), np.where(few, np.nan, apart_high)
        for number, name in enumerate(names):
            row = [measure, name, values[number, at], low[number], high[number]]
            apart = [values[number, at] - values[0, at], apart_low[number], apart_high[number]]
            apart_of_row = apart if number else [np.nan] * 3
            rows.append([*row, *apart_of_row, int(n[number, at])])
    return pd.DataFrame(rows, columns=COLUMNS)


def _effect_of_area(one: StudyScores, measure: str, groups: np.ndarray | None) -> float:
    """The design effect of an AUROC of AUROCS."""
    score = one.columns[CONFIDENCE] if measure == "confidence_auroc" else one.score
    is_known = np.isfinite(one.correct)
    return of_area(score[is_known], one.correct[is_known] == 1, groups_among(groups, is_known))


COLUMNS = [
    "measure", "study", "value", "low", "high", "difference", "difference_low", "difference_high", "n",
]  # fmt: skip


def class_accuracy_changes(
    correct: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compute the accuracy of each class in each study, and the change to the first, with paired intervals.

    Args:
        correct: (n_studies, n) 1, 0 or NaN. labels: (n,) class names; missing ones are left out.
        groups: (n,) codes of patients, lesions or sequences; None: each image is for itself.
    Returns:
        label, study, n, accuracy, difference, difference_low, difference_high; by class name.
    """
    rows = []
    codes, classes = pd.factorize(labels, sort=True)  # -1 without a label
    for code, label in enumerate(classes):
        rows_here = np.flatnonzero((codes == code) & np.isfinite(correct).all(0))
        here, groups_here = correct[:, rows_here], groups_among(groups, rows_here)
        n = here.shape[1]
        if not n:
            continue
        means = here.mean(1)
        settings = {"resamples": resamples, "seed": seed, "groups": groups_here}
        ends = [change_interval(here[0], one, **settings) for one in here]
        for number, name in enumerate(names):
            apart = [means[number] - means[0], *ends[number]]
            rows.append([label, name, n, means[number], *(apart if number else [np.nan] * 3)])
    kinds = ["label", "study", "n", "accuracy", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=kinds)


def change_interval(
    before: np.ndarray, after: np.ndarray, *, resamples: int, seed: int, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """Compare two studies: 95 % bootstrap interval of mean(after - before), (n,) of 0 and 1; NaN for few.

    The difference of an image is -1, 0 or 1, so resampling images is a multinomial draw of three counts;
    where images come in groups, of the effective number of images (`core.measures.design_effect`).
    """
    n = len(before)
    if n < LEAST_CHANGED:
        return np.nan, np.nan
    apart = after - before
    shares = np.array([np.mean(apart == value) for value in (-1, 0, 1)])
    n_effective = max(1, round(n / of_mean(apart, groups)))
    lost, _, won = np.random.default_rng(seed).multinomial(n_effective, shares, resamples).T
    low, high = np.percentile((won - lost) / n_effective, [2.5, 97.5])
    return float(low), float(high)
