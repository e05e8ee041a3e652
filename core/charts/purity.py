"""Class purity of features against their activation rate."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.feature_points import TAILS, TRAIN, add_points, images_word, mark_selected, rated_images
from core.charts.theme import LIGHT, Theme, finish, log_percent_ticks, note_figure
from core.common.dataframes import numbers


def purity_scatter(
    features: pd.DataFrame, *, selected: int | None = None, images: str = TRAIN, theme: Theme = LIGHT
) -> go.Figure:
    """Plot class purity against activation rate, one point per feature, customdata[0] = feature.

    Features without a purity (they never fire, or the study has no labels) are left out. `images`: those that
    the activation rates are shares of.
    """
    purity, rate = numbers(features, "purity"), numbers(features, "activation_rate")
    if not np.isfinite(purity).any():
        return note_figure("Purity needs class labels and a feature that fires; this study has none.", theme)
    drawn = np.isfinite(purity) & (rate > 0)
    rows, percent, rate = features.loc[drawn], 100 * purity[drawn], rate[drawn]
    fig = go.Figure()
    for tail in TAILS:
        part = rows["tail"].to_numpy() == tail
        if part.any():
            add_points(fig, rows.loc[part], percent[part], "activation_rate", tail, images, theme)
    mark_selected(fig, rows, percent, "activation_rate", selected, theme)
    title = f"images it fires on (% of {images_word(images)}, log scale)"
    fig.update_xaxes(title_text=title, **log_percent_ticks(rate.min(), rate.max()))
    fig.update_yaxes(title_text="share of its most common class", range=[0, 103], ticksuffix=" %")
    return finish(fig, theme, height=400)


class Purities(NamedTuple):
    """Purity of features: `frame` is the table `features`, `images` those that rates are shares of."""

    frame: pd.DataFrame
    images: str


PURITY = Chart(
    name="purity",
    title="class purity against activation rate",
    needs=("features",),
    table=lambda study, _: Purities(study.table("features"), rated_images(study)),
    draw=lambda data, options, theme: purity_scatter(
        data.frame, selected=next(iter(options.features), None), images=data.images, theme=theme
    ),
    alt=lambda _: "Share of the most common class among the images on which each feature fires",
)
