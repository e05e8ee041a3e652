"""Images: every image of the study; filter, sort, mark, open."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.common.captions import SPLITS, with_class_names
from core.common.dataframes import columns
from core.common.formatting import formatted
from core.common.score_names import score_label
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import image_filter, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import select_one
from dashboard.panels import facets, heatmaps, marks, search_box
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import session

KEY = "images"
BOTH = "images_both"  # part of the URL: train and evaluation images together
STUDY_ORDER = "Order of the study"
TILE = 132  # least width of a picture in pixels
PAGE = 48  # pictures on a page
Badges = Callable[[int], str] | dict[int, str] | None
FEWEST, MOST = 2, 6


def images_page(study: Study, population: Slice) -> None:
    widgets.page_header("Images", "Which images are these, and what does the encoder make of them?")
    filter_slot = st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="images_controls"):
        query = search_box.field(study)
        score, ascending = _order(study, searching=bool(query))
        both = _both_splits(study)
        words = st.container(width="content")
    if both:
        population = image_filter.of_page()
    with filter_slot:
        filter_bar(study, population, both_splits=both)
    badges: Badges = _badges(study, score)
    with st.container(key="images_said"):  # has room for what a search says, so that the pictures stay
        search_box.trouble()
        hits = search_box.results(study, query, population) if query else None
        if not query:
            below = "Below an image: class → answer, confidence. " if study.has("probe") else ""
            about = widgets.help_text("answer") if below else None
            st.caption(
                f"{below}Arrow keys move, Enter opens. To mark images: click a corner; Ctrl, Cmd or "
                "Shift click; Space; or draw a box with the mouse.",
                help=about,
            )
    if hits is not None:
        rows, badges = search_box.shown_rows(hits), search_box.badges(hits)
    else:
        rows = _sorted_rows(study, np.flatnonzero(reads.mask(study, population)), score, ascending)
    with words:
        # Of train images it would be that of an answer that has seen them; of a search that runs, of others.
        if not both and not (query and hits is None):
            _accuracy(study, rows)
    marked, bar = marks.action_bar(study, rows, key="images_bar")
    with bar:
        beside = is_on(marked)
        if not (lists := facets.are_there(study)):  # nothing to count by yet: no room beside the pictures
            facets.further_columns(study, shows_label=False)
    with st.container(horizontal=True, gap="medium", key="images_row"):
        with st.container(key="images_shown"):
            with st.container():  # always there, so that the gallery below keeps its place
                if beside:
                    images_side_by_side(study, marked)
            widgets.image_gallery(
                study, rows, key="images_gallery", select=True, badges=badges, tile=TILE,
                page_size=PAGE, why_none=_why_none(study, population) if hits is not None else "",
            )  # fmt: skip
        if lists:
            with st.container(key="images_facets_side", width=facets.BESIDE):
                facets.facet_counts(study, population, None if hits is None else np.sort(rows))


def _both_splits(study: Study) -> bool:
    """Whether train and evaluation images are shown together; asked where there are both and no split is
    named.
    """
    has_both = 0 < np.count_nonzero(study.is_val) < study.n_images
    if not has_both or image_filter.of_page().split:
        return False
    return st.toggle("Train, too", key=BOTH, bind="query-params", help="Train and evaluation images together")


def _why_none(study: Study, population: Slice) -> str:
    """Why a search has found nothing; "" where the filter leaves it no images."""
    return search_box.FINDS_NONE if slice_reads.count(study, population) else ""


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


def _accuracy(study: Study, rows: np.ndarray) -> None:
    images = reads.images(study)
    if "correct" in images and rows.size:
        verdicts = images["correct"].iloc[rows].dropna()
        if len(verdicts):
            st.markdown(f"**{widgets.percent(float(verdicts.mean()))}** correct")


def _badges(study: Study, score: str | None) -> Callable[[int], str] | None:
    """The score that the images are sorted by."""
    if score is None:
        return None
    values = reads.images(study)[score]
    return lambda row: formatted(values.iat[row], ".3g") if pd.notna(values.iat[row]) else ""


def is_on(rows: Sequence[int]) -> bool:
    """Draw the switch, which does nothing for fewer than two or more than six marked images."""
    fits = FEWEST <= len(rows) <= MOST
    about = f"{FEWEST} to {MOST} marked images"
    is_set = st.toggle("Side by side", key="beside", bind="query-params", disabled=not fits, help=about)
    return is_set and fits


def images_side_by_side(study: Study, rows: Sequence[int]) -> None:
    """The marked images side by side."""
    with st.container(border=True):
        _pictures(study, rows)
        _numbers(study, rows)


def _pictures(study: Study, rows: Sequence[int]) -> None:
    if not study.has("heatmap_maps"):
        widgets.image_gallery(study, rows, key="beside_gallery", tile=240, label="marked images")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        style = heatmaps.heatmap_controls(study, key="beside", several=False)
    heatmaps.heatmap_gallery(
        study,
        rows,
        style,
        key="beside_gallery",
        kinds=("Original", "Overlay"),
        label="marked images with their heatmaps",
    )


def _numbers(study: Study, rows: Sequence[int]) -> None:
    """One column an image, one line a number."""
    images, scores = reads.images(study), reads.scores(study)
    named = [name for name in ("image_id", "label", "predicted", "split") if name in images]
    facts = images.frame([*named, *scores]).iloc[list(rows)]
    heads = [str(name) for name in facts["image_id"]]
    table: dict[str, list[str]] = {}
    for column, name in (("label", "True class"), ("predicted", "Answer"), ("split", "Split")):
        if column in facts and bool(facts[column].notna().any()):
            texts = ["" if pd.isna(value) else str(value) for value in facts[column]]
            named = SPLITS if column == "split" else {}  # a class may be called train
            table[name] = [named.get(text, with_class_names(text)) for text in texts]
    for column in scores:
        table[score_label(column)] = [
            "" if widgets.undefined(value) else f"{value:.4g}" for value in facts[column].astype(float)
        ]
    frame = pd.DataFrame(table, index=pd.Index(heads)).T
    frame.insert(0, "", frame.index)
    st.dataframe(
        frame, hide_index=True, height="content", alt="Numbers of the marked images, one column each"
    )
    download(study, columns(facts, [*facts]), name="side_by_side", label="Numbers as CSV")


images_page(session.current_study(), image_filter.population())
