"""The server: Streamlit's pages and, on the same port, the pictures. Started by `make dashboard`.

`/thumb/STUDY/ROW` gives a stored thumbnail, `/image/STUDY/ROW` the original picture, `/overlay/STUDY/ROW`
one with a heatmap and masks over it, `/points/STUDY` the points of a map, `/table/STUDY/NAME` a table as a
file. The server is up before what answers these is loaded (by `warm_up.py`), so this file imports little.
All requests, Streamlit's own and the WebSocket included, pass the guard first (see `dashboard.server`).
"""

import importlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.server import picture_threads
from dashboard.server.first_page import first_page
from dashboard.server.guard import Guard
from dashboard.server.settings import read_rules
from dashboard.server.warm_up import lifespan
from dashboard.state.pages import HOME, PAGES


def _answered_by(name: str) -> Callable[[Request], Awaitable[Response]]:
    """The function of this name in `routes.py`, loaded when it is first asked."""

    def begin(request: Request) -> Response | Callable[[], Response]:
        return getattr(importlib.import_module("dashboard.server.routes"), name)(request)

    async def answer(request: Request) -> Response:
        begun = await run_in_threadpool(begin, request)
        return begun if isinstance(begun, Response) else await picture_threads.run(begun)

    return answer


def _home(request: Request) -> Response:
    """The page at the root, which Streamlit does not know by its own name."""
    query = request.url.query
    return RedirectResponse(f"/?{query}" if query else "/", status_code=307)


def _page(request: Request) -> HTMLResponse:
    """What every page begins as."""
    return HTMLResponse(first_page(), headers={"Cache-Control": "no-cache"})


ROUTES = [
    Route(f"/{HOME}", _home),
    *(Route(f"/{name}", _page) for name in ("", *PAGES) if name != HOME),
    Route("/thumb/{study:path}/{row}", _answered_by("thumbnail")),
    Route("/image/{study:path}/{row}", _answered_by("full_image")),
    Route("/overlay/{study:path}/{row}", _answered_by("overlay")),
    Route("/points/{study:path}", _answered_by("points")),
    Route("/table/{study:path}/{file}", _answered_by("table_file")),
    Route("/plotly.js", _answered_by("library")),
]

# Components of other packages are not shown here. To look for some, Streamlit would read what each installed
# package says of itself: .1 s until the server is up.
with suppress(ImportError):
    from streamlit.components.v2 import manifest_scanner

    manifest_scanner.scan_component_manifests = lambda max_workers=None: []

# `streamlit run` looks for an `st.App` that is called app, and serves what is called app in the end.
app = st.App(Path(__file__).with_name("main.py"), routes=ROUTES, lifespan=lifespan)
app = Guard(app, read_rules)
