"""[K] Tables 5.1, 5.2 and 5.4: what Fourier augmentations add, and what a grid of seeds can say of it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.common import dataframes
from core.common.dataframes import words
from core.common.statistics.seeds import NOT_ENOUGH, SeedSummary, by_seed, over_seeds, paired_difference
from core.figures.theme import LIGHT, Theme, finish
from core.training.grids.fda.verdicts import METHODS, PAPER_ORDER, PAPER_TOP1, gain_verdicts, order_verdict

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
        name, paper = METHODS.get(method, method), PAPER_TOP1.get(method)
        published = f"{paper[0]} → {paper[1]}" if paper and measure == "top1" else ""
        means = [mean_and_std(over_seeds(values.values())) for values in (plain, fda)]
        rows.append([name, *means, points(gain), published])
    said = gain_verdicts(table) if measure == "top1" else []
    return text_table(head, rows, title="; ".join(said), theme=theme)


def _order_table(table: pd.DataFrame, measure: str, theme: Theme) -> go.Figure:
    head, rows = ["FDA", "mean (std)", "difference to before", "paper"], []
    before = by_seed(table, "before", measure)
    for arm, name in (("none", "none"), ("before", "before the others"), ("after", "after the others")):
        own = by_seed(table, arm, measure)
        paper = f"{PAPER_ORDER[arm]}" if arm in PAPER_ORDER and measure == "top1" else ""
        difference = "" if arm == "before" else points(paired_difference(own, before))
        rows.append([name, mean_and_std(over_seeds(own.values())), difference, paper])
    return text_table(head, rows, title=order_verdict(table) if measure == "top1" else "", theme=theme)


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
        own = [paired_difference(one, other) for one, other in zip(fda, plain, strict=True)]
        gains += own[:-1]
        averages.append(f"{METHODS.get(method, method)} {own[-1].points()}")
        rows.append([METHODS.get(method, method), *map(_mean, plain)])
        rows.append(["+ FDA", *map(_mean, fda)])
        rows.append(["difference", *map(points, own)])
    signs = [gain.sign for gain in gains]
    above, below = signs.count("above 0"), signs.count("below 0")
    title = f"Of {len(signs)} differences, {above} lie above 0 and {below} below"
    if not gains or NOT_ENOUGH in signs:
        title = f"{NOT_ENOUGH.capitalize()}; on average {', '.join(averages)}"
    return text_table(head, rows, title=title, theme=theme)


def _average(table: pd.DataFrame, arm: str, columns: Sequence[str]) -> dict[int, float]:
    """Return the mean of some measures by seed; NaN where one of them is not known."""
    found = [by_seed(table, arm, name) for name in columns]
    return {seed: float(np.mean([one[seed] for one in found])) for seed in (found[0] if found else ())}


def _mean(values: Mapping[int, float]) -> str:
    found = over_seeds(values.values())
    return f"{100 * found.mean:.1f}" if found.n else ""


def mean_and_std(found: SeedSummary) -> str:
    """
    >>> mean_and_std(over_seeds([0.5, 0.52])), mean_and_std(over_seeds([]))
    ('51.0 (1.4)', '')
    """
    if not found.n:
        return ""
    return f"{100 * found.mean:.1f}" + (f" ({100 * found.std:.1f})" if found.n > 1 else "")


def points(found: SeedSummary) -> str:
    return found.text(factor=100, signed=True)


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str, theme: Theme = LIGHT
) -> go.Figure:
    """Draw rows of texts; the title, a sentence, stands above."""
    line = round(2.1 * theme.font_size)
    figure = go.Figure(
        go.Table(
            header={
                "values": [f"<b>{text}</b>" for text in head],
                "fill_color": theme.surface,
                "line_color": theme.grid,
                "font": {"color": theme.ink, "size": theme.font_size, "family": theme.font},
                "height": line,
            },
            cells={
                "values": [list(column) for column in zip(*rows, strict=True)],
                "fill_color": theme.background,
                "line_color": theme.grid,
                "align": ["left"] + ["center"] * (len(head) - 1),
                "font": {"color": theme.ink, "size": theme.font_size, "family": theme.font},
                "height": line,
            },
        )
    )
    lines = sentence_lines(title, round((theme.width or 960) / (0.55 * theme.font_size)))
    top = round(1.5 * theme.font_size * (len(lines) + 1))
    height = top + line * (len(rows) + 2)
    text = {"text": "<br>".join(lines), "font": {"size": theme.font_size}}
    figure.update_layout(title=text | {"y": 1 - 0.4 * theme.font_size / height, "yanchor": "top"})
    finish(figure, theme, height=height)
    return figure.update_layout(height=height, margin={"l": 4, "r": 4, "t": top, "b": 4})


def sentence_lines(text: str, n_letters: int) -> list[str]:
    """
    >>> sentence_lines("one two three", 8)
    ['one two', 'three']
    """
    return textwrap.wrap(text, max(n_letters, 10))
