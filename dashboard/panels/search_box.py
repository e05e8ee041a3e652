"""Search by text on the page Images: the field, what was found and by what, and CLIP as a job."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.jobs.commands import SearchImages
from core.jobs.jobs import Job, read_job
from core.search.search import LONGEST, index_facts, plain_words, tidy
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import search_reads
from dashboard.components import widgets
from dashboard.components.job_follower import follow, start_button

KEY = "search"


def field(study: Study) -> str:
    """The field for a text; empty where nothing is looked for."""
    text = st.text_input(
        "Search",
        key=KEY,
        bind="query-params",
        max_chars=LONGEST,
        icon=":material/search:",
        placeholder="Search: a red ball on grass",
        help=widgets.help_text("search"),
        label_visibility="collapsed",
        width=300,
    )
    return tidy(text or "") if plain_words(text or "") else ""


def results(study: Study, text: str, where: Slice) -> search_reads.Found:
    """What a text finds in a slice, the nearest first; says how it was found, and offers CLIP where only
    captions were looked at.
    """
    found = search_reads.by_text(study, text, where)
    if found is not None:
        facts = index_facts(study)
        gone = f" {facts['n_missing']:,} images could not be read." if facts.get("n_missing") else ""
        st.markdown(
            f"**{len(found[0]):,}** images nearest to “{widgets.plain(text)}” for CLIP "
            f"({widgets.plain(facts['clip'])}), nearest first; every image of the filter was compared.{gone}"
        )
        return found
    rows, cosines = search_reads.said_of(study, text, where)
    if len(rows):
        st.markdown(
            f"**{len(rows):,}** images have a part whose nearest captions say “{widgets.plain(text)}”. CLIP "
            "has not read this text itself, and images without captions cannot be found this way."
        )
    elif study.has("captions"):
        st.markdown(f"No stored caption of an image says “{widgets.plain(text)}”.")
    _offer(study, text)
    return rows, cosines


def badges(found: search_reads.Found) -> dict[int, str]:
    """The cosine on each picture."""
    return {int(row): f"{cosine:.2f}" for row, cosine in zip(*found, strict=True)}


def _offer(study: Study, text: str) -> None:
    """A button that lets CLIP look for the text among all images; its progress; or why it failed."""
    job = read_job(study.path)
    if job is not None and job.running:
        follow(study.path, _waiting)
        return
    if not study.has("thumbnails"):
        st.caption("This study was made without pictures, so CLIP cannot look at them.")
        return
    command = SearchImages(study.path, text)
    first = "" if study.has("clip_images") else " It reads every image first, once; later it takes seconds."
    with st.container(horizontal=True, vertical_alignment="center"):
        start_button(
            command, "Search all images with CLIP", key="search_clip", icon=":material/image_search:"
        )
        st.caption(f"Runs in the background.{first}", width="content")
    if job is not None and list(job.arguments) == command.words and job.state == "failed":
        st.warning(widgets.plain(job.error or "It ended with an error."), icon=":material/warning:")


def _waiting(job: Job) -> None:
    searching = job.arguments[:1] == ("search",)
    st.caption("CLIP is reading the images …" if searching else "Another job of this study is running …")


def shown_rows(found: search_reads.Found) -> np.ndarray:
    """(m,) int64: the found images, the nearest first."""
    return np.asarray(found[0], np.int64)
