"""Groups of features: number of images per group, similarity of these, and words that a group adds."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.marks import cells, dots, name_rows, named_axis
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, TRANSPARENT, Marks, Theme, finish, note_figure, tint
from core.common.dataframes import numbers, words
from core.common.records import Templates

_say = Templates.beside(__file__)
NO_GROUPS = "No image highly activates a feature, so there are no groups."
NO_COSINES = "No group has two crops for CLIP to compare."
SIZES = {"n_images": "images in a group", "n_features": "features in a group"}
MOST_WORDS = 16
MOST_TICKS = 8
SPREAD = 1.25  # from 10 images on, each size class is wider than the previous one by this factor


def size_classes(sizes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Choose classes of sizes for a chart of groups: each size up to 10, then increasingly wide ones.

    Args:
        sizes: (n,) int, at least 1.
    Returns:
        (n_classes + 1,) int64 ascending edges, a class is [edge, next edge); and the classes in words.
        Classes below and above all sizes are left out; empty ones between are kept.
    """
    top = int(sizes.max(initial=1))
    edges = list(range(1, min(top, 10) + 2))
    while edges[-1] <= top:
        edges.append(max(edges[-1] + 2, round(edges[-1] * SPREAD)))
    ends = np.array(edges, np.int64)
    names = []
    for low, high in pairwise(ends):
        names.append(f"{low}" if high == low + 1 else f"{low} to {high - 1}")
    return ends, names


def count_by_size(groups: pd.DataFrame, size: str) -> pd.DataFrame:
    """Count for a chart the groups of features of each size class, by their interpretability.

    Args:
        groups: rows of table `groups` (n_images, n_features, interpretable, large: bool, enough images).
        size: "n_images" or "n_features".
    Returns:
        one row per size class: size (in words), n_groups, n_interpretable, n_other (large, but not similar),
        n_small (too few images to be evaluated).
    """
    sizes = numbers(groups, size).astype(np.int64)
    edges, names = size_classes(sizes)
    size_class = np.searchsorted(edges, sizes, side="right") - 1
    alike, large = groups["interpretable"].to_numpy(bool), groups["large"].to_numpy(bool)

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(size_class[mask], minlength=len(names))

    n_groups = np.bincount(size_class, minlength=len(names))
    n_other = count(large & ~alike)
    n_small = count(~large & ~alike)
    return pd.DataFrame(
        {
            "size": names,
            "n_groups": n_groups,
            "n_interpretable": count(alike),
            "n_other": n_other,
            "n_small": n_small,
        }
    )


def group_sizes(counts: pd.DataFrame, *, size: str, theme: Theme = LIGHT) -> go.Figure:
    """Plot a histogram of group sizes; the bars show how many are interpretable.

    Args:
        counts: from `count_by_size`. size: "n_images" or "n_features".
    """
    if not numbers(counts, "n_groups").sum():
        return note_figure(NO_GROUPS, theme)
    bins = np.arange(len(counts))
    kinds = (
        ("n_interpretable", "interpretable", theme.discriminative),
        ("n_other", "large enough, not interpretable", theme.neutral),
        ("n_small", "too few images", tint(theme.neutral, 0.35)),
    )
    fig, below = go.Figure(), np.zeros(len(counts))
    for column, name, colour in kinds:
        n = numbers(counts, column)
        if n.sum():
            unit = SIZES[size].split()[0]
            hovers = []
            for size_class, k in zip(counts["size"], n, strict=True):
                hovers.append(f"<b>{size_class}</b> {unit}: {k:,.0f} {name}")
            fig.add_trace(
                go.Bar(x=bins, y=n, name=name, marker_color=colour, hovertext=hovers, hoverinfo="text")
            )
        below += n
    texts = [f"{n:,.0f}" if n else "" for n in below]
    font = {"color": theme.ink, "size": theme.font_size - 2}
    totals = dots(
        bins,
        below,
        mode="text",
        text=texts,
        textposition="top center",
        textfont=font,
        showlegend=False,
        cliponaxis=False,
    )
    fig.add_trace(totals)
    step = -(-len(bins) // MOST_TICKS)
    ticks = {"tickvals": bins[::step], "ticktext": counts["size"].tolist()[::step], "tickangle": 0}
    fig.update_xaxes(title_text=SIZES[size], **ticks)
    fig.update_yaxes(title_text="groups", rangemode="tozero", range=[0, 1.12 * below.max()])
    return finish(fig, theme, height=320).update_layout(barmode="stack", bargap=0.18)


def interpretability(
    units: pd.DataFrame,
    *,
    gamma: float,
    names: Sequence[str],
    selected: str | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the similarity of each group's crops to CLIP against its number of images; single features as
    dots.

    Args:
        units: rows of table `explained` (group, n_features, n_images, clip_cosine).
        gamma: cosine above which a group is interpretable.
        names: display names of the units.
        selected: group to mark.
    """
    cosine = numbers(units, "clip_cosine")
    n_images, joint = numbers(units, "n_images"), numbers(units, "n_features") > 1
    there = np.isfinite(cosine)
    if not there.any():
        return note_figure(NO_COSINES, theme)
    fig, marks = go.Figure(), Marks(theme)
    kinds = (
        (~joint, "single feature", {"color": theme.neutral, "size": 6, "opacity": 0.55}),
        (
            joint,
            "group of several features",
            {"color": theme.discriminative, "size": 10, "symbol": "diamond"},
        ),
    )
    for mask, name, marker in kinds:
        rows = np.flatnonzero(mask & there).tolist()
        if not rows:
            continue
        same = {"marker": {"opacity": marker.get("opacity", 1.0)}}
        hovers = []
        for row in rows:
            facts = f"{n_images[row]:,.0f} images, cosine {cosine[row]:.3f}"
            hovers.append(f"<b>{as_text(names[row])}</b><br>{facts}")
        customdata = [[str(units["group"].iat[at])] for at in rows]
        points = dots(
            n_images[rows],
            cosine[rows],
            name=name,
            marker=marker,
            selected=same,
            unselected=same,
            customdata=customdata,
            hovertext=hovers,
            hoverinfo="text",
        )
        fig.add_trace(points)
    here = there & (units["group"].to_numpy(object) == selected)
    if here.any():
        ring = {"color": TRANSPARENT, "size": 16, "line": {"color": theme.accent, "width": 2.5}}
        fig.add_trace(dots(n_images[here], cosine[here], marker=ring, showlegend=False))
    marks.horizontal(gamma, f"gamma {gamma:.2f}: interpretable above it")
    marks.put_on(fig)
    fig.update_xaxes(title_text="images", rangemode="tozero")
    low, high = min(float(np.nanmin(cosine)), gamma), max(float(np.nanmax(cosine)), gamma)
    fig.update_yaxes(title_text="mean CLIP cosine of its crops", range=[low - 0.05, high + 0.1])
    return finish(fig, theme, height=320)


def word_table(concepts: pd.DataFrame, units: Sequence[str], *, most: int = MOST_WORDS) -> pd.DataFrame:
    """Table for a chart of the kept words of some units: a row a word, a column a unit, NaN if not kept.

    The words of the first unit, the joint one, come first, best first; then those of its members.

    Args:
        concepts: rows of table `concepts` (group, word, score, kept). units: names of groups, the joint one
            first. most: maximum number of words.
    """
    rows = concepts[concepts["kept"].to_numpy(bool) & concepts["group"].isin(list(units)).to_numpy(bool)]
    wide = rows.pivot_table(index="word", columns="group", values="score", aggfunc="max")
    wide = wide.reindex(columns=list(units))
    best = wide.max(axis=1).to_numpy(np.float64)
    joint = wide[units[0]].to_numpy(np.float64)
    order = np.lexsort((-best, -np.nan_to_num(joint, nan=-1.0)))
    return wide.iloc[order[:most]]


def word_matrix(
    scores: pd.DataFrame, names: Mapping[str, str], *, joint: str, theme: Theme = LIGHT
) -> go.Figure:
    """Plot which words the joint concept has, and which of them its features have alone.

    Args:
        scores: from `word_table`. names: short display names of the units. joint: the unit to set apart.
    """
    if scores.empty:
        return note_figure("Neither the group nor its features have words.", theme)
    grid = scores.to_numpy(np.float64)
    units, words = [str(name) for name in scores.columns], [str(word) for word in scores.index]
    text = [[f"{value:.2f}" if np.isfinite(value) else "" for value in row] for row in grid]

    def hover(word: str, unit: str, value: float) -> str:
        score = f"{value:.3f}" if np.isfinite(value) else "not among its words"
        return f"<b>{as_text(word)}</b>, {as_text(names[unit])}: {score}"

    hovers = []
    for word, row in zip(words, grid, strict=True):
        hovers.append([hover(word, unit, value) for unit, value in zip(units, row, strict=True)])
    largest = max(float(np.nanmax(grid)), 0.1)
    font_size = theme.font_size - 3
    x, y = np.arange(len(units)), np.arange(len(words))
    word_cells = cells(
        grid,
        x,
        y,
        scale=theme.sequential,
        zmin=0,
        zmax=largest * 1.3,  # keeps the text legible on the darkest cell
        text=text,
        textfont_size=font_size,
        hovertext=hovers,
        hoverinfo="text",
        hoverongaps=True,
    )
    fig = go.Figure(word_cells)
    at = units.index(joint)
    ends = {"x0": at - 0.5, "x1": at + 0.5, "y0": -0.5, "y1": len(words) - 0.5}
    line = {"type": "rect", "line": {"color": theme.accent, "width": 2}} | ends
    columns = named_axis([as_text(names[unit]) for unit in units], theme)
    fig.update_xaxes(columns, side="top", showline=False)
    name_rows(fig, [as_text(word) for word in words], theme, span={"autorange": "reversed"})
    finish(fig, theme, height=90 + 24 * len(words))
    return fig.update_layout(shapes=[line], margin_t=8)


def group_size_finding(counts: pd.DataFrame, size: str) -> str:
    """State below a chart how large most groups of features are.

    Args:
        counts: from `concept_groups.count_by_size`. size: n_images or n_features.
    """
    n = numbers(counts, "n_groups")
    if not len(n) or not n.sum():
        return "No groups"
    at, what = int(n.argmax()), "image" if size == "n_images" else "feature"
    name = words(counts, "size")[at]
    plural = "" if name == "1" else "s"
    return _say("size", n=int(n[at]), of=int(n.sum()), what=f"{name} {what}{plural}")


def likeness_finding(cosine: Sequence[float] | np.ndarray, gamma: float) -> str:
    """State below a chart how many groups and features have crops that look alike to CLIP."""
    finite = np.asarray(cosine, float)
    finite = finite[np.isfinite(finite)]
    return _say("alike", n=int((finite > gamma).sum()), of=len(finite))
