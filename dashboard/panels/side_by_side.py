"""Two to six marked images beside each other: pictures, heatmaps and numbers."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.common.dataframes import columns
from core.common.score_names import score_label
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.panels import heatmap_grid

FEWEST, MOST = 2, 6


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
        style = heatmap_grid.controls(study, key="beside", several=False)
    heatmap_grid.gallery(
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
            table[name] = ["" if pd.isna(value) else str(value) for value in facts[column]]
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
