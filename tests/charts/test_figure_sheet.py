"""Figures of a page on one sheet: none lies on another, and each has its caption."""

from __future__ import annotations

import base64
from typing import Any

import plotly.graph_objects as go
import pytest

from core.charts.figure_sheet import MARGIN, WIDTH, figures_sheet, sheet_figure
from core.charts.kept_figures import KeptFigure
from core.charts.theme import layout_of

SIZES = [(336, 200), (336, 150), (696, 300), (336, 100), (696, 120), (336, 90)]


def figure_of(width: int, height: int, caption: str = "a caption of it & more.") -> KeptFigure:
    drawn = go.Figure(go.Bar(x=[1, 2], y=["a", "b"]), layout={"width": width, "height": height})
    return KeptFigure("stem", caption, str(drawn.to_json()), "a\n", width, height)


def places(sheet: go.Figure) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of each figure on the sheet, in px."""
    height: Any = layout_of(sheet).height
    return [
        (one.x * WIDTH, (1 - one.y) * height, one.sizex * WIDTH, one.sizey * height)
        for one in layout_of(sheet).images
    ]


def test_sheet__places_two_narrow_figures_beside_each_other_and_covers_none():
    figures = [figure_of(*size) for size in SIZES]
    drawings = [f"<svg>{number}</svg>".encode() for number in range(len(figures))]
    sheet = sheet_figure(figures, drawings, title="green grass #14", text="It fires on 42 images.")
    found = places(sheet)
    assert [(round(width), round(height)) for _, _, width, height in found] == SIZES
    lefts, tops = ([round(one[at]) for one in found] for at in (0, 1))
    assert lefts == [MARGIN, MARGIN + 360, MARGIN, MARGIN, MARGIN, MARGIN]
    assert tops[0] == tops[1] and tops[1:] == sorted(set(tops[1:]))
    height: Any = layout_of(sheet).height
    notes = layout_of(sheet).annotations
    assert len(notes) == 2 + len(figures)
    for (left, top, width, tall), note in zip(found, notes[2:], strict=True):
        assert left + width <= WIDTH - MARGIN + 1 and top + tall <= height - MARGIN
        below = (1 - note.y) * height
        assert top + tall <= below < height and "&amp;" in note.text
        assert all(below < other[1] or other[1] <= top for other in found)  # no figure lies on a caption
    sources = [base64.b64decode(one.source.partition(",")[2]) for one in layout_of(sheet).images]
    assert sources == drawings


def test_sheet__of_nothing_is_its_title():
    sheet = sheet_figure([], [], title="Feature 3", text="")
    assert layout_of(sheet).images == () and layout_of(sheet).annotations[0].text == "<b>Feature 3</b>"


def test_sheet__begins_a_line_of_its_text_on_a_new_line():
    one, two = (layout_of(sheet_figure([], [], title="a", text=text)) for text in ("b c", "b\nc"))
    assert (one.annotations[1].text, two.annotations[1].text) == ("b c", "b<br>c")
    assert two.height > one.height


@pytest.mark.slow
@pytest.mark.browser
def test_sheet__is_one_pdf_with_its_letters_as_text():
    pdf = figures_sheet([figure_of(336, 200), figure_of(696, 200)], title="green", text="grass")
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") == 1
    assert pdf.count(b"/Subtype /Image") == 0  # the charts are vectors
