"""The chart of the topic: of the folder of a search."""

import pandas as pd
import plotly.graph_objects as go

from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.research.grids.figures.grid_figures import GridFigure
from core.research.lambda_search.figure import lambda_grid


def _lambda_grid(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return lambda_grid(table, measure=options.score, theme=theme)


FOLDER_CHARTS = tuple(
    figure.chart()
    for figure in (
        GridFigure(
            "lambda_search",
            "results of a grid of lambdas",
            "Kalibhat 2024, Fig. A.8",
            ("lambda-search",),
            ("kind", "lambda1", "lambda2", "weight"),
            _lambda_grid,
            measure="top1",
        ),
    )
)
