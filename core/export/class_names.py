"""Names of classes as pages call them, beside labels that are WordNet ids."""

from collections.abc import Iterable
from typing import Any, cast

import pandas as pd

from core.common.captions import with_class_names
from core.reader import StudyReader

OF_CLASSES = (  # columns that hold a class
    *("label", "true", "predicted", "suggested", "train_label", "corrected_label"),
)
NAME = "_name"


def has_ids(study: StudyReader) -> bool:
    """Return True for a study of which any class is a WordNet id that has a name."""
    return study.has("images") and any(with_class_names(name) != name for name in study.class_names)


def name_columns(columns: Iterable[Any]) -> list[str]:
    """Return the columns of classes among some, which get a column of names each."""
    held = set(columns)
    return [name for name in OF_CLASSES if name in held]


def with_name_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a column COLUMN_name at its end for each column of classes."""
    named = {
        f"{name}{NAME}": names_of_classes(cast(pd.Series, frame[name]))
        for name in name_columns(frame.columns)
    }
    return frame.assign(**named)


def names_of_classes(classes: pd.Series) -> pd.Series:
    """Return the name of each class as text; missing where there is no class."""
    names = {name: with_class_names(str(name)) for name in classes.dropna().unique()}
    return classes.map(names).astype("str")
