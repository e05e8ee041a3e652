"""The sidebar: the study, and the pages in four groups."""

from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.readout import encoder_title
from core.common.write_access import guest_is_asking
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.pages import ALSO_WITHOUT_STUDY, GROUPS, HOME, NEW_STUDY, PAGES, Page
from dashboard.components import widgets
from dashboard.components.copy_link import copy_link_button
from dashboard.components.folding import fold_when_narrow
from dashboard.components.page_behaviour import page_behaviour
from dashboard.components.theme_switch import theme_switch
from dashboard.panels.menus import palette, saved_views, study_menu
from dashboard.state import my_figures, session, view_address

ABOUT_GUESTS = "You see every study of this server, and its owner lets you change none."
FOR_OWNERS = ("figures",)  # pages of what a guest cannot leave


def links(entry: served_studies.Entry | None, here: str, pages: Mapping[str, st.Page]) -> DeltaGenerator:
    """Draw the links to all pages; return the place below the study selector, for `facts`.

    Args:
        here: the open page. A link carries the study and the filter, so that the browser's history holds them
            for every page.
        pages: by name, as Streamlit knows them: a link by the path of its file looks the file up each time,
            some eight calls of the system, after each of which a busy thread has to wait for its turn.
    """
    name = entry.name if entry else None
    with st.sidebar:
        page_behaviour(
            no_step=(session.PICKED,),
            closing=("filter_labels",),
            asking=palette.CHOICE,
            figures=my_figures.name(),
            on_figures=my_figures.take_back,
            query=view_address.take_query(),
            charts=PAGES[here].charts,
        )
        facts_slot = st.container()
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="sidebar_studies"):
            if guest_is_asking():
                st.caption(":material/visibility: Read-only", help=ABOUT_GUESTS)
            else:
                _link(PAGES[NEW_STUDY], pages, name)
                if entry is not None:
                    study_menu.menu(entry)
        if entry is not None:
            with st.container(gap=None, key="sidebar_go"):
                palette.button()
                saved_views.menu(entry)
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
            query_params=session.link_query(study),
        )


def facts(slot: DeltaGenerator, study: Study) -> None:
    """What the study is: its encoder, images and features."""
    size = [f"{study.n_images:,} images"]
    if study.has("representations"):
        of_units = "features" if study.below is None else f"latents of {widgets.plain(study.path.name)}"
        size.append(f"{study.array('representations').shape[1]:,} {of_units}")
    encoder = [widgets.plain(encoder_title(study.encoder_name))] if study.encoder_name else []
    slot.caption("  \n".join([" · ".join(size), *encoder]))
