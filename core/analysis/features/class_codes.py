"""Class codes of a study's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from core.store import Study


def class_codes(study: Study) -> np.ndarray:
    """(n_images,) int64 position of each label in `study.class_names`, -1 without a label."""
    found, labels = pd.factorize(study.images["label"])
    place = {name: position for position, name in enumerate(study.class_names)}
    codes = np.array([*(place[name] for name in labels), -1], np.int64)
    return codes[found]  # factorize returns -1 for a missing label: the last entry
