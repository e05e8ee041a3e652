"""How the difficulty of telling images apart decides which features are learned (IFM paper, section 2.3).

Temperatures without weights on the negatives, and hardness of the negatives at one temperature, on
trifeature.
"""

import pandas as pd

from core.research.grids.definition import Grid, Values
from core.research.grids.runner import GridCell
from core.research.shortcuts.grids import shortcut_runs
from core.research.shortcuts.trifeature import FACTORS

ARMS = {
    "temperatures": [0.05, 0.1, 0.2, 0.5, 1.0],
    "betas": [0.25, 0.5, 1.0, 2.0],
    "beta_temperature": 0.5,
    "tau_plus": 0.0,
}


def hardness_arms(values: Values) -> list[GridCell]:
    """List each temperature at beta 0, and each beta at one temperature."""
    pairs = [(temperature, 0.0) for temperature in values["temperatures"]]
    pairs += [(values["beta_temperature"], beta) for beta in values["betas"]]
    cells = []
    for temperature, beta in dict.fromkeys(pairs):
        columns = shortcut_runs.arm_columns(temperature, hard_beta=beta, hard_tau_plus=values["tau_plus"])
        cells.append(GridCell(f"tau{temperature:g}-beta{beta:g}", columns))
    return cells


def plain_arm(values: Values, arm: str) -> str | None:
    """Return the arm with plain InfoNCE at the temperature of the betas; None for that arm itself."""
    without_beta = f"tau{values['beta_temperature']:g}-beta0"
    has_plain = values["beta_temperature"] in values["temperatures"]
    return without_beta if has_plain and arm != without_beta else None


def hardness_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    """Say of the smallest temperature and of the largest beta whether they trade features."""
    hardest = [f"tau{min(values['temperatures']):g}-beta0"]
    hardest += [f"tau{values['beta_temperature']:g}-beta{max(values['betas']):g}"] if values["betas"] else []
    pairs = [(arm, plain_arm(values, arm)) for arm in hardest]
    return [shortcut_runs.trade_off(table, arm, other, FACTORS) for arm, other in pairs if other is not None]


GRID = Grid(
    name="hard",
    presets={name: {**preset, **ARMS} for name, preset in shortcut_runs.PRESETS.items()},
    arms=hardness_arms,
    run=shortcut_runs.run_trifeature,
    measures=shortcut_runs.factor_measures(FACTORS) | {"held_out_loss": ("InfoNCE at tau 0.5", 1.0)},
    baseline=plain_arm,
    seeds=3,
    of_arms=("temperatures", "betas"),
    choices=shortcut_runs.CHOICES,
    positive=("temperatures", "beta_temperature"),
    not_negative=("betas",),
    verdicts=hardness_verdicts,
)
