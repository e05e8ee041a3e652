"""Everything about a slice in one dict, as `python -m core inspect --json` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.slices.inspection.features import feature_differences
from core.slices.inspection.numbers import confusions, headline, score_aurocs
from core.slices.inspection.populations import population
from core.slices.inspection.scale import ENCODER, STUDY, overlap_scale
from core.slices.inspection.words import feature_words, words

if TYPE_CHECKING:
    from core.slices.slice import Slice
    from core.store import Study


def inspect(
    study: Study, where: Slice, against: Slice | None = None, *, means: bool = False
) -> dict[str, Any]:
    """Return everything about the images of a slice.

    Args:
        where, against: see `population`. means: see `feature_differences`.
    Returns:
        where, against (in text form, None without), n, n_against, accuracy, mean_confidence, mean_q, n_firing
        (and those with _interval and _n), confusions, features (with the words of each), miou_core,
        miou_spurious (with _interval and _n), controls, scores, words, notes (sentences on what is undefined
        or of other images). Tables are lists of dicts. Rates are in [0, 1]; undefined numbers are NaN.
    """
    mask, others = population(study, where, against)
    numbers = headline(study, mask)
    reasons = numbers.pop("reasons")
    scale = overlap_scale(study, mask)
    named = feature_words(study)
    features = feature_differences(study, mask, others, means=means).to_dict("records")
    found = {"where": str(where), "against": None if against is None else str(against)}
    found |= {"n": numbers.pop("n"), "n_against": int(np.count_nonzero(others))} | numbers
    found["confusions"] = confusions(study, mask).to_dict("records")
    found["features"] = [row | {"words": named.get(row["feature"], [])} for row in features]
    for row in scale.loc[scale["heatmap"] == ENCODER].to_dict("records"):
        name = f"miou_{row['mask']}"
        found |= {name: row["value"], f"{name}_interval": (row["low"], row["high"]), f"{name}_n": row["n"]}
        reasons |= {name: row["reason"]} if row["reason"] else {}
    controls = scale.loc[scale["heatmap"] != ENCODER].rename(columns={"heatmap": "control"})
    found["controls"] = controls.to_dict("records")
    found["scores"] = score_aurocs(study, mask).to_dict("records")
    found["words"] = words(study, mask, others).to_dict("records")
    found["notes"] = [f"{name}: {why}" for name, why in reasons.items()]
    if found["n"] and not found["n_against"]:
        found["notes"].append("features: there are no other images to compare with")
    if (controls["of"] == STUDY).any():
        found["notes"].append("controls: of all images of the study, which stores none of single images")
    return found
