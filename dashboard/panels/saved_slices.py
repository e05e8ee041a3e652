"""Saved slices in the filter bar: chips that apply them, and a drawer to save, rename and delete."""

from dataclasses import replace

import streamlit as st

from core.errors import PeregrineError, SliceError
from core.measures import saved_slices
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.store import Study
from core.study.write_access import guest_is_asking
from dashboard.cache import image_filter, slice_reads
from dashboard.components import tooltips
from dashboard.components.widgets import problem_of
from dashboard.state import session

SHOWN = 8  # chips in the bar; all are in the drawer
LONGEST_LINK = 800  # characters of a slice that a link writes out; a longer one is named
LATER = "_saved_slices_later"  # of this session: a page with its filter, and the slices saved on it
OF = "slices"  # what a problem is of
OF_LABELLED = "of all labelled"  # out of fold, where train images are evaluated, too
OUT_OF_FOLD = "Out of fold, a slice is of all labelled images: train images are evaluated, too."
NAME, RENAMED, CHOSEN = "slice_name", "slice_new_name", "slice_chosen"


def names(study: Study) -> list[str]:
    """The saved slices."""
    return list(known(study))


def chips(study: Study) -> None:
    """The saved slices with their sizes; a click makes one the filter, a second click lifts it."""
    late = _later()
    listed = [name for name in names(study) if name not in late][:SHOWN]
    if not listed:
        return
    here = session.filter_text()
    pressed = next((name for name in listed if here and applied(study, name) == here), None)

    def changed(name: str | None) -> None:
        session.set_filter(applied(study, name) if name else "")

    st.pills(
        "Saved slices",
        listed,
        default=pressed,
        format_func=lambda name: tooltips.plain(_with_count(study, name)),
        label_visibility="collapsed",
        **session.show_in_widget("filter_saved", pressed, changed),
    )


def show_later(name: str) -> None:
    """Leave a slice out of the chips until the page or the filter changes. Meant for callbacks that save one
    further down the page, where a new row of chips would move what the reader looks at.
    """
    session.set_widget(LATER, (_now(), (*_later(), name)))


def _later() -> tuple[str, ...]:
    then, late = session.recall(LATER, (None, ()))
    return late if then == _now() else ()


def _now() -> tuple:
    return (*session.here(), session.filter_text())


def applied(study: Study, name: str) -> str:
    """The filter that a saved slice stands for: its conditions, or its name where they are too long."""
    text = known(study).get(name, "")
    return text if 0 < len(text) <= LONGEST_LINK else str(Slice(saved=(name,)))


def popover(study: Study, current: Slice) -> None:
    """The drawer: save the filter under a name, apply, rename or delete what is saved."""
    drawer = st.popover(
        "Slices", icon=":material/bookmark:", key="filter_slices", on_change="rerun", type="secondary"
    )
    if not drawer.open:
        return
    with drawer:
        problem_of(OF)
        _save(study, current)
        if saved := known(study):
            _manage(study, list(saved))
        else:
            st.caption("No slice is saved in this study yet.")


def _save(study: Study, current: Slice) -> None:
    if guest_is_asking():
        return
    if not current:
        st.caption("Set a filter; then it can be saved here under a name.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Save the filter as",
            key=NAME,
            max_chars=saved_slices.LONGEST,
            placeholder="worst dogs",
            help="Kept in the study's folder, for everyone who opens it. On the command line: "
            "`export STUDY quality -o FILE --slice @NAME`.",
        )
        st.button("Save", key="slice_save", type="primary", on_click=_saving, args=(study, current))


def _saving(study: Study, current: Slice) -> None:
    def keep() -> None:
        name = saved_slices.save(study.path, session.value(NAME) or "", current)
        session.set_widget(NAME, "")
        session.set_filter(applied(study, name))

    session.attempt(OF, keep)


def _manage(study: Study, names: list[str]) -> None:
    name = st.selectbox("Saved slices", names, key=CHOSEN, format_func=lambda one: _with_count(study, one))
    st.caption(tooltips.plain(_described(study, name)))
    if study.is_out_of_fold:
        st.caption(OUT_OF_FOLD)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Apply", key="slice_apply", on_click=session.set_filter, args=(applied(study, name),))
        if guest_is_asking():
            return
        st.button(
            "Delete",
            key="slice_delete",
            icon=":material/delete:",
            on_click=lambda: session.attempt(OF, lambda: saved_slices.delete(study.path, name)),
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("New name", key=RENAMED, max_chars=saved_slices.LONGEST)
        st.button("Rename", key="slice_rename", on_click=_renaming, args=(study, name))


def _renaming(study: Study, name: str) -> None:
    def move() -> None:
        here = image_filter.current(study)  # before: afterwards the old name is unknown and would be dropped
        new = saved_slices.rename(study.path, name, session.value(RENAMED) or "")
        session.set_widget(RENAMED, "")
        session.set_widget(CHOSEN, new)
        if name in here.saved:
            followed = tuple(new if one == name else one for one in here.saved)
            session.set_filter(str(replace(here, saved=followed)))

    session.attempt(OF, move)


def known(study: Study) -> dict[str, str]:
    """The saved slices by name, in text form; none, and a note, where they cannot be read."""
    try:
        return saved_slices.texts(study.path)
    except PeregrineError as error:
        session.notify(str(error))
        return {}


def _described(study: Study, name: str) -> str:
    """A saved slice in words, or as it is written where it cannot be read; out of fold without a split."""
    text = known(study)[name]
    try:
        where = Slice.of_saved(text)
    except SliceError:
        return text
    return (replace(where, split=None) if study.is_out_of_fold and where.split == "val" else where).describe()


def _with_count(study: Study, name: str) -> str:
    """A saved slice's name, how many images a page shows of it and, where these are of both splits, of which;
    or that the study cannot meet it.
    """
    try:
        n = slice_reads.count(study, with_split(study, Slice.of_saved(known(study)[name])))
    except SliceError:
        return f"{name} (cannot be read)"
    return f"{name} ({n:,} {OF_LABELLED})" if study.is_out_of_fold else f"{name} ({n:,})"
