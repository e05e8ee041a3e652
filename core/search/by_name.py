"""Images whose name holds a text: the name of the file first, then the folders above it. No torch."""

import numpy as np
import pandas as pd

SHORTEST = 2  # characters that a text needs: one is in nearly every name


def rows_named(image_ids: pd.Series, text: str) -> np.ndarray:
    """Find images by a part of their names, whatever the case of letters.

    Args:
        image_ids: (n,) names, which may begin with folders ("dog/beagle_3.jpg").
        text: a part of them, at least SHORTEST characters; spaces around it are ignored.
    Returns:
        (m,) int64 rows: those whose file is called so with or without its ending, then those whose file
        begins with the text, then those whose file holds it, each in the order of the study; where no file
        does, those of which a folder holds it.
    """
    part = text.strip().casefold()
    if len(part) < SHORTEST:
        return np.empty(0, np.int64)
    names = image_ids.astype(str).str.casefold()
    rows = np.flatnonzero(names.str.contains(part, regex=False).to_numpy(bool))
    files = names.iloc[rows].str.replace(r"^.*/", "", regex=True)
    stems = files.str.replace(r"\.[^.]*$", "", regex=True)
    called = ((files == part) | (stems == part)).to_numpy(bool)
    begins = files.str.startswith(part).to_numpy(bool)
    holds = files.str.contains(part, regex=False).to_numpy(bool)
    rank = np.select([called, begins, holds], [0, 1, 2], default=3)
    is_listed = (rank < 3) | ~holds.any()
    return rows[is_listed][np.argsort(rank[is_listed], kind="stable")].astype(np.int64)
