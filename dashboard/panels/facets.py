"""Lists of values with their numbers of images, and the legend of the map: each value filters."""

import numpy as np
import streamlit as st

from core.common.captions import SPLITS, with_class_names
from core.common.formatting import counted
from core.measures.evaluate import TAG, TRACE_COLUMNS, TRACES, WRONG_LABEL, slice_columns
from core.measures.facets import (
    CORRECT,
    FACETS,
    LABEL,
    PREDICTED,
    SPLIT,
    range_in,
    range_text,
    ranges_of,
    without_facet,
)
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import image_filter, slice_reads
from dashboard.cache.map_reads import ATTRIBUTE, filter_values
from dashboard.components.choose_one import select_some
from dashboard.components.facets import Facet, Value, facets
from dashboard.state import session

# Lists of classes, predictions, verdicts, splits and further columns with their numbers of images; a click
# on a value is a filter.


TITLES = {
    LABEL: "Class", PREDICTED: "Answered as", CORRECT: "Correctness", SPLIT: "Split",
    TAG: "Tag", WRONG_LABEL: "Label",
}  # fmt: skip
WORDS = {
    CORRECT: {"true": "Correct", "false": "Misclassified"},
    WRONG_LABEL: {"true": "Marked as wrong", "false": "Not marked as wrong"},
    SPLIT: SPLITS,
}
SEVERAL = {LABEL: "labels", PREDICTED: "predicted"}  # fields of a slice that hold any number of values
VERDICTS = {"true": True, "false": False}
ADDED = "lists"  # part of the URL: the further columns
BESIDE = 210  # pixels of the lists: left of the pictures, on a narrow page below them
MOST = 100  # values of a facet that travel to the browser


def facet_counts(study: Study, population: Slice, search_rows: np.ndarray | None = None) -> None:
    """Draw a list for each facet that has several values, or one that the filter names; for what people left
    on the images; and for each column that the reader adds.

    search_rows: the rows that a search has found, which are counted then.
    """
    slot = st.container()
    usual = [facet for facet in FACETS if facet != SPLIT or not study.is_out_of_fold]  # all are evaluated
    listed = (*usual, *_left_by_people(study), *further_columns(study, shows_label=True))
    lists = [_facet(study, population, facet, search_rows) for facet in listed]
    shown = [
        one for one in lists
        if len(one.values) > 1 or one.id == TAG or any(value.pressed for value in one.values)
    ]  # fmt: skip
    with slot:
        facets(
            shown if any(one.id != SPLIT for one in shown) else [],
            key="images_facets",
            on_press=lambda facet, value: toggle(study, facet, value),
        )
    if search_rows is not None and len(search_rows):
        st.caption(
            f"Counted: the {counted(len(search_rows), 'image')} that the search finds. "
            "A click searches again, among all images of that value."
        )


def _left_by_people(study: Study) -> list[str]:
    """Tags and marks of wrong labels, as far as there are any; not a column of the study called so."""
    further = slice_reads.further_facets(study)
    return [name for name in TRACE_COLUMNS if name in further and slice_columns(study)[name] == TRACES]


def further_columns(study: Study, *, shows_label: bool) -> list[str]:
    """Draw the list of columns that a reader may add, and return those that were."""
    names = [name for name in slice_reads.further_facets(study) if name not in _left_by_people(study)]
    titles = {image_filter.column_name(name): name for name in names}
    if not titles:
        return []
    added = select_some(
        "Further columns",
        titles,
        key=ADDED,
        placeholder="Add a column",
        shows_label=shows_label,
        width=BESIDE,
    )
    return [titles[title] for title in added]


def are_there(study: Study) -> bool:
    """Whether there is more to count by than the split: a column of lists beside the images."""
    named = study.labelled or study.has("probe") or bool(session.recall(ADDED))
    return named or bool(_left_by_people(study))


def _facet(study: Study, population: Slice, facet: str, search_rows: np.ndarray | None) -> Facet:
    counts = slice_reads.facet(study, population, facet, search_rows)
    pressed_values = pressed(population, facet)
    order = [*counts, *(value for value in pressed_values if value not in counts)]
    if facet in population.ranges:
        order.sort(key=lambda text: range_in(facet, text))
    listed = [value for at, value in enumerate(order) if at < MOST or value in pressed_values]
    n_here = slice_reads.count(study, population) if facet in population.ranges else 0
    values = tuple(
        Value(value, _words(facet, value), counts.get(value, n_here), value in pressed_values)
        for value in listed
    )  # fmt: skip
    title = TITLES.get(facet) or image_filter.column_name(facet)
    return Facet(facet, title, values, left_out=len(order) - len(listed))


def _words(facet: str, value: str) -> str:
    if facet in SEVERAL:
        return with_class_names(value)
    return WORDS.get(facet, {}).get(value, value.replace("..", " to "))


def pressed(population: Slice, facet: str) -> list[str]:
    """The values of a facet that the images of the page are narrowed to."""
    if facet in SEVERAL:
        return list(getattr(population, SEVERAL[facet]))
    if facet == CORRECT:
        return [value for value, correct in VERDICTS.items() if correct is population.correct]
    if facet == SPLIT:
        return [population.split] if population.split else []
    if facet in population.ranges:
        return [range_text(facet, population.ranges[facet])]
    return list(population.extras.get(facet, ()))


def toggle(study: Study, facet: str, value: str) -> None:
    """Put a value into the filter, or take it out; another verdict, split or range replaces the one before.
    Meant for callbacks.
    """
    current = image_filter.current(study)
    if facet in SEVERAL:
        before = getattr(current, SEVERAL[facet])
        after = tuple(one for one in before if one != value)
        image_filter.put(study, **{SEVERAL[facet]: after if value in before else (*before, value)})
    elif facet == CORRECT:
        image_filter.put(study, correct=None if current.correct is VERDICTS[value] else VERDICTS[value])
    elif facet == SPLIT:  # evaluation images are what a page shows without a word
        image_filter.put(study, split=None if value == "val" else value)
    else:
        now, rest = pressed(current, facet), without_facet(current, facet)
        if ranges_of(study, facet):
            new = {} if value in now else {facet: range_in(facet, value)}
            image_filter.put(study, ranges={**rest.ranges, **new}, extras=rest.extras)
        else:
            values = tuple(one for one in now if one != value) if value in now else (*now, value)
            new = {facet: values} if values else {}
            image_filter.put(study, ranges=rest.ranges, extras={**rest.extras, **new})


# The legend of the map as a filter: an entry stands for one value of what colours the points.


LEGEND_VERDICTS = {"correct": "true", "misclassified": "false"}  # entries, and the values of their facet


def legend_filters(by: str) -> bool:
    """Whether the entries are values that a filter can name; a scale's are not."""
    return by in SEVERAL or by == CORRECT or by.startswith(ATTRIBUTE)


def legend_pressed(study: Study, by: str, current: Slice) -> list[str]:
    """The entries that a filter names."""
    values = pressed(current, by.removeprefix(ATTRIBUTE))
    if by in SEVERAL:
        return values
    return [name for name, value in _legend_values(study, by).items() if value in values]


def toggle_legend(study: Study, by: str, name: str) -> None:
    """Put a value into the filter, or take it out. Meant for callbacks."""
    value = name if by in SEVERAL else _legend_values(study, by).get(name)
    if value is not None:
        toggle(study, by.removeprefix(ATTRIBUTE), value)


def _legend_values(study: Study, by: str) -> dict[str, str]:
    return LEGEND_VERDICTS if by == CORRECT else filter_values(study, by.removeprefix(ATTRIBUTE))
