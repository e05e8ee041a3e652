"""The figures of visual tokens by name; most are read from grids, reports and TOKENS folders.

A new figure is one row of FOLDER_CHARTS.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import FolderChart
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.command_line import PROGRAM, command_line
from core.common.dataframes import known_mean, numbers
from core.common.inside import read_json_file
from core.data.sources.images import reopen_images
from core.errors import SettingsError
from core.research.grids.figures.text_table import text_table
from core.research.grids.over_seeds import ENOUGH, over_seeds
from core.research.grids.seeds import preset_of
from core.research.visual_tokens.beside_study import rank_weights, shown_tokens
from core.research.visual_tokens.figures.scene_graph import attention_figure, scene_graph_figure
from core.research.visual_tokens.store import TokenFolder, is_token_folder
from core.research.visual_tokens.training.verdict import ARM_NAMES, token_verdicts
from core.store import open_study

CURVES = {  # column: title, factor
    "loss": ("training loss", 1.0),
    "text_to_image": ("text-to-image R@1 (%)", 100.0),
    "image_to_text": ("image-to-text R@1 (%)", 100.0),
    "diagonal": ("mean cosine of pairs", 1.0),
    "off_diagonal": ("mean cosine of others", 1.0),
}
CHOICES, PAIRS = ("relation", "attribution", "order"), ("pairs_text", "pairs_image", "pairs_group")
HEADS = {"pairs_text": "text", "pairs_image": "image", "pairs_group": "group"}


def token_curves(runs: Mapping[str, Sequence[pd.DataFrame]], *, theme: Theme = LIGHT) -> go.Figure:
    """Draw each measure against the training step: the mean of an arm's seeds.

    Args:
        runs: for each arm the logs of its trainings, with `step` and the columns of CURVES.
    """
    if not any(len(logs) for logs in runs.values()):
        return note_figure("There are no logs of a training here yet.", theme)
    titles = [title for title, _ in CURVES.values()]
    fig = make_subplots(2, 3, subplot_titles=titles, horizontal_spacing=0.07, vertical_spacing=0.16)
    arms = sorted(runs, key=list(ARM_NAMES).index) if set(runs) <= set(ARM_NAMES) else list(runs)
    styles = arm_styles(arms, theme)
    for arm in arms:
        together = pd.concat(list(runs[arm]), ignore_index=True)
        steps, step_index = np.unique(numbers(together, "step"), return_inverse=True)
        for panel, (name, (_, factor)) in enumerate(CURVES.items()):
            line = go.Scatter(
                x=steps,
                y=[
                    factor * known_mean(numbers(together, name)[step_index == at]) for at in range(len(steps))
                ],
                name=ARM_NAMES.get(arm, arm),
                legendgroup=arm,
                showlegend=panel == 0,
                mode="lines",
                line=styles[arm],
            )
            fig.add_trace(line, panel // 3 + 1, panel % 3 + 1)
    fig.update_xaxes(nticks=4, rangemode="tozero")
    fig.update_xaxes(title_text="step", row=2)
    fig.update_xaxes(title_text="step", row=1, col=3)
    fig.update_annotations(font_size=theme.font_size)
    finish(fig, theme)
    free = {"x": 0.72, "xanchor": "left", "y": 0.44, "yanchor": "top"}  # where a sixth panel would be
    legend = free | {"orientation": "v", "tracegroupgap": 0, "font": {"size": theme.font_size - 1}}
    return fig.update_layout(legend=legend, height=560, margin={"t": 30, "b": 45})


def arm_styles(arms: Sequence[str], theme: Theme) -> dict[str, dict[str, Any]]:
    """Give each arm a line of its own; the two that decide the claim have theirs everywhere."""
    fixed = {"tokens": theme.correct, "plain": theme.misclassified}
    colours = [theme.discriminative, theme.upper, theme.accent, theme.neutral, theme.muted]
    others = [(colour, dash) for dash in ("solid", "dash", "dot") for colour in colours]
    rest = [arm for arm in arms if arm not in fixed]
    style_of_arm = {arm: (colour, "solid") for arm, colour in fixed.items()}
    style_of_arm |= {arm: others[index % len(others)] for index, arm in enumerate(rest)}
    width = theme.stroke(2)
    return {
        arm: {"color": colour, "dash": dash, "width": width} for arm, (colour, dash) in style_of_arm.items()
    }


def results_table(
    rows: Mapping[str, Mapping[str, str]],
    *,
    first: str,
    finding: str = "",
    note: str = "",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Draw a table of models against tests.

    Args:
        rows: model -> test -> text. first: head of the column of models. finding: above the table.
        note: below it.
    """
    if not rows:
        return note_figure("There are no results of such tests here.", theme)
    heads = list(dict.fromkeys(test for row in rows.values() for test in row))
    cells = [[name, *(row.get(head, "") for head in heads)] for name, row in rows.items()]
    return text_table([first, *heads], cells, finding=finding, note=note, theme=theme)


def rows_of_grid(table: pd.DataFrame, measures: Sequence[str]) -> dict[str, dict[str, str]]:
    """Summarise the arms of a grid: mean and interval over seeds in percent, or the single values.

    A test is marked for an arm where the blind checks of most of its runs found it leaky: of many runs that
    are at chance, one in twenty is outside its interval. One that is leaky for all arms is marked once.
    """
    held = [name for name in measures if name in table]
    leaky = {name: _leaky_arms(table, "winoground" if name in PAIRS else name) for name in held}
    everywhere = {name for name in held if leaky[name] == set(table["arm"])}
    heads = {name: HEADS.get(name, name) + (" (leaky test)" if name in everywhere else "") for name in held}

    def text(rows: pd.DataFrame, arm: object, name: str) -> str:
        summary = over_seeds(rows[name].to_numpy(np.float64)).text(factor=100)
        return summary + (" (leaky)" if arm in leaky[name] and name not in everywhere else "")

    return {
        ARM_NAMES.get(str(arm), str(arm)): {head: text(arm_rows, arm, name) for name, head in heads.items()}
        for arm, arm_rows in table.groupby("arm", sort=False)
    }


def _leaky_arms(table: pd.DataFrame, test: str) -> set[object]:
    """The arms of which more than half of the runs found a test leaky."""
    if "leaky" not in table:
        return set()
    chosen_of_arm: dict[object, list[bool]] = {}
    for arm, named in zip(table["arm"], table["leaky"].fillna(""), strict=True):
        chosen_of_arm.setdefault(arm, []).append(test in str(named).split())
    return {arm for arm, leaks in chosen_of_arm.items() if 2 * sum(leaks) > len(leaks)}


def rows_of_report(
    results: Sequence[Mapping[str, object]], measures: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Collect a report of `compositionality`: percent with half of the 95 % interval over items."""
    rows: dict[str, dict[str, str]] = {}
    for one in results:
        if one["measure"] not in measures:
            continue
        head = str(one["test"]) if one["measure"] == "accuracy" else str(one["measure"])
        value, low, high = (100 * float(one[name]) for name in ("value", "low", "high"))  # type: ignore[arg-type]
        leaky = " (leaky test)" if one["leaky"] else ""
        rows.setdefault(str(one["model"]), {})[head] = f"{value:.1f} ± {(high - low) / 2:.1f}{leaky}"
    return rows


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
