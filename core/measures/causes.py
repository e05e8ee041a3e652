"""Why images are wrong (docs/method.md 9): when a trial explains an error, shares by cause, and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import check_same_length
from core.common.formatting import format_duration
from core.common.records import Record, Templates
from core.config import CausesConfig
from core.measures.design_effect import groups_among
from core.measures.image_columns import (
    BACKGROUND,
    CAUSES,
    CROP,
    FEATURE,
    LABEL,
    NEIGHBOURS,
    NO_CAUSE,
    PICTURE,
    TABLE,
    TOO_FEW_TO_TELL,
    TURN,
    UNEXPLAINED,
    WHY,
)
from core.measures.intervals import share_bounds
from core.study.label_decisions import CHANGED, DECISION, DOUBTED, LEFT, with_decisions
from core.study.reader import StudyReader
from core.study.speed import Speed

# The rule by which a trial explains an error: its gain against its controls (docs/method.md 9.3).


HOLDS, REFUTED, TOO_FEW, NOT_TRIED, REFERENCE = ("holds", "no", "too few", "not tried", "reference")
LEAST_ALIKE = 30  # right images of like gap, without which no gain is judged
PERCENTILE = 0.95
NEAREST = 3  # of an image that is named, so many times the right images of like gap are tried
BLOCK = 1 << 22  # differences of gaps held at once


@dataclass(frozen=True)
class Trial:
    """What a trial did to n images, errors and right images alike.

    Attributes:
        gain: (n,) float, g' - g, in logits or in the trial's own unit; NaN where it was not tried.
        answered: (n,) bool, the answer becomes the target.
        control: (n,) float, the largest gain of the neutral changes of the same image; -inf without any.
        lead: (n,) float, by how much it gains more than others of its kind, which has to be as
            unusual as the gain; None where there are no others.
        evidence: columns of table `causes`, (n,) each: what was found of the image.
    """

    gain: np.ndarray
    answered: np.ndarray
    control: np.ndarray
    lead: np.ndarray | None = None
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)


def n_alike(n_reference: int) -> int:
    """Return how many right images an error's trials are compared with: the tenth of nearest gap.

    >>> n_alike(100), n_alike(2001)
    (30, 201)
    """
    return max(LEAST_ALIKE, -(-n_reference // 10))


def n_compared(n_reference: int) -> int:
    """Return how many right images are tried with an image that is named, to find why it is wrong.

    >>> n_compared(9), n_compared(100), n_compared(2001)
    (9, 90, 603)
    """
    return min(n_reference, NEAREST * n_alike(n_reference))


def usual_bound(values: np.ndarray, gaps: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
    """Compute the 95th percentile of a trial's value over the right images whose gap is like an error's.

    Of the n images whose |gap| is nearest to |at| (ties by their order), by Weibull's definition: the value
    at place .95 (n + 1) in ascending order, between its neighbours in proportion. One more value of the same
    distribution lies above it with a chance of .05, however few they are.

    Args:
        values, gaps: (m,) float of the right images. at: (k,) float.
    Returns:
        (k,) float64; NaN with fewer than LEAST_ALIKE images.
    Raises:
        ShapeError: values and gaps disagree.
    """
    check_same_length("values", len(values), "gaps", len(gaps))
    bounds = np.full(len(at), np.nan)
    if len(values) < LEAST_ALIKE:
        return bounds
    n, sizes = min(n, len(values)), np.abs(gaps)
    step = max(1, BLOCK // len(values))
    for start in range(0, len(at), step):
        distance = np.abs(sizes[None] - np.abs(at[start : start + step, None]))
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :n]
        bounds[start : start + step] = np.quantile(values[nearest], PERCENTILE, axis=1, method="weibull")
    return bounds


def trial_outcomes(
    trial: Trial, gaps: np.ndarray, is_reference: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Say of each misclassified image whether a trial explains its answer.

    It does where (1) the answer becomes the target, (2) the gain is larger than that of each neutral change,
    and (3) larger than `usual_bound` over the reference, as the lead over others of its kind is.

    Args:
        gaps: (n_images,) g < 0. is_reference: (n_images,) bool, the right images that bounds are made of, on
            which the trial was tried. n: how many of them are of like gap.
    Returns:
        the outcome (n_images,) of HOLDS, REFUTED, TOO_FEW (it passes (1) and (2), and fewer than LEAST_ALIKE
        images can be compared with), NOT_TRIED and REFERENCE; the bound of the gain (n_images,), NaN for the
        reference and where there is none.
    """
    tried = np.isfinite(trial.gain)
    of, among = np.flatnonzero(tried & ~is_reference), np.flatnonzero(tried & is_reference)
    bound = np.full(len(gaps), np.nan)
    bound[of] = usual_bound(trial.gain[among], gaps[among], gaps[of], n)
    passes = tried & trial.answered & (trial.gain > trial.control)
    above = trial.gain > bound
    if trial.lead is not None:
        leads = np.full(len(gaps), np.nan)
        leads[of] = usual_bound(trial.lead[among], gaps[among], gaps[of], n)
        above &= trial.lead > leads
    outcome_if_passed = np.where(np.isnan(bound), TOO_FEW, np.where(above, HOLDS, REFUTED))
    outcome = np.where(passes, outcome_if_passed, REFUTED).astype(object)
    outcome[~tried] = NOT_TRIED
    outcome[is_reference] = REFERENCE
    return outcome, bound


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
    """Order the causes of errors that hold, the best first: a wrong label, then by gain in logits.

    Args:
        cause: (n,) names. gain: (n,) float.
    Returns:
        (n,) int64, the places in order.
    """
    kind = np.where(cause == LABEL, 0, np.where(cause == NEIGHBOURS, 2, 1))
    return np.lexsort((-gain, kind))


def with_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Rank the causes of each error that hold, by the outcome of its trials.

    Args:
        table: image_id, cause, gain and outcome, and any others; the rows of an image anywhere.
    Returns:
        its columns with holds, rank (from 1; 0 where it does not hold, or beyond MOST_CAUSES) and WHY, the
        rows image by image in the order of their first rows, causes that hold first.
    """
    table = table.reset_index(drop=True)
    table = table.assign(holds=table["outcome"] == HOLDS)
    held = table.loc[table["holds"].to_numpy(bool)]
    order = order_of_causes(held["cause"].to_numpy(object), held["gain"].to_numpy(float))
    ranks = held.iloc[order].groupby("image_id", sort=False).cumcount() + 1
    rank = ranks.reindex(table.index, fill_value=0).to_numpy()
    table = table.assign(rank=np.where(rank > MOST_CAUSES, 0, rank))
    table[WHY] = table["image_id"].map(_first_of_images(table))
    listed = table["rank"].where(table["rank"] > 0, MOST_CAUSES + 1)
    image, trial = pd.factorize(table["image_id"])[0], pd.Index(CAUSES).get_indexer(table["cause"])
    return table.iloc[np.lexsort((trial, listed, image))].reset_index(drop=True)


def _first_of_images(table: pd.DataFrame) -> dict[str, str]:
    """The first cause of each image; without one, whether a trial had too few images to compare it with."""
    ids = table["image_id"].unique().tolist()
    unsure = set(table.loc[table["outcome"] == TOO_FEW, "image_id"])
    first = table.loc[table["rank"] == 1].set_index("image_id")["cause"].to_dict()
    none = {name: TOO_FEW_TO_TELL if name in unsure else UNEXPLAINED for name in ids}
    return none | first


def decided_causes(study: StudyReader, stored: pd.DataFrame) -> pd.DataFrame:
    """Table `causes` with what people decided on labels in place of what models make of them.

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
    has_decisions = study.table(TABLE, ["by_decision"])["by_decision"].notna().any()
    if not (has_decisions or stored["n_too_few"].any()):  # older studies counted what was not judged
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
    held, false = _has_outcome(HOLDS, causes, errors), _has_outcome(HOLDS, controls, right)
    too_few = _has_outcome(TOO_FEW, causes, errors)
    alike = _alike(right["gap"].to_numpy(float), gaps)
    tried_on_right = set(controls.loc[controls["outcome"] != NOT_TRIED, "cause"])
    n, rows = len(errors), []
    is_decided = np.zeros(n, bool)
    if "by_decision" in errors:
        is_decided = errors["by_decision"].notna().to_numpy(bool)
    for cause in (*CAUSES, *NO_CAUSE):
        is_cause = cause in CAUSES
        here = held[:, CAUSES.index(cause)] if is_cause else why == cause
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
    held = np.zeros((len(images), len(CAUSES)), bool)
    rows = table.loc[table["outcome"] == outcome]
    image = pd.Index(images["image_id"].to_numpy(object)).get_indexer(rows["image_id"].to_numpy(object))
    cause = pd.Index(CAUSES).get_indexer(rows["cause"].to_numpy(object))
    held[image[image >= 0], cause[image >= 0]] = True
    return held


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
    return frame.loc[frame["image_id"].isin(inside).to_numpy(bool)].reset_index(drop=True)


def cause_rates_inside(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `cause_rates` of the errors of a slice that were drawn; right images are those of the study."""
    rows = causes_inside(study, mask)
    rows = rows.loc[rows["drawn"].to_numpy(bool)].reset_index(drop=True)
    first = rows.drop_duplicates("image_id")["image_id"].tolist()
    held = study.rows_held(first)
    groups = groups_among(study.groups, np.array([held[name] for name in first], np.int64))
    return cause_rates(rows, study.table("cause_controls"), groups)


# Why images are wrong in words: a sentence a cause, and one on the errors of a filter.


_say = Templates.beside(__file__)
DECIDED = "decided"
NOUNS = {  # of so many errors
    DECIDED: ("wrong label as decided", "wrong labels as decided"),
    "label": ("doubtful label", "doubtful labels"),
    "crop": ("crop", "crops"),
    "picture": ("unusual picture", "unusual pictures"),
    "turn": ("turn", "turns"),
    "neighbours": ("image among another class", "images among another class"),
    "feature": ("single feature", "single features"),
    "background": ("background", "backgrounds"),
    UNEXPLAINED: ("unexplained", "unexplained"),
    TOO_FEW_TO_TELL: ("not judged", "not judged"),
}
TRIED = {  # that makes the answer right: a cause, or a measure of the picture
    CROP: "few_crop",
    "brightness": "few_brightness",
    "contrast": "few_contrast",
    "sharpness": "few_sharpness",
    TURN: "few_turn",
    FEATURE: "few_feature",
    BACKGROUND: "few_background",
    NEIGHBOURS: "few_neighbours",
}
EXTREMES = {"brightness": ("dark", "bright"), "contrast": ("low", "high")}


def cost_of_one(n_right: int, seconds: float | None) -> Record:
    """Say what finding out why one image is wrong takes.

    Args:
        n_right: right images that it is compared with. seconds: None where that is not known.
    """
    return _say("cost_of_one", n=n_right, parts=_about(seconds))


def cost_of_all(n_errors: int, n_right: int, seconds: float | None) -> Record:
    """Say what finding out why images are wrong takes; `seconds` None where that is not known."""
    return _say("cost_of_all", n=n_errors, of=n_right, parts=_about(seconds))


def _about(seconds: float | None) -> tuple[Record, ...]:
    return () if seconds is None else (_say("about", why=format_duration(seconds)),)


def cause_sentence(row: Mapping[str, Any]) -> Record:
    """Say what one cause of an error is and how it was found. row: of table `causes`, which holds."""
    cause, gain = str(row["cause"]), float(row["gain"])
    label, answer = (with_class_names(str(row[name])) for name in ("label", "predicted"))
    threshold, value, usual = (float(row[name]) for name in ("threshold", "value", "usual"))
    if cause == LABEL and (corrected := corrected_class(row)) is not None:
        if not corrected:
            return _say("taken_for_wrong")
        return _say("corrected_to_answer" if corrected == answer else "corrected", what=corrected)
    if cause == LABEL:
        return _say("label", what=with_class_names(str(row["suggested"])), value=value)
    if cause == NEIGHBOURS:
        return _say("neighbours", what=label, why=answer, value=value, chance=usual)
    if cause == TURN:
        return _say("turn", n=int(row["degrees"]), what=label, value=gain, chance=threshold)
    if cause == FEATURE:
        return _say("feature", n=int(row["feature"]), what=label, value=gain, chance=threshold)
    if cause == CROP:
        return _say("crop", what=label, value=gain, chance=threshold)
    if cause == BACKGROUND:
        return _say("background", what=label, value=gain, chance=threshold)
    if row["measure"] == "sharpness":
        return _say("sharpness", what=label, value=gain, chance=threshold)
    kind, extreme = str(row["measure"]), EXTREMES[str(row["measure"])][int(value > usual)]
    if kind == "brightness":
        return _say("brightness", why=extreme, what=label, value=gain, chance=threshold)
    return _say("contrast", why=extreme, what=label, value=gain, chance=threshold)


def corrected_class(row: Mapping[str, Any]) -> str | None:
    """The class that somebody gave a wrong image in place of its label, a cause of its error.

    "" for a wrong label without a better one; None where nobody took its label for wrong.

    Args:
        row: of table `causes`.
    """
    if row["by_decision"] == CHANGED:
        return with_class_names(str(row["corrected_label"]))
    return "" if row["by_decision"] == DOUBTED else None


def image_sentences(rows: pd.DataFrame) -> list[Record]:
    """Say why one image is wrong, its best cause first; one sentence where no cause holds.

    Args:
        rows: those of the image in table `causes`. Without a cause that holds, changes that make the answer
            right are named where too few right images can be compared with.
    """
    held = rows.loc[rows["rank"].to_numpy() > 0].sort_values("rank")
    if len(held):
        return [cause_sentence(row) for row in held.to_dict("records")]
    few = rows.loc[rows["outcome"].to_numpy(object) == TOO_FEW].to_dict("records")
    if not few:
        return [_say("unexplained")]
    label = with_class_names(str(few[0]["label"]))
    kind = "few" if len(few) > 1 else "few_one"
    return [_say(kind, what=label, names=tuple(_change(row) for row in few))]


def _change(row: Mapping[str, Any]) -> Record:
    """The change of one trial. row: of table `causes`."""
    cause = str(row["cause"])
    number = {TURN: "degrees", FEATURE: "feature"}.get(cause)
    kind = str(row["measure"]) if cause == PICTURE else cause
    return _say(TRIED[kind], n=int(row[number]) if number else 0)


def shares_sentence(rates: pd.DataFrame) -> str:
    """Say of how many errors each cause is the first, the most common first; empty without errors.

    Args:
        rates: table `cause_rates`.
    """
    n_errors = int(rates["n_errors"].max()) if len(rates) else 0
    if not n_errors:
        return ""
    order = [*CAUSES, UNEXPLAINED, TOO_FEW_TO_TELL]
    counts = dict(zip(rates["cause"], rates["n_first"].astype(int), strict=True))
    causes = sorted(CAUSES, key=lambda cause: (-counts[cause], order.index(cause)))
    counts[DECIDED] = int(rates["n_decided"].sum())
    counts[LABEL] -= counts[DECIDED]
    listed = [name for name in (DECIDED, *causes, UNEXPLAINED, TOO_FEW_TO_TELL) if counts[name]]
    return _say("shares", n=n_errors, names=tuple(_counted(counts[name], name) for name in listed))


def unjudged_sentence(rates: pd.DataFrame) -> str:
    """Say what an error is that was not judged; empty where each was.

    Args:
        rates: table `cause_rates`.
    """
    n = int(rates.loc[rates["cause"] == TOO_FEW_TO_TELL, "n"].sum())
    return _say("unjudged", n=n) if n else ""


def _counted(n: int, cause: str) -> str:
    return f"{n:,} {NOUNS[cause][int(n != 1)]}"


def evidence_text(row: Mapping[str, Any]) -> str:
    """A few words below a misclassified picture: its first cause, and the number behind it."""
    cause = str(row["cause"])
    if cause == LABEL and (corrected := corrected_class(row)) is not None:
        return _say("corrected_short", what=corrected) if corrected else _say("taken_for_wrong_short")
    if cause == LABEL:
        return f"perhaps {with_class_names(str(row['suggested']))}, {100 * float(row['value']):.0f} %"
    if cause == NEIGHBOURS:
        return f"{100 * float(row['value']):.0f} % of its neighbours"
    detail = ""
    if cause == TURN and np.isfinite(row["degrees"]):
        detail = f"by {row['degrees']:.0f}°, "
    elif cause == FEATURE:
        detail = f"feature {int(row['feature'])}, "
    elif cause == PICTURE:
        detail = f"{row['measure']}, "
    return f"{detail}+{float(row['gain']):.2f} logits"


def sampled_sentence(n_errors: int, n_all: int) -> str:
    """Say that the causes of a part of the errors were looked for; empty where of all."""
    return _say("sampled", n=n_errors, of=n_all) if n_errors < n_all else ""


# What finding out why images are wrong takes, before it is started: images, and seconds of the encoder.


CHANGES = 12  # passes of an image: 11.5 on average of the demo (docs/RESULTS.md)
OVERHEAD = 2.0  # of a pass: reading the picture and changing it


def right_images_for_one(n_right: int, config: CausesConfig | None = None) -> int:
    """Return how many right images are tried with one named error, to find its cause.

    Args:
        n_right: right images that there are.
    """
    drawn = min(n_right, (config or CausesConfig()).right)
    return n_compared(drawn // 2)


def images_of_all(n_errors: int, n_right: int, config: CausesConfig | None = None) -> tuple[int, int]:
    """Return how many errors and right images are tried for causes where no image is named."""
    settings = config or CausesConfig()
    return min(n_errors, settings.errors), min(n_right, settings.right)


def seconds_of_trials(n_images: int, speed: Speed | None) -> float | None:
    """Return about how many seconds the trials of causes of errors take; None for an untimed encoder."""
    return None if speed is None else n_images * CHANGES * OVERHEAD * speed.milliseconds / 1000
