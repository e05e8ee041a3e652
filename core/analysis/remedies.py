"""What would help: how much each remedy of a head gains (docs/method.md 3.7), and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import words
from core.common.durations import SHARED, expected_duration, slowdown
from core.common.formatting import signed_interval
from core.common.records import Record, Templates
from core.common.step_facts import RemediesFacts
from core.measures.headline import as_corrected, evaluation_images, out_of_fold
from core.measures.intervals import percentile_interval, resampled_means
from core.study.label_decisions import decisions, decisions_digest
from core.study.reader import StudyReader

# What would help: how much each remedy of a head gains over a refit without it (docs/method.md 3.7).
#
# Tables `remedies`, a row a remedy, and `remedy_images`, a row an image whose answer one of them makes
# right or wrong, are written by the step `remedies`.


CORRECTED, WITHOUT_WRONG, SLICES, BALANCED, FEATURES_OFF = OF_ANSWERS = (
    *("corrected", "without_wrong", "slices", "balanced", "features_off"),
)
REFIT, TEMPERATURE = "refit", "temperature"
TOGETHER = "+"  # between the two remedies of a pair
MEANS = ("gain", "worst_slice_gain", "worst_class_gain", "log_loss_gain", "calibration_gain")
COLUMNS = (
    *("remedy", "accuracy", "gain", "low", "high", "mended", "broken"),
    *("worst_slice_gain", "worst_class_gain", "log_loss_gain", "n", "outcome", "why"),
    *("worst_slice_low", "worst_slice_high", "worst_class_low", "worst_class_high"),
    *("log_loss_low", "log_loss_high", "calibration_gain", "calibration_low", "calibration_high"),
)
OF_IMAGES = ("remedy", "image_id", "label", "before", "after", "change")
MENDED, BROKEN = CHANGES = ("mended", "broken")
WRONG = "wrong"  # in place of a change: an error of the refit without a remedy
GAINS, LOSES, NO_DIFFERENCE, TOO_FEW, NOT_TRIED = OUTCOMES = (
    *("gains", "loses", "no difference", "too few to tell", "not tried"),
)
TABLE, IMAGES = "remedies", "remedy_images"
RULED_OUT = 0.02  # a gain that intervals may reach where it is said that no remedy of the head helps
TIMES_CROSSFIT = 4.5  # as long as `crossfit`: 3.5 times for 118 photographs, 5.1 for 5,000 images
LEAST_DISCORDANT = 8  # images that change side: of fewer nothing is said
LOG_LOSS_DIGITS = 3  # of a log loss, in templates
BINS = 15  # of the calibration error
RESAMPLES = 2000


@dataclass(frozen=True)
class HeadAnswers:
    """What a head answers on n images that it has not seen.

    Attributes:
        predicted: (n,) int, codes. confidence: (n,) float, the probability of these.
        log_loss: (n,) float, minus the logarithm of the probability of the truth; NaN where it is unknown.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    log_loss: np.ndarray

    @classmethod
    def unknown(cls, n: int) -> "HeadAnswers":
        return cls(np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan))

    def of(self, which: np.ndarray) -> "HeadAnswers":
        """Return the answers of some images, given by their positions or a mask."""
        return HeadAnswers(self.predicted[which], self.confidence[which], self.log_loss[which])

    def put(self, at: np.ndarray, other: "HeadAnswers") -> None:
        """Take over what another head answers of the images at some positions."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[at] = theirs


@dataclass(frozen=True)
class Judged:
    """The images on which remedies are compared.

    Attributes:
        truth: (n,) int, codes. units: (n,) int, drawn together.
        in_slice, in_class: (n,) bool, those of the worst slice and of the worst class under the base.
    """

    truth: np.ndarray
    units: np.ndarray
    in_slice: np.ndarray
    in_class: np.ndarray

    def right(self, answers: HeadAnswers) -> np.ndarray:
        return answers.predicted == self.truth


def compare_heads(
    judged: Judged, before: HeadAnswers, after: HeadAnswers, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """Compare the head before and after a remedy on the same images, out of fold.

    gain = mean(1[after right] - 1[before right]) over all images, over the worst slice and over the worst
    class; the log loss and the calibration error of `before` less those of `after`, so that more is better.
    Each with the percentile interval of `resamples` bootstrap draws of units, the same draws for both heads.

    Returns:
        the columns of COLUMNS but remedy, outcome and why. NaN where there are no images, or no probability
        of the truth is known.
    """
    was, now = judged.right(before), judged.right(after)
    change = now.astype(float) - was
    inside = [np.where(mask, change, np.nan) for mask in (judged.in_slice, judged.in_class)]
    columns = np.column_stack([change, *inside, before.log_loss - after.log_loss])
    gaps = np.column_stack([_gaps(was, before.confidence), _gaps(now, after.confidence)])
    draws = resampled_means(
        np.column_stack([columns, gaps]), resamples=resamples, seed=seed, groups=judged.units
    )
    n_means = columns.shape[1]
    errors = _calibration_gain(draws[:, n_means:])
    ends = percentile_interval(np.column_stack([draws[:, :n_means], errors]))
    with np.errstate(invalid="ignore", divide="ignore"):
        finite = np.isfinite(columns)
        means = np.where(finite, columns, 0.0).sum(0) / finite.sum(0)
    gap_means = gaps.mean(0, keepdims=True) if len(gaps) else np.full((1, 2 * BINS), np.nan)
    values = dict(zip(MEANS, [*means, *_calibration_gain(gap_means)], strict=True))
    bounds = {}
    for end, limits in zip(("low", "high"), ends, strict=True):
        for name, value in zip(MEANS, limits, strict=True):
            bounds[f"{name.removesuffix('gain')}{end}"] = float(value)
    row: dict[str, Any] = {"accuracy": float(now.mean()) if len(now) else np.nan}
    row |= {name: float(value) for name, value in values.items()}
    row |= bounds
    row |= {"mended": int((now & ~was).sum()), "broken": int((was & ~now).sum())}
    row["n"] = len(now)
    return row


def _gaps(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(n, BINS) confidence less correctness of each image, in the column of its bin, 0 in the others."""
    places = np.clip(np.ceil(np.nan_to_num(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.zeros((len(right), BINS))
    gaps[np.arange(len(right)), places] = confidence - right
    return gaps


def _calibration_gain(means: np.ndarray) -> np.ndarray:
    """(k,) calibration error of the first head less that of the second, of (k, 2 BINS) means of `_gaps`."""
    first, second = means[:, :BINS], means[:, BINS:]
    return np.abs(first).sum(1) - np.abs(second).sum(1)


def outcome_of(remedy: str, row: dict[str, float]) -> str:
    """Say whether a remedy helps, harms or neither by its numbers: one of OUTCOMES.

    Temperature changes no answer, so that its log loss decides; of the others the accuracy does.
    """
    low, high = ("log_loss_low", "log_loss_high") if remedy == TEMPERATURE else ("low", "high")
    if not row["n"]:
        return NOT_TRIED
    if remedy != TEMPERATURE and row["mended"] + row["broken"] < LEAST_DISCORDANT:
        return TOO_FEW
    if row[low] > 0:
        return GAINS
    return LOSES if row[high] < 0 else NO_DIFFERENCE


def remedy_row(remedy: str, numbers: dict[str, float]) -> dict[str, object]:
    """A row of table `remedies` for a remedy that was tried."""
    return {"remedy": remedy, **numbers, "outcome": outcome_of(remedy, numbers), "why": ""}


def untried_row(remedy: str, why: str) -> dict[str, object]:
    """A row of table `remedies` for a remedy that there was no reason to try."""
    return {"remedy": remedy, "mended": 0, "broken": 0, "n": 0, "outcome": NOT_TRIED, "why": why}


def remedy_table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return table `remedies`, with COLUMNS: one row a remedy of the head."""
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    texts = ("remedy", "outcome", "why")
    counts = dict.fromkeys(("mended", "broken", "n"), np.int64)
    floats = {name: np.float64 for name in COLUMNS if name not in (*texts, *counts)}
    return table.astype({**counts, **floats, **dict.fromkeys(texts, "str")})


def tried(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of table `remedies` that were tried."""
    return table.loc[table["outcome"].to_numpy(object) != NOT_TRIED].reset_index(drop=True)


def harmful_remedies(table: pd.DataFrame) -> list[str]:
    """The single remedies that change answers for the worse, as table `remedies` lists them."""
    loses = (table["outcome"] == LOSES).to_numpy(bool)
    return [name for name in table.loc[loses, "remedy"].astype(str) if name in OF_ANSWERS]


def best_remedy(table: pd.DataFrame) -> str:
    """Say which remedy to take: the one with the largest gain among those that gain; "" where none does.

    One that changes answers comes before temperature, which changes none; the refit is no remedy.
    """
    gaining = table.loc[
        (table["outcome"] == GAINS).to_numpy(bool) & (table["remedy"] != REFIT).to_numpy(bool)
    ]
    of_answers = gaining.loc[gaining["remedy"].to_numpy(object) != TEMPERATURE]
    if len(of_answers):
        return str(of_answers["remedy"].iloc[int(of_answers["gain"].to_numpy(float).argmax())])
    return TEMPERATURE if len(gaining) else ""


# What is said of remedies: which gain, which do not, and why one was not tried.


NAMES = {
    REFIT: "refitting alone",
    CORRECTED: "corrected labels",
    WITHOUT_WRONG: "likely wrong labels left out",
    SLICES: "worst slices weighted",
    BALANCED: "classes weighted alike",
    FEATURES_OFF: "spurious features off",
    TEMPERATURE: "temperature",
}
UNTRIED = {
    REFIT: "no_answer",
    CORRECTED: "no_correction",
    WITHOUT_WRONG: "no_wrong_label",
    SLICES: "no_slice",
    BALANCED: "equal_classes",
    FEATURES_OFF: "no_feature",
    TEMPERATURE: "no_temperature",
}
KINDS = {
    GAINS: "gains",
    LOSES: "loses",
    NO_DIFFERENCE: "no_difference",
    TOO_FEW: "too_few",
    NOT_TRIED: "not_tried",
}
_say = Templates.beside(__file__)


def remedy_name(remedy: str) -> str:
    """Name a remedy of the head in words, or two that were tried together.

    >>> remedy_name("corrected+balanced")
    'corrected labels + classes weighted alike'
    """
    return f" {TOGETHER} ".join(NAMES.get(one, one) for one in remedy.split(TOGETHER))


def compared_name(row: Mapping[str, Any]) -> str:
    """Name a remedy, and for refitting alone what it is compared with: the answer in use, on fewer images.

    Args:
        row: of table `remedies`.
    """
    name = remedy_name(str(row["remedy"]))
    if row["remedy"] != REFIT or row["outcome"] == NOT_TRIED:
        return name
    return _say("refit_alone", what=name, n=int(row["n"]))


def why_not_tried(remedy: str) -> Record:
    """Say why there was no reason to try a remedy."""
    return _say(UNTRIED[remedy])


def why_none_left_out() -> Record:
    """Say why the remedy of leaving out likely wrong labels is not tried: people have decided on them all."""
    return _say("all_labels_decided")


def remedies_finding(table: pd.DataFrame) -> Record:
    """Say in one line which remedy gains most, or that none does, and which do harm.

    Args:
        table: table `remedies`.
    """
    finding, harmful = _best_finding(table), harmful_remedies(table)
    if not harmful:
        return finding
    names = tuple(remedy_name(one) for one in harmful)
    return _say("harmful", parts=(finding,), names=names, value=finding.value)


def _best_finding(table: pd.DataFrame) -> Record:
    best = best_remedy(table)
    if best in ("", TEMPERATURE):
        return _best_of_confidence(table)
    row = table.loc[table["remedy"].to_numpy(object) == best].iloc[0].to_dict()
    name, (gain, *ends) = remedy_name(best), _points(row)
    return _say("best", what=name[0].upper() + name[1:], value=gain, interval=tuple(ends))


def _best_of_confidence(table: pd.DataFrame) -> Record:
    """Name the remedy that lowers the log loss most, of those that do so for certain.

    A pair comes after one of its remedies that lowers it as much, to the digits that are shown.
    """
    rows = [row for row in table.to_dict("records") if row["remedy"] != REFIT and row["outcome"] != LOSES]
    lower = [row for row in rows if moves_log_loss(row) and row["log_loss_gain"] > 0]
    if not lower:
        return _say("none")
    row = max(lower, key=lambda row: round(float(row["log_loss_gain"]), LOG_LOSS_DIGITS))
    change = _log_loss_change(row)
    name = remedy_name(str(row["remedy"]))
    return _say("best_confidence", what=name, value=change.value, interval=change.interval, parts=(change,))


def moves_log_loss(row: Mapping[str, Any]) -> bool:
    """Whether a remedy lowers or raises the log loss by more than chance: its interval is clear of 0.

    Args:
        row: of table `remedies`.
    """
    low, high = (float(row.get(f"log_loss_{end}", np.nan)) for end in ("low", "high"))
    return row["outcome"] != NOT_TRIED and (low > 0 or high < 0)


def _log_loss_change(row: Mapping[str, Any]) -> Record:
    """Say by how much a remedy lowers or raises the log loss, with a size of 0 or more, or that this is
    within chance."""
    low, gain, high = (float(row[f"log_loss_{part}"]) for part in ("low", "gain", "high"))
    is_higher = gain < 0
    least, most = (-high, -low) if is_higher else (low, high)
    if moves_log_loss(row):
        return _say(
            "higher_log_loss" if is_higher else "lower_log_loss", value=abs(gain), interval=(least, most)
        )
    kind = "higher_by_chance" if is_higher else "lower_by_chance"
    return _say(kind, value=abs(gain), interval=(max(-least, 0.0), max(most, 0.0)))


def base_sentence(facts: RemediesFacts) -> Record:
    """Say what the gain of a head's remedy is over: the refit without one, and the answer in use."""
    accuracy, refitted = facts.accuracy or 0.0, as_corrected(out_of_fold(facts.n), facts.n_changed)
    if facts.accuracy_in_use is None:
        return _say("alone", value=accuracy, n=facts.n, parts=(refitted,))
    in_use = as_corrected(evaluation_images(facts.n_in_use), facts.n_in_use_changed)
    return _say("in_use", value=accuracy, n=facts.n, chance=facts.accuracy_in_use, parts=(refitted, in_use))


def worst_sentence(facts: RemediesFacts, slice_name: str = "") -> Record | str:
    """Say on which slice and class the refit without a remedy does worst; "" where neither is known.

    Args:
        slice_name: what the slice is called; "": by its text.
    """
    parts = []
    if facts.worst_slice:
        parts.append(_say("worst_slice", what=slice_name or facts.worst_slice, n=facts.n_worst_slice))
    if facts.worst_class:
        parts.append(_say("worst_class", what=with_class_names(facts.worst_class), n=facts.n_worst_class))
    return _say("worst", parts=tuple(parts)) if parts else ""


def refit_errors(changed: pd.DataFrame) -> pd.DataFrame:
    """The images that the refit without a remedy gets wrong.

    Args:
        changed: table `remedy_images`; one of an older study lists none of them.
    """
    is_error = ((changed["remedy"] == REFIT) & (changed["change"] == WRONG)).to_numpy(bool)
    return changed.loc[is_error]


def largest_gain(table: pd.DataFrame) -> float:
    """The largest gain of accuracy that the interval of any remedy reaches; NaN where none was tried.

    Args:
        table: table `remedies`.
    """
    is_of_answers = ~table["remedy"].isin([REFIT, TEMPERATURE]).to_numpy(bool)
    highs = tried(table.loc[is_of_answers])["high"].to_numpy(float)
    highs = highs[np.isfinite(highs)]
    return float(highs.max()) if len(highs) else float("nan")


def remedies_takes(crossfit_seconds: float | None = None) -> Record:
    """Say what trying the remedies does, and about how long that takes.

    Args:
        crossfit_seconds: that the step `crossfit` took on these images; None where that is not known.
    """
    n = len(OF_ANSWERS) + 1
    if crossfit_seconds is None:
        parts = (_say("busy"),) if slowdown() >= SHARED else ()
        return _say("takes_alone", n=n, parts=parts)
    return _say("takes", n=n, parts=(expected_duration(TIMES_CROSSFIT * crossfit_seconds),))


def next_step(
    facts: RemediesFacts, table: pd.DataFrame, changed: pd.DataFrame, *, has_issues: bool
) -> Record:
    """Say what to do where no remedy gains: look at labels, or at the class with most errors.

    That the head is not at fault is said only where no interval reaches a gain of RULED_OUT.

    Args:
        table, changed: tables `remedies` and `remedy_images`.
        has_issues: the study lists labels that may be wrong.
    """
    if has_issues and not facts.n_corrected:
        return _say("next_labels")
    most = largest_gain(table)
    kind = "ruled_out" if most <= RULED_OUT else "not_ruled_out"
    claim = _say(kind, value=100 * max(most, 0.0), n=facts.n) if np.isfinite(most) else _say("none_tried")
    if not facts.worst_class:
        return _say("next_encoder", parts=(claim,))
    n_errors = words(refit_errors(changed), "label").count(facts.worst_class)
    kind, name = "next_class" if n_errors else "next_class_size", with_class_names(facts.worst_class)
    return _say(kind, parts=(claim,), what=name, n=n_errors or facts.n_worst_class, of=facts.n_worst_class)


def error_groups(facts: RemediesFacts, changed: pd.DataFrame) -> list[tuple[Record, pd.DataFrame]]:
    """Group the errors of the head before remedies, each with its title: of the worst class, of all others.

    Args:
        changed: table `remedy_images`.
    """
    errors, name = refit_errors(changed), facts.worst_class
    if not name:
        return [(_say("errors", n=len(errors), of=facts.n), errors)]
    is_worst = (errors["label"] == name).to_numpy(bool)
    worst, others = errors.loc[is_worst], errors.loc[~is_worst]
    titles = (
        _say("errors_of", n=len(worst), of=facts.n_worst_class, what=with_class_names(name)),
        _say("errors_of_others", n=len(others), of=facts.n - facts.n_worst_class),
    )
    return list(zip(titles, (worst, others), strict=True))


def fitted_sentence(facts: RemediesFacts, *, unseen: bool) -> Record:
    """Say which images the head of a remedy that is handed out was fitted to.

    Args:
        unseen: the study has evaluation images, and these were left out.
    """
    return _say("fitted_train" if unseen else "fitted_all", n=facts.n_fitted)


def decided_since(study: StudyReader) -> str:
    """Caveat of remedies: people decided on labels after these were tried; empty where nobody did."""
    before = study.facts(RemediesFacts).decisions
    has_changed = decisions_digest(study) != before if before else len(decisions(study)) > 0
    return _say("decided_since") if has_changed else ""


def remedy_sentence(row: Mapping[str, Any]) -> Record:
    """Say what one remedy of the head gains or costs, in accuracy and, where that is certain, in log loss.

    Args:
        row: of table `remedies`.
    """
    name = compared_name(row)
    if row["outcome"] == NOT_TRIED:
        return _say("not_tried", what=name, why=str(row["why"]))
    if row["remedy"] == TEMPERATURE:
        return _say("same_answers", what=name, parts=(_log_loss_change(row),))
    of_answers = _change_of_answers(row, name)
    return _say("both", parts=(of_answers, _log_loss_change(row))) if moves_log_loss(row) else of_answers


def _change_of_answers(row: Mapping[str, Any], name: str) -> Record:
    if row["outcome"] == TOO_FEW:
        return _say("too_few", what=name, n=int(row["mended"]) + int(row["broken"]))
    gain, *ends = _points(row)
    return _say(KINDS[str(row["outcome"])], what=name, value=gain, interval=tuple(ends))


def points_text(row: Mapping[str, Any]) -> str:
    """Write a remedy's gain of accuracy and its interval, in points.

    >>> points_text({"gain": 0.0424, "low": -0.0169, "high": 0.1017})
    '+4.2 (−1.7 to +10.2)'
    """
    return signed_interval(*_points(row), digits=1)


def _points(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """The gain and its interval, in points."""
    gain, low, high = (100 * float(row[name]) for name in ("gain", "low", "high"))
    return gain, low, high
