"""Whether a feature harms: the answers with and without it, beside random features (docs/method.md 6.8)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.common.records import Record, Templates
from core.measures.paired_accuracy import PairedAccuracy, paired_accuracy
from core.measures.switched_off import SwitchedOff

FEWEST = 8  # images that become right or wrong, below which nothing is concluded
ALPHA = 0.05
MOST = 20_000  # images that a page asks again; of more, so many are taken at even distances
_say = Templates.beside(__file__)


def evenly_spaced(rows: np.ndarray, most: int = MOST) -> np.ndarray:
    """(m,) ascending: all rows, or `most` of them at even distances, from every part of the study."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def harm(made: SwitchedOff, units: np.ndarray | None = None) -> PairedAccuracy:
    """Compare the answers with all features (first) and without those switched off (second).

    Args:
        units: (n,) codes of what was drawn together; None: each image for itself.
    Returns:
        of the images of a known class; `difference` is the accuracy that is gained by switching off.
    """
    has_truth = np.isfinite(made.true)
    codes = np.stack([made.before, made.after])[:, has_truth]
    correct = (codes == made.true[has_truth]).astype(float)
    return paired_accuracy(correct, codes, None if units is None else units[has_truth])


def random_gains(made: SwitchedOff) -> np.ndarray:
    """(DRAWS,) accuracy gained by switching off each set of random features; NaN without known classes."""
    has_truth = np.isfinite(made.true)
    if not has_truth.any():
        return np.full(len(made.random), np.nan)
    true = made.true[has_truth]
    right = made.random[:, has_truth] == true
    return right.mean(1) - (made.before[has_truth] == true).mean()


def harm_finding(paired: PairedAccuracy, random: np.ndarray) -> Record:
    """Say whether the feature harms, helps, or neither can be told.

    It harms where more images become right than wrong, by McNemar's exact test at ALPHA, and by more than
    with every set of random features; it helps in the same way the other way round.

    Args:
        random: (DRAWS,) of `random_gains`.
    """
    fixed, broken = paired.only_second, paired.only_first
    if not paired.n:
        return _say("no_labels")
    if not fixed + broken:
        return _say("no_change", of=paired.n)
    if fixed + broken < FEWEST:
        return _say("too_few", n=fixed + broken, of=paired.n)
    points, sure = 100 * abs(paired.difference), paired.p < ALPHA
    if sure and paired.difference > max(random.max(), 0.0):
        return _say("harms", value=points)
    if sure and paired.difference < min(random.min(), 0.0):
        return _say("helps", value=points)
    return _say("unclear", value=points)


def harm_by_class(made: SwitchedOff, classes: Sequence[str]) -> pd.DataFrame:
    """Count, for each class, what switching off makes right and wrong.

    Args:
        classes: names of the codes.
    Returns:
        class, n (images of it), fixed, broken, net (fixed - broken), random_net (the mean of net over the
        sets of random features); classes without a change left out, those that gain most first.
    """
    has_truth = np.isfinite(made.true)
    true = made.true[has_truth].astype(np.int64)
    before = made.before[has_truth] == true
    after = made.after[has_truth] == true

    def count(images: np.ndarray) -> np.ndarray:
        return np.bincount(true, weights=images.astype(float), minlength=len(classes))

    random = (made.random[:, has_truth] == true).mean(0) if len(true) else np.empty(0)
    numbers = {"n": np.ones(len(true)), "fixed": after & ~before, "broken": before & ~after}
    columns = {name: count(images).astype(int) for name, images in numbers.items()}
    columns["random_net"] = count(random - before) if len(true) else np.zeros(len(classes))
    table = pd.DataFrame({"class": list(classes), **columns})
    table.insert(4, "net", table["fixed"] - table["broken"])
    changed = table.loc[(table["fixed"] + table["broken"]) > 0]
    return changed.sort_values("net", ascending=False, kind="stable").reset_index(drop=True)
