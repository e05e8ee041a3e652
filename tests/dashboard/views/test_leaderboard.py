"""The leaderboard on Compare: the button that computes it, the numbers of the command, and other encoders."""

from __future__ import annotations

import os

import numpy as np
import pytest

from core.compare import shared_folds
from core.compare.images import left_out
from core.compare.leaderboard import disagreements, leaderboard, leaderboard_cells, notes_of, number_cells
from core.pipeline.leaderboard import answer_for_leaderboard
from core.store import open_study
from core.study import label_decisions
from core.study.commands import CompareEncoders
from core.study.progress import Progress
from dashboard.jobs import further_studies
from dashboard.panels.leaderboard import WHICH
from dashboard.panels.other_encoders import KEY, SHIPPED, TITLE
from tests.dashboard.conftest import all_text, drawn_charts, tiles, write_progress
from tests.dashboard.views.test_compare import page_html
from tests.manifests import edited_manifest

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


def test_compute__waits_while_a_study_of_it_is_written(both, open_page):
    write_progress(both / "second")
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    assert not app.exception
    button = app.button(key="compare_board_start")
    assert button.disabled and button.help and "second" in all_text(app)


def test_pictures__name_labels_with_what_was_decided_in_any_of_the_studies(both, open_page):
    studies = [open_study(both / name) for name in ("demo", "second")]
    answer_for_leaderboard(studies, {"device": "cpu"}, Progress.silent())
    board = leaderboard([open_study(one.path) for one in studies])
    row = int(disagreements(board)["row"].iat[0])
    image_id, label = studies[0].images.loc[row, ["image_id", "label"]]
    other = next(name for name in studies[0].class_names if name != label)
    label_decisions.decide_label(studies[1], image_id, other)
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    shown = {tile["id"]: tile["lines"][0] for tile in tiles(app, "compare_divided")}
    assert shown[row].startswith(label_decisions.label_words(label, other))
    assert sum("corrected" in line for line in shown.values()) == 1
    assert "decided" in {getattr(note.text, "kind", "") for note in notes_of(board)}


def test_other_encoders__a_start_empties_the_choice(both, open_page, monkeypatch):
    """So neither a second click nor a page that is left open starts them once more."""
    starts = []
    monkeypatch.setattr(further_studies, "why_no_other_encoder", lambda _: None)
    monkeypatch.setattr(further_studies, "start_all", lambda study, encoders: starts.append(encoders) or [])
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    app.session_state[KEY] = True  # AppTest has no click for a popover
    app.run()
    app.multiselect(key=SHIPPED).select(app.multiselect(key=SHIPPED).options[0]).run()
    app.button(key=f"{KEY}_start").click().run()
    assert not app.exception and len(starts) == 1
    app.session_state[KEY] = True
    app.run()
    assert app.multiselect(key=SHIPPED).value == [] and app.button(key=f"{KEY}_start").disabled


def test_first_choice__is_the_open_study_and_the_newest_of_each_other_encoder(both, shelf, open_page):
    """Twins of other labels can be chosen, too."""
    twins = [shelf.serve(name, both / "second") for name in ("older", "newer")]
    own_twin = shelf.serve("twin", both / "demo")
    of_b = [both / "second", *twins]
    for folder in (both / "demo", own_twin, *of_b):
        with edited_manifest(folder) as manifest:
            encoder = {"fingerprint": "b" if folder in of_b else "a"}
            manifest["steps"]["embed"]["summary"].setdefault("encoder", {}).update(encoder)
    for age, folder in enumerate([both / "demo", twins[0], both / "second", twins[1]]):
        os.utime(folder / "images.parquet", ns=(age, age))
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    board = app.multiselect(key=WHICH)
    assert sorted(board.value) == ["demo", "newer"] and "twin" in str(board.options)
    assert all(name in all_text(app) for name in ("older", "second", "twin"))
    board = open_page("compare", study="twin", compare_what="Leaderboard").multiselect(key=WHICH)
    assert sorted(board.value) == ["newer", "twin"]


def test_compute__says_before_what_it_leaves_out(both, open_page, monkeypatch):
    labels = open_study(both / "second").images["label"].to_numpy(object)
    monkeypatch.setattr(shared_folds, "_common_labels", lambda _: (labels, 3))
    app = open_page("compare", study="demo", compare_what="Leaderboard")
    assert not app.exception and app.button(key="compare_board_start")
    assert f"{left_out(3)} is answered" in all_text(app)
