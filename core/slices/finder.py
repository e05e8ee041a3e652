"""Find the worst slices: classes, traits, and classes with a trait, with too many misclassified images.

A candidate has at least `min_images` evaluation images. With n images and k errors, and K errors among the N
images that it is compared with (itself included), p is the chance of k or more errors among n random draws
(Fisher's exact test, one-sided), corrected over all candidates by the method of Benjamini and Hochberg;
candidates with the same images count as one. Slices are selected and evaluated on the same images, so the
error rates of the worst are somewhat higher than new images would show.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide
from core.common.formatting import first_of
from core.common.statistics.intervals import at_least, benjamini_hochberg, wilson
from core.reader import StudyReader
from core.slices.evaluate import class_column, result_column
from core.slices.slice import Slice
from core.slices.traits import COLUMN, CONCEPT, FEATURE, Tokens, tokens_of

MIN_IMAGES = 10
MOST_ROWS = 1000
SIGNIFICANT = 0.05
LISTED_TOGETHER = 5  # words of the same images that are written out
ALL, CLASS = AGAINST = ("all", "class")
COLUMNS = [
    "label", "kind", "trait", "also", "where", "n", "errors", "error_rate", "low", "high",
    "rest", "lift", "p", "q",
]  # fmt: skip


@dataclass(frozen=True)
class KnownVerdicts:
    """The images with a known correctness: evaluation images, or all if there is no evaluation split.

    Attributes:
        mask: (n_images,) bool over the study.
        wrong, labels: (n_images,) misclassified, and the index of the class (-1 unknown); only meaningful
            where mask holds.
    """

    mask: np.ndarray
    wrong: np.ndarray
    labels: np.ndarray
    split: str | None


def judged(study: StudyReader, among: np.ndarray | None = None) -> KnownVerdicts | None:
    """Return the images with a known correctness; None if there are none.

    Args:
        among: (n_images,) bool: only these images, of whichever split; None: the evaluation images.
    """
    correct = result_column(study, "correct")
    has_result = np.isfinite(correct)
    if among is not None:
        mask = has_result & among
        split = "val" if not (mask & ~study.is_val).any() else None
    else:
        split = "val" if bool((has_result & study.is_val).any()) else None
        mask = has_result & study.is_val if split else has_result
    if not mask.any():
        return None
    return KnownVerdicts(mask, correct == 0, class_column(study, "label"), split)


def worst_slices(
    study: StudyReader,
    *,
    min_images: int = MIN_IMAGES,
    against: str = ALL,
    limit: int = MOST_ROWS,
    among: np.ndarray | None = None,
    significant: bool = False,
) -> pd.DataFrame:
    """Find the worst slices of a study, most significant first; empty if the correctness is not known.

    Args:
        against: compare with 'all' other evaluation images, or with those of the same 'class'.
        among: (n_images,) bool: only these images, of whichever split; None: the evaluation images.
        significant: only slices with q of at most SIGNIFICANT.
    Returns:
        label, kind ('class', 'feature', 'concept', 'column'), trait, also (names of the same images), where
        (the slice's text form), n, errors, error_rate, low, high, rest (error rate of the images that it is
        compared with), lift (error_rate / rest; NaN where rest is 0), p, q.
    """
    population = judged(study, among)
    if population is None:
        return pd.DataFrame(columns=COLUMNS)
    tokens = tokens_of(study, population.mask)
    candidates = find(
        tokens, population.wrong, population.labels, population.mask, min_images=min_images, against=against
    )
    is_significant = candidates["q"].to_numpy() <= SIGNIFICANT
    order = np.lexsort([-candidates["errors"], -candidates["low"], ~is_significant])
    if significant:  # they come first
        order = order[: np.count_nonzero(is_significant)]
    candidates = candidates.iloc[order[:limit]].reset_index(drop=True)
    return _named(candidates, tokens, study, population.split)


def find(
    tokens: Tokens,
    wrong: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    *,
    min_images: int = MIN_IMAGES,
    against: str = ALL,
    seed: int = 0,
) -> pd.DataFrame:
    """Count and test every candidate: label (-1 any), trait (-1 any), same (numbers of further traits with
    the same images), n, errors, error_rate, low, high, rest, lift, p, q; in no order.

    Args:
        tokens: traits of the images of `mask`.
        wrong, labels, mask: (n_images,) as in `KnownVerdicts`.
    """
    rows = np.flatnonzero(mask)
    marks = np.random.default_rng(seed).integers(1, 1 << 30, (2, len(mask))).astype(np.float64)
    labelled = labels[tokens.rows] >= 0
    any_class, any_trait = np.full(len(tokens.rows), -1), np.full(len(rows), -1)
    parts = [(labels[tokens.rows][labelled], tokens.ids[labelled], tokens.rows[labelled])]
    if against == ALL:
        parts += [(any_class, tokens.ids, tokens.rows), (labels[rows], any_trait, rows)]
    label, trait, row = (np.concatenate([part[at] for part in parts]) for at in range(3))
    width = len(tokens) + 1
    cell, cells = pd.factorize((label + 1) * width + trait + 1, sort=True)
    n = np.bincount(cell, minlength=len(cells))
    errors = np.bincount(cell, weights=wrong[row], minlength=len(cells)).astype(np.int64)
    prints = np.stack([np.bincount(cell, weights=mark[row], minlength=len(cells)) for mark in marks])
    candidates = pd.DataFrame(
        {"label": cells // width - 1, "trait": cells % width - 1, "n": n, "errors": errors}
    )
    keep = (n >= min_images) & (candidates["label"].to_numpy() + candidates["trait"].to_numpy() > -2)
    candidates = _merged(candidates.loc[keep], prints[:, keep])
    return _tested(candidates, wrong[rows], labels[rows], against)


def _merged(candidates: pd.DataFrame, prints: np.ndarray) -> pd.DataFrame:
    """Keep one row per set of images; sums of two random marks identify the sets."""
    keys = np.stack([*prints, candidates["n"].to_numpy(np.float64)], axis=1)
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    traits = candidates["trait"].to_numpy()
    same: list[list[int]] = [[] for _ in first]
    repeated = np.bincount(which.ravel(), minlength=len(first))[which.ravel()] > 1
    for at in np.flatnonzero(repeated):
        same[which.ravel()[at]].append(int(traits[at]))
    return candidates.iloc[first].assign(same=same).reset_index(drop=True)


def _tested(candidates: pd.DataFrame, wrong: np.ndarray, labels: np.ndarray, against: str) -> pd.DataFrame:
    n, errors = candidates["n"].to_numpy(), candidates["errors"].to_numpy()
    if against == CLASS:
        classes = int(labels.max(initial=-1)) + 1
        labelled = labels >= 0
        totals = np.bincount(labels[labelled], minlength=classes)[candidates["label"]]
        marked = np.bincount(labels[labelled], weights=wrong[labelled], minlength=classes)[
            candidates["label"]
        ]
        marked = marked.astype(np.int64)
    else:
        totals, marked = np.full(len(n), len(wrong)), np.full(len(n), int(wrong.sum()))
    low, high = wilson(errors, n)
    rate, rest = safe_divide(errors, n), safe_divide(marked - errors, totals - n)
    p = at_least(errors, n, marked, totals)
    candidates = candidates.assign(
        error_rate=rate, low=low, high=high, rest=rest, lift=safe_divide(rate, np.nan_to_num(rest)), p=p,
        q=benjamini_hochberg(np.where(totals > n, p, np.nan)),
    )  # fmt: skip
    # A candidate with all images of its class has no comparison.
    return candidates.loc[totals > n].reset_index(drop=True)


def _named(candidates: pd.DataFrame, tokens: Tokens, study: StudyReader, split: str | None) -> pd.DataFrame:
    names, kinds, texts, also = [], [], [], []
    classes, feature = study.class_names, study.feature_kind.lower()
    for label, trait, same in zip(candidates["label"], candidates["trait"], candidates["same"], strict=True):
        candidate = slice_of(tokens, int(trait), classes[label] if label >= 0 else None, split)
        names.append(trait_name(tokens, int(trait), feature))
        kinds.append(tokens.kinds[trait] if trait >= 0 else "class")
        others = [trait_name(tokens, other, feature) for other in sorted({*same} - {int(trait), -1})]
        also.append(first_of(others, LISTED_TOGETHER))
        texts.append(str(candidate))
    labels = [classes[label] if label >= 0 else None for label in candidates["label"]]
    named = candidates.assign(label=labels, kind=kinds, trait=names, also=also, where=texts)
    return named.loc[:, COLUMNS]


def trait_name(tokens: Tokens, trait: int, feature: str) -> str:
    """'feature 12' (or 'latent 12'), a word, 'background: sand'; empty for no trait."""
    if trait < 0:
        return ""
    if tokens.kinds[trait] == FEATURE:
        return f"{feature} {tokens.names[trait]}"
    column, name = tokens.within[trait], tokens.names[trait]
    return f"{column}: {name}" if column else name


def slice_of(tokens: Tokens, trait: int, label: str | None, split: str | None) -> Slice:
    """Build the slice of a candidate."""
    base = Slice(split=split, labels=() if label is None else (label,))
    if trait < 0:
        return base
    kind, name = tokens.kinds[trait], tokens.names[trait]
    extra = {
        FEATURE: lambda: Slice(fires=(int(name),)),
        CONCEPT: lambda: Slice(concepts=(name,)),
        COLUMN: lambda: Slice(extras={tokens.within[trait]: (name,)}),
    }[kind]()
    return Slice.joined([base, extra])
