"""A scene graph over its image (Kalibhat, dissertation, Fig. 6.3), and what the encoder of tokens looks
at.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from core.charts.panels import data_uri
from core.charts.theme import LIGHT, Theme, finish, note_figure, tint
from core.research.visual_tokens_graph import SceneGraph

RINGS = 12  # how many of its own heights a label may be moved away
Area = tuple[float, float, float, float]  # left, top, right, bottom; y grows downwards


@dataclass(frozen=True)
class Label:
    """A label of a known size, and the places of its upper left corner in order of preference."""

    width: float
    height: float
    places: tuple[tuple[float, float], ...]

    def box(self, corner: tuple[float, float]) -> Area:
        """Return the area that it covers."""
        left, top = corner
        return left, top, left + self.width, top + self.height


def free_places(labels: Sequence[Label], size: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the upper left corner of each label in a figure of visual tokens (research), in turn.

    Each takes its first place that covers no label before it; without such a place the nearest one around
    its first; and where the picture is full, the place that covers least.

    Args:
        size: width and height of the picture, which no label leaves unless it is larger.
    """
    positions: list[tuple[float, float]] = []
    taken: list[Area] = []
    for label in labels:
        best, least = label.places[0], math.inf
        for position in _tried(label):
            corner = _inside(label, position, size)
            covered = sum(shared_area(label.box(corner), other) for other in taken)
            if covered < least:
                best, least = corner, covered
            if not covered:
                break
        positions.append(best)
        taken.append(label.box(best))
    return positions


def _tried(label: Label) -> Iterator[tuple[float, float]]:
    yield from label.places
    left, top = label.places[0]
    for ring in range(1, RINGS + 1):
        for angle in range(16):
            turn = 2 * math.pi * angle / 16
            away = ring * label.height
            yield left + math.cos(turn) * away * 1.5, top + math.sin(turn) * away


def _inside(label: Label, corner: tuple[float, float], size: tuple[float, float]) -> tuple[float, float]:
    left = max(min(corner[0], size[0] - label.width), 0.0)
    return left, max(min(corner[1], size[1] - label.height), 0.0)


def shared_area(one: Area, other: Area) -> float:
    """Return the area that two boxes share in a figure of visual tokens (research)."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(tall, 0.0)


def nearest_in(box: Area, point: tuple[float, float]) -> tuple[float, float]:
    """Return the point of a box nearest to another point in a figure of visual tokens (research)."""
    x = max(box[0], min(point[0], box[2]))
    y = max(box[1], min(point[1], box[3]))
    return x, y


GROUND_AT = 0.9  # of the height: where edges to the ground end
HEIGHT = 420  # px, where the theme names none
LETTER, LINE, PADDING = (
    0.56,
    1.3,
    2,
)  # of a word: width of a letter and height in font sizes, and px around it
ALONG = (0.5, 0.35, 0.65, 0.25, 0.75)  # where on an edge its word may stand
LIFTED = 0.06  # of the image's side: how far an edge bends from the straight line
KIND_COLOURS = {"image": "neutral", "object": "correct", "relation": "misclassified"}


@dataclass(frozen=True)
class _Word:
    """A word of the graph: its colour, the area that it belongs to, and where it may stand (see `Label`)."""

    text: str
    colour: str
    of: Area
    label: Label


def scene_graph_figure(
    image: Image.Image, graph: SceneGraph, *, title: str = "", theme: Theme = LIGHT
) -> go.Figure:
    """Draw the objects of an image as boxes with names, and relations as arrows with their words (research).

    An object whose box is the whole image is its ground: it has no box, and its arrows end at the bottom.
    No word covers another; one that had to be moved away from its place is joined to it by a line.
    """
    fig = go.Figure()
    width, height = image.size
    side = max(width, height)
    pixel = height / (theme.height or HEIGHT)  # of the drawing, in pixels of the image
    whole = [(box.tolist() == [0.0, 0.0, float(width), float(height)]) for box in graph.boxes]
    points = graph.centres.copy()
    points[[index for index, is_whole in enumerate(whole) if is_whole]] = (width / 2, height * GROUND_AT)
    shapes, notes, words = [], [], []
    for node, box, is_whole, point in zip(graph.nodes, graph.boxes, whole, points, strict=True):
        if not is_whole:
            left, top, right, bottom = box
            corner = {"x0": left, "y0": top, "x1": right, "y1": bottom}
            shapes.append(
                {"type": "rect", **corner, "line": {"color": theme.correct, "width": theme.stroke(2)}}
            )
        words.append(_named(node.phrase, point if is_whole else None, box, theme, pixel))
    for number, triple in enumerate(graph.triples):
        start, end = points[triple.subject], points[triple.object]
        bend = (1 if number % 2 else -1) * LIFTED * side
        middle = _bent(start, end, bend)
        (x0, y0), (x1, y1), (x2, y2) = start, middle, end
        path = f"M {x0:.1f},{y0:.1f} Q {x1:.1f},{y1:.1f} {x2:.1f},{y2:.1f}"
        line = {"color": theme.misclassified, "width": theme.stroke(1.5)}
        shapes.append({"type": "path", "path": path, "line": line})
        words.append(_related(triple.predicate, start, middle, end, theme, pixel))
        notes.append(_head(middle, end, theme))
    for word, corner in zip(words, free_places([one.label for one in words], image.size), strict=True):
        notes.append(_note(word, corner, theme))
        shapes += _leader(word, corner, theme)
    marker = {"size": theme.stroke(6), "color": theme.correct}
    phrases = [node.phrase for node in graph.nodes]
    marks = go.Scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker=marker,
        text=phrases,
        hovertemplate="%{text}<extra></extra>",
    )
    fig.add_trace(marks)
    picture = {"source": data_uri(image), "x": 0, "y": 0, "sizex": width, "sizey": height}
    picture |= {"xref": "x", "yref": "y", "sizing": "stretch", "layer": "below"}
    fig.update_layout(images=[picture], shapes=shapes, annotations=notes, showlegend=False)
    fig.update_xaxes(visible=False, range=[0, width], fixedrange=True)
    fig.update_yaxes(visible=False, range=[height, 0], scaleanchor="x", fixedrange=True)
    if title:
        fig.update_layout(title={"text": title, "font": {"size": theme.font_size}})
    finish(fig, theme, height=HEIGHT)
    margin = {"l": 0, "r": 0, "t": 30 if title else 0, "b": 0}
    return fig.update_layout(margin=margin)


def _size(text: str, theme: Theme, pixel: float) -> tuple[float, float]:
    """Return how wide and high a word is drawn, a little more than it is, in pixels of the image."""
    size = theme.font_size - 2
    wide = LETTER * size * len(text) + 2 * PADDING
    tall = LINE * size + 2 * PADDING
    return wide * pixel, tall * pixel


def _named(text: str, ground: np.ndarray | None, box: np.ndarray, theme: Theme, pixel: float) -> _Word:
    """Return the name of an object, which stands at a corner of its box; that of the ground stands on it."""
    wide, tall = _size(text, theme, pixel)
    if ground is not None:
        x, y = (float(part) for part in ground)
        label = Label(wide, tall, ((x - wide / 2, y),))
        return _Word(text, theme.correct, (x, y, x, y), label)
    left, top, right, bottom = (float(side) for side in box)
    above = ((left, top - tall), (right - wide, top - tall))
    below = ((left, bottom), (right - wide, bottom))
    within = ((left, top), (left, bottom - tall))
    places = (*above, *below, *within) if top >= tall else (*below, *within)
    return _Word(text, theme.correct, (left, top, right, bottom), Label(wide, tall, places))


def _related(
    text: str, start: np.ndarray, middle: np.ndarray, end: np.ndarray, theme: Theme, pixel: float
) -> _Word:
    """Return the word of a relation, which stands on its edge."""
    wide, tall = _size(text, theme, pixel)
    on = [_on_curve(start, middle, end, t) for t in ALONG]
    half_wide, half_tall = wide / 2, tall / 2
    places = tuple((float(x - half_wide), float(y - half_tall)) for x, y in on)
    x, y = (float(part) for part in on[0])
    return _Word(text, theme.misclassified, (x, y, x, y), Label(wide, tall, places))


def _on_curve(start: np.ndarray, middle: np.ndarray, end: np.ndarray, t: float) -> np.ndarray:
    """Return the point at t of the quadratic Bezier curve from `start` to `end`."""
    from_start, from_middle = (1 - t) ** 2 * start, 2 * t * (1 - t) * middle
    return from_start + from_middle + t**2 * end


def _note(word: _Word, corner: tuple[float, float], theme: Theme) -> dict:
    left, top, right, bottom = word.label.box(corner)
    font = {"size": theme.font_size - 2, "color": word.colour}
    x = (left + right) / 2
    return {
        "x": x,
        "y": (top + bottom) / 2,
        "text": word.text,
        "showarrow": False,
        "xanchor": "center",
        "yanchor": "middle",
        "bgcolor": tint("#FFFFFF", 0.8),
        "borderpad": 1,
        "font": font,
    }


def _leader(word: _Word, corner: tuple[float, float], theme: Theme) -> list[dict]:
    """Return the line from a word that was moved to what it belongs to."""
    if corner in word.label.places:
        return []
    left, top, right, bottom = box = word.label.box(corner)
    end = nearest_in(word.of, ((left + right) / 2, (top + bottom) / 2))
    near = nearest_in(box, end)
    if math.dist(near, end) < word.label.height:
        return []
    line = {"color": word.colour, "width": theme.stroke(1), "dash": "dot"}
    ends = {"x0": near[0], "y0": near[1], "x1": end[0], "y1": end[1]}
    return [{"type": "line", **ends, "line": line}]


def _bent(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """Return the control point of an edge that bends to one side."""
    along = end - start
    length = math.hypot(*along) or 1.0
    across = np.array([-along[1], along[0]])
    return (start + end) / 2 + across / length * bend * 2


def _head(middle: np.ndarray, end: np.ndarray, theme: Theme) -> dict:
    """Return the arrowhead of an edge at its object."""
    tail = end - (end - middle) / max(math.hypot(*(end - middle)), 1e-9) * 4
    width = theme.stroke(1.5)
    colour = theme.misclassified
    return {
        "x": end[0],
        "y": end[1],
        "ax": tail[0],
        "ay": tail[1],
        "axref": "x",
        "ayref": "y",
        "text": "",
        "showarrow": True,
        "arrowhead": 2,
        "arrowwidth": width,
        "arrowcolor": colour,
    }


def attention_figure(
    weights: Sequence[float] | None, attention: pd.DataFrame, *, theme: Theme = LIGHT
) -> go.Figure:
    """Draw the learned weight of each rank above rank 0, and what the image's token looks at (research).

    Args:
        weights: w_0 … w_7 of eq. 6.1, or None. attention: kind, name, weight of each token of an image.
    """
    parts = [weights is not None, len(attention) > 0]
    if not any(parts):
        return note_figure("No model with additive attention was tried on these images.", theme)
    fig = make_subplots(1, sum(parts), horizontal_spacing=0.3, column_widths=[1, 1][: sum(parts)])
    column = 1
    if weights is not None:
        above = [weight - weights[0] for weight in weights]
        bars = go.Bar(x=list(range(len(above))), y=above, marker_color=theme.correct, showlegend=False)
        bars.hovertemplate = "rank %{x}: %{y:.2f}<extra></extra>"
        fig.add_trace(bars, 1, column)
        fig.update_xaxes(title_text="rank", dtick=1, row=1, col=column)
        fig.update_yaxes(title_text="learned weight above rank 0", row=1, col=column)
        column += 1
    if len(attention):
        shown = attention.iloc[::-1]
        labels = [f"{name} ({number})" for name, number in zip(shown["name"], shown.index, strict=True)]
        colours = [getattr(theme, KIND_COLOURS[kind]) for kind in shown["kind"]]
        bars = go.Bar(x=shown["weight"] * 100, y=labels, orientation="h", marker_color=colours)
        bars.update(showlegend=False, hovertemplate="%{y}: %{x:.1f} %<extra></extra>")
        fig.add_trace(bars, 1, column)
        texts = [name for name in shown["name"]]
        fig.update_yaxes(tickvals=labels, ticktext=texts, row=1, col=column)
        fig.update_xaxes(title_text="attention of the image's token (%)", row=1, col=column)
    return finish(fig, theme, height=340).update_layout(bargap=0.25)
