"""The filter as the URL holds it: reading it for a study, and changing a part of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from core.common.score_names import SCORES, score_label
from core.slices.evaluate import OVERLAPS
from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads, slice_reads
from dashboard.state import session

_POPULATION = "_population"
MEASURES = {
    "energy": "Heat on the {mask} mask",
    "paper": "mIoU with the {mask} mask",
    "binary": "Binary mIoU with the {mask} mask",
    "soft": "Soft mIoU with the {mask} mask",
}
OVERLAP_NAMES = {column: MEASURES[measure].format(mask=mask) for column, (mask, measure) in OVERLAPS.items()}


def current(study: Study) -> Slice:
    """The filter of the URL; conditions that this study cannot meet are dropped with a note."""
    valid, dropped = slice_reads.checked(study, session.filter_text())
    for reason in dropped:
        session.notify(f"{'Part of the' if valid else 'The'} filter was dropped: {reason}")
    if dropped:
        session.set_filter(str(valid))
    return valid


def enter(study: Study) -> None:
    """Read the filter. Called by `main.py` alone, once per run, before the view."""
    st.session_state[_POPULATION] = with_split(study, current(study))


def population() -> Slice:
    """The images that the page is about: those of the filter, evaluation images unless it names a split."""
    return st.session_state[_POPULATION]


def narrowed(study: Study, rows: np.ndarray) -> np.ndarray:
    """Those of some image rows that the filter lets through, in the same order."""
    return rows[reads.mask(study, current(study))[rows]]


SHOWN_IMAGES = "evaluation images, unless it names a split"  # what `shown` gives, in words


def shown(study: Study, rows: np.ndarray | None = None) -> np.ndarray:
    """Of some image rows (of all) those that the filter lets through; where it names no split, only the
    evaluation images among them, if there are any.
    """
    rows = narrowed(study, np.arange(study.n_images) if rows is None else rows)
    held_out = rows[study.is_val[rows]]
    return rows if current(study).split or not held_out.size else held_out


def put(study: Study, **fields: object) -> None:
    """Replace some conditions of the filter. Meant for callbacks."""
    session.set_filter(str(replace(current(study), **fields)))  # pyright: ignore[reportArgumentType]


def remove(study: Study, part: Slice) -> None:
    """Take one condition out of the filter. Meant for callbacks."""
    session.set_filter(str(Slice.joined(one for one in current(study).parts() if one != part)))


def link(study_name: str, where: Slice | str) -> dict[str, str]:
    """Query string of a link to a page with this filter, for `st.page_link`."""
    return {**session.link_query(study_name, str(where)), session.WHERE: str(where)}


def column_name(column: str) -> str:
    """Return the label of a numeric column.

    >>> column_name("core_energy"), column_name("hardness")
    ('Heat on the core mask', 'hardness')
    """
    if column in OVERLAP_NAMES:
        return OVERLAP_NAMES[column]
    return score_label(column) if column in SCORES else column
