"""What the runs of 'domains' and 'tinted' say of disentangling: the protocols' sentences. No torch."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import words
from core.common.formatting import counted, full_sentence
from core.research.grids.over_seeds import ENOUGH, NOT_ENOUGH, SeedSummary, over_seeds
from core.research.grids.seeds import Ratio, by_seed, paired_difference, ratio_of_means

HALF, POINT = 0.5, 0.01
SILENT_CRITIC = 0.05  # distance below which the critic is said to see nothing
UNSEEN, REST = "unseen_own_all", "seen_own_rest"
STYLE, SEEN = "domain_mlp_rest", "seen_seen_all"
ONE, TWO = "one-tint", "two-tints"


@dataclass(frozen=True)
class Verdict:
    """The outcome (works, costs, no use, fails, unclear, too few), its sentence and the numbers."""

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
    outcome, sentence = _outcome(table, arm, baseline, lost, gain, worst)
    numbers = (
        f"{_lead_change(lost)}; "
        f"unseen top-1 changed by {gain.text(factor=100, signed=True)} points; "
        f"the worst seen style by {100 * worst:+.1f} ({counted(len(seeds), 'seed')})."
    )
    return Verdict(outcome, f"{sentence} {numbers}", lost, gain, worst)


def _lead_change(lost: float) -> str:
    if np.isnan(lost):
        return "The baseline's MLP has no lead over the base rate"
    return f"The MLP's lead over the base rate {'grew' if lost < 0 else 'fell'} by {100 * abs(lost):.0f} %"


def _outcome(
    table: pd.DataFrame, arm: str, baseline: str, lost: float, gain: SeedSummary, worst: float
) -> tuple[str, str]:
    if gain.n < ENOUGH:
        return "too few", full_sentence(NOT_ENOUGH)
    removed, useful = lost >= HALF, gain.sign == "above 0"
    distance = over_seeds(by_seed(table, arm, "wasserstein").values()).mean
    if lost < HALF and distance < SILENT_CRITIC:
        return "fails", "Fails: the critic sees nothing, while an MLP still reads the style from the rest."
    rest = paired_difference(by_seed(table, arm, REST), by_seed(table, baseline, REST))
    if rest.sign == "below 0":
        return "fails", "Fails: the rest tells less of the class."
    if np.isnan(lost):
        return "unclear", "There is nothing to remove."
    if not removed:
        return "unclear", "The domain stays in the rest."
    if not useful:
        return "no use", "Removes the domain without use: no clear gain in the unseen style."
    if worst < -POINT:
        return "costs", "Removes the domain, and the unseen style gains, but a seen style loses over a point."
    return "works", "Works: the domain leaves the rest, and an unseen style gains."


def clustering_verdict(table: pd.DataFrame, robust: str, plain: str) -> str:
    """Say whether robust clusters help: kept rows purer than dropped ones, and better than plain k-means.

    Purity is that of the first clustering (at the last one no row is dropped); "better" is the paired
    difference of the mean top-1 over all styles, a probe of its own each, all features.
    """
    retained, dropped = (by_seed(table, robust, f"first_purity_{side}") for side in ("kept", "dropped"))
    purer = paired_difference(retained, dropped)
    better = paired_difference(mean_top1(table, robust), mean_top1(table, plain))
    if not (purer.enough and better.enough):
        return f"Robust clusters: {NOT_ENOUGH}."
    helps = purer.sign == better.sign == "above 0"
    return (
        f"Robust clusters {'help' if helps else 'do not help'}: kept rows purer by "
        f"{purer.text(factor=100, signed=True)} points than dropped ones, top-1 over all styles "
        f"{better.text(factor=100, signed=True)} points against plain k-means."
    )


def mean_top1(table: pd.DataFrame, arm: str) -> dict[int, float]:
    """Mean top-1 over the styles by seed, a probe of its own each, all features."""
    per_style = [by_seed(table, arm, f"top1_own_{style}_all") for style in styles_of(table)]
    return {
        seed: float(np.mean([one[seed] for one in per_style])) for seed in (per_style[0] if per_style else {})
    }


def closed_gap(table: pd.DataFrame, arm: str) -> Ratio | None:
    """mean (arm - two) / mean (one - two) over seeds; None where two tints cost less than a point."""
    top1 = {name: by_seed(table, name, SEEN) for name in (ONE, TWO, arm)}
    seeds = [seed for seed in top1[arm] if seed in top1[ONE] and seed in top1[TWO]]
    back, gap = ([top1[name][seed] - top1[TWO][seed] for seed in seeds] for name in (arm, ONE))
    return ratio_of_means(back, gap) if over_seeds(gap).mean >= POINT else None


def has_gap_arms(table: pd.DataFrame) -> bool:
    """Whether one and two tints were run with one seed or more in common."""
    return bool(by_seed(table, ONE, SEEN).keys() & by_seed(table, TWO, SEEN))


def gap_sentence(table: pd.DataFrame, arm: str) -> str:
    """Say how much of what two tints cost an arm gives back."""
    gap = closed_gap(table, arm)
    if gap is None and not has_gap_arms(table):
        return f"{arm}: closed gap undefined, it takes the arms {ONE} and {TWO}."
    return f"{arm}: closed gap {gap.text() if gap else 'undefined, two tints cost less than a point'}."


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
    worst = {}
    for style in styles_of(table):
        if style != unseen:
            name = f"top1_own_{style}_all"
            worst[style] = paired_difference(by_seed(table, arm, name), by_seed(table, baseline, name)).mean
    return worst


def styles_of(table: pd.DataFrame) -> list[str]:
    """The domains of a table of the grid, in its order."""
    ends = ("top1_own_", "_all")
    return [
        name[len(ends[0]) : -len(ends[1])]
        for name in table
        if name.startswith(ends[0]) and name.endswith(ends[1])
    ]


def unseen_style(table: pd.DataFrame) -> str | None:
    """The domain that no encoder has seen, by its column, or in older tables by its values; None without."""
    if named := [name for name in words(table, "unseen") if name]:
        return named[0]
    if UNSEEN not in table:
        return None
    for style in styles_of(table):
        if np.allclose(table[f"top1_own_{style}_all"], table[UNSEEN], equal_nan=True):
            return style
    return None
