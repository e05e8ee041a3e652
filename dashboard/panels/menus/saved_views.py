"""Saved views in the sidebar: the page as it is now, kept under a name for everyone who opens the study."""

import streamlit as st

from core.common.write_access import guest_is_asking
from core.errors import PeregrineError
from core.store import Study
from core.traces import changes, limits
from dashboard.addresses import served_studies
from dashboard.addresses.pages import PAGES
from dashboard.cache import reads
from dashboard.components.tooltips import plain
from dashboard.components.widgets import problem_of
from dashboard.state import problems, session, view_address

NAME, OF = "view_name", "views"  # widget key; what a problem is of


def known(study: Study) -> dict[str, str]:
    """Addresses of the saved views by name, those of pages that there are; none where they cannot be read."""
    try:
        views = reads.traces(study).views
    except PeregrineError:
        return {}
    return {name: address for name, address in views.items() if address.partition("?")[0] in PAGES}


def menu(entry: served_studies.Entry) -> None:
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
                _contents(served_studies.open_current(entry.path))


def _contents(study: Study) -> None:
    problem_of(OF)
    views = known(study)
    for name, address in views.items():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            page = PAGES[address.partition("?")[0]]
            st.button(
                plain(name),
                key=f"view_{name}",
                icon=page.icon,
                width="stretch",
                on_click=view_address.go_to,
                args=(address,),
            )
            if guest_is_asking():
                continue
            st.button(
                "Remove",
                key=f"view_remove_{name}",
                type="tertiary",
                help=f"Remove the view {plain(name)}",
                on_click=lambda name=name: problems.attempt(OF, lambda: changes.remove_view(study, name)),
            )
    if not views:
        st.caption("A view is a page with its filter and choices. None is saved in this study yet.")
    if guest_is_asking():
        return
    st.text_input("Save this page as", key=NAME, max_chars=limits.LONGEST_NAME, placeholder="dogs under snow")
    st.button("Save view", key="view_save", type="primary", on_click=_saving, args=(study,))


def _saving(study: Study) -> None:
    def keep() -> None:
        changes.save_view(study, str(session.value(NAME) or ""), view_address.address())
        session.set_widget(NAME, "")

    problems.attempt(OF, keep)
