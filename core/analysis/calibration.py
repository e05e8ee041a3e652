"""One score made of those without labels by a few labelled images (docs/method.md 2.8)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.recommendation import CALIBRATED, calibrated, say_of_scores
from core.common.entries import record_of
from core.common.records import Record
from core.common.score_names import score_in_sentence
from core.common.step_facts import CalibrationFacts
from core.errors import SettingsError
from core.measures.chance import CHANCE, too_few_outcomes
from core.measures.intervals import auroc_interval
from core.measures.metrics import auroc

FOLDS = 10
PENALTY = 10.0  # of half the squared weights, beside the summed log-likelihood of the images


def share_below(values: np.ndarray) -> np.ndarray:
    """Share of the images with a lower score, by which scores are calibrated: (n,) in [0, 1), ties share."""
    from scipy.stats import rankdata  # here: it takes long to load, and pages read only the sentences

    return (rankdata(values) - 1.0) / max(len(values), 1)


def stratified_rows(codes: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Draw n labelled images for a calibration of scores, each class in proportion and at least once.

    Whole shares first, then the largest remainders. Classes with a single image are left out, so that each
    keeps one to train a probe on.

    Args:
        codes: (n_images,) class codes; -1 is never drawn.
    Returns:
        (n,) rows, ascending.
    Raises:
        SettingsError: fewer images than classes, or more than half of the images.
    """
    sizes = np.bincount(codes[codes >= 0])
    classes, n_usable = np.flatnonzero(sizes >= 2), int(sizes[sizes >= 2].sum())
    if n < len(classes):
        raise SettingsError(
            f"--calibrate {n}: fewer images than the {len(classes)} classes. Give at least {len(classes)}"
        )
    if 2 * n > n_usable:
        raise SettingsError(
            f"--calibrate {n}: more than half of the {n_usable:,} labelled train images, and the others "
            f"train the probe. Give at most {n_usable // 2}"
        )
    exact = n * sizes[classes] / n_usable
    taken = np.clip(np.floor(exact).astype(int), 1, sizes[classes] - 1)
    while (gap := n - int(taken.sum())) != 0:
        room = taken < sizes[classes] - 1 if gap > 0 else taken > 1
        left = np.where(room, (exact - taken) * np.sign(gap), -np.inf)
        taken[int(np.argmax(left))] += int(np.sign(gap))
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(codes == c), k, replace=False) for c, k in zip(classes, taken, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


@dataclass(frozen=True)
class Calibration:
    """A score that is a weighted sum of the ranks of others among the labelled images.

    Attributes:
        labelled: (n_labelled, n_scores) the scores of the labelled images. weights: (n_scores,).
        names: of the scores.
    """

    labelled: np.ndarray
    weights: np.ndarray
    names: tuple[str, ...]

    def score(self, table: pd.DataFrame) -> np.ndarray:
        """(n_images,) float64, higher is better; NaN where a score with a weight is NaN."""
        ranks = ranks_among(self.labelled, table[list(self.names)].to_numpy(float))
        used = self.weights != 0
        return ranks[:, used] @ self.weights[used]


def ranks_among(labelled: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Rank each score among labelled images, to calibrate one of them all: -1/2 to 1/2; NaN stays.

    Args:
        labelled: (n, n_scores), without NaN. scores: (n_images, n_scores).
    """
    columns = []
    for score, values in zip(labelled.T, scores.T, strict=True):
        place, first = np.unique(score, return_index=True)
        middle = (share_below(score) + 0.5 / len(score))[first]  # tied values share their mean rank
        columns.append(np.where(np.isnan(values), np.nan, np.interp(values, place, middle) - 0.5))
    return np.stack(columns, 1)


def _best_single(ranks: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Weights of scores with 1 or -1 for the one whose AUROC is farthest from chance, 0 for others."""
    aurocs = np.array([auroc(column, correct == 1) for column in ranks.T])
    best = int(np.argmax(np.abs(aurocs - 0.5)))
    return np.eye(len(aurocs))[best] * (1.0 if aurocs[best] >= 0.5 else -1.0)


def regressed(ranks: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Weights of scores in the calibrated one: a logistic regression on their ranks, penalised by PENALTY."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0 / PENALTY, max_iter=1000)
    return model.fit(ranks, correct == 1).coef_[0]


Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]


def score_of_other_folds(
    method: Weights, ranks: np.ndarray, correct: np.ndarray, *, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """(n,) score of each labelled image with the weights of the other folds; no group is in two folds.

    NaN for an image whose other folds have one outcome only, as few groups may leave it.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    n_folds = _most_folds(correct, groups)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    chance = np.full(len(correct), np.nan)
    if n_folds < 2:
        return chance
    for train, test in kind(n_folds, shuffle=True, random_state=seed).split(ranks, correct, groups):
        if groups is None or len(np.unique(correct[train])) == 2:
            chance[test] = ranks[test] @ method(ranks[train], correct[train])
    return chance


def _most_folds(correct: np.ndarray, groups: np.ndarray | None) -> int:
    """Folds of a calibration of scores: FOLDS, or as many as images, or groups, of the rarer outcome."""
    if groups is None:
        return int(min(FOLDS, (correct == 1).sum(), (correct == 0).sum()))
    return min(FOLDS, *(len(np.unique(groups[correct == outcome])) for outcome in (0, 1)))


def calibrate(
    scores: pd.DataFrame, correct: np.ndarray, *, seed: int = 0, groups: np.ndarray | None = None
) -> tuple[pd.DataFrame, dict[str, Any], Calibration | None]:
    """Regress correctness on the ranks of several scores, on labelled images.

    Its AUROC and that of the best single score with its sign are cross-validated: the weights, the score
    and its sign are those found without the images of each fold.

    Args:
        scores: (n_images,) rows, one column per label-free score, without NaN. correct: 1 or 0.
        groups: (n_images,) patients, lesions or sequences, which no folds share; None: each image for itself.
    Returns:
        a table score, auroc, low, high (on these images), weight; facts: n, n_errors, score (CALIBRATED),
        auroc, low, high, single (the best single score), sign (-1: reversed), single_auroc, None where
        undefined; and the score itself, None with fewer than two errors or correct images.
    """
    names, correct = list(scores), np.asarray(correct, float)
    values = scores.to_numpy(float)
    ends = [auroc_interval(column, correct == 1, groups)[:3] for column in values.T]
    table = pd.DataFrame(ends, columns=["auroc", "low", "high"]).assign(weight=np.nan)
    table.insert(0, "score", pd.array(names, dtype="str"))
    facts: dict[str, Any] = {"n": len(correct), "n_errors": int((correct == 0).sum())}
    facts |= dict.fromkeys(("score", "auroc", "low", "high", "single", "sign", "single_auroc"))
    if min(facts["n_errors"], facts["n"] - facts["n_errors"]) < 2 or not names:
        return table, facts, None
    ranks = ranks_among(values, values)
    tried = {}
    for method in (regressed, _best_single):
        of_others = score_of_other_folds(method, ranks, correct, seed=seed, groups=groups)
        tried[method] = auroc_interval(of_others, correct == 1, groups)[:3]
    weights, single = regressed(ranks, correct), _best_single(ranks, correct)
    at = int(np.argmax(np.abs(single)))
    facts |= dict(zip(("auroc", "low", "high"), map(float, tried[regressed]), strict=True))
    facts |= {"score": CALIBRATED, "single": names[at], "sign": int(single[at])}
    facts |= {"single_auroc": float(tried[_best_single][0])}
    return table.assign(weight=weights), facts, Calibration(values, weights, tuple(names))


def calibration_sentence(facts: Mapping[str, Any]) -> Record:
    """Advise on scores without labels: how well they predict errors (`quality --calibrate`).

    Args:
        facts: of `calibrate`.
    """
    n = facts["n"]
    if few := too_few_outcomes(facts["n_errors"], n - facts["n_errors"]):
        return say_of_scores("regression_too_few", n=n, parts=(few,))
    kind = "single_reversed" if facts["sign"] < 0 else "single"
    single = say_of_scores(kind, what=score_in_sentence(facts["single"]), value=facts["single_auroc"])
    standing = calibrated(record_of(CalibrationFacts, facts))
    works = "regression_works" if standing == "above" else "regression_in_vain"
    return say_of_scores(
        works,
        n=n,
        value=facts["auroc"],
        interval=(facts["low"], facts["high"]),
        chance=CHANCE,
        parts=(single,),
    )
