"""Which images became right or wrong from one study to another. No torch."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.comparison.images import Shared
from core.slices.evaluate import result_column
from core.store import Study

GAINED, LOST, RIGHT, WRONG = "wrong to right", "right to wrong", "right in both", "wrong in both"
SIDES = (GAINED, LOST, RIGHT, WRONG)


def surest_first(sides: pd.DataFrame, study: str, side: str) -> pd.DataFrame:
    """List the images of a `side_table` on one side of a study, most confident new answer first."""
    moved = sides.loc[(sides["study"] == study) & (sides["side"] == side)]
    order = np.lexsort([moved["image_id"].astype(str), -numbers(moved, "confidence_after")])
    return moved.take(order).reset_index(drop=True)


def side_table(shared: Shared) -> pd.DataFrame:
    """List how the result of each evaluation image changed from the first study to each other one.

    Returns:
        study, image_id, row (in the first study), label (in the first study), label_after (in the other one,
        where people may have corrected it), side (one of SIDES), predicted, confidence and q each with
        _before and _after. Images without a known correctness in both are left out.
    """
    blocks = []
    before = _answers(shared.studies[0], shared.rows[0, shared.judged])
    for name, study, rows in zip(shared.names[1:], shared.studies[1:], shared.rows[1:], strict=True):
        after = _answers(study, rows[shared.judged])
        was, now = numbers(before, "correct"), numbers(after, "correct")
        gained, lost = (was == 0) & (now == 1), (was == 1) & (now == 0)
        side = np.select([gained, lost, was == 1], SIDES[:3], WRONG)
        judged = shared.judged
        labels_after = study.column("images", "label").to_numpy(object)[rows[judged]]
        columns = {"study": name, "image_id": shared.image_ids[judged], "row": shared.rows[0, judged]}
        columns |= {"label": shared.labels[judged], "label_after": labels_after, "side": side}
        block = pd.DataFrame(columns)
        for column in ("predicted", "confidence", "q"):
            block[f"{column}_before"] = before[column].to_numpy()
            block[f"{column}_after"] = after[column].to_numpy()
        blocks.append(block.loc[np.isfinite(was) & np.isfinite(now)])
    return pd.concat(blocks, ignore_index=True)


def has_other_label(sides: pd.DataFrame) -> np.ndarray:
    """(n,) bool: the rows of a `side_table` whose image has another label in the other study."""
    before, after = (sides[name].astype(object).fillna("").to_numpy() for name in ("label", "label_after"))
    return np.asarray(before != after, bool)


def _answers(study: Study, rows: np.ndarray) -> pd.DataFrame:
    """predicted, confidence, correct, q of some images, in order."""
    results = {"confidence": "confidence", "correct": "correct", "q": "q_score"}
    predicted = study.column("probe", "predicted").to_numpy(object)[rows] if study.has("probe") else ""
    results_of_rows = {name: result_column(study, column)[rows] for name, column in results.items()}
    return pd.DataFrame({"predicted": predicted, **results_of_rows})
