"""Features by their activation rates: in ascending order, and against their class purity."""

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.caveats import notes_on_features
from core.charts.chart import Chart
from core.charts.feature_points import (
    TAIL_LABEL,
    TAILS,
    TRAIN,
    Rates,
    add_points,
    images_word,
    mark_selected,
    rated_images,
)
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Marks, Theme, finish, layout_of, log_percent_ticks, note_figure
from core.common.dataframes import numbers
from core.store import Study

# Activation rates of all features in ascending order (Kalibhat 2024, Fig. 1).


LETTER, WIDE = 0.62, 800  # mean width of a letter in font sizes; approximate pixels of a chart on screen
AXIS_ROOM = 40  # pixels of an axis with its title


def _by_rate(features: pd.DataFrame) -> pd.DataFrame:
    """Sort the `features` table by ascending activation rate, with `rank` 1…r; ties by feature number."""
    ordered = features.sort_values(["activation_rate", "feature"], kind="stable").reset_index(drop=True)
    return ordered.assign(rank=np.arange(1, len(ordered) + 1))


def sorted_activation(
    data: Rates, *, selected: int | None = None, log: bool = False, theme: Theme = LIGHT
) -> go.Figure:
    """Plot the activation rate A_j of every feature in ascending order, with the three bands.

    Args:
        selected: feature to mark.
        log: logarithmic percent axis; features that never fire are then drawn at the bottom of the plot.
    Returns:
        a figure whose points carry customdata[0] = feature.
    """
    features, images = data.frame, data.images
    ordered = _by_rate(features.loc[np.isfinite(numbers(features, "activation_rate"))])
    if ordered.empty:
        return note_figure("This study has no features yet.", theme)
    rate = numbers(ordered, "activation_rate")
    bounds = np.percentile(rate, data.percentiles)
    floor = rate[rate > 0].min() / 2 if (rate > 0).any() else 0.01
    heights = np.where(rate > 0, rate, floor) if log else rate
    fig = go.Figure()
    add_points(fig, ordered, heights, "rank", images, theme)
    marks = _bands(ordered, theme) if images == TRAIN else Marks(theme)
    for bound, percentile in zip(bounds, data.percentiles, strict=True):
        if images == TRAIN and (bound > 0 or not log):
            text = f"{percentile:g}th percentile: {bound:.3g} %"
            marks.horizontal(float(bound), text, log=log)
    if log and (n_dead := int((rate == 0).sum())):
        y = float(np.log10(heights[0]))
        marks.note(f"{n_dead:,} never fire", x=n_dead / 2, y=y, yanchor="bottom", yshift=4)
    marks.put_on(fig)
    mark_selected(fig, ordered, heights, "rank", selected, theme)
    fig.update_xaxes(title_text="features, rarest first", range=[0, len(ordered) + 1])
    fig.update_yaxes(title_text=f"images it fires on (% of {images_word(images)})")
    if log:
        span = [np.log10(heights.min()) - 0.15, np.log10(heights.max()) + 0.15]
        fig.update_yaxes(range=span, **log_percent_ticks(heights.min(), heights.max()))
    else:
        fig.update_yaxes(rangemode="tozero", ticksuffix=" %")
    fig.update_layout(showlegend=images != TRAIN)  # the bands, which name the tails, are missing then
    return _with_note_below(finish(fig, theme, height=400), data.note, theme)


def _with_note_below(fig: go.Figure, note: str, theme: Theme) -> go.Figure:
    """Add a note under the axis of a figure on paper, which grows by the note's lines."""
    if not note or not theme.width:
        return fig
    size = theme.font_size - 2
    lines = textwrap.wrap(note, int(0.85 * theme.width / (LETTER * size)))
    room = 8 + round(1.3 * size * len(lines))
    font = {"size": size, "color": theme.muted}
    corner = {"x": 0, "xref": "paper", "xanchor": "left", "y": 0, "yref": "paper", "yanchor": "top"}
    fig.add_annotation(
        text="<br>".join(lines), showarrow=False, align="left", font=font, **corner, yshift=-AXIS_ROOM
    )
    return fig.update_layout(margin_b=AXIS_ROOM + room, height=layout_of(fig).height + room)


def _bands(ordered: pd.DataFrame, theme: Theme) -> Marks:
    marks, start, taken = Marks(theme), 0.5, -np.inf
    letter = LETTER * theme.font_size * len(ordered) / (theme.width or WIDE)  # in features
    for tail in TAILS:
        n = ordered["tail"].tolist().count(tail)
        if not n:
            continue
        colour, name = theme.tail(tail), f"{TAIL_LABEL[tail]} {n:,}"
        marks.band(start, start + n, colour)
        wide, narrow = letter * len(name), n < len(ordered) / 5
        if narrow:
            left, right = start + n - wide, start + n
        else:
            left, right = start + (n - wide) / 2, start + (n + wide) / 2
        position = {"x": start + n, "xanchor": "right"} if narrow else {"x": start + n / 2}
        lift = round(1.2 * theme.font_size) if left < taken else 0  # else it would overlap the previous name
        text = f"<b>{TAIL_LABEL[tail]}</b> {n:,}"
        marks.note(
            text, color=colour, small=False, **position, y=1, yref="paper", yanchor="bottom", yshift=lift
        )
        start, taken = start + n, right if not lift else taken
    return marks


def _rates_table(study: Study, options: FigureOptions) -> Rates:
    settings = study.settings("features")
    bounds = (float(settings.get("low", 50)), float(settings.get("high", 95)))
    return Rates(study.table("features"), rated_images(study), bounds, " ".join(notes_on_features(study)))


def _draw_rates(data: Rates, options: FigureOptions, theme: Theme) -> go.Figure:
    selected = next(iter(options.features), None)
    return sorted_activation(data, selected=selected, log=options.log, theme=theme)


SORTED_ACTIVATION = Chart(
    name="sorted_activation",
    title="activation rate of every feature",
    source="Kalibhat 2024, Fig. 1",
    needs=("features",),
    table=_rates_table,
    draw=_draw_rates,
    alt=lambda _: "Activation rate of every feature, rarest first, in three bands",
)


# Class purity of features against their activation rate.


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


def _purity_table(study: Study, options: FigureOptions) -> Rates:
    return Rates(study.table("features"), rated_images(study))


def _draw_purity(data: Rates, options: FigureOptions, theme: Theme) -> go.Figure:
    return purity_scatter(data, selected=next(iter(options.features), None), theme=theme)


PURITY = Chart(
    name="purity",
    title="class purity against activation rate",
    needs=("features",),
    table=_purity_table,
    draw=_draw_purity,
    alt=lambda _: "Share of the most common class among the images on which each feature fires",
)
