"""Search on the page Images: one box for a text or a picture, what it found, and why it found nothing yet.

What is looked for stands in the address: `search=TEXT`, `like=IMAGE` or `picture=NAME`.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.common.captions import with_class_names
from core.common.command_line import command_line
from core.common.formatting import formatted, full_sentence
from core.common.picture_bytes import image_address
from core.common.records import Templates
from core.common.step_facts import SearchFacts
from core.concepts.search import (
    CLIP_IMAGES,
    FITS,
    GENERIC,
    JUDGED,
    LONGEST,
    has_captions,
    has_index,
    index_facts,
    plain_words,
    tidy,
    unknown_words,
)
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from core.study import uploads
from core.study.commands import RunStep
from core.study.jobs import Job, read_job
from core.study.write_access import guest_is_asking
from dashboard.cache import reads, search_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one
from dashboard.components.gallery import Tile, gallery
from dashboard.components.job_follower import follow, follow_model, start_button
from dashboard.components.page_link import link
from dashboard.jobs import resident_models
from dashboard.state import served_studies, session

TEXT, LIKE, PICTURE, CAPTIONED, SPACE = "search", "like", "picture", "search_captions", "like_space"
FIELD = "search_field"
UPLOAD, TROUBLE, UPLOADS = "search_upload", "_search_trouble", "_search_uploads"
WIDTH, CHIP = 240, 48  # pixels of the box, and of the picture that is searched by
ICON = ":material/image_search:"
LOADING = "Loading the CLIP model"
READING = "CLIP is reading the images. The results appear here when it has seen them all."
NOT_HERE = "It was not on this computer; the command below gets it once."
FINDS_NONE = "The search finds none of the images."
NOTHING_TO_COMPARE = "There is nothing to compare this image by: its vector is zero, or it is missing."
SAYING = "whose captions say", "with a part whose nearest captions say"  # the words, whole images first
ON_PICTURES = "The number on a picture is the similarity."
say = Templates.beside(__file__)


@dataclass(frozen=True)
class Query:
    """What is looked for: a text, an image of the study (its row), or an uploaded picture (its digest)."""

    text: str = ""
    row: int | None = None
    picture: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.picture) or self.row is not None


def field(study: Study) -> Query:
    """Draw the box; says what is looked for. CLIP begins to load, so that it is there when it is needed."""
    if has_index(study):
        resident_models.prepare_clip(study)
    query = _query(study)
    if query.row is not None or query.picture:
        _chip(study, query)
    else:
        query = _text_field(study)
    number = session.recall(UPLOADS, 0)  # another one after each upload, so that it is closed and empty
    about = "Search by a picture of your own"
    if not guest_is_asking():  # who may bring no file of their own
        with st.popover("Picture", icon=ICON, help=about, key=f"search_picture_{number}"):
            _upload(study)
    return query


def _text_field(study: Study) -> Query:
    """Draw the field for a text, and the button that clears it.

    No widget is bound to that part of the link: between two pages with the field, the browser would take it
    out of the address.
    """
    shown = (session.url_text(TEXT) or "")[:LONGEST]
    text = st.text_input(
        "Search",
        shown,
        max_chars=LONGEST,
        icon=":material/search:",
        placeholder=_example(study),
        help=widgets.help_text("search"),
        label_visibility="collapsed",
        width=WIDTH,
        **session.show_in_widget(FIELD, shown, lambda text: session.set_url(TEXT, text or None)),
    )
    if text:
        st.button(
            "Clear",
            key="search_clear",
            icon=":material/close:",
            help="Show all images of the filter again",
            type="tertiary",
            on_click=session.set_url,
            args=(TEXT, None),
        )
    return Query(text=tidy(text or "") if plain_words(text or "") else "")


def _example(study: Study) -> str:
    if has_index(study) or has_captions(study) or not study.class_names:
        return "Search: a red ball on grass"
    return f"A class, as in “{with_class_names(study.class_names[0])}”"


def trouble() -> None:
    """Why the picture that was uploaded last cannot be searched by; said once."""
    if why := session.recall(TROUBLE):
        session.set_widget(TROUBLE, None)
        st.error(widgets.plain(full_sentence(why)), icon=":material/error:")


def results(
    study: Study, query: Query, where: Slice, *, note: str = ON_PICTURES
) -> search_reads.Found | None:
    """What is found in a slice, the nearest first, with a line that says how; None where there is nothing to
    show yet, and the page shows the images of the filter.

    note: how the page shows what was found, in a sentence.
    """
    if query.row is not None:
        return _like(study, query.row, where, note)
    if not has_index(study):  # until the images are embedded, captions and names of classes are searched
        return _beside_the_offer(study, query, where)
    if query.picture or search_reads.is_read(study, query.text):
        return _with_clip(study, query, where, note)
    state = resident_models.prepare_clip(study)
    if state.name == "loading":
        _wait(study)
        return None
    if state.name == "ready":
        return _with_clip(study, query, where, note)
    st.warning(widgets.plain(f"CLIP cannot read this text: {state.why}"), icon=":material/warning:")
    if state.why == resident_models.CLIP_CHANGED:
        return _beside_the_offer(study, query, where)
    return _by_words(study, query, where)


def badges(hits: search_reads.Found) -> dict[int, str]:
    """The cosine on each picture, where it was found by one."""
    return {
        int(row): formatted(cosine, ".2f") for row, cosine in zip(*hits, strict=True) if np.isfinite(cosine)
    }


def shown_rows(hits: search_reads.Found) -> np.ndarray:
    """(m,) int64: the found images, the nearest first."""
    return np.asarray(hits[0], np.int64)


def _query(study: Study) -> Query:
    """What the address names; an image that the study does not hold is dropped with a note."""
    if (name := session.url_text(LIKE)) is not None:
        rows = session.rows_held(study, [name])
        if rows:
            return Query(row=rows[0])
        session.set_url(LIKE, None)
        session.notify(f"This study holds no image {name[:80]!r}, so that part of the link was dropped.")
    picture = session.url_text(PICTURE)
    if picture and search_reads.picture_of(study, picture) is None:
        session.set_url(PICTURE, None)
        session.notify("The picture of this link is not kept. Upload it again to search by it.")
        picture = None
    return Query(picture=picture or "")


def _chip(study: Study, query: Query) -> None:
    """What is looked for instead of a text, with its picture; a click returns to the text field."""
    if query.row is not None:
        name, about = _named(study, query.row), str(study.column("images", "image_id").iat[query.row])
        address = served_studies.picture_url(study, query.row)
    else:
        picture = search_reads.picture_of(study, query.picture)
        name, about = (picture.name, picture.name) if picture else ("your picture", "")
        address = image_address(picture.preview) if picture and picture.preview else ""
    if address:
        with st.container(width=CHIP, key="search_query"):
            gallery([Tile(0, address, about)], key="search_query_tile", label="searched by", tile=CHIP)
    st.button(
        f"Like {widgets.plain(name)}",
        key="search_clear",
        icon=":material/close:",
        help=f"{widgets.plain(about)}: click to search by a text again",
        on_click=_clear,
        width=WIDTH,
    )


def _named(study: Study, row: int) -> str:
    """An image by what it shows, or by its name where it has no label."""
    image_id, label = (study.column("images", name).iat[row] for name in ("image_id", "label"))
    return str(image_id) if widgets.undefined(label) else f"an image of {label}"


def _clear() -> None:
    for part in (LIKE, PICTURE):
        session.set_url(part, None)


def _upload(study: Study) -> None:
    """A picture of the user's: CLIP reads it once, and its vector is remembered."""
    if not has_index(study):
        link("try_picture", "Images that this encoder finds similar", study, icon="add_photo_alternate")
        st.caption("Here, CLIP would find them, which needs the images embedded with it.")
        _offer(study, key="search_prepare_picture")
        return
    file = st.file_uploader(
        "Search by a picture of your own",
        type=list(uploads.EXTENSIONS),
        max_upload_size=uploads.MOST_BYTES // 1_000_000,
        key=f"{UPLOAD}_{session.recall(UPLOADS, 0)}",
        help="CLIP reads it on this computer, and it is written nowhere.",
        width=320,
    )
    if file is None:
        return
    session.set_widget(UPLOADS, session.recall(UPLOADS, 0) + 1)
    try:
        with st.spinner("CLIP is reading the picture …"):
            digest = search_reads.keep_picture(study, file.name, file.getvalue())
        session.set_url(LIKE, None)
        session.set_url(PICTURE, digest)
    except PeregrineError as error:
        session.set_widget(TROUBLE, str(error))
    st.rerun()


def _like(study: Study, row: int, where: Slice, note: str) -> search_reads.Found:
    space = choose_space(study, SPACE)
    hits = search_reads.alike(study, row, space, search_reads.MOST_FOUND, where)
    if not len(hits[0]) and reads.mask(study, where).any():
        st.caption(NOTHING_TO_COMPARE)
        return hits
    by = "CLIP" if space == CLIP_IMAGES else "this encoder"
    about = f"most like this {widgets.plain(_named(study, row).removeprefix('an '))} for {by}"
    st.caption(_found_line(about, study, hits, where, note))
    return hits


def choose_space(study: Study, key: str) -> str:
    """In which of the spaces images are compared; drawn where there are several."""
    names = {title: name for name, title in search_reads.spaces(study).items()}
    return names[choose_one("Nearest for", names, key=key)] if len(names) > 1 else next(iter(names.values()))


def _with_clip(study: Study, query: Query, where: Slice, note: str) -> search_reads.Found | None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        line = st.container()
        captioned = bool(query.text) and study.has("captions") and st.toggle(
            "Search captions instead", key=CAPTIONED, bind="query-params", width="content",
            help="Only images that have the words in their own caption, or in one near a part of them.",
        )  # fmt: skip
    try:
        if query.picture:
            hits = search_reads.by_picture(study, query.picture, where)
            about = "most like your picture for CLIP"
        else:
            hits = search_reads.by_text(study, query.text, where, captioned=captioned)
            about = f"nearest to “{widgets.plain(query.text)}” for CLIP"
    except PeregrineError as error:
        st.warning(widgets.plain(f"CLIP cannot read this: {error}"), icon=":material/warning:")
        return None
    if hits is not None:
        only = " whose captions contain the words" if captioned else ""
        poor = _poor_fit(study, query.text, hits)
        with line:
            st.caption(poor + _found_line(about, study, hits, where, "" if poor else note, only))
    return hits


def _poor_fit(study: Study, text: str, hits: search_reads.Found) -> str:
    """A search always finds something: a sentence where even the nearest images do not fit the text, or
    where CLIP cannot read it.
    """
    if unknown := unknown_words(index_facts(study).clip, text):
        words = tuple(f"“{widgets.plain(word)}”" for word in unknown)
        return f"{say('unknown_words', names=words)} "
    rows, texts = tuple(shown_rows(hits)[:JUDGED].tolist()), (text, *GENERIC)
    is_loaded = resident_models.prepare_clip(study).name == "ready"
    judged = is_loaded or all(search_reads.is_read(study, one) for one in texts)
    if not (rows and text and judged) or search_reads.text_fit(study, text, rows) >= FITS:
        return ""
    return f"{say('poor_fit', what=GENERIC[0])} "


def _found_line(
    about: str, study: Study, hits: search_reads.Found, where: Slice, note: str, only: str = ""
) -> str:
    """How many images were found, of how many, and what could not be compared."""
    n_shown, n_filter = len(hits[0]), int(np.count_nonzero(reads.mask(study, where)))
    missing = index_facts(study).n_missing
    gone = f" {say('unreadable', n=missing)}" if missing else ""
    if not n_shown:
        return f"{say('none', why=only)} {gone}"
    line = say(
        "all" if n_shown == n_filter and not only else "some", n=n_shown, of=n_filter, what=about, why=only
    )
    return f"{line} {note}{gone}"


def _by_words(study: Study, query: Query, where: Slice) -> search_reads.Found | None:
    if not query.text:
        return None
    text = f"“{widgets.plain(query.text)}”"
    for find, which in zip((search_reads.captioned, search_reads.said_of), SAYING, strict=True):
        if n := len((hits := find(study, query.text, where))[0]):
            st.caption(say("captions", n=n, why=which, what=text))
            return hits
    hits = search_reads.of_classes(study, query.text, where)
    no_hits = "no_captions_and_names" if has_captions(study) else "no_names"
    st.caption(say("names" if len(hits[0]) else no_hits, n=len(hits[0]), what=text))
    return hits


def _beside_the_offer(study: Study, query: Query, where: Slice) -> search_reads.Found | None:
    """What is found without CLIP, with the offer in the same line, so that the pictures below stay."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="search_line"):
        hits, job = _by_words(study, query, where), read_job(study.path)
        runs = job is not None and job.running
        with st.container() if runs else st.popover("Search with CLIP", icon=ICON, type="tertiary"):
            _offer(study)
    return None if runs and hits is not None and not len(hits[0]) else hits


def _offer(study: Study, *, key: str = "search_prepare") -> None:
    """One button that embeds the images with CLIP, with the command that gets one where there was none; the
    progress while it runs; or why that failed.
    """
    job = read_job(study.path)
    if job is not None and job.running:
        follow(study.path, _progress)
        return
    if not study.has("thumbnails"):
        st.caption("This study was made without pictures, so CLIP cannot look at them.")
        return
    default = study.facts(SearchFacts).default_clip
    command = RunStep("search", study.path)
    st.markdown("**A search needs CLIP, which compares images with words**")
    here = f"{NOT_HERE} " if default else ""
    st.caption(f"{here}CLIP then reads every image, in the background; a search then takes under a second.")
    if default:
        st.code(command_line("fetch", "clip", default), language="bash", wrap_lines=True)
    refused = start_button(command, "Prepare the search", key=key, icon=ICON)
    _by_hand(study, command, refused, missing=bool(default))
    if job is not None and job.state == "failed" and list(job.arguments[:1]) == ["search"]:
        st.warning(widgets.plain(job.error or "It ended with an error."), icon=":material/warning:")


def _by_hand(study: Study, command: RunStep, refused: str | None, *, missing: bool) -> None:
    """The command, where the button may not be pressed; and how to use weights that are here already."""
    if refused:
        st.caption(widgets.plain(f"The button is off: {refused}"))
    own_weights = f"# with weights of your own\n{command_line('search', study.path, clip='MODEL@FILE')}"
    if lines := [*[command.shell] * (refused is not None), *[own_weights] * missing]:
        with st.expander("In a terminal", icon=":material/terminal:"):
            st.code("\n".join(lines), language="bash", wrap_lines=True)


def _progress(job: Job) -> None:
    """What is waited for; the bar stands at the top of the page."""
    if "search" in (job.stage, *job.arguments[:1]):
        st.caption(READING)
    else:
        st.caption("Another job of this study is running; the search can be prepared when it has ended.")


def _wait(study: Study) -> None:
    follow_model(
        lambda: resident_models.prepare_clip(study),
        lambda seconds: (
            f"{LOADING}: {seconds:.0f} s so far, usually half a minute at most, and only once. "
            "The results then appear here by themselves; until then, all images of the filter are shown."
        ),
    )
