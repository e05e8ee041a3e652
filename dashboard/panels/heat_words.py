"""How much of the heat of a feature lies on the object and on the background, in words."""

from typing import Any

import pandas as pd

from core.common.captions import ON_MASKS
from core.common.records import Record, Templates
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets

_say = Templates.beside(__file__)


def heat_rows(study: Study, feature: int) -> pd.DataFrame:
    """The rows of `overlap_by_feature` of a feature."""
    there = study.has("overlap_by_feature")
    table = reads.table(study, "overlap_by_feature") if there else pd.DataFrame(columns=["feature", "mask"])
    return table.loc[table["feature"].to_numpy() == feature].reset_index(drop=True)


def verdict_text(study: Study, feature: int) -> str:
    """What the verdict on a feature goes by; "" without masks."""
    rows = heat_rows(study, feature)
    return "" if rows.empty else _say("by_masks", parts=(heat_on_masks(rows),))


def heat_on_masks(rows: pd.DataFrame) -> Record:
    """State how much of the heat lies on each mask. rows: see `heat_rows`."""
    parts = [_heat_on_mask(row) for row in rows.to_dict("records") if row["mask"] in ON_MASKS]
    return _say("over_masks", parts=tuple(parts))


def _heat_on_mask(row: dict[Any, Any]) -> Record:
    """State how much of a feature's heat lies on a mask, beside what a uniform heatmap has there."""
    kind = "heat" if widgets.undefined(row["lift"]) else "heat_and_uniform"
    return _say(kind, value=row["energy"], what=ON_MASKS[row["mask"]], chance=row["lift"], n=int(row["n"]))
