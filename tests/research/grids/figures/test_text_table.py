"""Tables as figures: the room that their sentences and rows need."""

from __future__ import annotations

from typing import Any

import pytest

from core.charts.theme import LIGHT, layout_of, paper
from core.research.grids.figures.text_table import text_table

ROWS = [["SimCLR", "50.0"], ["BYOL", ""]]


def test_text_table__a_column_of_words_is_left_aligned():
    figure: Any = text_table(["method", "arm", "top-1 %"], [["SimCLR", "plain", "50.0"]])
    table = figure.data[0]
    assert list(table.cells.align) == list(table.header.align) == ["left", "left", "center"]


@pytest.mark.parametrize("theme", [LIGHT, paper(column="double")], ids=["screen", "print"])
@pytest.mark.parametrize("words", [0, 5, 100])
def test_text_table__has_room_for_its_sentences(theme, words):
    """The margins hold the lines of finding and note, the rest all rows and the header."""
    figure: Any = text_table(
        ["method", "top-1 %"], ROWS, finding="one " * words, note="two " * words, theme=theme
    )
    layout, table = layout_of(figure), figure.data[0]
    lines = [note.text.count("<br>") + 1 for note in layout.annotations]
    assert len(lines) == (2 if words else 0)
    sides = [layout.margin.t, layout.margin.b]
    assert all(side >= 1.3 * theme.font_size * n for side, n in zip(sides, lines, strict=False))
    assert layout.height - sum(sides) >= table.header.height + len(ROWS) * table.cells.height


def test_text_table__without_rows():
    figure: Any = text_table(["a", "b"], [])
    assert [list(column) for column in figure.data[0].cells["values"]] == [[], []]
