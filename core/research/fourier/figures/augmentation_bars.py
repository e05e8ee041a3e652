"""Kalibhat, dissertation, Fig. 5.2: accuracy as augmentations are added one by one, with each one left out,
and with FDA.
"""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.theme import LIGHT, Theme, finish, tint
from core.common.dataframes import words
from core.research.fourier.grids.verdicts import ALL, METHODS, SIX, removal_verdict
from core.research.grids.figures.grid_titles import headed, run_dots, runs_note
from core.research.grids.over_seeds import over_seeds
from core.research.grids.seeds import by_seed

FOUR = ("amplitude", "phase", "mask", "mixture")
PANELS = (  # title, (arm without its method, label)
    ("added in turn", [(f"add-{name}", f"+ {name}") for name in SIX]),
    ("one left out", [(ALL, "all six"), *((f"remove-{name}", f"− {name}") for name in SIX)]),
    (
        "FDA as seventh",
        [
            ("fda", "+ FDA"),
            *((f"fda-only-{name}", f"only {name}") for name in FOUR),
            *((f"fda-without-{name}", f"no {name}") for name in FOUR),
        ],
    ),
)


def augmentation_bars(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Plot the mean over seeds of each arm and its runs, with a t-interval where there are enough seeds.

    Args:
        table: of a grid `fda-augmentations`: arm, method, seed and `measure`, a share.
    """
    titles, widths = [title for title, _ in PANELS], [len(arms) for _, arms in PANELS]
    figure = make_subplots(1, 3, shared_yaxes=True, subplot_titles=titles, column_widths=widths,
                           horizontal_spacing=0.03)  # fmt: skip
    colours = [theme.discriminative, theme.accent, theme.upper, theme.neutral]
    highest = 0.0
    for number, method in enumerate(dict.fromkeys(words(table, "method"))):
        for column, (_, arms) in enumerate(PANELS, 1):
            summaries = {
                label: over_seeds(by_seed(table, f"{method}-{arm}", measure).values()) for arm, label in arms
            }
            means = [100 * one.mean for one in summaries.values()]
            halves = [50 * (one.high - one.low) if one.enough else 0.0 for one in summaries.values()]
            tops = [mean + half for mean, half in zip(means, halves, strict=True) if mean == mean]
            runs = [100 * value for one in summaries.values() for value in one.values]
            highest = max([highest, *tops, *runs])
            bar = go.Bar(
                x=list(summaries),
                y=means,
                error_y={"type": "data", "array": halves, "visible": any(halves)},
                name=METHODS.get(method, method),
                legendgroup=method,
                offsetgroup=method,
                showlegend=column == 1,
                marker_color=tint(colours[number % len(colours)], 0.9),
                text=[f"{mean:.1f}" if mean == mean else "" for mean in means],
                textposition="inside",
                insidetextanchor="start",
                textangle=-90,
                hovertemplate="%{x}<br>%{y:.1f} %<extra></extra>",
            )
            figure.add_trace(bar, 1, column)
            for label, one in summaries.items():
                figure.add_trace(run_dots(label, one, method, theme, factor=100), 1, column)
    figure.update_yaxes(range=[0, 1.12 * highest or 1])
    figure.update_yaxes(title_text=f"{'top-1 accuracy' if measure == 'top1' else measure} (%)", row=1, col=1)
    figure.update_xaxes(tickangle=-50)
    several = len(set(words(table, "method"))) > 1
    figure.update_layout(barmode="group", scattermode="group", bargap=0.2, showlegend=several)
    figure.update_annotations(font_size=theme.font_size)
    finish(figure, theme, height=440 if several else 400)
    figure.update_layout(margin={"b": 80})
    note = runs_note(table, "dots: runs", "FDA: each of its four transforms alone and left out")
    return headed(figure, removal_verdict(table, measure=measure), note, theme, panels=True)
