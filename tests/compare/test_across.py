from __future__ import annotations

from collections import Counter

import pandas as pd

from core.common.step_facts import ConceptsFacts
from core.compare.across import across_table, concept_counts, most_common_words, shared_matrix, shared_words

FOUND = {
    "a": Counter({"dog": 3, "red": 1, "sky": 1}),
    "b": Counter({"dog": 1, "cat": 5}),
    "c": Counter({"dog": 2, "red": 2}),
}


def test_concept_counts__by_hand():
    concepts = pd.DataFrame(
        {
            "group": ["1", "1", "2", "2", "2+3"],
            "word": ["dog", "red", "dog", "sky", "dog"],
            "kept": [True, True, True, False, True],
        }
    )
    assert concept_counts(concepts) == Counter({"dog": 3, "red": 1})


def test_most_common_words__breaks_ties_by_the_alphabet():
    assert most_common_words(Counter({"sky": 1, "red": 1, "dog": 2}), 2) == ["dog", "red"]


def test_across_table__by_hand():
    facts = {name: ConceptsFacts(n_interpretable_groups=n, k=3.0) for n, name in enumerate(FOUND)}
    table = across_table(FOUND, facts).set_index("study")
    assert table["n_concepts"].to_dict() == {"a": 3, "b": 2, "c": 2}
    assert table["n_unshared"].to_dict() == {"a": 1, "b": 1, "c": 0}
    assert table.at["b", "most_common_words"] == "cat; dog"
    assert table["n_interpretable_groups"].tolist() == [0, 1, 2]
    assert table["alpha"].isna().all()


def test_shared_matrix__is_symmetric_with_the_own_counts_on_the_diagonal():
    matrix = shared_matrix(FOUND)
    assert matrix.loc["a", "c"] == matrix.loc["c", "a"] == 2
    assert matrix.loc["a", "b"] == 1
    assert [matrix.loc[name, name] for name in FOUND] == [3, 2, 2]


def test_shared_words__come_with_those_of_most_studies_first():
    table = shared_words(FOUND)
    assert table["word"].tolist() == ["dog", "red", "cat", "sky"]
    assert table["n_studies"].tolist() == [3, 2, 1, 1]
    assert table["b"].tolist() == [1, 0, 5, 0]
    assert shared_words({"a": Counter()}).empty
