"""Tables with a row a box: the row of the largest box stands for its image."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd

from core.data.sources.columns import ColumnChoice, column_name, say_of_columns
from core.data.sources.contradictions import find_contradiction

CORNERS = (  # of a box, as columns are called
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
SIDES = (  # of a box whose corner stands before them
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)


def one_row_an_image(frame: pd.DataFrame, decision: ColumnChoice) -> tuple[pd.DataFrame, ColumnChoice]:
    """Keep the row of the largest box of each image, where several rows have one path and hold boxes.

    Images stay in the order of their first rows; of equally large boxes the first counts.
    """
    columns = decision.columns
    boxes = _box_columns(frame, columns.values())
    path = columns.get("path")
    if path is None or boxes is None or ("image_id" in columns and frame[columns["image_id"]].is_unique):
        return frame, decision
    paths = cast(pd.Series, frame[path])
    splits = cast(pd.Series, frame[columns["split"]]) if "split" in columns else None
    if not paths.duplicated().any() or (splits is not None and find_contradiction(paths, splits)):
        return frame, decision
    largest = _areas(frame, boxes).groupby(paths, sort=False, dropna=False).idxmax()
    images = None if decision.images is None else decision.images.loc[list(largest)].reset_index(drop=True)
    note = say_of_columns("boxes", n=len(frame), of=len(largest))
    rows = frame.loc[list(largest)].reset_index(drop=True)
    return rows, replace(decision, images=images, notes=[*decision.notes, note])


def _box_columns(frame: pd.DataFrame, used: Iterable[str]) -> tuple[list[str], bool] | None:
    """Return the four columns of a box, and whether the last two are its sides; None where there are none."""
    taken = set(used)
    named = {column_name(str(name)): str(name) for name in reversed(list(frame.columns)) if name not in taken}
    for names in (*CORNERS, *SIDES):
        if set(names) <= named.keys():
            return [named[name] for name in names], names in SIDES
    return None


def _areas(frame: pd.DataFrame, boxes: tuple[list[str], bool]) -> pd.Series:
    """Return the area of the box of each row; -1 for a row without one."""
    names, has_sides = boxes
    numbers = [pd.to_numeric(cast(pd.Series, frame[name]), errors="coerce") for name in names]
    left, top, right, bottom = (cast(pd.Series, one).astype("float64") for one in numbers)
    area = right * bottom if has_sides else (right - left).abs() * (bottom - top).abs()
    return area.where(np.isfinite(area), -1.0)
