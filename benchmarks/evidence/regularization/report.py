"""The rows of the experiment as Markdown: means and 95 % intervals over seeds, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.evidence.regularization.folder import read_rows
from benchmarks.evidence.regularization.plan import BASELINE, FROZEN, KINDS, RATES, START
from core.common.dataframes import known_mean, numbers

TITLES = {
    START: "start",
    BASELINE: "no regulariser",
    FROZEN: "no regulariser, weights frozen",
    "lasso": "Lasso",
    "q-sum": "Q, reading `sum`",
    "q-printed": "Q, reading `printed`",
    "q-mean": "Q, reading `mean`",
}
HEADS = (
    *("", "top-1 %", "against no regulariser, points", "mean L_i", "AUROC of Q", "against no regulariser"),
    *("rows rewarded, of all", "gradient of the reward / of the method", "… of the norms"),
    *("weights moved", "minutes", "seeds"),
)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % t-interval; NaN for the width of fewer than two values.

    >>> [round(value, 3) for value in interval([1.0, 2.0, 3.0])]  # 4.303 / sqrt(3)
    [2.0, 2.484]
    """
    finite = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if len(finite) < 2:
        return (float(finite[0]) if len(finite) else float("nan")), float("nan")
    half = stats.t.ppf(0.975, len(finite) - 1) * finite.std(ddof=1) / np.sqrt(len(finite))
    return float(finite.mean()), float(half)


def paired(rows: pd.DataFrame, kind: str, rate: str, column: str) -> list[float]:
    """Return the differences to the baseline of the same rate and seed."""
    by_seed = {}
    for name in (kind, BASELINE):
        runs = rows.loc[(rows["kind"] == name) & (rows["rate"] == rate)].reset_index(drop=True)
        by_seed[name] = dict(zip(numbers(runs, "seed").tolist(), numbers(runs, column).tolist(), strict=True))
    both = sorted(set(by_seed[kind]) & set(by_seed[BASELINE]))
    gaps = [by_seed[kind][seed] - by_seed[BASELINE][seed] for seed in both]
    return [gap for gap in gaps if np.isfinite(gap)]


def report(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the lines: a table for each rate, with the start above, and what the numbers mean."""
    for rate in [rate for rate in RATES if rate in set(rows["rate"])]:
        runs = rows.loc[rows["rate"] == rate].reset_index(drop=True)
        lr, optimizer, epochs = (runs[name].iloc[0] for name in ("lr", "optimizer", "epochs"))
        yield f"### {rate.capitalize()} rate: {optimizer}, {lr:g} per 256 images, {epochs:.0f} epochs"
        yield ""
        yield f"| {' | '.join(HEADS)} |"
        yield "|---" * len(HEADS) + "|"
        for kind in (START, BASELINE, FROZEN, *list(KINDS)[1:]):
            if cells := _cells(rows, kind, rate):
                yield f"| {' | '.join(cells)} |"
        yield ""
    yield (
        "± is half of a 95 % t-interval over seeds, in brackets an interval over evaluation images; "
        "differences are paired by seed, * where their interval leaves out 0."
    )
    minutes, epsilon = rows["seconds"].sum() / 60, rows["epsilon"].iloc[0]
    devices = "; ".join(sorted(set(rows["device"])))
    yield f"Epsilon {epsilon:g}; {len(rows)} rows, {minutes:.0f} minutes; {devices}."


def _cells(rows: pd.DataFrame, kind: str, rate: str) -> list[str]:
    if kind == START:
        runs = rows.loc[rows["kind"] == START].reset_index(drop=True)
        if runs.empty:
            return []
        one = runs.iloc[0]
        between = (
            f" ({100 * one['top1_low']:.1f} to {100 * one['top1_high']:.1f})" if "top1_low" in one else ""
        )
        auroc = f"{one['q_auroc']:.3f} ({one['q_auroc_low']:.3f} to {one['q_auroc_high']:.3f})"
        first = [TITLES[kind], f"{100 * one['top1']:.2f}{between}", "", f"{one['mean_firing']:.2f}", auroc]
        return [*first, *[""] * 5, f"{one['seconds'] / 60:.1f}", ""]
    runs = rows.loc[(rows["kind"] == kind) & (rows["rate"] == rate)].reset_index(drop=True)
    if runs.empty:
        return []
    return [
        TITLES[kind],
        spread(100 * numbers(runs, "top1"), 2),
        "" if kind == BASELINE else difference([100 * d for d in paired(rows, kind, rate, "top1")], 2),
        spread(numbers(runs, "mean_firing"), 2),
        spread(numbers(runs, "q_auroc"), 3),
        "" if kind == BASELINE else difference(paired(rows, kind, rate, "q_auroc"), 3),
        _rewarded(runs),
        _small(runs, "reward_gradient"),
        _small(runs, "norm_gradient"),
        _small(runs, "weight_change"),
        f"{known_mean(numbers(runs, 'seconds')) / 60:.1f}",
        str(len(runs)),
    ]


def spread(values: np.ndarray, digits: int) -> str:
    """'71.20 ± 0.42', without an interval for one value, '' for none."""
    mean, half = interval(values.tolist())
    if np.isnan(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")


def difference(values: Sequence[float], digits: int) -> str:
    """'+0.30 ± 0.20 *'; the star where the interval leaves out 0.

    >>> difference([1.0, 1.1, 1.2], 1), difference([-0.1, 0.1], 1), difference([0.5], 1), difference([], 1)
    ('+1.1 ± 0.2 *', '+0.0 ± 1.3', '+0.5', '')
    """
    mean, half = interval(values)
    if np.isnan(mean):
        return ""
    if np.isnan(half):
        return f"{mean:+.{digits}f}"
    return f"{mean:+.{digits}f} ± {half:.{digits}f}" + (" *" if abs(mean) > half else "")


def _rewarded(runs: pd.DataFrame) -> str:
    rewarded = known_mean(numbers(runs, "rewarded"))
    return "" if np.isnan(rewarded) else f"{rewarded:.1f} of {known_mean(numbers(runs, 'rows')):.0f}"


def _small(runs: pd.DataFrame, column: str) -> str:
    mean = known_mean(numbers(runs, column))
    return "" if np.isnan(mean) else f"{mean:.2g}"


def write_report(folder: Path) -> Path:
    """Write FOLDER/table.md from FOLDER/runs.csv."""
    out = folder / "table.md"
    out.write_text("\n".join(report(pd.DataFrame(read_rows(folder)))) + "\n", encoding="utf-8")
    return out
