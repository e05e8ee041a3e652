"""Map: every image as a point; near ones are represented alike. Colour, select, open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.common.score_names import score_label
from core.figures import maps
from core.figures.theme import Theme
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import map_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart, page_theme
from dashboard.components.scatter import Outline, scatter
from dashboard.components.stable_container import own_place
from dashboard.panels import selection
from dashboard.panels.filter_bar import filter_bar
from dashboard.server.map_points import Wanted, cloud
from dashboard.state import session

KIND, COLOUR, FEATURE = "map_kind", "map_colour", "map_feature"
OUTLINE = "map_outline"  # part of the URL: corners of the selection, as x,y;x,y;…
KINDS = {"pca": "PCA", "umap": "UMAP"}
ACTIVATION = "Activation of a feature"


def page(study: Study) -> None:
    widgets.page_header(
        "Map", "Which images does the encoder take to be alike? Every image is a point; like ones are near."
    )
    if not widgets.needs(study, "map_pca", "The map"):
        return
    chosen = filter_bar(study)
    kind, by, feature = _controls(study)
    n_chosen = int(np.count_nonzero(reads.mask(study, chosen)))
    _line(study, n_chosen, kind)
    if not n_chosen:
        widgets.empty_state("No images", "None fits the filter.")
        return
    if by == "activation":
        map_reads.activation(study, feature)  # here, where a spinner says what is read
    wanted = Wanted(kind, by, feature if by == "activation" else 0, page_theme().name, chosen)
    n_drawn = min(n_chosen, map_reads.MOST_POINTS)
    outline = _outline()
    scatter(
        wanted.address(study),
        key=f"map_{kind}",
        label=f"Map of {n_drawn:,} images. Arrow keys move, plus and minus zoom, 0 shows all.",
        pictures=_pictures(study),
        outline=outline,
        on_open=lambda row: session.open_image(study, row),
        on_outline=_select,
    )
    st.caption(
        "Point at an image to see it, click to open it. *Lasso* and *Box* select. The wheel zooms after "
        "a click on the map."
    )
    _selected(study, map_reads.outlined(study, kind, chosen, outline) if outline else None)
    _figure(study, wanted)


def _controls(study: Study) -> tuple[str, str, int]:
    """Which map, what colours it, and the feature where that is an activation."""
    there = map_reads.kinds(study)
    kind, feature = there[0], 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if len(there) > 1:
            words = [KINDS[one] for one in there]
            session.drop_unknown(KIND, words)
            picked = st.segmented_control(
                "Map",
                words,
                default=words[0],
                required=True,
                key=KIND,
                bind="query-params",
                help=widgets.help_text("map_kind"),
                on_change=session.set_url,
                args=(OUTLINE, None),
            )
            kind = there[words.index(picked)] if picked in words else kind
        choices = _choices(study)
        session.drop_unknown(COLOUR, choices)
        by = st.selectbox("Colour", list(choices), key=COLOUR, bind="query-params", width=280)
        if by == ACTIVATION:
            feature = _feature(study)
    return kind, choices.get(by or "", next(iter(choices.values()))), feature


def _choices(study: Study) -> dict[str, str]:
    """What the points can be coloured by, as far as the study holds it."""
    images = reads.images(study)
    found = {"Class": "label"} if study.labelled else {}
    if "correct" in images and bool(images["correct"].notna().any()):
        found |= {"Correct or misclassified": "correct", "Predicted class": "predicted"}
    for column in map_reads.attributes(study):
        found.setdefault(column.replace("_", " ").capitalize(), f"{map_reads.ATTRIBUTE}{column}")
    found |= {score_label(column): column for column in reads.scores(study)}
    if study.has("row_stats"):
        found[ACTIVATION] = "activation"
    return found


def _feature(study: Study) -> int:
    n_features = study.array("representations").shape[1]
    session.url_int(FEATURE, below=n_features, what="feature")
    number = st.number_input(
        "Feature", 0, n_features - 1, step=1, key=FEATURE, bind="query-params", width=150
    )
    return int(number)


def _pictures(study: Study) -> str:
    if not study.has("thumbnails"):
        return ""
    head, _, tail = served_studies.picture_url(study, 0).rpartition("/0?")
    return f"{head}/{{row}}?{tail}"


def _line(study: Study, n_chosen: int, kind: str) -> None:
    line = ""
    if n_chosen > map_reads.MOST_POINTS:
        line += f"A random {map_reads.MOST_POINTS:,} of them are drawn; a selection takes all that lie in it."
    facts = reads.summary(study, "map")
    if kind == "pca" and len(shares := facts.get("shares", [])) == 2:
        line += f" The two axes hold {widgets.percent(sum(shares), digits=0)} of the variance."
    st.caption(line or " ", help=widgets.help_text(f"map_{kind}"))


def _outline() -> tuple[tuple[float, float], ...]:
    """The selection in the URL; one that cannot be read is dropped with a note."""
    text = session.url_text(OUTLINE)
    if not text:
        return ()
    try:
        corners = tuple((float(x), float(y)) for x, y in (part.split(",") for part in text.split(";")))
        if not all(map(math.isfinite, (value for corner in corners for value in corner))):
            raise ValueError
    except ValueError:
        session.set_url(OUTLINE, None)
        session.note("The link's selection on the map cannot be read, so it was dropped.")
        return ()
    return corners


def _select(outline: Outline) -> None:
    session.set_url(OUTLINE, ";".join(f"{x:.6g},{y:.6g}" for x, y in outline) or None)


@own_place
def _selected(study: Study, rows: np.ndarray | None) -> None:
    """The images in the selection: how many, what to do with them, and what they are."""
    if rows is None:
        return
    st.header("Selected images")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(rows):,}** selected{_shares(study, rows)}", width="content")
        if len(rows):
            selection.actions(study, rows, key="map_selected", what="map_selection")
        st.button(
            "Clear selection",
            type="tertiary",
            icon=":material/close:",
            on_click=session.set_url,
            args=(OUTLINE, None),
        )
    widgets.image_gallery(study, rows, key="map_gallery", page_size=24, select=True, label="selected images")


def _shares(study: Study, rows: np.ndarray) -> str:
    """What the selected images have in common."""
    images = reads.images(study).iloc[rows]
    said = ""
    if study.labelled and len(rows):
        counts = images["label"].value_counts()
        if len(counts):
            share = widgets.percent(counts.iloc[0] / len(rows), digits=0)
            said += f", mostly {widgets.plain(counts.index[0])} ({share})"
    if "correct" in images and bool(images["correct"].notna().any()):
        said += f", {widgets.percent(float(images['correct'].mean()))} classified correctly"
    return said


def _figure(study: Study, wanted: Wanted) -> None:
    """The map as a figure for a paper, drawn on request: it is another few megabytes."""
    if not st.toggle("As a figure to save", key="map_figure", bind="query-params"):
        return
    drawn = cloud(study, wanted)
    shares = study.summary("map").get("shares", [])

    def draw(theme: Theme) -> go.Figure:
        colouring = cloud(study, replace(wanted, theme=theme.name)).colouring
        return maps.representation_map(drawn.xy, colouring, kind=wanted.kind, shares=shares, theme=theme)

    data = reads.images(study).iloc[drawn.rows].assign(x=drawn.xy[:, 0], y=drawn.xy[:, 1])
    alt = f"Map of {len(drawn.rows):,} images"
    chart(study, "map_chart", draw, wanted.identity(study), alt=alt, data=pd.DataFrame(data))


page(session.current_study())
