"""Decide on labels, one by one: the class that an image has, which may be its label; and read what follows.

from core.study import label_decisions, trace_changes
done = labels.decide_label(study, "val/dog/7.jpg", "wolf")
labels.corrected_labels(study)  # the labels of all images, as corrected
many.take_back(study, done)
"""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import words
from core.common.records import Templates
from core.errors import TraceError, did_you_mean
from core.study.reader import StudyReader
from core.study.trace_changes import ChangedTraces, rewrite
from core.study.traces import UNSURE, ImageTrace, read_traces

DECISION = ("corrected_label", "by_decision")
COLUMNS = ("image_id", "path", "label", *DECISION)
LEFT, CHANGED, DOUBTED = DECISIONS = ("kept", "changed", "unsure")
_say = Templates.beside(__file__)


def decide_label(
    study: StudyReader, image_id: str, class_name: str, *, seen: str | None = None
) -> ChangedTraces:
    """Decide which class an image has, and return what `many.take_back` takes back.

    Args:
        class_name: a class of the study, which may be the label: it is right then; or `UNSURE`, for a label
            that is wrong where nobody knows better.
        seen: the decision, as `decision_on` gives it, that its maker saw; None: whatever it is.
    Raises:
        TraceError: there is no such class, the image has no label, or somebody has decided otherwise since.
        StudyError: the study holds no such image, or cannot be written to.
    """
    row = study.row_of(image_id)
    image_id, label = (study.column("images", name).iat[row] for name in ("image_id", "label"))
    if pd.isna(label):
        raise TraceError(f"'{image_id}' has no label to decide on")
    if class_name != UNSURE and class_name not in study.class_names:
        classes = list(study.class_names)
        raise TraceError(f"no class '{class_name}' in this study.{did_you_mean(class_name, classes)}")

    def changed(_: str, now: ImageTrace) -> ImageTrace:
        before = decision_on(now, label)
        if seen is not None and before not in (seen, class_name):
            raise TraceError(f"somebody else has decided on this image meanwhile: {_in_words(before, label)}")
        return decided_trace(now, label, class_name)

    return rewrite(study, [image_id], changed)


def decided_trace(trace: ImageTrace, label: str, decision: str) -> ImageTrace:
    """Return what people left on an image, with a decision on its label in place of another one.

    >>> decided_trace(ImageTrace("small"), "dog", "dog")
    ImageTrace(note='small', tags=(), wrong_label='', right_label='dog')
    """
    is_right = decision == label
    return replace(trace, wrong_label="" if is_right else decision, right_label=label if is_right else "")


def undecide(study: StudyReader, image_id: str) -> ChangedTraces:
    """Take back whatever people decided on the label of an image of a study; raises as `decide_label`."""
    name = study.column("images", "image_id").iat[study.row_of(image_id)]
    return rewrite(study, [name], lambda _, now: ImageTrace(now.note, now.tags))


def decision_on(trace: ImageTrace, label: str) -> str:
    """Return the class people decided an image has: its label if right, `UNSURE`, or "" undecided.

    >>> decision_on(ImageTrace(right_label="cat"), "cat"), decision_on(ImageTrace(right_label="cat"), "dog")
    ('cat', '')
    >>> decision_on(ImageTrace(wrong_label="cat"), "dog")
    'cat'
    """
    return trace.wrong_label or (label if trace.right_label == label else "")


def corrected_label(trace: ImageTrace, label: str) -> str:
    """Return an image's label after what people left on the study; "" where nobody knows one.

    >>> corrected_label(ImageTrace(wrong_label="cat"), "dog"), corrected_label(ImageTrace(), "dog")
    ('cat', 'dog')
    """
    decision = decision_on(trace, label) if label else ""
    return "" if decision == UNSURE else decision or label


def corrected_labels(study: StudyReader) -> pd.Series:
    """Return (n_images,) the labels as people corrected them, in study order.

    Missing where an image has no label, and where people say that it is wrong without a better one.
    """
    labels = study.images["label"].astype(object)
    labels = labels.where(labels.notna(), None)
    left = read_traces(study.path).images
    rows = study.rows_held(list(left))
    values = labels.to_numpy(object, copy=True)
    for name, row in rows.items():
        values[row] = corrected_label(left[name], str(values[row] or "")) or None
    return pd.Series(pd.array(values, dtype="str"), name="label")


def decisions(study: StudyReader) -> pd.DataFrame:
    """Return one row per image on whose label somebody decided, in study order.

    Returns:
        COLUMNS: corrected_label is empty where the label is wrong without a better one; by_decision is one of
        `DECISIONS`.
    """
    images, left = study.images, read_traces(study.path).images
    rows = sorted(study.rows_held(list(left)).values())
    names, labels = images["image_id"].to_numpy(object), images["label"].to_numpy(object)
    decided = []
    for row in rows:
        label = "" if pd.isna(labels[row]) else str(labels[row])
        if label and (decision := decision_on(left[names[row]], label)):
            decided.append((row, decision, label))
    at = np.array([row for row, _, _ in decided], np.int64)
    frame = images.iloc[at][["image_id", "path", "label"]].reset_index(drop=True)
    better = [None if decision == UNSURE else decision for _, decision, _ in decided]
    kinds = [_kind(decision, label) for _, decision, label in decided]
    return frame.assign(
        corrected_label=pd.array(better, dtype="str"), by_decision=pd.array(kinds, dtype="str")
    )


def holds_corrections(study: StudyReader, other: StudyReader) -> bool:
    """Return True where another study's labels are those that people gave in place of labels of a study.

    Args:
        other: holds the same images, by id; without one of those whose label was changed it does not.
    """
    made = decisions(study)
    changed = made.loc[(made["by_decision"] != LEFT).to_numpy(bool)]
    labels, rows = words(other.images, "label"), other.rows_held(words(changed, "image_id"))
    held = [labels[rows[name]] if name in rows else None for name in words(changed, "image_id")]
    return held == words(changed, "corrected_label")


def with_decisions(study: StudyReader, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of images with what people left on the study beside it: decisions on labels.

    Args:
        table: has a column image_id, in any order.
    Returns:
        its columns, and DECISION as in `decisions`: both are missing where nobody decided.
    """
    made = decisions(study)
    places = pd.Index(made["image_id"]).get_indexer(pd.Index(table["image_id"]))
    return table.assign(**{name: made[name].array.take(places, allow_fill=True) for name in DECISION})


def decisions_digest(study: StudyReader) -> str:
    """A checksum of all decisions of a study, by which a result knows whether people decided since."""
    rows = decisions(study)[["image_id", *DECISION]].fillna("").to_numpy().tolist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def label_words(label: str, decision: str) -> str:
    """Name a label with what people decided on it, as `decision_on` gives that.

    >>> label_words("dog", "wolf"), label_words("dog", "")
    ('dog (corrected to wolf)', 'dog')
    """
    name = with_class_names(label)
    if not decision:
        return name
    if decision == UNSURE:
        return _say("doubted", what=name)
    return (
        _say("kept", what=name)
        if decision == label
        else _say("changed", what=name, why=with_class_names(decision))
    )


def _kind(decision: str, label: str) -> str:
    if decision == UNSURE:
        return DOUBTED
    return LEFT if decision == label else CHANGED


def _in_words(decision: str, label: str) -> str:
    words = {"": "it is open again", UNSURE: "the label is wrong", label: "the label is right"}
    return words.get(decision, f"it is '{decision[:200]}'")
