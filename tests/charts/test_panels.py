"""Rows of pictures: every picture is where it belongs, with its own pixels, frame and words."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from core.charts import heat_panels
from core.charts.heat_panels import Shown
from core.charts.heatmap_sheets import FEATURE_HEATMAPS, HEATMAPS, ClassBlocks, ClassImages, FeatureRows
from core.charts.options import FigureOptions
from core.charts.panels import ColourBar, Header, Picture, Strip, data_uri, picture_grid
from core.charts.theme import LIGHT, layout_of, paper, traces_of
from core.research import published_figures_sheets
from core.research.published_figures_sheets import MASK_OVERLAP, MaskedImages
from core.study.overlay_image import colour_table


def plain(colour: tuple[int, int, int], side: int = 8) -> Image.Image:
    return Image.new("RGB", (side, side), colour)


def decoded(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))).convert("RGB")


def texts(fig) -> list[str]:
    return [note.text for note in layout_of(fig).annotations]


def test_picture_grid__pictures_lie_in_rows_and_columns():
    red, blue = Picture(plain((255, 0, 0)), "r", "correct", row=4), Picture(plain((0, 0, 255)), row=7)
    fig = picture_grid(
        [Strip("one", [red, None]), Strip("two", [None, blue], apart=True)], breaks=[1], theme=paper()
    )
    first, second = layout_of(fig).images
    assert decoded(first.source).getpixel((0, 0)) == (255, 0, 0)
    assert decoded(second.source).getpixel((0, 0)) == (0, 0, 255)
    assert second.x > first.x + first.sizex and second.y > first.y + first.sizey
    assert second.x + second.sizex <= layout_of(fig).width + 1
    assert [row for (row,) in traces_of(fig)[0].customdata] == [4, 7]
    assert_allclose(traces_of(fig)[0].x, [image.x + image.sizex / 2 for image in (first, second)])
    assert [shape.line.color for shape in layout_of(fig).shapes] == [paper().correct]
    assert {"one", "two", "r"} <= set(texts(fig))


def test_picture_grid__a_bar_of_colours_lies_below_the_pictures_with_its_words():
    bar = ColourBar(plain((0, 255, 0)), "heat")
    strips = [Strip("", [Picture(plain((9, 9, 9)), "below")] * 3)]
    without = picture_grid(strips, note="words", theme=paper())
    fig = picture_grid(strips, note="words", bar=bar, theme=paper())
    *pictures, drawn = layout_of(fig).images
    assert len(pictures) == 3 and decoded(drawn.source).getpixel((0, 0)) == (0, 255, 0)
    assert drawn.y > max(one.y + one.sizey for one in pictures)
    (beside,) = [note for note in layout_of(fig).annotations if note.text == "heat"]
    assert beside.x > drawn.x + drawn.sizex and drawn.y < beside.y < drawn.y + drawn.sizey
    assert layout_of(fig).height > layout_of(without).height  # the words below have their room


@pytest.mark.parametrize(
    "theme", [LIGHT, paper(), paper(column="double")], ids=lambda t: f"{t.name}{t.width}"
)
@pytest.mark.parametrize("n", [1, 3, 30])
def test_picture_grid__fits_into_its_figure(theme, n):
    strips = [Strip("a long title of a row", [Picture(plain((9, 9, 9)), "below")] * n)] * 4
    fig = picture_grid(strips, headers=[Header("all", 0, n)], note="words " * 60, theme=theme)
    right, bottom = layout_of(fig).xaxis.range[1], layout_of(fig).yaxis.range[0]
    for image in layout_of(fig).images:
        assert image.x >= 0 and image.x + image.sizex <= right
        assert image.y >= 0 and image.y + image.sizey <= bottom
    assert layout_of(fig).height == pytest.approx(bottom, abs=1)


def test_picture_grid__a_tall_picture_stands_above_its_caption():
    tall = Picture(Image.new("RGB", (20, 40)), "below", "correct")
    fig = picture_grid([Strip("", [Picture(plain((9, 9, 9))), tall])], theme=paper())
    square, image = layout_of(fig).images
    (frame,) = layout_of(fig).shapes
    (caption,) = [note for note in layout_of(fig).annotations if note.text == "below"]
    assert image.sizex == pytest.approx(image.sizey / 2) and image.sizey == square.sizey
    assert caption.x == pytest.approx(image.x + image.sizex / 2)
    assert (frame.x0, frame.x1) == pytest.approx((image.x, image.x + image.sizex))


def test_picture_grid__without_pictures_says_why():
    for strips in ([], [Strip("x", [])], [Strip("x", [None])]):
        fig = picture_grid(strips, empty="All files are gone.")
        assert texts(fig) == ["All files are gone."]


def test_data_uri__flat_pictures_lose_nothing_photographs_are_small(rng):
    flat = plain((240, 228, 66), 64)
    assert np.array_equal(np.asarray(decoded(data_uri(flat))), np.asarray(flat))
    noise = Image.fromarray(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8))
    assert data_uri(noise).startswith("data:image/jpeg") and len(data_uri(noise)) < 120_000


def shown(row: int = 0, side: int = 224, **more) -> Shown:
    return Shown(np.full((side, side, 3), 100, np.uint8), row=row, name=f"i{row}", **more)


def half(side: int = 224, *, axis: int) -> np.ndarray:
    values = np.zeros((side, side))
    values[(slice(None),) * axis + (slice(0, side // 2),)] = 1
    return values


def test_region_picture__each_region_has_its_colour():
    drawn = np.asarray(published_figures_sheets.region_picture(shown(), half(axis=0), half(axis=1), 0.5), int)
    expected = {
        name: 0.4 * 100 + 0.6 * np.array(colour) for name, colour in published_figures_sheets.REGIONS.items()
    }
    assert_allclose(drawn[0, 0], expected["both"], atol=1)
    assert_allclose(drawn[0, 223], expected["heatmap only"], atol=1)
    assert_allclose(drawn[223, 0], expected["mask only"], atol=1)
    assert_allclose(drawn[223, 223], 100, atol=1)


def test_overlay__heat_has_the_map_s_colour_where_it_is():
    picture = heat_panels.overlay(shown(heats={"a": half(axis=1)}), "a", "viridis")
    assert picture is not None
    pixels, table = np.asarray(picture.image, float), colour_table("viridis")
    for place, level in ((0, 255), (223, 0)):
        mixed = (1 - heat_panels.OPACITY) * 100 + heat_panels.OPACITY * table[level].astype(float)
        assert_allclose(pixels[0, place], mixed, atol=1)
    assert heat_panels.overlay(shown(), "a", "viridis") is None


def test_small_images_are_enlarged_smoothly():
    ramp = np.repeat(np.linspace(0, 255, 32).astype(np.uint8)[None, :, None], 32, axis=0).repeat(3, axis=2)
    large = np.asarray(heat_panels.enlarged(ramp))
    assert large.shape == (224, 224, 3)
    assert np.abs(np.diff(large[100, 10:-10, 0].astype(int))).max() <= 3
    assert heat_panels.enlarged(np.zeros((300, 300, 3), np.uint8)).size == (300, 300)


def test_class_heatmaps__correct_left_misclassified_right_heatmaps_below():
    heat = half(axis=0)
    right = [shown(row, correct=True, heats={"x": heat, "y": heat}) for row in (1, 2)]
    wrong = [shown(3, correct=False, predicted="<dog>", heats={"x": heat})]
    data = ClassBlocks(pd.DataFrame(), [ClassImages("cat", right, wrong)], ["x", "y"])
    fig = HEATMAPS.draw(data, FigureOptions(), paper(column="double"))
    rows = [row for (row,) in traces_of(fig)[0].customdata]
    assert rows == [1, 2, 3, 1, 2, 3, 1, 2]  # images, heatmaps x, heatmaps y (which the last image lacks)
    x = list(traces_of(fig)[0].x)
    assert x[0] == x[3] == x[6] < x[1] < x[2] == x[5]
    said = texts(fig)
    assert "<b>correct</b>" in said and "<b>misclassified</b>" in said and "<b>cat</b>" in said
    assert len(layout_of(fig).shapes) == 3


def test_mask_overlaps__masks_regions_and_scores():
    image = shown(5, label="cat", correct=False, predicted="dog", heats={"heatmap": half(axis=0)},
        masks={"core": half(axis=1)}, scores={"core": 0.333, "spurious": 0.5})  # fmt: skip
    data = MaskedImages(pd.DataFrame(), [image], 0.5, "")
    fig = MASK_OVERLAP.draw(data, FigureOptions(), paper(column="double"))
    assert len(layout_of(fig).images) == 4
    mask = np.asarray(decoded(layout_of(fig).images[2].source))
    assert mask[0, 0, 0] == 255 and mask[0, 223, 0] == 0
    assert "0.33" in texts(fig) and "<b>cat</b><br>as dog" in texts(fig)
    assert not any("spurious" in text for text in texts(fig))


def test_feature_heatmaps__two_image_sets_side_by_side():
    heat = half(axis=0)
    rows = [("<b>12</b>", [shown(1, label="cat", heats={"heatmap": heat}), shown(2, label="dog")])]
    data = FeatureRows(pd.DataFrame(), rows, "", [[shown(9, label="owl")]], ("here", "there"))
    fig = FEATURE_HEATMAPS.draw(data, FigureOptions(), LIGHT)
    assert [row for (row,) in traces_of(fig)[0].customdata] == [1, 2, 9]
    assert {"<b>here</b>", "<b>there</b>", "<b>12</b>", "cat", "dog", "owl"} <= set(texts(fig))
    warm, bare = (np.asarray(decoded(layout_of(fig).images[at].source), int) for at in (0, 1))
    assert np.abs(bare - 100).max() <= 2 < np.abs(warm - 100).max()
