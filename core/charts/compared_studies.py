"""Several studies in one chart: their scores, the accuracy of each class, and shared words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import MANY, Chart, known_score, shared_of_slice
from core.charts.marks import cells, dots, interval, line, named_axis
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Theme, finish, note_figure, tint
from core.common.captions import with_class_names
from core.common.dataframes import numbers, words
from core.common.formatting import counted, signed
from core.common.records import Templates
from core.common.score_names import SCORES, score_label
from core.compare.compare import compare_words
from core.compare.images import Shared
from core.compare.measures import class_accuracy_changes, judged_of
from core.errors import StudyError
from core.measures.design_effect import groups_among
from core.measures.intervals import leaves_out_0
from core.store import Study

# A score over correct and misclassified images in several studies.


_say = Templates.beside(__file__)
FEWEST_BINS, MOST_BINS = 5, 48
PANEL = 150  # pixels; height of one study's panel


def score_table(
    studies: Mapping[str, tuple[np.ndarray, np.ndarray]], *, score: str = "q_score", n_bins: int | None = None
) -> pd.DataFrame:
    """Compute for a chart binned shares of a score in each study, on common bins.

    Args:
        studies: name -> the score of each image (NaN: unknown) and 1 correct, 0 misclassified, NaN unknown.
        n_bins: None for 2 n^(1/3), with n the images drawn of the study that has most (Rice's rule), 5 to 48.
    Returns:
        study, group (correct, misclassified), left, right, share (of the group, percent), n (images of the
        group), zero_share (percent of the group whose score is exactly 0, if those are kept apart: not in the
        bins).
    """
    apart = score in SCORES and bool(SCORES[score].zero_means)
    drawn = [values[np.isfinite(values) & ((values != 0) | (not apart))] for values, _ in studies.values()]
    every = np.concatenate([*drawn, np.empty(0)])
    columns = ["study", "group", "left", "right", "share", "n", "zero_share"]
    if not len(every):
        return pd.DataFrame(columns=columns)
    low, high = float(every.min()), float(every.max())
    if n_bins is None:
        n_bins = int(np.clip(np.round(2 * np.cbrt(max(map(len, drawn)))), FEWEST_BINS, MOST_BINS))
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    rows: dict[str, list] = {column: [] for column in columns}
    for name, (values, correct) in studies.items():
        for group, verdict in (("correct", 1), ("misclassified", 0)):
            scores = values[(correct == verdict) & np.isfinite(values)]
            n = max(len(scores), 1)
            zero = scores == 0 if apart else np.zeros(len(scores), bool)
            counts = np.histogram(scores[~zero], edges)[0]
            facts = {"study": name, "group": group, "n": len(scores), "zero_share": 100 * zero.sum() / n}
            for column, value in facts.items():
                rows[column] += [value] * n_bins
            for column, part in (("left", edges[:-1]), ("right", edges[1:]), ("share", 100 * counts / n)):
                rows[column] += part.tolist()
    return pd.DataFrame(rows)


def score_distributions(table: pd.DataFrame, *, score: str = "q_score", theme: Theme = LIGHT) -> go.Figure:
    """Plot one panel per study, stacked on one axis: correct against misclassified images.

    Args:
        table: from `score_table`.
    """
    if table.empty:
        return note_figure(f"{score_label(score)} is 0 or undefined for every image of these studies.", theme)
    names = list(dict.fromkeys(table["study"]))
    titles = [_panel_title(table, name, score, theme) for name in names]
    lines = max(title.count("<br>") for title in titles)
    room = 0.24 + 0.12 * lines  # of a panel, for its title
    fig = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=room / len(names), subplot_titles=titles
    )  # fmt: skip
    for row, name in enumerate(names, start=1):
        for group, colour in (("correct", theme.correct), ("misclassified", theme.misclassified)):
            part = table.loc[(table["study"] == name) & (table["group"] == group)]
            fig.add_trace(_steps(part, group, colour, theme, legend=row == 1), row=row, col=1)
    fig.update_xaxes(title_text=score_label(score), row=len(names), col=1)
    fig.update_yaxes(ticksuffix=" %", rangemode="tozero", matches="y")
    fig.update_annotations(
        x=0, xanchor="left", align="left", font={"size": theme.font_size - 1, "color": theme.ink}
    )
    finish(fig, theme)
    scale = theme.font_size / LIGHT.font_size
    height = round((PANEL * len(names) + 110) * scale)
    title = (22 + 16 * titles[0].count("<br>")) * scale
    return fig.update_layout(
        height=height, margin_t=round(44 * scale + title), legend_y=1 + (20 * scale + title) / height
    )


def _panel_title(table: pd.DataFrame, name: str, score: str, theme: Theme) -> str:
    title = f"<b>{as_text(name)}</b>"
    means = SCORES[score].zero_means if score in SCORES else ""
    if not means:
        return title
    zeros = []
    for group in ("correct", "misclassified"):
        part = table.loc[(table["study"] == name) & (table["group"] == group)]
        if len(part) and part["n"].iat[0] and part["zero_share"].iat[0] > 0:
            share = part["zero_share"].iat[0]
            zeros.append(f"{f'{share:.0f}' if share >= 0.5 else 'under 1'} % of {group}")
    if not zeros:
        return title
    if theme.width is None:  # half a page
        return f"{title}<br>not drawn: 0 for {' and<br>'.join(zeros)}"
    if theme.width < 500:  # a narrow column
        return f"{title}; 0 for {' and '.join(zeros)}"
    return f"{title}; 0, not drawn ({means}): {' and '.join(zeros)} images"


def _steps(part: pd.DataFrame, group: str, colour: str, theme: Theme, *, legend: bool) -> go.Scatter:
    edges = np.append(numbers(part, "left"), numbers(part, "right")[-1:])
    shares = numbers(part, "share")
    closed = np.concatenate([[0.0], shares, [0.0]]) if len(shares) else shares
    x = np.concatenate([edges[:1], edges])
    width, hover = theme.stroke(2), f"{group}: %{{y:.1f}} % from %{{x:.3g}}"
    below = {"fill": "tozeroy", "fillcolor": tint(colour, 0.15)}
    legend_entry = {"name": group, "legendgroup": group, "showlegend": legend}
    # From and to the axis, so that the first and the last bin are closed.
    return line(x, closed, colour=colour, width=width, hover=hover, line_shape="hv", **legend_entry, **below)


class ComparedScores(NamedTuple):
    """A score in several studies, on the images of all: `frame` is `score_table`."""

    frame: pd.DataFrame
    score: str


def _shared_scores(shared: Shared, score: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the score and the correctness of the shared evaluation images in each study.

    Raises:
        SettingsError: a study does not have the score.
    """
    values: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, study, rows in zip(shared.names, shared.studies, shared.rows[:, shared.judged], strict=True):
        table = study.kept("quality")
        column = known_score(table, score)
        values[name] = numbers(table, column)[rows], numbers(table, "correct")[rows]
    return values


def _scores_table(studies: Sequence[Study], options: FigureOptions) -> ComparedScores:
    values = _shared_scores(shared_of_slice(studies), options.score)
    return ComparedScores(score_table(values, score=options.score), options.score)


def _draw_scores(data: ComparedScores, options: FigureOptions, theme: Theme) -> go.Figure:
    return score_distributions(data.frame, score=data.score, theme=theme)


def _scores_alt(data: ComparedScores) -> str:
    return _say("scores", what=score_label(data.score))


COMPARED_SCORES = Chart(
    name="compared_scores",
    title="Q (--score) by correctness in each study, on the images of all; --with",
    needs=("quality",),
    table=_scores_table,
    draw=_draw_scores,
    alt=_scores_alt,
    studies=(2, MANY),
    same_images=True,
)


# Accuracy of each class in two studies, and its change.


MOST_CLASSES = 40
MOST_NAMED = 3  # classes in a sentence


def class_change_finding(classes: pd.DataFrame, other: str) -> str:
    """State below a chart on which classes a study is ahead and behind most, and what is significant.

    Args:
        classes: table of `class_accuracy_changes`.
    """
    table = classes.loc[classes["study"] == other]
    table = table.loc[np.isfinite(numbers(table, "difference"))]
    if table.empty:
        return "Accuracy by class"
    change, names = numbers(table, "difference"), words(table, "label")
    lows, highs = (numbers(table, f"difference_{end}") for end in ("low", "high"))
    clear = leaves_out_0(lows, highs)
    if len(table) == 1:
        ends = [signed(100 * numbers(table, f"difference{end}")[0], 0) for end in ("", "_low", "_high")]
        kind = "change" if np.isfinite(numbers(table, "difference_low")[0]) else "change_alone"
        points = _say(kind, names=tuple(ends), what="significant" if clear[0] else "could be chance")
        return _say("one_class", what=names[0], why=points)
    sure = int(clear.sum())
    parts = []
    for most, kind in ((change.max(), "ahead"), (change.min(), "behind")):
        if most > 0 if kind == "ahead" else most < 0:
            alike = sorted(name for name, value in zip(names, change, strict=True) if np.isclose(value, most))
            listed = (f"{len(alike)} classes",) if len(alike) > MOST_NAMED else tuple(alike)
            parts.append(_say(kind, names=listed, what=signed(100 * most, 0)))
    if not np.any([change, lows, highs]):
        return "No class differs"
    sentence = _say("apart", what=other, parts=tuple(parts)) if parts else "No class differs"
    if not np.isfinite(lows).any():
        return sentence
    if not sure:
        return _say("none_significant", what=sentence)
    which = tuple(sorted(name for name, is_sure in zip(names, clear, strict=True) if is_sure))
    kind = "one_significant" if sure == 1 else "some_significant" if sure <= MOST_NAMED else "significant"
    return _say(kind, what=sentence, n=sure, of=len(table), names=which)


def class_changes(
    classes: pd.DataFrame, first: str, other: str, *, most: int = MOST_CLASSES, theme: Theme = LIGHT
) -> go.Figure:
    """Plot accuracy of each class in two studies, with the 95 % interval of the change; greatest gain on top.

    A change is better or worse where its interval leaves out 0.

    Args:
        classes: table of `core.compare.measures.class_accuracy_changes`.
        most: number of classes, most changed first.
    """
    after = classes.loc[classes["study"] == other]
    before = classes.loc[classes["study"] == first]
    if not len(after) or not np.isfinite(numbers(after, "difference")).any():
        return note_figure("No class has a probe result in both studies.", theme)
    change = numbers(after, "difference")
    drawn = np.sort(np.argsort(-np.abs(change), kind="stable")[:most])
    drawn = drawn[np.argsort(change[drawn], kind="stable")]  # plotly draws from the bottom
    change = 100 * change[drawn]
    names = [as_text(shortened(with_class_names(name))) for name in after["label"].to_numpy(object)[drawn]]
    was, now = 100 * numbers(before, "accuracy")[drawn], 100 * numbers(after, "accuracy")[drawn]
    low, high = (100 * numbers(after, f"difference_{end}")[drawn] for end in ("low", "high"))
    sizes = [counted(n, "image") for n in numbers(after, "n")[drawn].astype(int).tolist()]
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.1, column_widths=[0.58, 0.42])
    at = np.arange(len(drawn))
    for values, name, colour, symbol in (
        (was, first, theme.neutral, "circle-open"),
        (now, other, theme.discriminative, "circle"),
    ):
        marker = {"color": colour, "symbol": symbol, "size": theme.stroke(9)}
        sizes_and_names = np.column_stack([sizes, names])
        hover = "<b>%{customdata[1]}</b> (%{customdata[0]}): %{x:.1f} %"
        accuracies = dots(
            values, at, name=as_text(name), marker=marker, customdata=sizes_and_names, hover=hover
        )
        fig.add_trace(accuracies, row=1, col=1)
    same = (low == 0) & (high == 0)
    for mask, colour, name in (
        (low > 0, theme.correct, "better"),
        (high < 0, theme.misclassified, "worse"),
        (np.isfinite(low) & ~leaves_out_0(low, high) & ~same, theme.neutral, "could be chance"),
        (np.isnan(low), theme.muted, "not judged"),
        (same, theme.neutral, "the same"),
    ):
        if mask.any():
            middle, ends = change[mask], (low[mask], high[mask])
            marker = {"color": colour, "size": theme.stroke(7), "symbol": "diamond"}
            error_bars = interval(middle, *ends, colour=colour, thickness=theme.stroke(1.5))
            customdata = np.column_stack([np.array(names, object)[mask], *ends])
            trace = dots(
                middle,
                at[mask],
                name=name,
                marker=marker,
                error_x=error_bars,
                customdata=customdata,
                hover="<b>%{customdata[0]}</b>: %{x:+.1f} points (%{customdata[1]:+.1f} to "
                "%{customdata[2]:+.1f})",
            )
            fig.add_trace(trace, row=1, col=2)
    fig.update_yaxes(
        tickvals=at, ticktext=names, ticks="", range=[-0.7, len(at) - 0.3], tickfont_color=theme.ink
    )
    fig.update_xaxes(title_text="accuracy (%)", range=[-3, 103], row=1, col=1)
    fig.update_xaxes(title_text="difference in points", row=1, col=2)
    finish(fig, theme)
    row_height = 1.6 * theme.font_size
    fig.add_vline(x=0, line={"color": theme.muted, "width": 1}, row=1, col=2)  # pyright: ignore[reportArgumentType]
    return fig.update_layout(height=round(len(at) * row_height + 8 * theme.font_size))


class ClassChanges(NamedTuple):
    """Accuracy by class: `frame` is `class_accuracy_changes`; the names of the first two studies."""

    frame: pd.DataFrame
    first: str
    other: str


def _classes_table(studies: Sequence[Study], options: FigureOptions) -> ClassChanges:
    shared = shared_of_slice(studies)
    rows = shared.rows[:, shared.judged]
    pairs = zip(shared.studies, rows, strict=True)
    correct = np.stack([judged_of(study, study_rows).correct for study, study_rows in pairs])
    groups = groups_among(shared.groups, shared.judged)
    frame = class_accuracy_changes(correct, shared.labels[shared.judged], shared.names, groups=groups)
    return ClassChanges(frame, *shared.names[:2])


def _draw_class_changes(data: ClassChanges, options: FigureOptions, theme: Theme) -> go.Figure:
    return class_changes(*data, theme=theme)


def _finding(data: ClassChanges) -> str:
    return class_change_finding(data.frame, data.other)


def _classes_alt(data: ClassChanges) -> str:
    return _say("classes", names=(data.first, data.other))


COMPARED_CLASSES = Chart(
    name="compared_classes",
    title="accuracy of each class in two studies, and the difference; --with",
    needs=("probe",),
    table=_classes_table,
    draw=_draw_class_changes,
    finding=_finding,
    alt=_classes_alt,
    studies=(2, MANY),
    column="double",
    same_images=True,
)


# The number of words that each pair of studies shares (Kalibhat, dissertation, Fig. B.1).


def concept_matrix(matrix: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot how many words each pair of studies shares; on the diagonal, a study's own words.

    Args:
        matrix: from `core.compare.across.shared_matrix`.
    """
    if matrix.empty or not matrix.to_numpy().any():
        return note_figure("None of these studies has words.", theme)
    names = [as_text(str(name)) for name in matrix.index]
    values = matrix.to_numpy(np.float64)
    n = len(names)

    def words_of(i: int, j: int) -> str:
        if i == j:
            return f"{names[i]}: {values[i, i]:.0f} words"
        share = 100 * values[i, j] / max(values[i, i], 1)
        pair = f"{names[i]} and {names[j]}"
        return f"{pair} share {values[i, j]:.0f} words ({share:.0f} % of {names[i]}'s)"

    hover = [[words_of(i, j) for j in range(n)] for i in range(n)]
    axis, most, font_size = np.arange(n), values.max(), theme.font_size + 2
    counts = cells(
        values,
        axis,
        axis,
        scale=theme.sequential,
        zmin=0,
        zmax=most,
        texttemplate="%{z:.0f}",
        textfont_size=font_size,
        hovertext=hover,
        hoverinfo="text",
    )
    fig = go.Figure(counts)
    axis = named_axis(names, theme) | {"showline": False}
    fig.update_xaxes(axis, side="top", range=[-0.5, n - 0.5])
    fig.update_yaxes(axis, range=[n - 0.5, -0.5])
    return finish(fig, theme, height=72 * n + 90)


class SharedWords(NamedTuple):
    """Words that studies share: `matrix` is square, `frame` the same with the column `study`."""

    frame: pd.DataFrame
    matrix: pd.DataFrame


def _words_table(studies: Sequence[Study], options: FigureOptions) -> SharedWords:
    """Count the words that the features of each pair of studies share.

    Raises:
        StudyError: fewer than two of the studies have words.
    """
    compared = compare_words(shared_of_slice(studies))
    if compared is None:
        raise StudyError("words of two studies are needed")
    return SharedWords(compared.matrix.reset_index(names="study"), compared.matrix)


def _draw_shared_words(data: SharedWords, options: FigureOptions, theme: Theme) -> go.Figure:
    return concept_matrix(data.matrix, theme=theme)


COMPARED_WORDS = Chart(
    name="compared_words",
    title="how many words each pair of studies shares; --with",
    needs=("concepts",),
    table=_words_table,
    draw=_draw_shared_words,
    alt=lambda _: "Number of words that each pair of studies shares",
    studies=(2, MANY),
    same_images=True,
)
