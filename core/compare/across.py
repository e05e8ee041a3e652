"""Compare words of studies: counts, and shared ones (Kalibhat, dissertation, Table B.1, Figs B.1, B.3)."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.common.step_facts import ConceptsFacts


def concept_counts(concepts: pd.DataFrame) -> Counter[str]:
    """Count the features and groups of one of several studies that have each kept word of its concepts."""
    kept_words = concepts["kept"].to_numpy(bool)
    pairs = set(zip(concepts["group"][kept_words], concepts["word"][kept_words], strict=True))
    return Counter(word for _, word in pairs)


def most_common_words(counts: Counter[str], n: int = 5) -> list[str]:
    """Return the words that most groups of a compared study have; ties in alphabetical order."""
    most_common_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in most_common_first[:n]]


def across_table(word_counts: Mapping[str, Counter[str]], facts: Mapping[str, ConceptsFacts]) -> pd.DataFrame:
    """Tabulate the words of features of several studies, one row per study (Table B.1).

    Args:
        word_counts: of each study, the number of groups that have each word. facts: of the step `concepts`.
    Returns:
        study, n_interpretable_groups, n_interpretable_features, n_concepts (unique words), n_unshared (in
        no other study), most_common_words, k, alpha, n_explainable, n_features, highly_activating_share.
    """
    rows = []
    for name, counts in word_counts.items():
        others = {word for other, words in word_counts.items() if other != name for word in words}
        about = facts[name]
        row = {
            "study": name,
            "n_interpretable_groups": about.n_interpretable_groups,
            "n_interpretable_features": about.n_interpretable_features,
            "n_concepts": len(counts),
            "n_unshared": len(set(counts) - others),
        }
        row |= {"most_common_words": "; ".join(most_common_words(counts))}
        row |= {"k": about.k, "alpha": about.alpha, "n_explainable": about.n_explainable}
        row |= {"n_features": about.n_features, "highly_activating_share": about.highly_activating_share}
        rows.append(row)
    return pd.DataFrame(rows)


def shared_matrix(word_counts: Mapping[str, Counter[str]]) -> pd.DataFrame:
    """Compare studies two by two: how many concept words both have (Fig. B.1); diagonal: their own."""
    names = list(word_counts)
    values = [[len(set(word_counts[a]) & set(word_counts[b])) for b in names] for a in names]
    return pd.DataFrame(values, index=names, columns=names)


def shared_words(word_counts: Mapping[str, Counter[str]]) -> pd.DataFrame:
    """List concept words of compared studies: word, n_studies, and of each study its number of groups.

    By descending number of studies, then of groups, then by word.
    """
    words = sorted({word for counts in word_counts.values() for word in counts})
    table = pd.DataFrame({"word": pd.array(words, dtype="str")})
    values = np.array([[counts[word] for counts in word_counts.values()] for word in words], np.int64)
    values = values.reshape(len(words), len(word_counts))
    table["n_studies"] = (values > 0).sum(1)
    for name, column in zip(word_counts, values.T, strict=True):
        table[name] = column
    order = np.lexsort([np.arange(len(words)), -values.sum(1), -table["n_studies"].to_numpy()])
    return table.iloc[order].reset_index(drop=True)
