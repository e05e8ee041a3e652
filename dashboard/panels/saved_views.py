"""Saved views in the sidebar: the page as it is now, kept under a name for everyone who opens the study."""

import streamlit as st

from core.errors import PeregrineError
from core.store import Study
from core.study import trace_changes, trace_limits
from core.study.write_access import guest_is_asking
from dashboard.cache import reads
from dashboard.components.tooltips import plain
from dashboard.components.widgets import problem_of
from dashboard.state import served_studies, session
from dashboard.state.pages import PAGES

VIEW_NAME, VIEW_OF = "view_name", "views"  # widget key; what a problem is of


def known_views(study: Study) -> dict[str, str]:
    """Addresses of the saved views by name, those of pages that there are; none where they cannot be read."""
    try:
        views = reads.traces(study).views
    except PeregrineError:
        return {}
    return {name: address for name, address in views.items() if address.partition("?")[0] in PAGES}


def saved_views_menu(entry: served_studies.Entry) -> None:
    """A button that opens the saved views: go to one, remove one, save the page as it is."""
    with st.popover(
        "Views",
        icon=":material/bookmarks:",
        key="views_menu",
        type="tertiary",
        width="stretch",
        on_change="rerun",
    ) as opened:
        if opened.open:
            with st.container(key="views_menu_body"):
                _saved_views(served_studies.open_current(entry.path))


def _saved_views(study: Study) -> None:
    problem_of(VIEW_OF)
    views = known_views(study)
    for name, address in views.items():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            page = PAGES[address.partition("?")[0]]
            st.button(
                plain(name),
                key=f"view_{name}",
                icon=page.icon,
                width="stretch",
                on_click=session.go_to_view,
                args=(address,),
            )
            if guest_is_asking():
                continue
            st.button(
                "Remove",
                key=f"view_remove_{name}",
                type="tertiary",
                help=f"Remove the view {plain(name)}",
                on_click=lambda name=name: session.attempt(
                    VIEW_OF, lambda: trace_changes.remove_view(study, name)
                ),
            )
    if not views:
        st.caption("A view is a page with its filter and choices. None is saved in this study yet.")
    if guest_is_asking():
        return
    st.text_input(
        "Save this page as", key=VIEW_NAME, max_chars=trace_limits.LONGEST_NAME, placeholder="dogs under snow"
    )
    st.button("Save view", key="view_save", type="primary", on_click=_saving, args=(study,))


def _saving(study: Study) -> None:
    def keep() -> None:
        trace_changes.save_view(study, str(session.value(VIEW_NAME) or ""), session.view_address())
        session.set_widget(VIEW_NAME, "")

    session.attempt(VIEW_OF, keep)
