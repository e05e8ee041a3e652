"""Class purity of features against their activation rate."""

import numpy as np
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.feature_points import Rates, add_points, images_word, mark_selected, rated_images
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, log_percent_ticks, note_figure
from core.common.dataframes import numbers
from core.store import Study


def purity_scatter(data: Rates, *, selected: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Plot class purity against activation rate, one point per feature, customdata[0] = feature.

    Features without a purity (they never fire, or the study has no labels) are left out.
    """
    features, images = data.frame, data.images
    purity, rate = numbers(features, "purity"), numbers(features, "activation_rate")
    if not np.isfinite(purity).any():
        return note_figure("Purity needs class labels and a feature that fires; this study has none.", theme)
    drawn = np.isfinite(purity) & (rate > 0)
    rows, percent, rate = features.loc[drawn], 100 * purity[drawn], rate[drawn]
    fig = go.Figure()
    add_points(fig, rows, percent, "activation_rate", images, theme)
    mark_selected(fig, rows, percent, "activation_rate", selected, theme)
    title = f"images it fires on (% of {images_word(images)}, log scale)"
    fig.update_xaxes(title_text=title, **log_percent_ticks(rate.min(), rate.max()))
    fig.update_yaxes(title_text="share of its most common class", range=[0, 103], ticksuffix=" %")
    return finish(fig, theme, height=400)


def _table(study: Study, options: FigureOptions) -> Rates:
    return Rates(study.table("features"), rated_images(study))


def _draw(data: Rates, options: FigureOptions, theme: Theme) -> go.Figure:
    return purity_scatter(data, selected=next(iter(options.features), None), theme=theme)


PURITY = Chart(
    name="purity",
    title="class purity against activation rate",
    needs=("features",),
    table=_table,
    draw=_draw,
    alt=lambda _: "Share of the most common class among the images on which each feature fires",
)
