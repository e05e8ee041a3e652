"""Curves and tables of visual tokens: Kalibhat, dissertation, Fig. 6.4, Tables 6.1 and 6.2."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import known_mean, numbers
from core.research.grids.figures.text_table import text_table
from core.research.grids.over_seeds import over_seeds
from core.research.visual_tokens.training.verdict import ARM_NAMES

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
