"""The fields behind "More filters": drawn only while they are open; a page without them stays light."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import streamlit as st

from core.common.captions import with_class_names
from core.common.score_names import score_label
from core.errors import SliceError
from core.slices import text as slice_text
from core.slices.evaluate import TAG, TRACES, WRONG_LABEL, slice_columns
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads, slice_reads
from dashboard.components import tooltips
from dashboard.state import image_filter, problems, session

SLIDERS = ("q_score", "confidence")
HELP_WHERE = (
    "Conditions as `column=value`, all of which must hold, for instance `fires=12,40`, "
    "`confusion=dog>cat`, `n_firing=3..8`, `concept=red`, or any further column of the images, such as "
    "`background=sand`, or `tag=doubtful` and `wrong_label=true` from the notes. A range may be open: "
    "`q_score=..0.1`. `@name` is a saved slice."
)


def more(study: Study, current: Slice) -> None:
    """The button, with the number of conditions that stand behind it, and the fields once it is open."""
    n = len(behind(current).parts())
    drawer = st.popover(
        f"More filters ({n})" if n else "More filters",
        icon=":material/tune:",
        key="filter_more",
        on_change="rerun",
    )
    if not drawer.open:
        return
    with drawer:
        images = reads.images(study)
        if "predicted" in images and study.labelled:
            classes(study, "Answered as", "predicted", current.predicted)
            _confusion(study, current)
        for column in SLIDERS:
            _range(study, current, column, score_label(column))
        _features(study, current)
        _concepts(study, current)
        _tags(study, current)
        _overlap(study, current)
        _conditions(study, current)


def behind(current: Slice) -> Slice:
    """Return the conditions that no field in sight shows."""
    return replace(current, split=None, correct=None, labels=(), name="")


def classes(
    study: Study,
    label: str,
    field: str,
    value: tuple[str, ...],
    *,
    width: Literal["stretch"] | int = "stretch",
    label_visibility: Literal["visible", "collapsed"] = "visible",
) -> None:
    """Class names, any of which fits."""
    key = f"filter_{field}"

    def changed() -> None:
        image_filter.put(study, **{field: tuple(session.value(key))})

    session.show_in_widget(key, list(value))
    st.multiselect(
        label,
        _with_others(study, value),
        default=value,
        key=key,
        placeholder="Any class",
        format_func=with_class_names,
        on_change=changed,
        select_all=False,
        filter_mode="contains",
        width=width,
        label_visibility=label_visibility,
    )


def _with_others(study: Study, value: tuple[str, ...]) -> list[str]:
    """The classes of the study, then names in a filter that are none: outputs of a head that knows more."""
    return [*study.class_names, *(name for name in value if name not in study.class_names)]


def _confusion(study: Study, current: Slice) -> None:
    """A true class and what it was taken for; it counts once both are chosen."""
    keys = "filter_confused", "filter_taken_for"

    def changed() -> None:
        pair = tuple(session.value(key) for key in keys)
        before = image_filter.current(study).confusion
        if all(pair) or before:
            image_filter.put(study, confusion=pair if all(pair) else None)

    pair = current.confusion or (None, None)
    for column, key, label, name in zip(st.columns(2), keys, ("Images of", "taken for"), pair, strict=True):
        if name:
            session.show_in_widget(key, name)
        with column:
            st.selectbox(
                label,
                _with_others(study, (name,) if name else ()),
                index=None,
                key=key,
                placeholder="Any",
                format_func=with_class_names,
                on_change=changed,
            )


def _range(study: Study, current: Slice, column: str, label: str) -> None:
    """A slider over all values of a column; at full width it is no condition, so unknown values stay in."""
    ends = slice_reads.bounds(study, column)
    if ends is None:
        return
    low, high, step, digits = _rounded(*ends)
    key = f"filter_{column}"

    def changed() -> None:
        one, other = session.value(key)
        before = image_filter.current(study)
        ranges = {name: pair for name, pair in before.ranges.items() if name != column}
        extras = {name: some for name, some in before.extras.items() if name != column}
        if (one, other) != (low, high):
            ranges[column] = (-math.inf if one <= low else one, math.inf if other >= high else other)
        image_filter.put(study, ranges=ranges, extras=extras)

    set_to = current.ranges.get(column, (low, high))
    limited = tuple(round(min(max(end, low), high), digits + 2) for end in set_to)
    ends_shown = min(limited), max(limited)
    session.show_in_widget(key, ends_shown)
    st.slider(
        label,
        low,
        high,
        ends_shown,
        step=step,
        format=f"%.{digits}f",
        key=key,
        on_change=changed,
        help=tooltips.help_text(column) if column in tooltips.TEXTS else None,
    )


def _rounded(low: float, high: float) -> tuple[float, float, float, int]:
    """Ends that hold all values, a step of about a hundredth, and the digits of that step."""
    step = 10.0 ** math.floor(math.log10((high - low) / 100))
    digits = max(0, -round(math.log10(step)))
    ends = math.floor(low / step) * step, math.ceil(high / step) * step
    return round(ends[0], digits), round(ends[1], digits), step, digits


def _several(
    study: Study,
    label: str,
    field: str,
    options: list,
    value: Sequence,
    name_of: Callable[[Any], str] = str,
    put: Callable[..., None] = image_filter.put,
) -> None:
    """A field of which any value fits. put: takes the study and what is chosen, by the name of the field."""
    key = f"filter_{field}"
    session.show_in_widget(key, list(value))
    st.multiselect(
        label,
        options,
        default=[one for one in value if one in options],
        key=key,
        format_func=name_of,
        placeholder="Any",
        on_change=lambda: put(study, **{field: tuple(session.value(key))}),
    )


def _features(study: Study, current: Slice) -> None:
    names = slice_reads.names_by_feature(study)
    if names:
        label = "Features that fire, by number or word"
        _several(study, label, "fires", list(names), current.fires, lambda one: names.get(one, str(one)))


def _concepts(study: Study, current: Slice) -> None:
    words = slice_reads.concept_words(study)
    if words:
        _several(study, "Words of what the image shows", "concepts", words, current.concepts)


def _tags(study: Study, current: Slice) -> None:
    """The tags of images, any of which fits, and whether the label is marked as wrong."""
    tags, any_doubted = slice_reads.tags(study)
    columns = slice_columns(study)  # a study's own column of such a name goes before
    if tags and columns[TAG] == TRACES:
        pressed = current.extras.get(TAG, ())
        _several(study, "Tags", "tags", tags, pressed, put=lambda study, tags: _put_extra(study, TAG, tags))
    if any_doubted and columns[WRONG_LABEL] == TRACES:
        key, marked = "filter_wrong_label", ("true",)
        session.show_in_widget(key, current.extras.get(WRONG_LABEL) == marked)
        st.checkbox(
            "Label marked as wrong",
            current.extras.get(WRONG_LABEL) == marked,
            key=key,
            on_change=lambda: _put_extra(study, WRONG_LABEL, marked if session.value(key) else ()),
        )


def _put_extra(study: Study, column: str, values: tuple[str, ...]) -> None:
    extras = {name: some for name, some in image_filter.current(study).extras.items() if name != column}
    image_filter.put(study, extras=extras | ({column: values} if values else {}))


def _overlap(study: Study, current: Slice) -> None:
    """Which overlap, and its range."""
    columns = slice_reads.overlap_columns(study)
    if not columns:
        return
    before = next((column for column in current.ranges if column in columns), None)
    if before and session.recall("filter_overlap") is None:
        session.show_in_widget("filter_overlap", before)
    column = st.selectbox(
        "Overlap of heatmap and mask",
        columns,
        key="filter_overlap",
        format_func=lambda one: image_filter.column_name(one),
        help=tooltips.help_text("masks"),
    )
    _range(study, current, column, image_filter.column_name(column))


def _conditions(study: Study, current: Slice) -> None:
    """Everything else, in text form. Text that cannot be read stays in its field, with the reason."""
    key, columns = "filter_text", set(slice_reads.overlap_columns(study)) | set(SLIDERS)

    def rest(of: Slice) -> Slice:
        ranges = {name: pair for name, pair in of.ranges.items() if name not in columns}
        return Slice(ranges=ranges, extras=of.extras, image_ids=of.image_ids, saved=of.saved)

    def changed() -> None:
        before = image_filter.current(study)
        others = [part for part in before.parts() if part not in rest(before).parts()]
        try:
            new = Slice.joined([*others, *Slice.parse(session.value(key) or "").parts()])
            text = slice_text.checked(str(new))
            reads.mask(study, new)
        except SliceError as error:
            problems.keep(key, str(error))
            return
        problems.keep(key, None)
        session.set_filter(text)

    problem = problems.of_text(key)
    if problem is None:
        session.show_in_widget(key, str(rest(current)))
    st.text_input(
        "Any other conditions",
        value=str(rest(current)) if problem is None else session.value(key),
        key=key,
        placeholder="n_firing=3..8 background=sand",
        help=HELP_WHERE,
        on_change=changed,
    )
    if problem is not None:
        st.warning(tooltips.plain(problem), icon=":material/filter_alt_off:")
