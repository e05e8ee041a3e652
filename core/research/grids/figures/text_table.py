"""A table as a figure: rows of texts, a finding above, what the cells are below. No torch."""

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from core.charts.theme import LIGHT, Theme, finish, layout_of

NARROWEST = 8  # letters of a column
HEADER_PX = 28  # plotly draws no lower header


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    finding: str = "",
    note: str = "",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Draw rows of texts; columns are as wide as their longest text asks for.

    Args:
        finding: sentence above, wrapped. note: below, wrapped line by line.
    """
    size = theme.font_size
    line = round(2.1 * size)
    font = {"color": theme.ink, "size": size, "family": theme.font}
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in head]
    align = ["center" if any(map(_has_digit, column)) else "left" for column in columns]
    align[0] = "left"
    figure = go.Figure(
        go.Table(
            header={
                "values": [f"<b>{text}</b>" for text in head],
                "fill_color": theme.surface,
                "line_color": theme.grid,
                "align": align,
                "font": font,
                "height": max(line, HEADER_PX),
            },
            cells={
                "values": columns,
                "fill_color": theme.background,
                "line_color": theme.grid,
                "align": align,
                "font": font,
                "height": line,
            },
            columnwidth=[
                max(NARROWEST, *(len(text) + 2 for text in (name, *column)))
                for name, column in zip(head, columns, strict=True)
            ],
        )
    )
    letters = round((theme.width or 960) / (0.44 * size))
    above = sentence_lines(finding, letters)
    below = [part for text in note.split("<br>") for part in sentence_lines(text, round(1.1 * letters))]
    margin = {
        "l": 4,
        "r": 4,
        "t": round(1.5 * size * len(above)) + (size if above else 4),
        "b": round(1.4 * size * len(below)) + size,
    }
    height = max(line, HEADER_PX) + line * len(rows) + 4 + margin["t"] + margin["b"]
    finish(figure, theme, height=height)
    anchor: dict[str, Any] = {"xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "align": "left"}
    if above:
        figure.add_annotation(
            text="<br>".join(above), y=1, yanchor="bottom", yshift=0.4 * size, showarrow=False,
            font={"size": size, "color": theme.ink}, **anchor,
        )  # fmt: skip
    if below:
        figure.add_annotation(
            text="<br>".join(below), y=0, yanchor="top", yshift=-0.4 * size, showarrow=False,
            font={"size": size - 1, "color": theme.muted}, **anchor,
        )  # fmt: skip
    layout_of(figure).update(height=height, margin=margin)
    return figure


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def sentence_lines(text: str, n_letters: int) -> list[str]:
    """
    >>> sentence_lines("one two three", 10)
    ['one two', 'three']
    """
    return textwrap.wrap(text, max(n_letters, 10))
