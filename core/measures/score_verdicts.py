"""What each score of a study is worth for finding errors, in one of four words (docs/method.md 2.10)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import evenly
from core.common.records import Record, Templates
from core.common.score_names import score_label
from core.common.verdict_words import (
    LOOKED,
    MOST_LOOKED,
    OF_PLAIN,
    OF_USE,
    RELIABLE,
    RELIABLE_GAIN,
    USEFUL,
    USEFUL_GAIN,
    USELESS,
    WEAK,
    Verdict,
)
from core.measures.chance import CHANCE, Standing, against_chance, outcomes, too_few_outcomes
from core.measures.design_effect import groups_among, of_mean
from core.measures.evaluate import result_column, slice_columns
from core.measures.intervals import wilson
from core.study.reader import StudyReader

# What a score of single images is worth for finding errors, in one of four words (docs/method.md 2.10).


_say = Templates.beside(__file__)
WORD_OF = {
    "wrong_way": USELESS,
    "no_better": USELESS,
    "hardly_better": USELESS,
    "weak": WEAK,
    "useful": USEFUL,
    "reliable": RELIABLE,
}


@dataclass(frozen=True)
class FoundFirst:
    """Errors among the images that a score puts first.

    Attributes:
        found: errors among the first `looked` (a mean over the orders of equal scores), with the ends of its
            95 % interval. by_chance, perfect: errors that a random order finds there, and the best possible.
    """

    looked: int
    found: float
    low: float
    high: float
    by_chance: float
    perfect: float

    def gain(self, n_errors: float) -> float:
        """Return what a number of errors is of the way from chance (0) to a perfect order (1).

        >>> FoundFirst(50, 13, 8, 20, 6, 50).gain(28)
        0.5
        """
        room = self.perfect - self.by_chance
        return (n_errors - self.by_chance) / room if room > 0 else math.nan


@dataclass(frozen=True)
class ScoreEvidence:
    """What is known of a score; NaN, None or "" where unknown.

    Attributes:
        score: its column. auroc, low, high: with the ends of its 95 % interval. n_wrong, n_right: images
            behind it. first, plain: errors among the first images by it, and by the classifier's confidence
            on the same images; `plain` is None of the confidence itself. why: there is no AUROC.
    """

    score: str
    auroc: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n_wrong: int = 0
    n_right: int = 0
    first: FoundFirst | None = None
    plain: FoundFirst | None = None
    why: str = ""


def judge_score(evidence: ScoreEvidence) -> Verdict:
    """Say in a word and a sentence what the AUROC of a score means, by the rule of docs/method.md 2.10.

    No word without an AUROC, an interval and the errors among the first images, nor from fewer than 8 errors
    or correct images (`too_few_outcomes`).
    """
    name = score_label(evidence.score)
    ends = (evidence.low, evidence.high)
    if math.isnan(evidence.auroc):
        return Verdict("", _say("untested", what=name, why=evidence.why))
    if few := too_few_outcomes(evidence.n_wrong, evidence.n_right):
        return Verdict("", _say("too_few", what=name, n=few.n, parts=(few,)))
    standing = against_chance(*ends, evidence.n_wrong, evidence.n_right)
    if standing == "too_few" or evidence.first is None:
        return Verdict("", _say("no_interval", what=name, value=evidence.auroc))
    kind = _kind(standing, evidence, evidence.first)
    parts = _numbers(evidence.first, evidence.plain, above=WORD_OF[kind] != USELESS)
    sentence = _say(kind, what=name, value=evidence.auroc, interval=ends, chance=CHANCE, parts=parts)
    return Verdict(WORD_OF[kind], sentence)


def _kind(standing: Standing, evidence: ScoreEvidence, first: FoundFirst) -> str:
    if standing == "below":
        return "wrong_way"
    if standing == "level":
        return "no_better"
    if evidence.high < OF_USE:
        return "hardly_better"
    if first.gain(first.low) >= RELIABLE_GAIN:
        return "reliable"
    gain = first.gain(first.found)
    of_plain = evidence.plain.gain(evidence.plain.found) if evidence.plain else 0.0
    return "useful" if gain >= USEFUL_GAIN and gain >= OF_PLAIN * of_plain else "weak"


def _numbers(first: FoundFirst, plain: FoundFirst | None, *, above: bool) -> tuple[Record, ...]:
    """What is found among the first images, and what the confidence finds there.

    Args:
        above: all images tell it from chance, so it is said where the first ones alone do not.
    """
    by_chance = first.low <= first.by_chance <= first.high
    sentence = _say(
        "found_or_chance" if above and by_chance else "found",
        n=round(first.found),
        of=first.looked,
        interval=(first.low, first.high),
        chance=first.by_chance,
    )
    return (sentence,) if plain is None else (sentence, _say("plain", n=round(plain.found)))


# Errors found among the first n images looked at (docs/method.md 2.8).


RANDOM, PERFECT = "at random", "perfect"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of the images: rows that every table has
POINTS = 200


def errors_among_first(values: np.ndarray, wrong: np.ndarray, n_looked: np.ndarray) -> np.ndarray:
    """Errors among the n images with the lowest values of a score, for several n.

    Among equal scores the mean over all orders is taken: of m tied images with e errors, k hold k e / m.
    Images without a score are looked at last.

    Args:
        values: (n_images,) scores, higher is better. wrong: (n_images,) bool. n_looked: numbers of images.
    Returns:
        (len(n_looked),) float64.
    """
    order = np.argsort(values, kind="stable")  # NaN last
    ordered, errors = values[order], np.cumsum(wrong[order])
    differ = (ordered[1:] != ordered[:-1]) & ~np.isnan(ordered[:-1])
    ends = np.flatnonzero(np.append(differ, True))
    return np.interp(n_looked, np.append(0, ends + 1), np.append(0, errors[ends]))


def errors_found(
    scores: Mapping[str, np.ndarray], correct: np.ndarray, *, at: int | None = None
) -> pd.DataFrame:
    """Count the errors found by looking at the images in the order of each score, lowest first.

    Args:
        scores: (n_images,) each, by name. correct: 1 correct, 0 misclassified; NaN is left out.
        at: a number of images that gets a row, beside SHARES of all and at most POINTS others.
    Returns:
        order (a score, RANDOM or PERFECT), n_looked, share_looked, found, share_found (of all errors); empty
        unless there are errors.
    """
    judged = np.isfinite(correct)
    wrong = correct[judged] == 0
    n, n_errors = len(wrong), int(wrong.sum())
    columns = ["order", "n_looked", "share_looked", "found", "share_found"]
    if not n_errors:
        return pd.DataFrame(columns=columns)
    marked = [share_of(n, share) for share in SHARES] + [min(max(at or 0, 0), n)]
    looked = np.unique(np.concatenate([evenly(n + 1, POINTS), marked]))
    counts = {
        name: errors_among_first(np.asarray(values, float)[judged], wrong, looked)
        for name, values in scores.items()
    }
    counts |= {RANDOM: looked * n_errors / n, PERFECT: np.minimum(looked, n_errors).astype(float)}
    parts = []
    for name, count in counts.items():
        values = (name, looked, looked / n, count, count / n_errors)
        parts.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
    return pd.concat(parts, ignore_index=True)


def share_of(n_images: int, share: float) -> int:
    """Return on how many images errors found by a score are counted: a share such as 5 %, at least 1."""
    return min(max(round(n_images * share), 1), n_images)


# What each score of a study is worth for finding errors: its numbers, and the verdict on them.


PLAIN = "confidence"  # the score that others are compared with


def first_looked(n_images: int) -> int:
    """Return how many images are looked at first in the order of a score, to count errors found.

    >>> first_looked(5000), first_looked(120), first_looked(3)
    (50, 30, 1)
    """
    return max(1, min(LOOKED, int(MOST_LOOKED * n_images)))


def found_first(values: np.ndarray, correct: np.ndarray, groups: np.ndarray | None = None) -> FoundFirst:
    """Count the errors among the images that a score puts first, with a 95 % interval.

    n Wilson(k / n) for k errors among the first n images; where images come in groups, of as many images as
    these are worth (`design_effect.of_mean`).

    Args:
        values: (n_images,) scores, higher is better; at least one image. correct: (n_images,) 1 or 0.
        groups: (n_images,) codes of patients or sequences; None: each image is for itself.
    """
    n, wrong = len(values), correct == 0
    looked = first_looked(n)
    last = np.partition(values, looked - 1)[looked - 1]
    among = values <= last  # the first ones, and those that are tied with the last of them
    n_found = float(errors_among_first(values[among], wrong[among], np.array([looked]))[0])
    outcome = wrong[among].astype(np.float64)
    effect = min(of_mean(outcome, groups_among(groups, among)), looked)
    n_wrong = int(wrong.sum())
    perfect = min(looked, n_wrong)
    low, high = (min(looked * float(end), perfect) for end in wilson(n_found / effect, looked / effect))
    return FoundFirst(looked, n_found, low, high, looked * n_wrong / n, perfect)


def score_evidence(
    study: StudyReader, score: str, row: dict[Any, Any], mask: np.ndarray | None = None
) -> ScoreEvidence:
    """Return what is known of a score on the images of a mask, by default the evaluation images.

    Args:
        row: of a table of metrics: auroc, n, n_wrong or base_rate_error, the ends auroc_low and auroc_high
            (or low and high), and why there is none: note (or reason).
    """
    among_rows = study.is_val if mask is None else mask
    n_wrong, n_right = outcomes(row)
    low, high = (row.get(f"auroc_{end}", row.get(end, np.nan)) for end in ("low", "high"))
    columns = slice_columns(study)
    has_plain = score != PLAIN and columns.get(PLAIN) == "quality"
    names = [score, PLAIN] if has_plain else [score]
    firsts = _firsts(study, names, among_rows) if n_wrong and n_right else {}
    reason = str(row.get("note", row.get("reason", "")) or "")
    first_of_plain = firsts.get(PLAIN) if has_plain else None
    auroc = float(row["auroc"])
    first_errors = firsts.get(score)
    return ScoreEvidence(
        score,
        auroc=auroc,
        low=float(low),
        high=float(high),
        n_wrong=n_wrong,
        n_right=n_right,
        first=first_errors,
        plain=first_of_plain,
        why=reason,
    )


def _firsts(study: StudyReader, names: Sequence[str], mask: np.ndarray) -> dict[str, FoundFirst]:
    """`found_first` by each of some scores, on the images of known correctness that have them all."""
    correct = result_column(study, "correct")
    values = {name: result_column(study, name) for name in names}
    judged = mask & np.isfinite(correct)
    if PLAIN in values and np.isfinite(values[PLAIN][judged]).any():
        judged &= np.isfinite(values[PLAIN])
    else:
        values = {name: value for name, value in values.items() if name != PLAIN or name == names[0]}
    judged &= np.isfinite(values[names[0]])
    if not judged.any():
        return {}
    groups = groups_among(study.groups, judged)
    return {name: found_first(value[judged], correct[judged], groups) for name, value in values.items()}


def score_verdicts(
    study: StudyReader, metrics: pd.DataFrame, mask: np.ndarray | None = None
) -> dict[str, Verdict]:
    """Return the verdict on each score of a table of metrics, as `score_evidence` reads its rows."""
    rows = {str(row["score"]): row for row in metrics.to_dict("records")}
    return {name: judge_score(score_evidence(study, name, row, mask)) for name, row in rows.items()}
