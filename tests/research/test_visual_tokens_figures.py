"""The figures of visual tokens show the numbers they are given."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.charts.chart import folder_charts
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, layout_of, traces_of
from core.errors import SettingsError
from core.research.visual_tokens_figures import CURVES
from core.research.visual_tokens_graph import Node, SceneGraph, Triple
from core.research.visual_tokens_scene_graph import attention_figure, scene_graph_figure

BOXES = np.array([[10.0, 10, 30, 40], [50, 20, 80, 60], [0, 0, 96, 96]])
GRAPH = SceneGraph(
    (Node("dog"), Node("cat"), Node("grass")),
    BOXES,
    np.ones(3),
    (Triple(0, 1, "left of"), Triple(0, 2, "on")),
)


def test_scene_graph__boxes_names_and_an_arrow_for_each_relation():
    fig = scene_graph_figure(Image.new("RGB", (96, 96)), GRAPH)
    boxes = [shape for shape in layout_of(fig).shapes if shape.type == "rect"]
    assert [(s.x0, s.y0, s.x1, s.y1) for s in boxes] == [(10, 10, 30, 40), (50, 20, 80, 60)]
    texts = [note.text for note in layout_of(fig).annotations if note.text]
    assert texts == ["dog", "cat", "grass", "left of", "on"]
    heads = [(note.x, note.y) for note in layout_of(fig).annotations if note.showarrow]
    assert heads == [(65, 40), (48, pytest.approx(96 * 0.9))] and len(layout_of(fig).images) == 1


def test_scene_graph__words_of_objects_that_lie_close_together_do_not_cover_each_other():
    boxes = np.array([[30.0, 30, 50, 50], [32, 31, 52, 51], [34, 33, 50, 52], [0, 0, 96, 96]])
    nodes = tuple(Node(name) for name in ("red aircraft", "blue aircraft", "green dog", "sky"))
    triples = (Triple(0, 1, "left of"), Triple(1, 2, "above"), Triple(2, 3, "on"), Triple(0, 2, "left of"))
    fig = scene_graph_figure(Image.new("RGB", (96, 96)), SceneGraph(nodes, boxes, np.ones(4), triples))
    said = [note for note in layout_of(fig).annotations if note.text]
    assert len(said) == 8
    pixel, size = 96 / layout_of(fig).height, LIGHT.font_size - 2
    half = {note.text: (0.25 * size * len(note.text) * pixel, 0.6 * size * pixel) for note in said}
    for one, other in combinations(said, 2):
        apart = abs(one.x - other.x), abs(one.y - other.y)
        wide, tall = (half[one.text][at] + half[other.text][at] for at in (0, 1))
        assert apart[0] >= wide or apart[1] >= tall, (one.text, other.text)


def test_scene_graph__a_word_that_was_moved_away_is_joined_to_its_object():
    nodes, boxes = tuple(Node(f"red dog {n}") for n in range(12)), np.tile([[40.0, 40, 44, 44]], (12, 1))
    fig = scene_graph_figure(Image.new("RGB", (96, 96)), SceneGraph(nodes, boxes, np.ones(12), ()))
    lines = [shape for shape in layout_of(fig).shapes if shape.type == "line"]
    assert lines and all(40 <= end <= 44 for line in lines for end in (line.x1, line.y1))
    assert not [
        shape
        for shape in layout_of(scene_graph_figure(Image.new("RGB", (96, 96)), GRAPH)).shapes
        if shape.type == "line"
    ]  # where there is room, none is moved


def test_attention__weights_above_rank_0_and_tokens_in_order():
    table = pd.DataFrame({"kind": ["image", "object"], "name": ["image", "dog"], "weight": [0.25, 0.75]})
    fig = attention_figure([1.0, 2.0, 4.0], table)
    assert list(traces_of(fig)[0].y) == [0, 1, 3]
    assert list(traces_of(fig)[1].x) == [75, 25]  # drawn from below
    assert len(traces_of(attention_figure(None, table))) == 1
    assert "No model" in layout_of(attention_figure(None, table.head(0))).annotations[0].text


def test_curves__are_read_from_the_log_of_a_model(tmp_path):
    model = tmp_path / "tokens.safetensors"
    with pytest.raises(SettingsError, match="training"):
        folder_charts()["token_curves"].draw(model, FigureOptions(), LIGHT)
    log = pd.DataFrame({"step": [1, 2]} | dict.fromkeys(CURVES, [0.3, 0.5]))
    log.to_csv(tmp_path / "tokens.safetensors.csv")
    fig = folder_charts()["token_curves"].draw(model, FigureOptions(), LIGHT)
    assert [list(line.x) for line in traces_of(fig)] == [[1, 2]] * len(CURVES)
    assert list(traces_of(fig)[0].y) == pytest.approx([0.3, 0.5])
    assert list(traces_of(fig)[1].y) == pytest.approx([30, 50])  # percent
