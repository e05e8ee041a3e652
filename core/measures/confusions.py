"""Which classes are taken for which."""

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices.evaluate import class_column, column_values, result_column


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
