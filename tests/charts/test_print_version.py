"""A chart of the dashboard drawn for print is the figure that the command draws."""

from __future__ import annotations

import json
from functools import partial

import plotly.graph_objects as go
import pytest

from core.charts.catalogue import chart_named, draw
from core.charts.fonts import text_width
from core.charts.options import FigureOptions
from core.charts.print_version import SCATTER_POINTS, print_version
from core.charts.theme import DARK, LIGHT, Theme, layout_of, paper, traces_of
from core.store import open_study
from tests.synthetic import make_study

NAMES = ("sorted_activation", "purity", "q_distribution", "roc", "finding_errors", "risk_coverage")
NAMES = (*NAMES, "baselines")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    return open_study(make_study(tmp_path_factory.mktemp("print") / "demo"))


def drawn(study, name: str):
    chart, options = chart_named(name), FigureOptions()
    return partial(chart.draw, chart.read([study], options), options)


def plain(figure: go.Figure) -> dict:
    return json.loads(str(figure.to_json()))


def colours(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(colours, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(colours, value), set())
    return {value.upper()} if isinstance(value, str) and value.startswith("#") else set()


@pytest.mark.parametrize("font", ["serif", "sans"])
@pytest.mark.parametrize("name", NAMES)
def test_same_as_the_command_draws(study, name, font):
    wanted = plain(draw(study, name, font=font))
    made = plain(print_version(drawn(study, name), column=chart_named(name).column, font=font))
    assert made["data"] == wanted["data"]
    assert made["layout"]["template"] == wanted["layout"]["template"]
    assert colours(made["data"]) == colours(wanted["data"])
    assert made["layout"]["width"] == wanted["layout"]["width"]


def test_a_legend_of_many_rows__takes_nothing_from_the_panel(tmp_path):
    names = tuple(f"class {n:02d}" for n in range(20))
    few, many = (
        make_study(tmp_path / str(n), n_train=80, n_val=40, n_classes=n, class_names=names) for n in (2, 20)
    )
    few, many = (layout_of(draw(open_study(study), "map")).height for study in (few, many))
    assert few == paper().height and many >= few + 3 * 15


def wide(names: list[str] | None = None) -> go.Figure:
    rows = [0, 1, 2]
    figure = go.Figure(go.Scatter(x=names or [-30, 20, 70], y=rows), layout={"width": 336})
    long_names = [f"a remedy with a very long name {row}" for row in rows]
    return figure.update_yaxes(tickvals=rows, ticktext=long_names)


def test_short_axis_of_numbers__has_as_many_ticks_as_have_room():
    """Of two numbers, as plotly has them there, nobody reads a value."""
    made = print_version(lambda _: wide())
    assert layout_of(made).xaxis.nticks > 5
    for names, of_reader in ((["ant", "bee", "cat"], None), (None, 3)):
        figure = wide(names).update_xaxes(nticks=of_reader)
        assert layout_of(print_version(lambda _, figure=figure: figure)).xaxis.nticks == of_reader


def test_dark_page__nothing_of_it_is_left(study):
    baselines = drawn(study, "baselines")
    own = {DARK.ink, DARK.background, DARK.correct, DARK.misclassified, DARK.muted}
    assert colours(plain(baselines(DARK))) & {colour.upper() for colour in own}
    made = plain(print_version(baselines, column="double", font="sans"))
    assert not colours(made) & {colour.upper() for colour in own}
    assert made["layout"]["template"]["layout"]["font"]["family"] == paper(font="sans").font
    assert made["layout"]["width"] == 696


def test_figure_on_the_page_stays_as_it_was(study):
    shown = draw(study, "roc", style="screen")
    before = plain(shown)

    def again(theme: Theme) -> go.Figure:
        return shown

    print_version(again)
    assert plain(shown) == before


def test_panels_that_grew_with_their_rows__keep_their_proportions():
    def bars(theme: Theme) -> go.Figure:
        return go.Figure(layout={"height": theme.height or 760})

    usual = paper().height
    assert usual is not None
    assert layout_of(print_version(bars, screen_height=760)).height == 2 * usual
    assert layout_of(print_version(bars, screen_height=200)).height == usual
    tall = print_version(lambda theme: go.Figure(layout={"height": 999}), screen_height=760)
    assert layout_of(tall).height == 999


def noted(theme: Theme) -> go.Figure:
    figure = go.Figure(layout={"margin": {"t": 40}, "legend": {"y": 1.1}, "height": 380})
    note = {"text": "word " * 60, "x": 0, "y": 1.02, "xref": "paper", "yref": "paper", "showarrow": False}
    return figure.add_annotation(note | {"font": {"size": theme.font_size - 2}})


def test_long_note__is_broken_and_makes_room():
    made = plain(print_version(noted))["layout"]
    lines = made["annotations"][0]["text"].split("<br>")
    assert len(lines) > 2 and max(text_width(line, 8) for line in lines) <= 336
    assert made["margin"]["t"] > 40 and made["legend"]["y"] > 1.1


def test_short_and_turned_notes__stay_as_they_are():
    def turned(theme: Theme) -> go.Figure:
        return noted(theme).update_annotations(textangle=-90).add_annotation(text="short", y=2, yref="paper")

    made = print_version(turned)
    assert [note.text for note in layout_of(made).annotations] == ["word " * 60, "short"]
    assert layout_of(made).margin.t == 40


@pytest.mark.slow
@pytest.mark.parametrize("n, kind", [(2, "scatter"), (SCATTER_POINTS + 1, "scattergl")])
def test_webgl_points__become_vectors_unless_there_are_too_many(n, kind):
    points = go.Scattergl(x=list(range(n)), y=list(range(n)), mode="markers", customdata=[[1]] * n)
    made = traces_of(print_version(lambda theme: go.Figure(points)))[0]
    assert made.type == kind and len(made.x) == n
    assert made.mode == "markers" and len(made.customdata) == n


def test_dashboard_theme__is_not_the_one_of_paper():
    given: list[Theme] = []

    def note_theme(theme: Theme) -> go.Figure:
        given.append(theme)
        return go.Figure()

    print_version(note_theme, column="double", font="sans")
    assert given == [paper(column="double", font="sans")] and given[0] not in (LIGHT, DARK)
