"""The figures of visual tokens by name: of a model's training, of TOKENS folders and of studies.

A new figure is one row of FOLDER_CHARTS.
"""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import FolderChart
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish
from core.common.command_line import PROGRAM
from core.common.dataframes import numbers
from core.data.images import reopen_images
from core.errors import SettingsError
from core.research.visual_tokens_beside_study import rank_weights, shown_tokens
from core.research.visual_tokens_scene_graph import attention_figure, scene_graph_figure
from core.research.visual_tokens_store import TokenFolder, is_token_folder
from core.store import Study
from core.training.files import log_path

CURVES = {  # column: title, factor
    "loss": ("training loss", 1.0),
    "text_to_image": ("text-to-image R@1 (%)", 100.0),
    "image_to_text": ("image-to-text R@1 (%)", 100.0),
    "diagonal": ("mean cosine of pairs", 1.0),
    "off_diagonal": ("mean cosine of others", 1.0),
}


def token_curves(log: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Draw each measure of a training on visual tokens (research) against its step.

    Args:
        log: columns `step` and those of CURVES.
    """
    titles = [title for title, _ in CURVES.values()]
    fig = make_subplots(2, 3, subplot_titles=titles, horizontal_spacing=0.07, vertical_spacing=0.16)
    line = {"color": theme.correct, "width": theme.stroke(2)}
    for panel, (name, (title, factor)) in enumerate(CURVES.items()):
        curve = go.Scatter(x=log["step"], y=factor * numbers(log, name), name=title, mode="lines", line=line)
        fig.add_trace(curve, panel // 3 + 1, panel % 3 + 1)
    fig.update_xaxes(nticks=4, rangemode="tozero")
    fig.update_xaxes(title_text="step", row=2)
    fig.update_xaxes(title_text="step", row=1, col=3)
    fig.update_annotations(font_size=theme.font_size)
    finish(fig, theme)
    return fig.update_layout(showlegend=False, height=560, margin={"t": 30, "b": 45})


def _curves(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    try:
        log = pd.read_csv(log_path(path))
    except OSError:
        raise SettingsError(f"no log of a training beside '{path}'. Give a model of train-tokens") from None
    return token_curves(log, theme=theme)


def _graph(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    if is_token_folder(path):
        folder = TokenFolder(path)
        image_id = options.image or str(folder.images["image_id"].iat[0])
        image = reopen_images(folder.manifest["images"]).read_id(image_id)
        return scene_graph_figure(image, folder.graph(image_id), theme=theme)
    study = Study(path)
    row = study.row_of(options.image) if options.image else 0
    tokens = shown_tokens(study, row)
    graph = tokens.extracted or tokens.planted
    if graph is None:
        raise SettingsError(f"'{path}' has no scene graph of this image. {SHOW}")
    return scene_graph_figure(
        study.source.read_id(str(study.images["image_id"].iat[row])), graph, theme=theme
    )


def _attention(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    study = Study(path)
    row = study.row_of(options.image) if options.image else 0
    tokens, weights = shown_tokens(study, row), rank_weights(study.path)
    if weights is None and not len(tokens.attention):
        raise SettingsError(f"'{path}' shows no attention. {SHOW}")
    return attention_figure(weights, tokens.attention, theme=theme)


SHOW = f"Run: {PROGRAM} train-tokens CONFIG --study STUDY"
FOLDER_CHARTS = (
    FolderChart(
        "token_curves",
        "loss, retrieval and cosines during a training",
        "Kalibhat's dissertation, Fig. 6.4",
        "a model of train-tokens",
        _curves,
    ),
    FolderChart(
        "scene_graph",
        "an image (--image) with its objects and relations",
        "Kalibhat's dissertation, Fig. 6.3",
        "a TOKENS folder, or a study with tokens",
        _graph,
        "single",
    ),
    FolderChart(
        "token_attention",
        "learned weights of ranks, and what an image's token looks at (--image)",
        "",
        "a study with tokens",
        _attention,
    ),
)
