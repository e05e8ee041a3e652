"""Notes, tags, doubted labels and names: what people left, and the popovers in which they write it.

Beside them only `marks.py` writes `traces.json`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.common.captions import with_class_names
from core.errors import PeregrineError
from core.store import Study
from core.study import trace_changes, trace_limits
from core.study.traces import UNSURE, FeatureTrace, ImageTrace, Traces
from core.study.write_access import guest_is_asking
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.state import session

PROBLEM = "traces"
RIGHT = ""  # the label is not doubted
TAGS_HELP = "For sorting: the filter finds them again. Choose one, or type a new one and press Enter."


@widgets.stable_container
def of_feature(study: Study, feature: int) -> None:
    """The tags of a feature, and the popover that changes its name, its note and them."""
    traces = known(study)
    if traces is None:
        return
    now = traces.features.get(feature, FeatureTrace())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="feature_traces"):
        _tags(now.tags)
        if guest_is_asking():
            return
        drawer = _drawer("Name and notes", _key("feature", feature))
        if drawer.open:
            with drawer:
                _feature_fields(study, feature, now, traces.feature_tags)


def note_of_feature(study: Study, feature: int) -> None:
    """The note on a feature, as plain text."""
    traces = known(study)
    _note(traces.features.get(feature, FeatureTrace()).note if traces else "")


@widgets.stable_container
def of_image(study: Study, facts: dict[str, Any]) -> None:
    """The doubt and the tags of an image, and the popover that changes them and its note."""
    traces, image_id = known(study), str(facts["image_id"])
    if traces is None:
        return
    now = traces.images.get(image_id, ImageTrace())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="image_traces"):
        if now.wrong_label:
            better = "" if now.wrong_label == UNSURE else f": should be {widgets.plain(now.wrong_label)}"
            st.badge(f"wrong label{better}", icon=":material/flag:", color="orange")
        if now.right_label:
            st.badge("right label", icon=":material/visibility:", color="blue")
        _tags(now.tags)
        if guest_is_asking():
            return
        drawer = _drawer("Notes", _key("image", image_id))
        if drawer.open:
            with drawer:
                _image_fields(study, image_id, now, traces.image_tags)


def open_fields_of_image(image_id: str) -> None:
    """Open the popover of an image's notes where its page draws it next. Meant for callbacks."""
    session.set_widget(_key("image", image_id), True)


@widgets.stable_container
def note_of_image(study: Study, facts: dict[str, Any]) -> None:
    """The note on an image, as plain text."""
    traces = known(study)
    _note(traces.images.get(str(facts["image_id"]), ImageTrace()).note if traces else "")


def known(study: Study) -> Traces | None:
    """What people left; None, and a note above the page, where it cannot be read."""
    try:
        return reads.traces(study)
    except PeregrineError as error:
        session.notify(str(error))
        return None


def _drawer(label: str, key: str) -> Any:
    return st.popover(label, icon=":material/edit_note:", key=key, on_change="rerun", type="tertiary")


def _key(kind: str, of: int | str) -> str:
    """The key of a popover; what it holds is closed by it."""
    return f"trace_{kind}_{of}"


def _tags(tags: tuple[str, ...]) -> None:
    for tag in tags:
        st.badge(widgets.plain(tag), icon=":material/label:", color="blue")


def _note(note: str) -> None:
    if note:
        lines = (" ".join(line.split()) for line in note.splitlines())
        st.caption("  \n".join(widgets.plain(line) for line in lines if line), width="content")


def _feature_fields(study: Study, feature: int, now: FeatureTrace, tags: list[str]) -> None:
    widgets.problem_of(PROBLEM)
    name = f"trace_name_{feature}"
    st.text_input(
        "Name",
        now.name,
        key=name,
        max_chars=trace_limits.LONGEST_NAME,
        placeholder=", ".join(reads.words_alone(study).get(feature, [])) or "night sky",
        help="Shown instead of the feature's words on every page, in exports and in reports.",
    )

    def rename() -> None:
        if (given := session.value(name) or "") != now.name:
            trace_changes.name_feature(study, feature, given, seen=now.name)

    note, retag = (
        partial(one, study, feature) for one in (trace_changes.note_feature, trace_changes.set_feature_tags)
    )
    _note_tags_and_save(str(feature), _key("feature", feature), now, tags, rename, note, retag)


def _label_answer(label: str) -> str:
    """Name an answer to whether the label is wrong; `label`: what it should be, RIGHT or UNSURE."""
    if label == RIGHT:
        return "No"
    return "Yes, unsure what it is" if label == UNSURE else f"Yes: {with_class_names(label)}"


def _image_fields(study: Study, image_id: str, now: ImageTrace, tags: list[str]) -> None:
    widgets.problem_of(PROBLEM)
    doubt = f"trace_label_{image_id}"
    if study.labelled:
        answers = [RIGHT, UNSURE, *(name for name in study.class_names if name != UNSURE)]
        options = answers if now.wrong_label in answers else [*answers, now.wrong_label]
        st.selectbox(
            "Is the label wrong?",
            options,
            index=options.index(now.wrong_label),
            key=doubt,
            format_func=_label_answer,
        )

    def doubt_label() -> None:
        if (given := session.recall(doubt, RIGHT)) != now.wrong_label:
            trace_changes.mark_wrong_label(study, image_id, given, seen=now.wrong_label)

    note, retag = (partial(one, study, image_id) for one in (trace_changes.set_note, trace_changes.set_tags))
    _note_tags_and_save(image_id, _key("image", image_id), now, tags, doubt_label, note, retag)


def _note_tags_and_save(
    of: str,
    drawer: str,
    now: FeatureTrace | ImageTrace,
    tags: list[str],
    save_first: Callable[[], None],
    note: Callable[..., None],
    retag: Callable[..., None],
) -> None:
    """The fields of both kinds, and the button that closes their popover, of the key `drawer`; what other
    people change meanwhile in fields that were not touched here stays.
    """
    note_key, tags_key = f"trace_note_{of}", f"trace_tags_{of}"
    st.multiselect(
        "Tags",
        sorted({*tags, *now.tags}),
        default=list(now.tags),
        key=tags_key,
        accept_new_options=True,
        max_selections=trace_limits.MOST_TAGS,
        placeholder="doubtful",
        help=TAGS_HELP,
        select_all=False,
    )
    st.text_area("Note", now.note, key=note_key, max_chars=trace_limits.LONGEST_NOTE, height=110)

    def save() -> None:
        text, tags = session.value(note_key) or "", tuple(session.value(tags_key))
        save_first()
        if text != now.note:
            note(text, seen=now.note)
        if set(tags) != set(now.tags):
            retag(tags, seen=now.tags)

    def saved() -> None:
        session.set_widget(drawer, False)
        session.toast("Saved in the study")

    def saving() -> None:
        session.attempt(PROBLEM, save, saved)

    st.button("Save", key=f"trace_save_{of}", type="primary", on_click=saving)
    st.caption("Kept in the study's folder, for everyone who opens it.")
