"""The leaderboard on Compare: the button that computes it, the numbers of the command, and other encoders."""

from __future__ import annotations

import numpy as np
import pytest

from core.comparison.leaderboard import disagreements, leaderboard
from core.comparison.leaderboard_text import leaderboard_cells, number_cells
from core.jobs.commands import CompareEncoders
from core.jobs.progress import Progress
from core.pipeline.leaderboard import answer_for_leaderboard
from core.store import open_study
from dashboard.panels.new_study.other_encoders import TITLE
from tests.dashboard.conftest import all_text, drawn_charts, tiles
from tests.dashboard.views.test_compare import page_html

pytestmark = pytest.mark.slow


@pytest.fixture
def both(studies, second, unread):
    return studies


def test_without_answers__one_button_computes_them(both, started, open_page):
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    assert not app.exception and not page_html(app).count("<table")
    app.button(key="compare_board_start").click().run()
    assert [command for command, _ in started] == [CompareEncoders((both / "demo", both / "second"))]


def test_with_answers__the_table_is_that_of_the_command(both, open_page):
    studies = [open_study(both / name) for name in ("demo", "second")]
    answer_for_leaderboard(studies, {"device": "cpu"}, Progress.silent())
    board = leaderboard([open_study(one.path) for one in studies])
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    assert not app.exception
    text = page_html(app)
    for row in board.frame.to_dict("records"):
        cells = number_cells(board, row["study"])
        assert all(f"<td>{cell.value}" in text and cell.interval in text for cell in cells.values())
        assert len(leaderboard_cells(board)[1]) == len(cells) + 3
    assert any("leaderboard" in name for name in drawn_charts(app))
    shown = disagreements(board)
    assert f"{len(shown):,}" in all_text(app)
    assert len(tiles(app, "compare_divided")) == min(len(shown), 24)
    assert np.isfinite(board.frame["q_auroc"]).all()


@pytest.mark.parametrize("view", ["compare", "overview"])
def test_other_encoders__are_a_menu_where_there_is_an_encoder(both, open_page, view):
    """Of ready representations the menu of Compare says why not, and Overview has none."""
    app = open_page(view, study="demo")
    assert not app.exception
    has_menu = any(TITLE in str(block.proto) for block in app.get("popover")) or TITLE in str(app)
    assert has_menu == (view == "compare")
