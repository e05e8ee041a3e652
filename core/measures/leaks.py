"""Evaluation images of which train has an exact or near duplicate (docs/method.md 1.8): accuracy counts them,
although nothing has to be recognised in them."""

import numpy as np
import pandas as pd

from core.common.records import Record, Templates
from core.measures.image_columns import leaked_pairs
from core.measures.slice_comparison import shown_images
from core.study.reader import StudyReader

COLUMNS = ("image_id", "label", "train_image", "train_label", "exact")
say_of_leaks = Templates.beside(__file__)


def leaks_of_slice(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """List the evaluation images of a slice that leak: of which train has a duplicate.

    One row an evaluation image of a mask, (n_images,) bool: the first train image among its duplicates,
    and whether the pixels of some train image are the very same.
    """
    if not study.has("pictures"):
        return pd.DataFrame(columns=list(COLUMNS))
    pairs = leaked_pairs(study)
    pairs = pairs[mask[pairs[:, 0]]]
    ids, labels = study.column("images", "image_id"), study.column("images", "label")
    val, train = pairs.T
    same_pixels = _has_same_pixels(study)[val]
    columns = {"image_id": ids.iloc[val].array, "label": labels.iloc[val].array}
    columns |= {"train_image": ids.iloc[train].array, "train_label": labels.iloc[train].array}
    return pd.DataFrame(columns | {"exact": same_pixels})


def _has_same_pixels(study: StudyReader) -> np.ndarray:
    """(n_images,) bool: some train image has the same pixels."""
    ids = study.column("images", "image_id")
    first = study.column("pictures", "duplicate_of").fillna(ids)
    return first.isin(first[~study.is_val]).to_numpy()


def leakage(study: StudyReader) -> Record | None:
    """Say how many of the evaluation images that a study shows train has, too; None where it has none."""
    shown = shown_images(study) & study.is_val
    return sentence_on_leaks(leaks_of_slice(study, shown), int(shown.sum()))


def sentence_on_leaks(leaks: pd.DataFrame, n_images: int) -> Record | None:
    """Say how many of n_images evaluation images are in leaks, rows of `leaks_of_slice`; None for none."""
    if leaks.empty:
        return None
    differ = leaks["label"].notna() & leaks["train_label"].notna() & (leaks["label"] != leaks["train_label"])
    n_differ = int(differ.to_numpy(bool).sum())
    kind = "leakage_of_labels" if n_differ else "leakage"
    return say_of_leaks(kind, n=len(leaks), of=n_images, value=n_differ)
