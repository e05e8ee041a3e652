"""The image filter that all views share. The URL holds it once, as a slice's text form (`state.WHERE`); the
widgets here only show it and change it.
"""

import numpy as np
import streamlit as st

from core.common.captions import SPLITS
from core.common.write_access import guest_is_asking
from core.slices.evaluate import WRONG_LABEL
from core.slices.slice import Slice
from core.slices.why_wrong import WHY, cause_name
from core.store import Study
from dashboard.addresses.pages import of_labels
from dashboard.cache import label_reads, reads, slice_reads
from dashboard.components import tooltips
from dashboard.components.page_link import link
from dashboard.components.widgets import stable_container
from dashboard.panels import filter_fields, saved_slices
from dashboard.state import image_filter, session

VERDICTS = {None: "All", True: "Correct", False: "Misclassified"}


@stable_container
def filter_bar(
    study: Study, population: Slice, *, says: str = "", both_splits: bool = False, counts: bool = True
) -> None:
    """Draw the filter in one row: the usual filters and the number of images are in sight, the others behind
    "More filters", and those that are set there are shown as chips.

    population: the images that it leaves (`image_filter.population`). says: what the filter does not touch on
    this page, shown while it is set. both_splits: the page is about train and evaluation images, so that none
    of them is to be chosen, and about labels or pictures, not about what is right. counts: the page counts
    what is right, and says nothing else of labels that people corrected.
    """
    current = image_filter.of_page()
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="filter_bar"):
        if study.labelled:
            filter_fields.classes(
                study, "Class", "labels", current.labels, width=160, label_visibility="collapsed"
            )
        if reads.images(study).has_values("correct"):
            _choice(study, "Correctness", VERDICTS, "correct", current.correct)
        if population.split and not both_splits and 0 < np.count_nonzero(study.is_val) < study.n_images:
            _choice(study, "Split", SPLITS, "split", population.split)
        filter_fields.more(study, current)
        saved_slices.popover(study, current)
        _count(study, population)
        _chips(study, filter_fields.behind(current))
        if both_splits and current.split:
            _chips(study, Slice(split=current.split))
        if current:
            st.button("Clear", type="tertiary", key="filter_clear", on_click=session.set_filter, args=("",))
        saved_slices.chips(study)
    if current and says:
        st.caption(says)
    if counts and not both_splits:
        _before_corrections(study, population)


def _before_corrections(study: Study, population: Slice) -> None:
    """That people corrected labels since, which no number of right and wrong counts, and the way on."""
    if before := label_reads.before_corrections(study, population):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="corrections"):
            st.caption(f":material/update: {before}", width="content")
            if not guest_is_asking():
                link("errors", "To Run again", study, icon_right="arrow_forward", where="", **of_labels())


def _choice(study: Study, label: str, options: dict, field: str, value: object) -> None:
    key = f"filter_{field}"

    def changed() -> None:
        word = session.value(key)
        choice = next((name for name, text in options.items() if text == word), None)
        image_filter.put(study, **{field: None if choice == "val" else choice})

    session.show_in_widget(key, options[value])
    st.segmented_control(
        label,
        list(options.values()),
        default=options[value],
        required=True,
        key=key,
        on_change=changed,
        label_visibility="collapsed",
    )


def _count(study: Study, population: Slice) -> None:
    """How many images are left, of how many; the split that they are of is pressed beside it."""
    split = population.split
    of = np.count_nonzero(study.is_val == (split == "val")) if split else study.n_images
    n = slice_reads.count(study, population)
    st.markdown(f"**{n:,}** images" if n == of else f"**{n:,}** of {of:,}", width="content")


def _chips(study: Study, hidden: Slice) -> None:
    """Every condition that no field in sight shows, as a chip that removes it."""
    for part in hidden.parts():
        st.button(
            tooltips.plain(chip(study, part)),
            key=f"chip {part}",
            icon=":material/close:",
            help="Remove this condition",
            on_click=image_filter.remove,
            args=(study, part),
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
        return f"Answered as {_few(part.predicted)}"
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
        if column == WRONG_LABEL and values == ("true",):
            return "Label marked as wrong"
        if column == WHY:
            return f"Cause: {_few(tuple(map(cause_name, values)))}"
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
