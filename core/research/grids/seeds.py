"""Compare the arms of a grid over seeds: paired differences, summaries of all arms."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from core.research.grids.over_seeds import SeedSummary, over_seeds


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> SeedSummary:
    """Summarise one - other over the seeds that both have; other seeds do not count.

    >>> paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 2.0}).values
    (2.0, 3.0)
    """
    return over_seeds([one[seed] - other[seed] for seed in sorted(one) if seed in other])


def preset_of(table: pd.DataFrame) -> str:
    """Return the preset that the runs of a grid were trained with, as "preset short"; "" where none is named.

    >>> preset_of(pd.DataFrame({"preset": [None, "short"]})), preset_of(pd.DataFrame({"arm": ["a"]}))
    ('preset short', '')
    """
    names = dict.fromkeys(table["preset"].dropna()) if "preset" in table else {}
    return f"preset {', '.join(map(str, names))}" if names else ""


def by_seed(table: pd.DataFrame, arm: str, measure: str) -> dict[int, float]:
    """Return the values of a measure of an arm by seed; `table` has the columns arm and seed."""
    if measure not in table:
        return {}
    arm_rows = table[table["arm"] == arm]
    return {int(seed): float(value) for seed, value in zip(arm_rows["seed"], arm_rows[measure], strict=True)}


def summarise_arms(
    table: pd.DataFrame, measures: Sequence[str], *, baseline: Callable[[str], str | None] = lambda arm: None
) -> dict[str, dict[str, tuple[SeedSummary, SeedSummary | None]]]:
    """Summarise each measure of each arm, with its paired difference to the baseline of the arm.

    Args:
        table: columns arm, seed and the measures. baseline: arm -> the arm it is compared with, or None.
    Returns:
        {arm: {measure: (values, differences or None)}}, arms as in the table.
    """
    summaries: dict[str, dict[str, tuple[SeedSummary, SeedSummary | None]]] = {}
    for arm in dict.fromkeys(str(name) for name in table["arm"]):
        other = baseline(arm)
        summaries[arm] = {}
        for measure in measures:
            values = by_seed(table, arm, measure)
            against = None if other is None else paired_difference(values, by_seed(table, other, measure))
            summaries[arm][measure] = (over_seeds(values.values()), against)
    return summaries
