"""More images like an opened one: nearest in the encoder's space or in CLIP's, compared with every image."""

from __future__ import annotations

import streamlit as st

from core.store import Study
from dashboard.cache import reads, search_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one
from dashboard.panels.image import moved
from dashboard.state import session

SHOWN = 12
AT_ONCE = 1 << 27  # numbers that are compared without being asked to: a tenth of a second or two


def show(study: Study, row: int) -> None:
    """The section of the dialog."""
    st.header("More like this", help=widgets.help_text("alike"))
    space = _space(study)
    vectors = study.array(space)
    if len(vectors) * vectors.shape[1] > AT_ONCE and not st.toggle(
        f"Compare with all {len(vectors):,} images", key="alike_go", help="Reads every representation once."
    ):
        return
    rows, cosines = search_reads.alike(study, row, space, SHOWN)
    if not len(rows):
        st.caption("There is nothing to compare this image by: its representation is zero, or it is missing.")
        return
    labels = reads.images(study)["label"]
    captions = {
        int(other): (
            *(() if widgets.undefined(labels.iat[other]) else (str(labels.iat[other]),)),
            f"cosine {cosine:.3f}",
        )
        for other, cosine in zip(rows, cosines, strict=True)
    }
    _all_of_them(study, row, space)
    widgets.image_gallery(
        study,
        rows,
        key="detail_alike",
        captions=captions,
        badges=lambda other: "",
        tile=104,
        label="images most like this one",
        on_open=lambda other: session.step_image(study, other),
    )
    moved.show(study, row)


def _all_of_them(study: Study, row: int, space: str) -> None:
    """A button that searches for images like this one on the page Images, within the filter."""
    words = {"like_space": search_reads.spaces(study)[space]} if space != "representations" else {}
    st.button(
        "Search for more like this",
        key="alike_search",
        icon=":material/search:",
        type="tertiary",
        help="Opens the page Images with all that are like it, within the filter",
        on_click=session.go,
        args=("images",),
        kwargs={"like": str(study.images["image_id"].iat[row])} | words,
    )


def _space(study: Study) -> str:
    there = search_reads.spaces(study)
    if len(there) == 1:
        st.caption("Nearest for this encoder; also for CLIP, once the search on the page Images is prepared.")
        return next(iter(there))
    words = list(there.values())
    chosen = choose_one("Nearest for", words, key="alike_space")
    return next((name for name, word in there.items() if word == chosen), next(iter(there)))
