"""What is said of remedies: which gain, which do not, and why one was not tried."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from core.common.captions import with_class_names
from core.common.formatting import signed_interval
from core.common.records import Record, Templates
from core.common.step_facts import RemediesFacts
from core.measures.accuracy_scope import as_corrected, evaluation_images, out_of_fold
from core.measures.remedies import (
    BALANCED,
    CORRECTED,
    FEATURES_OFF,
    GAINS,
    LOSES,
    NO_DIFFERENCE,
    NOT_TRIED,
    OF_ANSWERS,
    REFIT,
    SLICES,
    TEMPERATURE,
    TOGETHER,
    TOO_FEW,
    WITHOUT_WRONG,
    best_remedy,
    harmful_remedies,
)
from core.reader import StudyReader
from core.traces.labels import decisions, decisions_digest

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
    """Name a remedy, or two together.

    >>> remedy_name("corrected+balanced")
    'corrected labels + classes weighted alike'
    """
    return f" {TOGETHER} ".join(NAMES.get(one, one) for one in remedy.split(TOGETHER))


def why_not_tried(remedy: str) -> Record:
    """Say why there was no reason to try a remedy."""
    return _say(UNTRIED[remedy])


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
    if not best:
        return _say("none")
    row = table.loc[table["remedy"].to_numpy(object) == best].iloc[0]
    if best == TEMPERATURE:
        ends = float(row["log_loss_low"]), float(row["log_loss_high"])
        return _say("best_confidence", value=float(row["log_loss_gain"]), interval=ends)
    name, (gain, *ends) = remedy_name(best), _points(row)
    return _say("best", what=name[0].upper() + name[1:], value=gain, interval=tuple(ends))


def base_sentence(facts: RemediesFacts) -> Record:
    """Say what gains are compared with: the refit without a remedy, and the answer in use."""
    accuracy, refitted = facts.accuracy or 0.0, as_corrected(out_of_fold(facts.n), facts.n_changed)
    if facts.accuracy_in_use is None:
        return _say("alone", value=accuracy, n=facts.n, parts=(refitted,))
    in_use = as_corrected(evaluation_images(facts.n_in_use), facts.n_in_use_changed)
    return _say("in_use", value=accuracy, n=facts.n, chance=facts.accuracy_in_use, parts=(refitted, in_use))


def worst_sentence(facts: RemediesFacts, slice_name: str = "") -> Record | str:
    """Say on which slice and which class the refit does worst; "" where neither is known.

    Args:
        slice_name: what the slice is called; "": by its text.
    """
    parts = []
    if facts.worst_slice:
        parts.append(_say("worst_slice", what=slice_name or facts.worst_slice, n=facts.n_worst_slice))
    if facts.worst_class:
        parts.append(_say("worst_class", what=with_class_names(facts.worst_class), n=facts.n_worst_class))
    return _say("worst", parts=tuple(parts)) if parts else ""


def remedies_takes() -> Record:
    """Say what trying the remedies does, and about how long that takes."""
    return _say("takes", n=len(OF_ANSWERS) + 1)


def next_step(facts: RemediesFacts, *, has_issues: bool) -> Record:
    """Say what to do where no remedy gains: look at labels, or at the class that the refit does worst on.

    Args:
        has_issues: the study lists labels that may be wrong.
    """
    if has_issues and not facts.n_corrected:
        return _say("next_labels")
    if facts.worst_class:
        return _say("next_class", what=with_class_names(facts.worst_class), n=facts.n_worst_class)
    return _say("next_encoder")


def fitted_sentence(facts: RemediesFacts, *, unseen: bool) -> Record:
    """Say which images a head that is handed out was fitted to.

    Args:
        unseen: the study has evaluation images, and these were left out.
    """
    return _say("fitted_train" if unseen else "fitted_all", n=facts.n_fitted)


def decided_since(study: StudyReader) -> str:
    """Say that people decided on labels after the remedies were tried; empty where nobody did."""
    before = study.facts(RemediesFacts).decisions
    has_changed = decisions_digest(study) != before if before else len(decisions(study)) > 0
    return _say("decided_since") if has_changed else ""


def remedy_sentence(row: Mapping[str, Any]) -> Record:
    """Say what one remedy does, with its interval.

    Args:
        row: of table `remedies`.
    """
    remedy, outcome = str(row["remedy"]), str(row["outcome"])
    name = remedy_name(remedy)
    if outcome == NOT_TRIED:
        return _say("not_tried", what=name, why=str(row["why"]))
    if remedy == TEMPERATURE:
        low, gain, high = (float(row[f"log_loss_{part}"]) for part in ("low", "gain", "high"))
        if high < 0:
            return _say("higher_log_loss", what=name, value=-gain, interval=(-high, -low))
        kind = "lower_log_loss" if low > 0 else "same_log_loss"
        return _say(kind, what=name, value=gain, interval=(low, high))
    n_changed = int(row["mended"]) + int(row["broken"])
    if outcome == TOO_FEW:
        return _say("too_few", what=name, n=n_changed)
    gain, *ends = _points(row)
    return _say(KINDS[outcome], what=name, value=gain, interval=tuple(ends))


def points_text(row: Mapping[str, Any] | pd.Series) -> str:
    """Write the gain and its interval, in points.

    >>> points_text({"gain": 0.0424, "low": -0.0169, "high": 0.1017})
    '+4.2 (−1.7 to +10.2)'
    """
    return signed_interval(*_points(row), digits=1)


def _points(row: Mapping[str, Any] | pd.Series) -> tuple[float, float, float]:
    """The gain and its interval, in points."""
    gain, low, high = (100 * float(row[name]) for name in ("gain", "low", "high"))
    return gain, low, high
