"""The page Figures: it lists what was marked, and hands it out."""

from __future__ import annotations

import pytest

from core.charts.documents import archive_files
from core.charts.kept_figures import KeptFigure
from dashboard.state import my_figures, session
from tests.dashboard.conftest import all_text, drawn_charts, forget, unescaped

NAME = "0" * 31 + "1"
DRAWING = '{"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {"width": 336, "height": 242}}'


def figure(number: int) -> KeptFigure:
    return KeptFigure(f"demo_{number}", f"Caption {number}.", DRAWING, "x\n1\n", 336, 242)


@pytest.fixture
def marked(studies, open_page, monkeypatch):
    """The page with two figures that were marked before."""
    monkeypatch.setattr(my_figures, "name", lambda: NAME)
    for number in (1, 2):
        my_figures.mark(figure(number))
    app = open_page("figures", study="demo")
    assert not app.exception
    return app


def test_page__says_how_a_figure_is_marked(studies, open_page):
    app = open_page("figures", study="demo")
    assert not app.exception and "To my figures" in all_text(app)
    assert not app.get("download_button")


def test_page__leads_to_a_page_of_which_the_study_has_the_chart(studies, open_page, monkeypatch):
    gone: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(session, "go", lambda page, **parts: gone.append((page, parts)))
    open_page("figures", study="demo").button(key="figures_first").click().run()
    assert gone == [("predicting_errors", {})]
    forget(studies / "demo", "quality")
    open_page("figures", study="demo").button(key="figures_first").click().run()
    assert gone[1:] == [("features", {"features_as": "Plot"})]


def test_page__lists_each_with_its_files(marked):
    assert [area.value for area in marked.text_area] == ["Caption 1.", "Caption 2."]
    assert list(drawn_charts(marked)) == ["kept_000001", "kept_000002"]
    keys = {one.key for one in marked.get("download_button")}
    files = {f"figure_{kind}_00000{n}" for kind in ("pdf", "svg", "png", "csv") for n in (1, 2)}
    assert keys == {"figures_zip"} | files


def test_page__caption_and_removal_are_kept(marked):
    marked.text_area(key="figure_caption_000001").set_value("Mine").run()
    marked.button(key="figure_remove_000002").click().run()
    assert [one.caption for one in my_figures.figures().values()] == ["Mine"]
    assert [area.value for area in marked.text_area] == ["Mine"]


def test_page__moves_a_figure_in_every_export(marked, monkeypatch):
    assert marked.button(key="figure_earlier_000001").disabled
    assert marked.button(key="figure_later_000002").disabled
    marked.button(key="figure_earlier_000002").click().run()
    assert [area.value for area in marked.text_area] == ["Caption 2.", "Caption 1."]
    figures = list(my_figures.figures().values())
    files = archive_files(figures, [b""] * 2)
    assert list(files)[0].startswith("1_demo_2") and files["captions.txt"].startswith(b"1_demo_2")
    marked.button(key="figure_later_000002").click().run()
    assert [area.value for area in marked.text_area] == ["Caption 1.", "Caption 2."]


def test_mark__twice_and_when_full(marked, monkeypatch):
    before = my_figures.figures()
    assert my_figures.mark(figure(2)) and my_figures.figures() == before
    monkeypatch.setattr("core.charts.kept_figures.MOST_FIGURES", 2)
    assert my_figures.mark(figure(3)) and my_figures.figures() == before


def test_link_of_a_figure_sheet__is_told_that_sheets_left(studies, open_page):
    app = open_page("figures", study="demo", sheet="roc?caption=A|map")
    assert not app.exception and "sheet" not in app.query_params
    assert any("0.4.0" in unescaped(one.value) for one in app.info)
