"""The figures of visual tokens by name; most are read from grids, reports and TOKENS folders.

A new figure is one row of FOLDER_CHARTS.
"""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import FolderChart
from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.command_line import PROGRAM, command_line
from core.common.inside import read_json_file
from core.data.sources.images import reopen_images
from core.errors import SettingsError
from core.research.grids.over_seeds import ENOUGH
from core.research.grids.seeds import preset_of
from core.research.visual_tokens.beside_study import rank_weights, shown_tokens
from core.research.visual_tokens.figures.scene_graph import attention_figure, scene_graph_figure
from core.research.visual_tokens.figures.token_curves import (
    CHOICES,
    PAIRS,
    results_table,
    rows_of_grid,
    rows_of_report,
    token_curves,
)
from core.research.visual_tokens.store import TokenFolder, is_token_folder
from core.research.visual_tokens.training.verdict import token_verdicts
from core.store import open_study


def _curves(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    files = (
        [path.with_name(f"{path.name}.csv")]
        if path.is_file()
        else sorted(path.glob("cells/*.safetensors.csv"))
    )
    runs: dict[str, list[pd.DataFrame]] = {}
    for file in files:
        arm = file.name.removesuffix(".safetensors.csv").rpartition("-s")[0] or path.stem
        runs.setdefault(arm, []).append(pd.read_csv(file))
    if not runs:
        raise SettingsError(f"no log of a training in '{path}'. Give the folder of `grid tokens`, or a model")
    return token_curves(runs, theme=theme)


def _table(path: Path, theme: Theme, measures: tuple[str, ...], of_report: tuple[str, ...]) -> go.Figure:
    if path.is_dir() or path.suffix == ".csv":
        try:
            table = pd.read_csv(path / "cells.csv" if path.is_dir() else path)
            rows = rows_of_grid(table, measures)
            finding = " ".join(token_verdicts({}, table)) if "relation" in measures else ""
        except (OSError, KeyError, ValueError) as error:
            raise SettingsError(f"no grid of tokens in '{path}' ({type(error).__name__})") from None
        values = f"mean ± half of a 95 % t-interval over at least {ENOUGH} seeds, else the single values"
        note = f"Percent: {'; '.join(filter(None, (values, preset_of(table))))}."
        return results_table(rows, first="arm", finding=finding, note=note, theme=theme)
    try:
        results = read_json_file(path)["results"]
        rows = rows_of_report(results, of_report)
    except (OSError, ValueError, KeyError, TypeError):
        command = command_line("compositionality", "MODEL", output=path)
        raise SettingsError(f"'{path}' is no report. Make one: {command}") from None
    return results_table(
        rows, first="model", note="percent ± half of the 95 % interval over items", theme=theme
    )


def _graph(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    if is_token_folder(path):
        folder = TokenFolder(path)
        image_id = options.image or str(folder.images["image_id"].iat[0])
        image = reopen_images(folder.manifest["images"]).read_id(image_id)
        return scene_graph_figure(image, folder.graph(image_id), theme=theme)
    study = open_study(path)
    row = study.row_of(options.image) if options.image else 0
    tokens = shown_tokens(study, row)
    graph = tokens.extracted or tokens.planted
    if graph is None:
        raise SettingsError(f"'{path}' has no scene graph of this image. {SHOW}")
    return scene_graph_figure(
        study.source.read_id(str(study.images["image_id"].iat[row])), graph, theme=theme
    )


def _attention(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
    study = open_study(path)
    row = study.row_of(options.image) if options.image else 0
    tokens, weights = shown_tokens(study, row), rank_weights(study.path)
    if weights is None and not len(tokens.attention):
        raise SettingsError(f"'{path}' shows no attention. {SHOW}")
    return attention_figure(weights, tokens.attention, theme=theme)


SHOW = f"Run: {PROGRAM} compositionality MODEL --tokens TOKENS --study STUDY"
FOLDER_CHARTS = (
    FolderChart(
        "token_curves",
        "loss, retrieval and cosines of each arm during training",
        "Kalibhat's dissertation, Fig. 6.4",
        "the folder of `grid tokens`, or a model of train-tokens",
        _curves,
    ),
    FolderChart(
        "aro_table",
        "accuracy on swapped relations, swapped attributes and shuffled words",
        "Kalibhat's dissertation, Table 6.1",
        "the folder of `grid tokens`, its cells.csv, or a report of compositionality",
        lambda path, options, theme: _table(path, theme, CHOICES, ("accuracy",)),
    ),
    FolderChart(
        "winoground_table",
        "text, image and group score on pairs",
        "Kalibhat's dissertation, Table 6.2",
        "the folder of `grid tokens`, its cells.csv, or a report of compositionality",
        lambda path, options, theme: _table(path, theme, PAIRS, ("text", "image", "group")),
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
