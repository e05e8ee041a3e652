"""Which classes are taken for which."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.measures.evaluate import class_column, column_values, result_column
from core.measures.finder import judged
from core.measures.slice import Slice
from core.study.reader import StudyReader


@dataclass(frozen=True)
class Confusion:
    """The most frequent confusion: `n` of the `of` misclassified images of class `true`.

    predicted: may be a class that no image has.
    """

    true: str
    predicted: str
    n: int
    of: int
    rows: np.ndarray


def confusions(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Count the errors of a slice by true and predicted class: true, predicted, n; most common first.

    A head may predict what is no label of an image. Ties are in the order of the names, labels first. Empty
    without errors, or where the correctness is not known.
    """
    true, predicted = class_column(study, "label"), class_column(study, "predicted")
    wrong = mask & (result_column(study, "correct") == 0) & (true >= 0)
    names, other = np.array(study.class_names, object), wrong & (predicted < 0)
    if other.any():
        answers, codes = np.unique(column_values(study, "predicted")[other].astype(str), return_inverse=True)
        predicted = predicted.copy()
        predicted[other] = len(names) + codes
        names = np.append(names, answers)
    pairs, n = np.unique(true[wrong] * len(names) + predicted[wrong], return_counts=True)
    order = np.lexsort([pairs, -n])  # class names are sorted, so pairs are in the order of the names
    first, second = np.divmod(pairs[order], max(len(names), 1))
    return pd.DataFrame({"true": names[first], "predicted": names[second], "n": n[order]})


def worst_confusion(study: StudyReader, among: np.ndarray | None = None) -> Confusion | None:
    """Return the pair of classes confused most often; None if no judged image is misclassified.

    Among pairs of the same size the one with the larger share of its class's errors comes first, then the
    order of `confusions`.
    """
    population = judged(study, among)
    if population is None:
        return None
    counted = confusions(study, population.mask)
    if counted.empty:
        return None
    counted["of"] = counted.groupby("true")["n"].transform("sum")
    counted["share"] = counted["n"] / counted["of"]
    true, predicted, n, of, _ = counted.sort_values(["n", "share"], ascending=False).iloc[0]
    confused = Slice(confusion=(true, predicted), correct=False).mask(study)
    return Confusion(str(true), str(predicted), int(n), int(of), np.flatnonzero(population.mask & confused))
