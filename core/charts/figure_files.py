"""Write figures to files: .html and .json with plotly alone, .svg, .png and .pdf with Chrome or Chromium."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from core.charts.fonts import font_faces
from core.charts.table_file import complete_file
from core.charts.theme import layout_of
from core.common.inside import check_output_file
from core.errors import SettingsError

STATIC = (".svg", ".png", ".pdf")
EXTENSIONS = (".html", *STATIC, ".json")
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
# Of charts in HTML: without the button that sends their data to the plotly company.
HTML_CONFIG = {"displaylogo": False, "showSendToCloud": False}
SCREEN = (960, 540)  # pixels of a figure without a fixed size
PNG_SCALE = 4  # 384 dots per inch at the printed size
PATIENCE = 180  # seconds for one figure
DRAWN_TEXT = Path(__file__).with_name("drawn_text.js")
# kaleido prints with margins on a sheet as large as the figure: what stands at its end would be cut off.
WHOLE_SHEET = "<style>@page { margin: 0 } #kaleido-image { display: block }</style>"
HOW_TO_GET_ONE = (
    "install Chromium or Chrome (Debian, Ubuntu: apt-get install chromium), or run: kaleido_get_chrome, "
    "or set BROWSER_PATH to a browser; .html and .json need none"
)


def write_figure(figure: go.Figure, out: str | Path) -> Path:
    """Write a chart in the format of the file extension; the file appears only when complete.

    A pdf and an svg carry the fonts that they are laid out with, and text stays text.

    Raises:
        SettingsError: unknown extension, or no browser for a static format.
    """
    out = Path(out)
    extension = check_file(out)
    with complete_file(out) as temporary:
        if extension == ".json":
            temporary.write_text(str(figure.to_json()), encoding="utf-8")
        elif extension == ".html":
            saved = {"toImageButtonOptions": {"format": "svg", "filename": out.stem}}
            figure.write_html(temporary, include_plotlyjs=True, config=HTML_CONFIG | saved)
        else:
            temporary.write_bytes(render(figure, extension[1:]))
    return out


def check_file(out: Path) -> str:
    """Return the extension if a chart's file can be written; else raise SettingsError before any work."""
    extension = check_output_file(out, "a figure", EXTENSIONS)
    if extension in STATIC:
        find_browser()
    return extension


def find_browser() -> str:
    """Return the path of a Chrome that renders charts: BROWSER_PATH, on PATH, or by `kaleido_get_chrome`.

    Raises:
        SettingsError: there is none; the message explains how to get one.
    """
    named = os.environ.get("BROWSER_PATH")
    if named:
        if shutil.which(named):
            return named
        raise SettingsError(f"BROWSER_PATH names '{named}', which is not a program; {HOW_TO_GET_ONE}")
    on_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = on_path or _fetched_browser()
    if browser is None:
        raise SettingsError(
            f".svg, .png and .pdf need a Chrome or Chromium, and none was found; {HOW_TO_GET_ONE}"
        )
    return browser


def _fetched_browser() -> str | None:
    from choreographer.browsers.chromium import Chromium

    return Chromium.find_browser(skip_local=False)


def render(figure: go.Figure, kind: str) -> bytes:
    """Render a chart as the bytes of an svg, png or pdf file.

    Args:
        kind: svg, png or pdf.
    Raises:
        SettingsError: no browser, or it does not start or answer.
    """
    return render_all([figure], kind)[0]


def render_all(
    figures: Sequence[go.Figure], kind: str, *, drawn_one: Callable[[], None] = lambda: None
) -> list[bytes]:
    """Render several charts with one browser; see `render`. drawn_one: called after each, in its thread."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import kaleido

    for chatty in ("choreographer", "kaleido"):  # errors are reported below in one line
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    browser = find_browser()
    browse: Any = {"path": browser, "page_generator": _page_with_fonts(), "timeout": PATIENCE}

    async def drawn() -> list[bytes]:
        async with kaleido.Kaleido(**browse) as drawing:
            files = []
            for figure in figures:
                files.append(await drawing.calc_fig(figure.to_dict(), opts=_size(figure, kind)))
                drawn_one()
            return files

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread already runs an event loop
            return thread.submit(asyncio.run, drawn()).result() if figures else []
    except Exception as error:
        reason = " ".join(str(error.args[0] if error.args else type(error).__name__).split())[:200]
        raise SettingsError(
            f"the browser '{browser}' could not draw the figure: {reason}; {HOW_TO_GET_ONE}"
        ) from error


def _page_with_fonts() -> Any:
    """The page in which figures are drawn: it holds the shipped fonts, and every drawing carries them."""
    import kaleido

    page = kaleido.PageGenerator(mathjax=False)  # by default it would be downloaded from a server
    script = DRAWN_TEXT.read_text(encoding="utf-8")
    page.header += f'<style id="peregrine-fonts">{font_faces()}</style>{WHOLE_SHEET}'
    page.footer = f"<script>{script}\ncarryFonts();</script>{page.footer}"
    return page


def _size(figure: go.Figure, kind: str) -> Any:
    width, height = layout_of(figure).width or SCREEN[0], layout_of(figure).height or SCREEN[1]
    return {"format": kind, "width": width, "height": height, "scale": PNG_SCALE if kind == "png" else 1}
