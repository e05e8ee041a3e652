"""Figures as files: through a real Chromium where one is there, and one clear line where none is."""

from __future__ import annotations

import json
import os
import re
import zlib

import plotly.graph_objects as go
import pytest
from PIL import Image

from core.charts import figure_files
from core.charts.panels import Picture, Strip, picture_grid
from core.charts.theme import finish, paper
from core.errors import SettingsError
from tests.browser.harness import run_apart

REQUIRED = "PEREGRINE_REQUIRE_BROWSER"


@pytest.fixture
def figure() -> go.Figure:
    fig = go.Figure(go.Scatter(x=[1, 2], y=[3, 1], name="Größe"))
    return finish(fig, paper()).update_layout(showlegend=True)


@pytest.fixture(scope="module")
def browser() -> str:
    try:
        return figure_files.find_browser()
    except SettingsError as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def without_browser(monkeypatch, tmp_path):
    """A machine that has no browser, neither on PATH nor fetched."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setattr(figure_files, "_fetched_browser", lambda: None)


def test_html_and_json__need_no_browser(figure, tmp_path, without_browser):
    page = figure_files.write_figure(figure, tmp_path / "a" / "figure.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page and len(page) > 1e6  # plotly itself is in it: no server is asked
    assert not re.search(r"<script[^>]+src=", page)
    assert '"showSendToCloud": false' in page  # plotly's own default offers to upload the data
    written = json.loads(
        figure_files.write_figure(figure, tmp_path / "figure.json").read_text(encoding="utf-8")
    )
    assert written["data"][0]["name"] == "Größe"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "figure.html",
        "figure.json",
    ]


@pytest.mark.parametrize("extension", figure_files.STATIC)
def test_no_browser__is_one_line_that_says_how_to_get_one(figure, tmp_path, without_browser, extension):
    with pytest.raises(SettingsError, match="kaleido_get_chrome.*BROWSER_PATH") as caught:
        figure_files.write_figure(figure, tmp_path / f"figure{extension}")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_browser_path__that_is_no_program(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "chrome"))
    with pytest.raises(SettingsError, match="names '.*chrome', which is not a program"):
        figure_files.write_figure(figure, tmp_path / "figure.png")


def test_browser_that_fails__is_one_line_and_leaves_no_file(figure, tmp_path, monkeypatch):
    monkeypatch.setattr(figure_files, "PATIENCE", 5)
    monkeypatch.setenv("BROWSER_PATH", "/bin/false")
    out = tmp_path / "figure.svg"
    with pytest.raises(SettingsError, match="figure") as caught:
        figure_files.write_figure(figure, out)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["figure", "figure.jpg", "figure.pdf.txt"])
def test_unknown_extension__is_refused_first(figure, tmp_path, name):
    with pytest.raises(SettingsError, match=r"\.html, \.svg, \.png, \.pdf, \.json"):
        figure_files.write_figure(figure, tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        figure_files.check_file(tmp_path / "folder.png")


@pytest.mark.browser
def test_png__has_the_printed_size_in_pixels(figure, tmp_path, browser):
    with Image.open(figure_files.write_figure(figure, tmp_path / "figure.png")) as image:
        assert image.size == (336 * figure_files.PNG_SCALE, 242 * figure_files.PNG_SCALE)
        counted = image.convert("RGB").getcolors(1 << 20)
    assert counted is not None
    colours = {colour for _, colour in counted}
    assert (255, 255, 255) in colours and (0, 114, 178) in colours


@pytest.mark.browser
def test_write_figure__inside_a_running_event_loop(figure, tmp_path, browser):
    """As in a notebook."""

    async def cell() -> bytes:
        return figure_files.write_figure(figure, tmp_path / "figure.svg").read_bytes()

    assert run_apart(cell()).startswith(b"<svg")


@pytest.mark.browser
def test_svg__keeps_text_as_text(figure, tmp_path, browser):
    text = figure_files.write_figure(figure, tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg") and ">Größe<" in text and 'width="336"' in text


@pytest.mark.browser
def test_pdf__holds_its_fonts_and_pictures(tmp_path, browser):
    picture = Picture(Image.effect_noise((64, 64), 90).convert("RGB"), "below")
    fig = picture_grid([Strip("row", [picture])], theme=paper())
    data = figure_files.write_figure(fig, tmp_path / "figure.pdf").read_bytes()
    assert data.startswith(b"%PDF") and data.rstrip().endswith(b"%%EOF")
    assert b"/FontFile" in data or b"/Type3" in data
    assert b"/Subtype /Image" in data
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page/") <= 1


@pytest.mark.browser
def test_pdf__is_the_whole_sheet(tmp_path, browser):
    """The ground of the figure begins in a corner and is as large as the page: nothing is cut off."""
    fig = finish(go.Figure(), paper()).update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    data = figure_files.write_figure(fig, tmp_path / "figure.pdf").read_bytes()
    (sheet,) = re.findall(rb"/MediaBox \[([^]]+)\]", data)
    streams = (re.split(rb"stream\r?\n", part)[-1] for part in data.split(b"endstream"))
    page = next(text for one in streams if b" re\n" in (text := inflated(one)))
    scale = float(page.split()[0])
    left, top, width, height = map(float, re.findall(rb"([-.\d ]+) re\n", page)[0].split())
    assert (left, top) == pytest.approx((0, 0), abs=0.5)
    right, bottom = (float(one) for one in sheet.split()[2:])
    assert (scale * width, scale * height) == pytest.approx((right, bottom), abs=1)


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""
