"""Why images are wrong (docs/method.md 9): the order of causes, and the share of errors by cause."""

import numpy as np
import pandas as pd

from core.measures.design_effect import groups_among
from core.measures.image_columns import (
    CAUSES,
    LABEL,
    NEIGHBOURS,
    NO_CAUSE,
    TABLE,
    TOO_FEW_TO_TELL,
    UNEXPLAINED,
    WHY,
)
from core.measures.intervals import share_bounds
from core.study.label_decisions import CHANGED, DECISION, DOUBTED, LEFT, with_decisions
from core.study.reader import StudyReader

HOLDS, REFUTED, TOO_FEW, NOT_TRIED, REFERENCE = ("holds", "no", "too few", "not tried", "reference")
LEAST_ALIKE = 30  # right images of like gap, without which no gain is judged


def n_alike(n_reference: int) -> int:
    """Return how many right images a trial of causes is measured on for an error: the tenth of nearest gap.

    >>> n_alike(100), n_alike(2001)
    (30, 201)
    """
    return max(LEAST_ALIKE, -(-n_reference // 10))


# Why images are wrong: the share of errors by cause, and how often a trial is wrong (docs/method.md 9.3).
#
# Tables `causes` and `cause_controls`, a row an image and trial, are written by the step `causes`. What
# people have decided on labels stands in `causes` and `cause_rates` whenever they are read.


STORED = (
    *("image_id", "label", "predicted", "cause", "gain", "threshold", "holds", "rank", "outcome", WHY),
    *("gap", "neutral", "suggested", "measure", "value", "usual", "degrees", "feature", "drawn"),
)
COLUMNS = (*STORED, *DECISION)
RATES = (
    *("cause", "n", "n_first", "n_errors", "share", "low", "high"),
    *("false_rate", "false_rate_alike", "n_right", "n_tried", "n_too_few", "n_decided"),
)
MOST_CAUSES = 4  # of an image that are listed
FALSE_RATE = 0.05  # a trial that is wrong as often as this is said to be


def order_of_causes(cause: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Order the rows of a table of causes of errors, the best first: a wrong label, then by gain in logits.

    Args:
        cause: (n,) names. gain: (n,) float.
    Returns:
        (n,) int64, the places in order.
    """
    kind = np.where(cause == LABEL, 0, np.where(cause == NEIGHBOURS, 2, 1))
    return np.lexsort((-gain, kind))


def with_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of causes of errors which of them hold, and their rank for each image.

    Args:
        table: image_id, cause, gain and outcome, and any others; the rows of an image anywhere.
    Returns:
        its columns with holds, rank (from 1; 0 where it does not hold, or beyond MOST_CAUSES) and WHY, the
        rows image by image in the order of their first rows, causes that hold first.
    """
    table = table.reset_index(drop=True)
    table = table.assign(holds=table["outcome"] == HOLDS)
    holding = table.loc[table["holds"].to_numpy(bool)]
    order = order_of_causes(holding["cause"].to_numpy(object), holding["gain"].to_numpy(float))
    ranks = holding.iloc[order].groupby("image_id", sort=False).cumcount() + 1
    rank = ranks.reindex(table.index, fill_value=0).to_numpy()
    table = table.assign(rank=np.where(rank > MOST_CAUSES, 0, rank))
    table[WHY] = table.loc[:, "image_id"].map(_first_of_images(table))
    listed = table["rank"].where(table["rank"] > 0, MOST_CAUSES + 1)
    image, trial = pd.factorize(table["image_id"])[0], pd.Index(CAUSES).get_indexer(table.loc[:, "cause"])
    return table.iloc[np.lexsort((trial, listed, image))].reset_index(drop=True)


def _first_of_images(table: pd.DataFrame) -> dict[str, str]:
    """The first cause of each image; without one, whether a trial had too few images to compare it with."""
    ids = table["image_id"].unique().tolist()
    unsure = set(table.loc[table["outcome"] == TOO_FEW, "image_id"])
    first = table.loc[table["rank"] == 1].set_index("image_id")["cause"].to_dict()
    none = {name: TOO_FEW_TO_TELL if name in unsure else UNEXPLAINED for name in ids}
    return none | first


def decided_causes(study: StudyReader, stored: pd.DataFrame) -> pd.DataFrame:
    """The stored table `causes` with people's decisions on labels in place of what models make of them.

    A label that somebody left is no cause. One that somebody took for wrong is the cause, and the only one:
    the other trials asked for that label.

    Args:
        stored: the table as the step `causes` left it.
    Returns:
        COLUMNS.
    """
    table = with_decisions(study, stored)
    decision, of_label = table["by_decision"], (table["cause"] == LABEL).to_numpy(bool)
    is_left = (decision == LEFT).fillna(False).to_numpy(bool)
    is_wrong = decision.isin([CHANGED, DOUBTED]).to_numpy(bool)
    if not (is_left | is_wrong).any():
        return table
    outcome = table["outcome"].to_numpy(object, copy=True)
    outcome[is_left & of_label] = REFUTED
    outcome[is_wrong] = np.where(of_label[is_wrong], HOLDS, NOT_TRIED)
    return with_ranks(table.assign(outcome=outcome))


def decided_rates(study: StudyReader, stored: pd.DataFrame) -> pd.DataFrame:
    """Table `cause_rates` of all errors that were drawn, counted again where people decided on their labels
    or a trial could not be judged.

    Args:
        stored: the table as the step `causes` left it.
    Returns:
        RATES.
    """
    has_decisions = study.table(TABLE, ["by_decision"])["by_decision"].notna().to_numpy().any()
    has_unjudged = (stored["n_too_few"].to_numpy() > 0).any()  # older studies counted them
    if not (has_decisions or has_unjudged):
        return stored.assign(n_decided=0)
    return cause_rates_inside(study, np.ones(study.n_images, bool))


def cause_rates(
    causes: pd.DataFrame, controls: pd.DataFrame, groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Count errors by cause, and right images of which the rule says the same.

    Args:
        causes: rows of table `causes`, of errors that were drawn. controls: table `cause_controls`.
        groups: (n_errors,) any codes, in the order of the errors' first rows; None: each is for itself.
    Returns:
        RATES, a row a cause and two for NO_CAUSE. n: errors for which it holds, n_first: for which it is the
        first; share: of n among the judged (n_errors less n_too_few), with Wilson's interval. false_rate:
        share of the right images that bounds are not made of for which the rule would say the same;
        false_rate_alike: the same of those of like gap, the mean over the errors; NaN with fewer than
        LEAST_ALIKE, or if it was tried on none. n_tried, n_too_few: errors. n_decided: errors of which it is
        the first because people decided so.
    """
    errors = causes.drop_duplicates("image_id")
    right = controls.loc[~controls["reference"].to_numpy(bool)].drop_duplicates("image_id")
    why, gaps = errors[WHY].to_numpy(object), errors["gap"].to_numpy(float)
    holds, false = _has_outcome(HOLDS, causes, errors), _has_outcome(HOLDS, controls, right)
    too_few = _has_outcome(TOO_FEW, causes, errors)
    alike = _alike(right["gap"].to_numpy(float), gaps)
    tried_on_right = set(controls.loc[controls["outcome"] != NOT_TRIED, "cause"])
    n, rows = len(errors), []
    is_decided = np.zeros(n, bool)
    if "by_decision" in errors:
        is_decided = errors["by_decision"].notna().to_numpy(bool)
    for cause in (*CAUSES, *NO_CAUSE):
        is_cause = cause in CAUSES
        here = holds[:, CAUSES.index(cause)] if is_cause else why == cause
        is_judged = cause in tried_on_right and len(right) >= LEAST_ALIKE
        wrongly = false[:, CAUSES.index(cause)] if is_judged else None
        rows_judged = np.flatnonzero(~too_few[:, CAUSES.index(cause)]) if is_cause else np.arange(n)
        share, low, high = _share(here, rows_judged, groups)
        outcomes = causes.loc[causes["cause"] == cause, "outcome"].to_numpy(object)
        rates = (np.nan, np.nan) if wrongly is None else (_mean(wrongly), _mean(wrongly[alike]))
        counts = int(here.sum()), int((why == cause).sum()), n
        counted = np.count_nonzero(outcomes != NOT_TRIED), np.count_nonzero(outcomes == TOO_FEW)
        counted = (*counted, int((is_decided & (why == cause)).sum()) if cause == LABEL else 0)
        rows.append((cause, *counts, share, low, high, *rates, len(right), *counted))
    return pd.DataFrame(rows, columns=list(RATES))


def _share(here: np.ndarray, rows: np.ndarray, groups: np.ndarray | None) -> tuple[float, float, float]:
    """The share of some errors for which a cause holds, with its interval; NaN where none was judged."""
    if not len(rows):
        return np.nan, np.nan, np.nan
    outcomes = here[rows].astype(float)
    return float(outcomes.mean()), *share_bounds(outcomes, groups_among(groups, rows))


def _has_outcome(outcome: str, table: pd.DataFrame, images: pd.DataFrame) -> np.ndarray:
    """(len(images), len(CAUSES)) bool: of which causes the outcome is this of each image, a row each."""
    has_outcome = np.zeros((len(images), len(CAUSES)), bool)
    rows = table.loc[table["outcome"] == outcome]
    image = pd.Index(images["image_id"].to_numpy(object)).get_indexer(rows["image_id"].to_numpy(object))
    cause = pd.Index(CAUSES).get_indexer(rows["cause"].to_numpy(object))
    has_outcome[image[image >= 0], cause[image >= 0]] = True
    return has_outcome


def _alike(right: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """(len(gaps), n) int: the right images whose gap is nearest to that of each error."""
    distance = np.abs(np.abs(right)[None] - np.abs(gaps)[:, None])
    return np.argsort(distance, axis=1, kind="stable")[:, : n_alike(len(right))]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def causes_inside(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `causes`: the rows of the images of a slice, (n_images,) bool."""
    frame = study.table(TABLE)
    inside = study.column("images", "image_id").to_numpy(object)[mask]
    return frame.loc[frame.loc[:, "image_id"].isin(inside).to_numpy(bool)].reset_index(drop=True)


def cause_rates_inside(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `cause_rates` of the errors of a slice that were drawn; right images are those of the study."""
    rows = causes_inside(study, mask)
    rows = rows.loc[rows["drawn"].to_numpy(bool)].reset_index(drop=True)
    first = rows.drop_duplicates("image_id")["image_id"].tolist()
    study_rows = study.rows_held(first)
    groups = groups_among(study.groups, np.array([study_rows[name] for name in first], np.int64))
    return cause_rates(rows, study.table("cause_controls"), groups)
