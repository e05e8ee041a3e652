"""Figures about one feature: its classes, its activations, its weight in the probe, its heat on masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.iou import LEAST_IMAGES
from core.charts.marks import bars, dots, interval, name_rows
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.captions import with_class_names
from core.common.dataframes import numbers, safe_divide, words
from core.common.formatting import signed
from core.common.records import Templates

_say = Templates.beside(__file__)
STANDOFF = 4  # pixels between the name of a row and its bar
LONGEST_NAME = 20  # letters beside a bar: these charts stand three in a row
ABOVE = 36  # pixels for the menu of the chart, which would lie on the first bar


def class_shares(counts: np.ndarray, class_sizes: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """Count for a chart the images of each class on which a feature fires, most first.

    Args:
        counts: (n_classes,) firing counts of one feature.
        class_sizes: (n_classes,) number of training images per class.
        class_names: (n_classes,) labels.
    Returns:
        columns class, share (percent of the class; NaN for a class without images), fires, images, part
        (percent of the images on which it fires; NaN where there are none).
    """
    counts, sizes = np.asarray(counts, float), np.asarray(class_sizes, float)
    share = safe_divide(100 * counts, sizes)
    columns = {"class": class_names, "share": share, "fires": counts.astype(int), "images": sizes.astype(int)}
    table = pd.DataFrame(columns).assign(part=safe_divide(100 * counts, counts.sum()))
    return table.sort_values(["fires", "share"], ascending=False, kind="stable").reset_index(drop=True)


def class_share_bars(
    shares: pd.DataFrame,
    *,
    top: int = 12,
    colour: str | None = None,
    selected: Sequence[str] = (),
    images: str = "training images",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot which classes the images belong to on which the feature fires: `top` classes, the others combined.

    Args:
        shares: as returned by `class_shares`.
        selected: classes drawn in the accent colour. images: what the images are called.
    """
    fires, sizes = numbers(shares, "fires"), numbers(shares, "images")
    if not (fires > 0).any():
        return note_figure(f"The feature fires on none of the labelled {images}.", theme)
    top = min(top, int((fires > 0).sum()))
    names = [as_text(name) for name in words(shares, "class")[:top]]
    short = [as_text(_beside_a_bar(name)) for name in words(shares, "class")[:top]]
    part = numbers(shares, "part")[:top]
    counts = np.column_stack([fires, sizes])[:top]
    plain = colour or theme.discriminative
    colours = [theme.accent if name in selected else plain for name in words(shares, "class")[:top]]
    if len(shares) > top:
        rest = np.array([fires[top:].sum(), sizes[top:].sum()])
        names.append(f"{len(shares) - top} other class{'' if len(shares) - top == 1 else 'es'}")
        part = np.append(part, 100 * rest[0] / fires.sum())
        counts = np.vstack([counts, rest])
        colours.append(theme.neutral)
    texts = [f"{value:.1f} %" if value < 10 else f"{value:.0f} %" for value in part]
    shares_of_class = go.Bar(
        x=part,
        y=names,
        orientation="h",
        marker={"color": colours},
        customdata=counts,
        text=texts,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="<b>%{y}</b><br>%{x:.1f} % of the images it fires on<br>"
        "%{customdata[0]:,} of the %{customdata[1]:,} images of this class<extra></extra>",
    )
    fig = go.Figure(shares_of_class)
    longest = float(np.nanmax(part))
    fig.update_xaxes(title_text="share of the images it fires on", ticksuffix=" %", range=[0, longest * 1.3])
    tick_names = [*short, *names[top:]]
    fig.update_yaxes(
        autorange="reversed",
        tickvals=names,
        ticktext=tick_names,
        type="category",
        showgrid=False,
        ticks="",
        ticklabelstandoff=STANDOFF,
        tickfont_color=theme.ink,
    )
    finish(fig, theme, height=80 + ABOVE + 24 * len(names))
    return fig.update_layout(bargap=0.28, margin_t=ABOVE)


def _beside_a_bar(name: str) -> str:
    """
    >>> _beside_a_bar("thresher, thrasher, threshing machine")
    'thresher'
    """
    return shortened(with_class_names(name), LONGEST_NAME)


def activation_histogram(
    counts: np.ndarray,
    edges: np.ndarray,
    *,
    threshold: tuple[float, float] | None = None,
    marked: np.ndarray | None = None,
    marked_name: str = "",
    colour: str | None = None,
    height: int = 330,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot how strongly one feature is active over the training images, at the true scale of its values.

    The stored bins are narrow near zero and wide further out, so a bar's area, not its height, is the share
    of images.

    Args:
        counts: (n_bins,) number of images per bin.
        edges: (n_bins + 1,) ascending bin edges, normalised activation.
        threshold: lower and upper end of the images' own firing thresholds, shaded.
        marked: activations of some images, drawn as ticks at the bottom. marked_name: what they are.
    """
    counts, edges = np.asarray(counts, float), np.asarray(edges, float)
    total = counts.sum()
    if total == 0:
        return note_figure("No training image was counted for this feature.", theme)
    used = np.flatnonzero(counts)
    first, last = used[0], used[-1] + 1
    left, right = edges[first:last], edges[first + 1 : last + 1]
    counts = counts[first:last]
    width = right - left
    share = 100 * counts / total
    marker = {"color": colour or theme.discriminative, "line": {"width": 0}}
    facts = np.column_stack([left, right, share, counts])
    middle, heights = (left + right) / 2, share / (100 * width)
    density = go.Bar(
        x=middle,
        y=heights,
        width=width,
        marker=marker,
        customdata=facts,
        hovertemplate="activation %{customdata[0]:.4f} to %{customdata[1]:.4f}<br>"
        "%{customdata[3]:,} images (%{customdata[2]:.2f} %)<extra></extra>",
    )
    fig = go.Figure(density)
    if marked is not None and len(marked):
        filled = share > 0
        lowest = float(np.min(share[filled] / (100 * width[filled])))
        _add_ticks(fig, np.asarray(marked, float), lowest, marked_name, theme)
    if threshold is not None and np.isfinite(threshold).all():
        low, high = threshold
        marks = Marks(theme)
        marks.band(low, high, theme.accent, alpha=0.22, edge=1)
        marks.note(
            "firing threshold", color=theme.accent, x=(low + high) / 2, y=1, yref="paper", yanchor="bottom"
        )
        marks.put_on(fig)
    fig.update_layout(showlegend=False)
    fig.update_xaxes(title_text="activation (normalised)")
    fig.update_yaxes(title_text="density of images (log scale)", type="log", exponentformat="power", dtick=1)
    return finish(fig, theme, height=height)


def push_bars(
    push: pd.DataFrame,
    *,
    most: int = 6,
    selected: Sequence[str] = (),
    also: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot what a feature adds to the logits: the classes that it pushes towards and away from most.

    Args:
        push: label, push, largest first; see `core.answers.class_logits.class_push`. most: classes per
            direction.
        selected: classes drawn in the accent colour. also: classes that have a bar wherever they stand, such
            as one that the feature is called by.
    """
    push = push.loc[np.isfinite(numbers(push, "push"))]
    if push.empty:
        return note_figure("The probe has no weights for this feature.", theme)
    n = len(push)
    places = np.arange(n)
    ends = (places < most) | (places >= n - most)
    rows = push.loc[ends | push["label"].isin([*also]).to_numpy()]
    value, names = numbers(rows, "push"), words(rows, "label")
    colours = []
    for name, one in zip(names, value, strict=True):
        by_sign = theme.correct if one > 0 else theme.misclassified
        colours.append(theme.accent if name in selected else by_sign)
    reach = float(np.abs(value).max()) or 1.0
    low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.0)
    left = low - 1.15 * reach if low < 0 else 0
    hovers = [f"{as_text(name)}: {signed(one, 3)}" for name, one in zip(names, value, strict=True)]
    bar_names = [_beside_a_bar(name) for name in names]
    texts = [signed(one, 2) for one in value]
    fig = bars(
        value, bar_names, colours=colours, texts=texts, hovers=hovers, reach=(left, high + reach), theme=theme
    )
    fig.update_xaxes(title_text="logits, mean class: 0")
    height: Any = fig.layout["height"]
    return fig.update_layout(margin_t=ABOVE, height=height + ABOVE)


def heat_lifts(rows: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot how much heat of a feature lies on core and spurious masks, against a uniform heatmap, with 95 %
    intervals.

    Args:
        rows: of table `overlap_by_feature`, one feature: mask, n, lift, lift_low, lift_high.
    """
    rows = rows.loc[np.isfinite(numbers(rows, "lift"))]
    if rows.empty:
        return note_figure("No image with masks makes this feature fire.", theme)
    lift, low, high = (numbers(rows, name) for name in ("lift", "lift_low", "lift_high"))
    heights = np.arange(len(rows))
    colours = [theme.correct if mask == "core" else theme.misclassified for mask in words(rows, "mask")]
    names = {"core": "object<br>(core)", "spurious": "background<br>(spurious)"}
    error_bars = interval(lift, low, high, colour=theme.muted, width=None)
    facts = np.column_stack([low, high, numbers(rows, "n")])
    lifts = dots(
        lift,
        heights,
        marker={"color": colours, "size": theme.stroke(11)},
        error_x=error_bars,
        customdata=facts,
        hover="%{x:.2f}x a uniform heatmap (%{customdata[0]:.2f} to %{customdata[1]:.2f})"
        "<br>%{customdata[2]:,} images",
    )
    fig = go.Figure(lifts)
    Marks(theme).vertical(1.0, "uniform heatmap", top=True).put_on(fig)
    smallest = float(np.nanmin([*low, *lift, 1.0]))
    largest = float(np.nanmax([*high, *lift, 1.0]))
    reach = [smallest, largest]
    pad = 0.12 * (reach[1] - reach[0] or 1.0)
    fig.update_xaxes(title_text="times uniform", range=[reach[0] - pad, reach[1] + pad])
    name_rows(fig, [names.get(mask, mask) for mask in words(rows, "mask")], theme, standoff=STANDOFF)
    return finish(fig, theme, height=110 + 44 * len(rows))


def _add_ticks(fig: go.Figure, values: np.ndarray, y: float, name: str, theme: Theme) -> None:
    marker = {"symbol": "line-ns-open", "size": 12, "color": theme.ink, "line": {"width": 1.5}}
    hover = f"{as_text(name)}<br>activation %{{x:.4f}}"
    ticks = dots(
        values, np.full(len(values), y), marker=marker, name=as_text(name), showlegend=False, hover=hover
    )
    fig.add_trace(ticks)


def heat_finding(rows: pd.DataFrame) -> str:
    """State below a chart whether a feature's heat prefers the object or the background.

    Args:
        rows: rows of `overlap_by_feature` of one feature: mask, n, lift, verdict.
    """
    by_mask = {row["mask"]: row for row in rows.to_dict("records") if np.isfinite(row["lift"])}
    parts = {"core": "object", "spurious": "background"}
    if not by_mask:
        return "Object or background?"
    if len(by_mask) == 1:
        ((mask, row),) = by_mask.items()
        return _say("heat_on_one", what=parts[mask], value=row["lift"])
    verdict, n = by_mask["core"]["verdict"], min(int(row["n"]) for row in by_mask.values())
    if verdict in parts:
        return _say("looks_at", what=parts[verdict], value=by_mask[verdict]["lift"])
    if n < LEAST_IMAGES:
        return _say("cannot_tell", n=n)
    return "Prefers neither the object nor the background"


def activation_finding(values: np.ndarray, n_images: int, images: str) -> str:
    """State below a chart on how many images a feature fires, and how strongly.

    Args:
        values: its activations on the images on which it fires. images: what they are called.
    """
    if not len(values):
        return _say("fires_on_none", what=images)
    low, high = ends = f"{np.min(values):.2f}", f"{np.max(values):.2f}"
    kind = "fires_at" if low == high else "fires_between"
    return _say(kind, n=len(values), of=n_images, what=images, names=ends)
