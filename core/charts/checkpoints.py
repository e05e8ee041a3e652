"""A training by its checkpoints: numbers along it, and the features of the last one in each before it."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import MANY, Chart, shown_slice, whole_study
from core.charts.heat_panels import Shown, StudyHeats, heated, short, strongest_rows
from core.charts.marks import dots, interval, line
from core.charts.options import FigureOptions
from core.charts.panels import Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import evenly, numbers
from core.common.formatting import percent
from core.compare.checkpoints import DISCRIMINATIVE, THERE, TITLES, Checkpoints, along, checkpoints_finding
from core.compare.features import UNLIKE
from core.errors import StudyError
from core.measures.feature_names import feature_names
from core.store import Study

PANELS = (  # title, its measures
    ("Accuracy", ("accuracy",)),
    ("Prediction of errors (AUROC)", ("confidence_auroc", "q_auroc")),
    ("Overlap with masks (mIoU)", ("miou_core", "miou_spurious")),
    (TITLES[DISCRIMINATIVE], (DISCRIMINATIVE,)),
    ("Last features already there", (THERE,)),
)
SERIES = {
    "confidence_auroc": "by confidence",
    "q_auroc": "by Q",
    "miou_core": "core masks",
    "miou_spurious": "spurious masks",
}
SHARES = ("accuracy", THERE)
PANEL = 150  # pixels; height of a panel with its title
FEATURES, NARROW = 8, 500  # pictures in a row; pixels below which panels stand in one column
LETTERS = 19  # of a feature's name in a line below its picture


def _read_checkpoints(studies: Sequence[Study], options: FigureOptions) -> Checkpoints:
    """Read what the charts of a training show, of the slice of the first study."""
    return along([whole_study(study) for study in studies], among=shown_slice(studies[0]), seed=options.seed)


def checkpoint_numbers(data: Checkpoints, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot every number along the checkpoints with its interval, a panel for those of one scale."""
    shown = [(title, rows) for title, names in PANELS if len(rows := _rows(data.frame, names))]
    if not shown:
        return note_figure("None of these studies has evaluation images with verdicts, or features.", theme)
    columns = 1 if (theme.width or NARROW) < NARROW or len(shown) == 1 else 2
    n_rows = -(-len(shown) // columns)
    scale = theme.font_size / LIGHT.font_size
    height = (PANEL * n_rows + 90) * scale
    fig = make_subplots(
        rows=n_rows, cols=columns, subplot_titles=[title for title, _ in shown],
        vertical_spacing=52 * scale / height, horizontal_spacing=0.12,
    )  # fmt: skip
    for number, (_, rows) in enumerate(shown):
        row, col = number // columns + 1, number % columns + 1
        for trace in _panel(rows, data.names, theme):
            fig.add_trace(trace, row=row, col=col)
        measure = rows["measure"].iat[0]
        unit, there = " %" if measure in SHARES else "", measure == THERE
        fig.update_yaxes(
            ticksuffix=unit, nticks=5, rangemode="tozero" if there else "normal", row=row, col=col
        )
        below = number + columns >= len(shown)
        names = [as_text(short(name)) if below else "" for name in data.names]
        fig.update_xaxes(
            tickvals=np.arange(len(names)), ticktext=names, range=[-0.4, len(names) - 0.6], row=row, col=col
        )
    fig.update_annotations(font={"size": theme.font_size - 1, "color": theme.ink})
    finish(fig, theme)
    if len(shown) % columns:  # the legend stands where no panel does
        in_the_gap = {"x": 0.6, "y": 0.5 / n_rows, "orientation": "v", "yanchor": "middle"}
        return fig.update_layout(height=round(height), margin_t=round(28 * scale), legend=in_the_gap)
    above = round(72 * scale)  # the legend, and the title of a panel
    return fig.update_layout(height=round(height), margin_t=above, legend_y=1 + 44 * scale / (height - above))


def _rows(frame: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    return frame.loc[frame["measure"].isin(measures)]


def _panel(rows: pd.DataFrame, names: Sequence[str], theme: Theme) -> list[go.Scatter]:
    colours = dict(zip(SERIES, (theme.correct, theme.upper, theme.discriminative, theme.accent), strict=True))
    traces = []
    for measure, part in rows.groupby("measure", sort=False):
        colour = colours.get(str(measure), theme.ink)  # a colour has one meaning in all panels
        scale = 100 if measure in SHARES else 1
        x = part["study"].map(list(names).index).to_numpy()
        value, low, high, chance = (
            scale * numbers(part, key) for key in ("value", "low", "high", "by_chance")
        )
        unit = " %" if measure in SHARES else ""
        customdata = part["study"].map(as_text)
        name = SERIES.get(str(measure), "")
        marker = {"color": colour, "size": theme.stroke(7)}
        curve = {"color": colour, "width": theme.stroke(1.5)}
        hover = f"%{{customdata}}: <b>%{{y:.3~g}}{unit}</b> {SERIES.get(str(measure), '')}"
        trace = dots(
            x,
            value,
            mode="lines+markers",
            marker=marker,
            line=curve,
            name=name,
            showlegend=measure in SERIES,
            customdata=customdata,
            hover=hover,
        )
        if np.isfinite(low).any():
            trace.error_y = interval(value, low, high, colour=colour, thickness=theme.stroke(1.5))
        traces.append(trace)
        if np.isfinite(chance).any():
            label = "the same by chance"
            traces.append(
                line(
                    x, chance, colour=theme.neutral, width=theme.stroke(1.5), dash="dot", name=label,
                    hover=f"{label}: %{{y:.3~g}} %",
                )
            )  # fmt: skip
    return traces


class FeaturesAlong(NamedTuple):
    """Pictures of features along a training: `frame` has a row per feature and study.

    rows: per feature its number, its name, and for each study a picture and a caption.
    """

    frame: pd.DataFrame
    rows: list[tuple[int, str, list[tuple[Shown | None, str]]]]
    names: list[str]


def _features(studies: Sequence[Study], options: FigureOptions) -> FeaturesAlong:
    """Choose features of the last study, spread over when they appear, and their likes in the others."""
    return features_in_pictures(_read_checkpoints(studies, options), options)


def features_in_pictures(data: Checkpoints, options: FigureOptions) -> FeaturesAlong:
    """Read for a chart the strongest image of features of the last study, and of the most alike before.

    Args:
        options: `features` names them; else `images` (8) of them, in the order in which they appear.
    Raises:
        StudyError: there is none to show.
    """
    table = data.features
    order = [f for name in data.names for f in data.appearing(name)["feature"]]
    numbers_shown = [f for f in options.features if f in set(order)] if options.features else order
    numbers_shown = [int(numbers_shown[at]) for at in evenly(len(numbers_shown), options.images or FEATURES)]
    if not numbers_shown:
        raise StudyError("no feature of the last study fires on enough images to be looked for in the others")
    studies = data.comparison.shared.studies
    sources = [StudyHeats(study, options) for study in studies]
    called = feature_names(studies[-1])
    of_features = table.loc[table["feature"].isin(numbers_shown)]
    rows = []
    for feature in numbers_shown:
        part = of_features.loc[of_features["feature"] == feature].set_index("study")
        cells = []
        for name, source in zip(data.names, sources, strict=True):
            closest, likeness = int(part.at[name, "closest"]), float(part.at[name, "likeness"])
            there = likeness >= UNLIKE and source.study.has("top_images")
            shown = source.shown(strongest_rows(source.study, closest, 1)) if there else []
            image = source.with_stored(shown[0], closest) if shown else None
            cells.append((image, f"#{closest}, {percent(likeness, 0)}"))
        rows.append((feature, called.get(feature, ""), cells))
    return FeaturesAlong(of_features.reset_index(drop=True), rows, data.names)


def picture_features(data: FeaturesAlong, colours: str, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot a column per feature and a row per study: the strongest image of the most alike feature there.

    Below it: that feature, and the share of images that both fire on; below the last row the feature's name.
    """
    strips = []
    for start in range(0, len(data.rows), FEATURES):
        block = data.rows[start : start + FEATURES]
        for at, name in enumerate(data.names):
            is_last = at == len(data.names) - 1
            captions = [_named(feature, name) if is_last else cells[at][1] for feature, name, cells in block]
            images = [cells[at][0] for *_, cells in block]
            pictures = [
                heated(image, colours, caption=caption) if image else None
                for image, caption in zip(images, captions, strict=True)
            ]
            strips.append(Strip(as_text(short(name)), pictures, apart=at == 0))
    note = (
        f"Each column is a feature of {as_text(data.names[-1])}, the last row. Above it: the feature most "
        "like it in each study, on its strongest image, and the share of the images that both fire on "
        "(Jaccard). "
        f"Empty: none is alike, the share is below {percent(UNLIKE, 0)}."
    )
    return picture_grid(strips, note=note, theme=theme)


def _named(feature: int, name: str) -> str:
    lines = [line for part in name.split(", ") for line in wrap(part, LETTERS)]
    return "<br>".join([f"<b>#{feature}</b>", *map(as_text, lines)])


def _draw(data: Checkpoints, options: FigureOptions, theme: Theme) -> go.Figure:
    return checkpoint_numbers(data, theme=theme)


def _alt(data: Checkpoints) -> str:
    return f"Numbers along {len(data.names)} checkpoints. {checkpoints_finding(data)}"


CHECKPOINTS = Chart(
    name="checkpoints",
    title="accuracy, scores and features along the checkpoints of a training; --with",
    needs=("features",),
    table=_read_checkpoints,
    draw=_draw,
    finding=checkpoints_finding,
    alt=_alt,
    studies=(2, MANY),
    column="double",
    same_images=True,
)


def _draw_features(data: FeaturesAlong, options: FigureOptions, theme: Theme) -> go.Figure:
    return picture_features(data, options.colours, theme=theme)


CHECKPOINT_FEATURES = Chart(
    name="checkpoint_features",
    title="features of the last checkpoint, and the most alike in each one before; --with",
    needs=("features",),
    table=_features,
    draw=_draw_features,
    studies=(2, MANY),
    column="double",
    same_images=True,
)
