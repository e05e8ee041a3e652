"""Images whose label is likely wrong: an answer is confident against it (docs/method.md 2.9)."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.formatting import counted
from core.reader import StudyReader
from core.slices.evaluate import class_column
from core.slices.features.class_logits import OUTPUTS, class_logits, codes_of_outputs, has_logits, units_of

COLUMNS = ("image_id", "label", "suggested", "label_quality", "confidence")
ACCURATE = 0.9
NONE_LIKELY = "No label is likely wrong"
BLOCK = 2**22  # probabilities held at once
LOWEST_THRESHOLD = 2e-6  # of the probability from which cleanlab counts an image for a class
LogitsOf = Callable[[np.ndarray], np.ndarray]


def label_issues(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """List the evaluation images of a slice whose label is likely wrong, the least likely label first.

    Which images these are depends on all evaluation images, not on the slice. Train images are left out: the
    classifier was trained on their labels.

    Args:
        mask: (n_images,) bool.
    Returns:
        COLUMNS: suggested and confidence, the answer, which may be a class that no image has;
        label_quality, the probability of the label among the labels. Empty without a classifier.
    """
    if why_no_probabilities(study):
        return pd.DataFrame({name: [] for name in COLUMNS})
    classes, is_val = np.array(study.class_names, object), study.is_val
    truth = class_column(study, "label")[is_val]
    if study.has(OUTPUTS):
        truth = np.where(np.isin(truth, codes_of_outputs(study)), truth, -1)  # no output means the others
    issues = likely_wrong(_logits(study, np.flatnonzero(is_val)), truth)
    rows = np.flatnonzero(is_val)[issues["row"]]
    answers = study.table("probe", ["predicted", "confidence"]).iloc[rows].reset_index(drop=True)
    table = answers.rename(columns={"predicted": "suggested"}).assign(
        image_id=study.column("images", "image_id").to_numpy()[rows],
        label=classes[truth[issues["row"]]],
        label_quality=issues["label_quality"],
    )
    return table.loc[mask[rows], list(COLUMNS)].reset_index(drop=True)


def why_no_probabilities(study: StudyReader) -> str:
    """Explain why the probability of each class is not known of the evaluation images; empty if it is."""
    if study.has("val_logits") or has_logits(units_of(study)):
        return ""
    if study.has("probe"):
        return "this answer gives no probability of each class, so no label can be compared with it"
    return study.why_skipped("probe") or "there is no classifier. Run the step probe"


def _logits(study: StudyReader, images: np.ndarray) -> LogitsOf:
    """Of rows among `images`, the rows of the study that are evaluated."""
    if study.has("val_logits"):
        return study.array("val_logits").rows
    read = units_of(study)
    return lambda rows: class_logits(read, images[rows])


def likely_wrong(logits_of: LogitsOf, truth: np.ndarray) -> pd.DataFrame:
    """Find the labels that an answer is confident against, a block of images at a time.

    Confident learning (Northcutt, Jiang and Chuang 2021), as cleanlab counts it, estimates how many labels
    are wrong; those of the lowest probability are taken, as long as another class is predicted.

    Args:
        logits_of: gives, for rows of images that the answer was not trained on, (len(rows), n_classes)
            logits. truth: (n_images,) class codes, -1 where there is no label.
    Returns:
        row, suggested (the code of the predicted class), label_quality and confidence (probabilities of the
        label and of that class), the least likely label first.
    """
    from cleanlab.count import compute_confident_joint  # here: it takes a second to load

    rows = np.flatnonzero(truth >= 0)
    present, codes = np.unique(truth[rows], return_inverse=True)
    table = pd.DataFrame({"row": rows, "suggested": -1, "label_quality": np.nan, "confidence": np.nan})
    if len(present) < 2:
        return table.iloc[:0]
    block_rows = max(BLOCK // logits_of(rows[:1]).shape[1], 1)
    parts, label_shares = [], np.empty(len(rows))
    differs = np.empty(len(rows), bool)  # from the label, among the classes that are labels here
    for start in range(0, len(rows), block_rows):
        block = slice(start, start + block_rows)
        shares, among = _probabilities(logits_of(rows[block]), present)
        here = np.arange(len(shares))
        parts.append((shares.argmax(1), shares[here, truth[rows[block]]], shares.max(1)))
        label_shares[block] = among[here, codes[block]]
        differs[block] = among.argmax(1) != codes[block]
    for name, values in zip(table.columns[1:], zip(*parts, strict=True), strict=True):
        table[name] = np.concatenate(values)
    thresholds = np.maximum(np.bincount(codes, label_shares) / np.bincount(codes), LOWEST_THRESHOLD)
    n_wrong, other = 0, np.flatnonzero(differs)
    for start in range(0, len(other), block_rows):
        block = other[start : start + block_rows]
        _, among = _probabilities(logits_of(rows[block]), present)
        _, confident = compute_confident_joint(
            codes[block], among, thresholds=thresholds, calibrate=False, return_indices_of_off_diagonals=True
        )
        n_wrong += len(confident)
    unlikely = np.isin(np.arange(len(rows)), np.argsort(label_shares, kind="stable")[:n_wrong])
    table = table.loc[unlikely & (table["suggested"].to_numpy() != truth[rows])].reset_index(drop=True)
    return table.sort_values("label_quality", kind="stable", ignore_index=True)


def _probabilities(logits: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all classes, and of those that are labels here among themselves."""
    from scipy.special import softmax

    logits = np.asarray(logits, np.float64)
    return softmax(logits, axis=1), softmax(logits[:, present], axis=1)


def issues_sentence(table: pd.DataFrame, n_images: int, accuracy: float) -> str:
    """State how many labels may be wrong, and which is the least likely one.

    Args:
        table: `label_issues`. n_images: evaluation images with a label. accuracy: as `own_errors`.
    """
    if table.empty:
        return ""
    first, sure = table.iloc[0], 100 * numbers(table, "confidence")[0]
    count = f"{len(table):,} of {counted(n_images, 'label')} may be wrong"
    example = f"First: {first['label']}, where {first['suggested']} is predicted with {sure:.0f} %."
    return f"{count}. {example}{own_errors(accuracy)}"


def own_errors(accuracy: float) -> str:
    """Warn, from a space on, that a weak classifier lists its own errors; empty where it is right on 90 %.

    Args:
        accuracy: in [0, 1], on the evaluation images that the list is of. At .66 more than half of one was
            (docs/RESULTS.md).
    """
    if accuracy >= ACCURATE:
        return ""
    return f" The classifier is right on {100 * accuracy:.0f} %, so many of these are errors of its own."
