"""Files that say two things of one image, or name classes in two ways: one line with both sides."""

from __future__ import annotations

import pandas as pd
import pytest

from core.data.contradictions import find_contradiction
from core.data.images import open_images
from core.errors import ImageSourceError
from tests.data.pictures import picture

ROWS = [
    ("0.png", "cat", "train"),
    ("1.png", "dog", "train"),
    ("2.png", "cat", "val"),
    ("3.png", "dog", "val"),
]


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    return tmp_path


def table(folder, *more: tuple[str, str, str]) -> str:
    frame = pd.DataFrame([*ROWS, *more], columns=["path", "label", "split"])
    frame.to_csv(folder / "t.csv", index=False)
    return str(folder / "t.csv")


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (("1.png", "dog", "val"), "two splits .* '1.png' is 'train' in row 2 and 'val' in row 5"),
        (("1.png", "cat", "train"), "two labels .* '1.png' is 'dog' in row 2 and 'cat' in row 5"),
        (("1.png", "dog", "train"), "occurs more than once"),
    ],
)
def test_table__of_two_rows_an_image(folder, row, line):
    with pytest.raises(ImageSourceError, match=line):
        open_images(table(folder, row))


def test_list__the_first_label_counts_and_both_are_said(folder):
    (folder / "list.txt").write_text("0.png cat\n1.png dog\n2.png cat\n1.png cat\n")
    source = open_images(folder / "list.txt")
    assert list(source.table["label"]) == ["cat", "dog", "cat"]
    assert any("'1.png' is 'dog' in row 2 and 'cat' in row 4" in note for note in source.notes)


def test_pair__without_a_common_class_names_both_sides(folder):
    frame = pd.DataFrame(ROWS, columns=["path", "label", "split"]).drop(columns="split")
    frame.iloc[:2].replace({"cat": "7", "dog": "9"}).to_csv(folder / "train.csv", index=False)
    frame.iloc[2:].to_csv(folder / "val.csv", index=False)
    source = open_images(folder / "train.csv", val=folder / "val.csv")
    (note,) = [note for note in source.notes if "not in train" in note]
    assert all(name in note for name in ("7, 9", "cat, dog"))


def test_find_contradiction__missing_values_say_nothing():
    images = pd.Series(["a", "a", "b", "b", "b"])
    assert find_contradiction(images, pd.Series(["x", None, None, "y", "y"])) is None
    found = find_contradiction(images, pd.Series(["x", "x", "y", None, "z"]))
    assert found == ("b", "y", 3, "z", 5)
