"""What the figures of grids share: the finding above them in words, what their marks and runs are, the dots
of single runs. No torch."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import Theme
from core.research.grids.figures.text_table import sentence_lines
from core.research.grids.over_seeds import ENOUGH, NOT_ENOUGH, SeedSummary
from core.research.grids.seeds import by_seed, by_values, paired_difference, preset_of


def grouped_by_sign(summaries: Mapping[str, SeedSummary], *, above: str, below: str) -> str:
    """Say which of some paired differences lie above 0, which below, and which are unclear or of few runs.

    >>> grouped_by_sign({}, above="rises", below="falls")
    'not enough runs to tell'
    """
    words = {"above 0": above, "below 0": below, "no clear difference": "no clear difference"}
    if any(one.enough for one in summaries.values()):
        words[NOT_ENOUGH] = NOT_ENOUGH
    groups = [
        f"{word}: {', '.join(names)}"
        for sign, word in words.items()
        if (names := [name for name, one in summaries.items() if one.sign == sign])
    ]
    return "; ".join(groups) or NOT_ENOUGH


def paired_differences(
    table: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], measure: str
) -> dict[str, SeedSummary]:
    """Paired differences of a measure, {name: arm - other} for {name: (arm, other)}."""
    return {
        name: paired_difference(by_seed(table, arm, measure), by_seed(table, other, measure))
        for name, (arm, other) in pairs.items()
    }


def fewest_seeds(table: pd.DataFrame) -> tuple[int, int]:
    """The smallest and the largest number of different seeds that an arm was run with."""
    counts = [len(set(rows["seed"])) for _, rows in by_values(table, ["arm"])]
    return min(counts), max(counts)


def runs_note(table: pd.DataFrame, *marks: str) -> str:
    """Say what a value is the mean of, what the marks are, and the preset.

    >>> runs_note(pd.DataFrame({"arm": ["a", "a"], "seed": [0, 1]}), "dotted: chance")
    'mean of 2 seeds, no intervals with fewer than 5; dotted: chance'
    """
    few, _ = fewest_seeds(table)
    interval = " with 95 % t-interval" if few >= ENOUGH else f", no intervals with fewer than {ENOUGH}"
    return "; ".join(filter(None, (f"mean of {seeds_words(table)}{interval}", *marks, preset_of(table))))


def seeds_words(table: pd.DataFrame) -> str:
    """
    >>> seeds_words(pd.DataFrame({"arm": ["a", "a", "b"], "seed": [0, 1, 0]}))
    '1 to 2 seeds'
    """
    few, most = fewest_seeds(table)
    return f"{most} seed{'s' * (most != 1)}" if few == most else f"{few} to {most} seeds"


def headed(figure: go.Figure, finding: str, note: str, theme: Theme, *, panels: bool = False) -> go.Figure:
    """Put a finding and a note above a finished figure, which becomes higher by as much.

    Args:
        panels: the panels have titles, below the legend.
    """
    layout: Any = figure.layout
    size, width = theme.font_size, layout.width or 960
    finding = finding[:1].upper() + finding[1:]
    lines = sentence_lines(finding, round(width / (0.55 * size)))
    notes = sentence_lines(note, round(width / (0.5 * size)))
    small = [f"<span style='font-size:{size - 1}px;color:{theme.muted}'>{line}</span>" for line in notes]
    above = 1.3 * size * (len(lines) + len(small)) + 0.6 * size
    height = round((layout.height or 400) + above)
    top = round(above + (3.8 if panels else 2.2) * size)
    text = {"text": "<br>".join([*lines, *small]), "font": {"size": size, "color": theme.ink}}
    anchor = {"x": 0.008, "xanchor": "left", "y": 1 - size / height, "yanchor": "top"}
    legend = {"yref": "container", "y": 1 - above / height, "yanchor": "top"}
    return figure.update_layout(title=text | anchor, height=height, margin={"t": top}, legend=legend)


def run_dots(name: str, summary: SeedSummary, group: str, theme: Theme, *, factor: float = 1.0) -> go.Scatter:
    """Dots of the single runs, times `factor`, on the bar `name` of a group of bars."""
    return go.Scatter(
        x=[name] * summary.n,
        y=[factor * value for value in summary.values],
        mode="markers",
        marker={"color": theme.ink, "size": theme.stroke(4), "opacity": 0.6},
        legendgroup=group,
        offsetgroup=group,
        showlegend=False,
        hoverinfo="skip",
    )
