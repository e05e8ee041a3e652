"""Colours of a map, which points lie in an outline, and the figure."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.charts import maps, marks
from core.charts.catalogue import draw
from core.charts.options import FigureOptions
from core.charts.theme import DARK, LIGHT, layout_of, traces_of
from core.errors import StudyError
from core.store import open_study
from tests.small import write_small_study
from tests.synthetic import make_study


def loop_inside(point, outline):
    """Shoot a ray to the right and count the sides that it crosses."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if (y0 > point[1]) != (y1 > point[1]):
            crossings += point[0] < x0 + (point[1] - y0) / (y1 - y0) * (x1 - x0)
    return crossings % 2 == 1


@pytest.mark.parametrize("corners", [3, 5, 40])
def test_inside__matches_a_loop_of_rays(rng, corners):
    points, outline = rng.normal(size=(300, 2)).astype(np.float32), rng.normal(size=(corners, 2))
    expected = [loop_inside(point, outline.tolist()) for point in points.astype(float)]
    assert_array_equal(maps.inside_outline(points, outline), expected)
    assert any(expected) and not all(expected)


def test_inside__hand_computed():
    square = np.array([[0.0, 0.0], [2, 0], [2, 2], [0, 2]])
    points = np.array([[1.0, 1.0], [3, 1], [-1, 1], [1, 3]])
    assert maps.inside_outline(points, square).tolist() == [True, False, False, False]
    assert maps.inside_outline(points, square[::-1]).tolist() == [True, False, False, False]
    assert not maps.inside_outline(points, square[:2]).any()
    assert not maps.inside_outline(points[:0], square).any()


def test_by_name__the_most_common_have_colours_of_their_own():
    names = [f"c{n:02d}" for n in range(22) for _ in range(22 - n)] + [None]
    found = maps.by_name(names, title="Class")
    assert found.names == (*(f"c{n:02d}" for n in range(20)), maps.OTHERS, maps.UNKNOWN)
    assert len(set(zip(found.palette, found.shapes, strict=True))) == 22 == len(found.names)
    assert found.names[found.codes[0]] == "c00"
    assert found.names[found.codes[-2]] == maps.OTHERS and found.names[found.codes[-1]] == maps.UNKNOWN
    assert not maps.by_name(["a", "b"]).is_scale and maps.by_name(["b", "a"]).names == ("a", "b")


LEAST_APART = 0.06  # 0.02 is a just noticeable difference
VISIONS = {  # on linear RGB: cones of one kind are missing (Machado, Oliveira and Fernandes 2009)
    "usual": np.eye(3),
    "no red cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no blue cones": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def oklab(colour, vision):
    """Lightness and two hue axes in which equal distances look equal (Ottosson 2020)."""
    shares = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    axes = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return axes @ np.cbrt(cones @ np.clip(VISIONS[vision] @ linear, 0, 1))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
def test_by_name__twenty_classes_differ_to_every_eye_by_colour_or_shape(theme, vision):
    found = maps.by_name([f"c{n:02d}" for n in range(20)], theme=theme)
    assert len(found.palette) == 20 == len(set(zip(found.palette, found.shapes, strict=True)))
    assert maps.OTHERS not in found.names
    for shape in range(len(maps.SHAPES)):
        mine = [colour for colour, one in zip(found.palette, found.shapes, strict=True) if one == shape]
        places = np.array([oklab(colour, vision) for colour in mine])
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(mine))
        assert apart.min() > LEAST_APART, vision


def test_by_verdict__usual_colours_and_unknown_only_where_there_is_one():
    known = maps.by_verdict(np.array([1.0, 0.0]), theme=DARK)
    assert known.palette == (DARK.correct, DARK.misclassified) and known.codes.tolist() == [0, 1]
    assert maps.by_verdict(np.array([1.0, np.nan])).names[2] == maps.UNKNOWN


def test_by_amount__rises_along_the_scale_and_marks_what_is_missing(rng):
    values = np.append(np.sort(rng.normal(size=500)), np.nan)
    found = maps.by_amount(values)
    assert (np.diff(found.codes[:-1].astype(int)) >= 0).all() and found.codes[-1] == 0
    assert found.codes[0] == 1 and found.codes[-2] == maps.STEPS == len(found.palette) - 1
    assert found.low > values[0] and found.high < values[-2]  # the outermost share the end colours


@pytest.mark.parametrize("values", [[np.nan, np.nan], [3.0, 3.0], []], ids=str)
def test_by_amount__nothing_to_tell_apart(values):
    found = maps.by_amount(np.array(values))
    assert len(set(found.codes.tolist())) <= 1 and found.is_scale


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_representation_map__draws_every_point_once(rng, theme):
    points = rng.normal(size=(50, 2))
    named = maps.by_name(rng.choice(["a", "<b>"], 50))
    figure = maps.representation_map(points, named, shares=(0.3, 0.1), theme=theme)
    assert [len(trace.x) for trace in traces_of(figure)] == [50, 1, 1]  # the others are the legend
    assert [trace.name for trace in traces_of(figure)[1:]] == ["&lt;b&gt;", "a"]
    scale = traces_of(figure)[0].marker.colorscale
    for code, colour in zip(traces_of(figure)[0].marker.color, named.codes, strict=True):
        share = (code + 0.5) / 2
        assert [hue for at, hue in scale if at < share][-1] == named.palette[colour]
    assert "30 % of the variance" in layout_of(figure).xaxis.title.text
    amount = maps.representation_map(
        points, maps.by_amount(points[:, 0], title="Q"), kind="umap", theme=theme
    )
    assert len(traces_of(amount)) == 1 and layout_of(amount).xaxis.title.text == "UMAP 1"
    drawn = np.asarray(traces_of(amount)[0].marker.color, float)
    assert np.corrcoef(drawn, points[:, 0])[0, 1] > 0.99
    assert layout_of(maps.representation_map(points[:0], named.of(np.arange(0)))).annotations


def test_representation_map__few_points_need_no_webgl(rng):
    for n, kind in ((50, "scatter"), (marks.WEBGL_FROM + 1, "scattergl")):
        named = maps.by_name(rng.choice(["a", "b"], n))
        figure = maps.representation_map(rng.normal(size=(n, 2)), named)
        assert {trace.type for trace in traces_of(figure)} == {kind}


def test_of__keeps_the_colours_of_the_whole():
    whole = maps.by_name(["a", "b", "c"])
    assert whole.of(np.array([2])).palette == whole.palette and whole.of(np.array([2])).codes.tolist() == [2]


@pytest.mark.parametrize("choice", [{}, {"features": (3,)}, {"score": "confidence"}], ids=str)
def test_figure_map__of_a_study(shared_study, choice):
    study = open_study(shared_study)
    figure = draw(study, "map", options=FigureOptions(**choice))
    assert len(traces_of(figure)[0].x) == study.n_images
    assert len(traces_of(figure)) - 1 == (0 if choice else len(study.class_names))


def test_figure_map__missing_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match="python -m core map"):
        draw(write_small_study(tmp_path / "study"), "map")


def test_legend__lists_every_name_also_those_that_share_a_colour():
    names = np.array([f"c{at:02}" for at in range(24) for _ in range(30 - at)] + [None], object)
    colouring = maps.by_name(names)
    listed, values, shades = maps.legend_of(names, colouring)
    assert list(listed) == [f"c{at:02}" for at in range(24)] + [maps.UNKNOWN]
    assert [listed[at] for at in values[:-1]] == names[:-1].tolist() and listed[values[-1]] == maps.UNKNOWN
    assert (np.array(shades)[values] == colouring.codes).all()
    assert len(set(shades[:20])) == 20 and set(shades[20:24]) == {colouring.place_of(maps.OTHERS)}


def test_figure_map__where_a_legend_would_name_few_points_a_score_colours_them(tmp_path):
    names = tuple(f"class {number:02}" for number in range(50))
    study = open_study(
        make_study(tmp_path / "many", n_train=100, n_val=50, n_features=60, n_classes=50, class_names=names)
    )
    assert maps.MAP.table(study, FigureOptions()).coloured != "class"
    assert maps.MAP.table(study, FigureOptions(classes=names[:1])).coloured == "class"
