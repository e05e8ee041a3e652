"""The map of representations: colours of its points, points inside an outline, and the figure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, known_score, seeded_rows
from core.charts.marks import dots, points_kind
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.captions import with_class_names
from core.common.dataframes import numbers, safe_divide
from core.common.score_names import score_label
from core.common.step_facts import MapFacts
from core.store import Study

STEPS = 64  # colours of a continuous scale
MOST_CLASSES = 20  # classes with their own colour; more would not be distinguishable
# Seven hues that stay apart with every common colour vision (Okabe and Ito's, adapted to the page), each in
# three shapes: no eye tells twenty hues apart.
CLASS_COLOURS = ("#006DA8", "#E89F01", "#009F5C", "#C9879E", "#CF5E03", "#4BB2FE", "#3B3B3B")
CLASS_COLOURS_DARK = ("#226EE1", "#F3C627", "#28A966", "#DC7BB6", "#D9531E", "#6AD8FF", "#F2F4F7")
SHAPES = ("circle", "square", "triangle-up")
OTHERS = "other classes"
UNKNOWN = "not known"
LONGEST_ENTRY = 16  # characters of a name in the legend: one column of a paper holds two beside each other
ENTRY, LINE = 12.0, 1.9  # width of an entry of the legend and height of its line, in sizes of the font
TAIL = 0.005  # share of the values at either end that may exceed a continuous scale
MOST_ON_A_MAP = 20_000  # points; more would only hide each other on paper
AXES = {
    "pca": "Principal component",
    "umap": "UMAP",
    "rest": "Principal component of the rest",
    "prefix": "Principal component of the prefix",
    "rest_umap": "UMAP of the rest",
    "prefix_umap": "UMAP of the prefix",
}


@dataclass(frozen=True)
class Colouring:
    """A colour for every point.

    Attributes:
        codes: (n,) uint8, indices into `palette`. palette: colours as #RRGGBB.
        names: meaning of each colour of the palette; empty for a continuous scale.
        low, high: the values at either end of the scale. title: the coloured quantity.
        shapes: of each colour of the palette, places in `SHAPES`; empty where all are circles.
    """

    codes: np.ndarray
    palette: tuple[str, ...]
    names: tuple[str, ...] = ()
    low: float = float("nan")
    high: float = float("nan")
    title: str = ""
    shapes: tuple[int, ...] = ()

    def of(self, rows: np.ndarray) -> "Colouring":
        """Return the colouring of some of the points."""
        return replace(self, codes=self.codes[rows])

    def place_of(self, name: str) -> int:
        """Return the code of a name, -1 if it has no colour of its own."""
        return self.names.index(name) if name in self.names else -1

    @property
    def is_scale(self) -> bool:
        return not self.names


def by_name(
    names: Sequence[object] | np.ndarray, *, title: str = "", theme: Theme = LIGHT, order: Sequence[str] = ()
) -> Colouring:
    """Colour a map's points by name: the most common get their own colours, others one grey.

    Args:
        order: names that come first, regardless of their frequency.
    """
    codes_of_names, uniques = pd.factorize(np.asarray(names, dtype=object))  # -1 for missing values
    counts = np.bincount(codes_of_names[codes_of_names >= 0], minlength=len(uniques))
    words = [str(name) for name in uniques]
    by_count = sorted(range(len(words)), key=lambda at: (-counts[at], words[at]))
    ranked = [words[at] for at in by_count]
    ranked = [name for name in order if name in ranked] + [name for name in ranked if name not in order]
    own_colours = sorted(ranked[:MOST_CLASSES]) if not order else ranked[:MOST_CLASSES]
    hues = CLASS_COLOURS_DARK if theme.is_dark else CLASS_COLOURS
    listed = {name: hues[at % len(hues)] for at, name in enumerate(own_colours)}
    shapes = tuple(at // len(hues) for at in range(len(own_colours)))
    if len(ranked) > MOST_CLASSES:
        listed[OTHERS] = theme.neutral
    if (codes_of_names < 0).any():
        listed[UNKNOWN] = theme.grid
    places = {name: code for code, name in enumerate(listed)}
    codes = [places.get(word, places.get(OTHERS, 0)) for word in words]
    codes.append(places.get(UNKNOWN, 0))  # index -1 refers to the last one
    name_codes = np.array(codes, np.uint8)[codes_of_names]
    circles = [0] * (len(listed) - len(shapes))
    return Colouring(
        name_codes,
        tuple(listed.values()),
        tuple(listed),
        title=title,
        shapes=(*shapes, *circles),  # greys are circles
    )


def names_tell(names: np.ndarray) -> bool:
    """Whether the names with an own colour on a map are at least half of all; else nearly all is grey.

    >>> names_tell(np.array(["cat", "dog"] * 9)), names_tell(np.arange(500))
    (True, False)
    """
    counts = pd.Series(names).value_counts()
    return bool(2 * counts.iloc[:MOST_CLASSES].sum() >= counts.sum())


def legend_of(names: np.ndarray, colouring: Colouring) -> tuple[tuple[str, ...], np.ndarray, tuple[int, ...]]:
    """List every name that is drawn on a map, also those that share a colour: own colours first, by name.

    Args:
        names: (n,) object, None or NaN for missing ones. colouring: `by_name` of the same names.
    Returns:
        the names, (n,) int32 the place of each point's name among them, and the code of each name's colour.
    """
    codes_of_names, uniques = pd.factorize(names)
    words = [str(name) for name in uniques]
    shared = colouring.place_of(OTHERS)
    listed = [name for name in colouring.names if name not in (OTHERS, UNKNOWN) and name in words]
    listed += sorted(name for name in words if name not in listed)
    if (codes_of_names < 0).any():
        listed.append(UNKNOWN)
    places = {name: position for position, name in enumerate(listed)}
    values = np.array([*(places[word] for word in words), places.get(UNKNOWN, 0)], np.int32)[codes_of_names]
    codes = {name: at for at, name in enumerate(colouring.names)}
    return tuple(listed), values, tuple(codes.get(name, max(shared, 0)) for name in listed)


def by_verdict(correct: np.ndarray, *, theme: Theme = LIGHT) -> Colouring:
    """Colour correct and misclassified images of a map as usual. correct: (n,) 1, 0 or NaN."""
    codes = np.where(np.isnan(correct), 2, np.where(correct == 1, 0, 1)).astype(np.uint8)
    palette, names = (theme.correct, theme.misclassified), ("correct", "misclassified")
    if (codes == 2).any():
        palette, names = (*palette, theme.grid), (*names, UNKNOWN)
    return Colouring(codes, palette, names, title="Correctness")


def by_amount(values: np.ndarray, *, title: str = "", theme: Theme = LIGHT) -> Colouring:
    """Colour a map's points by values on a one-hue scale; the outermost 0.5 % share its end colours.

    Args:
        values: (n,) float; NaN is drawn as the lowest grey.
    """
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [TAIL, 1 - TAIL]) if finite.size else (np.nan, np.nan)
    scale = _scale(theme)
    span = (values - low) / (high - low) if high > low else np.zeros(len(values))
    steps = np.nan_to_num(np.clip(span, 0, 1)) * (len(scale) - 1)
    codes = np.where(np.isfinite(values), np.rint(steps) + 1, 0).astype(np.uint8)
    return Colouring(codes, (theme.grid, *scale), low=float(low), high=float(high), title=title)


def _scale(theme: Theme) -> tuple[str, ...]:
    """Return colours from one still visible on the page to the strongest one."""
    ends = (
        ["#2C4A66", "#2F86B8", "#8FD3F4", "#FFF3C4"]
        if theme.is_dark
        else ["#CFE3F1", "#5FA8D3", "#0072B2", "#03203A"]
    )
    parts = np.array([[int(end[at : at + 2], 16) for at in (1, 3, 5)] for end in ends])
    along = np.linspace(0, len(ends) - 1, STEPS)
    mixed = [np.interp(along, np.arange(len(ends)), parts[:, channel]) for channel in range(3)]
    channels = ((int(r), int(g), int(b)) for r, g, b in zip(*mixed, strict=True))
    return tuple(f"#{red:02X}{green:02X}{blue:02X}" for red, green, blue in channels)


def inside_outline(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(n,) bool: points of a map's chart within a closed outline drawn on it, by the even-odd rule.

    Args:
        points: (n, 2). outline: (m, 2) corners; fewer than three enclose nothing.
    """
    inside = np.zeros(len(points), bool)
    if len(outline) < 3:
        return inside
    near = np.flatnonzero(((points >= outline.min(0)) & (points <= outline.max(0))).all(1))
    x, y = points[near].T.astype(np.float64)
    within = np.zeros(len(near), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        within ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    inside[near] = within
    return inside


def representation_map(
    points: np.ndarray,
    colouring: Colouring,
    *,
    kind: str = "pca",
    shares: Sequence[float] = (),
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot every image of a study as a point of a map.

    Args:
        points: (n, 2). colouring: of the same points. kind: pca or umap, for the axis names.
        shares: of the variance along each axis of PCA.
    """
    if not len(points):
        return note_figure("No image matches.", theme)
    size = theme.stroke(max(1.5, min(6.0, 220 / len(points) ** 0.5)))
    fig = go.Figure()
    marker = _amount_marker(colouring, theme) if colouring.is_scale else _name_marker(colouring)
    marker |= {"size": size, "opacity": 0.75}
    fig.add_trace(_dots(points, marker))  # one trace: no class on top
    shapes = colouring.shapes or [0] * len(colouring.names)
    for colour, shape, name in zip(colouring.palette, shapes, colouring.names, strict=False):
        mark = {"color": colour, "symbol": SHAPES[shape]}
        entry = as_text(shortened(with_class_names(name), LONGEST_ENTRY))
        fig.add_trace(_dots(np.full((1, 2), np.nan), mark, entry, like=len(points)))
    for axis, at in ((fig.update_xaxes, 0), (fig.update_yaxes, 1)):
        share = f" ({100 * shares[at]:.0f} % of the variance)" if len(shares) > at and kind == "pca" else ""
        axis(title_text=f"{AXES[kind]} {at + 1}{share}", showgrid=False, constrain="domain")
    fig.update_yaxes(scaleanchor="x", scaleratio=1)
    fig.update_layout(legend_itemsizing="constant")
    finish(fig, theme, height=560)
    if theme.width:  # on paper the legend takes its own room, not that of the points
        lines = -(-len(colouring.names) // max(1, int(theme.width / (ENTRY * theme.font_size))))
        fig.update_layout(height=round((theme.height or 560) + max(lines - 1, 0) * LINE * theme.font_size))
    return fig


def _dots(points: np.ndarray, marker: dict, name: str = "", *, like: int = 0) -> go.Scatter | go.Scattergl:
    """Few points are SVG, which a browser without WebGL draws too. like: how many points the others have."""
    x, y = points.T.astype(np.float32)
    kind = points_kind(max(len(points), like))
    return dots(x, y, kind=kind, marker=marker, name=name, showlegend=bool(name))


def _name_marker(colouring: Colouring) -> dict:
    """Return the colours as steps of an integer scale, which takes less data than their names."""
    n = len(colouring.palette)
    steps = [[(at + side) / n, colour] for at, colour in enumerate(colouring.palette) for side in (0, 1)]
    scale = {"cmin": -0.5, "cmax": n - 0.5, "colorscale": steps, "showscale": False}
    if any(colouring.shapes):
        scale["symbol"] = np.array(SHAPES)[np.array(colouring.shapes)[colouring.codes]]
    return {"color": colouring.codes} | scale


def _amount_marker(colouring: Colouring, theme: Theme) -> dict:
    steps = colouring.palette[1:]
    low, high = colouring.low, colouring.high
    share = (colouring.codes.astype(np.float64) - 1) / max(len(steps) - 1, 1)
    values = low + share * (high - low)
    bar = {
        "title": {"text": as_text(colouring.title), "side": "right"},
        "thickness": theme.stroke(12),
        "outlinewidth": 0,
    }
    colours = np.where(colouring.codes == 0, np.nan, values)
    scale = [[at / (len(steps) - 1), colour] for at, colour in enumerate(steps)]
    highest = high if high > low else low + 1
    return {
        "color": colours,
        "cmin": low,
        "cmax": highest,
        "colorscale": scale,
        "colorbar": bar,
        "showscale": bool(np.isfinite(low)),
    }


class Places(NamedTuple):
    """Images on a map: `frame` has image_id, x, y and the coloured value."""

    frame: pd.DataFrame
    kind: str
    shares: tuple[float, ...]
    coloured: str  # the title of the value
    score: bool  # it is a number


def _table(study: Study, options: FigureOptions) -> Places:
    """Read the map (UMAP if there is one), and what colours it: a feature, a score or, if few, classes."""
    kind = "umap" if study.has("map_umap") else "pca"
    rows = np.flatnonzero(study.rows_of_slice(np.ones(study.n_images, bool)))
    rows = rows[seeded_rows(len(rows), MOST_ON_A_MAP, options.seed)]
    if options.features:
        raw = study.array("representations").rows(rows).astype(np.float64)
        value = safe_divide(raw[:, options.features[0]], np.linalg.norm(raw, axis=1), empty=0.0)
        title = f"{study.feature_kind} {options.features[0]}"
    elif options.score != FigureOptions.score or not (
        study.labelled and (options.classes or names_tell(study.images["label"].to_numpy(object)[rows]))
    ):
        table = study.kept("quality")
        score = known_score(table, options.score)
        value, title = numbers(table, score)[rows].astype(np.float64), score_label(score)
    else:
        value, title = study.images["label"].to_numpy(object)[rows], "class"
    x, y = study.vector(f"map_{kind}")[rows].T
    names = study.images["image_id"].to_numpy(object)[rows]
    frame = pd.DataFrame({"image_id": names, "x": x, "y": y, "value": value})
    shares = study.facts(MapFacts).shares
    return Places(frame, kind, shares, title, title != "class")


def _draw(data: Places, options: FigureOptions, theme: Theme) -> go.Figure:
    value = data.frame["value"].to_numpy()
    if data.score:
        colouring = by_amount(value, title=data.coloured, theme=theme)
    else:
        colouring = by_name(value.astype(object), title=data.coloured, theme=theme, order=options.classes)
    points = data.frame[["x", "y"]].to_numpy()
    return representation_map(points, colouring, kind=data.kind, shares=data.shares, theme=theme)


MAP = Chart(
    name="map",
    title="every image on the map, by class, --features J or --score",
    needs=("map_pca",),
    table=_table,
    draw=_draw,
    alt=lambda data: f"Map of {len(data.frame):,} images",
)
