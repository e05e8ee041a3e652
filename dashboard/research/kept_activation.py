"""What is left of a feature's activation when the object, or the background, is removed by its mask."""

import pandas as pd

from core.common.dataframes import numbers
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

LEAST_ALTERED = 10  # with fewer altered images nothing is said of a feature


@cached_read(max_entries=16)
def kept_shares(study: Study) -> pd.DataFrame:
    """The share of its activation that a feature keeps without the object, and without the background; by
    feature, columns `object` and `background`. Empty where `mask-interventions` has not run; features that
    fire on fewer than LEAST_ALTERED altered images are left out.
    """
    if not study.has("mask_responses"):
        return pd.DataFrame({"object": pd.Series(dtype=float), "background": pd.Series(dtype=float)})
    table = reads.table(study, "mask_responses", ("feature", "alteration", "n", "kept"))
    table = table.loc[numbers(table, "n") >= LEAST_ALTERED].reset_index(drop=True)
    wide = table.pivot(index="feature", columns="alteration", values="kept")
    wide = wide.reindex(columns=["object removed", "background removed"])
    return wide.set_axis(["object", "background"], axis=1).dropna()


def kept_lines(study: Study, feature: int) -> list[str]:
    """Say it of a feature in a line; nothing where it is not known."""
    shares = kept_shares(study)
    if feature not in shares.index:
        return []
    left = {
        name: f"{100 * float(shares.at[feature, name]):.0f}\N{NO-BREAK SPACE}%"
        for name in ("object", "background")
    }
    line = f"Keeps {left['object']} of its activation without the object, {left['background']} without the "
    return [line + "background"]
