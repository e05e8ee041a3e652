"""Tables of the grids 'domains' and 'tinted' with known differences between their arms."""

from __future__ import annotations

import numpy as np
import pandas as pd

ARM, BASE = "simclr-on-ddm", "simclr-on-baseline"


def cells(n_seeds=5, *, gain=0.04, mlp=0.45, seen=0.0, rest=0.0, wasserstein=0.4) -> pd.DataFrame:
    """Two arms whose paired differences are known up to a small seeded spread."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(n_seeds):
        noise = rng.normal(scale=0.002, size=4)
        plain = {"plain": 0.6, "sketch": 0.5, "pastel": 0.4}
        for arm, changes in ((BASE, {}), (ARM, {"pastel": gain, "sketch": seen})):
            found = {style: value + noise[0] + changes.get(style, 0.0) for style, value in plain.items()}
            found["pastel"] += noise[1] * (arm == ARM)
            row = {"cell": f"{arm}-s{seed}", "arm": arm, "seed": seed, "method": "simclr", "colour": "on"}
            row |= {"domains": arm.rpartition("-")[2], "base_rate": 1 / 3, "unseen_own_all": found["pastel"]}
            row |= {f"top1_own_{style}_all": value for style, value in found.items()}
            row |= {"domain_mlp_rest": mlp if arm == ARM else 0.9}
            row |= {"seen_own_rest": 0.5 + noise[2] + (rest if arm == ARM else 0.0)}
            rows.append(row | {"wasserstein": wasserstein if arm == ARM else np.nan})
    return pd.DataFrame(rows)


def tinted(one=0.9, two=0.8, ddm=0.85) -> pd.DataFrame:
    values = {"untinted": 0.92, "one-tint": one, "two-tints": two, "two-tints-ddm": ddm}
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "seed": seed,
                "domains": "x",
                "tints": "x",
                "seen_seen_all": value,
                "seen_seen_rest": value,
            }
            for arm, value in values.items()
            for seed in range(2)
        ]
    )
