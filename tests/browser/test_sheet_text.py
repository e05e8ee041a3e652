"""Text on a figure sheet, measured by a real Chromium: inside its panel, and where the preview has it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from core.charts.fonts import SHIPPED
from core.charts.registry import CHARTS
from core.charts.theme import layout_of
from core.errors import PeregrineError
from core.figures.catalogue import draw, what_it_lacks
from core.figures.files import find_browser, render_all
from core.figures.sheet import Cell, Sheet, lay_out, make_sheet
from core.figures.sheet_layout import MARGIN, SheetGrid
from core.store import open_study
from tests.browser.harness import ARGUMENTS, Visitor, until
from tests.sampling import sample

pytestmark = pytest.mark.browser
WALKED = ("heatmaps", "baselines", "miou", "q_distribution", "confusions", "worst_slices")
CAPTION = "What the encoder sees in correct and in misclassified images, in a caption of several lines"
MOST_SHRUNK = 1.2  # a panel whose text stood out is drawn no smaller than this
TEXTS = """([page, panel]) => {
  const paper = document.querySelector(page), whole = paper.getBoundingClientRect();
  const box = (node) => {
    const one = node.getBoundingClientRect();
    return [one.left - whole.left, one.top - whole.top, one.right - whole.left, one.bottom - whole.top];
  };
  const room = (part) => { // a browser's box of an inner drawing is that of all that it holds, clipped or not
    const corner = part.parentNode.getScreenCTM();
    const [w, h] = [part.width.baseVal.value, part.height.baseVal.value];
    const [left, top] = [corner.e - whole.left, corner.f - whole.top];
    return [left, top, left + w * corner.a, top + h * corner.d];
  };
  return [...paper.querySelectorAll("text")].filter((one) => one.textContent.trim()).map((one) => {
    const inside = one.closest(panel);
    return { text: one.textContent, box: box(one), room: inside.ownerSVGElement ? room(inside) : null,
             width: whole.width, family: getComputedStyle(one).fontFamily };
  });
}"""


def texts_of(page: Any, sheet: Sheet) -> list[dict[str, Any]]:
    page.set_content(f"<body style='margin:0'>{sheet.svg}</body>")
    page.evaluate("() => document.fonts.ready")
    return page.evaluate(TEXTS, ["body > svg", "svg"])


def outside(found: list[dict[str, Any]], sheet: Sheet) -> list[str]:
    """Texts that stand out of their panel, or of the page's margin."""
    odd, slack = [], 0.6  # px; a browser rounds places
    paper = [MARGIN, MARGIN, sheet.width - MARGIN, sheet.height - MARGIN]
    for one in found:
        left, top, right, bottom = one["room"] or paper
        x0, y0, x1, y1 = one["box"]
        if x0 < left - slack or y0 < top - slack or x1 > right + slack or y1 > bottom + slack:
            odd.append(one["text"])
    return odd


@pytest.fixture(scope="module")
def printer(chrome: Any) -> Any:
    """The browser that prints: another one sets a letter a fraction of a pixel away."""
    made = chrome.browser_type.launch(executable_path=find_browser(), args=ARGUMENTS)
    yield made
    made.close()


@pytest.fixture
def page(printer: Any) -> Any:
    made = printer.new_page()
    yield made
    made.close()


@pytest.mark.parametrize(("columns", "font"), sample([(3, "serif"), (2, "sans")], 1))
def test_sheet__every_text_is_inside_its_panel(page, served, columns, font):
    names = [f"{name}?caption={CAPTION}" for name in WALKED]
    sheet = make_sheet(open_study(served / "seen"), names, SheetGrid("double", columns, font))
    found = texts_of(page, sheet)
    said = [one["text"] for one in found]
    for whole in ("(a)", "(f)", "AUROC (correct above misclassified)", "the answer", "truth", "images"):
        assert whole in said
    assert outside(found, sheet) == []
    assert all(one["family"].replace('"', "").startswith(SHIPPED[font]) for one in found)


def test_text_that_stands_out__makes_the_drawing_smaller(page):
    """A long name beside a narrow chart: all of it is there, and the panel keeps its size on the page."""
    figure = go.Figure(go.Scatter(x=[1], y=[1]), layout={"width": 256, "height": 200})
    words = "a name that is far wider than the panel in which it stands"
    figure.add_annotation(text=words, x=1, xref="paper", y=0.5, xanchor="left", showarrow=False)
    (svg,) = render_all([figure], "svg")
    sheet = lay_out(
        [Cell("wide", svg, "svg+xml", 1, 200 / 256 * SheetGrid().width_of())], SheetGrid(letters=False)
    )
    found = texts_of(page, sheet)
    assert words in [one["text"] for one in found] and outside(found, sheet) == []
    assert found[0]["room"][2] - found[0]["room"][0] == pytest.approx(SheetGrid().width_of(), abs=0.5)


@pytest.mark.exhaustive("test_sheet__every_text_is_inside_its_panel has the charts that were cut")
def test_catalogue__every_text_is_inside_its_panel(page, served):
    studies = [open_study(served / "seen")]
    figures = {}
    for name, entry in CHARTS.items():
        if entry.studies[0] > 1 or what_it_lacks(studies[0], entry) is not None:
            continue
        for columns in (2, 3):
            try:
                figures[name, columns] = draw(studies, name, width=SheetGrid(columns=columns).drawn_width())
            except PeregrineError:  # of these images there is nothing to draw
                continue
    assert len(figures) > 30
    for (name, columns), svg in zip(figures, render_all(list(figures.values()), "svg"), strict=True):
        grid, layout = SheetGrid(columns=columns, letters=False), layout_of(figures[name, columns])
        height = layout.height * grid.width_of() / layout.width
        sheet = lay_out([Cell(name, svg, "svg+xml", 1, height)], grid)
        assert outside(texts_of(page, sheet), sheet) == [], name
        box = re.search(rb'viewBox="\S+ \S+ (\S+) \S+"', svg)
        assert box is not None and float(box.group(1)) <= MOST_SHRUNK * layout.width, name


def test_preview__has_each_text_where_the_printed_sheet_has_it(printer, page, address, served):
    names = ("baselines", "miou", "q_distribution")
    sheet = make_sheet(open_study(served / "seen"), names)
    one = Visitor(printer)
    one.begin()
    shown = one.open(f"{address}/figures?study=seen&sheet={'|'.join(names)}")
    until(shown, "() => document.querySelector('.peregrine-sheet')?.dataset.drawn === '3'")
    preview = shown.evaluate(TEXTS, [".peregrine-sheet .page", "svg"])
    printed = [one for one in texts_of(page, sheet) if one["room"]]
    assert [one["text"] for one in preview] == [one["text"] for one in printed]
    for here, there in zip(preview, printed, strict=True):
        near = [side / here["width"] for side in here["box"]]
        assert near == pytest.approx([side / there["width"] for side in there["box"]], abs=0.004), here[
            "text"
        ]
    assert one.errors == []


def test_svg__is_self_contained(page, served, tmp_path: Path):
    """Without the machine's fonts it looks the same: it holds its own, and loads nothing."""
    sheet = make_sheet(open_study(served / "seen"), ["roc"], SheetGrid(font="sans"))
    assert sheet.svg.count("@font-face") == 2 and "Tinos" not in html.unescape(sheet.svg)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    texts_of(page, sheet)
    assert page.evaluate("() => [...document.fonts].every((one) => one.status === 'loaded')")
    assert [url for url in asked if not url.startswith("data:")] == []
