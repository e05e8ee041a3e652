"""Which classes the probe takes a feature for."""

import numpy as np
import pandas as pd

from core.reader import StudyReader


def class_push(study: StudyReader, feature: int, rows: np.ndarray) -> pd.DataFrame:
    """Compute what a feature adds to the logit of each class on some images, compared with the average class.

    push_c = mean over i of raw_ij (w_cj - mean over c' of w_c'j): a probe's answer does not change where all
    logits grow by the same amount.

    Args:
        rows: (n,) int, image rows: those on which the feature is strongest, say.
    Returns:
        label, weight (w_cj), push, largest push first, ties by label. push is NaN without images; the table
        is empty without probe weights.
    """
    if not study.has("probe_weights"):
        return pd.DataFrame({"label": [], "weight": np.empty(0), "push": np.empty(0)})
    weights = study.vector("probe_weights")[:, feature].astype(np.float64)
    raw = study.array("representations").rows(rows)[:, feature].astype(np.float64)
    mean = float(raw.mean()) if len(raw) else np.nan
    table = pd.DataFrame(
        {"label": study.class_names, "weight": weights, "push": mean * (weights - weights.mean())}
    )
    return table.sort_values(["push", "label"], ascending=[False, True], ignore_index=True)
