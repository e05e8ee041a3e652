"""Rename, duplicate and delete the study that is chosen in the sidebar."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.common.formatting import format_bytes
from core.common.inside import bytes_below
from core.errors import PeregrineError
from core.jobs.jobs import read_job
from core.storage import study_folders
from dashboard.addresses import served_studies
from dashboard.components import widgets
from dashboard.components.tooltips import plain
from dashboard.state import problems, session

MENU = "study_menu"


def menu(entry: served_studies.Entry) -> None:
    """A button below the selector that opens what can be done with the study as a whole."""
    with st.popover(
        "Manage", icon=":material/more_horiz:", key=MENU, type="tertiary", on_change="rerun"
    ) as opened:
        if opened.open:
            with st.container(key="study_menu_body"):
                _contents(entry)


def _contents(entry: served_studies.Entry) -> None:
    widgets.problem_of(MENU)
    job = read_job(entry.path)
    if job is not None and job.running:
        st.caption("A job is writing this study. It can be renamed or deleted when the job has ended.")
        return
    _names(entry)
    deletion(entry)


def _names(entry: served_studies.Entry) -> None:
    key = f"study_name_{entry.name}"
    st.text_input("Name", entry.path.name, key=key, max_chars=60)
    with st.container(horizontal=True, gap="small"):
        st.button("Rename", key="study_rename", on_click=_rename, args=(entry, key))
        st.button("Duplicate", key="study_duplicate", on_click=_duplicate, args=(entry, key))


def deletion(entry: served_studies.Entry, *, of: str = "study") -> None:
    """Draw the fields that delete a study after its name is typed. of: begins their keys."""
    key = f"{of}_delete_{entry.name}"
    st.text_input(f"To delete it, type {plain(entry.path.name)}", key=key)
    st.caption("This deletes the results permanently. Your images are not touched.")
    size = format_bytes(bytes_below(entry.path))
    widgets.problem_of(key)
    label, act = f"Delete {size}", f"{of}_delete"
    st.button(label, key=act, icon=":material/delete:", on_click=_delete, args=(entry, key))


def _rename(entry: served_studies.Entry, key: str) -> None:
    name = session.value(key).strip()
    if name == entry.path.name:
        problems.keep(MENU, "type another name to rename the study")
        return
    if (target := _act(study_folders.rename_study, entry, name)) is not None:
        _choose(target)
        session.notify(f"Renamed '{entry.path.name}' to '{name}'.")


def _duplicate(entry: served_studies.Entry, key: str) -> None:
    name = session.value(key).strip()
    name = f"{name} copy" if name == entry.path.name else name
    if (target := _act(study_folders.copy_study, entry, name)) is not None:
        _choose(target)
        session.notify(f"Copied '{entry.path.name}' to '{name}', which is shown now.")


def _delete(entry: served_studies.Entry, key: str) -> None:
    if session.value(key).strip() != entry.path.name:
        problems.keep(key, f"nothing was deleted: type '{entry.path.name}' above")
        return
    reason = None
    try:
        study_folders.remove_study(served_studies.studies_folder(), entry.path)
    except PeregrineError as error:
        reason = str(error)
    if entry.path.exists():
        problems.keep(key, reason)
        return
    session.notify(reason or f"Deleted '{entry.path.name}'.")
    session.set_filter("")
    left = served_studies.entries(served_studies.studies_folder())
    _show(left[0].name if left else None)


def _act(act: Callable[[Path, Path, str], Path], entry: served_studies.Entry, name: str) -> Path | None:
    """Do something with the study; None where it was refused, which the menu then says."""
    try:
        return act(served_studies.studies_folder(), entry.path, name)
    except PeregrineError as error:
        problems.keep(MENU, str(error))
        return None


def _choose(folder: Path) -> None:
    _show(folder.relative_to(served_studies.studies_folder()).as_posix())


def _show(name: str | None) -> None:
    """Another study, with the menu closed: open, it would be that study's, above its page."""
    session.choose_study(name)
    session.set_widget(MENU, False)
