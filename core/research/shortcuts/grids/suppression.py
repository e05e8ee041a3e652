"""Which of three easy features a contrastive encoder keeps, with and without IFM, at several temperatures.

After section 4.1 and Fig. 6 of the IFM paper, on trifeature; chance is 10 %, every level equally frequent.
"""

import itertools

import pandas as pd

from core.research.grids.definition import Grid, Values
from core.research.grids.runner import GridCell
from core.research.shortcuts.grids import shortcut_runs
from core.research.shortcuts.trifeature import FACTORS

ARMS = {"temperatures": [0.05, 0.2, 0.5], "epsilons": [0.0, 0.1], "alpha": 1.0}  # alpha inf: L_eps alone


def suppression_arms(values: Values) -> list[GridCell]:
    """List the untrained encoder and each temperature with each epsilon."""
    cells = [GridCell(shortcut_runs.UNTRAINED, shortcut_runs.arm_columns(values["temperatures"][0]))]
    for temperature, epsilon in itertools.product(values["temperatures"], values["epsilons"]):
        columns = shortcut_runs.arm_columns(temperature, ifm_epsilon=epsilon, ifm_alpha=values["alpha"])
        cells.append(GridCell(f"tau{temperature:g}-eps{epsilon:g}", columns))
    return cells


def without_ifm(values: Values, arm: str) -> str | None:
    """Return the arm of the same temperature without IFM; None for that arm itself."""
    base_arm, sign, _ = arm.rpartition("-eps")
    return f"{base_arm}-eps0" if sign and arm != f"{base_arm}-eps0" and 0.0 in values["epsilons"] else None


def suppression_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    pairs = [(cell.arm, without_ifm(values, cell.arm)) for cell in suppression_arms(values)]
    return [
        shortcut_runs.no_trade_off(table, arm, other, FACTORS) for arm, other in pairs if other is not None
    ]


GRID = Grid(
    name="suppression",
    presets={name: {**preset, **ARMS} for name, preset in shortcut_runs.PRESETS.items()},
    arms=suppression_arms,
    run=shortcut_runs.run_trifeature,
    measures=shortcut_runs.factor_measures(FACTORS),
    baseline=without_ifm,
    of_arms=("temperatures", "epsilons"),
    choices=shortcut_runs.CHOICES,
    positive=("temperatures",),
    not_negative=("epsilons", "alpha"),
    verdicts=suppression_verdicts,
)
