"""Names of classes in a file beside a list whose labels are numbers or WordNet ids."""

import os
import re
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from enum import Enum

from core.common.label_match import integer_of, wordnet_id, words_of
from core.common.label_text import distinct_names
from core.common.records import Record, Templates
from core.common.remote_objects import is_file, read_small
from core.data.class_list import ClassList, parse_class_list
from core.errors import ImageSourceError

NAMES_BESIDE = (
    *("classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "names.txt", "categories.txt"),
    *("map_clsloc.txt", "synset_words.txt", "LOC_synset_mapping.txt", "synsets.txt"),
    "categories_places365.txt",
    *("class_to_idx.json", "id2label.json", "classes.json", "imagenet_class_index.json"),
)
DEVKIT = re.compile(r"ILSVRC\d+_\w*ground_truth\.txt")  # numbers of ImageNet's devkit, in an order of its own
MOST_SIBLINGS = 20
MOST_STATED = 1_000_000  # bytes of a file of names beside a table
MOST_BYTES = 50_000_000  # of a list that is looked into to tell from where numbers count
LOOKED_AT = 3  # lines of such a list
say_of_beside = Templates.beside(__file__)


class Fitting(Enum):
    """Whether a file names all labels."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"  # numbers may count from 0 or from 1
    DEVKIT = "devkit"


@dataclass(frozen=True)
class NamesFile:
    """What one file makes of the labels: the name of each of them, and what is said of that."""

    file: str
    fit: Fitting
    stated: bool
    n_names: int
    name_of: dict[str, str]
    notes: list[Record]


def named_labels(
    labels: Sequence[str | None], list_file: str, folders: Sequence[str]
) -> tuple[list[str | None], list[Record]]:
    """Replace the numbers or the WordNet ids of classes by the names of a file beside; other labels stay.

    The numbers are those that the file states, else places in it. These count from 0 or from 1, as the labels
    of all lists in the folder of the list say: one decision for train and val. Two classes of one name stay
    two (`distinct_names`).

    Args:
        list_file: the list that has the labels. folders: where the file of names may lie, likely first.
    """
    given = {label for label in labels if label is not None}
    if not any(_is_key(label) for label in given):
        return list(labels), []
    paths = [os.path.join(folder, name) for folder in dict.fromkeys(folders) for name in NAMES_BESIDE]
    files = [path for path in paths if path != list_file and is_file(path)]
    candidates = [_named_by(file, given, list_file) for file in files]
    if not candidates:
        return list(labels), []
    fitting = _best([candidate for candidate in candidates if candidate.fit is Fitting.YES], len(given))
    if len(fitting) != 1:
        return list(labels), [_why_none(candidates, fitting)]
    (best,) = fitting
    others = tuple(os.path.basename(candidate.file) for candidate in candidates if candidate is not best)
    kind = "named_not_by" if others else "named"
    note = say_of_beside(kind, what=os.path.basename(best.file), names=others)
    return [None if label is None else best.name_of[label] for label in labels], [note, *best.notes]


def stated_names(labels: Collection[str], table: str) -> NamesFile | None:
    """Return the JSON file beside a table of images that names each of its labels, which are numbers.

    Such as `label_num_to_disease_map.json`; None where there is none, or several say other names.
    """
    given = set(labels)
    folder = os.path.dirname(table) or "."
    if not given or not all(label.isdecimal() for label in given) or not os.path.isdir(folder):
        return None
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".json"))
    files = [path for name in names[:MOST_SIBLINGS] if _is_small(path := os.path.join(folder, name))]
    named = [
        one for file in files if (one := _named_by(file, given, table)).fit is Fitting.YES and one.stated
    ]
    fitting = _best(named, len(given))
    return fitting[0] if len(fitting) == 1 else None


def names_of(file: str, labels: Collection[str], table: str) -> NamesFile:
    """Return the class names that a file gives labels; raise ImageSourceError where not all have one."""
    named = _named_by(file, set(labels), table)
    if named.fit is not Fitting.YES:
        raise ImageSourceError(f"'{file}' no longer names all labels of '{table}'. Put it back as it was")
    return named


def _is_small(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) <= MOST_STATED


def _is_key(label: str) -> bool:
    return integer_of(label) is not None or (wordnet_id(label) is not None and not words_of(label))


def _best(fitting: list[NamesFile], n_labels: int) -> list[NamesFile]:
    """Return the files that agree among several that name all labels: those with stated numbers first, then
    by the number of names."""
    for prefer in (lambda one: one.stated, lambda one: one.n_names == n_labels):
        fitting = [one for one in fitting if prefer(one)] or fitting
    alike = all(one.name_of == fitting[0].name_of for one in fitting)
    return fitting[:1] if alike else fitting


def _why_none(candidates: list[NamesFile], fitting: list[NamesFile]) -> Record:
    if fitting:
        names = tuple(os.path.basename(one.file) for one in fitting)
        return say_of_beside("several", names=names)
    fits = [candidate.fit for candidate in candidates]
    kind = next((fit for fit in (Fitting.UNDECIDED, Fitting.DEVKIT) if fit in fits), Fitting.NO)
    one = candidates[fits.index(kind)]
    file = os.path.basename(one.file)
    if kind is Fitting.UNDECIDED:
        return say_of_beside("undecided", what=file, n=one.n_names)
    return say_of_beside("devkit" if kind is Fitting.DEVKIT else "no_name", what=file)


def _named_by(file: str, given: Set[str], list_file: str) -> NamesFile:
    try:
        listed = parse_class_list(read_small(file).decode("utf-8-sig"), os.path.splitext(file)[1])
    except (OSError, ValueError):
        return NamesFile(file, Fitting.NO, False, 0, {}, [])
    n, stated = len(listed.classes), listed.numbered
    ids = [next(filter(None, map(wordnet_id, class_.all_names)), None) for class_ in listed.classes]
    numbers = {number for label in given if (number := integer_of(label)) is not None}
    first, fit = _first_number(listed, numbers, ids, list_file)
    if fit is not Fitting.YES:
        return NamesFile(file, fit, stated, n, {}, [])
    by_number = [class_.number if stated else first + at for at, class_ in enumerate(listed.classes)]
    keys = [id_ or number for id_, number in zip(ids, by_number, strict=True)]
    names = [
        next(filter(words_of, class_.names), next(iter(class_.names), None)) for class_ in listed.classes
    ]
    texts, notes = distinct_names(keys, names)
    label_of = dict(zip(by_number, texts, strict=True)) | dict(zip(ids, texts, strict=True))
    name_of = {label: label_of.get(wordnet_id(label) or integer_of(label)) for label in given}
    named = {label: name for label, name in name_of.items() if name is not None}
    return NamesFile(file, Fitting.YES if len(named) == len(given) else Fitting.NO, stated, n, named, notes)


def _first_number(
    listed: ClassList, numbers: set[int], ids: list[str | None], list_file: str
) -> tuple[int, Fitting]:
    """The number of the first name of a file, and whether it is known."""
    n = len(listed.classes)
    if listed.numbered or not numbers:
        return 0, Fitting.YES
    if DEVKIT.fullmatch(os.path.basename(list_file)):
        return 0, Fitting.DEVKIT
    if not 0 <= min(numbers) <= max(numbers) <= n:
        return 0, Fitting.NO
    if 0 not in numbers and n not in numbers:
        numbers = numbers | _numbers_of_siblings(list_file)
    if 0 in numbers:
        return 0, Fitting.YES if n not in numbers else Fitting.NO
    if n not in numbers:
        return 0, Fitting.UNDECIDED
    return 1, Fitting.DEVKIT if all(ids) else Fitting.YES  # 1 to 1,000 may be the devkit's, in another order


def _numbers_of_siblings(list_file: str) -> set[int]:
    """The numbers that other lists in the folder of a list have as labels; none by address."""
    folder = os.path.dirname(list_file)
    if not os.path.isdir(folder):
        return set()
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".txt"))
    lists = [name for name in names if name not in NAMES_BESIDE and not DEVKIT.fullmatch(name)]
    numbers: set[int] = set()
    for name in lists[:MOST_SIBLINGS]:
        numbers |= _numbers_of_list(os.path.join(folder, name))
    return numbers


def _numbers_of_list(path: str) -> set[int]:
    try:
        lines = read_small(path, MOST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return set()
    rows = [re.split(r"[\s,;]+", line.strip()) for line in lines if line.strip() and line[0] != "#"]
    numbers = [integer_of(parts[-1]) if len(parts) > 1 else None for parts in rows]
    if not rows or None in numbers[:LOOKED_AT]:
        return set()
    return {number for number in numbers if number is not None}
