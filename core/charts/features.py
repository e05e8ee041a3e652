"""Figures about features: sorted activation rates ([Q] Fig. 1) and purity."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, Marks, Theme, finish, layout_of, log_percent_ticks, note_figure
from core.common.dataframes import as_text, equals, numbers, where, words

TAILS = ("lower", "middle", "upper")
TAIL_LABEL = {"lower": "lower tail", "middle": "discriminative", "upper": "upper tail"}
TAIL_MEANING = {
    "lower": "fires on too few images to separate classes",
    "middle": "fires often enough to matter and rarely enough to separate classes",
    "upper": "fires on so many images that it is general",
}
TRAIN = "training images"  # the images that activation rates are shares of
LETTER, WIDE = 0.62, 800  # mean width of a letter in font sizes; approximate pixels of a chart on screen
AXIS_ROOM = 40  # pixels of an axis with its title
WEBGL_FROM = 1000  # SVG is sharper and exports cleanly; above this many points it becomes slow


def by_rate(features: pd.DataFrame) -> pd.DataFrame:
    """Sort the `features` table by ascending activation rate, with `rank` 1…r; ties by feature number."""
    ordered = features.sort_values(["activation_rate", "feature"], kind="stable").reset_index(drop=True)
    return ordered.assign(rank=np.arange(1, len(ordered) + 1))


def sorted_activation(
    features: pd.DataFrame,
    *,
    selected: int | None = None,
    percentiles: tuple[float, float] = (50, 95),
    log: bool = False,
    images: str = TRAIN,
    note: str = "",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the activation rate A_j of every feature in ascending order, with the three bands ([Q] Fig. 1).

    Args:
        features: columns feature, activation_rate (percent), tail; optionally top_class and purity.
        selected: feature to mark.
        percentiles: the two percentiles of A_j that bound the discriminative band.
        images: those that the activation rates are shares of; the bands are those of the training images.
        note: what a reader of the bands should know; drawn on paper only, where no text stands beside it.
        log: logarithmic percent axis; features that never fire are then drawn at the bottom of the plot.
    Returns:
        a figure whose points carry customdata[0] = feature.
    """
    ordered = by_rate(where(features, np.isfinite(numbers(features, "activation_rate"))))
    if ordered.empty:
        return note_figure("This study has no features yet.", theme)
    rate = numbers(ordered, "activation_rate")
    bounds = np.percentile(rate, percentiles)
    shown = _log_floor(rate) if log else rate
    fig = go.Figure()
    for tail in TAILS:
        part = equals(ordered, "tail", tail)
        if part.any():
            _add_points(fig, where(ordered, part), shown[part], "rank", tail, images, theme)
    marks = _bands(ordered, theme) if images == TRAIN else Marks(theme)
    for bound, percentile in zip(bounds, percentiles, strict=True):
        if images == TRAIN and (bound > 0 or not log):
            text = f"{percentile:g}th percentile: {bound:.3g} %"
            marks.horizontal(float(bound), text, log=log)
    if log and (n_dead := int((rate == 0).sum())):
        floor = float(np.log10(shown[0]))
        marks.note(f"{n_dead:,} never fire", x=n_dead / 2, y=floor, yanchor="bottom", yshift=4)
    marks.put_on(fig)
    _mark_selected(fig, ordered, shown, "rank", selected, theme)
    fig.update_xaxes(title_text="features, rarest first", range=[0, len(ordered) + 1])
    fig.update_yaxes(title_text=f"images it fires on (% of {_short(images)})")
    if log:
        span = [np.log10(shown.min()) - 0.15, np.log10(shown.max()) + 0.15]
        fig.update_yaxes(range=span, **log_percent_ticks(shown.min(), shown.max()))
    else:
        fig.update_yaxes(rangemode="tozero", ticksuffix=" %")
    fig.update_layout(showlegend=images != TRAIN)  # the bands, which name the tails, are missing then
    return _with_note_below(finish(fig, theme, height=400), note, theme)


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
    rows, shown, rate = where(features, drawn), 100 * purity[drawn], rate[drawn]
    fig = go.Figure()
    for tail in TAILS:
        part = equals(rows, "tail", tail)
        if part.any():
            _add_points(fig, where(rows, part), shown[part], "activation_rate", tail, images, theme)
    _mark_selected(fig, rows, shown, "activation_rate", selected, theme)
    title = f"images it fires on (% of {_short(images)}, log scale)"
    fig.update_xaxes(title_text=title, **log_percent_ticks(rate.min(), rate.max()))
    fig.update_yaxes(title_text="share of its most common class", range=[0, 103], ticksuffix=" %")
    return finish(fig, theme, height=400)


def _with_note_below(fig: go.Figure, note: str, theme: Theme) -> go.Figure:
    """Add a note under the axis of a figure on paper, which grows by the note's lines."""
    if not note or not theme.width:
        return fig
    size = theme.font_size - 2
    lines = textwrap.wrap(note, int(0.85 * theme.width / (LETTER * size)))
    room = 8 + round(1.3 * size * len(lines))
    fig.add_annotation(
        text="<br>".join(lines), showarrow=False, align="left", font={"size": size, "color": theme.muted},
        x=0, xref="paper", xanchor="left", y=0, yref="paper", yanchor="top", yshift=-AXIS_ROOM,
    )  # fmt: skip
    return fig.update_layout(margin_b=AXIS_ROOM + room, height=layout_of(fig).height + room)


def _log_floor(rate: np.ndarray) -> np.ndarray:
    positive = rate[rate > 0]
    floor = positive.min() / 2 if len(positive) else 0.01
    return np.where(rate > 0, rate, floor)


def _customdata(rows: pd.DataFrame) -> np.ndarray:
    """(n, 3) object: feature, rate in percent, and its preferred class in words."""
    found = np.empty((len(rows), 3), dtype=object)
    purity, names = numbers(rows, "purity"), words(rows, "top_class")
    found[:, 0] = rows["feature"].to_numpy(dtype=np.int64)
    found[:, 1] = numbers(rows, "activation_rate")
    found[:, 2] = [
        f"<br>{100 * share:.0f} % of them {as_text(name)}" if name and share >= 0 else ""
        for share, name in zip(purity, names, strict=True)
    ]
    return found


def _scatter_class(n_points: int) -> type[go.Scatter] | type[go.Scattergl]:
    return go.Scattergl if n_points > WEBGL_FROM else go.Scatter


def _short(images: str) -> str:
    return "train" if images == TRAIN else images.removeprefix("images of ")


def _add_points(
    fig: go.Figure, rows: pd.DataFrame, y: np.ndarray, x: str, tail: str, images: str, theme: Theme
) -> None:
    colour = theme.tail(tail)
    trace = _scatter_class(len(rows))(
        x=rows[x].to_numpy(float),
        y=y,
        mode="markers",
        name=TAIL_LABEL[tail],
        marker={"color": colour, "size": theme.stroke(6), "opacity": 0.8},
        unselected={"marker": {"opacity": 0.8}},
        customdata=_customdata(rows),
        hovertemplate="<b>feature %{customdata[0]}</b><br>fires on %{customdata[1]:.3g} % of the "
        f"{images}%{{customdata[2]}}<br>{TAIL_LABEL[tail]}: {TAIL_MEANING[tail]}<extra></extra>",
    )
    fig.add_trace(trace)


def _mark_selected(
    fig: go.Figure, rows: pd.DataFrame, y: np.ndarray, x: str, selected: int | None, theme: Theme
) -> None:
    at = np.flatnonzero(rows["feature"].to_numpy() == selected) if selected is not None else np.array([], int)
    if not len(at):
        return
    row = rows.iloc[[at[0]]]
    fig.add_trace(
        go.Scatter(
            x=row[x].to_numpy(float),
            y=y[at[:1]],
            mode="markers+text",
            text=[f"feature {selected}"],
            textposition="top left",
            textfont={"color": theme.ink},
            marker={"symbol": "circle-open", "size": 15, "color": theme.accent, "line": {"width": 3}},
            customdata=_customdata(row),
            cliponaxis=False,
            showlegend=False,
            name="selected",
            hovertemplate="<b>feature %{customdata[0]}</b> (selected)<br>fires on %{customdata[1]:.3g} %"
            "<extra></extra>",
        )
    )


def _bands(ordered: pd.DataFrame, theme: Theme) -> Marks:
    marks, start, taken = Marks(theme), 0.5, -np.inf
    letter = LETTER * theme.font_size * len(ordered) / (theme.width or WIDE)  # in features
    for tail in TAILS:
        n = int(equals(ordered, "tail", tail).sum())
        if not n:
            continue
        colour, name = theme.tail(tail), f"{TAIL_LABEL[tail]} {n:,}"
        marks.band(start, start + n, colour)
        wide, narrow = letter * len(name), n < len(ordered) / 5
        left, right = (
            (start + n - wide, start + n) if narrow else (start + (n - wide) / 2, start + (n + wide) / 2)
        )
        place = {"x": start + n, "xanchor": "right"} if narrow else {"x": start + n / 2}
        lift = round(1.2 * theme.font_size) if left < taken else 0  # else it would overlap the previous name
        text = f"<b>{TAIL_LABEL[tail]}</b> {n:,}"
        marks.note(text, color=colour, small=False, **place, y=1, yref="paper", yanchor="bottom", yshift=lift)
        start, taken = start + n, right if not lift else taken
    return marks


def telling_features(features: pd.DataFrame, strength: np.ndarray | None = None) -> list[int]:
    """List features worth a look, best first.

    Args:
        features: table `features`.
        strength: (n_features,) by feature number, such as a class's mean activations; None: the share of
            firing train images that belong to the feature's most common class.
    Returns:
        the discriminative features with a defined strength or, if there are none, all features by how often
        they fire.
    """
    number = features["feature"].to_numpy(np.int64)
    if strength is None:
        value = numbers(features, "purity") * numbers(features, "activation_rate")
    else:
        value = np.asarray(strength, np.float64)[number]
    kept = features["discriminative"].to_numpy(bool) & np.isfinite(value)
    if not kept.any():
        kept, value = np.ones(len(features), bool), numbers(features, "activation_rate")
    order = np.flatnonzero(kept)[np.argsort(-value[kept], kind="stable")]
    return number[order].tolist()
