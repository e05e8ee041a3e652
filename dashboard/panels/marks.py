"""The bar above a gallery: what can be done with the marked images, or with all that the page shows.

It is always there, so that a mark moves nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts.table_file import file_stem
from core.common.captions import with_class_names
from core.common.formatting import counted
from core.errors import PeregrineError
from core.measures import saved_slices
from core.measures.evaluate import asked_columns
from core.measures.slice import Slice
from core.publish.picture_zip import MOST_BYTES, MOST_PICTURES, pictures_zip
from core.store import Study
from core.study import trace_changes, trace_limits
from core.study.traces import UNSURE
from core.study.write_access import guest_is_asking
from dashboard.cache import image_filter, reads
from dashboard.components import widgets
from dashboard.components.chart import download, page_theme
from dashboard.panels import traces
from dashboard.state import session

MOST_SAVED = 20_000  # images that a slice names one by one; more would make its file slow to read
LAST = "_last_action"  # of this session: the study, what was done, and what takes it back
SUGGESTED, UNKNOWN = "As suggested below each image", "Unsure what they are"
STYLE = (
    "<style>:has(> .st-key-KEY_actions) {position: sticky; top: 0; z-index: 90}"
    " :has(> header [data-testid=stExpandSidebarButton]) :has(> .st-key-KEY_actions) {top: 56px}"  # below it
    " @media (max-width: 1000px) {:has(> .st-key-KEY_actions.st-key-KEY_actions) {top: 56px}}"
    " .st-key-KEY_actions {background: SURFACE; padding: .15rem 0; min-height: 2.8rem}</style>"
)


def action_bar(
    study: Study,
    rows: np.ndarray | Sequence[int],
    *,
    key: str,
    suggested: Mapping[int, str] | None = None,
    sticky: bool = True,
) -> tuple[list[int], DeltaGenerator]:
    """Draw the bar for the marked images, else all of `rows`; return both. suggested: label by row."""
    if sticky:
        st.html(STYLE.replace("KEY", key).replace("SURFACE", page_theme().background))
    marked = session.picked_rows(study)
    some = np.asarray(marked or rows, np.int64)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"{key}_actions")
    with bar:
        st.markdown(_how_many(marked, rows), width=88)
        traced = traces.known(study)
        changes = not guest_is_asking()
        if traced is not None and changes:
            _popover("Tag", "label", f"{key}_tag", some, partial(_tag, study, some, traced.image_tags))
            if study.labelled:
                label = partial(_label, study, some, suggested or {})
                _popover("Label is wrong", "flag", f"{key}_label", some, label)
            _popover("Note", "edit_note", f"{key}_note", some, partial(_note, study, some))
        if changes:
            _popover("Save as slice", "bookmark_add", f"{key}_save", some, partial(_slice, study, some))
        _popover("Export", "download", f"{key}_export", some, partial(_export, study, some))
        if changes:
            _undo(study, key)
        st.button(
            "Clear marks",
            key=f"{key}_clear",
            type="tertiary",
            icon=":material/close:",
            disabled=not marked,
            on_click=session.pick_rows,
            args=(study, []),
        )
    return marked, bar


def _how_many(marked: Sequence[int], rows: np.ndarray | Sequence[int]) -> str:
    """How many images the bar acts on; a second line says how many of the marked ones `rows` do not hold.

    >>> _how_many([3, 4], [3, 4, 5]), _how_many([], [3, 4, 5])
    ('**2** marked', 'All **3**')
    >>> _how_many([3, 4], [3]), _how_many([3, 4], [])
    ('**2** marked  \\n:small[1 not listed]', '**2** marked  \\n:small[none listed]')
    """
    if not marked:
        return f"All **{len(rows):,}**"
    n_elsewhere = int(np.count_nonzero(~np.isin(marked, rows)))
    which = f"{n_elsewhere:,} not listed" if n_elsewhere < len(marked) else "none listed"
    return f"**{len(marked):,}** marked" + (f"  \n:small[{which}]" if n_elsewhere else "")


def _popover(label: str, icon: str, key: str, rows: np.ndarray, draw: Callable[[str], None]) -> None:
    drawer = st.popover(
        label, icon=f":material/{icon}:", key=key, type="tertiary", on_change="rerun", disabled=not rows.size
    )
    if drawer.open:
        with drawer:
            widgets.problem_of(key)
            draw(key)


def _tag(study: Study, rows: np.ndarray, tags: list[str], key: str) -> None:
    # A list of one, which closes once a tag is chosen: that of several lies over the buttons.
    st.selectbox(
        "Tag", tags, index=None, key=f"{key}_name", accept_new_options=True, placeholder="such as doubtful",
        help=traces.TAGS_HELP,
    )  # fmt: skip

    def names() -> list[str]:
        return [session.value(f"{key}_name") or ""]

    of = counted(len(rows), "image")
    with st.container(horizontal=True):
        _button(study, rows, key, f"Tag {of}", lambda: {"add": names()}, f"Tagged {of}", primary=True)
        _button(study, rows, key, "Untag", lambda: {"remove": names()}, f"Took the tag from {of}")


def _label(study: Study, rows: np.ndarray, suggested: Mapping[int, str], key: str) -> None:
    first = [SUGGESTED] if suggested else []
    options = [*first, UNKNOWN, *(name for name in study.class_names if name != UNSURE)]
    st.selectbox("They should be", options, key=f"{key}_class", format_func=with_class_names)

    def wrong() -> dict[str, str]:
        choice = session.value(f"{key}_class")
        label = UNSURE if choice in (SUGGESTED, UNKNOWN) else choice
        of = suggested if choice == SUGGESTED else {}
        return dict(zip(_ids(study, rows), (of.get(row, label) for row in rows.tolist()), strict=True))

    of = counted(len(rows), "label")
    with st.container(horizontal=True):
        _button(
            study, rows, key, f"Mark {of} as wrong", lambda: {"wrong_label": wrong()},
            f"Marked {of} as wrong", primary=True,
        )  # fmt: skip
        _button(study, rows, key, "Not wrong", lambda: {"wrong_label": ""}, f"Took the mark from {of}")


def _note(study: Study, rows: np.ndarray, key: str) -> None:
    st.text_area("Note", key=f"{key}_text", max_chars=trace_limits.LONGEST_NOTE, height=110)
    st.caption("It is put below the note that an image has already.")
    of = counted(len(rows), "image")
    what = f"Noted on {of}"
    text = f"{key}_text"
    _button(study, rows, key, f"Add to {of}", lambda: {"note": session.value(text)}, what, primary=True)


def _button(
    study: Study,
    rows: np.ndarray,
    key: str,
    label: str,
    changes: Callable[[], dict[str, Any]],
    says: str,
    *,
    primary: bool = False,
) -> None:
    """A button that changes what people left on the images; what it did can be undone."""

    def act() -> None:
        done = trace_changes.change_images(study, _ids(study, rows), **changes())

        def back() -> None:
            left = trace_changes.take_back(study, done)
            session.toast(f"Undone but on {counted(left, 'image')} that others changed" if left else "Undone")

        _done(study, says if done else "They were so already", back if done else None)

    kind = "primary" if primary else "secondary"
    st.button(label, key=f"{key} {label}", type=kind, on_click=lambda: _try(key, act))


def _slice(study: Study, rows: np.ndarray, key: str) -> None:
    """A field for a name; the slice then stands among the saved ones of every view."""
    if len(rows) > MOST_SAVED:
        st.caption(
            f"{len(rows):,} images are too many to name one by one (at most {MOST_SAVED:,}). "
            "Choose fewer, or save the conditions of the filter instead."
        )
        return

    def act() -> None:
        where = Slice(image_ids=tuple(_ids(study, rows)))
        name = saved_slices.save(study.path, session.value(f"{key}_name"), where)
        session.set_widget(f"{key}_name", "")

        def back() -> None:
            saved_slices.delete(study.path, name)
            session.toast(f"“{name}” is no longer saved")

        _done(study, f"Saved the slice “{name}” with {counted(len(rows), 'image')}", back)

    with st.form(f"{key}_form", border=False):
        st.text_input("Name of the slice", key=f"{key}_name", placeholder="odd corner of the map")
        label = f"Save {counted(len(rows), 'image')}"
        st.form_submit_button(label, type="primary", on_click=lambda: _try(key, act))


def _export(study: Study, rows: np.ndarray, key: str) -> None:
    further = asked_columns(image_filter.of_page(), study)
    table = partial(reads.with_traces, study, rows, further)  # all columns: made when a button is pressed
    where = _filter_of(study, rows)
    download(study, table, where, name=f"{len(rows)}_images", label="List as CSV", key=key)
    n = min(len(rows), MOST_PICTURES)
    most = f"at most {MOST_PICTURES:,} pictures or {MOST_BYTES / 1e6:.0f} MB"
    st.download_button(
        f"{counted(n, 'picture')} as zip",
        data=lambda: pictures_zip(study, rows, table()),
        file_name=f"{file_stem([study.name], f'{n}_pictures', where)}.zip",
        mime="application/zip",
        key=f"{key}_zip",
        type="tertiary",
        icon=":material/photo_library:",
        on_click="ignore",
        help=f"A folder a class, and the list; {most}",
    )


def _filter_of(study: Study, rows: np.ndarray) -> Slice | None:
    """The filter of the page where it holds all of these images, with its split if that holds them, too."""
    filters = (image_filter.population(), image_filter.of_page())
    return next((where for where in filters if reads.mask(study, where)[rows].all()), None)


def _undo(study: Study, key: str) -> None:
    path, says, back = session.recall(LAST) or (None, "", lambda: None)
    here = path == study.path

    def undo() -> None:
        session.set_widget(LAST, None)
        try:
            back()
        except PeregrineError as error:
            session.notify(str(error))

    st.button(
        "Undo",
        key=f"{key}_undo",
        type="tertiary",
        icon=":material/undo:",
        disabled=not here,
        help=f"Take back: {widgets.plain(says[0].lower() + says[1:])}" if here else None,
        on_click=undo,
    )


def _done(study: Study, says: str, back: Callable[[], None] | None) -> None:
    session.toast(says)
    if back is not None:
        session.set_widget(LAST, (study.path, says, back))


def _try(key: str, act: Callable[[], None]) -> None:
    """Act, and close the popover; or keep it open with what is wrong."""
    session.attempt(key, act, lambda: session.set_widget(key, False))


def _ids(study: Study, rows: np.ndarray) -> list[str]:
    return study.column("images", "image_id").iloc[rows].tolist()
