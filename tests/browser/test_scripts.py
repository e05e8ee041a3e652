"""Scripts of components on an empty page: drawn again with other data, and left once, as Streamlit does."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dashboard.components.browser_half import COMPONENTS

pytestmark = pytest.mark.browser
PLACE = "<button id=outside data-testid=stButtonGroup>one</button><div id=here></div>"
LOAD = """async ([html, script]) => {
  const here = document.getElementById("here");
  here.innerHTML = html;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: component } = await import(url);
  window.show = (data) => { window.leave = component({ data, parentElement: here, setTriggerValue() {} }); };
}"""
SHOW = "(data) => show(data)"
SHOWN = "(text) => document.getElementById('here').textContent.match(`^${text}$`)"
PRESSED = """([query, key, held]) => {
  const at = document.querySelector(query);
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...held });
  at.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
  at.dispatchEvent(event);
  return event.defaultPrevented;
}"""
GALLERY = {"turn": 0, "picked": [], "marking": True, "still": False, "label": "", "tile": 9, "columns": 0}
TILE = {"id": 1, "src": "", "beside": [], "names": [""], "alt": "", "traces": [], "lines": [], "verdict": ""}
PLOTLY = """window.Plotly = { purge() {}, async react(drawing) {
  if (window.bad) throw Error("no");
  drawing.on = () => {};
  drawing.append("drawn");
} }"""

MAP = {"address": "", "pictures": "", "outline": [], "label": "", "clusters": [], "found": [], "pressed": []}
POINTS = {"n": 9, "said": [], "names": ["a", "b", "c"], "shown": ["a", "b", "c"], "shades": [0, 1, 2]} | {
    "palette": ["#ff0000", "#00ff00", "#0000ff"], "shapes": [0, 0, 0], "title": "Class", "scale": None,
}  # fmt: skip
STAGE = "<style>.stage { width: 400px; height: 300px } canvas { position: absolute; z-index: -1 }</style>"
WATCHED = """(bytes) => {
  window.fetch = async () => ({ ok: true, arrayBuffer: async () => new Uint8Array(bytes).buffer });
  const gl = WebGLRenderingContext.prototype;
  const [make, fill] = [gl.createBuffer, gl.bufferData];
  window.made = 0;
  gl.createBuffer = function () { window.made += 1; return make.call(this); };
  gl.bufferData = function (target, values, use) {
    const bright = (one, at) => at % 4 === 3 && one > 100;
    if (values.length === 36) window.lit = values.filter(bright).length;
    return fill.call(this, target, values, use);
  };
}"""


@pytest.fixture
def script(chrome: Any):
    """Put a component on an empty page: its name, its HTML and its files, as `browser_half` takes them."""
    page = chrome.new_page()
    page.set_default_timeout(8000)
    page.set_content(PLACE)

    def put(name: str, html: str, *files: str) -> Any:
        paths = [COMPONENTS / "shared.js", *(COMPONENTS / one for one in files or (f"{name}.js",))]
        page.evaluate(LOAD, [html, "\n".join(path.read_text("utf-8") for path in paths)])
        return page

    yield put
    page.close()


def test_image_keys__leave_no_listener_behind(script: Callable[..., Any]):
    """Each image draws them again; on the next page arrow keys did nothing in a choice that was clicked."""
    page = script("image_keys", "<span></span>")
    for row in (1, 2):
        page.evaluate(SHOW, {"ArrowLeft": "a", "ArrowRight": "b", "row": row})
    assert page.evaluate(PRESSED, ["#outside", "ArrowLeft", {}])
    page.evaluate("leave()")
    assert not page.evaluate(PRESSED, ["#outside", "ArrowLeft", {}])


def test_gallery__leaves_the_keys_of_the_browser(script: Callable[..., Any]):
    """Alt and an arrow go back, Ctrl and a sign magnify the page."""
    html = "<div class=gallery></div><p class=hint></p>"
    page = script("gallery", html, "zoom.js", "gallery.js")
    page.evaluate(SHOW, {**GALLERY, "tiles": [TILE], "zoom": True})
    for query in ("body", ".tile"):
        assert page.evaluate(PRESSED, [query, "ArrowLeft", {}]), query
        assert not page.evaluate(PRESSED, [query, "ArrowLeft", {"altKey": True}]), query
    assert page.evaluate(PRESSED, [".frames", "+", {}])
    assert not page.evaluate(PRESSED, [".frames", "+", {"ctrlKey": True}])


def test_plot__a_failure_does_not_stay_above_the_next_drawing(script: Callable[..., Any]):
    html = '<div class="peregrine-plot"><div class="peregrine-drawing"></div></div>'
    page = script("plot", html, "load_plotly.js", "plot.js")
    page.evaluate(PLOTLY)
    for bad, text in ((True, "This chart could not be drawn: no."), (False, "drawn")):
        data = {"figure": '{"data": [], "layout": {}}', "height": 9 + bad, "name": str(bad), "alt": ""}
        page.evaluate(f"window.bad = {json.dumps(bad)}")
        page.evaluate(SHOW, data)
        assert page.wait_for_function(SHOWN, arg=text)


@pytest.fixture
def scatter(script: Callable[..., Any]):
    """A map of nine points of three classes; its window counts bright points, `lit`, and buffers, `made`."""
    html = STAGE + (COMPONENTS / "scatter.html").read_text("utf-8")
    page = script("scatter", html, "legend.js", "pictures.js", "scatter.js")
    header = json.dumps(POINTS).encode()
    header += b" " * (-len(header) % 4)
    numbers, codes = np.arange(9, dtype=np.int32), np.arange(9, dtype=np.uint8) % 3
    parts = [numbers, np.repeat(numbers, 2).astype(np.float32), codes.astype(np.int32), codes, codes * 0 + 1]
    packed = struct.pack("<I", len(header)) + header + b"".join(part.tobytes() for part in parts)
    page.evaluate(WATCHED, list(packed))
    page.evaluate(SHOW, {**MAP, "widest": 1, "filters": True})
    page.locator("[data-points]").wait_for()
    return page


def test_scatter__an_entry_that_was_clicked_puts_no_other_class_out(scatter: Any):
    """The legend is drawn again with what is pressed now; the entry has the focus again, and lit up alone."""
    assert scatter.evaluate("lit") == 9
    scatter.locator(".legend [data-name=b]").click()
    scatter.evaluate(SHOW, {**MAP, "widest": 1, "filters": True, "pressed": ["a", "b"]})
    focused = scatter.locator(".legend [data-name=b]:focus")
    assert focused.get_attribute("aria-pressed") == "true"
    assert scatter.evaluate("lit") == 9


def test_scatter__colours_take_no_new_memory_of_the_graphics_card(scatter: Any):
    made = scatter.evaluate("made")
    for name in "abc":
        scatter.locator(f".legend [data-name={name}]").hover()
        scatter.wait_for_function("lit === 3")
    assert scatter.evaluate("made") == made
