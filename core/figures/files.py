"""Figures as files: .html and .json by plotly alone, .svg, .png and .pdf through a Chrome or Chromium."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from core.errors import SettingsError
from core.export.files import complete_file

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
SCREEN = (960, 540)  # pixels of a figure that leaves its size to the page
PNG_SCALE = 4  # 384 dots an inch at the printed size
PATIENCE = 180  # seconds for one figure
HOW_TO_GET_ONE = (
    "install Chromium or Chrome (Debian, Ubuntu: apt-get install chromium), or run: kaleido_get_chrome, "
    "or name one in the variable BROWSER_PATH; .html and .json need none"
)


def write_figure(figure: go.Figure, out: str | Path) -> Path:
    """Write a figure in the format that the extension names; the file appears only when complete.

    A pdf holds its fonts; an svg keeps its text as text, in fonts that every system has a match for.

    Raises:
        SettingsError: unknown extension, or no browser for a static format.
    """
    out = Path(out)
    extension = check_file(out)
    with complete_file(out) as temporary:
        if extension == ".json":
            temporary.write_text(str(figure.to_json()), encoding="utf-8")
        elif extension == ".html":
            config = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": out.stem}}
            figure.write_html(temporary, include_plotlyjs=True, config=config)
        else:
            temporary.write_bytes(render(figure, extension[1:]))
    return out


def check_file(out: Path) -> str:
    """The extension of a file that can be written; SettingsError otherwise, before any work is done."""
    extension = out.suffix.lower()
    if extension not in EXTENSIONS:
        said = f"'{out.suffix}'" if out.suffix else "no extension"
        raise SettingsError(f"'{out}' has {said}; a figure can be written as {', '.join(EXTENSIONS)}")
    if out.is_dir():
        raise SettingsError(f"'{out}' is a folder; name a file in it")
    if extension in STATIC:
        find_browser()
    return extension


def find_browser() -> str:
    """Path of a Chrome or Chromium: BROWSER_PATH, one on PATH, or the one `kaleido_get_chrome` fetched.

    Raises:
        SettingsError: there is none; the message says how to get one.
    """
    named = os.environ.get("BROWSER_PATH")
    if named:
        if shutil.which(named):
            return named
        raise SettingsError(f"BROWSER_PATH names '{named}', which is no program; {HOW_TO_GET_ONE}")
    on_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    found = on_path or _fetched_browser()
    if found is None:
        raise SettingsError(
            f".svg, .png and .pdf need a Chrome or Chromium, and none was found; {HOW_TO_GET_ONE}"
        )
    return found


def _fetched_browser() -> str | None:
    from choreographer.browsers.chromium import Chromium

    return Chromium.find_browser(skip_local=False)


def render(figure: go.Figure, kind: str) -> bytes:
    """A figure as svg, png or pdf.

    Args:
        kind: svg, png or pdf.
    Raises:
        SettingsError: no browser, or it does not start or answer.
    """
    return render_all([figure], kind)[0]


def render_all(figures: Sequence[go.Figure], kind: str) -> list[bytes]:
    """Several figures, drawn by one browser; see `render`."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import kaleido

    for chatty in ("choreographer", "kaleido"):  # what goes wrong is said below, in one line
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    browser = find_browser()
    page = kaleido.PageGenerator(mathjax=False)  # by default it would be fetched from a server
    browse: Any = {"path": browser, "page_generator": page, "timeout": PATIENCE}

    async def drawn() -> list[bytes]:
        async with kaleido.Kaleido(**browse) as drawing:
            return [await drawing.calc_fig(figure.to_dict(), opts=_size(figure, kind)) for figure in figures]

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop running in its own
            return thread.submit(asyncio.run, drawn()).result() if figures else []
    except Exception as error:
        said = " ".join(str(error.args[0] if error.args else type(error).__name__).split())[:200]
        raise SettingsError(
            f"the browser '{browser}' could not draw the figure: {said}; {HOW_TO_GET_ONE}"
        ) from error


def _size(figure: go.Figure, kind: str) -> Any:
    width, height = figure.layout.width or SCREEN[0], figure.layout.height or SCREEN[1]
    return {"format": kind, "width": width, "height": height, "scale": PNG_SCALE if kind == "png" else 1}
