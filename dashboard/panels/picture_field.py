"""The field that takes one picture to try, which is dropped, pasted, chosen or a sample."""

from __future__ import annotations

import streamlit as st

from core.common.formatting import full_sentence
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
BROUGHT, TROUBLE, FILES = "_try_brought", "_try_trouble", "_try_files"
LABEL = "Drop a picture anywhere on this page, paste one, or choose a file"
ABOUT = "It stays on this computer: a process reads it, and it is written nowhere."
SLIM = (  # a button under a line of words, and no list of formats
    "<style>.st-key-picture_slim [data-testid=stFileUploaderDropzone] {padding: .1rem; min-height: 0;"
    " justify-content: center} .st-key-picture_slim [data-testid=stFileUploaderDropzoneInstructions],"
    " .st-key-picture_slim [data-testid=stFileUploaderDropzone] > :has([data-testid=stTooltipIcon])"
    " {display: none}</style>"
)


def choose(*, small: bool = False) -> None:
    """The field, and the samples beside it; `small` where a picture is shown already."""
    left, right = st.columns([4, 1] if small else [3, 2], gap="medium", vertical_alignment="bottom")
    with left:
        field(LABEL, shows_label=not small)
    with right:
        sample_tiles(tile=56 if small else 96, columns=2 if small else 4)


def field(label: str, *, shows_label: bool = True) -> None:
    """The field alone. On another page than that of a picture it leads there."""
    key = f"try_file_{session.recall(FILES, 0)}"  # another one after each picture, so that it is empty
    st.file_uploader(
        label,
        type=list(uploads.EXTENSIONS),
        max_upload_size=uploads.MOST_BYTES // 1_000_000,
        key=key,
        on_change=_bring,
        args=(key,),
        label_visibility="visible" if shows_label else "collapsed",
        help=ABOUT,
    )
    paste_and_drop(key)
    if why := session.recall(TROUBLE):
        st.error(widgets.plain(full_sentence(why)), icon=":material/error:")


def slim_field() -> None:
    """The field as small as it can be, for the head of a page."""
    st.html(SLIM)
    with st.container(key="picture_slim", gap=None, width=190):
        st.caption("Drop or paste a picture to try")
        field(LABEL, shows_label=False)


def sample_tiles(*, tile: int, columns: int) -> None:
    names, small = list(samples()), tried_reads.thumbnails()
    gallery(
        [Tile(at, small[one], samples()[one].about) for at, one in enumerate(names)],
        key="try_samples",
        label="pictures to try",
        tile=tile,
        columns=columns,
        on_open=lambda at: _take(**{SAMPLE: names[at]}),
    )


def _bring(key: str) -> None:
    """A file was chosen, dropped or pasted; it is judged by its content before anything decodes it."""
    file = session.value(key)
    if file is None:
        return
    data = file.getvalue()
    session.set_widget(FILES, session.recall(FILES, 0) + 1)
    _forget()
    try:
        uploads.check_picture(data[: uploads.HEAD], len(data))
    except PeregrineError as error:
        session.set_widget(TROUBLE, str(error))
        return
    session.set_widget(BROUGHT, Picture(file.name[:80], data))
    _show()


def _take(**parts: str) -> None:
    """A sample: nothing is cropped, covered or off any more."""
    _forget()
    _show(**parts)


def _forget() -> None:
    for name in (BROUGHT, TROUBLE):
        session.set_widget(name, None)


def _show(**parts: str) -> None:
    """Show the picture, untouched, on its page."""
    if session.here()[0] != TRY_PICTURE:
        session.go(TRY_PICTURE, **parts)
        return
    for name in (SAMPLE, OF, CROP, COVERED, OFF):
        session.set_url(name, parts.get(name))
