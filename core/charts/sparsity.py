"""Activations sorted within each image, for correct and misclassified images (Kalibhat 2024, A.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import line
from core.charts.options import FigureOptions
from core.charts.q_distribution import LIKE
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.records import Templates
from core.store import Study

_say = Templates.beside(__file__)


def sparsity_finding(curves: np.ndarray) -> str:
    """State below a chart which images, correct or misclassified, have sparser representations.

    Args:
        curves: (2, n_ranks) mean sorted activations of correct and of misclassified images.
    """
    right, wrong = np.asarray(curves, float)
    if not np.isfinite([right, wrong]).all():
        return "Sparsity of one side only"
    kind = "correct" if right[0] > wrong[0] else "misclassified"
    if np.abs(right - wrong).max() <= LIKE * max(right[0], wrong[0]):
        kind = "alike"
    return _say(kind, names=(f"{right[0]:.2f}", f"{wrong[0]:.2f}"))


class Sorted(NamedTuple):
    """Means of the normalised activations sorted within each image.

    frame: rank (1 = an image's strongest feature), correct, misclassified (NaN for a group without images).
    counts: images of each group.
    """

    frame: pd.DataFrame
    counts: Sequence[int]

    @property
    def curves(self) -> np.ndarray:
        return self.frame[["correct", "misclassified"]].to_numpy().T


def sparsity(data: Sorted, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the mean of the activations sorted within each image, of correct and misclassified ones."""
    ranks, curves = data.frame["rank"].to_numpy(), data.curves
    if not np.isfinite(curves).any():
        return note_figure(
            "No evaluation image has a probe result, so there are no groups to compare.", theme
        )
    fig = go.Figure()
    for group, curve, n, dash in zip(
        ("correct", "misclassified"), curves, data.counts, ("solid", "dash"), strict=True
    ):
        if np.isfinite(curve).any():
            hover = f"{group}, rank %{{x:,}}: %{{y:.4f}}"
            title = f"{group} (n = {int(n):,})"
            colour = getattr(theme, group)
            fig.add_trace(line(ranks, curve, colour=colour, width=2, dash=dash, hover=hover, name=title))
    last = int(ranks[-1])
    ticks = [value for power in range(5) for value in (10**power, 3 * 10**power) if value < 0.7 * last]
    names = [f"{tick:,}" for tick in [*ticks, last]]
    fig.update_xaxes(title_text="features of an image, strongest first (log scale)", type="log")
    fig.update_xaxes(tickvals=[*ticks, last], ticktext=names)
    fig.update_yaxes(title_text="mean activation (normalised)", rangemode="tozero")
    return finish(fig, theme, height=330)


def _table(study: Study, options: FigureOptions) -> Sorted:
    ranks, (right, wrong) = study.vector("sparsity_ranks"), study.vector("sparsity_curves")
    frame = pd.DataFrame({"rank": ranks, "correct": right, "misclassified": wrong})
    return Sorted(frame, study.vector("group_counts").sum(1).tolist())


def _draw(data: Sorted, options: FigureOptions, theme: Theme) -> go.Figure:
    return sparsity(data, theme=theme)


SPARSITY = Chart(
    name="sparsity",
    title="sorted activations by correctness",
    source="Kalibhat 2024, A.1",
    needs=("probe", "sparsity_curves"),
    table=_table,
    draw=_draw,
    finding=lambda data: sparsity_finding(data.curves),
    alt=lambda _: "Mean sorted activations of correct and of misclassified images",
)
