"""The table `pictures` of a study: numbers of each picture itself, and which picture repeats which."""

from typing import Any

import numpy as np
import pandas as pd

from core.analysis.duplicates import NONE, Duplicates, find_duplicates
from core.analysis.picture_columns import VALUES
from core.common.picture_names import COLUMNS, DUPLICATE_OF, NEAR_DUPLICATE_OF
from core.storage.chunked_array import ChunkedArray
from core.storage.writer import StepWriter

TYPES = {"image_id": "str", "width": "Int32", "height": "Int32", "turned": "boolean"}
TYPES |= {DUPLICATE_OF: "str", NEAR_DUPLICATE_OF: "str"}


def write_picture_table(step: StepWriter, image_ids: pd.Series) -> dict[str, Any]:
    """Write `pictures` from the arrays that `embed` has just finished; return counts for the summary."""
    values = finished_array(step, "picture_values")[:]
    prints = finished_array(step, "picture_prints")[:]
    has_picture = np.isfinite(values[:, VALUES.index("width")])
    duplicates = find_duplicates(prints, has_picture, finished_array(step, "representations"))
    step.table("pictures", picture_table(image_ids, values, duplicates))
    n_exact = int((duplicates.exact != NONE).sum())
    n_near = int((duplicates.near != NONE).sum())
    return {
        "n_without": int((~has_picture).sum()),
        "n_exact": n_exact,
        "n_near": n_near,
        "n_cut": duplicates.n_cut,
    }


def finished_array(step: StepWriter, name: str) -> ChunkedArray:
    """Return an array that a step has finished and that no manifest names yet."""
    entry = step.items[name]
    rows = [chunk["rows"] for chunk in entry["chunks"]]
    return ChunkedArray(step.folder / name, rows, entry["dtype"], entry["shape"][1:])


def picture_table(image_ids: pd.Series, values: np.ndarray, duplicates: Duplicates) -> pd.DataFrame:
    """Return one row an image: the VALUES, NaN without a picture, and the images that it repeats, if any.

    Args:
        values: (n, len(VALUES)) float32.
    """
    table = pd.DataFrame(dict(zip(VALUES, values.T, strict=True)))
    table = table.assign(aspect=table["width"] / table["height"], image_id=image_ids.to_numpy(object))
    ids = np.append(image_ids.to_numpy(object), None)
    table[DUPLICATE_OF], table[NEAR_DUPLICATE_OF] = ids[duplicates.exact], ids[duplicates.near]
    return table[["image_id", *COLUMNS]].astype(TYPES)
