"""How many errors a score finds: in its order, and by a cut-off."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.recommendation import recommended
from core.charts.chart import Chart, narrowed_of, score_values, whole_study
from core.charts.marks import line
from core.charts.options import FigureOptions
from core.charts.theme import PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Templates
from core.common.score_names import SCORES, score_in_sentence, score_label
from core.measures.score_verdicts import RANDOM, SHARES, errors_found, share_of
from core.measures.scores import on_most_images
from core.store import Study

# How many errors are found by looking at the images in the order of a score, against other orders.


_say = Templates.beside(__file__)
USUAL_SHARE = 0.1  # of the images, where no number is given
NOTHING = "There are no misclassified images to find."


class ErrorsFound(NamedTuple):
    """Errors found by several orders: `frame` is that of `core.measures.score_verdicts`.

    Attributes:
        first: the score that the finding is about. best: the score with the highest AUROC on these images,
            known only by hindsight. n_looked: number of images that is marked.
    """

    frame: pd.DataFrame
    first: str
    best: str
    n_looked: int


def _errors_found_table(study: Study, options: FigureOptions) -> ErrorsFound:
    """Read the orders of a chart of errors found: by the recommended score, and the best by hindsight.

    Of the options, `against` names further scores, the first of which comes first, and `images` the number
    looked at.
    """
    advised, shown = recommended(whole_study(study)), narrowed_of(study)
    stored = not shown.is_made("quality_metrics")  # with the same areas, and no score has to be read for them
    tested = shown.table("quality_metrics" if stored else "score_aurocs")
    tested = tested.loc[on_most_images(tested) & tested["auroc"].notna()]
    best = str(tested.loc[tested["auroc"].idxmax(), "score"]) if len(tested) else ""
    asked = [*options.against, *([options.score] if options.score != FigureOptions.score else [])]
    advised_score = [advised.score] if advised else []
    best_score = [best] if best else []
    names: list[str] = list(dict.fromkeys([*asked, *advised_score, *best_score]))
    values = {name: score_values(study, name) for name in names}
    correct = next((right for _, right in values.values()), np.empty(0))
    n = int(np.isfinite(correct).sum())
    at = share_of(n, USUAL_SHARE) if options.images is None else min(options.images, n)
    frame = errors_found({name: score for name, (score, _) in values.items()}, correct, at=at)
    return ErrorsFound(frame, names[0] if names else "", best, at)


def _errors_found_curves(shown: ErrorsFound, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot the errors found among the first images of each score's order, as a chart."""
    frame = shown.frame
    if frame.empty:
        return note_figure(NOTHING, theme)
    fig, others = go.Figure(), iter([theme.upper, theme.accent, theme.discriminative])
    for order in dict.fromkeys(frame["order"]):
        rows = frame.loc[frame["order"] == order].reset_index(drop=True)
        score, first = order in SCORES, order == shown.first
        colour = theme.correct if first else next(others, theme.neutral) if score else theme.neutral
        by_hindsight = order == shown.best and not first
        name = f"{score_label(order)}{' (best by hindsight)' * by_hindsight}" if score else order
        x, y = 100 * numbers(rows, "share_looked"), numbers(rows, "found")
        hover = f"<b>{name}</b><br>first %{{customdata:,}} images: %{{y:,.0f}} errors"
        dash = None if score else "dot" if order == RANDOM else "dash"
        width = theme.stroke(3 if first else 1.5)
        n_looked = rows["n_looked"]
        fig.add_trace(
            line(x, y, colour=colour, width=width, dash=dash, name=name, hover=hover, customdata=n_looked)
        )
    marks = Marks(theme)
    n_images = int(numbers(frame, "n_looked").max())
    marks.vertical(100 * shown.n_looked / n_images, counted(shown.n_looked, "image"), solid=True)
    marks.put_on(fig)
    fig.update_xaxes(title_text="images looked at, lowest score first", **PERCENT_AXIS)
    fig.update_yaxes(title_text="errors found", rangemode="tozero")
    finish(fig, theme, height=400)
    return fig.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin_t=52, showlegend=True)


def _errors_found_sentence(shown: ErrorsFound) -> str:
    """State how many errors the first images hold, and how many they would in other orders: by hindsight only
    where that is more.
    """
    if shown.frame.empty:
        return NOTHING
    here = shown.frame.loc[numbers(shown.frame, "n_looked") == shown.n_looked].set_index("order")["found"]
    n_errors = int(numbers(shown.frame, "found").max())
    finds_more = bool(shown.best) and round(here[shown.best]) > round(here[shown.first])
    orders = (shown.first, RANDOM, *[shown.best] * finds_more)
    return _say(
        "found_and_best" if finds_more else "found",
        of=shown.n_looked,
        n=n_errors,
        names=tuple(f"{here[order]:,.0f}" for order in orders),
        what=score_in_sentence(shown.first),
        why=score_label(shown.best) if finds_more else "",
    )


def at_shares(shown: ErrorsFound) -> pd.DataFrame:
    """Errors found in a chart among the first 1 to 20 % of the images: a row a share, a column an order."""
    if shown.frame.empty:
        return pd.DataFrame()
    n = int(numbers(shown.frame, "n_looked").max())
    rows = shown.frame[shown.frame["n_looked"].isin([share_of(n, share) for share in SHARES])]
    wide = rows.pivot_table(index="n_looked", columns="order", values="found", sort=False)
    return wide.reset_index()


ERRORS_FOUND = Chart(
    name="errors_found",
    title="errors found among the first images looked at",
    needs=("quality",),
    table=_errors_found_table,
    draw=_errors_found_curves,
    finding=_errors_found_sentence,
    alt=lambda shown: f"Errors found by looking at images in the order of {score_label(shown.first)}",
)


# The errors caught by a cut-off on a quality score.


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

    @property
    def flagged(self) -> float:
        """Percentage of images that are flagged."""
        return 100 * self.n_flagged / self.n_images if self.n_images else float("nan")


def apply_cutoff(values: np.ndarray, correct: np.ndarray, threshold: float) -> CutoffResult:
    """Flag every image whose score is at most `threshold` in a chart of errors found, and count.

    Args:
        values: (n_images,) scores, higher is better; images with NaN in either input are left out.
        correct: (n_images,) 1 correct, 0 misclassified.
    """
    values, outcome = np.asarray(values, float), np.asarray(correct, float)
    defined = np.isfinite(values) & np.isfinite(outcome)
    values, right = values[defined], outcome[defined] == 1
    flagged = values <= threshold
    n_flagged, n_errors = int(flagged.sum()), int((~right).sum())
    n_caught = int((flagged & ~right).sum())
    caught = _percent(n_caught, n_errors)
    precision = _percent(n_caught, n_flagged)
    return CutoffResult(
        threshold=float(threshold),
        n_images=len(values),
        n_errors=n_errors,
        n_flagged=n_flagged,
        n_caught=n_caught,
        caught=caught,
        precision=precision,
    )


def threshold_for(values: np.ndarray, percent: float) -> float:
    """Return the score at or below which a chart flags `percent` of the images (lower quantile).

    Below all scores for 0.

    Images with equal scores cannot be separated, so more than `percent` may be flagged.
    """
    ordered = np.sort(np.asarray(values, float)[np.isfinite(values)])
    n = round(len(ordered) * percent / 100)
    if not len(ordered):
        return float("nan")
    return float(ordered[n - 1]) if n else float(np.nextafter(ordered[0], -np.inf))


def reachable_percent(values: np.ndarray, percent: int) -> int:
    """Return the whole percentage that a chart flags where `percent` is asked for: ties go together."""
    scores = np.asarray(values, float)[np.isfinite(values)]
    if not len(scores) or not percent:
        return percent
    flagged = 100 * np.count_nonzero(scores <= threshold_for(scores, percent)) / len(scores)
    return percent if flagged - percent < 1 else math.floor(flagged)


def tie_sentence(values: np.ndarray, threshold: float) -> str:
    """State beside a chart which images can only be flagged together at a threshold; empty for few.

    >>> tie_sentence(np.array([0, 0, 0, 1, 2]), 0.0)
    '3 images share the lowest score, so no smaller share can be looked at.'
    """
    scores = np.asarray(values, float)[np.isfinite(values)]
    equal = int(np.count_nonzero(scores == threshold))
    if equal < 2 or equal < len(scores) / 100:  # what the slider cannot set apart anyway
        return ""
    if threshold == scores.min():
        return _say("share_lowest", n=equal)
    return _say("share_score", n=equal, value=threshold)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
