"""Traits more common in one slice than in another: features, words, values of columns."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices.compare import separate, trait_differences
from core.slices.traits import FEATURE, count_traits


def compare_traits(
    study: StudyReader, masks: tuple[np.ndarray, np.ndarray], words: Mapping[int, str]
) -> pd.DataFrame:
    """Compare the traits of two slices; see `core.slices.compare.trait_differences`.

    Args:
        masks: (n_images,) bool each. Images in both count in the smaller slice only.
        words: what features are called.
    Returns:
        its table, with `title`, what a trait is called.
    """
    apart = separate(*masks)
    traits, counts = count_traits(study, apart)
    sizes = int(np.count_nonzero(apart[0])), int(np.count_nonzero(apart[1]))
    table = trait_differences(traits, counts, sizes)
    named = zip(table["kind"], table["within"], table["name"], strict=True)
    return table.assign(title=[_title(study, kind, within, name, words) for kind, within, name in named])


def _title(study: StudyReader, kind: str, within: str, name: str, words: Mapping[int, str]) -> str:
    if kind == FEATURE:
        meaning = words.get(int(name))
        return f"{study.feature_kind} {name}" + (f" ({meaning})" if meaning else "")
    return f"{within}: {name}" if within else name
