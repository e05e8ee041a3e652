"""Figures of the grids on shortcut features: bars of readouts, trade-offs, and losses against readouts.

Bars are means over seeds, with a 95 % t-interval where there are enough of them; each run is a dot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.common.dataframes import numbers
from core.common.statistics.correlation import Correlation, correlation_over_settings
from core.common.statistics.seeds import NOT_ENOUGH, SeedSummary, over_seeds
from core.figures.theme import LIGHT, PERCENT_AXIS, Theme, finish, note_figure, tint

KNOWN_FACTORS = ("shape", "colour", "texture", "object", "digit")
UNTRAINED = "untrained"


def factors_in(table: pd.DataFrame) -> list[str]:
    """List the factors that a table has readouts of."""
    return [name for name in KNOWN_FACTORS if name in table]


def trained(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trained encoders whose training did not diverge."""
    known = table[table["arm"] != UNTRAINED]
    return known[known[factors_in(table)].notna().all(axis=1)]


def factor_bars(table: pd.DataFrame, arms: Sequence[str], *, theme: Theme = LIGHT) -> go.Figure:
    """Plot a group of bars for each factor and their mean, one bar an arm."""
    factors, colours = [*factors_in(table), "mean"], _colours(theme)
    figure = go.Figure()
    for place, arm in enumerate(arms):
        own = table[table["arm"] == arm]
        found = [over_seeds(100 * numbers(own, name)) for name in factors]
        figure.add_trace(_bar(factors, found, arm, colours[place % len(colours)]))
        for name, one in zip(factors, found, strict=True):
            figure.add_trace(_dots(name, one, arm, theme))
    figure.update_layout(barmode="group", scattermode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_yaxes(title_text="readout accuracy", **PERCENT_AXIS)
    return finish(figure, theme, height=420)


def _bar(names: Sequence[str], found: Sequence[SeedSummary], arm: str, colour: str) -> go.Bar:
    half = [one.high - one.mean if one.enough else 0.0 for one in found]
    texts = [f"{one.text()} ({NOT_ENOUGH})" if not one.enough else one.text() for one in found]
    return go.Bar(
        x=list(names),
        y=[one.mean for one in found],
        error_y={"type": "data", "array": half, "visible": any(one.enough for one in found)},
        name=arm,
        legendgroup=arm,
        offsetgroup=arm,
        marker={"color": tint(colour, 0.75)},
        customdata=texts,
        hovertemplate=f"{arm}, %{{x}}<br>%{{customdata}}<extra></extra>",
    )


def _dots(name: str, found: SeedSummary, arm: str, theme: Theme) -> go.Scatter:
    return go.Scatter(
        x=[name] * found.n,
        y=list(found.values),
        mode="markers",
        marker={"color": theme.ink, "size": theme.stroke(4), "opacity": 0.6},
        legendgroup=arm,
        offsetgroup=arm,
        showlegend=False,
        hoverinfo="skip",
    )


def _colours(theme: Theme) -> list[str]:
    return [
        theme.neutral,
        theme.correct,
        theme.discriminative,
        theme.upper,
        theme.accent,
        theme.misclassified,
    ]


def variants_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Table 3 as bars: readouts of plain InfoNCE, IFM and its variants."""
    known = trained(table)
    if known.empty:
        return note_figure("No encoder of this grid has been trained yet.", theme)
    return factor_bars(known, list(dict.fromkeys(known["arm"])), theme=theme)


def suppression_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Figs 6 and 14: readouts with and without IFM, one panel a temperature."""
    known = trained(table)
    if known.empty:
        return note_figure("No encoder of this grid has been trained yet.", theme)
    temperatures, factors = sorted(set(known["temperature"])), [*factors_in(table), "mean"]
    epsilons, colours = sorted(set(known["ifm_epsilon"])), _colours(theme)
    titles = [f"temperature {temperature:g}" for temperature in temperatures]
    figure = make_subplots(1, len(temperatures), shared_yaxes=True, subplot_titles=titles)
    for column, temperature in enumerate(temperatures, start=1):
        for place, epsilon in enumerate(epsilons):
            own = known[(known["temperature"] == temperature) & (known["ifm_epsilon"] == epsilon)]
            found = [over_seeds(100 * numbers(own, name)) for name in factors]
            name = f"IFM, epsilon {epsilon:g}" if epsilon else "InfoNCE"
            bar = _bar(factors, found, name, colours[place % len(colours)])
            figure.add_trace(bar.update(showlegend=column == 1), 1, column)
            for factor, one in zip(factors, found, strict=True):
                figure.add_trace(_dots(factor, one, name, theme), 1, column)
    untrained = table[table["arm"] == UNTRAINED]
    if len(untrained):
        figure.add_trace(_untrained(untrained, factors, theme), 1, 1)
        for column in range(2, len(temperatures) + 1):
            figure.add_trace(_untrained(untrained, factors, theme).update(showlegend=False), 1, column)
    figure.update_layout(barmode="group", scattermode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_yaxes(title_text="readout accuracy", row=1, col=1)
    figure.update_yaxes(**PERCENT_AXIS)
    return finish(figure, theme, height=400)


def _untrained(rows: pd.DataFrame, factors: Sequence[str], theme: Theme) -> go.Scatter:
    """Draw what a linear probe reads out of random weights."""
    return go.Scatter(
        x=list(factors),
        y=[over_seeds(100 * numbers(rows, name)).mean for name in factors],
        mode="markers",
        name="untrained",
        legendgroup="untrained",
        marker={"symbol": "line-ew", "size": theme.stroke(36), "line": {"width": 2, "color": theme.ink}},
        hovertemplate="untrained, %{x}<br>%{y:.1f}<extra></extra>",
    )


def tradeoff_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Figs 3 and 13: readout of each factor against temperature, and against the negatives' hardness."""
    known = trained(table)
    plain = known[numbers(known, "hard_beta") == 0]
    at = known[numbers(known, "hard_beta") > 0]["temperature"]
    betas = known[known["temperature"].isin(set(at))] if len(at) else known.iloc[:0]
    panels = [("temperature", plain, True), ("hard_beta", betas, False)]
    panels = [panel for panel in panels if panel[1][panel[0]].nunique() > 1]
    if not panels:
        return note_figure("The grid has no two temperatures or hardnesses to compare yet.", theme)
    figure = make_subplots(1, len(panels), shared_yaxes=True)
    colours = _colours(theme)[1:]
    for column, (name, part, log) in enumerate(panels, start=1):
        values = sorted(set(part[name]))
        for factor, colour in zip(factors_in(known), colours, strict=False):
            found = [over_seeds(100 * numbers(part[part[name] == value], factor)) for value in values]
            line = _line(values, found, factor, colour, theme)
            figure.add_trace(line.update(showlegend=column == 1), 1, column)
        title = "temperature (harder to the left)" if log else "hardness of negatives (harder to the right)"
        figure.update_xaxes(title_text=title, type="log" if log else "linear", row=1, col=column)
        figure.update_xaxes(tickvals=values, ticktext=[f"{value:g}" for value in values], row=1, col=column)
    figure.update_yaxes(**PERCENT_AXIS)
    figure.update_yaxes(title_text="readout accuracy", row=1, col=1)
    return finish(figure, theme, height=400)


def _line(
    values: Sequence[float], found: Sequence[SeedSummary], factor: str, colour: str, theme: Theme
) -> go.Scatter:
    """Draw the means, with intervals, or from the lowest to the highest run where there are too few."""
    above = [one.high - one.mean if one.enough else max(one.values) - one.mean for one in found]
    below = [one.mean - one.low if one.enough else one.mean - min(one.values) for one in found]
    return go.Scatter(
        x=list(values),
        y=[one.mean for one in found],
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1},
        mode="lines+markers",
        name=factor,
        legendgroup=factor,
        line={"color": colour, "width": theme.stroke(2)},
        customdata=[one.text() for one in found],
        hovertemplate=f"{factor} at %{{x}}<br>%{{customdata}}<extra></extra>",
    )


def loss_readout_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Fig. 2: correlation of the held-out loss and each readout error over encoders.

    A bar over all settings with an interval from resampled settings; marks for the correlations within the
    temperatures (no weights on negatives) and within the hardnesses (one temperature) alone.
    """
    known = trained(table)
    parts = {"all settings": known}
    hard = numbers(known, "hard_beta")
    parts["temperatures alone"] = known[hard == 0]
    parts["hardnesses alone"] = known[known["temperature"].isin(set(known["temperature"][hard > 0]))]
    found = {
        (name, factor): correlation_over_settings(part, "held_out_loss", factor)
        for name, part in parts.items()
        for factor in factors_in(known)
    }
    shown = {key: one for key, one in found.items() if np.isfinite(one.pearson)}
    if not shown:
        reason = next(iter(found.values())).reason if found else "no encoder has been trained yet"
        return note_figure(f"No correlation of loss and readout error: {reason}.", theme)
    figure = go.Figure()
    for (name, colour), symbol in zip(
        zip(parts, _colours(theme)[1:], strict=False), ("circle", "diamond", "square"), strict=True
    ):
        figure.add_trace(_correlations(name, shown, colour, symbol, theme))
    figure.add_hline(0, line={"color": theme.muted, "width": 1})
    figure.update_layout(scattermode="group")
    figure.update_yaxes(title_text="correlation of loss and readout error", range=[-1.05, 1.05])
    return finish(figure, theme, height=400)


def _correlations(
    name: str, found: dict[tuple[str, str], Correlation], colour: str, symbol: str, theme: Theme
) -> go.Scatter:
    own = {factor: one for (part, factor), one in found.items() if part == name}
    texts = [
        f"Pearson {one.pearson:.2f} ({one.low:.2f} to {one.high:.2f}), Spearman {one.spearman:.2f}, "
        f"{one.n_settings} settings, {one.n} encoders"
        for one in own.values()
    ]
    return go.Scatter(
        x=list(own),
        y=[one.pearson for one in own.values()],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.pearson for one in own.values()],
            "arrayminus": [one.pearson - one.low for one in own.values()],
        },
        mode="markers",
        name=name,
        marker={"color": colour, "size": theme.stroke(10), "symbol": symbol},
        customdata=texts,
        hovertemplate=f"{name}, %{{x}}<br>%{{customdata}}<extra></extra>",
        offsetgroup=name,
    )
