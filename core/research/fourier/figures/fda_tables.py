"""Kalibhat, dissertation, Tables 5.1, 5.2 and 5.4: what Fourier augmentations add, and what a grid of seeds
can say of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, Theme
from core.common import dataframes
from core.common.dataframes import words
from core.research.fourier.grids import verdicts
from core.research.grids.figures.grid_titles import runs_note
from core.research.grids.figures.text_table import text_table
from core.research.grids.over_seeds import NOT_ENOUGH, SeedSummary, over_seeds
from core.research.grids.seeds import by_seed, paired_difference

TRANSFER = {  # column: heading
    "few_shot_5": "5-shot",
    "few_shot_10": "10-shot",
    "transfer_top1": "transfer",
    "transfer_few_shot_5": "transfer, 5-shot",
    "transfer_few_shot_10": "transfer, 10-shot",
}


def fda_table(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Draw the means of a grid `fda-gain` or `fda-order` with their standard deviations.

    Args:
        table: columns arm, seed, `measure`, and method and fda (Table 5.1) or when (Table 5.4).
    """
    if "when" in table:
        return _order_table(table, measure, theme)
    head, rows = ["", "without", "with FDA", "difference", "paper"], []
    for method in dict.fromkeys(words(table, "method")):
        plain, fda = by_seed(table, method, measure), by_seed(table, f"{method}-fda", measure)
        gain = paired_difference(fda, plain)
        name, paper = verdicts.METHODS.get(method, method), verdicts.PAPER_TOP1.get(method)
        published = f"{paper[0]} → {paper[1]}" if paper and measure == "top1" else ""
        means = [mean_and_std(over_seeds(values.values())) for values in (plain, fda)]
        rows.append([name, *means, points(gain), published])
    findings = verdicts.gain_verdicts(table) if measure == "top1" else []
    return text_table(head, rows, finding="; ".join(findings), note=_note(table), theme=theme)


def _order_table(table: pd.DataFrame, measure: str, theme: Theme) -> go.Figure:
    head, rows = ["FDA", "mean (std)", "difference to before", "paper"], []
    before = by_seed(table, "before", measure)
    for arm, name in (("none", "none"), ("before", "before the others"), ("after", "after the others")):
        of_seeds = by_seed(table, arm, measure)
        paper = f"{verdicts.PAPER_ORDER[arm]}" if arm in verdicts.PAPER_ORDER and measure == "top1" else ""
        difference = "" if arm == "before" else points(paired_difference(of_seeds, before))
        rows.append([name, mean_and_std(over_seeds(of_seeds.values())), difference, paper])
    finding = verdicts.order_verdict(table) if measure == "top1" else ""
    return text_table(head, rows, finding=finding, note=_note(table), theme=theme)


def fda_transfer(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Draw few-shot and transfer accuracy without and with FDA (Table 5.2); empty columns are left out.

    Args:
        table: of a grid `fda-gain`: method, fda, arm, seed and the columns of TRANSFER.
    """
    columns = list(dataframes.columns(table, list(TRANSFER)))
    head, rows, gains = ["", *(TRANSFER[name] for name in columns), "average"], [], []
    averages = []
    for method in dict.fromkeys(words(table, "method")):
        plain, fda = (
            [by_seed(table, f"{method}{end}", name) for name in columns]
            + [_average(table, f"{method}{end}", columns)]
            for end in ("", "-fda")
        )
        differences = [paired_difference(one, other) for one, other in zip(fda, plain, strict=True)]
        gains += differences[:-1]
        averages.append(f"{verdicts.METHODS.get(method, method)} {differences[-1].points()}")
        rows.append([verdicts.METHODS.get(method, method), *map(_mean, plain)])
        rows.append(["+ FDA", *map(_mean, fda)])
        rows.append(["difference", *map(points, differences)])
    signs = [gain.sign for gain in gains]
    above, below = signs.count("above 0"), signs.count("below 0")
    title = f"Of {len(signs)} differences, {above} lie above 0 and {below} below"
    if not gains or NOT_ENOUGH in signs:
        title = f"{NOT_ENOUGH.capitalize()}; on average {', '.join(averages)}"
    return text_table(head, rows, finding=title, note=_note(table), theme=theme)


def _note(table: pd.DataFrame) -> str:
    return f"Accuracy in percent: {runs_note(table, 'differences paired by seed')}."


def _average(table: pd.DataFrame, arm: str, columns: Sequence[str]) -> dict[int, float]:
    """Return the mean of some measures by seed; NaN where one of them is not known."""
    per_column = [by_seed(table, arm, name) for name in columns]
    return {
        seed: float(np.mean([one[seed] for one in per_column]))
        for seed in (per_column[0] if per_column else ())
    }


def _mean(values: Mapping[int, float]) -> str:
    summary = over_seeds(values.values())
    return f"{100 * summary.mean:.1f}" if summary.n else ""


def mean_and_std(summary: SeedSummary) -> str:
    """
    >>> mean_and_std(over_seeds([0.5, 0.52])), mean_and_std(over_seeds([]))
    ('51.0 (1.4)', '')
    """
    if not summary.n:
        return ""
    return f"{100 * summary.mean:.1f}" + (f" ({100 * summary.std:.1f})" if summary.n > 1 else "")


def points(summary: SeedSummary) -> str:
    return summary.text(factor=100, signed=True)
