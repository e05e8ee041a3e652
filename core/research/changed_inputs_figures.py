"""Figures of `perturbed` and `robust-features`: neighbours of moved embeddings, and accuracies of probes."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import MANY, Chart
from core.charts.options import FigureOptions
from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import PERCENT_AXIS, Theme, finish, tint
from core.common.dataframes import by_values, numbers, words
from core.compare.images import study_names as names
from core.research.changed_inputs_topic import PerturbedFacts
from core.store import Study

KINDS = {
    "positive": "the image itself, moved away from its view",
    "negative": "another image, moved towards that view",
}
SETS = ("clean images", "robust features", "non-robust features")


def perturbed_sheet(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """[I] Fig. 4: the images nearest to v+ - epsilon v and to v- + epsilon v, one row a pair and kind."""
    study = studies[0]
    table, n = study.table("perturbed_neighbours"), options.images or 4
    epsilons = list(dict.fromkeys(table["epsilon"]))
    strips, seen = [], Thumbnails(study)
    for kind in KINDS:
        pairs = by_values(table.loc[table["kind"] == kind].reset_index(drop=True), ["pair"])
        for index, (_, rows) in enumerate(islice(pairs, n)):
            row_of_epsilon = {row["epsilon"]: row for row in rows.to_dict("records")}
            anchor = seen.picture(next(iter(row_of_epsilon.values()))["anchor"])
            near = [
                seen.picture(row_of_epsilon[epsilon]["neighbour"], row_of_epsilon[epsilon]["own"])
                for epsilon in epsilons
            ]
            strips.append(Strip(kind, [anchor, *near], apart=not index))
    heads = [Header("anchor", 0, 1)]
    heads += [Header(f"epsilon {epsilon:g}", at, at + 1) for at, epsilon in enumerate(epsilons, start=1)]
    space = study.facts(PerturbedFacts).space
    note = (
        f"Positive: {KINDS['positive']}; negative: {KINDS['negative']}. Each picture is the train image "
        f"nearest to the moved point; * marks the point's own image. Space: {space}."
    )
    return picture_grid(strips, headers=heads, breaks=[1], note=note, theme=theme)


class Thumbnails:
    """The stored small pictures of a study, by image id."""

    def __init__(self, study: Study):
        self.study, self.labels = study, words(study.images, "label")

    def picture(self, image_id: object, starred: bool = False) -> Picture | None:
        """Return the picture with its class below, and a star; None for no image."""
        if not isinstance(image_id, str):
            return None
        row = self.study.row_of(image_id)
        label = self.labels[row]
        caption = " ".join([as_text(label)] * bool(label) + ["*"] * starred)
        return Picture(self.study.thumbnail_image(row), caption, "", as_text(image_id), row)


def _most_common_share(study: Study) -> float:
    """Return the share of the most common class among the labelled evaluation images; NaN without any."""
    labels = [
        label
        for label, is_val in zip(words(study.images, "label"), study.is_val, strict=True)
        if label and is_val
    ]
    return max(Counter(labels).values()) / len(labels) if labels else float("nan")


def robust_bars(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """[I] Fig. 8: accuracy on clean images of probes trained on changed ones; a group of bars a study."""
    colours = dict(zip(SETS, (theme.neutral, theme.correct, theme.misclassified), strict=True))
    shown = names(studies)
    tables = [study.table("robust_features") for study in studies]
    figure = go.Figure()
    for name, colour in colours.items():
        rows = pd.concat([table.loc[table["trained_on"] == name].reset_index(drop=True) for table in tables])
        mean, low, high = (100 * numbers(rows, column) for column in ("accuracy", "low", "high"))
        error_bars = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low}
        hover = (
            f"{name}<br>%{{y:.1f}} % (%{{customdata[0]:.1f}} to %{{customdata[1]:.1f}})"
            "<br>trained on %{customdata[2]} images<extra>%{x}</extra>"
        )
        marker = {"color": tint(colour, 0.8)}
        customdata = np.stack([low, high, numbers(rows, "n_train")], 1)
        bars = go.Bar(
            x=list(shown),
            y=mean,
            name=name,
            marker=marker,
            error_y=error_bars,
            customdata=customdata,
            hovertemplate=hover,
        )
        figure.add_trace(bars)
    line = {"color": theme.ink, "width": theme.stroke(1.5), "dash": "dot"}
    for at, study in enumerate(studies):
        level = 100 * _most_common_share(study)
        figure.add_shape(type="line", x0=at - 0.4, x1=at + 0.4, y0=level, y1=level, line=line)
    figure.add_trace(
        go.Scatter(x=[None], y=[None], mode="lines", line=line, name="always the most common class")
    )
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06)
    figure.update_yaxes(title_text="accuracy on clean images", **PERCENT_AXIS)
    return finish(figure, theme, height=360)


# The charts read their studies as they draw: they have no table apart.
PERTURBED_SHEET = Chart(
    name="perturbed_sheet",
    title="images nearest to embeddings moved as IFM moves them",
    needs=("perturbed_neighbours",),
    table=lambda study, _: [study],
    draw=perturbed_sheet,
    column="double",
)
ROBUST_BARS = Chart(
    name="robust_bars",
    title="accuracy of probes trained on robust and non-robust features; --with: several studies",
    needs=("robust_features",),
    table=lambda studies, _: studies,
    draw=robust_bars,
    studies=(1, MANY),
)
