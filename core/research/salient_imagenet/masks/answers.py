"""Read Salient ImageNet's two small files: the folder of each class, and the workers' answers."""

import ast
import csv
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.common.formatting import counted
from core.errors import MaskError, did_you_mean

CLASSES_FILE = "wordnet_dict.py"
ANSWERS_FILE = "discover_spurious_features.csv"
NOT_THE_OBJECT = ("background", "separate_object")
ANSWERS = ("main_object", *NOT_THE_OBJECT)
SPURIOUS_FROM = 3  # votes, usually out of 5 workers
COLUMNS = {
    "class": "Input.class_index",
    "wnid": "Input.wordnet_id",
    "feature": "Input.feature_index",
    "rank": "Input.feature_rank",
    "answer": "Answer.main",
    "reason": "Answer.reasons",
}
LARGEST_DICT = 1_000_000  # bytes; the real one has 24,000
MOST = 10**9  # of an index or a rank: as many as their columns can hold


@dataclass
class Pair:
    """A class and one feature of the robust ResNet-50, with the workers' answers."""

    rank: int
    n_answers: int = 0
    n_spurious: int = 0
    spellings: dict[str, str] = field(default_factory=dict)  # the first of reasons that differ by case alone

    @property
    def reasons(self) -> list[str]:
        return list(self.spellings.values())

    @property
    def kind(self) -> str:
        """Return "spurious" if 3 or more workers saw it off the object (Singla & Feizi 2022), else "core"."""
        return "spurious" if self.n_spurious >= SPURIOUS_FROM else "core"


def read_classes(path: str | Path) -> dict[int, str]:
    """Read class index -> wnid from a file with a dict literal. The file is never executed.

    Raises:
        MaskError: it holds anything but such a literal (perhaps after `name =`).
    """
    try:
        if os.path.getsize(path) > LARGEST_DICT:
            raise ValueError
        (statement,) = ast.parse(Path(path).read_text(encoding="utf-8-sig")).body
        if not isinstance(statement, (ast.Expr, ast.Assign)):
            raise ValueError
        classes = ast.literal_eval(statement.value)
        if not all(
            isinstance(i, int) and abs(i) < MOST and re.fullmatch(r"[\w-]+", wnid)
            for i, wnid in classes.items()
        ):
            raise ValueError
    except OSError as error:
        raise MaskError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from None
    except Exception:  # a parser may raise anything on arbitrary bytes
        raise MaskError(
            f"'{path}' is not a plain dict of class index to wnid, and will not be executed. "
            "Use the original file of Salient ImageNet"
        ) from None
    return classes


def read_judgements(
    path: str | Path, classes: dict[int, str]
) -> tuple[dict[tuple[str, int], Pair], list[str]]:
    """Read the answers for each (wnid, feature), and notes on irregularities of the file.

    Args:
        path: CSV with one answer per row. classes: index -> wnid, which has priority over the file.
    Raises:
        MaskError: not such a CSV; names the column or row.
    """
    pairs: dict[tuple[str, int], Pair] = {}
    disagree: set[str] = set()
    unknown: dict[str, int] = defaultdict(int)
    for number, row in enumerate(_rows(path), start=2):
        index, feature, rank = (_whole(path, number, row, role) for role in ("class", "feature", "rank"))
        stated = (row[COLUMNS["wnid"]] or "").strip()
        wnid = classes.get(index, stated)
        if stated and stated != wnid:
            disagree.add(f"{index}: {stated} against {wnid}")
        pair = pairs.setdefault((wnid, feature), Pair(rank))
        answer = (row[COLUMNS["answer"]] or "").strip().lower()
        pair.n_answers += 1
        pair.n_spurious += answer in NOT_THE_OBJECT
        if answer not in ANSWERS:
            unknown[answer] += 1
        if reason := " ".join((row[COLUMNS["reason"]] or "").split()):
            pair.spellings.setdefault(reason.lower(), reason)
    return pairs, _notes(path, pairs, sorted(disagree), unknown)


def _rows(path: str | Path) -> list[dict[str, str | None]]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            rows = list(reader)
    except OSError as error:
        raise MaskError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from None
    except csv.Error as error:
        raise MaskError(f"cannot read '{path}' as CSV: {error}") from None
    for column in COLUMNS.values():
        if column not in names:
            hint = did_you_mean(column, names)
            raise MaskError(
                f"no column '{column}' in '{path}'.{hint} Expected Salient ImageNet's {ANSWERS_FILE}"
            )
    return rows


def _whole(path: str | Path, number: int, row: dict[str, str | None], role: str) -> int:
    text = row[COLUMNS[role]]
    try:
        value = float(text or "")
        if value != int(value) or abs(value) >= MOST:
            raise ValueError
    except (ValueError, OverflowError):
        raise MaskError(
            f"line {number} of '{path}': {COLUMNS[role]} is '{text or ''}', not a whole number. Correct it"
        ) from None
    return int(value)


def _notes(
    path: str | Path, pairs: dict[tuple[str, int], Pair], disagree: Sequence[str], unknown: dict[str, int]
) -> list[str]:
    n_spurious = sum(pair.kind == "spurious" for pair in pairs.values())
    notes = [
        f"workers rated {counted(len(pairs), 'class-feature pair')}: "
        f"{len(pairs) - n_spurious:,} core, {n_spurious:,} spurious"
    ]
    usual = 5
    if odd := sum(pair.n_answers != usual for pair in pairs.values()):
        notes.append(f"{counted(odd, 'pair')} with more or fewer than {usual} answers")
    if disagree:
        n_classes = counted(len(disagree), "class")
        notes.append(
            f"{Path(path).name} and {CLASSES_FILE} disagree on {n_classes} "
            f"(class {disagree[0]}): {CLASSES_FILE} is used"
        )
    if unknown:
        examples = ", ".join(f"'{answer}'" for answer in sorted(unknown)[:3])
        notes.append(
            f"{counted(sum(unknown.values()), 'answer')} of an unknown kind counted as core: {examples}"
        )
    return notes
