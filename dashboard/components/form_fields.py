"""Fields of a form: for an option of `analyze`, and for a path."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.config.options import Option
from core.errors import SettingsError
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths
from dashboard.state import session

# A field for a path, with a list to click through; only what `roots` allows is listed or taken.


PATH_ROWS = 6  # of the list before it scrolls


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
            _browse(key, _start_folder(key, text or ""), endings, folder)
    return text or ""


def _start_folder(key: str, text: str) -> Path | None:
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
                _path_button(
                    "Choose this folder", f"{key}_this", (key, at), take=True, icon="check", primary=True
                )
            _path_button("Up", f"{key}_up", (key, allowed_paths.parent(at)), icon="arrow_upward")
    tall = len(folders) + len(files) > PATH_ROWS
    with st.container(height=300 if tall else "content", border=False, gap=None):
        for path in folders:
            name = allowed_paths.short(path) if at is None else path.name
            _path_button(plain(name), f"{key}_{path}", (key, path), icon="folder")
        for path in files:
            _path_button(plain(path.name), f"{key}_{path}", (key, path), take=True, icon="draft")
        if max(len(folders), len(files)) == allowed_paths.LISTED:
            st.caption(f"Only the first {allowed_paths.LISTED} are listed: type the path of another.")
        if not folders and not files:
            nothing = "No folder lies in this one. Choose it if its own files are meant."
            st.caption(nothing if folder else "Nothing here can be chosen.")


def _path_button(
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
        on_click=_take_path if take else lambda key, path: session.set_widget(f"{key}_at", path),
        args=goal,
    )


def _take_path(key: str, path: Path) -> None:
    session.set_widget(key, allowed_paths.short(path))
    session.set_widget(f"{key}_at", path if path.is_dir() else path.parent)
    session.set_widget(f"{key}_list", False)  # closes the list, which would cover what is found


# A field of a form for an option of `analyze`: what it shows is what the option says of itself.


OPTION_PREFIX = "new_"  # of the keys, which are also the names in the address


def option_field(option: Option) -> str:
    """Draw the field of an option; the text that is typed or chosen, "" where the option is left out."""
    key, about, described = f"{OPTION_PREFIX}{option.name}", option.about, option.described
    if titles := described["titles"]:
        picked = st.selectbox(
            option.title,
            list(titles),
            format_func=lambda one: titles[one],
            key=key,
            bind="query-params",
            help=about,
        )
        return picked or ""
    if described["names"]:
        return path_field(option.title, key=key, endings=described["endings"], help=about)
    sample = described["example"]
    return st.text_input(option.title, key=key, bind="query-params", placeholder=sample, help=about) or ""
