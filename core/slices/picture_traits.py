"""Kinds of pictures by their own numbers: dark, blurred, small …, as traits that slices are made of.

A column of numbers is cut at its lowest and its highest tenth over all images of a study.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices import evaluate
from core.slices.repeats import NEAR_DUPLICATE
from core.slices.text import number_text

OUTER = 0.1  # share of the images at either end
MOST = 0.2  # share that a cut may hold, where many have the same value
DIGITS = 3  # of a cut
_WRITTEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
LOW, HIGH = _WRITTEN["low"], _WRITTEN["high"]
TRUE = _WRITTEN["true"]


class Cut(NamedTuple):
    """Images whose value of a column lies in a range, both ends included."""

    column: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """The range as a slice writes it."""
        ends = (None if np.isinf(end) else end for end in (self.low, self.high))
        return "..".join(map(number_text, ends))


def picture_cuts(study: StudyReader) -> list[Cut]:
    """The outer tenths of the columns of numbers that pictures have, of all images of the study."""
    return evaluate.made_once(study, "cuts of pictures", lambda: _cuts(study))


def _cuts(study: StudyReader) -> list[Cut]:
    cuts = []
    for column in dict.fromkeys([*LOW, *HIGH]):
        if evaluate.slice_columns(study).get(column) not in evaluate.OF_PICTURES:
            continue
        values = evaluate.column_values(study, column).to_numpy(np.float64, na_value=np.nan)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        low, high = (float(f"{end:.{DIGITS}g}") for end in np.quantile(values, (OUTER, 1 - OUTER)))
        if column in LOW and 0 < (values <= low).mean() <= MOST:
            cuts.append(Cut(column, -np.inf, low))
        if column in HIGH and 0 < (values >= high).mean() <= MOST:
            cuts.append(Cut(column, high, np.inf))
    return cuts


def picture_truths(study: StudyReader) -> list[str]:
    """The columns of pictures that hold or do not: turned by EXIF, a repetition of another picture."""
    columns = evaluate.slice_columns(study)
    of_pictures = {"turned": "pictures", NEAR_DUPLICATE: evaluate.REPEATED}
    return [column for column, table in of_pictures.items() if columns.get(column) == table]


def picture_truth(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) bool: images of which a column of `picture_truths` holds."""
    values = pd.Series(evaluate.column_values(study, column)).astype("boolean")
    return values.fillna(False).to_numpy(bool)


def picture_words(column: str, value: str) -> str:
    """What pictures are that have a value, or lie in an outer range of one, as clauses behind a noun.

    >>> picture_words("brightness", "..0.2"), picture_words("near_duplicate", "true")
    ('that are dark (brightness at most 0.2)', 'that repeat another image')
    """
    name = column.replace("_", " ")
    low, dots, high = value.partition("..")
    if dots and not low and column in LOW:
        return f"{LOW[column]} ({name} at most {high})"
    if dots and not high and column in HIGH:
        return f"{HIGH[column]} ({name} at least {low})"
    return TRUE.get(column, "") if value == "true" else ""
