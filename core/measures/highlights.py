"""The first things to look at in a study: its worst class, its worst slice, features on the background.

Everything is of the images with a known correctness: those of a mask `among`, (n_images,) bool; without one
of the evaluation images, or of all where there is no evaluation split.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide
from core.measures.design_effect import groups_among
from core.measures.finder import judged, worst_slices
from core.measures.intervals import share_bounds
from core.measures.slice import Slice
from core.measures.slice_features import count_firing_images
from core.study.reader import StudyReader


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracy of the probe over all judged images, what guessing gives, and the class it is worst at.

    low, high: Wilson's interval of the accuracy. guess: share of the most common class, `common`.
    worst: the class with the lowest accuracy, '' for a single class.
    """

    accuracy: float
    low: float
    high: float
    guess: float
    common: str
    worst: str
    worst_accuracy: float
    n: int

    @property
    def beats_guessing(self) -> bool:
        """Return True when the whole interval lies above the share of the most common class."""
        return self.low > self.guess


@dataclass(frozen=True)
class WorstSlice:
    """The slice that the finder puts first, and the rows of its misclassified images.

    rest: error rate of all other images.
    """

    trait: str
    label: str | None
    where: str
    n: int
    errors: int
    rest: float
    rows: np.ndarray


def class_accuracy(study: StudyReader, among: np.ndarray | None = None) -> ClassAccuracy | None:
    """Return the accuracy over the judged images and the worst class; None if nothing is judged."""
    population = judged(study, among)
    if population is None:
        return None
    labels, wrong = population.labels[population.mask], population.wrong[population.mask]
    labelled = labels >= 0
    n_classes = len(study.class_names)
    n = np.bincount(labels[labelled], minlength=n_classes)
    right = np.bincount(labels[labelled], weights=~wrong[labelled], minlength=n_classes)
    rates = safe_divide(right, n)
    several = np.count_nonzero(n) > 1
    worst = int(np.nanargmin(rates)) if several else -1
    low, high = share_bounds(~wrong, groups_among(study.groups, population.mask))
    most_common = study.class_names[int(n.argmax())] if n.any() else ""
    guess = float(n.max(initial=0) / len(labels))
    worst_class = study.class_names[worst] if several else ""
    worst_accuracy = float(rates[worst]) if several else np.nan
    return ClassAccuracy(
        accuracy=float(1 - wrong.mean()),
        low=low,
        high=high,
        common=most_common,
        guess=guess,
        worst=worst_class,
        worst_accuracy=worst_accuracy,
        n=len(labels),
    )


def worst_slice(study: StudyReader, among: np.ndarray | None = None) -> WorstSlice | None:
    """Return the first slice of the finder whose error rate is significantly higher (q at most 0.05).

    Values of columns and words come before features, which say less until one looks at them; None if there
    is no such slice.
    """
    table = worst_slices(study, among=among, significant=True)
    if table.empty:
        return None
    named = table.loc[table["kind"] != "feature"]
    best = (named if len(named) else table).iloc[0]
    text = str(best["where"])
    population = judged(study, among)
    assert population is not None  # there is a slice
    rows = np.flatnonzero(Slice.parse(text).mask(study) & population.mask & population.wrong)
    label = best["label"]
    label_or_none = None if pd.isna(label) else str(label)
    trait = str(best["trait"])
    n = int(best["n"])
    errors = int(best["errors"])
    return WorstSlice(
        trait=trait, label=label_or_none, where=text, n=n, errors=errors, rest=float(best["rest"]), rows=rows
    )


def background_features(study: StudyReader, among: np.ndarray | None = None) -> list[int]:
    """Return the features with the verdict 'spurious', the clearest first; of `among` those firing there."""
    if not study.has("overlap_by_feature"):
        return []
    table = study.table("overlap_by_feature", ["feature", "mask", "lift", "verdict"])
    mine = (table["mask"] == "spurious") & (table["verdict"] == "spurious")
    spurious = table.loc[mine].sort_values(["lift", "feature"], ascending=[False, True])
    if among is not None:
        fires = count_firing_images(study, [among])[0] > 0
        spurious = spurious.loc[fires[spurious["feature"].to_numpy(int)]]
    return spurious["feature"].astype(int).tolist()
