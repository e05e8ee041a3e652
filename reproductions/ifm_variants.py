"""Plain InfoNCE, IFM and its variants side by side, on trifeature at temperature 0.2.

Robinson 2021, Table 3 (App. B.1): IFM, +norm, +pre-norm with epsilon absolute and relative to the embedding's
length, and the modified loss alone. The stored table: 30 trainings (seeds 0 to 4), 16 minutes of one core of
an AMD EPYC; settings as in `suppression`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reproductions import common
from reproductions.suppression import readout_bars, trifeature_row

NAME = "ifm_variants"
TEMPERATURE = 0.2
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"ifm_epsilon": 0.0},
    "ifm": {},
    "norm": {"ifm_variant": "norm"},
    "pre-norm": {"ifm_variant": "pre_norm"},
    "pre-norm-relative": {"ifm_variant": "pre_norm", "ifm_relative": True},
    "modified-loss-alone": {"ifm_alpha": float("inf")},
}
TITLES = {  # as in Table 3
    "plain": "InfoNCE",
    "ifm": "IFM",
    "norm": "+norm",
    "pre-norm": "+pre-norm",
    "pre-norm-relative": "+pre-norm (relative)",
    "modified-loss-alone": "modified loss alone",
}


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all variants of a seed before the next seed."""
    for seed in range(1 if smoke else 5):
        for arm in list(VARIANTS)[:2] if smoke else VARIANTS:
            objective = {"ifm_epsilon": 0.1, **VARIANTS[arm]}
            yield trifeature_row(folder, arm, seed, smoke, temperature=TEMPERATURE, **objective)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the readouts of each variant (Table 3)."""
    return readout_bars(table.assign(arm=[TITLES[arm] for arm in table["arm"]]))


def main(argv: Sequence[str] | None = None) -> None:
    """Train, read out and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
