"""Tables and bars of the grids of domains, on written tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, layout_of, paper
from core.errors import SettingsError
from core.research.domains.figures.domain_grids import ddm_bars, ddm_table, tinted_rows
from tests.research.domains.grids.written_domains import ARM, BASE, cells, tinted


def test_ddm_table__holds_both_numbers_and_the_verdict():
    rows = cells()
    mean: Any = rows.groupby("arm")["top1_own_plain_all"].mean()
    fig = ddm_table(rows, FigureOptions(), LIGHT)
    (table,) = fig.data
    heads = [text.strip("<b>/") for text in table.header.values]
    assert heads == ["method", "arm", "plain", "sketch", "pastel (unseen)", "average"]
    assert [column[0] for column in table.cells.values][:2] == ["SimCLR", "DDM"]
    assert table.cells.values[2][0] == f"{100 * mean[BASE]:.1f} / {100 * mean[ARM]:.1f}"
    assert table.cells.values[4][0].endswith(" *")  # an interval without 0
    assert "Works: the domain leaves the rest" in layout_of(fig).annotations[0].text


def test_ddm_bars__one_bar_an_arm_and_domain():
    fig = ddm_bars(cells(), FigureOptions(), paper(column="double"))
    bars = [trace for trace in fig.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["baseline", "DDM"]
    assert np.allclose(bars[1].y[2] - bars[0].y[2], 4.0, atol=0.3)
    assert all(np.isfinite(bars[0].error_y.array)) and bars[0].error_y.visible
    assert sum(len(trace.y) for trace in fig.data if trace.type == "scatter") == 5 * 2 * 3  # each run once
    assert layout_of(fig).title.text.startswith("Unseen style pastel, gain: DDM<br>")
    assert "mean of 5 seeds with 95 % t-interval" in layout_of(fig).title.text
    few = ddm_bars(cells(3).assign(class_chance=0.05, preset="short"), FigureOptions(), LIGHT)
    assert layout_of(few).title.text.startswith("Unseen style pastel, not enough runs to tell<br>")
    assert "mean of 3 seeds, no intervals with fewer than 5" in layout_of(few).title.text
    assert not few.data[0].error_y.visible  # NaN would be drawn as an interval of 0
    assert "preset short" in layout_of(few).title.text and layout_of(few).shapes[0].y0 == 5
    with pytest.raises(SettingsError, match="no accuracies by domain"):
        ddm_bars(cells().loc[:, ["arm", "seed", "domains", "method", "colour"]], FigureOptions(), LIGHT)


def test_tinted_rows__show_the_closed_gap_of_disentangled_arms():
    rows = tinted_rows(tinted(one=0.805))
    assert [row[-1] for row in rows] == ["", "", "", "nothing to close"]
    assert [row[0] for row in rows] == ["no tint", "one tint", "two tints", "two tints, DDM (labels)"]
    assert len(ddm_table(tinted(), FigureOptions(), LIGHT).data[0].cells.values) == 4
    assert tinted_rows(tinted())[-1][-1] == "0.50 (not enough runs to tell)"
    table = tinted()
    assert tinted_rows(table.loc[table["arm"] != "one-tint"])[-1][-1] == ""  # it is not known what is lost
