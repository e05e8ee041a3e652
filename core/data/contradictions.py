"""Rows of one image that say two things of it, and classes that two splits spell differently."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.common.arrow_tables import as_texts, coded, texts_of_codes
from core.common.label_match import few, match_labels
from core.common.records import Templates
from core.data.source import unseen_note

# Labels of train and evaluation images that name one class in two spellings.


say_of_splits = Templates.beside(__file__)


def one_spelling(splits: Sequence[str], labels: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """Write the labels of evaluation images as the train images write the same classes.

    A folder `hot_dog` of train and `Hot Dog` of val are one class, `n01440764` and `tench` are, `01` and `1`
    are; classes that one split tells apart stay apart (`match_labels`).

    Args:
        splits: "train" or "val" of each image. labels: the class of each image, None for none.
    Returns:
        The label of each image, and notes: classes in another spelling, classes of val not in train.
    """
    is_val = np.array([split != "train" for split in splits], bool)
    spelled, notes = spelled_as_train(as_texts(labels), is_val)
    return [name if isinstance(name, str) else None for name in spelled], notes


def spelled_as_train(labels: pd.Series, is_val: np.ndarray) -> tuple[pd.Series, list[str]]:
    """Write a column of evaluation labels as train images write the same classes. is_val: (n_images,)."""
    classes = coded(labels)
    train_codes, val_codes = (_first_seen(classes.codes[side]) for side in (~is_val, is_val))
    train_names, names = ([classes.names[code] for code in codes] for codes in (train_codes, val_codes))
    meant: dict[str, str] = {}
    if set(names) - set(train_names) and train_names:
        match = match_labels([[name] for name in names], train_names)
        pairs = zip(names, match.code.tolist(), strict=True)
        meant = {name: train_names[code] for name, code in pairs if code >= 0 and train_names[code] != name}
    notes = [*_note(meant), *unseen_note(set(train_names), {meant.get(name, name) for name in names})]
    if not meant:
        return labels, notes
    number = {name: code for code, name in enumerate(classes.names)}
    code_of = np.array([number[meant.get(name, name)] for name in classes.names] + [-1], np.int32)  # -1: none
    return texts_of_codes(np.where(is_val, code_of[classes.codes], classes.codes), classes.names), notes


def _first_seen(codes: np.ndarray) -> list[int]:
    """The different codes that are not negative, in the order in which they first come."""
    different, first = np.unique(codes, return_index=True)
    return [code for code in different[np.argsort(first)].tolist() if code >= 0]


def _note(meant: dict[str, str]) -> list[str]:
    pairs = tuple(f"'{name}' is '{label}'" for name, label in sorted(meant.items()))
    return [say_of_splits("respelled", n=len(pairs), what=few(pairs), names=pairs)] if pairs else []


# Rows of one image that say two things of it, and splits whose classes are named in two ways: both sides.


class Contradiction(NamedTuple):
    """The first image of which two rows say different things; rows count from 1."""

    image: str
    first: str
    row: int
    second: str
    other_row: int

    def __str__(self) -> str:
        return (
            f"'{self.image}' is '{self.first}' in row {self.row} and '{self.second}' in row {self.other_row}"
        )


def find_contradiction(images: pd.Series, values: pd.Series) -> Contradiction | None:
    """Find an image that a listing gives two different values; rows without one say nothing.

    Args:
        images, values: of the same rows, in their order.
    """
    pairs = pd.DataFrame({"image": images.to_numpy(), "value": values.to_numpy()}).dropna()
    pairs = pairs.loc[pairs["image"].duplicated(keep=False)]
    firsts = pairs.groupby("image")["value"].transform("first")
    others = pairs.loc[pairs["value"] != firsts]
    if not len(others):
        return None
    row = int(others.index[0])
    image, second = others.loc[row, ["image", "value"]]
    first = int(pairs.index[pairs["image"] == image][0])
    return Contradiction(str(image), str(pairs.loc[first, "value"]), first + 1, str(second), row + 1)
