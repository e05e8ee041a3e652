"""The scatter of a map: many points drawn with WebGL (with a plain canvas where there is none).

The browser half (scatter.js, legend.js for what is written on it, pictures.js) fetches packed numbers
(`map_points.py`); it moves and zooms, shows pictures of some points and of the one under the pointer, and
sends back a click, an entry of the legend, or the outline of a selection, in the map's own coordinates. An
outline is all that travels, however many points lie in it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dashboard.components.browser_half import browser_half, on_sent

HTML = Path(__file__).with_name("scatter.html")
Outline = list[tuple[float, float]]

_SCATTER = browser_half("scatter", HTML.read_text(encoding="utf-8"), "legend.js", "pictures.js", "scatter.js")


def scatter(
    address: str,
    *,
    key: str,
    label: str,
    pictures: str = "",
    outline: Sequence[tuple[float, float]] = (),
    clusters: Sequence[Mapping[str, object]] = (),
    search_hits: Sequence[tuple[int, float, float]] = (),
    pressed: Sequence[str] = (),
    widest: float = 1.0,
    on_open: Callable[[int], None] | None = None,
    on_outline: Callable[[Outline], None] | None = None,
    on_legend: Callable[[str], None] | None = None,
) -> None:
    """Draw the points that are found at an address. `on_open` gets the row of a clicked point, `on_outline`
    the corners of a finished selection (empty: it was cleared), `on_legend` the name of a clicked entry of
    the legend. All run as callbacks, before the next run.

    Args:
        address: of the points, relative to the page. pictures: address of a thumbnail with {row} in place of
            the row; "" without pictures. outline: the selection as it is now, drawn over the points.
        label: one sentence for screen readers. clusters: words, x, y, top, bottom and reason of each, the
            largest first.
        search_hits: row, x and y of images that a search found; the others are dimmed.
        pressed: entries of the legend that the filter names.
        widest: how much wider than high a unit of the map may be drawn, to use a wide page.
    """

    _SCATTER(
        key=key,
        data={
            "address": address,
            "pictures": pictures,
            "outline": [list(map(float, corner)) for corner in outline],
            "label": label,
            "clusters": list(clusters),
            "found": [list(hit) for hit in search_hits],
            "pressed": list(pressed),
            "widest": widest,
            "filters": on_legend is not None,
        },
        on_opened_change=on_sent(key, "opened", on_open, int),
        on_outline_change=on_sent(key, "outline", on_outline, _corners),
        on_legend_change=on_sent(key, "legend", on_legend, str),
    )


def _corners(sent: Sequence[Sequence[float]]) -> Outline:
    return [(float(x), float(y)) for x, y in sent]
