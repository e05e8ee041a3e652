"""The filter as the URL holds it: reading it for a study, and changing a part of it."""

from dataclasses import replace

import numpy as np
import streamlit as st

from core.common.score_names import SCORES, score_label
from core.errors import SliceError
from core.measures import slice_text
from core.measures.evaluate import OVERLAPS
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.store import Study
from dashboard.cache import reads, slice_reads
from dashboard.state import session

_FILTER, _POPULATION = "_filter", "_population"
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
    if dropped and session.is_switched():
        asked, met = slice_text.pieces(session.filter_text()), slice_text.pieces(str(valid))
        named = " and ".join(_condition(one) for one in asked if one not in met)
        session.notify(f"The filter {named} does not fit this study and was dropped.")
    else:
        for reason in dropped:
            session.notify(
                f"{'Part of the' if valid else 'The'} filter was dropped in {study.name}: {reason}"
            )
    if dropped:
        session.set_filter(str(valid))
    return valid


def _condition(piece: str) -> str:
    """
    >>> _condition("label=cat"), _condition("hardness=0.5..1")
    ('class = cat', 'hardness = 0.5..1')
    """
    name, _, text = piece.partition("=")
    return f"{'class' if name == 'label' else name} = {text}"


def enter(study: Study) -> None:
    """Read the filter. Called by `main.py` alone, once per run, before the view."""
    st.session_state[_FILTER] = current(study)
    st.session_state[_POPULATION] = with_split(study, st.session_state[_FILTER])


def of_page() -> Slice:
    """The filter of this run, as `enter` read it. In callbacks, which come before a run, ask `current`."""
    return st.session_state[_FILTER]


def population() -> Slice:
    """The images that the page is about: those of the filter, evaluation images unless it names a split."""
    return st.session_state[_POPULATION]


def rows_of_page(study: Study) -> np.ndarray:
    """The rows of these images, rising."""
    return np.flatnonzero(reads.mask(study, population()))


def lists_of_page(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """The rows of these images, and those of the filter whatever their split: lists of an opened image."""
    return rows_of_page(study), np.flatnonzero(reads.mask(study, of_page()))


def put(study: Study, **fields: object) -> None:
    """Replace some conditions of the filter, unless it grows too long for an address. Meant for callbacks."""
    changed = replace(current(study), **fields)  # pyright: ignore[reportArgumentType]
    try:
        session.set_filter(slice_text.checked(str(changed)))
    except SliceError as error:
        session.notify(str(error))


def remove(study: Study, part: Slice) -> None:
    """Take one condition out of the filter. Meant for callbacks."""
    session.set_filter(str(Slice.joined(one for one in current(study).parts() if one != part)))


def column_name(column: str) -> str:
    """Return the label of a numeric column.

    >>> column_name("core_energy"), column_name("hardness")
    ('Heat on the core mask', 'hardness')
    """
    if column in OVERLAP_NAMES:
        return OVERLAP_NAMES[column]
    return score_label(column) if column in SCORES else column
