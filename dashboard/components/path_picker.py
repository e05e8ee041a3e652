"""A field for a path, with a list to click through; only what `roots` allows is listed or taken."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.errors import SettingsError
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths
from dashboard.state import session

ROWS = 6  # of the list before it scrolls


def path_field(
    label: str, *, key: str, endings: Sequence[str] = (), folder: bool = False, help: str | None = None
) -> str:
    """The path that is typed or clicked; "" while there is none. It is checked when it is used.

    Args:
        key: also the name in the URL. endings: of the files that are listed. folder: a folder may be chosen.
    """
    field, browse = st.columns([5, 2], vertical_alignment="bottom", gap="small")
    roots = allowed_paths.roots()
    none_yet = "drop one instead" if folder and not endings else "none may be chosen yet"
    text = field.text_input(
        label,
        key=key,
        bind="query-params",
        placeholder=f"a path below {allowed_paths.short(roots[0])}" if roots else none_yet,
        help=help,
    )
    with browse.popover("Browse", key=f"{key}_list", on_change="rerun", width="stretch") as opened:
        if opened.open:
            _browse(key, _start(key, text or ""), endings, folder)
    return text or ""


def _start(key: str, text: str) -> Path | None:
    """Return the folder that the list shows: the last one, else the typed one, else the roots."""
    if f"{key}_at" in st.session_state:
        return session.recall(f"{key}_at")
    try:
        typed = allowed_paths.allowed(text)
    except SettingsError:
        return None
    return typed if typed.is_dir() else typed.parent


def _browse(key: str, at: Path | None, endings: Sequence[str], folder: bool) -> None:
    if at is None:
        folders, files = allowed_paths.roots(), []
        st.caption("Folders to choose from" if folders else allowed_paths.spoken_roots())
    else:
        folders, files = allowed_paths.listing(at, endings)
        st.caption(plain(allowed_paths.short(at)))
        with st.container(horizontal=True, gap="small"):
            if folder:
                _button("Choose this folder", f"{key}_this", (key, at), take=True, icon="check", primary=True)
            _button("Up", f"{key}_up", (key, allowed_paths.parent(at)), icon="arrow_upward")
    tall = len(folders) + len(files) > ROWS
    with st.container(height=300 if tall else "content", border=False, gap=None):
        for path in folders:
            name = allowed_paths.short(path) if at is None else path.name
            _button(plain(name), f"{key}_{path}", (key, path), icon="folder")
        for path in files:
            _button(plain(path.name), f"{key}_{path}", (key, path), take=True, icon="draft")
        if max(len(folders), len(files)) == allowed_paths.LISTED:
            st.caption(f"Only the first {allowed_paths.LISTED} are listed: type the path of another.")
        if not folders and not files:
            nothing = "No folder lies in this one. Choose it if its own files are meant."
            st.caption(nothing if folder else "Nothing here can be chosen.")


def _button(
    label: str,
    key: str,
    goal: tuple[str, Path | None],
    *,
    icon: str,
    take: bool = False,
    primary: bool = False,
) -> None:
    st.button(
        label,
        key=key,
        icon=f":material/{icon}:",
        type="primary" if primary else "tertiary",
        on_click=_take if take else lambda key, path: session.set_widget(f"{key}_at", path),
        args=goal,
    )


def _take(key: str, path: Path) -> None:
    session.set_widget(key, allowed_paths.short(path))
    session.set_widget(f"{key}_at", path if path.is_dir() else path.parent)
    session.set_widget(f"{key}_list", False)  # closes the list, which would cover what is found
