"""Cached reads of what charts show, and figures ready for the page; the rules are those of `reader.py`."""

from collections.abc import Callable, Hashable
from typing import Any

import plotly.graph_objects as go
import plotly.io

from core.charts.options import FigureOptions
from core.charts.theme import layout_of
from core.measures.slice import Slice
from core.measures.slice_tables import AS_DECIDED
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

# Figures ready for the page, each rendered once: it costs plotly tens of milliseconds.


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


# Cached reads of what charts show; the rules are those of `reader.py`.


def chart_table(
    study: Study, where: Slice | None, name: str, options: FigureOptions, others: tuple[Study, ...] = ()
) -> Any:
    """What a chart shows of the images of a filter, beside other studies; see `Chart.read`."""
    from core.charts.registry import CHARTS  # here: it loads all charts, and the first page has none

    follows_decisions = not AS_DECIDED.keys().isdisjoint(CHARTS[name].needs)
    return (_read if follows_decisions else _kept)(study, where, name, options, others)


def _read(
    study: Study, where: Slice | None, name: str, options: FigureOptions, others: tuple[Study, ...]
) -> Any:
    from core.charts.registry import CHARTS

    beside = None if CHARTS[name].same_images else where
    studies = [narrowed(study, where), *(narrowed(other, beside) for other in others)]
    return CHARTS[name].read(studies, options)


_kept = cached_read(max_entries=64, spinner="Resampling")(_read)


def narrowed(study: Study, where: Slice | None) -> Study:
    """The study whose numbers are those of the images of a slice; None: of the whole study."""
    return study if where is None else reads.narrowed(study, where)
