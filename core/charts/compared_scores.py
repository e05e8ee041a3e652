"""A score over correct and misclassified images in several studies."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import MANY, Chart, known_score, shared_of_slice
from core.charts.marks import line
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure, tint
from core.common.dataframes import as_text, numbers
from core.common.score_names import SCORES, score_label
from core.comparison.images import Shared
from core.store import Study

FEWEST_BINS, MOST_BINS = 5, 48
PANEL = 150  # pixels; height of one study's panel


def score_table(
    studies: Mapping[str, tuple[np.ndarray, np.ndarray]], *, score: str = "q_score", n_bins: int | None = None
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
    rows: dict[str, list] = {column: [] for column in columns}
    for name, (values, correct) in studies.items():
        for group, verdict in (("correct", 1), ("misclassified", 0)):
            scores = values[(correct == verdict) & np.isfinite(values)]
            n = max(len(scores), 1)
            zero = scores == 0 if apart else np.zeros(len(scores), bool)
            counts = np.histogram(scores[~zero], edges)[0]
            facts = {"study": name, "group": group, "n": len(scores), "zero_share": 100 * zero.sum() / n}
            for column, value in facts.items():
                rows[column] += [value] * n_bins
            for column, part in (("left", edges[:-1]), ("right", edges[1:]), ("share", 100 * counts / n)):
                rows[column] += part.tolist()
    return pd.DataFrame(rows)


def score_distributions(table: pd.DataFrame, *, score: str = "q_score", theme: Theme = LIGHT) -> go.Figure:
    """Plot one panel per study, stacked on one axis: correct against misclassified images.

    Args:
        table: from `score_table`.
    """
    if table.empty:
        return note_figure(f"{score_label(score)} is 0 or undefined for every image of these studies.", theme)
    names = list(dict.fromkeys(table["study"]))
    titles = [_panel_title(table, name, score, theme) for name in names]
    lines = max(title.count("<br>") for title in titles)
    room = 0.24 + 0.12 * lines  # of a panel, for its title
    fig = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=room / len(names), subplot_titles=titles
    )  # fmt: skip
    for row, name in enumerate(names, start=1):
        for group, colour in (("correct", theme.correct), ("misclassified", theme.misclassified)):
            part = table.loc[(table["study"] == name) & (table["group"] == group)]
            fig.add_trace(_steps(part, group, colour, theme, legend=row == 1), row=row, col=1)
    fig.update_xaxes(title_text=score_label(score), row=len(names), col=1)
    fig.update_yaxes(ticksuffix=" %", rangemode="tozero", matches="y")
    fig.update_annotations(
        x=0, xanchor="left", align="left", font={"size": theme.font_size - 1, "color": theme.ink}
    )
    finish(fig, theme)
    scale = theme.font_size / LIGHT.font_size
    height = round((PANEL * len(names) + 110) * scale)
    title = (22 + 16 * titles[0].count("<br>")) * scale
    return fig.update_layout(
        height=height, margin_t=round(44 * scale + title), legend_y=1 + (20 * scale + title) / height
    )


def _panel_title(table: pd.DataFrame, name: str, score: str, theme: Theme) -> str:
    title = f"<b>{as_text(name)}</b>"
    means = SCORES[score].zero_means if score in SCORES else ""
    if not means:
        return title
    zeros = []
    for group in ("correct", "misclassified"):
        part = table.loc[(table["study"] == name) & (table["group"] == group)]
        if len(part) and part["n"].iat[0] and part["zero_share"].iat[0] > 0:
            share = part["zero_share"].iat[0]
            zeros.append(f"{f'{share:.0f}' if share >= 0.5 else 'under 1'} % of {group}")
    if not zeros:
        return title
    if theme.width is None:  # half a page
        return f"{title}<br>not drawn: 0 for {' and<br>'.join(zeros)}"
    if theme.width < 500:  # a narrow column
        return f"{title}; 0 for {' and '.join(zeros)}"
    return f"{title}; 0, not drawn ({means}): {' and '.join(zeros)} images"


def _steps(part: pd.DataFrame, group: str, colour: str, theme: Theme, *, legend: bool) -> go.Scatter:
    edges = np.append(numbers(part, "left"), numbers(part, "right")[-1:])
    shares = numbers(part, "share")
    closed = np.concatenate([[0.0], shares, [0.0]]) if len(shares) else shares
    x = np.concatenate([edges[:1], edges])
    width, hover = theme.stroke(2), f"{group}: %{{y:.1f}} % from %{{x:.3g}}"
    below = {"fill": "tozeroy", "fillcolor": tint(colour, 0.15)}
    legend_entry = {"name": group, "legendgroup": group, "showlegend": legend}
    # From and to the axis, so that the first and the last bin are closed.
    return line(x, closed, colour=colour, width=width, hover=hover, line_shape="hv", **legend_entry, **below)


class ComparedScores(NamedTuple):
    """A score in several studies, on the images of all: `frame` is `score_table`."""

    frame: pd.DataFrame
    score: str


def shared_scores(shared: Shared, score: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the score and the correctness of the shared evaluation images in each study.

    Raises:
        SettingsError: a study does not have the score.
    """
    values: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, study, rows in zip(shared.names, shared.studies, shared.rows[:, shared.judged], strict=True):
        table = study.kept("quality")
        column = known_score(table, score)
        values[name] = numbers(table, column)[rows], numbers(table, "correct")[rows]
    return values


def _table(studies: Sequence[Study], options: FigureOptions) -> ComparedScores:
    values = shared_scores(shared_of_slice(studies), options.score)
    return ComparedScores(score_table(values, score=options.score), options.score)


def _draw(data: ComparedScores, options: FigureOptions, theme: Theme) -> go.Figure:
    return score_distributions(data.frame, score=data.score, theme=theme)


def _alt(data: ComparedScores) -> str:
    label = score_label(data.score)
    return f"Distribution of {label} over correct and misclassified images in each study"


COMPARED_SCORES = Chart(
    name="compared_scores",
    title="Q (--score) by correctness in each study, on the images of all; --with",
    needs=("quality",),
    table=_table,
    draw=_draw,
    alt=_alt,
    studies=(2, MANY),
    same_images=True,
)
