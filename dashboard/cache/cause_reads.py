"""Cached reads of why images are wrong."""

import pandas as pd

from core.slices.why_wrong import TABLE, tells_causes
from core.store import Study
from dashboard.cache import reads


def of_image(study: Study, row: int) -> pd.DataFrame | None:
    """The rows of an image in table `causes`; None where it was not tried with the answer of the page."""
    if not tells_causes(study):
        return None
    table = reads.table(study, TABLE)
    rows = table.loc[table["image_id"].to_numpy(object) == study.column("images", "image_id").iat[row]]
    return rows if len(rows) else None
