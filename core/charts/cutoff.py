"""The errors caught by a cut-off on a quality score: counts, and their curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.marks import diagonal, line
from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.arrays import evenly, safe_divide

COLUMNS = ["flagged", "threshold", "n_flagged", "caught", "precision", "accuracy_rest"]


@dataclass(frozen=True)
class CutoffResult:
    """The outcome of flagging every image at or below `threshold`; shares in percent, NaN where undefined."""

    threshold: float
    n_images: int
    n_errors: int
    n_flagged: int
    n_caught: int
    caught: float
    precision: float
    accuracy_rest: float
    accuracy_all: float

    @property
    def flagged(self) -> float:
        """Percentage of images that are flagged."""
        return 100 * self.n_flagged / self.n_images if self.n_images else float("nan")


def apply_cutoff(values: np.ndarray, correct: np.ndarray, threshold: float) -> CutoffResult:
    """Flag every image whose score is at most `threshold`, and count.

    Args:
        values: (n_images,) scores, higher is better; images with NaN in either input are left out.
        correct: (n_images,) 1 correct, 0 misclassified.
    """
    values, right = _defined(values, correct)
    flagged = values <= threshold
    n_flagged, n_errors = int(flagged.sum()), int((~right).sum())
    n_caught = int((flagged & ~right).sum())
    return CutoffResult(
        threshold=float(threshold),
        n_images=len(values),
        n_errors=n_errors,
        n_flagged=n_flagged,
        n_caught=n_caught,
        caught=_percent(n_caught, n_errors),
        precision=_percent(n_caught, n_flagged),
        accuracy_rest=_percent(int((~flagged & right).sum()), len(values) - n_flagged),
        accuracy_all=_percent(int(right.sum()), len(values)),
    )


def threshold_for(values: np.ndarray, percent: float) -> float:
    """Return the score at or below which `percent` of the images lie (lower quantile); below all scores for
    0.

    Images with equal scores cannot be separated, so more than `percent` may be flagged.
    """
    ordered = np.sort(np.asarray(values, float)[np.isfinite(values)])
    n = round(len(ordered) * percent / 100)
    if not len(ordered):
        return float("nan")
    return float(ordered[n - 1]) if n else float(np.nextafter(ordered[0], -np.inf))


def reachable_percent(values: np.ndarray, percent: int) -> int:
    """Return the whole percentage of images that is flagged where `percent` is asked for.

    Images with equal scores are flagged together, so it may be larger.
    """
    scores = np.asarray(values, float)[np.isfinite(values)]
    if not len(scores) or not percent:
        return percent
    flagged = 100 * np.count_nonzero(scores <= threshold_for(scores, percent)) / len(scores)
    return percent if flagged - percent < 1 else math.floor(flagged)


def tie_sentence(values: np.ndarray, threshold: float) -> str:
    """State which images can only be flagged together at a threshold; empty where none stand out.

    >>> tie_sentence(np.array([0, 0, 0, 1, 2]), 0.0)
    '3 images share the lowest score, so no smaller share can be flagged.'
    """
    scores = np.asarray(values, float)[np.isfinite(values)]
    equal = int(np.count_nonzero(scores == threshold))
    if equal < 2 or equal < len(scores) / 100:  # what the slider cannot set apart anyway
        return ""
    if threshold == scores.min():
        return f"{equal:,} images share the lowest score, so no smaller share can be flagged."
    return f"{equal:,} images share the score {threshold:.4g} and are flagged together."


def cutoff_table(values: np.ndarray, correct: np.ndarray, *, n_points: int = 200) -> pd.DataFrame:
    """Tabulate cut-offs from strictest to loosest, at most `n_points`, each at a value that occurs.

    Returns:
        columns flagged (percent), threshold, n_flagged, caught (percent of all errors), precision (percent of
        the flagged), accuracy_rest (percent, NaN if none remain); empty unless there are both errors
        and correct images.
    """
    values, right = _defined(values, correct)
    if not len(values) or right.all() or not right.any():
        return pd.DataFrame(columns=COLUMNS)
    order = np.argsort(values, kind="stable")
    ordered, errors = values[order], np.cumsum(~right[order])
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    ends = ends[evenly(len(ends), n_points)]
    n_flagged, caught = ends + 1, errors[ends]
    rest = len(values) - n_flagged
    right_rest = rest - (errors[-1] - caught)
    share_rest = safe_divide(100 * right_rest, rest)
    columns = [
        100 * n_flagged / len(values),
        ordered[ends],
        n_flagged,
        100 * caught / errors[-1],
        100 * caught / n_flagged,
        share_rest,
    ]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def cutoff_curve(table: pd.DataFrame, *, flagged: float | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Plot errors caught, and errors among the flagged, against the share of images flagged.

    Args:
        table: as returned by `cutoff_table`.
        flagged: percentage of images flagged at the chosen cut-off, marked.
    """
    if table.empty:
        return note_figure("There are no misclassified images to catch, or no correct ones to keep.", theme)
    fig = go.Figure()
    for column, label, colour in (
        ("caught", "errors caught", theme.misclassified),
        ("precision", "errors among the flagged", theme.upper),
    ):
        hover = f"flagging %{{x:.1f}} % of the images<br>{label}: %{{y:.1f}} %"
        x, y = table["flagged"], table[column]
        fig.add_trace(line(x, y, colour=colour, width=2.5, hover=hover, name=label))
    fig.add_trace(diagonal("caught by flagging at random", theme))
    if flagged is not None:
        Marks(theme).vertical(flagged, "chosen", solid=True).put_on(fig)
    fig.update_xaxes(title_text="images flagged, lowest score first", **PERCENT_AXIS)
    fig.update_yaxes(title_text="percent", **PERCENT_AXIS)
    return finish(fig, theme, height=330)


def _defined(values: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, outcome = np.asarray(values, float), np.asarray(correct, float)
    defined = np.isfinite(values) & np.isfinite(outcome)
    return values[defined], outcome[defined] == 1


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
