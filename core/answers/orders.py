"""The order in which the outputs of a classifier without class names stand: by the labels of images."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.answers.classes import BY_INDEX, FROM_ONE, SORTED, say_of_match
from core.common.labels.match import Match, few, match_as_stated
from core.common.records import Record
from core.common.statistics.choice import choose, deciding_rows
from core.common.statistics.design_effect import groups_among

if TYPE_CHECKING:
    from core.answers.outcome import AnswerValues
    from core.reader import StudyReader

WHAT = "order of the classes"
EXCHANGED = 0.8  # of the images of each of two labels that get the other one
LEAST = 5  # images of a label


def numbers_as_numbers(name: str) -> list[int | str]:
    """The key by which natsort orders class names.

    >>> sorted(["10", "9", "a2", "a10"], key=numbers_as_numbers)
    ['9', '10', 'a2', 'a10']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def of_timm(name: str) -> list[int | str]:
    """The key by which timm's reader of class folders orders them: without regard to case, too."""
    return numbers_as_numbers(name.lower())


ORDERS: dict[str, Callable[[str], Any]] = {  # how class names are put in order, the documented way first
    SORTED: str,
    "in timm's order of the class names, numbers as numbers (the file names none)": of_timm,
    "in the order of the class names, numbers as numbers (the file names none)": numbers_as_numbers,
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
    """(n_matches, n) bool: whether each image's output means its label.

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
    """The order in which outputs without names stand, by the labels of images, and what is said of it.

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
    """The pairs of classes of which nearly all images of each get the other one: their outputs are exchanged.

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
