"""The scatter of a map: many points drawn with WebGL (with a plain canvas where there is none).

The browser half (scatter.js) gets packed numbers, so 100,000 points are about 2 MB; it moves and zooms,
shows the picture of the point under the pointer, and sends back a click or the outline of a selection,
in the map's own coordinates. An outline is all that travels, however many points lie in it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from core.figures.maps import Colouring

HERE = Path(__file__).parent
Outline = list[tuple[float, float]]


@dataclass(frozen=True)
class Points:
    """What is drawn.

    Attributes:
        rows: (n,) rows of the study. xy: (n, 2) places. colouring: of these points.
        said: lines about each point for the pointer that rests on it: a name, and for each point a place in
            `words` (n,) or a number (n,); see `Said`.
        pictures: address of a thumbnail with {row} in place of the row; "" without pictures.
    """

    rows: np.ndarray
    xy: np.ndarray
    colouring: Colouring
    said: tuple[Said, ...] = ()
    pictures: str = ""


@dataclass(frozen=True)
class Said:
    """One line about each point: numbers (n,), NaN for none, or places in `words` (-1 for none)."""

    name: str
    values: np.ndarray
    words: tuple[str, ...] = ()

    def packed(self) -> dict[str, Any]:
        kind = np.int32 if self.words else np.float32
        return {"name": self.name, "values": packed(self.values, kind), "words": list(self.words)}


_SCATTER = component(
    "peregrine_scatter",
    html=(HERE / "scatter.html").read_text(encoding="utf-8"),
    css=(HERE / "scatter.css").read_text(encoding="utf-8"),
    js=(HERE / "scatter.js").read_text(encoding="utf-8"),
)


def packed(values: np.ndarray, kind: type) -> str:
    """Numbers as base64 of their little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _ends(colouring: Colouring) -> list[float] | None:
    """The amounts at either end of a scale; None for names, and where nothing is known."""
    known = colouring.is_scale and np.isfinite(colouring.low)
    return [colouring.low, colouring.high] if known else None


def scatter(
    points: Points,
    *,
    key: str,
    label: str,
    height: int = 560,
    outline: Sequence[tuple[float, float]] = (),
    on_open: Callable[[int], None] | None = None,
    on_outline: Callable[[Outline], None] | None = None,
) -> None:
    """Draw the points. `on_open` gets the row of a clicked point, `on_outline` the corners of a finished
    selection (empty: it was cleared). Both run as callbacks, before the next run.

    Args:
        outline: the selection as it is now, drawn over the points. label: one sentence for screen readers.
    """

    def opened() -> None:
        if on_open is not None and (row := st.session_state[key].opened) is not None:
            on_open(int(row))

    def outlined() -> None:
        corners = st.session_state[key].outline
        if on_outline is not None and corners is not None:
            on_outline([(float(x), float(y)) for x, y in corners])

    colouring = points.colouring
    _SCATTER(
        key=key,
        data={
            "rows": packed(points.rows, np.int32),
            "xy": packed(points.xy, np.float32),
            "codes": packed(colouring.codes, np.uint8),
            "palette": list(colouring.palette),
            "names": list(colouring.names),
            "scale": _ends(colouring),
            "title": colouring.title,
            "said": [line.packed() for line in points.said],
            "pictures": points.pictures,
            "outline": [list(map(float, corner)) for corner in outline],
            "label": label,
            "height": height,
        },
        on_opened_change=opened,
        on_outline_change=outlined,
    )
