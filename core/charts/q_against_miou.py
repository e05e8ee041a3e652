"""A score of each image against the overlap of its heatmap with a mask."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import Chart, known_score
from core.charts.marks import dots, interval, points_kind
from core.charts.options import FigureOptions
from core.charts.shared_rows import MASKS, NO_OVERLAP, VARIANTS
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.captions import ON_MASKS
from core.common.dataframes import columns, numbers
from core.common.records import Templates
from core.common.score_names import SCORES, score_label
from core.store import Study

_say = Templates.beside(__file__)
TREND_BINS = 10
FEWEST_IN_BIN, FEWEST_RANKED = 5, 3
TYPICAL = 1.96  # standard errors in half a 95 % interval


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho in a chart over pairs in which both are finite; ties share their mean rank.

    Returns:
        in [-1, 1]; NaN for fewer than three pairs or a constant side.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    if finite.sum() < FEWEST_RANKED:
        return float("nan")
    first, second = (pd.Series(values[finite]).rank().to_numpy() for values in (x, y))
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def trend(x: np.ndarray, y: np.ndarray, *, bins: int = TREND_BINS) -> pd.DataFrame:
    """Compute a chart's trend: the mean of y in groups with equal numbers of images along x.

    Returns:
        columns x (median), y (mean), low, high (95 %, normal), n; groups with fewer than 5 images left out.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1))) if len(x) else np.empty(0)
    if len(edges) < 2:
        return pd.DataFrame(columns=["x", "y", "low", "high", "n"])
    bin_of = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for group in range(len(edges) - 1):
        part = y[bin_of == group]
        if len(part) >= FEWEST_IN_BIN:
            half = TYPICAL * part.std(ddof=1) / np.sqrt(len(part))
            ends = part.mean() - half, part.mean() + half
            rows.append((np.median(x[bin_of == group]), part.mean(), *ends, len(part)))
    return pd.DataFrame(rows, columns=["x", "y", "low", "high", "n"])


class ScoredOverlaps(NamedTuple):
    """A score of each image beside its overlaps.

    rows: one per image and mask: row, mask, `score`, `variant`, correct (1, 0 or missing).
    """

    rows: pd.DataFrame
    score: str = "q_score"
    variant: str = "paper"

    @property
    def frame(self) -> pd.DataFrame:
        return columns(self.rows, ["image_id", "mask", self.score, self.variant, "correct"])

    @property
    def known(self) -> pd.DataFrame:
        """The rows of which both are known."""
        is_known = np.isfinite(numbers(self.rows, self.score)) & np.isfinite(numbers(self.rows, self.variant))
        return self.rows.loc[is_known]


def q_against_miou(data: ScoredOverlaps, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot each image's score against its overlap, one panel per mask, with means over tenths of the images.

    Returns:
        a figure whose points carry customdata[0] = row.
    """
    images, score, variant = data.known, data.score, data.variant
    masks = [mask for mask in MASKS if mask in set(images["mask"])]
    if not masks:
        return note_figure(NO_OVERLAP, theme)
    apart = _exact_zeros(images, score)
    fig = make_subplots(rows=1, cols=len(masks), shared_yaxes=True, horizontal_spacing=0.04)
    marks = Marks(theme)
    for column, mask in enumerate(masks, start=1):
        of_mask = images["mask"].to_numpy() == mask
        part = images.loc[of_mask & ~apart]
        for trace in _points(part, score, variant, theme, legend=column == 1):
            fig.add_trace(trace, row=1, col=column)
        x, y = numbers(part, score), numbers(part, variant)
        kind = points_kind(len(part))
        fig.add_trace(_trend_line(kind, trend(x, y), theme, legend=column == 1), row=1, col=column)
        text = _panel_title(mask, x, y, numbers(images.loc[of_mask & apart], variant), theme)
        axis = "" if column == 1 else str(column)
        corner = {"x": 0, "xref": f"x{axis} domain", "xanchor": "left", "y": 1, "yref": "y domain"}
        marks.note(text, color=theme.ink, **corner, yanchor="bottom", yshift=2, align="left")
    marks.put_on(fig)
    fig.update_xaxes(title_text=score_label(score))
    fig.update_yaxes(rangemode="tozero")
    fig.update_yaxes(title_text=VARIANTS.get(variant, variant).partition(" (")[0], row=1, col=1)
    finish(fig, theme, height=400)
    lines = 2 if apart.any() else 1
    return fig.update_layout(
        margin_t=round((3.2 + 1.4 * lines) * theme.font_size), legend_y=1.02 + 0.055 * (lines + 1)
    )


def _mask_correlations(data: ScoredOverlaps) -> dict[str, float]:
    """Rank correlation of the score with the overlap on each mask, of the images that `q_against_miou` draws;
    NaN where it is undefined.
    """
    images = data.known.loc[~_exact_zeros(data.known, data.score)]
    parts = {mask: images.loc[images["mask"] == mask] for mask in MASKS}
    return {
        mask: rank_correlation(numbers(part, data.score), numbers(part, data.variant))
        for mask, part in parts.items()
    }


def _exact_zeros(images: pd.DataFrame, score: str) -> np.ndarray:
    """(n,) bool: images with score 0 because there is nothing to score on them."""
    about = SCORES.get(score)
    zero = numbers(images, score) == 0
    return zero if about is not None and about.zero_means and not zero.all() else np.zeros(len(images), bool)


def _panel_title(mask: str, x: np.ndarray, y: np.ndarray, apart: np.ndarray, theme: Theme) -> str:
    narrow = theme.width is not None and theme.width < 500
    correlation = rank_correlation(x, y)
    rho = f"{correlation:.2f}".replace("-", "\N{MINUS SIGN}") if np.isfinite(correlation) else "undefined"
    title = _say("narrow_panel" if narrow else "panel", what=mask, names=(rho,), n=len(x))
    if not len(apart) or narrow:
        return title
    return title + _say("not_drawn", n=len(apart), value=float(apart.mean()))


def _points(part: pd.DataFrame, score: str, variant: str, theme: Theme, *, legend: bool) -> list[Any]:
    correct = numbers(part, "correct")
    groups = [
        ("correct", correct == 1, theme.correct, "circle"),
        ("misclassified", correct == 0, theme.misclassified, "diamond"),
    ]
    groups.append(("unknown", np.isnan(correct), theme.neutral, "circle"))
    kind = points_kind(len(part))
    traces = []
    for name, mask, colour, symbol in groups:
        if not mask.any():
            continue
        rows = part.loc[mask]
        marker = {"color": colour, "symbol": symbol, "size": 0.4 * theme.font_size, "opacity": 0.45}
        hover = f"{name}<br>{score_label(score)} %{{x:.3f}}, overlap %{{y:.3f}}"
        customdata = numbers(rows, "row")[:, None]
        x, y = numbers(rows, score), numbers(rows, variant)
        points = dots(
            x,
            y,
            kind=kind,
            name=name,
            legendgroup=name,
            showlegend=legend,
            marker=marker,
            customdata=customdata,
            hover=hover,
        )
        traces.append(points)
    return traces


def _trend_line(kind: Any, table: pd.DataFrame, theme: Theme, *, legend: bool) -> Any:
    low, mean, high = (numbers(table, column) for column in ("low", "y", "high"))
    curve = {"color": theme.ink, "width": 1.5}
    error_bars = interval(mean, low, high, thickness=1.2, width=3)
    marker = {"size": 0.5 * theme.font_size}
    x = numbers(table, "x")
    return dots(
        x,
        mean,
        kind=kind,
        mode="lines+markers",
        name="mean by tenths",
        legendgroup="trend",
        showlegend=legend,
        line=curve,
        marker=marker,
        error_y=error_bars,
        customdata=numbers(table, "n"),
        hover="%{customdata:,.0f} images: mean overlap %{y:.3f}",
    )


def _table(study: Study, options: FigureOptions) -> ScoredOverlaps:
    """Read every image with a mask, of any split."""
    table = study.kept("quality")
    score = known_score(table, options.score)
    frame = study.table("overlap").drop(columns=[score], errors="ignore")
    correct = frame["correct"].astype("boolean").to_numpy(dtype=float, na_value=np.nan)
    frame = frame.assign(correct=correct, **{score: table[score].to_numpy()[frame["row"].to_numpy()]})
    return ScoredOverlaps(frame, score, options.variant)


def _finding(data: ScoredOverlaps) -> str:
    """State the rank correlation on either mask."""
    label = score_label(data.score)
    correlations = _mask_correlations(data)
    parts = []
    for mask, rho in correlations.items():
        if np.isfinite(rho):
            parts.append(_say("on_mask", value=rho, what=ON_MASKS[mask]))
    if not parts:
        n_drawn = data.known.loc[~_exact_zeros(data.known, data.score), "mask"].value_counts()
        few = n_drawn.max() < FEWEST_RANKED if len(n_drawn) else True
        return _say("undefined_few" if few else "undefined_flat", what=label)
    return _say("correlation", what=label, parts=tuple(parts))


def _alt(data: ScoredOverlaps) -> str:
    return _say("alt", what=score_label(data.score))


Q_AGAINST_MIOU = Chart(
    name="q_against_miou",
    title="Q (--score) of each image against its overlap",
    needs=("quality", "overlap"),
    table=_table,
    draw=lambda data, _, theme: q_against_miou(data, theme=theme),
    finding=_finding,
    alt=_alt,
    column="double",
)
