"""Images by a part of their name, beside a loop that reads each name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.concepts.search import rows_named

NAMES = [
    "dog/Beagle_1.jpg",
    "dog/n02_beagle.jpg",
    "beagle/cat.png",
    "cat/beagle.jpeg",
    "cat/a.b(c).png",
    "0/10000940",
]


def slowly(names: list[str], text: str) -> list[int]:
    """Each name on its own, sorted by how well it fits."""
    part, ranked = text.strip().lower(), []
    for row, name in enumerate(names):
        file = name.lower().split("/")[-1]
        stem = file.rsplit(".", 1)[0]
        if part in (file, stem):
            ranked.append((0, row))
        elif file.startswith(part):
            ranked.append((1, row))
        elif part in file:
            ranked.append((2, row))
    if not ranked:
        ranked = [(3, row) for row, name in enumerate(names) if part in name.lower()]
    return [row for _, row in sorted(ranked)]


@pytest.mark.parametrize(
    "text", ["beagle", " BEAGLE ", "10000940", "0940", "b(c", "dog", "cat/", ".jpg", "zebra", "cat.png"]
)
def test_rows_named__agrees_with_a_loop(text):
    assert rows_named(pd.Series(NAMES), text).tolist() == slowly(NAMES, text)


def test_rows_named__the_file_called_so_goes_before_one_that_holds_it():
    assert rows_named(pd.Series(NAMES), "beagle").tolist() == [3, 0, 1]


def test_rows_named__folders_count_where_no_file_is_called_so():
    assert rows_named(pd.Series(NAMES), "dog").tolist() == [0, 1]


@pytest.mark.parametrize("text", ["", " ", "0"])
def test_rows_named__one_letter_finds_nothing(text):
    assert rows_named(pd.Series(NAMES), text).tolist() == []


def test_rows_named__no_image():
    assert rows_named(pd.Series([], dtype=object), "dog").dtype == np.int64
