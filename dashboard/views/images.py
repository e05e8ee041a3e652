"""Images: every image of the study; filter, sort, mark, open."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.scores import available_scores, score_label
from core.store import Study
from dashboard import loaders, state, widgets

KEY = "images"
STUDY_ORDER = "Order of the study"
DIRECTIONS = ["Low to high", "High to low"]


def page(study: Study) -> None:
    widgets.page_header("Images", "Filter and sort the images; open one to see what fires on it and why.")
    score, ascending, bar = _controls(study)
    with bar:
        chosen = widgets.filter_bar(study, key=KEY, score=score or "q_score")
    rows = _sorted_rows(study, np.flatnonzero(loaders.mask(study, chosen)), score, ascending)
    _line(study, rows, chosen.describe())
    widgets.image_gallery(study, rows, key="images_gallery", select=True, badges=_badges(study, score))
    _marked(study)


def _controls(study: Study) -> tuple[str | None, bool, st.delta_generator.DeltaGenerator]:
    columns = available_scores(loaders.images(study))
    bar = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {STUDY_ORDER: None} | {score_label(column): column for column in columns}
        chosen = st.selectbox(
            "Sort by", list(names), key=f"{KEY}_sort", bind="query-params", required=True, width=280
        )
        score = names.get(chosen or STUDY_ORDER)
        direction = DIRECTIONS[0]
        if score is not None:
            direction = st.segmented_control(
                "Direction", DIRECTIONS, default=DIRECTIONS[0], required=True, key=f"{KEY}_direction",
                bind="query-params",
            )
    return score, direction == DIRECTIONS[0], bar


def _sorted_rows(study: Study, rows: np.ndarray, score: str | None, ascending: bool) -> np.ndarray:
    """Rows by the score; ties keep the study's order, images without the score come last."""
    if score is None or not rows.size:
        return rows
    values = loaders.images(study)[score].to_numpy(dtype=float)[rows]
    order = np.argsort(values if ascending else -values, kind="stable")
    return rows[order]


def _line(study: Study, rows: np.ndarray, words: str) -> None:
    images = loaders.images(study)
    line = f"**{len(rows):,}** of {len(images):,} images: {widgets.plain(words)}."
    if "correct" in images and rows.size:
        verdicts = images["correct"].iloc[rows].dropna()
        if len(verdicts):
            line += f" The probe classifies {widgets.percent(float(verdicts.mean()))} of them correctly."
    st.markdown(line)


def _badges(study: Study, score: str | None) -> dict[int, str] | None:
    return None


def _marked(study: Study) -> None:
    rows = state.picked_rows(study)
    if not rows:
        st.caption("Ctrl, Cmd or Shift click marks images; Space marks the one with the focus.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(rows)}** marked")
        frame: pd.DataFrame = loaders.images(study).iloc[rows]
        widgets.download(frame, name="marked_images", label="List as CSV")
        st.button("Clear marks", type="tertiary", icon=":material/close:", on_click=state.pick_rows, args=(study, []))


page(state.current_study())
