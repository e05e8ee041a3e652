"""The image filter that all views share, and the fields behind "More filters"."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import streamlit as st

from core.common.captions import SPLITS, with_class_names
from core.common.score_names import score_label
from core.errors import SliceError
from core.measures import slice_text
from core.measures.evaluate import TAG, TRACES, WRONG_LABEL, slice_columns
from core.measures.image_columns import WHY, cause_name
from core.measures.slice import Slice
from core.store import Study
from core.study.write_access import guest_is_asking
from dashboard.cache import image_filter, label_reads, reads, slice_reads
from dashboard.components import tooltips
from dashboard.components.page_link import link
from dashboard.components.widgets import stable_container
from dashboard.jobs import further_studies
from dashboard.panels import saved_slices
from dashboard.state import session
from dashboard.state.pages import of_labels

# The fields behind "More filters": drawn only while they are open; a page without them stays light.


SLIDERS = ("q_score", "confidence")
CONDITIONS = "filter_text"
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

    def changed(names: list[str]) -> None:
        image_filter.put(study, **{field: tuple(names)})

    st.multiselect(
        label,
        _with_others(study, value),
        default=value,
        placeholder="Any class",
        format_func=with_class_names,
        select_all=False,
        filter_mode="contains",
        width=width,
        label_visibility=label_visibility,
        **session.show_in_widget(f"filter_{field}", list(value), changed),
    )


def _with_others(study: Study, value: tuple[str, ...]) -> list[str]:
    """The classes of the study, then names in a filter that are none: outputs of a head that knows more."""
    return [*study.class_names, *(name for name in value if name not in study.class_names)]


def _confusion(study: Study, current: Slice) -> None:
    """A true class and what it was taken for; it counts once both are chosen."""
    fields, pair = ("filter_confused", "filter_taken_for"), current.confusion
    if pair is None:  # half a pair is no condition yet, and stays in its field
        halves = [session.recall(session.key_now(field)) for field in fields]
        pair = (None, None) if all(halves) else tuple(halves)

    def changed(name: str | None) -> None:
        pair = tuple(session.value(session.key_now(field)) for field in fields)
        before = image_filter.current(study).confusion
        if all(pair) or before:
            image_filter.put(study, confusion=pair if all(pair) else None)

    labels = "Images of", "taken for"
    for column, field, label, name in zip(st.columns(2), fields, labels, pair, strict=True):
        with column:
            st.selectbox(
                label,
                _with_others(study, (name,) if name else ()),
                index=None if name is None else _with_others(study, (name,)).index(name),
                placeholder="Any",
                format_func=with_class_names,
                **session.show_in_widget(field, name, changed),
            )


def _range(study: Study, current: Slice, column: str, label: str) -> None:
    """A slider over all values of a column; at full width it is no condition, so unknown values stay in."""
    ends = slice_reads.bounds(study, column)
    if ends is None:
        return
    low, high, step, digits = _rounded(*ends)
    set_to = current.ranges.get(column, (low, high))
    limited = tuple(round(min(max(end, low), high), digits + 2) for end in set_to)
    ends_shown = min(limited), max(limited)

    def changed(ends: tuple[float, float]) -> None:
        one, other = ends
        before = image_filter.current(study)
        ranges = {name: pair for name, pair in before.ranges.items() if name != column}
        extras = {name: some for name, some in before.extras.items() if name != column}
        if (one, other) != (low, high):
            ranges[column] = (-math.inf if one <= low else one, math.inf if other >= high else other)
        image_filter.put(study, ranges=ranges, extras=extras)

    st.slider(
        label,
        low,
        high,
        ends_shown,
        step=step,
        format=f"%.{digits}f",
        help=tooltips.help_text(column) if column in tooltips.TEXTS else None,
        **session.show_in_widget(f"filter_{column}", ends_shown, changed),
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
    st.multiselect(
        label,
        options,
        default=[one for one in value if one in options],
        format_func=name_of,
        placeholder="Any",
        **session.show_in_widget(
            f"filter_{field}", list(value), lambda values: put(study, **{field: tuple(values)})
        ),
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
        marked = ("true",)
        is_on = current.extras.get(WRONG_LABEL) == marked
        st.checkbox(
            "Label marked as wrong",
            is_on,
            **session.show_in_widget(
                "filter_wrong_label",
                is_on,
                lambda is_on: _put_extra(study, WRONG_LABEL, marked if is_on else ()),
            ),
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
        session.set_widget("filter_overlap", before)
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
    columns = set(slice_reads.overlap_columns(study)) | set(SLIDERS)

    def rest(of: Slice) -> Slice:
        ranges = {name: pair for name, pair in of.ranges.items() if name not in columns}
        return Slice(ranges=ranges, extras=of.extras, image_ids=of.image_ids, saved=of.saved)

    def changed(text: str | None) -> None:
        before = image_filter.current(study)
        others = [part for part in before.parts() if part not in rest(before).parts()]
        try:
            new = Slice.joined([*others, *Slice.parse(text or "").parts()])
            checked = slice_text.checked(str(new))
            reads.mask(study, new)
        except SliceError as error:
            session.keep_problem(CONDITIONS, str(error))
            return
        session.keep_problem(CONDITIONS, None)
        session.set_filter(checked)

    problem = session.problem_of_text(CONDITIONS)
    # Text that cannot be read stays where it was typed.
    shown = str(rest(current)) if problem is None else session.recall(session.key_now(CONDITIONS), "")
    st.text_input(
        "Any other conditions",
        value=shown,
        placeholder="n_firing=3..8 background=sand",
        help=HELP_WHERE,
        **session.show_in_widget(CONDITIONS, shown, changed),
    )
    if problem is not None:
        st.warning(tooltips.plain(problem), icon=":material/filter_alt_off:")


# The image filter that all views share. The URL holds it once, as a slice's text form (`state.WHERE`); the
# widgets here only show it and change it.


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
            classes(study, "Class", "labels", current.labels, width=160, label_visibility="collapsed")
        if reads.images(study).has_values("correct"):
            _choice(study, "Correctness", VERDICTS, "correct", current.correct)
        if population.split and not both_splits and 0 < np.count_nonzero(study.is_val) < study.n_images:
            _choice(study, "Split", SPLITS, "split", population.split)
        more(study, current)
        saved_slices.popover(study, current)
        _count(study, population)
        _chips(study, behind(current))
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
            if guest_is_asking():
                return
            names = list(further_studies.corrected_studies(study))
            for name in names:
                st.button(
                    f"Open {tooltips.plain(name)}",
                    key=f"corrections_open_{name}",
                    type="tertiary",
                    icon=":material/arrow_forward:",
                    on_click=session.go_to_study,
                    args=(name,),
                )
            if not names:
                link("errors", "To Run again", study, icon_right="arrow_forward", where="", **of_labels())


def _choice(study: Study, label: str, options: dict, field: str, value: object) -> None:

    def changed(word: str) -> None:
        choice = next((name for name, text in options.items() if text == word), None)
        image_filter.put(study, **{field: None if choice == "val" else choice})

    st.segmented_control(
        label,
        list(options.values()),
        default=options[value],
        required=True,
        label_visibility="collapsed",
        **session.show_in_widget(f"filter_{field}", options[value], changed),
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
