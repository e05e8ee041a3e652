"""Can Q be trusted for this encoder and these images? In numbers and words (docs/method.md 2.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.common.formatting import percent

SPARSE = 0.5  # share of near-zero entries from which representations are called nearly sparse
COVERED = 0.5  # share of images that must have a firing discriminative feature
SIGNED = 0.01  # maximum share of negative entries of non-negative representations


@dataclass(frozen=True)
class Premise:
    """The inputs of the trust check; NaN or None if unknown."""

    near_zero: float  # share of entries below 1 % of their row's maximum
    negative: float  # share of negative entries
    mean_firing: float  # mean |L_i|
    nonempty: float  # share of images with L_i & D non-empty
    auroc: float
    auroc_low: float
    auroc_high: float
    rank: int | None  # Q's rank among the scores by AUROC, 1 = best
    n_scores: int
    why_untested: str = ""
    better_label_free: tuple[str, ...] = ()  # label-free scores with a higher AUROC than Q, best first
    n_label_free: int = 8  # number of label-free scores, including Q


def verdict(premise: Premise) -> str:
    """Return `trusted`, `caution` (it works, but without the paper's premise, or most baselines work better),
    `unreliable` or `untested`."""
    if math.isnan(premise.auroc):
        return "untested"
    if not premise.auroc_low > 0.5:
        return "unreliable"
    return "caution" if broken_premises(premise) or _outdone(premise) else "trusted"


def _outdone(premise: Premise) -> bool:
    """Return True when at least half of the label-free scores predict errors better than Q."""
    return 2 * len(premise.better_label_free) >= premise.n_label_free


def broken_premises(premise: Premise) -> list[str]:
    """Describe the assumptions of the paper that this study does not meet."""
    broken = []
    if premise.negative > SIGNED:
        broken.append(f"{_percent(premise.negative)} of the entries are negative")
    elif premise.near_zero < SPARSE:
        broken.append(f"only {_percent(premise.near_zero)} of the entries are near zero")
    if premise.nonempty < COVERED:
        broken.append(f"only {_percent(premise.nonempty)} of the images have a firing discriminative feature")
    return broken


def sentence(premise: Premise) -> str:
    """State the result of the check in one sentence."""
    broken = broken_premises(premise)
    lacks = " and ".join(broken)
    found = f"AUROC {premise.auroc:.2f} ({premise.auroc_low:.2f} to {premise.auroc_high:.2f})"
    if premise.rank is not None:
        found += f", place {premise.rank} of {premise.n_scores} scores"
    sparse = f"{_percent(premise.near_zero)} of the entries are near zero"
    match verdict(premise):
        case "untested":
            state = (
                f"the paper's premise does not hold, {lacks}" if broken else f"its premise holds, {sparse}"
            )
            return f"Whether Q can be trusted here is not tested ({premise.why_untested}); {state}."
        case "unreliable":
            at = "it does no better than chance" if premise.auroc_high >= 0.5 else "it points the wrong way"
            why = f", and the paper's premise does not hold: {lacks}" if broken else f", although {sparse}"
            return f"Q cannot be trusted here: {at}, {found}{why}."
        case "caution" if not broken:
            return (
                f"Q predicts errors here, {found}, and the premise holds, {sparse}, but {_rivals(premise)}."
            )
        case "caution":
            also = f"; and {_rivals(premise)}" if _outdone(premise) else ""
            return f"Q predicts errors here, {found}; the paper's premise does not hold: {lacks}{also}."
        case _:
            return f"Q can be trusted here: {found}, and the paper's premise holds, {sparse}."


def _rivals(premise: Premise) -> str:
    """Name the label-free scores that predict errors better."""
    n, best = len(premise.better_label_free), premise.better_label_free[0]
    return f"{n} of {premise.n_label_free - 1} other scores that need no labels do better, first {best}"


def _percent(share: float) -> str:
    return percent(share, 0, undefined="an unknown share")
