"""Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.common.label_match import (
    BY_SYNSET,
    Match,
    few,
    integer_of,
    match_as_stated,
    match_labels,
    plain,
    wordnet_id,
)
from core.common.records import Record, Templates
from core.data.class_list import ClassList, NamedClass, read_class_list
from core.errors import SettingsError, did_you_mean
from core.measures.choice import choose, deciding_rows
from core.measures.design_effect import groups_among

if TYPE_CHECKING:
    from core.answers.outcome import AnswerValues
    from core.study.reader import StudyReader


# Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch.


MOST_OUTPUTS = 1_000_000
NUMBERED = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")  # the name of an output that is only its number
BY_INDEX = "by index"  # labels are the numbers of outputs
FROM_ONE = "by index, counted from 1"
SORTED = "in the order of the sorted class names (the file names none)"
say_of_match = Templates.beside(__file__)


def match_classes(outputs: Sequence[Sequence[str]], labels: Sequence[str]) -> Match | None:
    """Match the outputs of a classifier to labels.

    Args:
        outputs: what each output may be called: a WordNet id, names; nothing where that is not known.
        labels: the sorted class names of the study.
    Returns:
        The way that matches most labels; None where none matches any.
    """
    by_name = match_labels(outputs, labels)
    first = first_number(len(outputs), labels) if any(outputs) else 0
    by_index = match_labels([[str(first + output)] for output in range(len(outputs))], labels)
    if not by_name.n_matched and _only_numbered(outputs):
        outputs = [[] for _ in outputs]
    if not any(outputs) and by_index.n_matched < len(outputs) == len(labels):
        return match_as_stated(outputs, np.arange(len(labels)), labels, SORTED)
    if by_index.n_matched > by_name.n_matched:
        return match_as_stated(outputs, by_index.code, labels, FROM_ONE if first else BY_INDEX)
    return by_name if by_name.n_matched else None


def first_number(n: int, labels: Iterable[str]) -> int:
    """Return the number of a classifier's first output, as labels that are numbers count `n` of them: 0 or 1.

    From 1 where no label is 0 and one is `n`.

    >>> first_number(3, ["1", "3"]), first_number(3, ["0", "3"]), first_number(3, ["1", "2"])
    (1, 0, 0)
    """
    numbers = set(map(integer_of, labels))
    return int(0 not in numbers and n in numbers)


def match_class_list(listed: ClassList, labels: Sequence[str]) -> Match:
    """Match the outputs of a classifier to labels by a list of its classes: by name or by number.

    By number, where that matches more of them: the stated one, else the place in the list, from 0 or 1 as
    the labels count.
    """
    by_name = match_labels([class_.all_names for class_ in listed.classes], labels)
    numbers: list[int | None] = [class_.number for class_ in listed.classes]
    if not listed.numbered:
        first = first_number(len(numbers), labels)
        numbers = list(range(first, first + len(numbers)))
    stated = [[] if number is None else [str(number)] for number in numbers]
    by_number = match_labels(stated, labels)
    return by_number if by_number.n_matched > by_name.n_matched else by_name


def _only_numbered(outputs: Sequence[Sequence[str]]) -> bool:
    """Whether outputs have a name by number alone, as `transformers` writes LABEL_0, LABEL_1 … for none.

    >>> _only_numbered([["LABEL_0"], ["LABEL_1"]]), _only_numbered([["LABEL_1"], ["LABEL_0"]])
    (True, False)
    """
    one_each = all(len(names) == 1 for names in outputs)
    parts = [NUMBERED.fullmatch(names[0]) for names in outputs] if one_each else []
    prefixes = {part["prefix"] for part in parts if part}
    places = [int(part["number"]) for part in parts if part]
    return bool(parts) and len(prefixes) == 1 and places == list(range(len(outputs)))


def read_class_file(
    path: str | Path, n_outputs: int | None, labels: Sequence[str], called: Sequence[Sequence[str]] = ()
) -> Match:
    """The match of an answer's outputs to labels that a file of class names states.

    Args:
        n_outputs: None: as many as the file names.
        called: what the outputs are called already, by which a CSV or an object may name them.
    Raises:
        SettingsError: it cannot be read, names another number of outputs, an output twice, or no label.
    """
    outputs = _read_names(path, n_outputs, called=called)
    stated, match = match_labels(outputs, labels, several=True), match_classes(outputs, labels)
    if stated.n_matched and (match is None or stated.n_matched >= match.n_matched):
        how = stated.how if BY_SYNSET in stated.how else f"by {Path(path).name}"
        return match_as_stated(outputs, stated.code, labels, how, stated.shared)
    if match is None:
        names = [name for names in outputs for name in names[-1:]]
        raise SettingsError(
            f"none of the names in '{path}' is a label of the study: it names {few(names)}, "
            f"the study {few(labels)}"
        )
    return match


def _read_names(
    file: str | Path, n_outputs: int | None = None, *, called: Sequence[Sequence[str]] = ()
) -> list[list[str]]:
    """The names of each output of an answer's classifier in a file, none where it names none.

    Args:
        n_outputs: None: as many as the file names.
        called: as for `read_class_file`.
    """
    classes = read_class_list(file).classes
    if any(class_.key for class_ in classes):
        classes = _by_called(classes, called, file)
    if all(class_.number is None for class_ in classes):
        if n_outputs is not None and len(classes) != n_outputs:
            raise SettingsError(
                f"'{file}' names {len(classes):,} classes; the head has {n_outputs:,} outputs"
            )
        return [list(class_.names) for class_ in classes]
    names = {class_.number: list(class_.names) for class_ in classes if class_.number is not None}
    least, most = min(names), max(names)
    if least == 1 and most == n_outputs:  # counted from 1
        names, least, most = {number - 1: mine for number, mine in names.items()}, 0, most - 1
    n_outputs = min(most + 1, MOST_OUTPUTS) if n_outputs is None else n_outputs
    if least < 0 or most >= n_outputs:
        bad = least if least < 0 else most
        raise SettingsError(f"'{file}' names output {bad}; the head has outputs 0 to {n_outputs - 1:,}")
    return [names.get(output, []) for output in range(n_outputs)]


def _by_called(
    classes: list[NamedClass], called: Sequence[Sequence[str]], file: str | Path
) -> list[NamedClass]:
    """Classes with the number of the output that a file calls by name.

    Raises:
        SettingsError: no output alone is called so, or one output is named twice.
    """
    keys = [{plain(part) for name in names for part in (name, *name.split(","))} for names in called]
    uses = Counter(key for mine in keys for key in mine)
    places = {key: label_number for label_number, mine in enumerate(keys) for key in mine if uses[key] == 1}
    if not any(plain(class_.key) in places for class_ in classes) and all(
        wordnet_id(class_.key) for class_ in classes
    ):
        return [NamedClass(tuple(class_.all_names)) for class_ in classes]  # ids, which are names
    numbered = [
        replace(class_, number=places.get(plain(class_.key))) if class_.key else class_ for class_ in classes
    ]
    for one in numbered:
        if one.number is None:
            nor = f", nor the name of one alone.{did_you_mean(plain(one.key), places)}" if places else ""
            raise SettingsError(f"'{file}' holds no class names: '{one.key}' is no number of an output{nor}")
    uses = Counter(one.number for one in numbered)
    twice = next((number for number, n in uses.items() if n > 1), None)
    if twice is not None:
        raise SettingsError(f"'{file}' holds no class names: it names output {twice} twice")
    return numbered


# The order in which the outputs of a classifier without class names stand: by the labels of images.


WHAT = "order of the classes"
EXCHANGED = 0.8  # of the images of each of two labels that get the other one
LEAST = 5  # images of a label


def _numbers_as_numbers(name: str) -> list[int | str]:
    """The key by which natsort orders the class names that an answer's outputs may stand in.

    >>> sorted(["10", "9", "a2", "a10"], key=_numbers_as_numbers)
    ['9', '10', 'a2', 'a10']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def of_timm(name: str) -> list[int | str]:
    """The key by which timm orders the class names of an answer's outputs: without regard to case."""
    return _numbers_as_numbers(name.lower())


ORDERS: dict[str, Callable[[str], Any]] = {  # how class names are put in order, the documented way first
    SORTED: str,
    "in timm's order of the class names, numbers as numbers (the file names none)": of_timm,
    "in the order of the class names, numbers as numbers (the file names none)": _numbers_as_numbers,
    "in the order of the class names without regard to case (the file names none)": str.lower,
}


def possible_orders(match: Match, labels: Sequence[str]) -> list[Match]:
    """The matches that a classifier may mean whose outputs have no names, the given one first.

    Args:
        match: of all labels, one output each. labels: the sorted class names of the study.
    """
    unnamed = match.how in (BY_INDEX, FROM_ONE) or (match.how == SORTED and not any(match.called))
    if not unnamed or match.unmatched or not match.one_to_one or len(match.code) != len(labels):
        return [match]
    matches = [match]
    for how, key in ORDERS.items():
        by_name = sorted((key(name), number) for number, name in enumerate(labels))
        code = np.array([number for _, number in by_name])
        if not any((code == one.code).all() for one in matches):
            matches.append(match_as_stated(match.called, code, labels, how))
    return matches


def right_by_order(matches: Sequence[Match], won: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n_matches, n) bool: whether each image's output means its label, under each order of the classes.

    Args:
        won: (n,) int, the largest output of each image. true: (n,) int, its label.
    """
    return np.stack([match.code[won] == true for match in matches])


def likely_order(
    match: Match,
    labels: Sequence[str],
    won: np.ndarray,
    true: np.ndarray,
    is_val: np.ndarray,
    groups: np.ndarray | None = None,
) -> tuple[Match, list[Record]]:
    """The order of an answer's outputs without names that labels favour, and what is said of it.

    Args:
        match: the documented order. labels: the sorted class names. won: (n,) int, the largest output of each
            image; -1 for none. true: (n,) int, its label, -1 for none. is_val: (n,) bool, evaluation images.
        groups: (n,) as for `choose`.
    """
    matches = possible_orders(match, labels)
    if len(matches) == 1:
        return match, []
    rows = deciding_rows((true >= 0) & (won >= 0), is_val)
    right = right_by_order(matches, won[rows], true[rows])
    choice = choose(right, groups=groups_among(groups, rows))
    return matches[choice.taken], [choice.record(WHAT, [one.how.partition(" (")[0] for one in matches])]


def exchanged_pairs(true: np.ndarray, predicted: np.ndarray, n_classes: int) -> list[tuple[int, int]]:
    """The pairs of classes whose outputs are exchanged: nearly all images of each get the other one.

    Args:
        true, predicted: (n,) int, classes below `n_classes`; a prediction of -1 is none of them.
    """
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (true[predicted >= 0], predicted[predicted >= 0]), 1)
    n = np.bincount(true, minlength=n_classes)
    taken_for = counts.argmax(1)
    nearly_all = (counts.max(1) >= EXCHANGED * n) & (n >= LEAST)
    both = nearly_all & nearly_all[taken_for] & (taken_for[taken_for] == np.arange(n_classes))
    return [(one, int(taken_for[one])) for one in np.flatnonzero(both).tolist() if one < taken_for[one]]


def in_likely_order(study: StudyReader, answer: AnswerValues, match: Match) -> tuple[Match, list[Record]]:
    """The match that the labels of a study favour, in which the answer then is, and what is said of it.

    That is the order, where outputs have no names, and classes that are exchanged.

    Args:
        answer: by `match`; its predictions are changed where another order is taken.
    """
    labels = study.class_names
    label = study.images["label"]
    true = pd.Index(labels).get_indexer(pd.Index(label.to_numpy(object)))
    taken, notes = match, []
    if len(possible_orders(match, labels)) > 1:
        output_of = np.append(np.argsort(match.code), -1)
        best = output_of[answer.best]
        taken, notes = likely_order(match, labels, best[:, 0], true, study.is_val, study.groups)
        answer.best = np.append(taken.code, -1)[best].astype(answer.best.dtype)
    return taken, notes + _exchanged_note(answer, labels, true)


def _exchanged_note(answer: AnswerValues, labels: Sequence[str], true: np.ndarray) -> list[Record]:
    place_of = np.append(pd.Index(labels).get_indexer(pd.Index(list(answer.names))), -1)
    judged = true >= 0
    pairs = exchanged_pairs(true[judged], place_of[answer.best[judged, 0]], len(labels))
    if not pairs:
        return []
    names = tuple(f"'{labels[one]}' and '{labels[other]}'" for one, other in pairs)
    return [say_of_match("exchanged", n=len(pairs), names=names, what=few(names))]
