"""Where a picture of the reader's comes in: chosen, dropped anywhere on the page, pasted, or a sample."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.formatting import full_sentence
from core.common.write_access import guest_is_asking
from core.errors import PeregrineError
from core.jobs import uploads
from core.pictures.samples import samples
from dashboard.addresses.pages import TRY_PICTURE
from dashboard.cache.pictures import tried_reads
from dashboard.cache.pictures.tried_reads import Picture
from dashboard.components import widgets
from dashboard.components.gallery import Tile, gallery
from dashboard.components.picture_input import paste_and_drop
from dashboard.state import session

SAMPLE, OF, CROP, COVERED, OFF = "sample", "of", "crop", "covered", "off"  # parts of the address
FILE, BROUGHT, TROUBLE, FILES = "try_file", "_try_brought", "_try_trouble", "_try_files"


def picture_field(*, small: bool, leads_there: bool = False, stacked: bool = False) -> None:
    """The field for a picture, and the samples beside it.

    Args:
        small: a picture is shown already. leads_there: the page is another one than *Try a picture*, which
            opens with the picture. stacked: the samples stand below the field, and large.
    """
    number = session.recall(FILES, 0)  # another field after each picture, so that it is empty
    key = f"{FILE}_{number}"
    if stacked:
        left, right = st.container(), st.container()
    else:
        left, right = st.columns([4, 1] if small else [3, 2], gap="medium")
    if guest_is_asking():  # who may bring no file of their own
        _samples(left, small=small, leads_there=leads_there, stacked=stacked)
        return
    with left:
        which = "another picture" if small and not leads_there else "a picture"
        st.file_uploader(
            f"Drop {which} anywhere on this page, paste one, or choose a file",
            type=list(uploads.EXTENSIONS),
            max_upload_size=uploads.MOST_BYTES // 1_000_000,
            key=key,
            on_change=_bring,
            args=(key, leads_there),
            help="It stays on this computer: a process reads it, and it is written nowhere.",
        )
    _samples(right, small=small, leads_there=leads_there, stacked=stacked)
    paste_and_drop(FILE)
    if why := session.recall(TROUBLE):
        st.error(widgets.plain(full_sentence(why)), icon=":material/error:")


def _samples(slot: DeltaGenerator, *, small: bool, leads_there: bool, stacked: bool) -> None:
    """Pictures that come with Peregrine."""
    with slot:
        names = list(samples())
        thumbnails = tried_reads.thumbnails()
        gallery(
            [Tile(at, thumbnails[one], samples()[one].about, (one,)) for at, one in enumerate(names)],
            key="try_samples",
            label="pictures to try",
            tile=150 if stacked else 64 if small else 96,
            columns=0 if stacked else 2 if small else 4,
            on_open=lambda at: take(leads_there, **{SAMPLE: names[at]}),
        )


def _bring(key: str, leads_there: bool) -> None:
    """A file was chosen, dropped or pasted; it is judged by its content before anything decodes it."""
    file = session.value(key)
    if file is None:
        return
    data = file.getvalue()
    session.set_widget(FILES, session.recall(FILES, 0) + 1)
    try:
        uploads.check_picture(data[: uploads.HEAD], len(data))
    except PeregrineError as error:
        take(False)
        session.set_widget(TROUBLE, str(error))
        return
    take(leads_there)
    session.set_widget(BROUGHT, Picture(file.name[:80], data))


def take(leads_there: bool, **parts: str) -> None:
    """Another picture: nothing is cropped, covered or off any more."""
    for name in (BROUGHT, TROUBLE):
        session.set_widget(name, None)
    if leads_there:
        return session.go(TRY_PICTURE, **parts)
    for name in (SAMPLE, OF, CROP, COVERED, OFF):
        session.set_url(name, parts.get(name))
