"""Say of a misclassified picture that it is dark, of little contrast or blurred beside those of its study."""

import numpy as np

from core.common.records import Record, Templates
from core.measures.evaluate import column_values
from core.measures.traits import Cut, picture_cuts
from core.study.reader import StudyReader

FAULTS = ("brightness", "contrast", "sharpness")  # columns of table `pictures` of which little is a fault
_say = Templates.beside(__file__)


def unusual_picture(study: StudyReader, row: int) -> Record | None:
    """Say in which of FAULTS a picture lies in the lowest tenth of all of the study (docs/method.md 1.8).

    Each is said with the share of the images that have more, in whole percent, rounded down.

    Returns:
        None where it does so in none, and in a study without numbers of its pictures.
    """
    lowest = {cut.column: cut for cut in picture_cuts(study) if np.isneginf(cut.low)}
    parts = [_part(study, row, lowest[column]) for column in FAULTS if column in lowest]
    parts = tuple(part for part in parts if part is not None)
    return _say("unusual", parts=parts) if parts else None


def _part(study: StudyReader, row: int, lowest: Cut) -> Record | None:
    values = column_values(study, lowest.column).to_numpy(np.float64, na_value=np.nan)
    if not values[row] <= lowest.high:
        return None
    more = (values > values[row]).sum() / np.isfinite(values).sum()
    return _say(lowest.column, value=np.floor(100 * more) / 100)
