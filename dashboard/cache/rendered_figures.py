"""Figures ready for the page, each rendered once: it costs plotly tens of milliseconds."""

from collections.abc import Callable, Hashable

import plotly.graph_objects as go
import plotly.io

from core.charts.theme import layout_of
from core.store import Study
from dashboard.cache.reader import cached_read

HEIGHT = 450  # pixels, of a figure that names none


class RenderedFigure:
    """What the page receives of a figure: its JSON text, its height in pixels, and the width for which that
    is meant (0: any).
    """

    def __init__(self, figure: go.Figure) -> None:
        self.text = str(plotly.io.to_json(figure, validate=False))
        self.height = int(layout_of(figure).height or HEIGHT)
        self.width = int((layout_of(figure).meta or {}).get("laid_out_for", 0))


@cached_read(max_entries=256, names_features=True)
def rendered(
    study: Study, name: str, theme: str, depends_on: tuple[Hashable, ...], _draw: Callable[[], go.Figure]
) -> RenderedFigure:
    """Render what `_draw` returns, once for each chart, theme and choice that it depends on."""
    return RenderedFigure(_draw())
