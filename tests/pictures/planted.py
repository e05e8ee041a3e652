"""A table of causes written through the writer: which trials hold of which image is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.measures.causes import STORED, cause_rates, with_ranks
from core.measures.image_columns import CAUSES
from core.store import Study, open_study
from core.study.writer import write_study


def plant_causes(folder: Path, holding: dict[str, tuple[str, ...]]) -> Study:
    """Say of errors, by their ids, which causes hold; the others were tried and do not."""
    study = open_study(folder)
    answers = study.table("probe" if study.has("probe") else "quality").set_index("image_id")["predicted"]
    labels = study.images.set_index("image_id")["label"]
    rows = [
        {
            **dict.fromkeys(STORED),
            **{"image_id": image, "label": labels[image], "predicted": answers[image], "cause": cause},
            **{"outcome": "holds" if cause in causes else "no", "drawn": True, "gap": -1.0},
            **{"gain": 1.0, "threshold": 0.5, "value": 0.9, "usual": 0.1, "suggested": answers[image]},
            **{"degrees": np.nan, "neutral": np.nan, "feature": 3, "measure": "brightness"},
        }
        for image, causes in holding.items()
        for cause in CAUSES
    ]
    table = with_ranks(pd.DataFrame(rows)).loc[:, list(STORED)]
    controls = table.iloc[:0].assign(reference=False)
    with write_study(folder) as writer, writer.step("causes", {}, ("images",)) as step:
        step.table("causes", table)
        step.table("cause_controls", controls)
        step.table("cause_rates", cause_rates(table, controls))
        step.summary = {"answer": "probe", "n_errors": len(holding), "n_all_errors": len(holding)}
    return open_study(folder)
