"""Which score to use, by what there is to judge images with (docs/method.md 2.8). No torch.

Over encoders the scores without labels change their strength and their sign, so none of them is recommended
where an answer's confidence is known. Every headline score is the one that `recommend` names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.score_names import score_in_sentence
from core.common.statistics.chance import against_chance, outcomes, untold
from core.slices.evaluate import result_column, slice_columns
from core.slices.inspection.populations import shown_images
from core.store import Narrowed, Study

CONFIDENCE, CALIBRATED, DISTINCTIVENESS = "confidence", "calibrated", "distinctiveness"
WORKED, MEASURED = 17, 18  # encoders on which distinctiveness beat chance, and all (docs/method.md 2.8)
NONE_WORKS = "none of the scores without labels can be told from chance"


@dataclass(frozen=True)
class Recommendation:
    """A score (a column of `quality`), and why it is the one to use: one or two sentences."""

    score: str
    reason: str


def recommend(held: Collection[str], calibration: Mapping[str, Any] | None = None) -> Recommendation | None:
    """Recommend the confidence of an answer; else what a calibration found; else distinctiveness.

    Args:
        held: scores that are known of the images. calibration: facts of `calibrate`, if there was one.
    Returns:
        None where none of them is held.
    """
    if CONFIDENCE in held:
        return Recommendation(CONFIDENCE, "It needs no labels of the images that it is used on.")
    standing = calibrated(calibration) if calibration else "untold"
    if (
        calibration
        and standing != "untold"
        and calibration.get("score") in held
        and calibration["auroc"] > 0.5
    ):
        where_from = f"It was calibrated on {calibration['n']:,} labelled images"
        return Recommendation(
            str(calibration["score"]),
            where_from + ("." if standing == "above" else f", on which {NONE_WORKS}."),
        )
    if DISTINCTIVENESS not in held:
        return None
    caveat = f"Use it with care: it was above chance on {WORKED} of {MEASURED} measured encoders."
    if calibration and standing in ("level", "below"):
        caveat += f" On {calibration['n']:,} labelled images {NONE_WORKS}."
    else:
        caveat += " Labels of some 200 images can tell which score to use (a calibration)."
    return Recommendation(DISTINCTIVENESS, caveat)


def calibrated(facts: Mapping[str, Any]) -> str:
    """Tell how the best score of a calibration stands against chance (`against_chance`)."""
    low, high = (np.nan if facts.get(end) is None else float(facts[end]) for end in ("low", "high"))
    return against_chance(low, high, facts["n_errors"], facts["n"] - facts["n_errors"])


def recommended(study: Study) -> Recommendation | None:
    """Recommend a score of the images that a study is narrowed to, else of its evaluation images.

    None without the step `quality`. What a calibration found holds for slices, too.
    """
    if not study.has("quality"):
        return None
    whole, rows = study.whole if isinstance(study, Narrowed) else study, shown_images(study)
    tables = slice_columns(whole)
    calibration = whole.summary("quality").get("calibration")

    def is_held(name: str) -> bool:
        return tables.get(name) == "quality" and bool(np.isfinite(result_column(whole, name)[rows]).any())

    names = (DISTINCTIVENESS, (calibration or {}).get("score", ""))
    held = [CONFIDENCE] if is_held(CONFIDENCE) else [name for name in names if is_held(name)]
    return recommend(held, calibration)


def claim(row: Mapping[Any, Any], name: str = "", *, works: str = "predicts errors:") -> str:
    """State in one clause how well a score predicts errors.

    Args:
        row: score, auroc, auroc_low, auroc_high and what `outcomes` reads; as of `score_row`.
        name: of the score in the clause; its own where none is given. works: said of one above chance.
    """
    name = name or score_in_sentence(row["score"])
    measured = f"AUROC {row['auroc']:.2f} ({row['auroc_low']:.2f} to {row['auroc_high']:.2f})"
    n_wrong, n_right = outcomes(row)
    match against_chance(row["auroc_low"], row["auroc_high"], n_wrong, n_right):
        case "above":
            stands = works
        case "below":
            stands = "points the wrong way:"
        case "level":
            stands = "does no better than chance:"
        case _:
            return f"what {name} is worth {untold(n_wrong, n_right)}"
    return f"{name} {stands} {measured}"


def advice(study: Study, metrics: pd.DataFrame | None = None) -> str:
    """Say `advise` of a study.

    Args:
        metrics: of the images that the sentence is about, as `quality_metrics`; None: the evaluation images.
    """
    if metrics is None and study.has("quality_metrics"):
        metrics = study.table("quality_metrics")
    return advise(recommended(study), metrics)


def advise(recommended: Recommendation | None, metrics: pd.DataFrame | None) -> str:
    """Name the recommended score, what it is worth on some images, and why; empty where there is none."""
    if recommended is None:
        return ""
    row = {} if metrics is None else score_row(metrics, recommended.score)
    worth = f" Here {claim(row, 'it')}." if row else ""
    return f"Take {score_in_sentence(recommended.score)}.{worth} {recommended.reason}"


def score_row(metrics: pd.DataFrame, score: str) -> dict[Any, Any]:
    """The row of a score in a table of metrics, if its AUROC or what it lacks is known; else empty."""
    rows = metrics.loc[metrics["score"] == score].to_dict("records")
    told = bool(rows) and (np.isfinite(rows[0]["auroc"]) or (rows[0]["n"] > 0 and untold(*outcomes(rows[0]))))
    return rows[0] if told else {}
