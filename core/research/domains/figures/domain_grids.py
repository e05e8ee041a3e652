"""Kalibhat, dissertation, Table 2.1 and Fig. 2.2 from the grids 'domains' and 'tinted': accuracy in each
domain, arm by arm.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.options import FigureOptions
from core.charts.theme import Theme, finish, note_figure, tint
from core.common.dataframes import numbers
from core.errors import SettingsError
from core.research.domains.grids.domain_verdict import (
    ONE,
    TWO,
    UNSEEN,
    closed_gap,
    clustering_verdict,
    domain_verdict,
    has_gap_arms,
    styles_of,
    unseen_style,
)
from core.research.grids.figures.grid_figures import grid_figure
from core.research.grids.figures.grid_titles import (
    grouped_by_sign,
    headed,
    paired_differences,
    run_dots,
    runs_note,
)
from core.research.grids.figures.text_table import text_table
from core.research.grids.over_seeds import over_seeds
from core.research.grids.seeds import by_seed, paired_difference, preset_of

BASELINE = "baseline"
ARM_NAMES = {
    BASELINE: "baseline", "ddm": "DDM", "var": "variant term only", "invar": "invariant term only",
    "cut": "prefix unused", "kmeans": "DDM with k-means", "robust": "DDM with robust clusters",
}  # fmt: skip
TINTED_NAMES = {
    "untinted": "no tint",
    ONE: "one tint",
    TWO: "two tints",
    "two-tints-ddm": "two tints, DDM (labels)",
    "two-tints-kmeans": "two tints, DDM with k-means",
    "two-tints-robust": "two tints, DDM with robust clusters",
}
SHOWN_METHODS = {"simclr": "SimCLR", "byol": "BYOL", "moco": "MoCo v2", "dino": "DINO", "simsiam": "SimSiam"}
PROTOCOL = "own"


def ddm_table(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    """Kalibhat, dissertation, Table 2.1: baseline / arm for each domain, and the verdict on each arm.

    The accuracy is that of a probe trained on the domain itself; unseen domains were not in pre-training.
    """
    if "tints" in table:
        return _tinted_table(table, theme)
    styles, unseen = styles_of(table), unseen_style(table)
    if not styles:
        raise SettingsError("the table has no accuracies by domain: is it one of `grid domains`?")
    head = [
        "method",
        "arm",
        *(f"{style} (unseen)" if style == unseen else style for style in styles),
        "average",
    ]
    rows, findings = [], []
    for arm in dict.fromkeys(table["arm"]):
        base = baseline_of(table, arm)
        if base is None:
            continue
        name = f"{method_title(table, arm)}"
        cells = [_pair(table, base, arm, f"top1_{PROTOCOL}_{style}_all") for style in styles]
        rows.append([name, arm_title(table, arm), *cells, _pair_of_means(table, base, arm, styles)])
        findings.append(f"{name}, {arm_title(table, arm)}: {domain_verdict(table, arm, base).sentence}")
        plain = f"{arm.rpartition('-')[0]}-kmeans"
        if arm.endswith("-robust") and plain in set(table["arm"]):
            findings.append(f"{name}: {clustering_verdict(table, arm, plain)}")
    if not rows:
        return note_figure("No arm has a baseline of the same method yet.", theme)
    runs = runs_note(table, "a probe of its own for each domain")
    note = f"Top-1 in percent, baseline / arm; {runs}.<br>"
    return text_table(head, rows, note=note + "<br>".join(findings), theme=theme)


def _tinted_table(table: pd.DataFrame, theme: Theme) -> go.Figure:
    note = f"Top-1 by a probe of all tints; {preset_of(table) or 'preset not named'}.<br>"
    note += (
        "Gap closed: (DDM − two tints) / (one tint − two tints), means over seeds, 95 % interval (Fieller)."
    )
    head = ["images", "top-1 %", "of the rest %", "gap closed"]
    return text_table(head, tinted_rows(table), note=note, theme=theme)


def tinted_rows(table: pd.DataFrame) -> list[list[str]]:
    """One row for each arm of the grid 'tinted'; arms that are not DDM close no gap."""
    rows, nothing = [], "nothing to close" if has_gap_arms(table) else ""
    for arm in dict.fromkeys(table["arm"]):
        values = [over_seeds(by_seed(table, arm, f"seen_seen_{part}").values()) for part in ("all", "rest")]
        gap = closed_gap(table, arm)
        closed = "" if arm in ("untinted", ONE, TWO) else (gap.text() if gap else nothing)
        rows.append(
            [TINTED_NAMES.get(str(arm), str(arm)), *(value.text(factor=100) for value in values), closed]
        )
    return rows


def ddm_bars(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    """Kalibhat, dissertation, Fig. 2.2: accuracy in each domain by arm, a panel a method; bars span the
    seeds' 95 % interval.
    """
    styles, unseen = styles_of(table), unseen_style(table)
    panels = list(dict.fromkeys(method_title(table, arm) for arm in dict.fromkeys(table["arm"])))
    if not styles or "domains" not in table:
        raise SettingsError("the table has no accuracies by domain: is it one of `grid domains`?")
    figure = make_subplots(1, len(panels), shared_yaxes=True, subplot_titles=panels, horizontal_spacing=0.04)
    colours = [theme.neutral, theme.correct, theme.discriminative, theme.upper, theme.accent]
    colours += [theme.misclassified, theme.lower]
    kinds = list(dict.fromkeys(table["domains"]))
    names = [f"{style}<br>(unseen)" if style == unseen else style for style in styles]
    for arm in dict.fromkeys(table["arm"]):
        kind = str(table.loc[table["arm"] == arm, "domains"].iloc[0])
        column = panels.index(method_title(table, arm)) + 1
        summaries = [
            over_seeds(by_seed(table, arm, f"top1_{PROTOCOL}_{style}_all").values()) for style in styles
        ]
        figure.add_trace(
            go.Bar(
                x=names,
                y=[100 * value.mean for value in summaries],
                error_y={
                    "array": [50 * (value.high - value.low) for value in summaries],
                    "thickness": 1,
                    "visible": any(
                        value.enough for value in summaries
                    ),  # NaN would be drawn as an interval of 0
                },
                name=ARM_NAMES.get(kind, kind),
                legendgroup=kind,
                offsetgroup=kind,
                showlegend=column == 1,
                marker_color=tint(colours[kinds.index(kind) % len(colours)], 0.9),
            ),
            1,
            column,
        )
    for arm in dict.fromkeys(table["arm"]):
        column = panels.index(method_title(table, arm)) + 1
        for at, style in enumerate(styles):
            runs = over_seeds(by_seed(table, arm, f"top1_{PROTOCOL}_{style}_all").values())
            kind = str(table.loc[table["arm"] == arm, "domains"].iloc[0])
            figure.add_trace(run_dots(names[at], runs, kind, theme, factor=100), 1, column)
    if "class_chance" in table:
        line = {"color": theme.muted, "width": theme.stroke(2), "dash": "dot"}
        figure.add_hline(100 * float(np.nanmean(numbers(table, "class_chance"))), line=line)
    figure.update_yaxes(title_text="top-1 (%)", row=1, col=1)
    figure.update_layout(barmode="group", scattermode="group", bargap=0.25)
    figure.update_annotations(font={"size": theme.font_size, "color": theme.ink})
    finish(figure, theme, height=420)
    note = runs_note(table, "probe of the domain's own train images", "dots: runs", "dotted: chance")
    return headed(figure, unseen_finding(table, unseen), note, theme, panels=True)


def unseen_finding(table: pd.DataFrame, unseen: str | None) -> str:
    """Say which arms gain over their baseline in the unseen style."""
    arms = list(dict.fromkeys(table["arm"]))
    pairs = {arm: base for arm in arms if (base := baseline_of(table, arm)) is not None}
    several = len({method_title(table, arm) for arm in arms}) > 1
    titles = {
        arm: f"{arm_title(table, arm)}{f' ({method_title(table, arm)})' if several else ''}" for arm in pairs
    }
    differences = paired_differences(table, {titles[arm]: (arm, base) for arm, base in pairs.items()}, UNSEEN)
    finding = grouped_by_sign(differences, above="gain", below="loss")
    return f"Unseen style {unseen}, {finding}" if unseen else "No style is unseen"


def baseline_of(table: pd.DataFrame, arm: str) -> str | None:
    """The arm of the same method and augmentation without domains; None for that arm itself."""
    base = f"{arm.rpartition('-')[0]}-{BASELINE}"
    return base if base != arm and base in set(table["arm"]) else None


def method_title(table: pd.DataFrame, arm: str) -> str:
    row = table[table["arm"] == arm].iloc[0]
    name = SHOWN_METHODS.get(str(row["method"]), str(row["method"]))
    return name if row["colour"] in ("on", True) else f"{name}, no colour augmentation"


def arm_title(table: pd.DataFrame, arm: str) -> str:
    kind = str(table.loc[table["arm"] == arm, "domains"].iloc[0])
    return ARM_NAMES.get(kind, kind)


def _pair(table: pd.DataFrame, base: str, arm: str, measure: str) -> str:
    one, other = (over_seeds(by_seed(table, name, measure).values()).mean for name in (base, arm))
    sign = paired_difference(by_seed(table, arm, measure), by_seed(table, base, measure)).sign
    star = " *" if sign in ("above 0", "below 0") else ""
    return f"{100 * one:.1f} / {100 * other:.1f}{star}"


def _pair_of_means(table: pd.DataFrame, base: str, arm: str, styles: list[str]) -> str:
    ends = []
    for name in (base, arm):
        means = [
            over_seeds(by_seed(table, name, f"top1_{PROTOCOL}_{style}_all").values()).mean for style in styles
        ]
        ends.append(100 * sum(means) / len(means))
    return f"{ends[0]:.1f} / {ends[1]:.1f}"


FOLDER_CHARTS = (
    grid_figure(
        "ddm_table",
        "accuracy in each domain, baseline and disentangled, with the verdict",
        "Kalibhat's dissertation, Table 2.1",
        ("domains", "tinted"),
        ("arm", "seed", "domains"),
        ddm_table,
    ),
    grid_figure(
        "ddm_bars",
        "accuracy in each domain by arm",
        "Kalibhat's dissertation, Fig. 2.2",
        ("domains",),
        ("arm", "seed", "domains", "unseen_own_all"),
        ddm_bars,
    ),
)
