"""What the images of a slice show in words, and which of its parts have the most errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.slices import finder
from core.slices.compare import trait_differences
from core.slices.slice import Slice
from core.slices.traits import CONCEPT, tokens_of
from core.traces.traces import read_traces

if TYPE_CHECKING:
    from core.store import Study

MOST_WORDS = 2  # of a feature, where it is named
COLUMNS = ["word", "n", "n_against", "rate", "rate_against", "difference", "low", "high", "p", "q"]


def slice_words(study: Study, mask: np.ndarray, against: np.ndarray) -> pd.DataFrame:
    """Words that are more common in a slice than elsewhere, largest difference first, ties by word.

    An image has a word if it highly activates a feature or group that kept the word. Interval and tests are
    those of `core.slices.compare.trait_differences`; q is corrected over all words of the images.

    Args:
        mask, against: (n_images,) bool, without common images (see `population`).
    Returns:
        word, n, n_against (images with the word), rate, rate_against, difference, low, high, p, q. Empty
        without concepts, or where one side has no images.
    """
    tokens = tokens_of(study, mask | against, (CONCEPT,))
    sides = [np.bincount(tokens.of(side).ids, minlength=len(tokens)) for side in (mask, against)]
    sizes = int(np.count_nonzero(mask)), int(np.count_nonzero(against))
    found = trait_differences(tokens, np.stack(sides), sizes)
    found = found.loc[found["difference"] > 0].rename(
        columns={"name": "word", "k_a": "n", "k_b": "n_against", "rate_a": "rate", "rate_b": "rate_against"}
    )
    found = found.sort_values(["difference", "word"], ascending=[False, True], ignore_index=True)
    return found[COLUMNS]


def best_words(concepts: pd.DataFrame, *, most: int = MOST_WORDS) -> dict[int, list[str]]:
    """Return the best words of each single feature, none of them a part of another.

    Args:
        concepts: group, rank, word, kept of the table `concepts`. most: words per feature.
    """
    kept: Any = concepts[
        concepts["kept"].to_numpy(bool) & ~concepts["group"].str.contains("_").to_numpy(bool)
    ]
    kept = kept.sort_values("rank", kind="stable")
    found: dict[int, list[str]] = {}
    for group, word in zip(kept["group"], kept["word"], strict=True):
        mine = found.setdefault(int(group), [])
        if len(mine) < most and not any(word in other or other in word for other in mine):
            mine.append(word)
    return found


def feature_words(study: Study, *, most: int = MOST_WORDS, named: bool = True) -> dict[int, list[str]]:
    """Return what each single feature is called: the name that people gave it, else its `best_words`.

    Features without a name are missing where there are no concepts. named: False for the words alone.

    Raises:
        DamagedTraces: the names cannot be read.
    """
    words = {}
    if study.has("concepts"):
        words = best_words(study.table("concepts", ["group", "rank", "word", "kept"]), most=most)
    names = read_traces(study.path).feature_names if named else {}
    return words | {feature: [name] for feature, name in names.items()}


def worst_within(
    study: Study,
    mask: np.ndarray,
    *,
    within: Slice | None = None,
    min_images: int = finder.MIN_IMAGES,
    against: str = finder.ALL,
    limit: int = finder.MOST_ROWS,
) -> pd.DataFrame:
    """Find the parts of a slice with too many misclassified images, most significant first.

    Args:
        mask: (n_images,) bool: the slice. A part is compared with the rest of the slice.
        within: the slice in text form, which the column `where` then begins with.
        min_images, against, limit: as for `core.slices.finder.worst_slices`, which finds them.
    Returns:
        the columns of `worst_slices`.
    """
    found = finder.worst_slices(study, min_images=min_images, against=against, limit=limit, among=mask)
    if within is None:
        return found
    joined = [str(Slice.joined([within, Slice.parse(text)])) for text in found["where"]]
    return found.assign(where=joined)
