"""Charts that are read from a folder or a file of research, not from a study."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.topics import function_named, topics


@dataclass(frozen=True)
class FolderChart:
    """A chart of a folder.

    Attributes:
        source: its number in the paper, or "". needs: what the command names instead of a study, in words.
        draw: (that path, options, theme) -> the figure. column: its width in print, single or double.
        score: `options.score` where none is given; "": that of studies.
    """

    name: str
    title: str
    source: str
    needs: str
    draw: Callable[[Path, FigureOptions, Theme], go.Figure]
    column: str = "double"
    score: str = ""


def folder_charts() -> dict[str, FolderChart]:
    """Return those of all topics by name."""
    named = [topic.folder_charts for topic in topics() if topic.folder_charts]
    return {chart.name: chart for name in named for chart in function_named(name)}
