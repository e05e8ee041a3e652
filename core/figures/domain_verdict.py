"""What the runs of the grid 'domains' say of disentangling: the protocol's sentence. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.statistics.seeds import (
    ENOUGH,
    NOT_ENOUGH,
    SeedSummary,
    by_seed,
    over_seeds,
    paired_difference,
)

HALF, POINT = 0.5, 0.01
SILENT_CRITIC = 0.05  # distance below which the critic is said to see nothing
UNSEEN = "unseen_own_all"
STYLE = "domain_mlp_rest"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a protocol: works, no use, fails, unclear or too few; its sentence and the numbers."""

    outcome: str
    sentence: str
    lost_lead: float
    gain: SeedSummary
    worst_seen: float


def domain_verdict(table: pd.DataFrame, arm: str, baseline: str) -> Verdict:
    """Judge an arm against its baseline, seed by seed (docs/method.md 14.4).

    Works: the MLP that reads the style from the rest loses at least half of its lead over the base rate, the
    interval of the gain in an unseen style lies above 0, and no seen style loses more than a point.
    """
    seeds = sorted(set(by_seed(table, arm, UNSEEN)) & set(by_seed(table, baseline, UNSEEN)))
    gain = paired_difference(by_seed(table, arm, UNSEEN), by_seed(table, baseline, UNSEEN))
    lost = lost_lead(table, arm, baseline)
    seen = seen_differences(table, arm, baseline)
    worst = min(seen.values(), default=float("nan"))
    outcome, said = _outcome(table, arm, baseline, lost, gain, worst)
    numbers = (
        f"The MLP lost {100 * lost:.0f} % of its lead; unseen top-1 changed by "
        f"{gain.text(factor=100, signed=True)} points; the worst seen style by {100 * worst:+.1f} "
        f"({len(seeds)} seeds)."
    )
    return Verdict(outcome, f"{said} {numbers}", lost, gain, worst)


def _outcome(
    table: pd.DataFrame, arm: str, baseline: str, lost: float, gain: SeedSummary, worst: float
) -> tuple[str, str]:
    if gain.n < ENOUGH:
        return "too few", f"{NOT_ENOUGH[0].upper()}{NOT_ENOUGH[1:]}."
    removed, useful = lost >= HALF, gain.sign == "above 0"
    if removed and useful and worst >= -POINT:
        return "works", "Works: the domain leaves the rest, and an unseen style gains."
    distance = over_seeds(by_seed(table, arm, "wasserstein").values()).mean
    if not removed and distance < SILENT_CRITIC:
        return "fails", "Fails: the critic sees nothing, while an MLP still reads the style from the rest."
    rest = paired_difference(by_seed(table, arm, "seen_own_rest"), by_seed(table, baseline, "seen_own_rest"))
    if rest.sign == "below 0":
        return "fails", "Fails: the rest tells less of the class."
    if removed:
        return "no use", "Removes the domain without use: no clear gain in the unseen style."
    return "unclear", "The domain stays in the rest."


def lost_lead(table: pd.DataFrame, arm: str, baseline: str) -> float:
    """Share of the MLP's lead over the base rate that an arm takes away; NaN without a lead."""
    rate = by_seed(table, baseline, "base_rate")
    before, after = by_seed(table, baseline, STYLE), by_seed(table, arm, STYLE)
    seeds = [seed for seed in before if seed in after and seed in rate]
    leads = [
        np.mean([side[seed] - rate[seed] for seed in seeds]) if seeds else np.nan for side in (before, after)
    ]
    return float(1 - leads[1] / leads[0]) if leads[0] > 0 else float("nan")


def seen_differences(table: pd.DataFrame, arm: str, baseline: str) -> dict[str, float]:
    """Mean paired difference of top-1 in each seen style (a probe of its own, all features)."""
    unseen = unseen_style(table)
    found = {}
    for style in styles_of(table):
        if style != unseen:
            name = f"top1_own_{style}_all"
            found[style] = paired_difference(by_seed(table, arm, name), by_seed(table, baseline, name)).mean
    return found


def styles_of(table: pd.DataFrame) -> list[str]:
    """The domains of a table of the grid, in its order."""
    ends = ("top1_own_", "_all")
    return [
        name[len(ends[0]) : -len(ends[1])]
        for name in table
        if name.startswith(ends[0]) and name.endswith(ends[1])
    ]


def unseen_style(table: pd.DataFrame) -> str | None:
    """The domain whose accuracy is the unseen one, by its values; None if there is none."""
    if UNSEEN not in table:
        return None
    for style in styles_of(table):
        if np.allclose(table[f"top1_own_{style}_all"], table[UNSEEN], equal_nan=True):
            return style
    return None
