"""A figure made ready for the page once: building and writing one costs plotly tens of milliseconds."""

from __future__ import annotations

import plotly.graph_objects as go
import plotly.io

HEIGHT = 450  # pixels, of a figure that names none


class Drawn:
    """What the page receives of a figure: its JSON text and its height in pixels."""

    def __init__(self, figure: go.Figure) -> None:
        self.text = str(plotly.io.to_json(figure, validate=False))
        self.height = int(figure.layout.height or HEIGHT)


def ready(figure: go.Figure | Drawn) -> Drawn:
    """The figure as the page receives it; one that is ready stays as it is."""
    return figure if isinstance(figure, Drawn) else Drawn(figure)
