"""Two bases of a study side by side: which latents of one the other has too, and images of both."""

from typing import Any

import numpy as np
import streamlit as st

from core.bases.basis import UNITS
from core.common.dataframes import numbers
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import basis_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.state import session

SHOWN = 200  # pairs of latents
PICTURES, SIDE = 3, 56  # of each latent, and pixels of a row


def twins(study: Study, whole: Study) -> None:
    """A row a latent: its strongest images, and those of the most similar one of another basis.

    Args:
        study: as it is read here. whole: the same, by the units of its encoder.
    """
    names = [*whole.bases, UNITS]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        here = study.path.name if study.below is not None else names[0]
        mine = select_one("Latents of", names, key="twins_of", default=here, width=180)
        st.caption("beside the most similar ones of", width="content")
        others = [name for name in (*whole.bases, UNITS) if name != mine]
        other = select_one("Compared with", others, key="twins_with", width=180)
    frame = basis_reads.twins_of(whole, mine, other)
    cosines = numbers(frame, "cosine")
    n = int(np.count_nonzero(cosines >= basis_reads.TWIN))
    median = widgets.number(float(np.median(cosines)), digits=2)
    of_mine = f"**{n:,} of {len(frame):,}** of {widgets.plain(mine)}"
    st.markdown(
        f"{of_mine} are in {widgets.plain(other)}, too: with a similarity of {basis_reads.TWIN} or more. "
        f"The median is {median}; 0 is nothing alike, 1 the same."
    )
    shown = frame.head(SHOWN).reset_index(drop=True)
    sides = (("latent", mine), ("twin", other))
    pictured = whole.n_images <= basis_reads.MOST_IMAGES
    for column, basis in sides:
        features = np.asarray(shown[column])
        if pictured:
            shown = shown.assign(**_pictures(whole, column, basis, features))
        links = [session.href("feature", whole, feature=str(one), basis=basis) for one in features]
        shown = shown.assign(**{column: links})
    columns = ["latent", *_names("latent"), "cosine", "twin", *_names("twin"), "words", "words_of_twin"]
    described: dict[str, Any] = {
        column: st.column_config.LinkColumn(basis, display_text=r"feature=(\d+)", width=70)
        for column, basis in sides
    }
    for pictures in (_names("latent"), _names("twin")):
        for at, name in enumerate(pictures):
            title = "strongest on" if at == 0 else " "
            described[name] = st.column_config.ImageColumn(title, width=SIDE)
    described |= {"words": f"words in {mine}", "words_of_twin": f"words in {other}"}
    described["cosine"] = st.column_config.ProgressColumn(
        "Similarity", format="%.2f", min_value=0, max_value=1
    )
    filled = [name for name in columns if name in shown and any(shown[name])]
    height_of_row = SIDE if pictured else None
    st.dataframe(
        shown[filled],
        hide_index=True,
        row_height=height_of_row,
        height=10 * SIDE,
        alt=f"The latents of {mine}, and the most similar one of {other}",
        column_config=described,
    )


def _names(column: str) -> list[str]:
    return [f"{column}_{number}" for number in range(PICTURES)]


def _pictures(whole: Study, column: str, basis: str, features: np.ndarray) -> dict[str, list[str | None]]:
    """The addresses of the strongest images of some latents, a column for each of the first PICTURES."""
    rows = basis_reads.strongest(whole, basis, tuple(features.tolist()), PICTURES)
    urls = [served_studies.picture_urls(whole, rows[int(one)]) for one in features]
    columns = {}
    for at, name in enumerate(_names(column)):
        columns[name] = [of_latent[at] if at < len(of_latent) else None for of_latent in urls]
    return columns
