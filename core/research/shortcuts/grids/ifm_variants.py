"""IFM's variants side by side, after Table 3 of the IFM paper (App. B.1); on trifeature.

Plain InfoNCE, IFM, +norm, +pre-norm with epsilon absolute and relative to the embedding's length, and the
modified loss alone.
"""

import pandas as pd

from core.research.grids.definition import Grid, Values
from core.research.grids.runner import GridCell
from core.research.shortcuts.grids import shortcut_runs
from core.research.shortcuts.trifeature import FACTORS

PLAIN, IFM = "plain", "ifm"
VARIANTS = {
    PLAIN: {"ifm_epsilon": 0.0},
    IFM: {},
    "norm": {"ifm_variant": "norm"},
    "pre-norm": {"ifm_variant": "pre_norm"},
    "pre-norm-relative": {"ifm_variant": "pre_norm", "ifm_relative": True},
    "modified-loss-alone": {"ifm_alpha": float("inf")},
}
ARMS = {"temperature": 0.2, "epsilon": 0.1}


def variant_arms(values: Values) -> list[GridCell]:
    given = {"ifm_epsilon": values["epsilon"]}
    return [
        GridCell(arm, shortcut_runs.arm_columns(values["temperature"], **{**given, **settings}))
        for arm, settings in VARIANTS.items()
    ]


def plain_info_nce(values: Values, arm: str) -> str | None:
    return None if arm == PLAIN else PLAIN


def variant_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    """Say of each variant whether it works, and of each form of the move whether it equals IFM's own."""
    others = [arm for arm in VARIANTS if arm not in (PLAIN, IFM)]
    works = [shortcut_runs.no_trade_off(table, arm, PLAIN, FACTORS) for arm in (IFM, *others)]
    return [*works, *(shortcut_runs.equality(table, arm, IFM) for arm in others)]


GRID = Grid(
    name="ifm-variants",
    presets={name: {**preset, **ARMS} for name, preset in shortcut_runs.PRESETS.items()},
    arms=variant_arms,
    run=shortcut_runs.run_trifeature,
    measures=shortcut_runs.factor_measures(FACTORS),
    baseline=plain_info_nce,
    choices=shortcut_runs.CHOICES,
    positive=("temperature",),
    not_negative=("epsilon",),
    verdicts=variant_verdicts,
)
