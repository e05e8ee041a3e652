"""Bars of words, of classes, and of contributions to a prediction."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.marks import bars, dots
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, Theme, note_figure
from core.common.dataframes import numbers, words

SHARES = "share of its images with the word<br>(tick: of all other images)"
NO_WORDS = "No word of this feature was kept."


def word_bars(concepts: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the words of one feature with their scores, best first; discarded words in grey below the kept
    ones.

    Args:
        concepts: rows of table `concepts` of one group (word, kind, score, kept; of names by majority
            elsewhere, which is marked, too).
    """
    if not len(concepts):
        return note_figure(NO_WORDS, theme)
    is_kept = concepts["kept"].to_numpy(bool)
    order = np.lexsort((-numbers(concepts, "score"), ~is_kept))
    frame, is_kept = concepts.iloc[order], is_kept[order]
    notes = [f"{kind}, {'kept' if keep else 'discarded'}"
            for kind, keep in zip(words(frame, "kind"), is_kept, strict=True)]  # fmt: skip
    colours = np.where(is_kept, theme.discriminative, theme.neutral)
    fig = _bars(numbers(frame, "score"), words(frame, "word"), colours.tolist(), notes, theme, digits=2)
    by_majority = "elsewhere" in frame and np.isfinite(numbers(frame, "elsewhere")).any()
    if by_majority:
        marker = {"symbol": "line-ns-open", "size": theme.stroke(14), "color": theme.ink}
        ticks = dots(
            numbers(frame, "elsewhere"), np.arange(len(frame)), name="all other images", marker=marker,
            hover="%{x:.2f} of all other images",
        )  # fmt: skip
        fig.add_trace(ticks).update_layout(showlegend=False)  # the axis says what a bar and a tick are
    fig.update_xaxes(title_text=SHARES if by_majority else "word score")
    return fig


def class_bars(counts: pd.DataFrame, *, most: int = 10, theme: Theme = LIGHT) -> go.Figure:
    """Plot the classes of the images that highly activate a feature, most common first.

    Args:
        counts: one row per class (label, n_images), most common first. most: classes shown; the others are
            added up in a last bar.
    """
    if not len(counts):
        return note_figure("These images have no labels.", theme)
    values, names = numbers(counts, "n_images"), words(counts, "label")
    total = values.sum()
    if len(values) > most:
        n_others = len(values) - most
        values = np.append(values[:most], values[most:].sum())
        names = [*names[:most], f"{n_others} other class{'es' * (n_others > 1)}"]
    notes = [f"{100 * value / total:.0f} % of its images" for value in values]
    colours = [theme.correct] * most + [theme.neutral]
    fig = _bars(values, names, colours[: len(names)], notes, theme, digits=0)
    return fig.update_xaxes(title_text="images")


def contribution_bars(
    features: pd.DataFrame, *, colour: str, theme: Theme = LIGHT, kind: str = "Feature"
) -> go.Figure:
    """Plot each feature's contribution to the logit of a prediction, averaged over the images of a pair.

    Args:
        features: rows of table `failure_pairs` of one pair and side (feature, contribution, words).
        colour: of the bars. kind: what each is called: Feature or Latent.
    """
    if not len(features):
        return note_figure("No feature supports this answer.", theme)
    names = [f"{kind} {number}" for number in features["feature"].tolist()]
    notes = words(features, "words")
    return _bars(
        numbers(features, "contribution"), names, [colour] * len(names), notes, theme, digits=2
    ).update_xaxes(title_text="adds to the logit")


def _bars(
    values: np.ndarray,
    names: Sequence[str],
    colours: list[str],
    notes: Sequence[str],
    theme: Theme,
    *,
    digits: int,
) -> go.Figure:
    """Draw horizontal bars, the first on top, labelled with their values."""
    longest = float(np.nanmax(values, initial=0.0)) or 1.0
    hovers = []
    for name, value, note in zip(names, values, notes, strict=True):
        number = f"{value:.{digits and digits + 2}f}"
        hovers.append(f"<b>{as_text(name)}</b>: {number}<br>{as_text(note)}")
    texts = [f"{value:.{digits}f}" for value in values]
    return bars(
        values,
        names,
        colours=colours,
        texts=texts,
        hovers=hovers,
        reach=(0, 1.16 * longest),
        theme=theme,
        row=26,
        standoff=6,
    )
