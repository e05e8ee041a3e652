"""Accuracy estimated without labels (docs/method.md 3.4), and as `compare` shows it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from core.common.command_line import command_line
from core.common.dataframes import numbers
from core.common.formatting import counted, number, percent, signed
from core.compare.images import Shared
from core.compare.notes import Note
from core.errors import ShapeError
from core.measures.intervals import percentile_interval
from core.research.transfer_learning_topic import AccuracyFacts
from core.store import Study

# Accuracy without labels, as `transfer-probe --into` keeps it in studies: for `compare`. No torch.


ASSUMED, ATC, CONFIDENCES, NUCLEAR, AGREEMENT = METHODS = (
    *("val_accuracy", "atc", "difference_of_confidences", "nuclear_norm", "agreement"),
)
TITLES = {
    ASSUMED: "the accuracy on evaluation images",
    ATC: "average thresholded confidence",
    CONFIDENCES: "difference of confidences",
    NUCLEAR: "nuclear norm of the predictions",
    AGREEMENT: "agreement of two probes",
}
TABLE, DRAWS, STEP = "accuracy_estimates", "accuracy_draws", "accuracy"
TESTS = ("slices", "copies")
ENDS = ("", "_low", "_high")
UNKNOWN = "–"
OF_STUDY = (
    *("margin", "error", "error_assumed", "noise", "truth"),
    *(f"{what}_{test}" for what in ("n", "noise") for test in TESTS),
)
DIFFERENCE = tuple(f"difference{end}" for end in ENDS)
COLUMNS = (
    *("study", "source", "n_images", "method", "title", "estimate", "low", "high", "against", *DIFFERENCE),
    *(f"error_{test}" for test in TESTS),
    *(f"gain_{test}{end}" for test in TESTS for end in ENDS),
    *("chosen", *OF_STUDY),
)


@dataclass(frozen=True)
class ComparedEstimates:
    """What `compare` asks for: the `estimate_table` of some studies, and what it says."""

    table: pd.DataFrame

    @classmethod
    def of(cls, shared: Shared) -> ComparedEstimates:
        """Read the estimates that the studies hold."""
        return cls(estimate_table(shared))

    def sentences(self) -> list[str]:
        """See `estimate_sentences`."""
        return estimate_sentences(self.table)

    def by_method(self) -> pd.DataFrame:
        """See `estimates_by_method`."""
        return estimates_by_method(self.table)

    @staticmethod
    def notes(shared: Shared) -> list[Note]:
        """See `_unlabelled_notes`."""
        return _unlabelled_notes(shared)


def estimate_table(shared: Shared) -> pd.DataFrame:
    """Tabulate estimates of accuracy (research) that studies hold, a row per study and method.

    Returns:
        columns COLUMNS: study; source, the study whose probe it is; n_images it speaks of (all or the
        evaluation images of the study, not only the shared ones); method, title; estimate with low and high,
        its prediction interval;
        difference with its 95 % interval, paired over images, from the same method's estimate in the first
        study with estimates of the same images, `against` (empty where there is none); error_slices and
        error_copies, its mean absolute errors in back tests; gain_slices and gain_copies, how much smaller
        they are than those of assuming the accuracy on evaluation images, with paired 95 % intervals; chosen,
        whether it was best there; and OF_STUDY, the same for all its rows: margin and error of the choice of
        a method, both judged in cases that it was made without; the error of assuming that accuracy; the mean
        error by chance alone; truth (NaN where labels do not tell); number and noise of the cases of each
        back test. What an earlier version did not keep is NaN.
    """
    named = list(zip(shared.names, shared.studies, strict=True))
    parts = [
        _with_difference(_of_study(name, study), study, named[:at]) for at, (name, study) in enumerate(named)
    ]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _of_study(name: str, study: Study) -> pd.DataFrame:
    if not study.has(TABLE):
        return pd.DataFrame(columns=list(COLUMNS))
    table, facts = study.table(TABLE), study.facts(AccuracyFacts)
    low, high = prediction_interval(numbers(table, "estimate"), numbers(table, "margin"))
    of_study = {key: getattr(facts, key) for key in OF_STUDY}
    values = {key: np.nan if value is None else value for key, value in of_study.items()}
    rows = table.reindex(columns=list(dict.fromkeys([*table, *COLUMNS])))
    is_chosen = (table["method"] == facts.by).to_numpy(bool)
    titles = [TITLES[method] for method in table["method"]]
    rows = rows.assign(
        study=name,
        source=facts.source_name,
        n_images=facts.n_images,
        title=titles,
        chosen=is_chosen,
        **values,
        low=low,
        high=high,
    )
    return rows.loc[:, list(COLUMNS)]


def _with_difference(table: pd.DataFrame, study: Study, before: Sequence[tuple[str, Study]]) -> pd.DataFrame:
    """Fill the columns of the difference from the first of `before` with estimates of the same images."""
    table["against"] = ""
    if not len(table) or (of_images := _pairs_by(study)) is None:
        return table
    for name, other in before:
        if _pairs_by(other) != of_images:
            continue
        points, draws = ([one.table(kind) for one in (study, other)] for kind in (TABLE, DRAWS))
        gaps = numbers(points[0], "estimate") - numbers(points[1], "estimate")
        low, high = percentile_interval((draws[0] - draws[1]).to_numpy(float))
        return table.assign(against=name, **dict(zip(DIFFERENCE, (gaps, low, high), strict=True)))
    return table


def _pairs_by(study: Study) -> tuple[Any, ...] | None:
    """Return what two studies must share for their draws to be pairs; None without draws."""
    if not study.has(DRAWS):
        return None
    settings, of_images = study.settings(STEP), study.facts(AccuracyFacts).of_images
    return of_images.known, of_images.new, settings["resamples"], settings["seed"]


def estimate_sentences(table: pd.DataFrame) -> list[str]:
    """Say what is estimated of each study, in one sentence each (research)."""
    return [_sentence(row) for row in table.to_dict("records") if row["chosen"]]


def _sentence(row: dict) -> str:
    images = counted(int(row["n_images"]), "image")
    method = row["title"].removeprefix("the ")
    estimate = estimate_in_words(row["estimate"], row["margin"])
    sentence = (
        f"{row['study']}: without labels, the probe of {row['source']} is estimated to be right on "
        f"{estimate} of {images}, by the "
        f"{method}"
    )
    sizes = {f"n_{test}": row[f"n_{test}"] for test in TESTS}
    sentence += errors_in_words(row["error"], assumed=row["error_assumed"], noise=row["noise"], **sizes)
    if row["against"]:
        sentence += (
            f"; by the same method {_in_points(row, DIFFERENCE)} against {row['against']}, paired over images"
        )
    has_labels = row["truth"] is not None and np.isfinite(row["truth"])
    return sentence + (f"; by their labels: {percent(row['truth'])}" if has_labels else "")


def _unlabelled_notes(shared: Shared) -> list[Note]:
    """A note on each study whose accuracy nothing tells, and the command that estimates it."""
    notes = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        if study.has("probe") or study.has(TABLE) or study.class_names:
            continue
        notes.append(
            Note(
                f"how many images {name} classifies correctly is not known without labels; the probe of a "
                "labelled study with the same encoder gives an estimate",
                command_line("transfer-probe", "LABELLED", into=study.path),
            )
        )
    return notes


def _in_points(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """A difference of accuracies with its interval, in points (research): '+2.1 points (−0.3 to +4.4)'."""
    value, low, high = (signed(100 * row[name], 1) for name in names)
    return f"{value} points ({low} to {high})"


def estimates_by_method(table: pd.DataFrame) -> pd.DataFrame:
    """Return the estimates of all methods (research) in percent and points: a row per study and method.

    In brackets beside an accuracy is its prediction interval. A back test's column has the mean error and, in
    brackets, the interval of how much larger or smaller it is than that of assuming the accuracy on
    evaluation images; the last column has what chance alone would give, on slices and on copies.
    """
    accuracies = [_number_or_dash(numbers(table, name) * 100) for name in ("estimate", "low", "high")]
    rows = table.to_dict("records")
    on_slices, on_copies = ([_error(row, test) for row in rows] for test in TESTS)
    with_interval = []
    for value, low, high in zip(*accuracies, strict=True):
        with_interval.append(value if low == UNKNOWN else f"{value} ({low} to {high})")
    methods = [_method(row) for row in rows]
    noise = [_noise(row) for row in rows]
    return pd.DataFrame(
        {
            "Study": table["study"],
            "Probe of": table["source"],
            "Method": methods,
            "Accuracy, %": with_interval,
            "Error on slices, points": on_slices,
            "Error on corrupted copies, points": on_copies,
            "By chance alone, points": noise,
        }
    )


def _method(row: Mapping[Any, Any]) -> str:
    title = str(row["title"])
    return title[:1].upper() + title[1:] + (" (best in back tests)" if row["chosen"] else "")


def _noise(row: Mapping[Any, Any]) -> str:
    return " and ".join(_number_or_dash(np.array([100 * row[f"noise_{test}"] for test in TESTS])))


def _error(row: Mapping[str, Any], test: str) -> str:
    (error,) = _number_or_dash(np.array([100 * row[f"error_{test}"]]))
    low, high = (-100 * row[f"gain_{test}{end}"] for end in ("_high", "_low"))
    if not np.isfinite([low, high]).all() or low == high == 0:  # 0: assuming it, against itself
        return error
    return f"{error} ({signed(low, 1)} to {signed(high, 1)})"


def _number_or_dash(values: np.ndarray) -> list[str]:
    """Write estimates of accuracy (research) with one digit each; a dash for what is not known."""
    return [f"{value:.1f}" if np.isfinite(value) else UNKNOWN for value in values]


def prediction_interval(estimate: ArrayLike, margin: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds within which the true accuracy is expected to lie, estimate -+ margin, in [0, 1] (research).

    Args:
        margin: the 95th percentile of the absolute errors in back tests; NaN without any.
    """
    estimate, margin = np.asarray(estimate, np.float64), np.asarray(margin, np.float64)
    return np.clip(estimate - margin, 0.0, 1.0), np.clip(estimate + margin, 0.0, 1.0)


def estimate_in_words(estimate: float, margin: float | None) -> str:
    """An estimate with its prediction interval, which is left out without back tests (research).

    >>> estimate_in_words(0.7, 0.25), estimate_in_words(0.7, None)
    ('70.0 % (prediction interval 45.0 % to 95.0 %)', '70.0 %')
    """
    if not _is_defined(margin):
        return percent(estimate)
    low, high = prediction_interval(estimate, float(margin or 0))
    return f"{percent(estimate)} (prediction interval {percent(float(low))} to {percent(float(high))})"


def errors_in_words(
    error: float | None,
    *,
    noise: float | None,
    assumed: float | None,
    n_slices: float | None,
    n_copies: float | None,
) -> str:
    """Say, after an estimate (research), how far off such estimates were in back tests, if there were any.

    Args:
        error: mean error of the best method. noise: what chance alone gives. assumed: the error of taking the
            accuracy on evaluation images. n_slices, n_copies: cases. All but the first may be unknown.

    >>> errors_in_words(0.04, noise=0.03, assumed=None, n_slices=30, n_copies=0)
    '; in back tests on 30 slices off by 4.0 points (chance alone: 3.0)'
    """
    if not _is_defined(error):
        return "; no back test tells how far off that is"
    counts = {"slices": n_slices, "sets of corrupted copies": n_copies}
    cases = " and ".join(f"{n:.0f} {what}" for what, n in counts.items() if _is_defined(n) and n)
    others = {"chance alone": noise, "assuming the accuracy on evaluation images": assumed}
    beside = "; ".join(f"{what}: {_points(value)}" for what, value in others.items() if _is_defined(value))
    on, within = f" on {cases}" if cases else "", f" ({beside})" if beside else ""
    return f"; in back tests{on} off by {_points(error)} points{within}"


def _is_defined(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _points(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1)


# Estimates of the probe's accuracy on images without labels (docs/method.md 3.4).
#
# Each estimate compares what the probe says of the new images with what it says of evaluation images of the
# study, whose labels are known. None can be right for every shift, so each is back-tested
# (`back_tests.py`).


FEWEST = 10  # images on each side
MOST_ROWS = 5000  # of the nuclear norm


@dataclass(frozen=True)
class Predictions:
    """Predictions of the probe for n images.

    Attributes:
        shares: (n, n_classes) float, probabilities; each row adds up to 1. halves: (n, 2) int, the classes
            predicted by two probes trained on disjoint halves of the train images.
    """

    shares: np.ndarray
    halves: np.ndarray

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or self.halves.shape != (len(self.shares), 2):
            raise ShapeError(f"shares {self.shares.shape} and halves {self.halves.shape} do not match")

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def confidence(self) -> np.ndarray:
        """(n,) probability of the predicted class."""
        return self.shares.max(1)

    @property
    def predicted(self) -> np.ndarray:
        """(n,) int, the predicted class."""
        return self.shares.argmax(1)

    def at(self, rows: np.ndarray) -> Predictions:
        """Return those of some rows."""
        return Predictions(self.shares[rows], self.halves[rows])


def threshold(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The confidence below which as many images lie as are misclassified, to estimate accuracy (research).

    Args:
        confidence: (n,). correct: (n,) bool.
    Returns:
        the (errors + 1)-th smallest confidence; infinity where all are misclassified.
    """
    wrong = int(np.count_nonzero(~np.asarray(correct, bool)))
    return float(np.sort(confidence)[wrong]) if wrong < len(confidence) else np.inf


def nuclear_norm(shares: np.ndarray) -> float:
    """Nuclear norm of the matrix of predictions over its largest possible value (research; Deng et al. 2023).

    ||P||_* / sqrt(min(n, C) n): large where predictions are confident and spread over the classes.

    Args:
        shares: (n, C) probabilities; of more than `MOST_ROWS` rows, a seeded sample is taken, since the first
            rows of images that are listed by class hold the first classes only.
    Returns:
        float in (0, 1].
    """
    if len(shares) > MOST_ROWS:
        shares = shares[np.sort(np.random.default_rng(0).permutation(len(shares))[:MOST_ROWS])]
    n, n_classes = shares.shape
    small = shares.T @ shares if n >= n_classes else shares @ shares.T
    values = np.sqrt(np.clip(np.linalg.eigvalsh(small.astype(np.float64)), 0, None))
    return float(values.sum() / np.sqrt(min(n, n_classes) * n))


def estimates(labelled: Predictions, correct: np.ndarray, new: Predictions) -> dict[str, float]:
    """Estimate the accuracy of a study's probe on new images (research), by each method.

    val_accuracy: a, that of the known images, as if nothing had changed. atc: share of new images whose
    confidence reaches `threshold`. difference_of_confidences: a - (mean confidence of the known images - mean
    confidence of the new ones) (Guillory et al. 2021). nuclear_norm: a times the ratio of the norms (ours;
    the paper reports the norm alone). agreement: share of new images on which both halves' probes agree
    (Jiang et al. 2022).

    Args:
        labelled: of evaluation images; correct: (n,) bool, whether each is classified correctly.
        new: of the images without labels.
    Returns:
        method -> float in [0, 1]; NaN with fewer than `FEWEST` images on a side.
    """
    if min(len(labelled), len(new)) < FEWEST:
        return dict.fromkeys(METHODS, np.nan)
    accuracy = float(np.mean(correct))
    changed = accuracy - float(labelled.confidence.mean() - new.confidence.mean())
    norms = nuclear_norm(new.shares) / nuclear_norm(labelled.shares)
    above_threshold = new.confidence >= threshold(labelled.confidence, correct)
    halves_agree = new.halves[:, 0] == new.halves[:, 1]
    thresholded = float(np.mean(above_threshold))
    agreement = float(np.mean(halves_agree))
    by_method = {
        ASSUMED: accuracy,
        ATC: thresholded,
        CONFIDENCES: changed,
        NUCLEAR: accuracy * norms,
        AGREEMENT: agreement,
    }
    return {name: float(np.clip(value, 0.0, 1.0)) for name, value in by_method.items()}


def resampled_estimates(
    labelled: Predictions, correct: np.ndarray, new: Predictions, *, resamples: int = 200, seed: int = 0
) -> tuple[dict[str, float], np.ndarray]:
    """`estimates` (research), and those of resamples of the known and of the new images, drawn apart.

    They hold what the choice of images brings, not what a method gets wrong: that is what back tests are for.
    Which rows are drawn depends on the seed and the numbers of images alone, so the draws of two encoders on
    the same images are pairs, from which the interval of their difference follows.

    Returns:
        method -> estimate; (resamples, n_methods) float64, NaN where undefined.
    """
    of_known, of_new = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    new = new.at(of_new.permutation(len(new)))  # so that draws stay pairs of those that older studies keep
    draws = np.full((resamples, len(METHODS)), np.nan)
    for draw in draws if min(len(labelled), len(new)) >= FEWEST else ():
        mine = of_known.integers(0, len(labelled), len(labelled))
        theirs = of_new.integers(0, len(new), len(new))
        by_method = estimates(labelled.at(mine), correct[mine], new.at(theirs))
        draw[:] = [by_method[name] for name in METHODS]
    return estimates(labelled, correct, new), draws
