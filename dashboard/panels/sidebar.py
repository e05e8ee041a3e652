"""The sidebar: the study, the pages and its menus."""

from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.formatting import format_bytes
from core.common.inside import bytes_below
from core.encoders.readout import encoder_title
from core.errors import PeregrineError
from core.store import Study
from core.study import study_folders
from core.study.jobs import read_job
from core.study.write_access import guest_is_asking
from dashboard.components import widgets
from dashboard.components.page_behaviour import (
    copy_link_button,
    fold_when_narrow,
    page_behaviour,
    theme_switch,
)
from dashboard.components.tooltips import plain
from dashboard.panels.palette import CHOICE, palette_button
from dashboard.panels.saved_views import saved_views_menu
from dashboard.state import my_figures, served_studies, session
from dashboard.state.pages import ALSO_WITHOUT_STUDY, GROUPS, HOME, NEW_STUDY, PAGES, Page

# Rename, duplicate and delete the study that is chosen in the sidebar.


STUDY_MENU = "study_menu"


def study_menu(entry: served_studies.Entry) -> None:
    """A button below the selector that opens what can be done with the study as a whole."""
    with st.popover(
        "Manage", icon=":material/more_horiz:", key=STUDY_MENU, type="tertiary", on_change="rerun"
    ) as opened:
        if opened.open:
            with st.container(key="study_menu_body"):
                _study_contents(entry)


def _study_contents(entry: served_studies.Entry) -> None:
    widgets.problem_of(STUDY_MENU)
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
        session.keep_problem(STUDY_MENU, "type another name to rename the study")
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
        session.keep_problem(key, f"nothing was deleted: type '{entry.path.name}' above")
        return
    reason = None
    try:
        study_folders.remove_study(served_studies.studies_folder(), entry.path)
    except PeregrineError as error:
        reason = str(error)
    if entry.path.exists():
        session.keep_problem(key, reason)
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
        session.keep_problem(STUDY_MENU, str(error))
        return None


def _choose(folder: Path) -> None:
    _show(folder.relative_to(served_studies.studies_folder()).as_posix())


def _show(name: str | None) -> None:
    """Another study, with the menu closed: open, it would be that study's, above its page."""
    session.choose_study(name)
    session.set_widget(STUDY_MENU, False)


# The sidebar: the study, and the pages in four groups.


ABOUT_GUESTS = "You see every study of this server, and its owner lets you change none."
FOR_OWNERS = ("figures",)  # pages of what a guest cannot leave


def links(entry: served_studies.Entry | None, here: str, pages: Mapping[str, st.Page]) -> DeltaGenerator:
    """Draw the links to all pages; return the place below the study selector, for `facts`.

    Args:
        here: the open page. A link carries the study, the filter and what is searched for, so that the
            browser's history holds them for every page.
        pages: by name, as Streamlit knows them: a link by the path of its file looks the file up each time,
            some eight calls of the system, after each of which a busy thread has to wait for its turn.
    """
    name = entry.name if entry else None
    with st.sidebar:
        page_behaviour(
            no_step=(session.PICKED,),
            closing=("filter_labels",),
            asking=CHOICE,
            figures=my_figures.name(),
            on_figures=my_figures.take_back,
            query=session.take_query(),
            charts=PAGES[here].charts,
        )
        facts_slot = st.container()
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="sidebar_studies"):
            if guest_is_asking():
                st.caption(":material/visibility: Read-only", help=ABOUT_GUESTS)
            else:
                _link(PAGES[NEW_STUDY], pages, name)
                if entry is not None:
                    study_menu(entry)
        if entry is not None:
            with st.container(gap=None, key="sidebar_go"):
                palette_button()
                saved_views_menu(entry)
        shown = [
            one for one in PAGES.values() if entry is not None or one.name in (HOME, *ALSO_WITHOUT_STUDY)
        ]
        left_out = FOR_OWNERS if guest_is_asking() else ()
        for group in GROUPS:
            of_group = [page for page in shown if page.group == group and page.name not in left_out]
            if of_group:
                with st.container(gap=None, key=f"sidebar_{group.lower()}"):
                    st.caption(group)
                    for page in of_group:
                        _link(page, pages, name)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if entry is not None:
                copy_link_button()
            theme_switch()
        fold_when_narrow(here)
    return facts_slot


def _link(page: Page, pages: Mapping[str, st.Page], study: str | None) -> None:
    with st.container(key=f"link_{page.name}"):
        st.page_link(
            pages[page.name],
            label=page.title,
            icon=page.icon,
            width="stretch",
            query_params=session.page_query(page.name, study),
        )


def facts(slot: DeltaGenerator, study: Study) -> None:
    """What the study is: its encoder, images and features."""
    size = [f"{study.n_images:,} images"]
    if study.has("representations"):
        of_units = "features" if study.below is None else f"latents of {widgets.plain(study.path.name)}"
        size.append(f"{study.array('representations').shape[1]:,} {of_units}")
    encoder = [widgets.plain(encoder_title(study.encoder_name))] if study.encoder_name else []
    slot.caption("  \n".join([" · ".join(size), *encoder]))
