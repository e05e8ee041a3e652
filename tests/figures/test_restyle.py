"""A chart of the dashboard dressed for print is the figure that the command draws."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest

from core.figures.catalogue import draw, entry_named, theme_of
from core.figures.options import FigureOptions
from core.figures.restyle import for_print, restyle
from core.figures.theme import DARK, LIGHT, paper
from core.store import open_study
from tests.synthetic import make_study

NAMES = ("sorted_activation", "purity", "q_distribution", "roc", "finding_errors", "risk_coverage", "rivals")
FREE = ("line", "marker", "error_x", "error_y", "type")  # strokes that the page draws thicker; WebGL


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    return open_study(make_study(tmp_path_factory.mktemp("restyle") / "demo"))


def plain(figure: go.Figure) -> dict:
    return json.loads(str(figure.to_json()))


def colours(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(colours, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(colours, value), set())
    return {value.upper()} if isinstance(value, str) and value.startswith("#") else set()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", NAMES)
def test_same_as_the_command_draws(study, name, theme):
    entry = entry_named(name)
    wanted = plain(draw(study, name))
    made = plain(restyle(entry.draw([study], FigureOptions(), theme), theme, theme_of("paper", entry)))
    assert len(made["data"]) == len(wanted["data"])
    for mine, theirs in zip(made["data"], wanted["data"], strict=True):
        assert {k: v for k, v in mine.items() if k not in FREE} == {
            k: v for k, v in theirs.items() if k not in FREE
        }
    assert made["layout"]["template"] == wanted["layout"]["template"]
    assert colours(made["data"]) == colours(wanted["data"])
    assert made["layout"]["width"] == wanted["layout"]["width"]


def test_dark_page__nothing_of_it_is_left(study):
    entry = entry_named("rivals")
    made = plain(for_print(entry.draw([study], FigureOptions(), DARK), DARK, column="double", font="sans"))
    own = {DARK.ink, DARK.background, DARK.correct, DARK.misclassified, DARK.muted}
    assert not colours(made) & {colour.upper() for colour in own}
    assert made["layout"]["template"]["layout"]["font"]["family"] == paper(font="sans").font
    assert made["layout"]["width"] == 696


def test_takes_json_text_too(study):
    figure = draw(study, "roc", style="screen")
    assert plain(for_print(str(figure.to_json()), LIGHT)) == plain(for_print(figure, LIGHT))


def test_figure_itself_stays_as_it_was(study):
    figure = draw(study, "roc", style="screen")
    before = plain(figure)
    for_print(figure, LIGHT)
    assert plain(figure) == before


def test_long_note__is_broken_and_makes_room():
    figure = go.Figure(layout={"margin": {"t": 40}, "legend": {"y": 1.1}, "height": 380})
    note = {"text": "word " * 60, "x": 0, "y": 1.02, "xref": "paper", "yref": "paper", "showarrow": False}
    figure.add_annotation(note | {"font": {"size": 12}})
    made = plain(for_print(figure, LIGHT))["layout"]
    lines = made["annotations"][0]["text"].split("<br>")
    assert len(lines) > 2 and max(map(len, lines)) * 0.5 * 8 <= 336
    assert made["margin"]["t"] > 40 and made["legend"]["y"] > 1.1


def test_webgl_points__become_vectors():
    figure = go.Figure(go.Scattergl(x=[1, 2], y=[1, 2], mode="markers"))
    assert for_print(figure, LIGHT).data[0].type == "scatter"
