"""The order in which features are shown, the most telling first: one for pages, reports and exports."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, safe_divide
from core.common.verdict_words import RELIABLE, USEFUL
from core.measures.evaluate import made_once
from core.measures.feature_names import feature_names
from core.measures.slice_features import (
    class_firing,
    classes_tell,
    count_firing_images,
    likeness_of_strongest,
)
from core.measures.slice_words import feature_words, name_verdicts
from core.study.reader import StudyReader
from core.study.traces import read_traces

FULL = 8  # images of a card without words, which fewer leave half empty
CLEAR = (RELIABLE, USEFUL)  # verdicts on names


def telling_features(
    study: StudyReader, inside: np.ndarray, others: np.ndarray, *, named: bool = True
) -> list[int]:
    """List all features, the most telling of the images of a slice first (docs/method.md 9).

    Where there are other images: by how much more often a feature fires on those of the slice. Else the
    strongest of each meaning come first (its first word, else its name), so that a page does not show one
    thing five times; among these the features that people named, and those whose word is reliable or useful;
    then by the share of the images that make a feature fire and are of the class of most of these. Where
    classes are too small to tell, the features that fire on `FULL` images or more lead, and how alike the
    strongest images of a feature are takes the place of that share. Equal ones by how often they fire, then
    by number; those that fire on none of the images are the last.

    Args:
        inside, others: (n_images,) bool, without common images (see `population`).
        named: False without the names that people gave.
    Raises:
        DamagedTraces: the names that people gave cannot be read.
    """
    if not study.has_firing:
        return np.argsort(-numbers(study.table("features"), "activation_rate"), kind="stable").tolist()
    n, n_others = int(np.count_nonzero(inside)), int(np.count_nonzero(others))
    counts = count_firing_images(study, [inside, others])
    rates = safe_divide(counts[0], n, empty=0.0)
    if n and n_others:
        keys = [counts[1] / n_others - rates]
    else:
        keys = _keys_of_meaning(study, counts[0], _strength(study, inside, rates), named)
        keys = keys if _classes_tell(study) else [counts[0] < FULL, *keys]
    order = np.lexsort([np.arange(len(rates)), -rates, *keys[::-1], rates == 0])
    return order.tolist()


def _classes_tell(study: StudyReader) -> bool:
    """Whether classes are large enough to tell something of features, or nothing else is known of them."""
    return classes_tell(study) or not study.has("top_images")


def _strength(study: StudyReader, inside: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(n_features,) float64: what a feature tells by its class, else by its images; -inf where undefined."""
    if not _classes_tell(study):
        value = made_once(study, "likeness of strongest images", lambda: likeness_of_strongest(study))
    else:
        counts, _ = class_firing(study, inside)
        purity = safe_divide(counts.max(1, initial=0), counts.sum(1))
        value = np.where(np.isfinite(purity), purity * rates, rates)
    return np.where(np.isfinite(value), value, -np.inf)


def _keys_of_meaning(
    study: StudyReader, counts: np.ndarray, strength: np.ndarray, named: bool
) -> list[np.ndarray]:
    """Keys of the order, first the first, each (n_features,), where the smallest comes first."""
    given = read_traces(study.path).feature_names if named else {}
    clear = np.zeros(len(counts), bool)
    clear[[one for one, verdict in name_verdicts(study).items() if verdict.word in CLEAR]] = True
    clear[[one for one in given if one < len(clear)]] = True
    words = feature_words(study, named=named)
    called = feature_names(study, named=named) | {one: some[0] for one, some in words.items()}
    meanings = pd.Series([called.get(one, str(one)) for one in range(len(counts))], dtype=object)
    best_first = np.lexsort([-strength, ~clear])
    nth = np.empty(len(counts), np.int64)
    nth[best_first] = meanings.iloc[best_first].groupby(meanings.iloc[best_first]).cumcount().to_numpy()
    return [nth, ~clear, -strength]
