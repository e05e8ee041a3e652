"""Images whose label is likely wrong: an answer is confident against it (docs/method.md 2.9)."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, where, words
from core.common.formatting import counted
from core.reader import StudyReader

COLUMNS = ("image_id", "label", "suggested", "label_quality", "confidence")
ACCURATE = 0.9
LINEAR = ("probe_weights", "probe_bias")  # of the answer that the study is read by


def label_issues(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """List the evaluation images of a slice whose label is likely wrong, the least likely label first.

    Which images these are depends on all evaluation images, not on the slice. Train images are left out: the
    classifier was trained on their labels.

    Args:
        mask: (n_images,) bool.
    Returns:
        COLUMNS: suggested, the class predicted instead; label_quality, the probability of the label;
        confidence, that of the predicted class. Empty without a classifier.
    """
    if why_no_probabilities(study):
        return pd.DataFrame({name: [] for name in COLUMNS})
    classes, is_val = list(study.class_names), study.is_val
    truth = pd.Categorical(words(study.images, "label"), categories=classes).codes[is_val]
    logits = _logits(study, np.flatnonzero(is_val))
    order, shares = likely_wrong(logits, truth)
    rows = np.flatnonzero(is_val)[order]
    values = (
        study.images["image_id"].to_numpy()[rows],
        np.array(classes, object)[truth[order]],
        np.array(classes, object)[shares.argmax(1)],
        shares[np.arange(len(order)), truth[order]],
        shares.max(1),
    )
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return where(table, mask[rows]).reset_index(drop=True)


def why_no_probabilities(study: StudyReader) -> str:
    """Explain why the probability of each class is not known of the evaluation images; empty if it is."""
    if study.has("val_logits") or all(study.has(item) for item in LINEAR):
        return ""
    if study.has("probe"):
        return "this answer gives no probability of each class, so no label can be compared with it"
    return study.summary("probe").get("skipped") or "there is no classifier. Run the step probe"


def _logits(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    if study.has("val_logits"):
        return study.array("val_logits").rows(np.arange(len(rows)))
    weights, bias = (study.vector(item) for item in LINEAR)
    return study.array("representations").rows(rows) @ weights.T + bias


def likely_wrong(logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the labels that an answer is confident against.

    Confident learning (Northcutt, Jiang and Chuang 2021), as cleanlab computes it, estimates how many labels
    are wrong; those of the lowest probability are taken, as long as another class is predicted.

    Args:
        logits: (n_images, n_classes) of images that the answer was not trained on. truth: (n_images,) class
            codes, -1 where there is no label.
    Returns:
        rows, the least likely label first; and the class probabilities (len(rows), n_classes) of these.
    """
    from cleanlab.filter import find_label_issues  # here: it takes a second to load
    from scipy.special import softmax

    labelled = np.flatnonzero(truth >= 0)
    present = np.unique(truth[labelled])
    shares = softmax(np.asarray(logits[labelled], np.float64), axis=1)
    if len(present) < 2:
        return labelled[:0], shares[:0]
    codes = np.searchsorted(present, truth[labelled])
    among = shares[:, present] / shares[:, present].sum(1, keepdims=True)
    issues = find_label_issues(codes, among, filter_by="low_self_confidence", n_jobs=1)
    given = shares[np.arange(len(labelled)), truth[labelled]]
    unlikely = np.flatnonzero(issues & (shares.argmax(1) != truth[labelled]))
    unlikely = unlikely[np.argsort(given[unlikely], kind="stable")]
    return labelled[unlikely], shares[unlikely]


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
        accuracy: in [0, 1], on the evaluation images. At .66 more than half of a list was (docs/RESULTS.md).
    """
    if accuracy >= ACCURATE:
        return ""
    return f" The classifier is right on {100 * accuracy:.0f} %, so many of these are errors of its own."
