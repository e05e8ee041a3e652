"""Labels of train and evaluation images that name one class in two spellings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.common.arrow_texts import as_texts, coded, texts_of_codes
from core.common.labels.match import few, match_labels
from core.common.records import Templates
from core.data.sources.source import unseen_note

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
    """Do the same with a column of labels; not copied where nothing changes. Args: is_val: (n_images,)."""
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
