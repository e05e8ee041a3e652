"""Images: every image of the study; filter, sort, mark, open."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.common.score_names import score_label
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one, select_one
from dashboard.panels import marks, search_box, side_by_side
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.images import facets
from dashboard.state import image_filter, session

KEY = "images"
STUDY_ORDER = "Order of the study"
SIZES = {"Small": 84, "Medium": 132, "Large": 240}  # least width of a picture in pixels
PAGES = {"Small": 96, "Medium": 48, "Large": 24}  # pictures on a page
Badges = Callable[[int], str] | dict[int, str] | None


def images_page(study: Study, population: Slice) -> None:
    widgets.page_header("Images", "Which images are these, and what does the encoder make of them?")
    filter_bar(study, population)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="images_controls"):
        query = search_box.field(study)
        score, ascending = _order(study, searching=bool(query))
        tile = choose_one("Size of the pictures", SIZES, key=f"{KEY}_size", default="Medium")
        words = st.container(width="content")
    badges: Badges = _badges(study, score)
    search_box.trouble()
    hits = search_box.results(study, query, population) if query else None
    if hits is not None:
        rows, badges = search_box.shown_rows(hits), search_box.badges(hits)
    else:
        rows = _sorted_rows(study, np.flatnonzero(reads.mask(study, population)), score, ascending)
    with words:
        _line(study, rows, searched=hits is not None)
    marked, bar = marks.action_bar(study, rows, key="images_bar")
    with bar:
        beside = side_by_side.is_on(marked)
        if not (lists := facets.are_there(study)):  # nothing to count by yet: no room beside the pictures
            facets.further_columns(study, shows_label=False)
    with st.container(horizontal=True, gap="medium", key="images_row"):
        with st.container(key="images_shown"):
            with st.container():  # always there, so that the gallery below keeps its place
                if beside:
                    side_by_side.images_side_by_side(study, marked)
            widgets.image_gallery(
                study, rows, key="images_gallery", select=True, badges=badges, tile=SIZES[tile],
                page_size=PAGES[tile],
            )  # fmt: skip
            below = "Below an image: class → answer, confidence. " if study.has("probe") else ""
            st.caption(
                f"{below}Arrow keys move, Enter opens. To mark images: click a corner; Ctrl, Cmd or "
                "Shift click; Space; or draw a box with the mouse."
            )
        if lists:
            with st.container(key="images_facets_side", width=facets.BESIDE):
                facets.facet_counts(study, population, None if hits is None else np.sort(rows))


def _order(study: Study, *, searching: bool) -> tuple[str | None, bool]:
    """The score to sort by (None: as in the study) and whether the lowest comes first. What a search finds
    has an order of its own.
    """
    orders: dict[str, tuple[str | None, bool]] = {STUDY_ORDER: (None, True)}
    for column in reads.scores(study):
        orders[f"{score_label(column)}, lowest first"] = (column, True)
        orders[f"{score_label(column)}, highest first"] = (column, False)
    order = select_one("Sort by", orders, key=f"{KEY}_sort", disabled=searching, width=190)  # fits at 1280
    return orders.get(order, (None, True))


def _sorted_rows(study: Study, rows: np.ndarray, score: str | None, ascending: bool) -> np.ndarray:
    """Rows by the score; ties keep the study's order, images without the score come last."""
    if score is None or not rows.size:
        return rows
    values = reads.images(study)[score].to_numpy(dtype=float)[rows]
    return rows[np.argsort(values if ascending else -values, kind="stable")]


def _line(study: Study, rows: np.ndarray, *, searched: bool) -> None:
    images = reads.images(study)
    line = f"**{len(rows):,}** found" if searched else ""
    if "correct" in images and rows.size:
        verdicts = images["correct"].iloc[rows].dropna()
        if len(verdicts):
            line += f"{', ' if line else ''}**{widgets.percent(float(verdicts.mean()))}** correct"
    if line:
        st.markdown(line)


def _badges(study: Study, score: str | None) -> Callable[[int], str] | None:
    """The score that the images are sorted by."""
    if score is None:
        return None
    values = reads.images(study)[score]
    return lambda row: f"{values.iat[row]:.3g}" if pd.notna(values.iat[row]) else ""


images_page(session.current_study(), image_filter.population())
