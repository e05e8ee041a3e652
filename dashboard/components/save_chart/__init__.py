"""Buttons that save a chart as the reader sees it now, as SVG or PNG; plotly draws it in the browser."""

from __future__ import annotations

from pathlib import Path

from streamlit.components.v2 import component

HERE = Path(__file__).parent
FORMATS = {"svg": "scales for print", "png": "for slides"}

_BUTTONS = component(
    "peregrine_save_chart",
    html='<div class="row">'
    + "".join(f'<button type="button" data-format="{name}">{name.upper()}</button>' for name in FORMATS)
    + '<span class="said" role="status"></span></div>',
    css=(HERE / "save_chart.css").read_text(encoding="utf-8"),
    js=(HERE / "save_chart.js").read_text(encoding="utf-8"),
)


def save_buttons(chart: str, *, alt: str) -> None:
    """Buttons below the chart with this key; `alt` says what it shows, for those who do not see it."""
    _BUTTONS(key=f"{chart}_save", data={"chart": chart, "alt": alt, "hints": FORMATS}, width="content")
