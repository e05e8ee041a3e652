"""The field into which a folder of images is dropped, to make a study of it."""

from __future__ import annotations

import streamlit as st

from core.common.formatting import full_sentence
from core.errors import SettingsError
from core.jobs import uploads
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths, dropped_images
from dashboard.state import session

DROPS, TOLD = "_new_drops", "_new_told"


def folder_field() -> None:
    """A folder or pictures that are dropped are kept, and become the image folder."""
    key = f"new_drop_{session.recall(DROPS, 0)}"  # another one after each drop, so that it is empty
    st.file_uploader(
        "Or drop a folder, or pictures, here",
        type=list(uploads.EXTENSIONS),
        accept_multiple_files="directory",
        max_upload_size=uploads.MOST_BYTES // 1_000_000,
        key=key,
        on_change=_keep,
        args=(key,),
        help="Folders in the folder name the classes. "
        f"At most {dropped_images.MOST_FILES:,} pictures. They are copied into the studies folder, and "
        "leave this computer in no way.",
    )
    if told := session.recall(TOLD):
        st.caption(plain(told))


def _keep(key: str) -> None:
    files = session.value(key)
    if not files:
        return
    session.set_widget(DROPS, session.recall(DROPS, 0) + 1)
    try:
        folder = dropped_images.keep([(file.name, file.getvalue()) for file in files])
    except SettingsError as error:
        session.set_widget(TOLD, full_sentence(str(error)))
        return
    session.set_widget(TOLD, folder.text)
    session.set_widget("new_images_path", allowed_paths.short(folder.folder))
