"""The trials that need no picture: the label, the neighbours, and a feature set to its mean.

Each reads what the study holds of its images (docs/method.md 9.3).
"""

import numpy as np
import pandas as pd

from core.causes.drawn import DrawnImages
from core.common.dataframes import numbers, unit_rows
from core.measures.removal import logits_without, random_alike
from core.measures.trials import Trial
from core.measures.units import unit_codes
from core.pictures.look import Answering
from core.slices.evaluate import class_column
from core.slices.features import class_logits
from core.slices.why_wrong import FEATURE, LABEL, NEIGHBOURS
from core.store import Study

N_NEIGHBOURS, MOST_NEIGHBOURS = 10, 0.5  # those that vote, and by how much of them the answer has to lead
N_RANDOM = 10  # features that the removed one is compared with
BLOCK = 256  # images at a time


def trials_without_pictures(
    study: Study, asked: Answering, drawn: DrawnImages, seed: int
) -> dict[str, Trial]:
    """Make the trials that can be made, by their causes.

    Args:
        study: as the answer reads it.
    """
    units = unit_codes(study)
    made = {
        LABEL: label_trial(study, drawn),
        NEIGHBOURS: neighbour_trial(study, asked, drawn, units),
        FEATURE: feature_trial(study, asked, drawn, seed),
    }
    return {cause: trial for cause, trial in made.items() if trial is not None}


def label_trial(study: Study, drawn: DrawnImages) -> Trial | None:
    """Whether the label is likely wrong, out of fold: the image is listed in `label_issues`.

    The gain is the margin by which the suggested class is more probable than the label. None where no label
    was checked.
    """
    if not study.has("label_issues"):
        return None
    table = study.table("label_issues").drop_duplicates("image_id").set_index("image_id")
    table = table.reindex(study.column("images", "image_id").to_numpy(object)[drawn.rows]).reset_index()
    listed = table["listed"].astype("boolean").fillna(False).to_numpy(bool)
    suggested = table["suggested"].astype(object).where(table["suggested"].notna(), None).to_numpy(object)
    evidence = {"suggested": suggested, "value": numbers(table, "confidence")}
    return Trial(-numbers(table, "margin"), listed, np.full(len(listed), -np.inf), evidence=evidence)


def neighbour_trial(study: Study, asked: Answering, drawn: DrawnImages, units: np.ndarray) -> Trial:
    """Whether the images around belong to the wrong class.

    gain = share of the wrong class among the N_NEIGHBOURS nearest labelled images of other units less the
    share of the label; it answers at MOST_NEIGHBOURS. The wrong class of an error is its answer, that of a
    right image its target: of that, too, most neighbours have the label. No picture is changed, so it has
    no neutral changes.

    Args:
        units: (n_images,) int, images of one unit of data are no neighbours of each other.
    """
    names = pd.Index(asked.names)
    codes = names.get_indexer(pd.Index([*study.class_names]))
    label = class_column(study, "label")
    nearest = nearest_of_others(study, drawn.rows, np.flatnonzero(label >= 0), units)
    labels = np.where(nearest >= 0, codes[label[nearest]], -2)
    wrong = np.where(drawn.is_error, drawn.answer, drawn.target)
    truth = np.where(drawn.is_error, drawn.target, drawn.answer)
    n = np.count_nonzero(nearest >= 0, axis=1)
    n_or_nan = np.where(n > 0, n, np.nan)
    shares = [(labels == codes_of_side[:, None]).sum(1) / n_or_nan for codes_of_side in (wrong, truth)]
    gain = shares[0] - shares[1]
    evidence = {"value": shares[0], "usual": shares[1]}
    return Trial(gain, gain >= MOST_NEIGHBOURS, np.full(len(gain), -np.inf), evidence=evidence)


def nearest_of_others(
    study: Study, rows: np.ndarray, among: np.ndarray, units: np.ndarray, k: int = N_NEIGHBOURS
) -> np.ndarray:
    """Find the k images nearest to each by cosine, those of its own unit left out.

    Args:
        rows: (n,) int. among: (m,) int, rows that can be neighbours, ascending. units: (n_images,) int.
    Returns:
        (n, k) int64 rows, the nearest first, ties in the order of the images; -1 where there are fewer.
    """
    array = study.array("representations")
    queries = unit_rows(array.rows(rows)).astype(np.float32)
    best = np.full((len(rows), k), -np.inf, np.float32)
    nearest = np.full((len(rows), k), -1, np.int64)
    for start in range(0, len(among), 4096):
        part = among[start : start + 4096]
        cosines = queries @ unit_rows(array.rows(part)).astype(np.float32).T
        cosines[units[rows][:, None] == units[part][None]] = -np.inf
        both = np.concatenate([best, cosines], 1)
        whose = np.concatenate([nearest, np.broadcast_to(part, cosines.shape)], 1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        best, nearest = np.take_along_axis(both, order, 1), np.take_along_axis(whose, order, 1)
    return np.where(np.isfinite(best), nearest, -1)


def feature_trial(study: Study, asked: Answering, drawn: DrawnImages, seed: int) -> Trial | None:
    """Whether one feature decides: the one that adds most to z_answer - z_target, set to its mean.

    Its control is the largest gain among N_RANDOM features of like activation, each set to its mean. None
    where the layers of the classifier are not stored.
    """
    if asked.classifier is None:
        return None
    n, rng = len(drawn.rows), np.random.default_rng(seed)
    gain, control = np.full(n, np.nan), np.full(n, -np.inf)
    answered = np.zeros(n, bool)
    feature, value = np.full(n, -1), np.full(n, np.nan)
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        raw = asked.rows(study.array("representations").rows(drawn.rows[part]))
        strongest = _strongest(asked, raw, drawn.answer[part], drawn.target[part])
        feature[part], value[part] = strongest, raw[np.arange(len(raw)), strongest]
        gain[part], answered[part] = _without(asked, raw, drawn, part, strongest[:, None])
        others = random_alike(raw, np.repeat(strongest[:, None], N_RANDOM, 1), rng)
        for other in others.T:
            without, _ = _without(asked, raw, drawn, part, other[:, None])
            control[part] = np.where(other >= 0, np.maximum(control[part], without), control[part])
    evidence = {"feature": feature, "value": value, "usual": asked.means[feature]}
    return Trial(gain, answered, control, evidence=evidence)


def _strongest(asked: Answering, raw: np.ndarray, answer: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) int64: the feature that adds most to the lead of the answer, gradient times value."""
    assert asked.classifier is not None
    logits = asked.classifier.logits(raw)
    sides = (
        class_logits.class_gradients(asked.classifier, raw, logits, asked.column, of)
        for of in (answer, target)
    )
    return ((next(sides) - next(sides)) * raw).argmax(1)


def _without(
    asked: Answering, raw: np.ndarray, drawn: DrawnImages, part: slice, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gain without some features, and whether the answer is then the target."""
    assert asked.classifier is not None
    started = asked.classifier.start(raw)
    outputs = logits_without(asked.classifier, started, raw, asked.means, features)
    logits = class_logits.by_class(outputs, asked.column, len(asked.names))
    at, target = np.arange(len(raw)), drawn.target[part]
    gap = logits[at, target] - logits[at, drawn.answer[part]]
    return gap - drawn.gap[part], logits.argmax(1) == target
