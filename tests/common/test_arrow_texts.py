"""Columns of texts without an object a row: the same as pandas and Python give of objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.common import arrow_tables
from core.common.arrow_tables import as_texts, coded, each, n_different, repeated, texts_of_codes

TEXTS = st.lists(st.sampled_from(["a", "b", "", "Ä", "cat/1.jpg", "cat/2.jpg"]), max_size=30)


def in_chunks(texts: list) -> pd.Series:
    """A column of several buffers, as a table read in parts has."""
    half = len(texts) // 2
    return pd.concat([as_texts(texts[:half]), as_texts(texts[half:])], ignore_index=True)


@given(TEXTS)
def test_repeated_and_different__are_those_of_pandas(texts):
    column = in_chunks(texts)
    assert repeated(column).tolist() == pd.Series(texts, dtype=object).duplicated().tolist()
    assert n_different(column) == len(set(texts)) and list(each(column)) == texts


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=20))
def test_codes__are_numbered_as_they_come_and_become_the_texts_again(texts):
    numbered = coded(in_chunks(texts))
    assert numbered.names == list(dict.fromkeys(text for text in texts if text is not None))
    assert [numbered.names[code] if code >= 0 else None for code in numbered.codes] == texts
    again = texts_of_codes(numbered.codes, numbered.names)
    assert [text if isinstance(text, str) else None for text in again] == texts


def test_batches__of_a_few_rows_give_the_same(monkeypatch):
    monkeypatch.setattr(arrow_tables, "BATCH", 3)
    column = in_chunks([f"{number % 7}" for number in range(20)])
    assert list(each(column)) == column.tolist() and n_different(column) == 7
    assert repeated(column).tolist() == column.duplicated().tolist()


def test_repeated__of_two_texts_of_one_hash_is_none(monkeypatch):
    monkeypatch.setattr(arrow_tables, "hashes", lambda column: np.zeros(len(column), np.int64))
    assert repeated(as_texts(["a", "b", "a"])).tolist() == [False, False, True]


@pytest.mark.parametrize("values", [["a", None], as_texts(["a", "b"])])
def test_as_texts__keeps_a_column_of_texts_as_it_is(values):
    column = as_texts(values)
    assert column.dtype == "str"
    assert (column is values) == isinstance(values, pd.Series)
