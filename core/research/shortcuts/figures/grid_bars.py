"""Figures of the grids on shortcut features: bars of readouts, trade-offs, and losses against readouts.

Bars are means over seeds, with a 95 % t-interval where there are enough of them; each run is a dot.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.theme import LIGHT, PERCENT_AXIS, Theme, finish, note_figure, tint
from core.common.dataframes import numbers, words
from core.research.grids.figures.grid_titles import (
    fewest_seeds,
    grouped_by_sign,
    headed,
    paired_differences,
    run_dots,
    runs_note,
)
from core.research.grids.over_seeds import ENOUGH, NOT_ENOUGH, SeedSummary, over_seeds
from core.research.shortcuts.correlation import Correlation, correlation_over_settings

KNOWN_FACTORS = ("shape", "colour", "texture", "object", "digit")
UNTRAINED, PLAIN = "untrained", "plain"
VARIANTS = {  # arms of the grid `ifm-variants`, as [I] Table 3 calls them
    PLAIN: "InfoNCE",
    "ifm": "IFM",
    "norm": "+norm",
    "pre-norm": "+pre-norm",
    "pre-norm-relative": "+pre-norm (relative)",
    "modified-loss-alone": "modified loss alone",
}
MARKS = ("dots: runs", "dotted: chance")


def factors_in(table: pd.DataFrame) -> list[str]:
    """List the factors that a table has readouts of."""
    return [name for name in KNOWN_FACTORS if name in table]


def trained(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trained encoders whose training did not diverge."""
    read = [np.isfinite(numbers(table, name)) for name in factors_in(table)]
    return table.loc[np.logical_and.reduce([(table["arm"] != UNTRAINED), *read])].reset_index(drop=True)


def factor_bars(table: pd.DataFrame, arms: Sequence[str], *, theme: Theme = LIGHT) -> go.Figure:
    """Plot a group of bars for each factor and their mean, one bar an arm."""
    factors, colours = [*factors_in(table), "mean"], _colours(theme)
    figure = go.Figure()
    for index, arm in enumerate(arms):
        arm_rows = table.loc[table["arm"] == arm].reset_index(drop=True)
        summaries = [over_seeds(100 * numbers(arm_rows, name)) for name in factors]
        figure.add_trace(_bar(factors, summaries, arm, colours[index % len(colours)]))
        for name, one in zip(factors, summaries, strict=True):
            figure.add_trace(run_dots(name, one, arm, theme))
    _draw_chance(figure, table, factors, 1, theme)
    figure.update_layout(barmode="group", scattermode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_yaxes(title_text="readout accuracy", **PERCENT_AXIS)
    return finish(figure, theme, height=420)


def _bar(names: Sequence[str], summaries: Sequence[SeedSummary], arm: str, colour: str) -> go.Bar:
    half = [one.high - one.mean if one.enough else 0.0 for one in summaries]
    texts = [f"{one.text()} ({NOT_ENOUGH})" if not one.enough else one.text() for one in summaries]
    return go.Bar(
        x=list(names),
        y=[one.mean for one in summaries],
        error_y={"type": "data", "array": half, "visible": any(one.enough for one in summaries)},
        name=arm,
        legendgroup=arm,
        offsetgroup=arm,
        marker={"color": tint(colour, 0.75)},
        customdata=texts,
        hovertemplate=f"{arm}, %{{x}}<br>%{{customdata}}<extra></extra>",
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
    trained_rows = trained(table)
    if trained_rows.empty:
        return note_figure("No encoder of this grid has been trained yet.", theme)
    trained_rows = trained_rows.assign(arm=[VARIANTS.get(arm, arm) for arm in words(trained_rows, "arm")])
    arms, plain = list(dict.fromkeys(trained_rows["arm"])), VARIANTS[PLAIN]
    differences = paired_differences(
        trained_rows, {arm: (arm, plain) for arm in arms if arm != plain}, "mean"
    )
    finding = grouped_by_sign(differences, above="above InfoNCE", below="below InfoNCE")
    figure = factor_bars(trained_rows, arms, theme=theme)
    return headed(figure, f"Mean readout, {finding}", runs_note(trained_rows, *MARKS), theme)


def suppression_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Figs 6 and 14: readouts with and without IFM, one panel a temperature."""
    trained_rows = trained(table)
    if trained_rows.empty:
        return note_figure("No encoder of this grid has been trained yet.", theme)
    factors, colours = [*factors_in(table), "mean"], _colours(theme)
    at, sizes = numbers(trained_rows, "temperature"), numbers(trained_rows, "ifm_epsilon")
    temperatures, epsilons = np.unique(at).tolist(), np.unique(sizes).tolist()
    titles = [f"temperature {temperature:g}" for temperature in temperatures]
    figure = make_subplots(1, len(temperatures), shared_yaxes=True, subplot_titles=titles)
    for column, temperature in enumerate(temperatures, start=1):
        for index, epsilon in enumerate(epsilons):
            cell_rows = trained_rows.loc[(at == temperature) & (sizes == epsilon)].reset_index(drop=True)
            summaries = [over_seeds(100 * numbers(cell_rows, name)) for name in factors]
            name = f"IFM, epsilon {epsilon:g}" if epsilon else "InfoNCE"
            bar = _bar(factors, summaries, name, colours[index % len(colours)])
            figure.add_trace(bar.update(showlegend=column == 1), 1, column)
            for factor, one in zip(factors, summaries, strict=True):
                figure.add_trace(run_dots(factor, one, name, theme), 1, column)
    _draw_untrained(
        figure, table.loc[table["arm"] == UNTRAINED].reset_index(drop=True), factors, len(temperatures), theme
    )
    _draw_chance(figure, trained_rows, factors, len(temperatures), theme)
    figure.update_layout(barmode="group", scattermode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_yaxes(title_text="readout accuracy", row=1, col=1)
    figure.update_yaxes(**PERCENT_AXIS)
    figure.update_annotations(font={"size": theme.font_size, "color": theme.ink})
    finish(figure, theme, height=400)
    settings = zip(numbers(trained_rows, "temperature"), numbers(trained_rows, "ifm_epsilon"), strict=True)
    arms = dict(zip(settings, words(trained_rows, "arm"), strict=True))
    pairs = {
        f"temperature {temperature:g}" + (f", epsilon {epsilon:g}" if len(epsilons) > 2 else ""): (
            arm,
            arms[plain],
        )
        for (temperature, epsilon), arm in arms.items()
        if epsilon and (plain := (temperature, 0.0)) in arms
    }
    finding = grouped_by_sign(paired_differences(trained_rows, pairs, "mean"), above="higher", below="lower")
    note = runs_note(trained_rows, *MARKS, "line: untrained")
    return headed(figure, f"Mean readout with IFM, {finding}", note, theme, panels=True)


def _draw_untrained(
    figure: go.Figure, rows: pd.DataFrame, factors: Sequence[str], n_panels: int, theme: Theme
) -> None:
    """Draw a line across the bars of each factor where a probe of random weights lies."""
    if rows.empty:
        return
    line = {"color": theme.ink, "width": theme.stroke(2)}
    levels = [over_seeds(100 * numbers(rows, name)).mean for name in factors]
    _draw_levels(figure, levels, n_panels, line)
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name="untrained"))


def _draw_chance(
    figure: go.Figure, table: pd.DataFrame, factors: Sequence[str], n_panels: int, theme: Theme
) -> None:
    """Draw a dotted line across the bars of each factor at its most common level's share."""
    levels = [100 * float(np.mean(chance_of(table, name))) for name in factors]
    line = {"color": theme.muted, "width": theme.stroke(2), "dash": "dot"}
    _draw_levels(figure, levels, n_panels, line)


def chance_of(table: pd.DataFrame, name: str) -> np.ndarray:
    """(n_rows,) accuracy of always naming the most common level; of the mean: the factors' mean."""
    factors = factors_in(table) if name == "mean" else [name]
    return np.mean([numbers(table, f"chance_{one}") for one in factors], axis=0)


def _draw_levels(figure: go.Figure, levels: Sequence[float], n_panels: int, line: dict) -> None:
    for number in range(1, n_panels + 1):
        axes = {"xref": f"x{number if number > 1 else ''}", "yref": f"y{number if number > 1 else ''}"}
        for at, level in enumerate(levels):
            if np.isfinite(level):
                ends = {"x0": at - 0.42, "x1": at + 0.42, "y0": level, "y1": level}
                figure.add_shape(type="line", **ends, **axes, line=line)


def tradeoff_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Figs 3 and 13: readout of each factor against temperature, and against the negatives' hardness."""
    trained_rows = trained(table)
    without_ifm = numbers(trained_rows, "ifm_epsilon") == 0  # arms are not seeds
    trained_rows = trained_rows.loc[without_ifm].reset_index(drop=True)
    panels = [
        ("temperature", _unweighted(trained_rows), True),
        ("hard_beta", _as_hard_ones(trained_rows), False),
    ]
    panels = [panel for panel in panels if len(np.unique(numbers(panel[1], panel[0]))) > 1]
    if not panels:
        return note_figure("The grid has no two temperatures or hardnesses to compare yet.", theme)
    figure = make_subplots(1, len(panels), shared_yaxes=True)
    colours = _colours(theme)[1:]
    for column, (name, part, log) in enumerate(panels, start=1):
        settings = numbers(part, name)
        values = np.unique(settings).tolist()
        for factor, colour in zip(factors_in(trained_rows), colours, strict=False):
            summaries = [over_seeds(100 * numbers(part, factor)[settings == value]) for value in values]
            line = _line(values, summaries, factor, colour, theme)
            figure.add_trace(line.update(showlegend=column == 1), 1, column)
        title = "temperature (harder to the left)" if log else "hardness of negatives (harder to the right)"
        figure.update_xaxes(title_text=title, type="log" if log else "linear", row=1, col=column)
        figure.update_xaxes(tickvals=values, ticktext=[f"{value:g}" for value in values], row=1, col=column)
    figure.update_yaxes(**PERCENT_AXIS)
    figure.update_yaxes(title_text="readout accuracy", row=1, col=1)
    finish(figure, theme, height=400)
    marks = ("bars: lowest to highest run",) if fewest_seeds(trained_rows)[0] < ENOUGH else ()
    findings = [
        _hardest_against_easiest(part, name, log, factors_in(trained_rows)) for name, part, log in panels
    ]
    return headed(figure, "; ".join(findings), runs_note(trained_rows, *marks), theme)


def _hardest_against_easiest(part: pd.DataFrame, name: str, falls: bool, factors: Sequence[str]) -> str:
    """Say which factors rise and fall from the easiest to the hardest value of a column."""
    ends = sorted(set(part[name]), reverse=falls)
    arms = [part.loc[part[name] == end, "arm"].iloc[0] for end in (ends[-1], ends[0])]
    slopes = {
        factor: paired_differences(part, {factor: (arms[0], arms[1])}, factor)[factor] for factor in factors
    }
    finding = grouped_by_sign(slopes, above="rises", below="falls")
    words = "temperature" if falls else "hardness"
    return f"{words} {ends[0]:g} to {ends[-1]:g}, {finding}"


def _unweighted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without weights on negatives."""
    return table.loc[numbers(table, "hard_beta") == 0].reset_index(drop=True)


def _as_hard_ones(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at the temperatures at which negatives were also weighted."""
    at = numbers(table, "temperature")
    return table.loc[np.isin(at, at[numbers(table, "hard_beta") > 0])].reset_index(drop=True)


def _line(
    values: Sequence[float], summaries: Sequence[SeedSummary], factor: str, colour: str, theme: Theme
) -> go.Scatter:
    """Draw the means, with intervals, or from the lowest to the highest run where there are too few."""
    above = [one.high - one.mean if one.enough else max(one.values) - one.mean for one in summaries]
    below = [one.mean - one.low if one.enough else one.mean - min(one.values) for one in summaries]
    return go.Scatter(
        x=list(values),
        y=[one.mean for one in summaries],
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1},
        mode="lines+markers",
        name=factor,
        legendgroup=factor,
        line={"color": colour, "width": theme.stroke(2)},
        customdata=[one.text() for one in summaries],
        hovertemplate=f"{factor} at %{{x}}<br>%{{customdata}}<extra></extra>",
    )


def loss_readout_figure(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """[I] Fig. 2: correlation of the held-out loss and each readout error over encoders.

    A bar over all settings with an interval from resampled settings; marks for the correlations within the
    temperatures (no weights on negatives) and within the hardnesses (one temperature) alone.
    """
    trained_rows = trained(table)
    parts = {
        "all settings": trained_rows,
        "temperatures alone": _unweighted(trained_rows),
        "hardnesses alone": _as_hard_ones(trained_rows),
    }
    correlations = {
        (name, factor): correlation_over_settings(part, "held_out_loss", factor)
        for name, part in parts.items()
        for factor in factors_in(trained_rows)
    }
    shown = {key: one for key, one in correlations.items() if np.isfinite(one.pearson)}
    if not shown:
        reason = (
            next(iter(correlations.values())).reason if correlations else "no encoder has been trained yet"
        )
        return note_figure(f"No correlation of loss and readout error: {reason}.", theme)
    figure = go.Figure()
    for (name, colour), symbol in zip(
        zip(parts, _colours(theme)[1:], strict=False), ("circle", "diamond", "square"), strict=True
    ):
        figure.add_trace(_correlations(name, shown, colour, symbol, theme))
    figure.add_hline(0, line={"color": theme.muted, "width": 1})
    figure.update_layout(scattermode="group")
    figure.update_yaxes(title_text="correlation of loss and readout error", range=[-1.05, 1.05])
    finish(figure, theme, height=400)
    signs = {"with": 1, "against": -1, "neither clearly": 0}
    whole = {factor: one for (name, factor), one in shown.items() if name == "all settings"}
    sign_of = {factor: int(one.low > 0) - int(one.high < 0) for factor, one in whole.items()}
    findings = [
        f"{word}: {', '.join(same_sign)}"
        for word, sign in signs.items()
        if (same_sign := [factor for factor in sign_of if sign_of[factor] == sign])
    ]
    note = runs_note(trained_rows, "intervals over resampled settings").partition("; ")[2]
    clearly = f"The held-out loss moves with the readout error, {'; '.join(findings)}"
    title = clearly if any(sign_of.values()) else "No readout error moves clearly with the held-out loss"
    return headed(figure, title, note, theme)


def _correlations(
    name: str, correlations: dict[tuple[str, str], Correlation], colour: str, symbol: str, theme: Theme
) -> go.Scatter:
    by_factor = {factor: one for (part, factor), one in correlations.items() if part == name}
    texts = [
        f"Pearson {one.pearson:.2f} ({one.low:.2f} to {one.high:.2f}), Spearman {one.spearman:.2f}, "
        f"{one.n_settings} settings, {one.n} encoders"
        for one in by_factor.values()
    ]
    return go.Scatter(
        x=list(by_factor),
        y=[one.pearson for one in by_factor.values()],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.pearson for one in by_factor.values()],
            "arrayminus": [one.pearson - one.low for one in by_factor.values()],
        },
        mode="markers",
        name=name,
        marker={"color": colour, "size": theme.stroke(10), "symbol": symbol},
        customdata=texts,
        hovertemplate=f"{name}, %{{x}}<br>%{{customdata}}<extra></extra>",
        offsetgroup=name,
    )
