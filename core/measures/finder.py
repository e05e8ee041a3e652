"""Find the worst slices: with too many misclassified images, and errors of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.common.dataframes import safe_divide
from core.common.formatting import first_of
from core.common.records import Record
from core.measures.chance import too_few_outcomes
from core.measures.design_effect import groups_among, of_mean
from core.measures.evaluate import class_column, result_column
from core.measures.intervals import at_least, benjamini_hochberg, wilson
from core.measures.slice import Slice
from core.measures.traits import COLUMN, CONCEPT, FEATURE, PICTURE, Tokens, picture_words, tokens_of
from core.study.reader import StudyReader

# Which slices of a ranked list show errors of their own, so that a short list shows a variety.


NEW_SHARE = 0.5


def distinct_slices(study: StudyReader, wrong: np.ndarray, slices: Sequence[Slice]) -> np.ndarray:
    """Mark the slices of a list that show mostly errors of their own (see `distinct`): (n_slices,) bool.

    wrong: (n_images,) bool, the misclassified images.
    """
    return distinct([np.flatnonzero(where.mask(study) & wrong) for where in slices])


def distinct(errors: Sequence[np.ndarray], *, share: float = NEW_SHARE) -> np.ndarray:
    """Mark the slices with many errors, of a list, whose errors are mostly their own: (n_slices,) bool.

    Slice s is marked when |E_s \\ U_s| >= share * |E_s| and E_s is not empty, with E_s its misclassified
    images and U_s those of all marked slices before it. So the first slice with errors is always marked.

    Args:
        errors: rows of the misclassified images of each slice, in the order of the list.
        share: of a slice's errors that no marked slice before it may hold, in [0, 1].
    """
    is_shown = np.zeros(1 + max((int(rows.max()) for rows in errors if rows.size), default=0), bool)
    marked = np.zeros(len(errors), bool)
    for at, rows in enumerate(errors):
        if rows.size and np.count_nonzero(~is_shown[rows]) >= share * rows.size:
            marked[at] = True
            is_shown[rows] = True
    return marked


def varied(wrong: np.ndarray, right: np.ndarray, taken: set[int], n: int) -> list[int]:
    """Choose `n` images of a slice: misclassified ones first, and of these the ones not taken yet.

    Args:
        wrong, right: rows of its misclassified and of its other images, in the order wanted.
        taken: rows that stand elsewhere already.
    """
    new = [row for row in wrong.tolist() if row not in taken]
    old = [row for row in wrong.tolist() if row in taken]
    return [*new, *old, *right.tolist()][:n]


# Find the worst slices: classes, traits, and classes with a trait, with too many misclassified images.
#
# A candidate has at least `min_images` evaluation images. With n images and k errors, and K errors among
# the N images that it is compared with (itself included), p is the chance of k or more errors among n
# random draws (Fisher's exact test, one-sided), corrected by the method of Benjamini and Hochberg over all
# candidates of pictures (dark, blurred …), and over all others, of which a study has thousands; candidates
# with the same images count as one. Slices are selected and evaluated on the same images, so the error
# rates of the worst are somewhat higher than new images would show.


MIN_IMAGES = 10
MOST_ROWS = 1000
SIGNIFICANT = 0.05
BLOCK_PAIRS = 1 << 20  # images of traits that are counted at a time: a study has many millions
PRINTS = ["first_print", "second_print"]
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
    """Return the images of a slice with a known correctness; None if there are none.

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
        label, kind ('class', or one of `traits.KINDS`), trait, also (names of the same images), where
        (the slice's text form), n, errors, error_rate, low, high, rest (error rate of the images that it is
        compared with), lift (error_rate / rest; NaN where rest is 0), p, q (NaN of fewer than 8 errors or
        correct images, `too_few_errors`).
    """
    population = judged(study, among)
    if population is None:
        return pd.DataFrame(columns=COLUMNS)
    tokens = tokens_of(study, population.mask)
    groups = groups_among(study.groups, population.mask)
    effect = of_mean(population.wrong[population.mask].astype(float), groups)
    candidates = find(
        tokens,
        population.wrong,
        population.labels,
        population.mask,
        min_images=min_images,
        against=against,
        effect=effect,
    )
    if too_few_errors(population):
        candidates["q"] = np.nan
    is_significant = candidates["q"].to_numpy() <= SIGNIFICANT
    order = np.lexsort([-candidates["errors"], -candidates["low"], ~is_significant])
    if significant:  # they come first
        order = order[: np.count_nonzero(is_significant)]
    candidates = candidates.iloc[order[:limit]].reset_index(drop=True)
    return _named(candidates, tokens, study, population.split)


def too_few_errors(population: KnownVerdicts) -> Record | Literal[""]:
    """Return "is unclear from only 5 errors" where no slice can be called worse for that; else ''."""
    n_wrong = int(np.count_nonzero(population.wrong & population.mask))
    return too_few_outcomes(n_wrong, int(np.count_nonzero(population.mask)) - n_wrong)


def find(
    tokens: Tokens,
    wrong: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    *,
    min_images: int = MIN_IMAGES,
    against: str = ALL,
    seed: int = 0,
    effect: float = 1.0,
) -> pd.DataFrame:
    """Error rate, interval and test of every slice that the finder of slices with many errors considers.

    A row a candidate: label (-1 any), trait (-1 any), same (numbers of further traits with
    the same images), n, errors, error_rate, low, high, rest, lift, p, q; in no order.

    Args:
        tokens: traits of the images of `mask`.
        wrong, labels, mask: (n_images,) as in `KnownVerdicts`.
        effect: the design effect of the errors of all images, where images come in groups: intervals and
            tests are those of n / effect images (Rao and Scott 1992, of a common effect).
    """
    rows = np.flatnonzero(mask)
    marks = np.random.default_rng(seed).integers(1, 1 << 30, (2, len(mask))).astype(np.float64)
    parts = _images_of_candidates(tokens, labels, rows, against)
    counted = [_counted(*part, len(tokens) + 1, wrong, marks, min_images) for part in parts]
    candidates = pd.concat(counted).sort_values(["label", "trait"], ignore_index=True)
    candidates = _merged(candidates.drop(columns=PRINTS), candidates[PRINTS].to_numpy())
    is_picture = np.array([kind == PICTURE for kind in tokens.kinds] + [False])[candidates["trait"]]
    parts = [candidates.loc[is_picture == one].reset_index(drop=True) for one in (False, True)]
    tested = [_tested(part, wrong[rows], labels[rows], against, effect) for part in parts]
    return pd.concat(tested, ignore_index=True)


def _images_of_candidates(
    tokens: Tokens, labels: np.ndarray, rows: np.ndarray, against: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield labels, traits and image rows: every candidate with all its images, in one part of many."""
    every = rows if against == ALL else rows[:0]
    yield labels[every], np.full(len(every), -1), every
    in_order = bool((tokens.ids[1:] >= tokens.ids[:-1]).all())
    order = slice(None) if in_order else np.argsort(tokens.ids, kind="stable")
    ids, images = tokens.ids[order], tokens.rows[order]
    ends, start = np.cumsum(np.bincount(ids, minlength=len(tokens))), 0
    while start < len(ids):  # whole traits, with BLOCK_PAIRS images or just more
        stop = int(ends[min(np.searchsorted(ends, start + BLOCK_PAIRS), len(ends) - 1)])
        trait, row = ids[start:stop], images[start:stop]
        label = labels[row]
        yield label[label >= 0], trait[label >= 0], row[label >= 0]
        if against == ALL:
            yield np.full(len(row), -1), trait, row
        start = stop


def _counted(
    label: np.ndarray, trait: np.ndarray, row: np.ndarray, width: int, wrong: np.ndarray, marks: np.ndarray,
    min_images: int,
) -> pd.DataFrame:  # fmt: skip
    """Count the images of some candidates and the errors among them, and add up their two marks."""
    cell, cells = pd.factorize((label + 1) * width + trait + 1)
    n = np.bincount(cell, minlength=len(cells))
    errors = np.bincount(cell, weights=wrong[row], minlength=len(cells)).astype(np.int64)
    prints = [np.bincount(cell, weights=mark[row], minlength=len(cells)) for mark in marks]
    counted = {"label": cells // width - 1, "trait": cells % width - 1, "n": n, "errors": errors}
    candidates = pd.DataFrame(counted | dict(zip(PRINTS, prints, strict=True)))
    return candidates.loc[(n >= min_images) & (candidates["label"] + candidates["trait"] > -2)]


def _merged(candidates: pd.DataFrame, prints: np.ndarray) -> pd.DataFrame:
    """Keep one row per set of images; `prints`, (n, 2), the sums of two random marks, identify the sets."""
    keys = np.column_stack([prints, candidates["n"].to_numpy(np.float64)])
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    traits = candidates["trait"].to_numpy()
    same: list[list[int]] = [[] for _ in first]
    repeated = np.bincount(which.ravel(), minlength=len(first))[which.ravel()] > 1
    for at in np.flatnonzero(repeated):
        same[which.ravel()[at]].append(int(traits[at]))
    return candidates.iloc[first].assign(same=same).reset_index(drop=True)


def _tested(
    candidates: pd.DataFrame, wrong: np.ndarray, labels: np.ndarray, against: str, effect: float
) -> pd.DataFrame:
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
        totals = np.full(len(n), len(wrong))
        marked = np.full(len(n), int(wrong.sum()))
    low, high = wilson(errors / effect, n / effect)
    rate, rest = safe_divide(errors, n), safe_divide(marked - errors, totals - n)
    counts = (errors, n, marked, totals)
    if effect != 1.0:
        counts = tuple(np.rint(count / effect).astype(np.int64) for count in counts)
    p = at_least(*counts)
    lift = safe_divide(rate, np.nan_to_num(rest))
    q = benjamini_hochberg(np.where(totals > n, p, np.nan))
    candidates = candidates.assign(error_rate=rate, low=low, high=high, rest=rest, lift=lift, p=p, q=q)
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
    """Name a trait of a slice's images: 'feature 12' (or 'latent 12'), a word, 'background: sand'."""
    if trait < 0:
        return ""
    if tokens.kinds[trait] == FEATURE:
        return f"{feature} {tokens.names[trait]}"
    column, name = tokens.within[trait], tokens.names[trait]
    if tokens.kinds[trait] == PICTURE:
        return picture_words(column, name)
    return f"{column}: {name}" if column else name


def slice_of(tokens: Tokens, trait: int, label: str | None, split: str | None) -> Slice:
    """Build the slice with many errors that the finder has found: of a trait, a label and a split."""
    base = Slice(split=split, labels=() if label is None else (label,))
    if trait < 0:
        return base
    kind, name = tokens.kinds[trait], tokens.names[trait]
    column = tokens.within[trait]
    if kind == FEATURE:
        extra = Slice(fires=(int(name),))
    elif kind == CONCEPT:
        extra = Slice(concepts=(name,))
    elif kind == COLUMN:
        extra = Slice(extras={column: (name,)})
    else:
        extra = Slice.parse(f"{column}={name}")
    return Slice.joined([base, extra])
