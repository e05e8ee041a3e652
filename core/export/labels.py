"""The labels of a study's images, as they are or as people corrected them (`core.traces.labels`)."""

import pandas as pd

from core.store import Study
from core.traces.labels import corrected_labels

COLUMNS = ("path", "label", "split")


def labels_table(study: Study, *, corrected: bool = False) -> pd.DataFrame:
    """Return image_id and COLUMNS, one row per image in study order.

    Args:
        corrected: with what people decided; a label that is wrong without a better one is missing then.
    """
    images = study.images.loc[:, ["image_id", *COLUMNS]]
    return images.assign(label=corrected_labels(study)) if corrected else images
