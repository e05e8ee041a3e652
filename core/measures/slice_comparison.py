"""Two slices compared, and the images that a slice is compared with."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from core.common.captions import class_id
from core.common.dataframes import safe_divide
from core.measures import intervals
from core.measures.design_effect import effective_counts, groups_among, of_copies
from core.measures.evaluate import named_splits, names_images
from core.measures.slice import Slice
from core.measures.traits import FEATURE, PICTURE, Traits, count_traits, picture_words
from core.study.reader import StudyReader

# Compare two slices: headline numbers with intervals, and the traits more common in one of them.
#
# Differences are between disjoint sets of images: images in both slices count in the smaller slice only.
# The interval of a difference of shares is Newcombe's, the test is Fisher's exact test (two-sided),
# corrected over all traits of a kind by the method of Benjamini and Hochberg.


MEANS = {  # and what they lie within
    "q_score": intervals.UNBOUNDED,
    "confidence": (0.0, 1.0),
    "n_firing": (0.0, np.inf),
}
SCORE_OF_AUROC = {"q_auroc": "q_score", "confidence_auroc": "confidence"}  # and the score that each judges


def metrics(
    mask: np.ndarray, columns: Mapping[str, np.ndarray], groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Headline numbers of one slice: those of `means`, and the AUROCs whose columns are there.

    'q_auroc' and 'confidence_auroc' tell correct from misclassified images of the slice by Q and by
    confidence.
    """
    table = means(mask, columns, groups)
    if "correct" not in columns:
        return table
    judged = mask & np.isfinite(columns["correct"])
    judged_groups, is_right = groups_among(groups, judged), columns["correct"][judged] == 1
    for metric, score in SCORE_OF_AUROC.items():
        if score in columns:
            area = intervals.auroc_interval(columns[score][judged], is_right, judged_groups)
            table.loc[len(table)] = [metric, *area]
    return table


def means(
    mask: np.ndarray, columns: Mapping[str, np.ndarray], groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Sizes, shares and means of one slice of images: metric, value, low, high, n.

    metric: 'n_images'; 'accuracy' (Wilson's interval); 'q_score', 'confidence' and 'n_firing' (means,
    Student's). Undefined is NaN.

    Args:
        mask: (n_images,) bool. columns: 'correct' (1, 0, NaN) and those of MEANS, each (n_images,) float64;
            a metric whose column is missing is left out.
        groups: (n_images,) codes of patients, lesions or sequences, over which intervals are; or None.
    """
    inside = np.flatnonzero(mask)
    n_images = len(inside)
    rows: list[tuple[str, float, float, float, int]] = []
    rows.append(("n_images", float(n_images), np.nan, np.nan, n_images))
    values = {name: column[inside] for name, column in columns.items()}
    inside_groups = groups_among(groups, inside)
    if "correct" in values:
        is_known = np.isfinite(values["correct"])
        outcomes = values["correct"][is_known]
        low, high = intervals.share_bounds(outcomes, groups_among(inside_groups, is_known))
        rows.append(("accuracy", float(safe_divide(outcomes.sum(), len(outcomes))), low, high, len(outcomes)))
    for name, within in MEANS.items():
        if name in values:
            rows.append((name, *intervals.mean_interval(values[name], within=within, groups=inside_groups)))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n"])


def separate(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the masks of two slices disjoint: common images stay in the smaller one (`a` if equal)."""
    both = a & b
    if np.count_nonzero(a) > np.count_nonzero(b):
        return a & ~both, b
    return a, b & ~both


def trait_differences(
    traits: Traits, counts: np.ndarray, sizes: tuple[int, int], effects: tuple[float, float] = (1.0, 1.0)
) -> pd.DataFrame:
    """Compare the share of each trait in slice a with that in slice b, most significant difference first.

    Args:
        counts: (2, n_traits) images with the trait, of a and of b, which share no images.
        sizes: images of a and of b.
        effects: their design effects where images come in groups: n / d of them are independent.
    Returns:
        trait (its number), kind, name, within, k_a, k_b (images with it), rate_a, rate_b, difference, low,
        high, p, q. Traits that occur in neither slice are left out.
    """
    n_a, n_b = sizes
    there = np.flatnonzero(counts.sum(0) > 0)
    k_a, k_b = counts[:, there]
    d_a, d_b = effects
    low, high = intervals.newcombe(k_a / d_a, n_a / d_a, k_b / d_b, n_b / d_b)
    p = np.full(len(there), np.nan)
    if n_a and n_b:
        (whole_a, of_a), (whole_b, of_b) = effective_counts(k_a, n_a, d_a), effective_counts(k_b, n_b, d_b)
        p = intervals.two_sided(whole_a, of_a, whole_a + whole_b, of_a + of_b)
    kinds = np.array(traits.kinds, object)[there]
    q = np.full(len(there), np.nan)
    for kind in set(kinds):
        q[kinds == kind] = intervals.benjamini_hochberg(p[kinds == kind])
    rate_a, rate_b = safe_divide(k_a, n_a), safe_divide(k_b, n_b)
    names, within = np.array(traits.names, object)[there], np.array(traits.within, object)[there]
    columns = {"trait": there, "kind": kinds, "name": names, "within": within}
    columns |= {"k_a": k_a, "k_b": k_b, "rate_a": rate_a, "rate_b": rate_b}
    columns |= {"difference": rate_a - rate_b, "low": low, "high": high, "p": p, "q": q}
    table = pd.DataFrame(columns)
    order = np.lexsort([-np.abs(np.nan_to_num(table["difference"])), table["p"]])
    return table.iloc[order].reset_index(drop=True)


def compare_traits(
    study: StudyReader, masks: tuple[np.ndarray, np.ndarray], words: Mapping[int, str]
) -> pd.DataFrame:
    """Compare the traits of two slices; see `trait_differences`.

    Args:
        masks: (n_images,) bool each. Images in both count in the smaller slice only.
        words: what features are called.
    Returns:
        its table, with `title`, what a trait is called.
    """
    apart = separate(*masks)
    traits, counts = count_traits(study, apart)
    sizes = int(np.count_nonzero(apart[0])), int(np.count_nonzero(apart[1]))
    of_a, of_b = (of_copies(groups_among(study.groups, mask)) for mask in apart)
    table = trait_differences(traits, counts, sizes, (of_a, of_b))
    named = zip(table["kind"], table["within"], table["name"], strict=True)
    return table.assign(title=[_title(study, kind, within, name, words) for kind, within, name in named])


def _title(study: StudyReader, kind: str, within: str, name: str, words: Mapping[int, str]) -> str:
    if kind == FEATURE:
        meaning = words.get(int(name))
        return f"{study.feature_kind} {name}" + (f" ({meaning})" if meaning else "")
    if kind == PICTURE:
        return f"images {picture_words(within, name)}"
    return f"{within}: {name}" if within else name


# The images of a slice, and those that it is compared with.
#
# A slice holds evaluation images unless it names a split, and all images in a study without evaluation
# images.


def population(
    study: StudyReader, where: Slice, against: Slice | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of a slice, and those that it is compared with, (n_images,) bool each.

    The two share no images: as in `core.measures.slice_comparison.separate`, images in both slices stay in
    the smaller one (in the first where both are equal). So the first mask is smaller than its slice only
    where `against` overlaps it and is the smaller one.

    Args:
        against: the other slice, by the same rule of splits; None: all other images of the slice's split.
    Raises:
        SliceError: the study lacks something that a slice names.
    """
    inside = images_of(study, where)
    if against is None:
        return inside, split_of(study, where) & ~inside
    return separate(inside, images_of(study, against))


def images_of(study: StudyReader, where: Slice) -> np.ndarray:
    """(n_images,) bool: the images of a slice, of the evaluation split unless it names another one."""
    return with_split(study, where).mask(study)


def with_split(study: StudyReader, where: Slice) -> Slice:
    """Return the slice with the split that it means: the evaluation split, unless it names a split or single
    images, itself or by a saved slice, or the study has no evaluation images. Classes are those of the study
    (`class_id`).
    """
    for condition in ("labels", "predicted", "confusion"):
        if classes := getattr(where, condition):
            ids = tuple(class_id(class_, study.class_names) for class_ in classes)
            where = replace(where, **{condition: ids})
    if named_splits(where, study) or names_images(where, study) or not study.is_val.any():
        return where
    return replace(where, split="val")


def is_filtered(study: StudyReader, population: Slice) -> bool:
    """Return True when a population of images, as `with_split` gives it, is not that of an empty slice."""
    return population != with_split(study, Slice())


def shown_images(study: StudyReader) -> np.ndarray:
    """(n_images,) bool: those of the slice that a study is narrowed to, else evaluation images, else all."""
    return images_of(study, Slice()) if study.chosen is None else study.chosen


def split_of(study: StudyReader, where: Slice) -> np.ndarray:
    """(n_images,) bool: all images of the splits that a slice means, see `with_split`."""
    splits = named_splits(with_split(study, where), study)
    if not splits:
        return np.ones(study.n_images, bool)
    return study.column("images", "split").isin(sorted(splits)).to_numpy(bool)


def train_images(study: StudyReader) -> np.ndarray:
    """(n_images,) bool: the population of which all that is fitted has learned, the train split as stored.

    An answer that was not fitted may be judged on these, too.
    """
    whole = getattr(study, "whole", None)  # that is narrowed, or read by another answer
    return ~study.is_val if whole is None else train_images(whole)
