"""The images on which a feature fires: the most and least active ones and those between, with heatmaps."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from core.common.formatting import formatted
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.features import at_levels
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import overlay_urls
from dashboard.cache import heatmap_reads, inspection_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.components import widgets
from dashboard.components.chart import with_menu
from dashboard.components.choose_one import choose_one
from dashboard.panels.features.one_feature import file_of

CROP, HEAT, PLAIN = LOOKS = ("Crop", "Heatmap", "Image")
TITLES = {"top": "Most active", "median": "In the middle", "lowest": "Least active"}
NAMES = {"top": "most active images", "median": "images in the middle", "lowest": "least active images"}
NUMBER = "The number on a picture is the activation there; a representation has length 1."
EACH = FEW = 6  # of fewer stored heatmaps no rows are made: all images are shown, the others without
TILE, WIDE = 84, 144  # pixels of a tile; of the only ones


def strongest_images(study: Study, feature: int, population: Slice) -> None:
    """Draw three rows of images of a filter on which a feature fires."""
    rows, values = feature_reads.activations(study, feature, population)
    stored = np.isin(rows, heatmap_reads.rows_with(study, feature))
    look, every = _choose(study, bool(stored.any()))
    if look != PLAIN and stored.sum() >= FEW:
        rows, values = rows[stored], values[stored]
    with st.container(gap="small", key="feature_images"):
        _told(study, len(stored), int(stored.sum()), look)
        badges = {int(row): formatted(value, ".2f") for row, value in zip(rows, values, strict=True)}
        alt = f"Images of {reads.feature_name(study, feature)}"
        with with_menu(
            study, "feature_pictures", population, alt=alt, file=file_of(study, feature, "pictures")
        ):
            if not len(rows):
                _largest(study, feature, population)
            elif every or len(rows) <= EACH:  # too few to make three rows of them
                key = "feature_every" if every else "feature_top"
                _gallery(study, feature, rows, badges, look, key=key, page_size=48)
            else:
                _levels(study, feature, rows, badges, look)


def _choose(study: Study, stored: bool) -> tuple[str, bool]:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.header("What it looks at", width="content", help=NUMBER)
        look = PLAIN
        if study.has("heatmap_maps"):
            look = choose_one("Pictures", LOOKS, key="feature_look", default=HEAT)
        every = st.toggle(
            "Show all", key="feature_all", bind="query-params", help="All images that make it fire"
        )
    return look if stored else PLAIN, every


@widgets.stable_container
def _told(study: Study, n: int, n_stored: int, look: str) -> None:
    """Which images are shown, where it is not all of them, or not with heatmaps."""
    if not n or not study.has("heatmap_maps"):
        return
    if not n_stored:
        st.caption("No heatmap of it is stored for these images, but an opened image can compute one.")
    elif look != PLAIN and n_stored == n <= EACH:
        st.caption(f"It fires on {'this image' if n == 1 else f'these {n:,} images'} only.")
    elif look != PLAIN and n_stored < min(n, FEW):
        st.caption(
            f"It fires on {n:,} of these images; {n_stored:,} of them {'has' if n_stored == 1 else 'have'} a "
            "stored heatmap. An opened image can compute one."
        )
    elif look != PLAIN and n_stored < n:
        st.caption(f"It fires on {n:,} of these images; shown are the {n_stored:,} with a stored heatmap.")


def _levels(study: Study, feature: int, rows: np.ndarray, badges: Mapping[int, str], look: str) -> None:
    with st.container(key="stacked_pictures"):
        columns = st.columns(3, gap="medium")
    for column, (level, some) in zip(columns, at_levels(rows, EACH).items(), strict=True):
        with column, st.container(gap="xxsmall"):
            if len(some):
                st.markdown(f"**{TITLES[level]}**")
                _gallery(
                    study,
                    feature,
                    some,
                    badges,
                    look,
                    key=f"feature_{level}",
                    page_size=EACH,
                    columns=EACH // 2,
                    label=NAMES[level],
                )


def _largest(study: Study, feature: int, population: Slice) -> None:
    """Where it never fires: the images on which it is largest all the same."""
    if not widgets.needs(study, "top_images", "The list of its strongest images"):
        return
    rows = reads.top_rows(study, feature)
    rows = rows[inspection_reads.population(study, population)[0][rows]][: 2 * EACH]
    if not len(rows):
        st.caption("It fires on none of these images.")
        return
    st.caption("It fires on none of these images. It is largest on:")
    values = heatmap_reads.activations(study, feature, rows)
    badges = {int(row): formatted(value, ".2f") for row, value in zip(rows, values, strict=True)}
    held = np.isin(rows, heatmap_reads.rows_with(study, feature)).all()
    _gallery(study, feature, rows, badges, HEAT if held else PLAIN, key="feature_largest", page_size=2 * EACH)


def _gallery(
    study: Study,
    feature: int,
    rows: np.ndarray,
    badges: Mapping[int, str],
    look: str,
    *,
    key: str,
    page_size: int,
    columns: int = 0,
    label: str = "",
) -> None:
    def addresses(some: list[int]) -> list[tuple[str, ...]]:
        urls = served_studies.picture_urls(study, some)
        if look != PLAIN:
            held = set(heatmap_reads.rows_with(study, feature).tolist())
            style = OverlayStyle(features=(feature,), crop=look == CROP)
            heats = overlay_urls(study, some, [style] * len(some))
            urls = [
                heat if row in held else plain for row, heat, plain in zip(some, heats, urls, strict=True)
            ]
        return [(address,) for address in urls]

    tile = WIDE if len(rows) <= EACH and not columns else TILE
    captions = widgets.truth_then_answer
    title = label or f"images on which {study.feature_kind} {feature} fires"
    widgets.image_gallery(
        study,
        rows,
        key=key,
        captions=captions,
        badges=badges,
        page_size=page_size,
        tile=tile,
        columns=columns,
        label=title,
        pictures=addresses,
        names=(look,),
    )
