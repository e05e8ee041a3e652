"""Features as points: their bands by activation rate, and the one that is picked."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.marks import dots, points_kind
from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.dataframes import numbers, words
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.measures.telling_features import telling_features
from core.store import Narrowed, Study

TAILS = ("lower", "middle", "upper")
TAIL_LABEL = {"lower": "lower tail", "middle": "discriminative", "upper": "upper tail"}
TAIL_MEANING = {
    "lower": "fires on too few images to separate classes",
    "middle": "fires often enough to matter and rarely enough to separate classes",
    "upper": "fires on too many images to separate classes",
}
TRAIN = "training images"  # the images that activation rates are shares of


class Rates(NamedTuple):
    """Activation rates A_j of features.

    frame: feature, activation_rate (percent), tail; optionally name, top_class and purity. images: those that
    the rates are shares of; the bands are those of the training images. percentiles: the two of A_j that
    bound the discriminative band. note: what a reader of the bands should know; drawn on paper only, where no
    text stands beside it.
    """

    frame: pd.DataFrame
    images: str = TRAIN
    percentiles: tuple[float, float] = (50, 95)
    note: str = ""


def _point_facts(rows: pd.DataFrame) -> np.ndarray:
    """(n, 3) object: facts on each feature's point of a chart: feature, rate in percent, name and class."""
    facts = np.empty((len(rows), 3), dtype=object)
    columns = words(rows, "name"), numbers(rows, "purity"), words(rows, "top_class")
    facts[:, 0] = rows["feature"].to_numpy(dtype=np.int64)
    facts[:, 1] = numbers(rows, "activation_rate")
    facts[:, 2] = [_name_and_class(*values) for values in zip(*columns, strict=True)]
    return facts


def _name_and_class(name: str, purity: float, top_class: str) -> str:
    """Return the lines of a feature's name and of the class of most of its images, for a hover text."""
    lines = f"<br>{as_text(name)}" if name else ""
    if top_class and purity >= 0:
        lines += f"<br>{100 * purity:.0f} % of them {as_text(top_class)}"
    return lines


def images_word(images: str) -> str:
    """Name the images that a chart's activation rates are of, as one word on its axis."""
    return "train" if images == TRAIN else images.removeprefix("images of ")


def add_points(
    fig: go.Figure, features: pd.DataFrame, y: np.ndarray, x: str, images: str, theme: Theme
) -> None:
    """Add to a chart of features a trace for each band (rare, middle, general) that holds any."""
    for tail in TAILS:
        part = features["tail"].to_numpy() == tail
        if not part.any():
            continue
        rows = features.loc[part]
        title = TAIL_LABEL[tail]
        hover = (
            "<b>#%{customdata[0]}</b><br>fires on %{customdata[1]:.3g} % of the "
            f"{images}%{{customdata[2]}}<br>{title}: {TAIL_MEANING[tail]}"
        )
        marker = {"color": theme.tail(tail), "size": theme.stroke(6), "opacity": 0.8}
        kind, facts = points_kind(len(rows)), _point_facts(rows)
        unselected = {"marker": {"opacity": 0.8}}
        part_x, part_y = rows[x].to_numpy(float), y[part]
        points = dots(
            part_x,
            part_y,
            kind=kind,
            name=title,
            marker=marker,
            unselected=unselected,
            customdata=facts,
            hover=hover,
        )
        fig.add_trace(points)


def mark_selected(
    fig: go.Figure, rows: pd.DataFrame, y: np.ndarray, x: str, selected: int | None, theme: Theme
) -> None:
    """Mark the selected feature in a chart of features by a ring and its number."""
    at = np.flatnonzero(rows["feature"].to_numpy() == selected) if selected is not None else np.array([], int)
    if not len(at):
        return
    row = rows.iloc[[at[0]]]
    ring = {"symbol": "circle-open", "size": 15, "color": theme.accent, "line": {"width": 3}}
    label = {"text": [f"#{selected}"], "textposition": "top left", "textfont": {"color": theme.ink}}
    hover = "<b>#%{customdata[0]}</b> (selected)<br>fires on %{customdata[1]:.3g} %"
    selected_x, selected_y = row[x].to_numpy(float), y[at[:1]]
    selected_point = dots(
        selected_x,
        selected_y,
        mode="markers+text",
        **label,
        marker=ring,
        customdata=_point_facts(row),
        cliponaxis=False,
        showlegend=False,
        name="selected",
        hover=hover,
    )
    fig.add_trace(selected_point)


def most_telling(study: Study) -> list[int]:
    """List the features that a chart of them names, of a study or its slice, the most telling first."""
    whole, where = (study.whole, study.slice) if isinstance(study, Narrowed) else (study, Slice())
    return telling_features(whole, *population(whole, where))


def rated_images(study: Study) -> str:
    """Name for a chart the images that activation rates are shares of."""
    return study.images_named(TRAIN)
