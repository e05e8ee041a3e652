"""Convert a figure from one theme to another: a chart of the dashboard as it would be printed.

Figures take every colour, size and font from their theme, so these can be replaced afterwards: colours by
their meaning, sizes by their difference from the theme's own.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from core.figures.theme import LIGHT, Theme, paper, template

COLOURS = (
    "ink",
    "muted",
    "grid",
    "background",
    "surface",
    "correct",
    "misclassified",
    "lower",
    "discriminative",
    "upper",
    "accent",
    "neutral",
)
RGBA = re.compile(r"rgba\((\d+),\s*(\d+),\s*(\d+),\s*([\d.]+)\)")
LETTER_WIDTH = 0.5  # width of an average letter, in font sizes
SCATTER_POINTS = 20_000  # maximum number of WebGL points to convert to vectors
STROKES = {("line", "width"), ("marker", "size"), ("error_x", "thickness"), ("error_y", "thickness")}


def restyle(figure: go.Figure | str, old: Theme, new: Theme) -> go.Figure:
    """Return a copy of a figure in another theme.

    Args:
        figure: made by a function of `core.figures` with the theme `old`, or its JSON text.
        new: if it has a size, it becomes the figure's; panels that grew with their rows keep their ratio to
            the usual height.
    """
    whole = json.loads(figure if isinstance(figure, str) else str(figure.to_json()))
    tall = whole.setdefault("layout", {}).get("height")
    whole["layout"].pop("template", None)
    whole = _exchanged(
        whole, _colour_map(old, new), new.font_size - old.font_size, new.font_size / old.font_size
    )
    for trace in whole.get("data", []):
        _to_vectors(trace)
    size = _size(tall, old, new)
    if new.width:
        _wrap_notes(whole["layout"], new, size["height"])
    result = go.Figure(whole)
    result.update_layout(template=template(new), **size)
    return result


def _wrap_notes(layout: dict[str, Any], theme: Theme, height: float) -> None:
    """Wrap notes that are longer than the figure is wide, and make room for notes above the axes."""
    for note in layout.get("annotations", []):
        font_size = note.get("font", {}).get("size", theme.font_size)
        lines = note.get("text", "").split("<br>")
        most = int((theme.width or 0) / (LETTER_WIDTH * font_size))
        broken = [part for line in lines for part in textwrap.wrap(line, most) or [""]]
        above = note.get("yref") == "paper" and float(note.get("y", 0)) >= 1
        if len(broken) == len(lines) or note.get("textangle"):
            continue
        note["text"] = "<br>".join(broken)
        extra = 1.3 * font_size * (len(broken) - len(lines))
        if above:
            margin, legend = layout.setdefault("margin", {}), layout.get("legend", {})
            margin["t"] = margin.get("t", 36) + extra
            if float(legend.get("y", 0)) > 1:
                legend["y"] = legend["y"] + extra / (height - margin["t"] - 40)


def _size(height: float | None, old: Theme, new: Theme) -> dict[str, Any]:
    if not new.width or not new.height:
        return {}
    usual = old.height or 380
    return {"width": new.width, "height": round(new.height * max((height or usual) / usual, 1.0))}


def _colour_map(old: Theme, new: Theme) -> Callable[[str], str]:
    """Map a colour of one theme to the colour of the same meaning in the other; others stay.

    Two meanings may share a colour (ground and surface): the first in COLOURS wins.
    """
    hexes: dict[str, str] = {}
    for scale in ("diverging", "sequential"):
        for (_, was), (_, now) in zip(getattr(old, scale), getattr(new, scale), strict=True):
            hexes.setdefault(was.upper(), now)
    for name in COLOURS:
        hexes[getattr(old, name).upper()] = getattr(new, name)
    triples = {_triple(was): _triple(now) for was, now in hexes.items()}

    def exchanged(text: str) -> str:
        if text.startswith("#"):
            return hexes.get(text.upper(), text)
        return RGBA.sub(_tinted, text) if "rgba(" in text else text

    def _tinted(found: re.Match[str]) -> str:
        rgb = tuple(int(found[i]) for i in (1, 2, 3))
        red, green, blue = triples.get(rgb, rgb)
        return f"rgba({red},{green},{blue},{found[4]})"

    return exchanged


def _triple(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _exchanged(value: Any, colour: Callable[[str], str], step: float, ratio: float, path: tuple = ()) -> Any:
    if isinstance(value, dict):
        return {
            key: _exchanged(inner, colour, step, ratio, (*path, key))
            for key, inner in value.items()
            if not (key == "family" and _is_font(path))  # the font of the template
        }
    if isinstance(value, list):
        return [_exchanged(inner, colour, step, ratio, path) for inner in value]
    if isinstance(value, str):
        return colour(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if path[-1:] == ("size",) and _is_font(path[:-1]):
            return value + step
        if path[-2:] in STROKES:
            return value * ratio
    return value


def _is_font(path: tuple) -> bool:
    return bool(path) and str(path[-1]).endswith("font")


def _to_vectors(trace: dict[str, Any]) -> None:
    """Convert WebGL points to vectors, which a PDF can hold, unless there are too many."""
    x = trace.get("x") or []
    n = len(x) if isinstance(x, list) else len(x.get("bdata", "")) // 8
    if trace.get("type") == "scattergl" and n <= SCATTER_POINTS:
        trace["type"] = "scatter"


def for_print(
    figure: go.Figure | str, theme: Theme, *, column: str = "single", font: str = "serif"
) -> go.Figure:
    """Convert a dashboard figure for print: one or two columns wide, serif or sans."""
    return restyle(figure, theme if theme.is_dark else LIGHT, paper(column=column, font=font))
