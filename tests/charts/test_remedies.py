"""The chart of remedies: the gain and its interval stand beside each dot, on paper too."""

from __future__ import annotations

import pytest

from core.analysis.remedies import TEMPERATURE, points_text
from core.charts.remedies import remedy_gains
from core.charts.theme import LIGHT, layout_of, paper
from tests.analysis.test_remedies import table_of

GAINS = (("refit", 0.0, -0.1, 50), ("slices", -0.1, -0.2, 10), ("slices+balanced", 0.2, -0.1, 20),
         (TEMPERATURE, 0.1, 0.0, 0))  # fmt: skip


@pytest.mark.parametrize("theme", [LIGHT, paper()], ids=lambda one: one.name)
def test_rows__have_their_numbers_and_room_for_their_lines(theme):
    table = table_of(*GAINS)
    layout = layout_of(remedy_gains(table, theme=theme))
    rows = table.iloc[:3].to_dict("records")  # temperature changes no answer
    names = layout.yaxis.ticktext
    assert len(names) == len(rows)
    assert all(points_text(row) in name for row, name in zip(rows, names, strict=True))
    lines = max(1 + name.count("<br>") for name in names)
    assert layout.height > lines * theme.font_size * len(rows) + 100
