"""A picture of the reader's: where it comes in, and the answer to it as bars."""

import html

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.formatting import full_sentence, percent_of_answer
from core.errors import PeregrineError
from core.pictures.look import Look
from core.pictures.seen import samples
from core.study import uploads
from core.study.write_access import guest_is_asking
from dashboard.cache import tried_reads
from dashboard.cache.tried_reads import Picture
from dashboard.components import widgets
from dashboard.components.gallery import Tile, gallery
from dashboard.components.picture_input import paste_and_drop
from dashboard.state import session
from dashboard.state.pages import TRY_PICTURE

# Where a picture of the reader's comes in: chosen, dropped anywhere on the page, pasted, or a sample.


SAMPLE, OF, CROP, COVERED = "sample", "of", "crop", "covered"  # parts of the address
OFF, AGAINST = "off", "against"
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
            [Tile(at, thumbnails[name], samples()[name].about, (name,)) for at, name in enumerate(names)],
            key="try_samples",
            label="pictures to try",
            tile=150 if stacked else 64 if small else 96,
            columns=0 if stacked else 2 if small else 4,
            on_open=lambda at: take_picture(leads_there, **{SAMPLE: names[at]}),
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
        take_picture(False)
        session.set_widget(TROUBLE, str(error))
        return
    take_picture(leads_there)
    session.set_widget(BROUGHT, Picture(file.name[:80], data))


def take_picture(leads_there: bool, **parts: str) -> None:
    """Another picture: nothing is cropped, covered or off any more."""
    for name in (BROUGHT, TROUBLE):
        session.set_widget(name, None)
    if leads_there:
        return session.go(TRY_PICTURE, **parts)
    for name in (SAMPLE, OF, CROP, COVERED, OFF, AGAINST):
        session.set_url(name, parts.get(name))


# The answer to a picture: its classes as bars, and what they were before the picture was changed.


UNCHANGED = "Switch a feature off below, or draw on the picture, and watch the answer."


def answer_bars(before: Look, after: Look, *, changed: str) -> None:
    """Draw the answer and its classes.

    Args:
        before: to the whole picture with all features, of at least the classes of `after`. after: to the
            picture as it is now. changed: what was done to it, in words; empty for nothing.
    """
    if not len(after.classes):
        st.caption("This study has no classifier, so there is no answer: these are the features that fire.")
        return
    first = after.classes.iloc[0]
    spoken, sure = widgets.plain(first["spoken"]), percent_of_answer(first["after"])
    was = before.classes.iloc[0]
    if changed and was["name"] == first["name"]:
        title = f"Still **{spoken}**, {sure}"
    elif changed:
        title = f"Now **{spoken}**, {sure}; before **{widgets.plain(was['spoken'])}**"
    else:
        title = f"It says **{spoken}**, {sure}"
    st.markdown(f"## {title}")
    caption = f"{changed[:1].upper()}{changed[1:]}. The marks are the whole picture with all features."
    st.caption(caption if changed else UNCHANGED)
    shares = dict(zip(before.classes["name"], before.classes["after"], strict=True))
    lines = [
        _answer_line(str(row["spoken"]), row["after"], shares[row["name"]] if changed else None, at == 0)
        for at, row in enumerate(after.classes.to_dict("records"))
    ]
    st.html(f'<div class="class-bars">{"".join(lines)}</div>')


def _answer_line(name: str, share: float, was: float | None, first: bool) -> str:
    mark = "" if was is None else f'<span class="was" style="left:{100 * was:.2f}%"></span>'
    kind = "name first" if first else "name"
    text, shown = html.escape(name), html.escape(percent_of_answer(share))
    return (
        f'<span class="{kind}" title="{text}">{text}</span><span class="track"><span class="now" '
        f'style="width:{100 * share:.2f}%"></span>{mark}</span><span class="share">{shown}</span>'
    )
