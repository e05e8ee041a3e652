"""Which score to use, by what there is to judge images with (docs/method.md 2.8). No torch.

Over encoders the scores without labels change their strength and their sign, so none of them is recommended
where an answer's confidence is known. Every headline score is the one that `recommend` names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.common.records import Record, Templates
from core.common.score_names import score_in_sentence
from core.common.step_facts import CalibrationFacts, QualityFacts
from core.common.verdict_words import Verdict
from core.measures.chance import CHANCE, Standing, against_chance, outcomes, too_few_outcomes
from core.measures.evaluate import result_column, slice_columns
from core.measures.score_verdicts import judge_score, score_evidence
from core.measures.slice_comparison import shown_images
from core.store import Narrowed, Study

Above = Literal["predicts", "reaches"]  # kinds of a claim
CONFIDENCE, CALIBRATED, DISTINCTIVENESS = "confidence", "calibrated", "distinctiveness"
WORKED, MEASURED = 17, 18  # encoders on which distinctiveness beat chance, and all (docs/method.md 2.8)
say_of_scores = Templates.beside(__file__)


@dataclass(frozen=True)
class Recommendation:
    """A score (a column of `quality`), and why it is the one to use: one or two sentences."""

    score: str
    reason: Record


def recommend(
    computed: Collection[str], calibration: CalibrationFacts | None = None
) -> Recommendation | None:
    """Recommend which score to take to predict errors: confidence, a calibration's, or distinctiveness.

    Args:
        held: scores that are known of the images. calibration: facts of `calibrate`, if there was one.
    Returns:
        None where the images have none of these scores.
    """
    if CONFIDENCE in computed:
        return Recommendation(CONFIDENCE, say_of_scores("without_labels"))
    facts = calibration or CalibrationFacts()
    standing = calibrated(facts) if calibration else "too_few"
    is_told = standing != "too_few" and (facts.auroc or 0) > CHANCE
    if is_told and facts.score in computed:
        kind = "calibrated" if standing == "above" else "calibrated_in_vain"
        return Recommendation(str(facts.score), say_of_scores(kind, n=facts.n))
    if DISTINCTIVENESS not in computed:
        return None
    is_vain = standing in ("level", "below")
    advised = say_of_scores("none_works", n=facts.n) if is_vain else say_of_scores("calibrate")
    return Recommendation(
        DISTINCTIVENESS, say_of_scores("with_care", n=WORKED, of=MEASURED, parts=(advised,))
    )


def calibrated(facts: CalibrationFacts) -> Standing:
    """Tell whether to trust the score that a calibration found best, against chance (`against_chance`)."""
    low, high = (np.nan if end is None else end for end in (facts.low, facts.high))
    return against_chance(low, high, facts.n_errors, facts.n - facts.n_errors)


def recommended(study: Study) -> Recommendation | None:
    """Recommend a score of the images that a study is narrowed to, else of its evaluation images.

    None without the step `quality`. What a calibration found holds for slices, too.
    """
    if not study.has("quality"):
        return None
    whole, rows = study.whole if isinstance(study, Narrowed) else study, shown_images(study)
    tables = slice_columns(whole)
    calibration = whole.facts(QualityFacts).calibration

    def is_held(name: str) -> bool:
        return tables.get(name) == "quality" and bool(np.isfinite(result_column(whole, name)[rows]).any())

    names = (DISTINCTIVENESS, (calibration and calibration.score) or "")
    candidates = [CONFIDENCE] if is_held(CONFIDENCE) else [name for name in names if is_held(name)]
    return recommend(candidates, calibration)


def claim(
    row: Mapping[Any, Any], name: str = "", *, above: Literal["predicts", "reaches"] = "predicts"
) -> Record:
    """State in one clause how well a recommended score predicts errors.

    Args:
        row: score, auroc, auroc_low, auroc_high and what `outcomes` reads; as of `score_row`.
        name: of the score in the clause; its own where none is given. above: the kind for one above chance.
    """
    name = name or score_in_sentence(row["score"])
    ends, (n_wrong, n_right) = (row["auroc_low"], row["auroc_high"]), outcomes(row)
    standing = against_chance(*ends, n_wrong, n_right)
    if standing == "too_few":
        few = too_few_outcomes(n_wrong, n_right)
        return say_of_scores("too_few", what=name, parts=(few,) if few else ())
    kind = above if standing == "above" else standing
    return say_of_scores(kind, what=name, value=row["auroc"], interval=ends, chance=CHANCE)


def advice(study: Study, metrics: pd.DataFrame | None = None) -> Record | Literal[""]:
    """Advise which score to take, on the evaluation images of a study or of its slice.

    Args:
        metrics: of these images, as `quality_metrics`; None: as stored.
    """
    if metrics is None and study.has("quality_metrics"):
        metrics = study.table("quality_metrics")
    best = recommended(study)
    return advise(best, None if best is None or metrics is None else verdict(study, best.score, metrics))


def verdict(study: Study, score: str, metrics: pd.DataFrame) -> Verdict | None:
    """Return what the score to take is worth: on images that a study is narrowed to, else evaluation images.

    Args:
        metrics: of these images. None where neither its AUROC nor what it lacks is known.
    """
    row = score_row(metrics, score)
    whole = study.whole if isinstance(study, Narrowed) else study
    return judge_score(score_evidence(whole, score, row, shown_images(study))) if row else None


def advise(recommended: Recommendation | None, worth: Verdict | None = None) -> Record | Literal[""]:
    """Name the recommended score, why, and what it is worth on some images; empty where there is none.

    It is not advised where its worth cannot be judged and no calibration found it.
    """
    if recommended is None:
        return ""
    name = score_in_sentence(recommended.score)
    if worth is None:
        return say_of_scores("take", what=name, parts=(recommended.reason,))
    is_supported = worth.word or recommended.reason.kind == CALIBRATED
    kind = "take_worth" if is_supported else "not_judged"
    return say_of_scores(kind, what=name, parts=(worth.sentence, recommended.reason))


def score_row(metrics: pd.DataFrame, score: str) -> dict[Any, Any]:
    """Return a score's row of `quality_metrics` to advise by, if its AUROC or why not is known; else {}."""
    rows = metrics.loc[metrics["score"] == score].to_dict("records")
    if not rows:
        return {}
    is_explained = rows[0]["n"] > 0 and too_few_outcomes(*outcomes(rows[0]))
    return rows[0] if is_explained or np.isfinite(rows[0]["auroc"]) else {}
