"""The field into which a folder of images, or of their masks, is dropped."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.common.formatting import full_sentence
from core.errors import SettingsError
from core.study import uploads
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths, dropped_images
from dashboard.state import session

Keep = Callable[[Sequence[tuple[str, bytes]]], dropped_images.Kept]


def folder_field(label: str, *, about: str, path_key: str, keep: Keep = dropped_images.keep) -> None:
    """A folder or pictures that are dropped are kept, and become what the path field of `path_key` names."""
    drops, message_key = f"_{path_key}_drops", f"_{path_key}_told"
    key = f"{path_key}_drop_{session.recall(drops, 0)}"  # another one after each drop, so that it is empty

    def take() -> None:
        files = session.value(key)
        if not files:
            return
        session.set_widget(drops, session.recall(drops, 0) + 1)
        try:
            folder = keep([(file.name, file.getvalue()) for file in files])
        except SettingsError as error:
            session.set_widget(message_key, full_sentence(str(error)))
            return
        session.set_widget(message_key, folder.text)
        session.set_widget(path_key, allowed_paths.short(folder.folder))

    st.file_uploader(
        label,
        type=list(dropped_images.ENDINGS),
        accept_multiple_files="directory",
        max_upload_size=uploads.MOST_BYTES // 1_000_000,
        key=key,
        on_change=take,
        help=f"{about} At most {dropped_images.MOST_FILES:,} pictures. They are copied into the studies "
        "folder, and leave this computer in no way.",
    )
    if text := session.recall(message_key):
        st.caption(plain(text))
