"""What one can do with images that were chosen one way or another: keep them as a slice, or list them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.errors import PeregrineError
from core.slices import saved_slices
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import tooltips
from dashboard.components.chart import download
from dashboard.state import problems, session

MOST_SAVED = 20_000  # images that a slice names one by one; more would make its file slow to read


def actions(
    study: Study, rows: np.ndarray | Sequence[int], *, key: str, what: str = "selected_images"
) -> None:
    """Buttons for these images: save them as a slice by name, and download them as a table.

    key: unique on the page. what: name of the table's file.
    """
    rows = np.asarray(rows, np.int64)
    save(study, rows, key=key)
    download(study, reads.images(study).iloc[rows], name=what, label="List as CSV")


def save(study: Study, rows: np.ndarray, *, key: str) -> None:
    """A button that opens a field for a name; the slice then stands among the saved ones of every view."""
    with st.popover(
        "Save as slice",
        icon=":material/bookmark_add:",
        key=f"{key}_save",
        type="tertiary",
        on_change="rerun",
    ):
        if problem := problems.take(key):
            st.warning(tooltips.plain(problem), icon=":material/error:")
        if len(rows) > MOST_SAVED:
            st.caption(
                f"{len(rows):,} images are too many to name one by one (at most {MOST_SAVED:,}). "
                "Choose fewer, or save the conditions of the filter instead."
            )
            return
        with st.form(f"{key}_form", border=False):
            st.text_input("Name of the slice", key=f"{key}_name", placeholder="odd corner of the map")
            st.form_submit_button(
                f"Save {len(rows):,} images", type="primary", on_click=_save, args=(study, rows, key)
            )


def _save(study: Study, rows: np.ndarray, key: str) -> None:
    ids = tuple(study.images["image_id"].iloc[rows])
    try:
        name = saved_slices.save(study.path, session.value(f"{key}_name"), Slice(image_ids=ids))
    except PeregrineError as error:
        problems.keep(key, str(error))
        return
    session.set_widget(f"{key}_name", "")
    session.set_widget(f"{key}_save", False)  # closes the field
    session.toast(f"Saved the slice “{name}” with {len(rows):,} images")
