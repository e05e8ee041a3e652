"""Click a place of an image: the latents that are active there, and where else they are."""

from html import escape
from typing import Any

import numpy as np
import streamlit as st

from core.common.dataframes import numbers
from core.common.formatting import counted
from core.store import Study
from core.study.overlay_image import OverlayStyle
from dashboard.cache import basis_reads, feature_reads, heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.gallery import Tile, gallery
from dashboard.components.picture_input import position_grid
from dashboard.components.widgets import image_name
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import overlay_urls

PLACES = "Places"  # what the page of an image calls this part
PLACE = "place"  # part of the URL
LISTED = 12  # latents
HEAT = 96  # pixels of a heatmap, drawn half as large


def places_part(study: Study, row: int, facts: dict[str, Any]) -> None:
    rows, columns = basis_reads.position_grid(study)
    position = session.url_int(PLACE, below=rows * columns, what="place")
    left, right = st.columns([5, 6], gap="large")
    with left:
        position_grid(
            served_studies.picture_url(study, row, "image"),
            (rows, columns),
            basis_reads.view_of_positions(study, row),
            position,
            key="image_places",
            name=image_name(facts),
            on_choose=lambda chosen: session.set_url(PLACE, chosen),
        )
        st.caption(
            "Click a place to see which latents are active there. Each one is a vector of the encoder."
        )
    if position is None:
        return
    with right:
        _latents(study, row, position)
    _similar(study, row, position)


def _latents(study: Study, row: int, position: int) -> None:
    """The latents, strongest first, each with its words and where in the image it is active."""
    table = basis_reads.latents_at(study, row, position)
    _, columns = basis_reads.position_grid(study)
    where = f"row {position // columns + 1}, column {position % columns + 1}"
    st.markdown(f"**{counted(len(table), 'latent')} {'is' if len(table) == 1 else 'are'} active** at {where}")
    words, values = feature_reads.names(study), numbers(table, "value")
    most = float(np.abs(values).max(initial=0.0)) or 1.0
    stored = heatmap_reads.features_of(study, row)
    for latent, value in zip(table["latent"].head(LISTED).tolist(), values.tolist(), strict=False):
        address = session.href("feature", study, feature=str(latent))
        title = widgets.plain(words.get(latent, f"Latent {latent}"))
        stable = reads.stability(study, latent)
        about = " · ".join(
            [f"#{latent}"] * (latent in words) + ([f"stability {stable:.2f}"] if stable is not None else [])
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if latent in stored:
                heat = overlay_urls(study, [row], [OverlayStyle(features=(latent,))], side=HEAT)[0]
                st.html(
                    f'<img src="{escape(heat)}" alt="where it is active" width="{HEAT // 2}">',
                    width=HEAT // 2,
                )
            st.markdown(f"[{title}]({address})" + f" :gray[{about}]" * bool(about), width="stretch")
            st.progress(min(abs(value) / most, 1.0), width=120)
            st.caption(f"{value:.2f}", width=48)


def _similar(study: Study, row: int, position: int) -> None:
    similar = basis_reads.places_like(study, row, position)
    if similar.empty:
        return
    st.header("Similar places in other images", anchor=False)
    labels = reads.images(study)["label"]
    tiles = []
    for other, at, cosine in similar.itertuples(index=False):
        label = labels.iat[other]
        named = () if widgets.undefined(label) else (str(label),)
        name = str(study.column("images", "image_id").iat[other])
        lines = (*named, f"cosine {cosine:.2f}")
        tiles.append(Tile(int(other), basis_reads.marked_places(study, int(other), int(at)), name, lines))
    places = dict(zip(similar["row"].tolist(), similar["place"].tolist(), strict=True))

    def opened(other: int) -> None:
        session.open_image(study, other)
        session.set_url(PLACE, int(places[other]))

    gallery(tiles, key="image_places_similar", label="images with a similar place", on_open=opened)
