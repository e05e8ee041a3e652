"""Figure sheets: how cells flow, what is refused, and a page of vectors by a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import zipfile
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from core.charts.fonts import text_width
from core.common.dataframes import numbers
from core.comparison.compare import compare
from core.errors import SettingsError, StudyError
from core.figures import sheet as sheets
from core.figures.cells import CellRequest
from core.figures.latex import latex
from core.figures.printing import check_sheet_file, write_sheet
from core.figures.sheet import Cell, Sheet, check_sheet, lay_out, make_sheet
from core.figures.sheet_layout import (
    CAPTION_LINE,
    CAPTION_SIZE,
    CAPTION_SPACE,
    GAP,
    MARGIN,
    PAGE_WIDTH,
    SheetGrid,
)
from core.jobs.commands import MakeSheet
from core.slices.slice import Slice
from core.store import open_study
from tests.browser.harness import find_browser
from tests.command_line import runner
from tests.comparison.comparable import add_concepts, second_study
from tests.manifests import edited_manifest
from tests.synthetic import make_seen_study, make_study

NUMBERS = ("numbers/a_roc.csv", "numbers/b_baselines.csv")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seen_study(tmp_path_factory.mktemp("sheet") / "seen", n_train=40, n_val=24)


def places(sheet: Sheet) -> list[tuple[float, float, float]]:
    """Left, top and width of each cell."""
    corners = re.findall(r'<g transform="translate\(([\d.]+) ([\d.]+)\)"><(?:text|g)', sheet.svg)
    widths = re.findall(r'<(?:image|svg) width="([\d.]+)"', sheet.svg)
    return [(float(left), float(top), float(wide)) for (left, top), wide in zip(corners, widths, strict=True)]


def cells(*spans: int) -> list[Cell]:
    return [Cell(f"cell {n}", b"x", "png", span, 100 + n) for n, span in enumerate(spans)]


@pytest.mark.parametrize("page", PAGE_WIDTH)
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_lay_out__the_grid_that_was_asked_for(page, columns):
    assert MakeSheet(Path("study"), ("roc",), page=page).page == page  # a job can be asked for it
    made = lay_out(cells(*[1] * 6), SheetGrid(page, columns, letters=False))
    boxes = places(made)
    assert made.width == PAGE_WIDTH[page] and len({round(wide, 3) for _, _, wide in boxes}) == 1
    rows = [[box for box in boxes if box[1] == top] for top in sorted({top for _, top, _ in boxes})]
    assert [len(row) for row in rows] == [columns] * (6 // columns) + [6 % columns] * bool(6 % columns)
    for row in rows:
        assert row[0][0] == MARGIN
        for (left, _, wide), (following, _, _) in pairwise(row):
            assert following == pytest.approx(left + wide + GAP, abs=0.01)
    assert max(left + wide for left, _, wide in boxes) == pytest.approx(made.width - MARGIN, abs=0.01)


def test_lay_out__a_row_is_as_high_as_its_highest():
    made = lay_out(cells(1, 1, 1, 2), SheetGrid(columns=2, letters=False))
    tops = [top for _, top, _ in places(made)]
    assert tops == [MARGIN, MARGIN, MARGIN + 101 + GAP, MARGIN + 101 + GAP + 102 + GAP]
    assert made.height == pytest.approx(tops[-1] + 103 + MARGIN, abs=1)


@pytest.mark.parametrize(
    ("heights", "expected"),  # of cells in two columns: column and top of each
    [
        ((300, 120, 160), [(0, 0), (1, 0), (1, 140)]),  # fills what the first leaves
        ((120, 300, 160, 90), [(0, 0), (1, 0), (0, 140), (0, 320)]),  # then the row is full
        ((300, 120, 230), [(0, 0), (1, 0), (1, 140)]),  # juts out, and the page is lower
        ((300, 120, 230, 200), [(0, 0), (1, 0), (0, 320), (1, 320)]),  # it would be higher
        ((300, 120, 400), [(0, 0), (1, 0), (0, 320)]),  # juts out by more than half of it
        ((300, 60, 60, 60), [(0, 0), (1, 0), (1, 80), (1, 160)]),
    ],
)
def test_lay_out__lower_cells_stand_below_each_other(heights, expected):
    some = [replace(cell, height=height) for cell, height in zip(cells(*[1] * 9), heights, strict=False)]
    grid = SheetGrid(columns=2, letters=False)
    step = grid.width_of() + GAP
    made = lay_out(some, grid)
    placed = [(round((left - MARGIN) / step), top - MARGIN) for left, top, _ in places(made)]
    assert placed == expected
    ends = [top + MARGIN + height for (_, top), height in zip(expected, heights, strict=True)]
    assert made.height == pytest.approx(max(ends) + MARGIN, abs=1)


def test_lay_out__a_cell_spans_columns():
    made = lay_out(cells(2, 1, 3), SheetGrid(columns=3, letters=False))
    one, two, three = (SheetGrid(columns=3).width_of(span) for span in (1, 2, 3))
    assert [wide for _, _, wide in places(made)] == pytest.approx([two, one, three], abs=0.01)
    assert three == 696 - 2 * MARGIN == SheetGrid(columns=3).width_of(9)


def test_lay_out__letters():
    made = lay_out(cells(1, 1), SheetGrid("single", 1, "sans"))
    assert made.width == 336 and ">(a)</text>" in made.svg and ">(b)</text>" in made.svg
    assert [top for _, top, _ in places(made)] == [MARGIN, MARGIN + 100 + 16 + GAP]


def test_lay_out__names_stay_text():
    made = lay_out(
        [Cell('"><script>', b"x", "png", 1, 10, "</p><script>")], SheetGrid(columns=1, letters=False)
    )
    assert "<script" not in made.svg and "&lt;script&gt;" in made.svg


def test_lay_out__captions_are_left_to_the_paper():
    one, grid = replace(cells(1)[0], caption="Where the errors lie"), SheetGrid(captions=False)
    made = lay_out([one], grid)
    assert "Where" not in made.svg and made.height == lay_out(cells(1), SheetGrid()).height
    assert "Where the errors lie." in latex([CellRequest("roc", caption=one.caption)], grid)


def test_lay_out__captions_make_room_below():
    plain, (first, second) = cells(1, 1), cells(1, 1)
    words = "Where the probe's errors lie, by what makes an image hard. " * 3
    before = lay_out(plain, SheetGrid())
    after = lay_out([replace(first, caption=words.strip()), second], SheetGrid())
    texts = map(html.unescape, re.findall(r"<text[^>]*>([^<]*)<", after.svg))
    lines = [text for text in texts if not text.startswith("(")]
    assert " ".join(lines) == words.strip() and len(lines) >= 3
    assert all(text_width(line, CAPTION_SIZE) <= SheetGrid().width_of() for line in lines)
    assert after.height == pytest.approx(
        before.height + CAPTION_SPACE + CAPTION_LINE * len(lines) - 1, abs=1
    )  # the other cell was 1 px higher


def test_svg__parts_keep_their_ids_apart():
    vector = b'<svg class="a" width="10" height="5"><clipPath id="x"/><g clip-path="url(#x)"/></svg>'
    one = Cell("roc", vector, "svg+xml", 1, 168.0)
    made = lay_out([one, one], SheetGrid(letters=False))
    root = ElementTree.fromstring(made.svg)
    ids = [part.get("id") for part in root.iter() if part.get("id")]
    assert ids == ["c0-x", "c1-x"] and "url(#c1-x)" in made.svg
    inner = root.findall(".//{http://www.w3.org/2000/svg}svg")
    assert [(part.get("width"), part.get("height")) for part in inner] == [("326", "168")] * 2


@pytest.mark.parametrize(
    ("names", "columns", "font", "says"),
    [
        ([], 2, "serif", "the sheet is empty"),
        (["roc"], 5, "serif", "1 to 4 columns"),
        (["roc"], 2, "comic", "no font"),
        (["rock"], 2, "serif", "Did you mean 'roc'"),
        (["transferred_features"], 2, "serif", "compares two studies"),
    ],
)
def test_check_sheet__one_line(names, columns, font, says):
    with pytest.raises(SettingsError, match=says):
        check_sheet(names, SheetGrid(columns=columns, font=font))


@pytest.mark.slow
def test_make_sheet__unknown_image_and_missing_step(seen, monkeypatch):
    monkeypatch.setattr(sheets, "render_all", lambda figures, kind: [b"<svg/>" for _ in figures])
    study = open_study(seen)
    with pytest.raises(StudyError, match="no image 'nothing'"):
        make_sheet(study, ["image:nothing"])
    with pytest.raises(StudyError, match="no figure 'by_cause'"):
        make_sheet(study, ["by_cause"])


def test_make_sheet__order_sizes_and_panels(seen, monkeypatch):
    monkeypatch.setattr(sheets, "render_all", lambda figures, kind: [b"<svg/>" for _ in figures])
    study = open_study(seen)
    image = study.images["image_id"].iloc[int(study.is_val.nonzero()[0][0])]
    made = make_sheet(
        study, [f"image:{image}", f"heatmap:{image}", f"masks:{image}", "class_representations", "roc"]
    )
    assert [wide for _, _, wide in places(made)] == [326] * 5
    assert made.svg.count("data:image/png") == 3


NUMBERS = ("numbers/a_roc.csv", "numbers/b_baselines.csv")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a second one of the same images beside it, both with words."""
    first = make_study(tmp_path_factory.mktemp("pair") / "first")
    add_concepts(first, {"3": ["dog", "red"]})
    add_concepts(second_study(first, first.with_name("second")), {"3": ["dog", "blue"]})
    return first


COMPARED = ("compared_classes", "compared_scores", "compared_words")


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures of a sheet, instead of their vectors."""
    found: list = []
    monkeypatch.setattr(
        sheets, "render_all", lambda figures, kind: [found.append(one) or b"<svg/>" for one in figures]
    )
    return found


def test_make_sheet__classes_of_a_cell_with_commas_as_of_the_option(seen, drawn):
    study = open_study(seen)
    first, second = study.class_names[:2]
    names = [
        f"class_representations?classes={one}" for one in (f"{first},{second}", f"{first}&classes={second}")
    ]
    make_sheet(study, [*names, "class_representations"])
    one, other, usual = (figure.to_json() for figure in drawn)
    assert one == other != usual
    with pytest.raises(SettingsError, match="no class 'none'"):
        make_sheet(study, [f"class_representations?classes={first},none"])


@pytest.mark.slow
def test_make_sheet__compares_with_the_study_beside_it(pair, drawn):
    studies = [open_study(pair), open_study(pair.with_name("second"))]
    where = Slice.parse("split=val label=bee")
    cells = [f"{name}?with=second&where={where}" for name in COMPARED]
    made = make_sheet(studies[0], [*cells, "roc", "roc?of=second"])
    assert not made.problems
    found = compare(studies, among=where)
    points = {trace.name: list(trace.x) for trace in drawn[0].data if trace.name in found.names}
    accuracy = {name: numbers(part, "accuracy") for name, part in found.classes.groupby("study")}
    assert points == {name: pytest.approx(100 * values) for name, values in accuracy.items()}
    assert [text.count("<b>") for text in (note.text for note in drawn[1].layout.annotations)] == [1, 1]
    assert drawn[2].data[0].z.tolist() == [[2, 1], [1, 2]]
    assert json.loads(drawn[3].to_json())["data"] != json.loads(drawn[4].to_json())["data"]


@pytest.mark.slow
def test_make_sheet__slice_of_the_first_study_chooses_the_images_of_both(pair, drawn):
    """Which images are misclassified differs: the comparison is of those that the first one misclassifies."""
    make_sheet(open_study(pair), ["compared_scores?with=second&where=split=val correct=false"])
    names = {trace.name for trace in drawn[0].data if trace.y is not None and max(trace.y) > 0}
    assert names == {"correct", "misclassified"}  # of the first study misclassified only


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["deleted", "renamed", "without the step"])
def test_make_sheet__other_study_that_cannot_be_shown_is_one_line_in_its_cell(pair, tmp_path, drawn, gone):
    first = shutil.copytree(pair, tmp_path / "first")
    second = tmp_path / "second"
    if gone == "renamed":
        shutil.copytree(pair.with_name("second"), tmp_path / "second-run")
    elif gone == "without the step":
        shutil.copytree(pair.with_name("second"), second)
        with edited_manifest(second) as manifest:
            del manifest["steps"]["probe"], manifest["items"]["probe"]
    made = make_sheet(open_study(first), ["roc", "compared_classes?with=second", "purity"])
    (problem,) = made.problems
    says = {
        "deleted": "There is no study 'second' any more.",
        "renamed": "There is no study 'second' any more. Did you mean 'second-run'?",
        "without the step": "the step 'probe' is not run yet",
    }
    assert says[gone] in problem and "\n" not in problem
    assert len(drawn) == 3 and drawn[0].data and drawn[2].data and not drawn[1].data
    said = drawn[1].layout.annotations[0].text.replace("<br>", " ")
    assert html.unescape(said) == problem.partition(": ")[2]


@pytest.mark.slow
def test_command__says_which_other_study_is_gone(pair, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sheets, "render_all", lambda figures, kind: [b"<svg/>" for _ in figures])
    out = tmp_path / "sheet.svg"
    said = runner(capsys)("figure-sheet", pair, "roc", "compared_classes?with=secnd", "-o", out)
    assert said.code == 0 and out.is_file()
    assert "There is no study 'secnd' any more. Did you mean 'second'?" in said.out


@pytest.mark.parametrize("name", ["sheet.gif", "sheet", "."])
def test_check_file(tmp_path, name):
    with pytest.raises(SettingsError):
        check_sheet_file(tmp_path / name)


@pytest.mark.browser
def test_command__one_page_of_vectors_with_fonts(seen, tmp_path, capsys):
    if find_browser() is None:
        pytest.skip("no Chromium")
    out, everything = tmp_path / "sheet.pdf", tmp_path / "fig_errors.zip"
    said = runner(capsys)(
        *("figure-sheet", seen, "roc?caption=50 % of {sheet.pdf}", "baselines", "-o", out, "-o", everything),
        *("--font", "sans", "--columns", "2"),
    )
    assert said.code == 0, said.err
    with zipfile.ZipFile(everything) as archive:
        names = archive.namelist()
        assert names == [*(f"fig_errors.{kind}" for kind in ("pdf", "svg", "tex")), *NUMBERS]
        text = archive.read("fig_errors.tex").decode()
        scores = pd.read_csv(archive.open("numbers/b_baselines.csv"))
    assert text.startswith("\\begin{figure*}[t]") and "[width=7.25in]{fig_errors.pdf}" in text
    assert r"\textbf{(a)} 50 \% of \{sheet.pdf\}. \textbf{(b)} Every score" in text
    assert {"score", "auroc"} <= set(scores.columns) and len(scores) > 5
    content = out.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 1
    assert b"/FontFile2" in content and b"/Subtype /Image" not in content
    (box,) = re.findall(rb"/MediaBox\s*\[([^\]]*)\]", content)
    assert float(box.split()[2]) == pytest.approx(696 * 0.75, abs=1)  # 7.25 in of 72 points
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    drawn = b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert drawn.count(b" Tj") + drawn.count(b" TJ") > 20  # text is text


def test_write_sheet__browser_that_cannot_print(seen, tmp_path, monkeypatch):
    monkeypatch.setattr("core.figures.printing.find_browser", lambda: "/bin/false")
    made = lay_out(cells(1), SheetGrid(columns=1, letters=False))
    with pytest.raises(SettingsError, match="could not print"):
        write_sheet(made, tmp_path / "sheet.pdf")
    assert not list(tmp_path.iterdir())
