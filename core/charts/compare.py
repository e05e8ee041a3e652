"""Figures of several studies: distributions of a score, change by class, shared concepts (F, Fig. B.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.theme import LIGHT, Theme, finish, layout_of, note_figure, tint
from core.common.dataframes import as_text, equals, numbers, where
from core.common.score_names import SCORES, score_label
from core.common.statistics.intervals import leaves_out_0

FEWEST_BINS, MOST_BINS = 5, 48
PANEL = 150  # pixels; height of one study's panel
MOST_CLASSES = 40


def score_table(
    studies: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    score: str = "q_score",
    n_bins: int | None = None,
) -> pd.DataFrame:
    """Compute binned shares of a score in each study, on common bins.

    Args:
        studies: name -> the score of each image (NaN: unknown) and 1 correct, 0 misclassified, NaN unknown.
        n_bins: None for 2 n^(1/3), with n the images drawn of the study that has most (Rice's rule), 5 to 48.
    Returns:
        study, group (correct, misclassified), left, right, share (of the group, percent), n (images of the
        group), zero_share (percent of the group whose score is exactly 0, if those are kept apart: not in the
        bins).
    """
    apart = score in SCORES and bool(SCORES[score].zero_means)
    drawn = [values[np.isfinite(values) & ((values != 0) | (not apart))] for values, _ in studies.values()]
    every = np.concatenate([*drawn, np.empty(0)])
    columns = ["study", "group", "left", "right", "share", "n", "zero_share"]
    if not len(every):
        return pd.DataFrame(columns=columns)
    low, high = float(every.min()), float(every.max())
    if n_bins is None:
        n_bins = int(np.clip(np.round(2 * np.cbrt(max(map(len, drawn)))), FEWEST_BINS, MOST_BINS))
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    found: dict[str, list] = {column: [] for column in columns}
    for name, (values, correct) in studies.items():
        for group, verdict in (("correct", 1), ("misclassified", 0)):
            own = values[(correct == verdict) & np.isfinite(values)]
            n = max(len(own), 1)
            zero = own == 0 if apart else np.zeros(len(own), bool)
            counts = np.histogram(own[~zero], edges)[0]
            facts = {"study": name, "group": group, "n": len(own), "zero_share": 100 * zero.sum() / n}
            for column, value in facts.items():
                found[column] += [value] * n_bins
            for column, part in (("left", edges[:-1]), ("right", edges[1:]), ("share", 100 * counts / n)):
                found[column] += part.tolist()
    return pd.DataFrame(found)


def score_distributions(table: pd.DataFrame, *, score: str = "q_score", theme: Theme = LIGHT) -> go.Figure:
    """Plot one panel per study, stacked on one axis: correct against misclassified images.

    Args:
        table: from `score_table`.
    """
    if table.empty:
        return note_figure(f"{score_label(score)} is 0 or undefined for every image of these studies.", theme)
    names = list(dict.fromkeys(table["study"]))
    titles = [_panel_title(table, name, score, theme) for name in names]
    room = 0.36 if any("<br>" in title for title in titles) else 0.24  # of a panel, for its title
    fig = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=room / len(names), subplot_titles=titles
    )  # fmt: skip
    for row, name in enumerate(names, start=1):
        for group, colour in (("correct", theme.correct), ("misclassified", theme.misclassified)):
            part = where(table, equals(table, "study", name) & equals(table, "group", group))
            fig.add_trace(_steps(part, group, colour, theme, legend=row == 1), row=row, col=1)
    fig.update_xaxes(title_text=score_label(score), row=len(names), col=1)
    fig.update_yaxes(ticksuffix=" %", rangemode="tozero", matches="y")
    fig.update_annotations(
        x=0, xanchor="left", align="left", font={"size": theme.font_size - 1, "color": theme.ink}
    )
    finish(fig, theme)
    scale = theme.font_size / LIGHT.font_size
    height = round((PANEL * len(names) + 110) * scale)
    title = (34 if any("<br>" in note.text for note in layout_of(fig).annotations[:1]) else 20) * scale
    return fig.update_layout(
        height=height, margin_t=round(44 * scale + title), legend_y=1 + (20 * scale + title) / height
    )


def _panel_title(table: pd.DataFrame, name: str, score: str, theme: Theme) -> str:
    title = f"<b>{as_text(name)}</b>"
    means = SCORES[score].zero_means if score in SCORES else ""
    if not means:
        return title
    said = []
    for group in ("correct", "misclassified"):
        part = where(table, equals(table, "study", name) & equals(table, "group", group))
        if len(part) and part["n"].iat[0] and part["zero_share"].iat[0] > 0:
            share = part["zero_share"].iat[0]
            said.append(f"{f'{share:.0f}' if share >= 0.5 else 'under 1'} % of {group}")
    if not said:
        return title
    if theme.width is None:  # half a page
        return f"{title}<br>not drawn: 0 for {' and '.join(said)}"
    if theme.width < 500:  # a narrow column
        return f"{title}; 0 for {' and '.join(said)}"
    return f"{title}; 0, not drawn ({means}): {' and '.join(said)} images"


def _steps(part: pd.DataFrame, group: str, colour: str, theme: Theme, *, legend: bool) -> go.Scatter:
    edges = np.append(numbers(part, "left"), numbers(part, "right")[-1:])
    shares = numbers(part, "share")
    return go.Scatter(  # from and to the axis, so that the first and the last bin are closed
        x=np.concatenate([edges[:1], edges]),
        y=np.concatenate([[0.0], shares, [0.0]]) if len(shares) else shares,
        mode="lines",
        name=group,
        legendgroup=group,
        showlegend=legend,
        line={"shape": "hv", "color": colour, "width": theme.stroke(2)},
        fill="tozeroy",
        fillcolor=tint(colour, 0.15),
        hovertemplate=f"{group}: %{{y:.1f}} % from %{{x:.3g}}<extra></extra>",
    )


def class_changes(
    classes: pd.DataFrame, first: str, other: str, *, most: int = MOST_CLASSES, theme: Theme = LIGHT
) -> go.Figure:
    """Plot accuracy of each class in two studies, with the 95 % interval of the change; greatest gain on top.

    A change is better or worse where its interval leaves out 0.

    Args:
        classes: table of `core.comparison.measures.class_accuracy_changes`.
        most: number of classes, most changed first.
    """
    after = where(classes, equals(classes, "study", other))
    before = where(classes, equals(classes, "study", first))
    if not len(after) or not np.isfinite(numbers(after, "difference")).any():
        return note_figure("No class has a probe result in both studies.", theme)
    change = numbers(after, "difference")
    shown = np.sort(np.argsort(-np.abs(change), kind="stable")[:most])
    shown = shown[np.argsort(change[shown], kind="stable")]  # plotly draws from the bottom
    names = [as_text(name) for name in after["label"].to_numpy(object)[shown]]
    was, now = 100 * numbers(before, "accuracy")[shown], 100 * numbers(after, "accuracy")[shown]
    low, high = (100 * numbers(after, f"difference_{end}")[shown] for end in ("low", "high"))
    n = numbers(after, "n")[shown]
    fig = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04, column_widths=[0.58, 0.42]
    )
    at = np.arange(len(shown))
    for values, name, colour, symbol in (
        (was, first, theme.neutral, "circle-open"),
        (now, other, theme.discriminative, "circle"),
    ):
        fig.add_trace(
            go.Scatter(
                x=values,
                y=at,
                mode="markers",
                name=as_text(name),
                marker={"color": colour, "symbol": symbol, "size": theme.stroke(9)},
                customdata=np.column_stack([n, names]),
                hovertemplate="<b>%{customdata[1]}</b> (%{customdata[0]} images): %{x:.1f} %<extra></extra>",
            ),
            row=1,
            col=1,
        )
    for chosen, colour, name in (
        (low > 0, theme.correct, "better"),
        (high < 0, theme.misclassified, "worse"),
        (~leaves_out_0(low, high), theme.neutral, "could be chance"),
    ):
        if chosen.any():
            fig.add_trace(
                _changes(at, change * 100, low, high, shown, chosen, colour, name, names, theme), row=1, col=2
            )
    fig.update_yaxes(
        tickvals=at, ticktext=names, ticks="", range=[-0.7, len(at) - 0.3], tickfont_color=theme.ink
    )
    fig.update_xaxes(title_text="accuracy", ticksuffix=" %", range=[-3, 103], row=1, col=1)
    fig.update_xaxes(title_text="change in points", row=1, col=2)
    finish(fig, theme)
    row_height = 1.6 * theme.font_size
    fig.add_vline(x=0, line={"color": theme.muted, "width": 1}, row=1, col=2)  # pyright: ignore[reportArgumentType]
    return fig.update_layout(height=round(len(at) * row_height + 8 * theme.font_size))


def _changes(
    at: np.ndarray, change: np.ndarray, low: np.ndarray, high: np.ndarray, shown: np.ndarray,
    chosen: np.ndarray, colour: str, name: str, names: Sequence[str], theme: Theme,
) -> go.Scatter:  # fmt: skip
    middle = change[shown][chosen]
    return go.Scatter(
        x=middle,
        y=at[chosen],
        mode="markers",
        name=name,
        marker={"color": colour, "size": theme.stroke(7), "symbol": "diamond"},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high[chosen] - middle,
            "arrayminus": middle - low[chosen],
            "color": colour,
            "thickness": theme.stroke(1.5),
            "width": 0,
        },
        customdata=np.column_stack([np.array(names, object)[chosen], low[chosen], high[chosen]]),
        hovertemplate="<b>%{customdata[0]}</b>: %{x:+.1f} points "
        "(%{customdata[1]:+.1f} to %{customdata[2]:+.1f})<extra></extra>",
    )


def concept_matrix(matrix: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot how many words each pair of studies shares (F, Fig. B.1); on the diagonal, a study's own words.

    Args:
        matrix: from `core.concepts.across.shared_matrix`.
    """
    if matrix.empty or not matrix.to_numpy().any():
        return note_figure("None of these studies has words.", theme)
    names = [as_text(str(name)) for name in matrix.index]
    values = matrix.to_numpy(np.float64)
    n = len(names)
    hover = [
        [
            f"{names[i]}: {values[i, j]:.0f} words"
            if i == j
            else f"{names[i]} and {names[j]} share "
            f"{values[i, j]:.0f} words ({100 * values[i, j] / max(values[i, i], 1):.0f} % of {names[i]}'s)"
            for j in range(n)
        ]
        for i in range(n)
    ]
    fig = go.Figure(
        go.Heatmap(
            z=values, x=np.arange(n), y=np.arange(n), colorscale=theme.sequential, zmin=0, zmax=values.max(),
            xgap=2, ygap=2, texttemplate="%{z:.0f}",
            textfont_size=theme.font_size + 2, showscale=False, hovertext=hover, hoverinfo="text",
        )
    )  # fmt: skip
    axis = {"tickvals": np.arange(n), "ticktext": names, "showgrid": False, "ticks": "", "showline": False}
    fig.update_xaxes(axis, side="top", range=[-0.5, n - 0.5], tickfont_color=theme.ink)
    fig.update_yaxes(axis, range=[n - 0.5, -0.5], tickfont_color=theme.ink)
    return finish(fig, theme, height=72 * n + 90)
