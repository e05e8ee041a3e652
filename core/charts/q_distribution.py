"""The distribution of a score over correct and misclassified images (Kalibhat 2024, Fig. 4)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import MANY, Chart, score_values
from core.charts.compared_studies import score_distributions, score_table
from core.charts.marks import line
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure, tint
from core.common.dataframes import numbers
from core.common.formatting import same_digits
from core.common.records import Record, Templates
from core.common.score_names import SCORES, score_label
from core.compare.images import study_names
from core.measures.chance import too_few_outcomes
from core.store import Study

MOST_BINS = 25  # more would show the noise of a thousand images
TICKS = 6
_say = Templates.beside(__file__)
LIKE = 0.1  # curves that differ by less than this share of their height are called alike


def score_histogram(
    values: np.ndarray,
    correct: np.ndarray | None,
    *,
    n_bins: int = MOST_BINS,
    whole: bool = False,
    drop_zero: bool = False,
) -> pd.DataFrame:
    """Compute for a chart binned counts of a score, separately for correct and misclassified images.

    Args:
        values: (n_images,) scores; NaN is left out.
        correct: (n_images,) 1 correct, 0 misclassified, NaN unknown; None without labels.
        n_bins: number of equal bins (at most this many for whole numbers).
        whole: bins hold whole numbers.
        drop_zero: leave out images with a score of exactly 0; `zero_mass` counts them.
    Returns:
        columns left, right, all, correct, misclassified (counts); empty if no image remains.
    """
    values, outcome = _finite(values, correct)
    if drop_zero:
        values, outcome = values[values != 0], outcome[values != 0]
    if not len(values):
        return pd.DataFrame(columns=["left", "right", "all", "correct", "misclassified"])
    edges = _whole_edges(values, n_bins) if whole else np.histogram_bin_edges(values, n_bins)
    groups = {"all": values, "correct": values[outcome == 1], "misclassified": values[outcome == 0]}
    count = {name: np.histogram(part, edges)[0] for name, part in groups.items()}
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], **count})


def zero_mass(values: np.ndarray, correct: np.ndarray | None) -> dict[str, tuple[int, int]]:
    """Count for a chart the images with a score of exactly 0: `all`, `correct` and `misclassified`."""
    values, outcome = _finite(values, correct)
    groups = {"all": np.ones(len(values), bool), "correct": outcome == 1, "misclassified": outcome == 0}
    mass = {}
    for name, mask in groups.items():
        n_zero = (values[mask] == 0).sum()
        mass[name] = (int(n_zero), int(mask.sum()))
    return mass


def score_distribution(
    histogram: pd.DataFrame,
    *,
    score: str,
    zero: dict[str, tuple[int, int]] | None = None,
    cutoff: float | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the distribution of a score for correct and misclassified images, each as a share of its group.

    Args:
        histogram: from `score_histogram`.
        zero: from `zero_mass`, if images with score 0 are not in `histogram`; drawn as a first column apart.
        cutoff: value at which to draw a cut-off line.
    """
    if histogram.empty:
        return note_figure(
            f"{score_label(score)} is 0 or undefined for every image: there is nothing to draw.", theme
        )
    split = bool(numbers(histogram, "correct").any() or numbers(histogram, "misclassified").any())
    groups = ("correct", "misclassified") if split else ("all",)
    colours = {"correct": theme.correct, "misclassified": theme.misclassified, "all": theme.correct}
    fig = go.Figure()
    for group in groups:
        total = zero[group][1] if zero else int(numbers(histogram, group).sum())
        _add_steps(fig, histogram, group, total, colours[group], theme.stroke(2))
    fig.update_xaxes(title_text=score_label(score))
    if zero and zero["all"][0]:
        _add_zero_column(fig, histogram, {group: zero[group] for group in groups}, colours, score)
    if cutoff is not None and np.isfinite(cutoff):
        marks = Marks(theme)
        first = float(numbers(histogram, "left")[0])
        at = cutoff if not zero or cutoff >= first else _zero_place(histogram) + 1.25 * _bin_width(histogram)
        marks.vertical(at, "cut-off", top=True, solid=True)
        marks.put_on(fig)
    fig.update_yaxes(
        title_text="share of each group" if split else "share of the images",
        ticksuffix=" %",
        rangemode="tozero",
    )
    return finish(fig, theme)


def _bin_width(histogram: pd.DataFrame) -> float:
    return float(numbers(histogram, "right")[0] - numbers(histogram, "left")[0])


def _zero_place(histogram: pd.DataFrame) -> float:
    """Where the column of the zeros stands: left of the first bin, with a gap."""
    return float(numbers(histogram, "left")[0]) - 2.5 * _bin_width(histogram)


def _add_zero_column(
    fig: go.Figure,
    histogram: pd.DataFrame,
    zero: dict[str, tuple[int, int]],
    colours: dict[str, str],
    score: str,
) -> None:
    """Draw the images with a score of exactly 0 as bars side by side, apart from the bins."""
    middle, wide = _zero_place(histogram), 1.6 * _bin_width(histogram) / len(zero)
    why = SCORES[score].zero_means if score in SCORES else ""
    for at, (group, (n, total)) in enumerate(zero.items()):
        share = 100 * n / total if total else 0.0
        name = "all images" if group == "all" else group
        reason = f": {why}" if why else ""
        colour = colours[group]
        place = middle + (at - (len(zero) - 1) / 2) * wide
        marker = {"color": tint(colour, 0.45), "line": {"color": colour, "width": 2}}
        hover = f"{name}: {share:.1f} % ({n:,} images) have exactly 0{reason}<extra></extra>"
        bar = go.Bar(
            x=[place],
            y=[share],
            width=wide,
            marker=marker,
            name=f"{name}, exactly 0",
            showlegend=False,
            hovertemplate=hover,
        )
        fig.add_trace(bar)
    values = _round_numbers(float(numbers(histogram, "left")[0]), float(numbers(histogram, "right")[-1]))
    fig.update_xaxes(tickvals=[middle, *values], ticktext=["exactly 0", *(f"{value:g}" for value in values)])


def _round_numbers(low: float, high: float) -> list[float]:
    """Return about TICKS round numbers between two ends."""
    rough = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = int(np.ceil(low / step)), int(high / step)
    return [float(f"{at * step:.6g}") for at in range(first, last + 1)]


def _finite(values: np.ndarray, correct: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, float)
    outcome = np.full(len(values), np.nan) if correct is None else np.asarray(correct, float)
    keep = np.isfinite(values)
    return values[keep], outcome[keep]


def _whole_edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    step = -(-(high - low + 1) // n_bins)
    return np.arange(low, high + step + 1, step) - 0.5


def _add_steps(
    fig: go.Figure, histogram: pd.DataFrame, group: str, total: int, colour: str, stroke: float
) -> None:
    """Draw the outline of the bins; an empty bin at either end closes it."""
    wide = _bin_width(histogram)
    left, right, count = (numbers(histogram, name) for name in ("left", "right", group))
    left = np.concatenate([[left[0] - wide], left, [right[-1]]])
    right = np.concatenate([[right[0] - wide], right, [right[-1] + wide]])
    count = np.concatenate([[0], count, [0]])
    name = "all images" if group == "all" else group
    shares = 100 * count / total if total else np.zeros(len(count))
    x = (left + right) / 2
    fill_colour = tint(colour, 0.22)
    customdata = np.column_stack([left, right, count])
    hover = (
        f"{name}: %{{y:.1f}} % (%{{customdata[2]:,.0f}} images)<br>"
        "from %{customdata[0]:.4g} to %{customdata[1]:.4g}"
    )
    title = f"{name} (n = {total:,})"
    outline = line(
        x,
        shares,
        colour=colour,
        width=stroke,
        hover=hover,
        line_shape="hvh",
        fill="tozeroy",
        fillcolor=fill_colour,
        name=title,
        customdata=customdata,
    )
    fig.add_trace(outline)


def distribution_finding(values: np.ndarray, correct: np.ndarray, score: str) -> Record:
    """State below a chart whether correct or misclassified images score higher, by their medians; of fewer
    than 8 of either only these.

    Args:
        values, correct: of single images; 1 correct, 0 misclassified, NaN unknown.
    """
    label, (side, above, below) = score_label(score), _side(values, correct)
    if not side:
        has_right, has_wrong = bool((correct == 1).any()), bool((correct == 0).any())
        kinds = {(True, False): "correct", (False, True): "misclassified", (False, False): "all"}
        return _say(kinds.get((has_right, has_wrong), "by_correctness"), what=label)
    medians = same_digits(above, below)
    if few := too_few_outcomes(int((correct == 0).sum()), int((correct == 1).sum())):
        return _say("too_few", what=label, names=medians, parts=(few,))
    kind = {"alike": "alike", "higher": "higher", "lower": "lower"}[side]
    return _say(kind, what=label, names=medians)


def _side(values: np.ndarray, correct: np.ndarray) -> tuple[str, float, float]:
    """Return higher, lower or alike (on correct images), or "" for want of one group, and both medians."""
    finite = np.isfinite(values)
    right, wrong = (values[finite & (correct == one)] for one in (1, 0))
    if not len(right) or not len(wrong):
        return "", np.nan, np.nan
    above, below = float(np.median(right)), float(np.median(wrong))
    spread = np.subtract(*np.percentile(values[finite], [75, 25]))
    if abs(above - below) <= LIKE * spread:
        return "alike", above, below
    return "higher" if above > below else "lower", above, below


class Distribution(NamedTuple):
    """A score by correctness: `frame` is `score_histogram` of one study, or `score_table` of several."""

    frame: pd.DataFrame
    score: str
    values: np.ndarray | None = None  # of the single images of one study
    correct: np.ndarray | None = None


def _table(studies: Sequence[Study], options: FigureOptions) -> Distribution:
    score = options.score
    if len(studies) > 1:
        by_study = {
            name: score_values(study, score)
            for name, study in zip(study_names(studies), studies, strict=True)
        }
        return Distribution(score_table(by_study, score=score), score)
    values, correct = score_values(studies[0], score)
    about = SCORES[score]
    bins = score_histogram(values, correct, whole=about.whole_number, drop_zero=bool(about.zero_means))
    return Distribution(bins, score, values, correct)


def _draw(data: Distribution, options: FigureOptions, theme: Theme) -> go.Figure:
    if data.values is None:
        return score_distributions(data.frame, score=data.score, theme=theme)
    zero = zero_mass(data.values, data.correct) if SCORES[data.score].zero_means else None
    return score_distribution(data.frame, score=data.score, zero=zero, cutoff=options.cutoff, theme=theme)


def _finding(data: Distribution) -> str:
    if data.values is None or data.correct is None:
        return ""
    return distribution_finding(data.values, data.correct, data.score)


def _alt(data: Distribution) -> str:
    return f"Distribution of {score_label(data.score)} over the images"


Q_DISTRIBUTION = Chart(
    name="q_distribution",
    title="Q (--score) by correctness; --with: several studies",
    source="Kalibhat 2024, Fig. 4",
    needs=("quality",),
    table=_table,
    draw=_draw,
    finding=_finding,
    alt=_alt,
    studies=(1, MANY),
)
