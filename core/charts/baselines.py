"""The Q-Score and its baselines: per score a dot with its 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.recommendation import claim, recommend, score_row
from core.charts.chart import Chart, known_score
from core.charts.marks import dots, interval
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.common.records import Templates
from core.common.score_names import score_family, score_in_sentence, score_label
from core.measures.chance import CHANCE, outcomes, too_few_outcomes
from core.measures.scores import on_most_images
from core.store import Study

_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Metric:
    """A column of `quality_metrics` that ranks scores."""

    column: str
    title: str
    higher_is_better: bool = True


_METRICS = (
    Metric("auroc", "AUROC (correct above misclassified)"),
    Metric("auprc_correct", "AUPRC, correct images as positive"),
    Metric("auprc_error", "AUPRC, misclassified images as positive"),
    Metric("aurc", "AURC, area under risk-coverage (lower is better)", False),
    Metric("augrc", "AUGRC, area under generalised risk-coverage (lower is better)", False),
)
METRICS: dict[str, Metric] = {metric.column: metric for metric in _METRICS}


def ranked(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a chart's scores that have `metric`, best first, with `rank` from 1, ties by three digits.

    Scores that far fewer images have come last, without a rank (`on_most_images`).
    """
    value = numbers(metrics, metric) * (-1 if METRICS[metric].higher_is_better else 1)
    finite, comparable = np.isfinite(value), on_most_images(metrics)
    order = np.lexsort([value, ~comparable, ~finite])[: int(finite.sum())]
    rounded = value[order][comparable[order]].round(3)
    ranks = pd.Series(1 + np.searchsorted(rounded, rounded), dtype="Int64").reindex(range(len(order)))
    return metrics.take(order).reset_index(drop=True).assign(rank=ranks)


def _in_order(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of `ranked` that have a rank."""
    rows = ranked(metrics, metric)
    return rows.loc[rows["rank"].notna()]


def rank_sentence(metrics: pd.DataFrame, score: str, metric: str = "auroc") -> str:
    """State beside a chart a score's rank among all scores, and among those without labels."""
    rows = _in_order(metrics, metric)
    names = words(rows, "score")
    if score in words(ranked(metrics, metric), "score") and score not in names:
        return _say("not_ranked", what=score_label(score))
    if score not in names:
        return _say("undefined", what=score_label(score))
    if few := too_few_outcomes(*outcomes(rows.iloc[0].to_dict())):
        return _say("too_few_for_rank", what=few)
    name = METRICS[metric].title.split(",")[0].split(" (")[0]
    rank = int(rows["rank"].iloc[names.index(score)])
    kind, places = "rank", ()
    free = rows.loc[rows["label_free"].to_numpy(bool)]
    if score in words(free, "score"):
        ahead = int((free["rank"].to_numpy() < rank).sum())
        kind, places = "rank_of_label_free", (str(ahead + 1), str(len(free)))
    parts = [_say(kind, what=name, why=score_label(score), n=rank, of=len(names), names=places)]
    if rank > 1:
        parts.append(_say("best", what=score_label(names[0]), value=float(numbers(rows, metric)[0])))
    return _say("ranks", parts=tuple(parts))


def finding(metrics: pd.DataFrame) -> str:
    """State below a chart how well the recommended score predicts errors, and the best without labels.

    Args:
        metrics: score, label_free, auroc, auroc_low, auroc_high, n, and n_wrong or base_rate_error; one row
            per score.
    """
    rows = _in_order(metrics, "auroc")
    if rows.empty:
        return _why_empty(metrics)
    if few := too_few_outcomes(*outcomes(rows.iloc[0].to_dict())):
        return _say("too_few_for_best", what=few)
    best_score = recommend(words(rows, "score"))
    parts: list[str] = [claim(score_row(rows, best_score.score))] if best_score else []
    best = rows.loc[rows["label_free"].to_numpy(bool)]
    if len(best) and not (best_score and best_score.score == best["score"].iloc[0]):
        row = best.iloc[0].to_dict()
        named = _say("without_labels", what=score_in_sentence(row["score"]))
        parts.append(f"{claim(row, named, above='reaches')}{_level_words(level_with_best(best))}")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def level_with_best(metrics: pd.DataFrame) -> list[str]:
    """The scores of a chart without labels that the best one of them is not clearly ahead of.

    The paired interval of their difference to it holds 0. Empty where the differences to the best are not
    known.

    Args:
        metrics: score, label_free, auroc, and as of `with_rivals` rival, rival_difference_high.
    """
    if not {"rival", "rival_difference_high"} <= set(metrics):
        return []
    rows = _in_order(metrics, "auroc")
    names = words(rows.loc[rows["label_free"].to_numpy(bool)], "score")
    close = (rows["rival"] == (names[0] if names else "")) & (numbers(rows, "rival_difference_high") >= 0)
    return words(rows.loc[close], "score")


def _level_words(scores: Sequence[str]) -> str:
    """Name in a chart's sentence the scores that the best one is not clearly ahead of.

    >>> _level_words(["soft_q"]), _level_words(["norm", "hoyer"]), _level_words([])
    (', not clearly ahead of the soft Q-Score', ', not clearly ahead of 2 others', '')
    """
    if not scores:
        return ""
    if len(scores) == 1:
        return _say("level_with_one", what=score_in_sentence(scores[0]))
    return _say("level_with_several", n=len(scores))


BELOW = 0.7  # rows below the last one, where the word on chance covers no interval


def ranked_scores(
    metrics: pd.DataFrame,
    *,
    selected: str = "q_score",
    marked: str | None = None,
    row: int = 28,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the AUROC of every score with its 95 % interval, by families, the best on top; filled: needs no
    labels, open: a classifier.

    Args:
        metrics: table `quality_metrics`.
        selected: the score with a bold name and an accented dot.
        marked: a score whose row has a ground of its own.
        row: height of a score in pixels.
    """
    rows = by_family(ranked(metrics, "auroc"))
    if rows.empty:
        return note_figure(_why_empty(metrics), theme)
    labels = [_axis_label(score, selected) for score in rows["score"]]
    axis = _with_families(rows, labels)
    fig = go.Figure()
    for free, name in ((True, "needs no labels"), (False, "needs a classifier")):
        part = rows["label_free"].to_numpy(bool) == free
        if part.any():
            part_labels = [label for label, use in zip(labels, part, strict=True) if use]
            of_kind = rows.loc[part]
            fig.add_trace(_dots(of_kind, part_labels, selected, free=free, name=name, theme=theme))
    marks = Marks(theme)
    if marked in words(rows, "score"):
        marks.row(axis[::-1].index(_axis_label(str(marked), selected)), theme.discriminative)
    marks.vertical(CHANCE, f"chance: {CHANCE:g}").put_on(fig)
    fig.update_xaxes(title_text=METRICS["auroc"].title, showgrid=True, range=_span(rows))
    fig.update_yaxes(type="category", categoryorder="array", categoryarray=axis[::-1])
    fig.update_yaxes(ticks="", tickfont_color=theme.ink, tickvals=axis, ticktext=axis)
    fig.update_yaxes(range=[-0.5 - BELOW, len(axis) - 0.5])
    finish(fig, theme, height=110 + round(row * (len(axis) + BELOW)))
    every_name = round(1.5 * theme.font_size * len(axis)) + 70  # pixels; on less, plotly leaves names out
    if theme.height is not None and theme.height < every_name:
        fig.update_layout(height=every_name)
    return fig


def by_family(rows: pd.DataFrame) -> pd.DataFrame:
    """Order the rows of a chart of scores by families, in the order of their best score."""
    families = [score_family(score) for score in words(rows, "score")]
    first = {family: families.index(family) for family in dict.fromkeys(families)}
    order = np.argsort([first[family] for family in families], kind="stable")
    return rows.take(order).reset_index(drop=True)


def _with_families(rows: pd.DataFrame, labels: list[str]) -> list[str]:
    """The labels of an axis from the top, with the title of each family above its scores."""
    titled: list[str] = []
    before = ""
    for score, label in zip(words(rows, "score"), labels, strict=True):
        if (family := score_family(score)) != before:
            titled.append(f"<i>{family}</i>")
        before = family
        titled.append(label)
    return titled


def _dots(
    rows: pd.DataFrame, labels: list[str], selected: str, *, free: bool, name: str, theme: Theme
) -> go.Scatter:
    # The legend has the colour of the first dot, which is not to be the selected one.
    order = np.argsort(rows["score"].to_numpy() == selected, kind="stable")
    rows, labels = rows.take(order), [labels[at] for at in order]
    value, low, high = (numbers(rows, f"auroc{end}") for end in ("", "_low", "_high"))
    is_selected = rows["score"] == selected
    usual = theme.correct if free else theme.neutral
    colours = [theme.accent if one else usual for one in is_selected]
    marker = {
        "symbol": "circle" if free else "diamond-open",
        "size": theme.stroke(11),
        "color": colours,
        "line": {"width": theme.stroke(2)},
    }
    details = zip(rows["score"], low, high, numbers(rows, "n"), strict=True)
    error_bars = interval(value, low, high, colour=theme.muted, thickness=theme.stroke(2))
    hover = (
        f"<b>%{{y}}</b><br>{METRICS['auroc'].title}: %{{x:.3f}}<br>95 % interval "
        f"%{{customdata[1]:.3f}} to %{{customdata[2]:.3f}}, %{{customdata[3]:,}} images<br>{name}"
    )
    customdata = [list(detail) for detail in details]
    return dots(
        value, labels, name=name, marker=marker, error_x=error_bars, customdata=customdata, hover=hover
    )


def _axis_label(score: str, selected: str) -> str:
    return f"<b>{score_label(score)}</b>" if score == selected else score_label(score)


def _span(rows: pd.DataFrame) -> list[float]:
    values = np.concatenate([numbers(rows, f"auroc{end}") for end in ("", "_low", "_high")] + [[CHANCE]])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(0.04 * (high - low), 0.01)
    return [max(low - room, 0.0), min(high + room, 1.02)]


def _why_empty(metrics: pd.DataFrame) -> str:
    notes = [note for note in words(metrics, "note") if note]
    return notes[0] if notes else "No score could be evaluated in this study."


class RankedScores(NamedTuple):
    """Scores to be ranked: `frame` is the table `quality_metrics`; see `ranked_scores`."""

    frame: pd.DataFrame
    selected: str
    marked: str | None = None
    row: int = 28


def _table(study: Study, options: FigureOptions) -> RankedScores:
    marked = known_score(study.kept("quality"), options.score)
    return RankedScores(study.table("quality_metrics"), marked)


def _draw(data: RankedScores, options: FigureOptions, theme: Theme) -> go.Figure:
    return ranked_scores(data.frame, selected=data.selected, marked=data.marked, row=data.row, theme=theme)


BASELINES = Chart(
    name="baselines",
    title="every score with its interval",
    needs=("probe", "quality", "quality_metrics", "quality_curves"),
    table=_table,
    draw=_draw,
    finding=lambda data: finding(data.frame),
    alt=lambda _: "AUROC of every score with its 95 % interval",
)
