"""Cached reads of scores, what they predict, and why images are wrong; the rules are those of `reader.py`."""

import numpy as np
import pandas as pd

from core.analysis import recommendation
from core.common.dataframes import numbers
from core.common.records import Record
from core.common.step_facts import EmbedFacts
from core.common.verdict_words import Verdict
from core.measures.confidence import confidence_sentence as measured_confidence
from core.measures.image_columns import TABLE, tells_causes
from core.measures.score_verdicts import score_verdicts
from core.measures.scores import SCORE_COLUMNS
from core.measures.slice import Slice
from core.measures.slice_comparison import shown_images, with_split
from core.measures.unusual_picture import unusual_picture as measured_picture
from core.pictures.cause_words import (
    cost_of_all,
    cost_of_one,
    images_of_all,
    right_images_for_one,
    seconds_of_trials,
)
from core.store import Study
from core.study.speed import read_speed
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

# Cached reads of scores and what they predict, of the images of a filter; the rules are those of
# `reader.py`.


NAMES = {"low": "auroc_low", "high": "auroc_high", "reason": "note"}  # in `quality_metrics`
COLUMNS = [NAMES.get(name, name) for name in SCORE_COLUMNS]
RIVALS = ("rival", "rival_difference_high")  # known of the evaluation images as a whole


@cached_read(max_entries=32)
def recommended(study: Study, where: Slice) -> recommendation.Recommendation | None:
    """See `recommendation.recommended`: of the images of a filter."""
    return recommendation.recommended(reads.narrowed(study, where))


@cached_read(max_entries=32)
def values(study: Study, where: Slice, score: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images of a filter: rows, the score of each, and 1 correct, 0 misclassified or NaN unknown."""
    frame, rows = reads.images(study), np.flatnonzero(reads.population(study, where)[0])
    return rows, numbers(frame, score)[rows], numbers(frame, "correct")[rows]


@cached_read(max_entries=32, spinner="Resampling")
def metrics(study: Study, where: Slice, scores: tuple[str, ...]) -> pd.DataFrame:
    """The rows of some scores of the table `quality_metrics` of the images of a filter."""
    return reads.narrowed(study, where).of_scores("quality_metrics", scores)


@cached_read(max_entries=32)
def aurocs(study: Study, where: Slice) -> pd.DataFrame:
    """AUROC of every score with its interval, in the columns that charts of metrics read.

    Those that are stored are the same, and no score of an image has to be read for them.
    """
    whole = where == with_split(study, Slice()) and study.has("quality_metrics")
    with_rivals = whole and {*RIVALS} <= {*study.columns("quality_metrics")}
    if with_rivals and not reads.narrowed(study, where).is_made("quality_metrics"):
        stored = reads.table(study, "quality_metrics")
        stored = stored.loc[stored["score"].isin(reads.scores(study))].reset_index(drop=True)
        if stored["augrc_low"].notna().all():  # else a note says why: of these images, not of AUPRC
            errors = stored["n"] * stored["base_rate_error"]
            return stored.assign(n_wrong=errors.round().astype("int64"), note="")[[*COLUMNS, *RIVALS]]
    table = reads.slice_table(study, where, "score_aurocs").rename(columns=NAMES)
    if not with_rivals:
        return table
    return table.merge(reads.table(study, "quality_metrics", ("score", *RIVALS)), on="score", how="left")


@cached_read(max_entries=64)
def verdict(study: Study, where: Slice, score: str) -> Verdict | None:
    """What a score is worth on the images of a filter; None where it is not tested there."""
    return recommendation.verdict(reads.narrowed(study, where), score, aurocs(study, where))


confidence_sentence = cached_read(max_entries=32)(reads.of_filter(measured_confidence))


@cached_read(max_entries=8)
def verdicts(study: Study, where: Slice) -> dict[str, Verdict]:
    """What each score is worth on the images of a filter."""
    mask = reads.mask(study, where)
    return score_verdicts(study, aurocs(study, where), mask)


@cached_read(max_entries=32)
def lowest(study: Study, where: Slice) -> tuple[str, np.ndarray] | None:
    """The recommended score, and the images of a filter from its lowest value up; None without one."""
    best = recommended(study, where)
    if best is None:
        return None
    rows, scored, _ = values(study, where, best.score)
    order = np.argsort(scored, kind="stable")  # NaN comes last
    return best.score, rows[order[: np.count_nonzero(np.isfinite(scored))]]


def picked_first(study: Study) -> str:
    """The score that a page opens with: the recommended one, else the first of the study."""
    scores, best = reads.scores(study), recommended(study, with_split(study, Slice()))
    return best.score if best and best.score in scores else scores[0]


# Cached reads of why images are wrong.


def causes_of_image(study: Study, row: int) -> pd.DataFrame | None:
    """The rows of an image in table `causes`; None where it was not tried with the answer of the page."""
    if not tells_causes(study):
        return None
    table = reads.table(study, TABLE)
    rows = table.loc[table["image_id"].to_numpy(object) == study.column("images", "image_id").iat[row]]
    return rows if len(rows) else None


@cached_read(max_entries=256)
def unusual_picture(study: Study, row: int) -> Record | None:
    """See `core.measures.unusual_picture`: how dark, pale or blurred a picture is beside the others."""
    return measured_picture(study, row)


def trials_cost(study: Study) -> str:
    """What finding out why all its images are wrong takes; "" where none is known to be wrong."""
    n_errors, n_right = images_of_all(*_outcomes(study))
    return cost_of_all(n_errors, n_right, _seconds(study, n_errors + n_right)) if n_errors else ""


def trials_cost_of_image(study: Study) -> str:
    """What finding out why one image is wrong takes."""
    n_right = right_images_for_one(_outcomes(study)[1])
    return cost_of_one(n_right, _seconds(study, 1 + n_right))


def _outcomes(study: Study) -> tuple[int, int]:
    """How many of the images that are judged are wrong, and how many right."""
    correct = numbers(reads.table(study, "probe"), "correct")[shown_images(study)]
    return int((correct == 0).sum()), int((correct == 1).sum())


def _seconds(study: Study, n_images: int) -> float | None:
    whole = study.below or study.path
    return seconds_of_trials(n_images, read_speed(whole, study.facts(EmbedFacts).encoder.fingerprint))
