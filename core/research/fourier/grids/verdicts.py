"""What the Fourier augmentation studies may conclude from a few seeds, as sentences (docs/method.md 15.4)."""

from collections.abc import Mapping

import pandas as pd

from core.common.dataframes import words
from core.research.grids.over_seeds import NOT_ENOUGH, SeedSummary
from core.research.grids.seeds import by_seed, paired_difference

METHODS = {"simclr": "SimCLR", "byol": "BYOL", "moco": "MoCo v2", "simsiam": "SimSiam"}
SIX = ("crop", "flip", "jitter", "gray", "blur", "solarize")  # in the order of Kalibhat, dissertation, p. 68
ALL = f"add-{SIX[-1]}"  # the arm with all six, without its method
PAPER_TOP1 = {  # Kalibhat, dissertation, Table 5.1: percent without and with FDA
    "simclr": (69.2, 70.5),
    "byol": (74.3, 74.7),
    "moco": (71.7, 73.0),
    "simsiam": (73.7, 74.3),
}
PAPER_ORDER = {"before": 70.5, "after": 70.4}  # Kalibhat, dissertation, Table 5.4, SimCLR


def gain_verdicts(table: pd.DataFrame) -> list[str]:
    """Judge the gain of each method of Table 5.1 by top-1 accuracy."""
    sentences = []
    for method in dict.fromkeys(words(table, "method")):
        gain = paired_difference(by_seed(table, f"{method}-fda", "top1"), by_seed(table, method, "top1"))
        if method in PAPER_TOP1:
            without, with_fda = PAPER_TOP1[method]
            sentences.append(f"{METHODS[method]}: {gain_verdict(gain, (with_fda - without) / 100)}")
    return sentences


def order_verdict(table: pd.DataFrame) -> str:
    """Judge Table 5.4, FDA after the other augmentations instead of before them."""
    after = paired_difference(by_seed(table, "after", "top1"), by_seed(table, "before", "top1"))
    paper = (PAPER_ORDER["after"] - PAPER_ORDER["before"]) / 100
    return f"After instead of before: {gain_verdict(after, paper)}"


def gain_verdict(gain: SeedSummary, paper: float) -> str:
    """Say whether an interval of gains holds the published gain, and whether it holds none.

    >>> from core.research.grids.over_seeds import over_seeds
    >>> gain_verdict(over_seeds([0.01, 0.012, 0.014, 0.011, 0.013]), 0.013)
    "a gain, compatible with the paper's: +1.2 points (95 % interval +1.0 to +1.4, 5 runs)"
    """
    return f"{_kind_of_gain(gain, paper)}: {gain.points()}"


def _kind_of_gain(gain: SeedSummary, paper: float) -> str:
    if not gain.enough:
        return NOT_ENOUGH
    of_paper, of_none = (gain.low <= value <= gain.high for value in (paper, 0.0))
    if of_paper and of_none:
        return "compatible with the paper's difference and with none"
    if of_none:
        return "compatible with no difference, not with the paper's"
    kind = "a gain" if gain.low > 0 else "a loss"
    return f"{kind}, {'compatible with' if of_paper else 'not'} the paper's"


def matrix_verdict(table: pd.DataFrame, *, measure: str = "top1") -> str:
    """Judge what Table 5.3 must show: (x, x) < (x, FDA) < (x, A_im)."""
    steps = {"(x, FDA) over (x, x)": ("fda-x", "x-x"), "(x, A_im) over (x, FDA)": ("image-x", "fda-x")}
    return ordered_verdict(table, steps, "(x, x) < (x, FDA) < (x, A_im)", measure=measure)


def dual_verdict(table: pd.DataFrame, *, measure: str = "top1") -> str:
    """Judge what Table 5.5 must show: (x, f) > (x, x)."""
    return ordered_verdict(table, {"(x, f) over (x, x)": ("x-f", "x-x")}, "(x, f) > (x, x)", measure=measure)


def ordered_verdict(
    table: pd.DataFrame, steps: Mapping[str, tuple[str, str]], claim: str, *, measure: str = "top1"
) -> str:
    """Judge a claim that each first arm is above its second, by paired t-intervals over seeds.

    Args:
        steps: {what is said of a pair: its arms}.
    Returns:
        "works: CLAIM", "fails: …" where an interval lies on the other side, or why it is open; then the
        differences.
    """
    differences = [
        paired_difference(*(by_seed(table, arm, measure) for arm in pair)) for pair in steps.values()
    ]
    if any(gain.sign == "below 0" for gain in differences):
        verdict = f"fails: {claim} is contradicted"
    elif all(gain.sign == "above 0" for gain in differences):
        verdict = f"works: {claim}"
    elif not all(gain.enough for gain in differences):
        verdict = f"{claim}: {NOT_ENOUGH}"
    else:
        verdict = f"open: {claim} is neither shown nor contradicted"
    return f"{verdict}; " + ", ".join(
        f"{name}: {gain.points()}" for name, gain in zip(steps, differences, strict=True)
    )


def removal_verdict(table: pd.DataFrame, *, measure: str = "top1") -> str:
    """Judge "removing an augmentation always hurts" by paired t-intervals over seeds.

    With too few seeds for an interval, say only what changed in the same direction in every run.
    """
    changes: dict[str, dict[str, SeedSummary]] = {}
    for method in dict.fromkeys(words(table, "method")):
        whole = by_seed(table, f"{method}-{ALL}", measure)
        removed = {name: by_seed(table, f"{method}-remove-{name}", measure) for name in SIX}
        changes[METHODS.get(method, method)] = {
            name: paired_difference(accuracy, whole) for name, accuracy in removed.items()
        }
    hurts, helps = _cases(changes, "below 0"), _cases(changes, "above 0")
    if helps:
        return f"'Removing always hurts' fails: better are {', '.join(helps)}"
    if not all(change.enough for accuracy in changes.values() for change in accuracy.values()):
        return f"'Removing always hurts': {NOT_ENOUGH}; {_so_far(changes)}"
    n = sum(map(len, changes.values()))
    if len(hurts) < n:
        return f"'Removing always hurts' holds for {len(hurts)} of {n}; the rest is open"
    return f"Removing hurts in all {n} cases"


def _cases(changes: Mapping[str, Mapping[str, SeedSummary]], sign: str) -> list[str]:
    return [
        f"{method} without {name}"
        for method, steps in changes.items()
        for name, change in steps.items()
        if change.sign == sign
    ]


def _so_far(changes: Mapping[str, Mapping[str, SeedSummary]]) -> str:
    """Say what changed in the same direction in each of at least two runs."""
    sentences, repeated = [], False
    for method, steps in changes.items():
        runs = {name: change.values for name, change in steps.items() if change.n > 1}
        repeated |= bool(runs)
        worse = [name for name, values in runs.items() if max(values) < 0]
        better = [name for name, values in runs.items() if min(values) > 0]
        for word, names in (("worse", worse), ("better", better)):
            if names:
                sentences.append(f"{method} is {word} without {', '.join(names)}")
    if not repeated:
        return "no removal has two runs yet"
    return (
        f"in every run: {'; '.join(sentences)}"
        if sentences
        else "no removal changes all runs in the same direction"
    )
