"""The unit of the data: which images are of one photograph, patient, lesion or sequence, and a split by it.

A *group* (as scikit-learn calls it) is never on both sides of a drawn split. It is named by a column of the
listing's `extras`: the one that was asked for, or one whose name says it and whose values repeat.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from core.common.arrow_tables import as_texts, coded, n_different, repeated
from core.common.records import Record, Templates
from core.errors import ImageSourceError, unknown_name

NONE = "none"  # as a name: each image is a group of its own
FEWEST_GROUPS = 5  # that are split without being asked for: a fifth of them is one
_WRITTEN = tomllib.loads(Path(__file__).with_name("unit_names.toml").read_text(encoding="utf-8"))
_SIGNS = re.compile(r"[-_. ]+")
_say = Templates.beside(__file__)


def _plain(name: str) -> str:
    """
    >>> _plain("Patient ID") == _plain("patient_id") == _plain("PatientId")
    True
    """
    return _SIGNS.sub("", name).lower()


FEWEST_VALUES = 3  # two are yes and no
FEWEST_KINDS = int(_WRITTEN["fewest_kinds"])
KINDS = {_plain(name) for name in _WRITTEN["kinds"]}
COLUMNS = {_plain(name): rank for rank, name in enumerate(_WRITTEN["columns"])}


def group_texts(column: pd.Series) -> pd.Series:
    """The groups of images (patients, sequences) in a column as text, missing where a cell is empty."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype("str")
    is_filled = column.notna() & (text != "")
    return text if is_filled.all() else text.where(is_filled)


def _repeats(column: pd.Series) -> bool:
    """Whether any value of a column of a table of images occurs twice, as groups do."""
    return bool(repeated(group_texts(column).dropna()).any())


def find_group(extras: pd.DataFrame | None, asked: str | None) -> tuple[str | None, list[Record]]:
    """Name the column of a table that groups images: the one asked for, else the first likely one.

    Args:
        asked: the name of a column, NONE, or None.
    Returns:
        the column, None where each image is its own group; notes.
    Raises:
        ImageSourceError: no such column, or it has the same value everywhere.
    """
    names = [] if extras is None else [str(name) for name in extras.columns]
    if asked is not None and asked.lower() == NONE and asked not in names:
        return None, []
    if asked is not None:
        return _asked(extras, names, asked), []
    if extras is None:
        return None, []
    units = [name for name in names if _names_a_unit(name, cast(pd.Series, extras[name]))]
    if not units:
        return None, []
    first = min(units, key=lambda name: COLUMNS[_plain(name)])
    n_groups = n_groups_of(cast(pd.Series, extras[first]))
    if n_groups < FEWEST_GROUPS:
        return None, [few_note(first, n_groups)]
    return first, []


def few_note(column: str, n_groups: int) -> Record:
    """What is said of groups of images that are too few to split by without being asked."""
    return _say("few_groups", what=column, n=n_groups)


def _names_a_unit(name: str, column: pd.Series) -> bool:
    """Whether a column is called as units are, and holds some that repeat: no yes and no, no few kinds."""
    if _plain(name) not in COLUMNS or not _repeats(column):
        return False
    return n_groups_of(column) >= (FEWEST_KINDS if _plain(name) in KINDS else FEWEST_VALUES)


def _asked(extras: pd.DataFrame | None, names: list[str], asked: str) -> str:
    if extras is None or asked not in names:
        raise ImageSourceError(unknown_name(f"no column '{asked}' to group by", asked, names, "Columns"))
    if n_groups_of(cast(pd.Series, extras[asked])) < 2:
        raise ImageSourceError(f"column '{asked}' is the same for all images: nothing can be split by it")
    return asked


def n_groups_of(column: pd.Series) -> int:
    """How many groups of images there are: an image without one is a group of its own."""
    texts = group_texts(column)
    n_missing = int(texts.isna().sum())
    return n_different(texts.dropna() if n_missing else texts) + n_missing


def hash_ranks(seed: int, names: Iterable[str], n_names: int) -> np.ndarray:
    """(n_names,) uint64: the places of images' names in the order in which a split is drawn."""
    ranks = (int.from_bytes(hash_rank(seed, name), "big") for name in names)
    return np.fromiter(ranks, np.uint64, n_names)


def hash_rank(seed: int, name: str) -> bytes:
    """The place of an image's name in the order in which a split is drawn: a hash of it and the seed."""
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()


class _Side:
    """How many images of each class lie in val so far, beside how many there should be.

    sizes: of the classes. parts: of each group, its classes with its number of images of each.
    """

    def __init__(self, sizes: list[int], targets: list[int], parts: list[list[tuple[int, int]]]):
        self.sizes, self.targets, self.parts = sizes, targets, parts
        self.held = [0] * len(sizes)
        self.taken: set[int] = set()

    def take(self, group: int) -> None:
        self.taken.add(group)
        for one, n in self.parts[group]:
            self.held[one] += n

    def has_room(self, group: int) -> bool:
        in_val = self.held
        return all(in_val[code] + n <= self.targets[code] for code, n in self.parts[group])

    def leaves_train(self, group: int) -> bool:
        """Whether every class of a group keeps an image in train without it."""
        in_val = self.held
        return all(in_val[code] + n < self.sizes[code] for code, n in self.parts[group])

    def is_nearer(self, group: int) -> bool:
        """Whether the sum over classes of (held - target)^2 / size falls by a group."""
        change = 0.0
        for one, n in self.parts[group]:
            before = self.held[one] - self.targets[one]
            change += ((before + n) ** 2 - before**2) / self.sizes[one]
        return change < 0


def split_by_group(
    groups: Sequence[str] | pd.Series,
    labels: Sequence[str | None] | pd.Series,
    *,
    seed: int,
    val_share: float,
) -> np.ndarray:
    """Draw a split of images that separates no group, by the seed, the groups' names and the labels.

    The groups stand in the order of a hash of seed and name. First those enter val that still have room there
    in each of their classes, whose target is round(val_share n), at least 1; then those that bring val nearer
    to the targets t: sum over classes of (held - t)^2 / n falls. A class that val lacks gets its smallest
    group. No class loses its last train image. Where each image is a group, this is `seeded_split`.

    Args:
        groups, labels: (n_images,); a label of None is a class of its own.
    Returns:
        (n_images,) bool: val.
    """
    group_of, names = pd.factorize(as_texts(groups), sort=True)
    class_of, _ = pd.factorize(as_texts(labels), sort=True, use_na_sentinel=False)
    names = list(map(str, names))
    sizes = np.bincount(class_of).tolist() if len(class_of) else []
    targets = [max(1, round(val_share * n)) if n > 1 else 0 for n in sizes]
    side = _Side(sizes, targets, _parts(group_of, class_of, len(names)))
    order = sorted(range(len(names)), key=lambda group: (hash_rank(seed, names[group]), names[group]))
    for group in order:
        if side.has_room(group):
            side.take(group)
    for group in order:
        if group not in side.taken and side.leaves_train(group) and side.is_nearer(group):
            side.take(group)
    _take_missing(side, order)
    return np.isin(group_of, list(side.taken))


def _parts(group_of: np.ndarray, class_of: np.ndarray, n_groups: int) -> list[list[tuple[int, int]]]:
    parts: list[list[tuple[int, int]]] = [[] for _ in range(n_groups)]
    width = int(class_of.max(initial=0)) + 1
    cells, counts = np.unique(group_of.astype(np.int64) * width + class_of, return_counts=True)
    for cell, n in zip(cells.tolist(), counts.tolist(), strict=True):
        parts[cell // width].append((cell % width, n))
    return parts


def _take_missing(side: _Side, order: list[int]) -> None:
    """Give val the smallest group of each class that it lacks, if train keeps all classes of that group."""
    lacking = {one for one, members in enumerate(side.held) if not members and side.targets[one]}
    holders: dict[int, list[tuple[int, int, int]]] = {one: [] for one in lacking}
    for rank, group in enumerate(order):
        for one, n in side.parts[group]:
            if one in lacking:
                holders[one].append((n, rank, group))
    for one in sorted(lacking):
        for _, _, group in sorted(holders[one]):
            if not side.held[one] and side.leaves_train(group):
                side.take(group)


def one_each(groups: pd.Series, names: pd.Series) -> pd.Series:
    """The group of each image; of one without, its own name, in a form that no value of a column has."""
    is_missing = groups.isna().to_numpy()
    if not is_missing.any():
        return groups
    return groups.where(~is_missing, "\0" + names.set_axis(groups.index))


def in_train_alone(labels: pd.Series, is_val: np.ndarray) -> list[str]:
    """The classes, sorted, that have train images and no evaluation images."""
    classes = coded(labels)
    n_val = np.bincount(classes.codes[is_val] + 1, minlength=len(classes.names) + 1)[1:]
    return sorted(classes.names[code] for code in np.flatnonzero(n_val == 0))


def _both_sides(groups: pd.Series, is_val: np.ndarray) -> int:
    """How many groups have images in train and in val."""
    group_of, names = pd.factorize(groups)
    n_images = np.bincount(group_of, minlength=len(names))
    n_val = np.bincount(group_of[is_val], minlength=len(names))
    return int(((n_val > 0) & (n_val < n_images)).sum())


def given_note(what: str, groups: pd.Series, is_val: np.ndarray) -> Record:
    """What is said of the groups of a split of images that was given."""
    n_groups = n_different(groups)
    if n_both := _both_sides(groups, is_val):
        return _say("both_sides", what=what, n=n_both, of=n_groups)
    return _say("given_by_group", what=what, n=len(groups), of=n_groups)


def drawn_note(why: str, *, seed: int, what: str = "", groups: pd.Series | None = None) -> Record:
    """What is said of a split of images that was drawn, by group or image by image."""
    if groups is None:
        return _say("drawn", value=float(seed), why=why)
    n_groups = n_different(groups)
    return _say("drawn_by_group", what=what, n=len(groups), of=n_groups, value=float(seed), why=why)


def lonely_note(n: int, which: str, *, of_groups: bool = False) -> Record:
    """What is said of a drawn split of images: of classes with images in train alone."""
    return _say("lonely_group" if of_groups else "lonely", n=n, why=which)
