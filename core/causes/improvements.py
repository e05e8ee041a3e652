"""What the trial of the picture does to each image: unusual light and sharpness become the usual ones."""

from dataclasses import dataclass

import numpy as np

from core.causes.changes import Improvement
from core.causes.drawn import DrawnImages, label_outcomes
from core.common.dataframes import numbers
from core.pictures.look import Answering
from core.slices.inspection.populations import shown_images
from core.store import Study

MEASURES = BRIGHTNESS, CONTRAST, SHARPNESS = ("brightness", "contrast", "sharpness")
OUTER = 0.1  # of the evaluation images at each end


@dataclass(frozen=True)
class Usual:
    """Measures of the drawn images, and the medians of right images of their target.

    Attributes:
        value, median: (n, 3) float64, in the order of MEASURES. is_outer: (n, 3) bool, in the lowest or
            highest tenth; of the sharpness in the lowest alone, as nothing is made less sharp.
    """

    value: np.ndarray
    median: np.ndarray
    is_outer: np.ndarray

    def improvements(self) -> list[Improvement]:
        improvements = []
        for median, outer in zip(self.median, self.is_outer, strict=True):
            light = (float(median[at]) if outer[at] else None for at in (0, 1))
            improvements.append(Improvement(*light, bool(outer[2])))
        return improvements


def usual_measures(study: Study, asked: Answering, drawn: DrawnImages) -> Usual | None:
    """Compare the drawn images with right ones; None where the study holds no measures of its pictures.

    The median is that of the evaluation images that are answered correctly as the target; of all that are
    answered correctly where there is none.
    """
    if not study.has("pictures"):
        return None
    table, shown = study.table("pictures", [*MEASURES]), shown_images(study)
    values = np.stack([numbers(table, name) for name in MEASURES], axis=1)
    label, _, correct = label_outcomes(study, asked)
    right = np.flatnonzero(shown & (correct == 1))
    medians = np.empty((len(asked.names), len(MEASURES)))
    medians[:] = _medians(values[right])
    for code in np.unique(label[right]).tolist():
        medians[code] = _medians(values[right[label[right] == code]])
    low, high = (_quantiles(values[shown], share) for share in (OUTER, 1 - OUTER))
    here = values[drawn.rows]
    is_outer = (here < low) | (here > high)
    is_outer[:, MEASURES.index(SHARPNESS)] = (here < low)[:, MEASURES.index(SHARPNESS)]
    median = medians[drawn.target]
    return Usual(here, median, is_outer & np.isfinite(median))


def _medians(values: np.ndarray) -> np.ndarray:
    return _quantiles(values, 0.5)


def _quantiles(values: np.ndarray, share: float) -> np.ndarray:
    """(k,) of each column, NaN left out; NaN for a column without a number."""
    columns = [column[np.isfinite(column)] for column in values.T]
    return np.array([np.quantile(column, share) if len(column) else np.nan for column in columns])
