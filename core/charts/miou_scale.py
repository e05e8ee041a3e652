"""The scale of mIoU: the encoder's heatmaps between control heatmaps whose overlap is known."""

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, narrowed_of
from core.charts.marks import dots, interval
from core.charts.options import FigureOptions
from core.charts.shared_rows import MASKS, NO_OVERLAP
from core.charts.theme import LIGHT, Theme, finish, note_figure, tint
from core.common.dataframes import numbers, words
from core.measures.overlap import overlap_sentence

ENCODER = "encoder"
CONTROL_NAMES = {"noise": "noise", "uniform": "uniform", "centre": "centre blob", "ceiling": "best possible"}
TRACK_NAMES = {"core": "<b>Object</b><br>core mask", "spurious": "<b>Background</b><br>spurious mask"}
NARROWEST = 560  # pixels of the scale on the narrowest page
SIDES = 170  # pixels beside it
GAP = 8  # pixels between two labels
CLASH = 1000  # cost of a place that cannot be
SHIFT = 3  # pixels by which a label beside its mark reaches below it
LETTER = 0.54  # mean width of a letter, in font sizes


def miou_scale(scale: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the mean overlap of a slice on one scale for each mask, from 0 to 1: the encoder as a point with
    its interval, each control heatmap as a mark with its name.

    Args:
        scale: see `core.measures.overlap`; rows without a value are left out.
    """
    scale = scale.loc[np.isfinite(numbers(scale, "value"))]
    masks = [mask for mask in MASKS if mask in set(scale["mask"])]
    if not masks:
        return note_figure(NO_OVERLAP, theme, height=140)
    fig, notes, shapes = go.Figure(), [], []
    size, y, places = theme.font_size, 0.0, {}
    for mask in masks:
        part = scale.loc[scale["mask"] == mask]
        y += 2.3 * size  # room for the encoder's label
        places[mask] = y
        labels = label_places(part, theme)
        rows = {name: label.row for name, label in labels.items()}
        notes += _labels(part, labels, y, theme)
        shapes += _lines(part, rows, y, theme)
        fig.add_trace(_marks(part, mask, y, theme))
        fig.add_trace(_point(part, mask, y, theme))
        y += (1.0 + 1.45 * (max(rows.values(), default=-1) + 1)) * size + 0.9 * size
    fig.update_xaxes(
        range=[-0.01, 1.01], tickvals=[0, 0.25, 0.5, 0.75, 1], showline=False, ticks="", title_text="mIoU"
    )
    names = [TRACK_NAMES[mask] for mask in masks]
    fig.update_yaxes(
        range=[y, 0],  # pixels from the top
        tickvals=list(places.values()),
        ticktext=names,
        tickfont_color=theme.ink,
        showgrid=False,
        ticks="",
    )
    finish(fig, theme)
    fig.update_layout(shapes=shapes, annotations=notes, showlegend=False, margin={"t": 4})
    return fig.update_layout(height=round(y + 3.6 * size + 12))


@dataclass(frozen=True)
class Place:
    """Where the label of a control stands: its row below the scale, its side of the mark, and its pixels."""

    name: str
    row: int
    anchor: str
    mark: float
    left: float
    right: float

    def clashes(self, other: "Place") -> bool:
        """Return True if two labels overlap, or a line from a mark to its label runs through the other."""
        if self.row == other.row:
            return self.left < other.right + GAP and other.left < self.right + GAP
        upper, lower = sorted((self, other), key=lambda label: label.row)
        return upper.left + SHIFT < lower.mark < upper.right - SHIFT


def label_places(part: pd.DataFrame, theme: Theme) -> dict[str, Place]:
    """Choose the row and the side of the labels of one mask so that on the narrowest page none overlaps
    another and no line runs through one: in the first row, below their marks, as far as that is possible.

    Returns:
        control -> place, in pixels of the narrowest scale.
    """
    width = (theme.width or NARROWEST + SIDES) - SIDES * theme.font_size / LIGHT.font_size
    best: tuple[Place, ...] = ()
    for n_rows in (1, 2, 3, 4):  # few are tried first: there are many ways to fill four
        options = [_options(name, value, width, n_rows, theme) for name, value in _controls(part)]
        best = min(product(*options), key=lambda places: _cost(places, width))
        if _cost(best, width) < CLASH:
            break
    return {label.name: label for label in best}


def _cost(places: tuple[Place, ...], width: float) -> int:
    """Lower is better; from CLASH on labels overlap or leave the page."""
    out = sum(place.left < -GAP or place.right > width + GAP for place in places)
    clashes = sum(one.clashes(other) for one, other in combinations(places, 2))
    aside = sum(place.anchor != "center" for place in places)
    return CLASH * (10 * clashes + out) + 10 * sum(place.row for place in places) + aside


def _options(name: str, value: float, width: float, n_rows: int, theme: Theme) -> list[Place]:
    long = LETTER * (theme.font_size - 1) * len(_label(name, value)) + SHIFT
    mark = value * width
    spans = {"center": (mark - long / 2, mark + long / 2), "left": (mark, mark + long)}
    spans["right"] = (mark - long, mark)
    return [Place(name, row, anchor, mark, *span) for row in range(n_rows) for anchor, span in spans.items()]


def _controls(part: pd.DataFrame) -> list[tuple[str, float]]:
    pairs = zip(words(part, "heatmap"), numbers(part, "value").tolist(), strict=True)
    return sorted([(name, value) for name, value in pairs if name in CONTROL_NAMES], key=lambda pair: pair[1])


def _label(name: str, value: float) -> str:
    return f"{CONTROL_NAMES[name]} {value:.2f}"


def _labels(part: pd.DataFrame, places: dict[str, Place], y: float, theme: Theme) -> list[dict]:
    size = theme.font_size
    notes: list[dict[str, Any]] = []
    for name, value in _controls(part):
        place = places[name]
        label_y = y + (1.0 + 1.45 * place.row) * size
        label = {
            "text": _label(name, value),
            "x": value,
            "y": label_y,
            "yanchor": "top",
            "xanchor": place.anchor,
        }
        label |= {"xshift": {"left": -SHIFT, "right": SHIFT}.get(place.anchor, 0)}
        label |= {"showarrow": False, "font": {"color": theme.muted, "size": size - 1}}
        notes.append(label)
    encoder = part.loc[part["heatmap"] == ENCODER]
    for value, low, high in encoder[["value", "low", "high"]].to_numpy(np.float64):
        ends = f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
        anchor = "left" if value < 0.15 else "right" if value > 0.85 else "center"
        label = {
            "text": f"<b>encoder {value:.2f}</b>{ends}",
            "x": value,
            "y": y - 0.75 * size,
            "yanchor": "bottom",
            "xanchor": anchor,
        }
        notes.append(label | {"showarrow": False, "font": {"color": theme.ink, "size": size}})
    return notes


def _lines(part: pd.DataFrame, rows: dict[str, int], y: float, theme: Theme) -> list[dict]:
    """The scale itself, up to the ceiling in a stronger colour, and a line from each mark to its label."""
    size = theme.font_size
    thick = {"type": "line", "y0": y, "y1": y, "layer": "below"}
    lines = [thick | {"x0": 0, "x1": 1, "line": {"color": theme.grid, "width": theme.stroke(8)}}]
    for name, value in _controls(part):
        if name == "ceiling":
            line = {"color": tint(theme.neutral, 0.4), "width": theme.stroke(8)}
            lines.append(thick | {"x0": 0, "x1": value, "line": line})
        down = y + (0.95 + 1.45 * rows[name]) * size
        line = {"color": theme.neutral, "width": theme.stroke(1)}
        lines.append(
            {"type": "line", "x0": value, "x1": value, "y0": y, "y1": down, "line": line, "layer": "below"}
        )
    return lines


def _marks(part: pd.DataFrame, mask: str, y: float, theme: Theme) -> go.Scatter:
    controls = _controls(part)
    ticks = {
        "symbol": "line-ns",
        "size": theme.stroke(13),
        "line": {"color": theme.ink, "width": theme.stroke(2)},
    }
    values = [value for _, value in controls]
    labels = [_label(name, value) for name, value in controls]
    hover = f"%{{text}}<br>on the {mask} mask"
    return dots(values, [y] * len(controls), marker=ticks, text=labels, hover=hover)


def _point(part: pd.DataFrame, mask: str, y: float, theme: Theme) -> go.Scatter:
    encoder = part.loc[part["heatmap"] == ENCODER]
    value, low, high = (numbers(encoder, column) for column in ("value", "low", "high"))
    thin, end = theme.stroke(2), theme.stroke(5)
    is_wide = theme.width is None or theme.width > 500
    marker = {
        "color": theme.correct,
        "size": theme.stroke(16 if is_wide else 10),
        "line": {"color": theme.background, "width": thin},
    }
    error_bars = interval(value, low, high, colour=theme.ink, thickness=thin, width=end)
    hover = f"encoder %{{x:.3f}}<br>%{{customdata:,.0f}} images with a {mask} mask"
    return dots(
        value,
        [y] * len(value),
        error_x=error_bars,
        marker=marker,
        customdata=numbers(encoder, "n"),
        hover=hover,
    )


def _draw(scale: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return miou_scale(scale, theme=theme)


def _alt(scale: pd.DataFrame) -> str:
    return f"mIoU of the encoder's heatmaps between control heatmaps. {overlap_sentence(scale)}"


MIOU_SCALE = Chart(
    name="miou_scale",
    title="mIoU of the heatmaps between control heatmaps",
    needs=("overlap",),
    table=lambda study, _: narrowed_of(study).table("overlap_scale"),
    draw=_draw,
    finding=overlap_sentence,
    alt=_alt,
    column="double",
)
