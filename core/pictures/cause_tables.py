"""From what was tried to the tables of the step `causes`: gains, causes that hold, and what was left out."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from core.common.records import Record, Templates
from core.measures.causes import FALSE_RATE, HOLDS, NOT_TRIED, REFUTED, STORED, with_ranks
from core.measures.image_columns import BACKGROUND, CAUSES, CROP, FEATURE, LABEL, PICTURE, TURN, WHY
from core.pictures.drawn_errors import DrawnImages
from core.pictures.picture_changes import (
    AS_IT_IS,
    IMPROVED,
    MEASURES,
    NEUTRAL,
    OTHER_REPLACED,
    REPLACED,
    TURNS,
    VIEWS,
    WHOLE,
    Usual,
)
from core.pictures.trial_outcomes import Trial, trial_outcomes
from core.store import Study

_say = Templates.beside(__file__)
IS_RIGHT = "is_right"
NO_VALUES = {
    "suggested": None,
    "measure": None,
    "value": np.nan,
    "usual": np.nan,
    "degrees": np.nan,
    "feature": -1,
}


def trials_of_views(gaps: np.ndarray, usual: Usual | None) -> dict[str, Trial]:
    """Compute what each change of a picture gains in logits, as trials of the causes of its error.

    Args:
        gaps: (n, len(VIEWS), 2), as the step stores them. usual: None where no measures are known.
    """
    gain = gaps[..., 0] - gaps[:, VIEWS.index(AS_IT_IS), 0][:, None]  # (n, len(VIEWS))
    answered = gaps[..., 1] == 1
    neutral = gain[:, _places(NEUTRAL)].max(1)
    other_replaced = gain[:, VIEWS.index(OTHER_REPLACED)]
    trials = {CROP: _of_view(gain, answered, WHOLE, neutral), TURN: _turned(gain, answered, neutral)}
    trials[BACKGROUND] = _of_view(gain, answered, REPLACED, other_replaced)
    if usual is not None:
        trials[PICTURE] = _improved(gain, answered, neutral, usual)
    return {cause: trial for cause, trial in trials.items() if np.isfinite(trial.gain).any()}


def _places(names: Collection[str]) -> list[int]:
    return [VIEWS.index(name) for name in names]


def _of_view(gain: np.ndarray, answered: np.ndarray, view: str, control: np.ndarray) -> Trial:
    at = VIEWS.index(view)
    return Trial(gain[:, at], answered[:, at], control)


def _turned(gain: np.ndarray, answered: np.ndarray, neutral: np.ndarray) -> Trial:
    """The best of the three turns; its lead is what it gains more than the second best."""
    places = _places(TURNS.values())
    gains = gain[:, places]
    best, ordered = _best(gains), np.sort(gains, axis=1)
    at = np.arange(len(gains))
    lead = ordered[:, -1] - ordered[:, -2]
    evidence = {"degrees": np.array(list(TURNS), float)[best]}
    return Trial(gains[at, best], answered[:, places][at, best], neutral, lead, evidence)


def _improved(gain: np.ndarray, answered: np.ndarray, neutral: np.ndarray, usual: Usual) -> Trial:
    """The best of what makes a picture usual; evidence is the measure that is farthest from usual."""
    places = _places(IMPROVED)
    gains = gain[:, places]
    best, at = _best(gains), np.arange(len(gains))
    by_light, by_sharpness = best != 1, best != 0
    used = usual.is_outer & np.stack([by_light, by_light, by_sharpness], axis=1)
    spread = np.nanstd(usual.value, axis=0)
    spreads = np.where(spread > 0, spread, 1)
    distance = np.where(used, np.abs(usual.value - usual.median) / spreads, -1.0)
    farthest = distance.argmax(1)
    measure = np.where(used.any(1), np.array(MEASURES, object)[farthest], np.array(None))
    evidence = {"measure": measure, "value": usual.value[at, farthest], "usual": usual.median[at, farthest]}
    return Trial(gains[at, best], answered[:, places][at, best], neutral, evidence=evidence)


def _best(gains: np.ndarray) -> np.ndarray:
    """(n,) the column of the largest gain, the first of equal ones; 0 where none is known."""
    return np.where(np.isnan(gains), -np.inf, gains).argmax(1)


def judged_table(study: Study, drawn: DrawnImages, tried: Mapping[str, Trial]) -> pd.DataFrame:
    """Judge every trial of why images are wrong: a row an image and cause, those first that hold.

    Args:
        study: as the answer reads it.
    Returns:
        `core.measures.causes.STORED`, and `is_right` and `reference` of the image.
    """
    table = pd.concat(
        [_rows_of(study, drawn, cause, tried.get(cause)) for cause in CAUSES], ignore_index=True
    )
    return with_ranks(table).loc[:, [*STORED, IS_RIGHT, "reference"]]


def _ids(study: Study, drawn: DrawnImages) -> list[str]:
    return study.column("images", "image_id").to_numpy(object)[drawn.rows].tolist()


def _rows_of(study: Study, drawn: DrawnImages, cause: str, tried: Trial | None) -> pd.DataFrame:
    """The rows of one cause, in the order of the images."""
    n, evidence = len(drawn.rows), dict[str, np.ndarray]()
    gain = threshold = control = np.full(n, np.nan)
    outcome = np.full(n, NOT_TRIED, object)
    if tried is not None:
        gain, control, evidence = tried.gain, tried.control, dict(tried.evidence)
        outcome, threshold = _judged(cause, tried, drawn)
    labels, answers = (
        study.column(of, name).to_numpy(object) for of, name in (("images", "label"), ("probe", "predicted"))
    )
    finite_control = np.where(np.isfinite(control), control, np.nan)
    columns = {
        "image_id": _ids(study, drawn),
        "label": labels[drawn.rows],
        "predicted": answers[drawn.rows],
        "cause": cause,
        "gain": gain,
        "threshold": threshold,
    }
    columns |= {"outcome": outcome}
    columns |= {"gap": drawn.gap, "neutral": finite_control, "drawn": drawn.is_drawn}
    columns |= {IS_RIGHT: ~drawn.is_error, "reference": drawn.is_reference}
    return pd.DataFrame({**columns, **NO_VALUES, **evidence}, index=range(n))


def _judged(cause: str, trial: Trial, drawn: DrawnImages) -> tuple[np.ndarray, np.ndarray]:
    """The outcome of a trial on each image, and its threshold; a label is wrong where it is listed."""
    if cause != LABEL:
        return trial_outcomes(trial, drawn.gap, drawn.is_reference, drawn.n_alike)
    outcome = np.where(trial.answered, HOLDS, REFUTED).astype(object)
    outcome[np.isnan(trial.gain)] = NOT_TRIED
    return outcome, np.full(len(outcome), np.nan)


def of_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return table `causes` of misclassified images, of `judged_table`."""
    return table.loc[~table[IS_RIGHT].to_numpy(bool), list(STORED)].reset_index(drop=True)


def of_right_images(table: pd.DataFrame) -> pd.DataFrame:
    """Table `cause_controls`: the same of right images, with whether bounds are made of the image."""
    columns = [name for name in STORED if name not in (WHY, "rank", "drawn")]
    return table.loc[table[IS_RIGHT].to_numpy(bool), [*columns, "reference"]].reset_index(drop=True)


def first_counts(causes: pd.DataFrame) -> dict[str, int]:
    """For the step `causes`: count wrong images by the first cause of each, the most common cause first."""
    return causes.drop_duplicates("image_id")[WHY].value_counts().astype(int).to_dict()


def notes_on_trials(tried: Mapping[str, Trial], *, has_encoder: bool) -> list[Record]:
    """Say which trials of the causes of errors could not be made, and what makes them possible."""
    kinds = {
        LABEL: "no_label_check",
        PICTURE: "no_measures",
        CROP: "no_crop",
        BACKGROUND: "no_masks",
        FEATURE: "no_layers",
    }
    if not has_encoder:
        return [_say("no_encoder"), *([] if LABEL in tried else [_say("no_label_check")])]
    return [_say(kind) for cause, kind in kinds.items() if cause not in tried]


def wrong_too_often(rates: pd.DataFrame) -> list[Record]:
    """Say which trials of causes of errors would explain too many right images as well."""
    columns = ("cause", "false_rate", "false_rate_alike")
    notes = []
    for cause, *of_right in zip(*(rates[name] for name in columns), strict=True):
        worst = np.fmax(*of_right)
        if worst >= FALSE_RATE:
            notes.append(_say("wrong_too_often", what=cause, value=float(worst)))
    return notes
