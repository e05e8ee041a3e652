"""What is said of labels: how many were checked, and that none is wrong only of those."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.measures.label_issues import (
    COLUMNS,
    count_sentence,
    decided_sentence,
    doubt_sentence,
    is_open,
    issues_sentence,
    listed_issues,
    own_errors,
    share_agreeing,
)
from tests.sentences import as_record, numbers


def table_of(margins: list[float], *, doubtful: int = 0) -> pd.DataFrame:
    """Labelled images with these margins, the first of which are listed."""
    n = len(margins)
    table = pd.DataFrame({name: [None] * n for name in COLUMNS})
    checked = int(np.isfinite(margins).sum())
    return table.assign(
        label="cat", suggested="dog", confidence=0.75, margin=margins, n_checked=checked,
        listed=np.arange(n) < doubtful, rank=np.arange(1, n + 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("margins", "doubtful", "kind", "said"),
    [
        ([-0.5, 0.2, 0.9], 1, "some", ["1", "3"]),
        ([0.1, 0.2, 0.9], 0, "none", ["3"]),
        ([-0.5, 0.2, np.nan], 1, "some_checked", ["1", "2", "1"]),
        ([0.5, np.nan, np.nan], 0, "none_checked", ["1", "2"]),
    ],
)
def test_count__says_that_none_is_wrong_of_all_only_where_all_were_checked(margins, doubtful, kind, said):
    sentence = count_sentence(table_of(margins, doubtful=doubtful))
    assert sentence.kind == kind and numbers(sentence) == said


def test_sentence__has_an_example_and_warns_of_weak_models():
    table = table_of([-0.5, 0.2, 0.9, np.nan], doubtful=1)
    assert numbers(issues_sentence(table))[:3] == ["1", "3", "1"] and len(listed_issues(table)) == 1
    assert "75" in numbers(issues_sentence(table)) and share_agreeing(table) == pytest.approx(2 / 3)
    assert numbers(own_errors(table)) == ["67"] and own_errors(table_of([0.1] * 9)) == ""
    assert issues_sentence(table_of([])) == "" and np.isnan(share_agreeing(table_of([])))


def test_decided__labels_are_counted_and_no_example_is_one_of_them():
    table = table_of([-0.5, -0.4, -0.3, -0.2, 0.9], doubtful=4)
    assert decided_sentence(table) == "" and doubt_sentence(table.iloc[0].to_dict()) is not None
    table["by_decision"] = ["changed", "kept", None, "unsure", "kept"]  # the last is not listed
    table["label"] = ["ant", "bee", "cat", "dog", "eel"]
    assert numbers(decided_sentence(table)) == ["3", "1", "1", "1"]
    assert "cat" in issues_sentence(table) and "ant" not in issues_sentence(table)
    assert [doubt_sentence(row) is None for row in table.to_dict("records")] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert is_open(table).tolist() == [False, False, True, False, False]
    assert count_sentence(table).kind == "some" and as_record(decided_sentence(table)).kind == "decided"


def test_decided__of_all_labels_none_may_be_wrong_any_more():
    table = table_of([-0.5, -0.4, 0.2], doubtful=2).assign(by_decision=["changed", "kept", None])
    assert count_sentence(table).kind == "all_decided" and numbers(count_sentence(table)) == ["2", "3"]
    assert as_record(decided_sentence(table)).kind == "decided_all" and own_errors(table) == ""
    assert own_errors(table.assign(by_decision=["changed", None, None])) != ""
