"""Everything about a slice in one dict, as `python -m core inspect --json` prints it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.common.captions import split_images
from core.measures.confusions import confusions
from core.measures.evaluate import named_splits
from core.measures.feature_names import feature_names
from core.measures.feature_rates import feature_differences
from core.measures.headline import headline
from core.measures.overlap import ENCODER, overlap_scale
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_comparison import population, with_split
from core.measures.slice_words import feature_words, slice_words
from core.study.reader import StudyReader


def inspect(
    study: StudyReader, where: Slice, against: Slice | None = None, *, means: bool = False
) -> dict[str, Any]:
    """Return everything that a study knows about the images of a slice: numbers, features, words.

    Args:
        where, against: see `population`. means: see `feature_differences`.
    Returns:
        where, against (in text form, None without), images, others (the same in words), n, n_against,
        accuracy, mean_confidence, mean_q, n_firing, miou_core and miou_spurious (each also with _interval and
        _n), confusions, features (with the name and words of each), controls, scores, words, notes (what is
        undefined or of other images, and why). Tables are lists of dicts. Rates are in [0, 1]; undefined
        numbers are NaN.
    """
    mask, others = population(study, where, against)
    numbers = headline(study, mask)
    reasons = numbers.pop("reasons")
    scale = overlap_scale(study, mask)
    words, names = feature_words(study), feature_names(study)
    features = feature_differences(study, mask, others, means=means).to_dict("records")
    report: dict[str, Any] = {"where": str(where), "images": with_split(study, where).describe()}
    report |= {"against": None if against is None else str(against), "others": _others(study, where, against)}
    report |= {"n": numbers.pop("n"), "n_against": int(np.count_nonzero(others))} | numbers
    report["confusions"] = confusions(study, mask).to_dict("records")
    for row in features:
        row |= {"name": names.get(row["feature"], ""), "words": words.get(row["feature"], [])}
    report["features"] = features
    for row in scale.loc[scale["heatmap"] == ENCODER].to_dict("records"):
        name = f"miou_{row['mask']}"
        report |= {name: row["value"], f"{name}_interval": (row["low"], row["high"]), f"{name}_n": row["n"]}
        reasons |= {name: row["reason"]} if row["reason"] else {}
    controls = scale.loc[scale["heatmap"] != ENCODER].rename(columns={"heatmap": "control"})
    report["controls"] = controls.to_dict("records")
    report["scores"] = score_aurocs(study, mask).to_dict("records")
    report["words"] = slice_words(study, mask, others).to_dict("records")
    if not report["n_against"]:
        reasons["features"] = "there are no other images to compare with"
    report["notes"] = _notes(reasons)
    return report


def _notes(reasons: Mapping[str, str]) -> list[str]:
    """Return one sentence per reason, after the names that it applies to.

    >>> _notes({"accuracy": "no images", "mean_q": "no images", "features": "no others"})
    ['accuracy, mean_q: no images', 'features: no others']
    """
    by_reason: dict[str, list[str]] = {}
    for name, why in reasons.items():
        by_reason.setdefault(why, []).append(name)
    return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]


def _others(study: StudyReader, where: Slice, against: Slice | None) -> str:
    """Describe the images that a slice is compared with."""
    if against is not None:
        return with_split(study, against).describe()
    splits = sorted(named_splits(with_split(study, where), study))
    return f"the other {split_images(splits[0] if len(splits) == 1 else None)}"
