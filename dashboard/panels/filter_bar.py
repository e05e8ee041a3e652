"""The image filter that all views share. The URL holds it once, as a slice's text form (`state.WHERE`); the
widgets here only show it and change it.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads, slice_reads
from dashboard.components import tooltips
from dashboard.components.stable_container import own_place
from dashboard.panels import filter_fields, saved_slices
from dashboard.state import image_filter, session

SPLITS = {None: "Both", "val": "Evaluation", "train": "Train"}
VERDICTS = {None: "Any", True: "Correct", False: "Misclassified"}


@own_place
def filter_bar(study: Study, *, says: str = "") -> Slice:
    """Draw the filter and return the slice that it stands for; `reads.mask(study, slice)` are its images.

    The usual filters are in sight, the others behind "More filters"; what is set is shown as chips with the
    number of images. says: what the filter does not touch on this page, shown while it is set.
    """
    chosen = image_filter.current(study)
    _bar(study, chosen)
    if chosen or saved_slices.names(study):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filter_chips"):
            if chosen:
                _chips(study, chosen)
            saved_slices.chips(study)
            saved_slices.popover(study, chosen)
    if chosen and says:
        st.caption(says)
    return chosen


def _bar(study: Study, chosen: Slice) -> None:
    """The usual filters, and the drawer of the others."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="filter_bar"):
        if 0 < np.count_nonzero(study.is_val) < study.n_images:
            _choice(study, "Split", SPLITS, "split", chosen.split)
        images = reads.images(study)
        if "correct" in images and bool(images["correct"].notna().any()):
            _choice(study, "Verdict", VERDICTS, "correct", chosen.correct)
        if study.labelled:
            filter_fields.classes(study, "Class", "labels", chosen.labels, width=180)
        filter_fields.more(study, chosen)


def _choice(study: Study, label: str, options: dict, field: str, value: object) -> None:
    key = f"filter_{field}"

    def changed() -> None:
        word = session.value(key)
        known = next((name for name, text in options.items() if text == word), None)
        image_filter.put(study, **{field: known})

    session.show(key, options[value])
    words = list(options.values())
    st.segmented_control(label, words, default=options[value], required=True, key=key, on_change=changed)


def _chips(study: Study, chosen: Slice) -> None:
    """How many images are left, and every condition as a chip that removes it."""
    n, parts = slice_reads.count(study, chosen), chosen.parts()
    st.markdown(f"**{n:,}** of {study.n_images:,} images", width="content")
    for part in parts:
        st.button(
            tooltips.plain(chip(study, part)),
            key=f"chip {part}",
            icon=":material/close:",
            help="Remove this condition",
            on_click=image_filter.remove,
            args=(study, part),
        )
    if len(parts) > 1:
        st.button(
            "Clear the filter", type="tertiary", key="filter_clear", on_click=session.set_filter, args=("",)
        )


def chip(study: Study, part: Slice) -> str:
    """One condition in few words."""
    if part.split:
        return SPLITS.get(part.split, part.split)
    if part.correct is not None:
        return VERDICTS[part.correct]
    if part.labels:
        return f"Class {_few(part.labels)}"
    if part.predicted:
        return f"Predicted as {_few(part.predicted)}"
    if part.confusion:
        return f"{part.confusion[0]} taken for {part.confusion[1]}"
    if part.fires:
        return f"{reads.feature_name(study, part.fires[0])} fires"
    if part.concepts:
        return f"Shows {part.concepts[0]}"
    if part.saved:
        return f"In the slice {part.saved[0]}"
    if part.image_ids:
        n = len(part.image_ids)
        return f"{n:,} chosen images" if n > 1 else part.image_ids[0]
    for column, (low, high) in part.ranges.items():
        return f"{image_filter.column_name(column)} {_between(low, high)}"
    for column, values in part.extras.items():
        return f"{column}: {_few(values)}"
    return ""


def _few(values: tuple[str, ...]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")


def _between(low: float, high: float) -> str:
    if np.isinf(low) and np.isinf(high):
        return "known"
    if np.isinf(low):
        return f"up to {high:.4g}"
    return f"from {low:.4g}" if np.isinf(high) else f"{low:.4g} to {high:.4g}"
