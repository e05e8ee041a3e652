"""Which columns of a table hold the id, path, label, split and group of an image, for every form of table: by
what the columns are called, by their cells, and by which cells name images that are there.

`?path=COL`, `?label=COL` and `?split=COL` decide instead. What was chosen is one sentence.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from core.common.arrow_tables import coded, n_different, repeated
from core.common.formatting import first_of
from core.common.records import Record, Templates
from core.data.folder_words import SPLIT_WORDS, split_of_folder
from core.data.listed_files import ListedFiles
from core.data.source import SPLIT_NAMES
from core.data.table_text import is_image_name
from core.errors import ImageSourceError, did_you_mean

ROLES = ("image_id", "path", "label", "split")
OPTIONS = ("path", "label", "split")  # of an address
ONE_HOT = "one_hot"  # in a description: the columns of which one a row names the class
COLUMNS = {
    "image_id": ("image_id", "id"),
    "path": ("path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path"),
    "label": ("label", "class", "target", "class_name", "y"),
    "split": ("split",),
}
ADDRESS_NAMES = ("url", "image_url", "img_url", "image_link")  # of columns, where none is called a path
FURTHER_LABELS = (  # beside those of COLUMNS, the likeliest first
    *("labels", "classname", "label_name", "category", "category_name", "class_label", "ground_truth"),
    *("dx", "diagnosis", "finding_labels", "scientific_name", "species", "common_name", "breed"),
    *("variety", "label_text", "text_label", "label_str", "class_id", "label_id", "category_id"),
)
LABEL_WORDS = ("label", "class", "category", "diagnosis", "diagnostic", "species", "breed")  # of longer names
NAMES = ("name", "text", "class_text", "label_en")  # may name the numbers that a label is
LABELS = (*COLUMNS["label"], *FURTHER_LABELS)
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
FINEST = ("scientific_name", "species")
SPLITS = (
    "split",
    "subset",
    "partition",
    "fold",
    "set",
    "phase",
    "usage",
    "data_split",
    "dataset_split",
    "tvt",
)
_MEANS_VAL = ("is_valid", "is_val", "is_validation", "valid", "validation")
_MEANS_TRAIN = ("is_train", "is_training", "is_training_img", "train")
TRUE_MEANS = {  # columns of truth values: the split where it is true, and where it is false
    **dict.fromkeys(_MEANS_VAL, ("val", "train")),
    **dict.fromkeys(("is_test", "is_testing"), ("test", "train")),
    **dict.fromkeys(_MEANS_TRAIN, ("train", "val")),
}
TRUTHS = {
    "true": True,
    "1": True,
    "1.0": True,
    "yes": True,
    "false": False,
    "0": False,
    "0.0": False,
    "no": False,
}
NUMBERED_SPLITS = ("split", "partition", "data_split", "dataset_split")  # a fold 0, 1, 2 is another thing
BY_NUMBER = {"0": "train", "1": "val", "2": "test"}  # of WILDS, group-DRO and CelebA
UNITS = (  # what several images may be of: no label
    *("patient", "patient_id", "subject", "subject_id", "lesion_id", "case_id", "seq_id", "sequence"),
    *("caption", "text", "title", "sentence", "description"),
)
PLACES = ("place", "a", "attribute", "confounder")  # of group-DRO's tables, beside y
ONES, ZEROS = ("1", "1.0", "True"), ("0", "0.0", "False")
FLAGS = {"", *ONES, *ZEROS, "-1", "-1.0"}
PIXEL = re.compile(r"(pixel|px|p)?[_ ]?\d+(x\d+)?", re.IGNORECASE)
FEWEST_PIXELS = 40  # columns, or numbers of a cell
SAMPLE = 20  # different cells that are looked for among the files
MOST = 0.9  # of the cells of a column, where its name says nothing
LOCALISED = r"n\d{8}(?: -?\d+){4}(?: n\d{8}(?: -?\d+){4})* ?"
NUMBER = re.compile(r"[+-]?\d+(\.0*)?")
FRACTION = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?")
say_of_columns = Templates.beside(__file__)


@dataclass
class ColumnChoice:
    """The column of each role; `one_hot`: columns of which one a row is the class; `images`: those below
    the folder that the cells of the path mean, where they do not name them as they stand."""

    columns: dict[str, str] = field(default_factory=dict)
    one_hot: tuple[str, ...] = ()
    images: pd.Series | None = None
    notes: list[Record] = field(default_factory=list)

    def as_stated(self) -> dict[str, Any]:
        """Return what a description keeps, by which the same columns are read again."""
        stated: dict[str, Any] = {role: self.columns.get(role) for role in ROLES}
        return {**stated, ONE_HOT: list(self.one_hot)} if self.one_hot else stated


def find_columns(names: Iterable[str]) -> dict[str, str]:
    """Map each role (image_id, path, label, split) to the first column of a user's table named like it.

    A column y is WILDS' label, unless a column x beside it makes it a coordinate.
    """
    by_lower = {name.lower(): name for name in reversed(list(names))}
    if "x" in by_lower:
        by_lower.pop("y", None)
    roles = {}
    for role, aliases in COLUMNS.items():
        if name := next((by_lower[alias] for alias in aliases if alias in by_lower), None):
            roles[role] = name
    return roles


def place_columns(names: Iterable[str]) -> list[str]:
    """List the columns of a user's table called as paths or addresses of images are, the likeliest first."""
    by_lower = {name.lower(): name for name in reversed(list(names))}
    return [by_lower[alias] for alias in (*COLUMNS["path"], *ADDRESS_NAMES) if alias in by_lower]


def decide_columns(
    frame: pd.DataFrame,
    *,
    stated: Mapping[str, Any],
    files: ListedFiles | None,
    needs_path: bool = True,
    table: str = "",
    group: str | None = None,
) -> ColumnChoice:
    """Decide which column of a user's table of images has which role.

    Args:
        frame: all rows, cells of any kind. stated: roles whose column is known; None: the table has none.
        files: where images are looked for; None: they are not looked for.
        table: how it is called in messages. group: a column that says what images are of: no label.
    Raises:
        ImageSourceError: a stated column is missing, none holds paths, or two columns contradict each other.
    """
    decision = ColumnChoice({role: name for role, name in stated.items() if role in ROLES and name})
    _check_columns(decision.columns.values(), frame, table)
    if "path" not in stated and (path := _path_column(frame, files)):
        decision.columns["path"] = path
    if needs_path and "path" not in decision.columns:
        raise ImageSourceError(
            f"no column of image paths in '{table}' (columns: {first_of(list(frame.columns), 20)}). "
            f"{_why_no_path(frame, files)}"
        )
    _find_files(decision, frame, files)
    if "image_id" not in stated and (name := _id_column(frame, decision)):
        decision.columns["image_id"] = name
    others: dict[str, list[str]] = {"split": [], "label": []}
    if "split" not in stated:
        others["split"] = _decide_split(decision, frame, table)
    if ONE_HOT in stated:
        decision.one_hot = tuple(stated[ONE_HOT])
        _check_columns(decision.one_hot, frame, table)
    elif "label" not in stated:
        others["label"] = _decide_label(decision, frame.drop(columns=group or [], errors="ignore"), table)
    if unknown := set(OPTIONS) - set(stated):
        decision.notes += _taken_note(decision, others, unknown)
    return decision


def _check_columns(names: Iterable[str], frame: pd.DataFrame, table: str) -> None:
    """Raise ImageSourceError for a column that a user's table of images does not have."""
    columns = list(map(str, frame.columns))
    missing = next((name for name in names if name not in columns), None)
    if missing is not None:
        raise ImageSourceError(
            f"'{table}' has no column '{missing}' (columns: {first_of(columns, 20)})."
            f"{did_you_mean(missing, columns)}"
        )


def column_name(name: str) -> str:
    """Return the name of a column of a user's table as the tables of roles have it.

    >>> column_name("Finding Labels"), column_name("ground_truth.label"), column_name("scientificName")
    ('finding_labels', 'label', 'scientific_name')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower()
    words = re.sub(r"[\s_-]+", "_", words)
    last = words.rpartition(".")[2]
    return last if last in LABELS else words


def _texts_of(column: pd.Series) -> pd.Series:
    """Return the filled cells of a column of a user's table as texts."""
    texts = column.astype("str")
    is_filled = column.notna() & (texts != "")
    return texts if is_filled.all() else cast(pd.Series, texts[is_filled])


def _cells(frame: pd.DataFrame, name: str) -> pd.Series:
    return cast(pd.Series, frame[name])


def _sample(column: pd.Series) -> list[str]:
    texts = _texts_of(cast(pd.Series, column.iloc[:1000]))
    return list(texts.drop_duplicates().iloc[:SAMPLE])


def _is_text(column: pd.Series) -> bool:
    return bool(pd.api.types.is_string_dtype(column) or pd.api.types.is_integer_dtype(column))


def _path_column(frame: pd.DataFrame, files: ListedFiles | None) -> str | None:
    """Return the column whose cells name images that are there; else that is called so; else whose cells look
    like names of images."""
    samples = {name: _sample(_cells(frame, name)) for name in frame if _is_text(_cells(frame, name))}
    called = [name for name in place_columns(frame.columns) if name in samples]
    order = list(dict.fromkeys([*called, *samples]))
    if files is not None:
        for look in (lambda cells: list(map(files.is_there, cells)), files.below):
            shares = {name: _share(look(samples[name])) for name in order}
            best = max(shares.values(), default=0.0)
            if best > 0 and (name := _best(shares, best, called, samples)):
                return name
    looks_so = [name for name in order if _share(map(is_image_name, samples[name])) == 1.0]
    of_any_kind = place_columns(frame.columns)
    likely = [*(name for name in called if name in looks_so), *called, *looks_so, *of_any_kind]
    return next(iter(likely), None)


def _why_no_path(frame: pd.DataFrame, files: ListedFiles | None) -> str:
    """Say what to do about a table of which no column was taken for paths of images."""
    for name in frame:
        sample = _sample(_cells(frame, name)) if files and _is_text(_cells(frame, name)) else []
        if files and sample and (both := files.in_several_folders(sample)):
            return (
                f"The cells of '{name}' name images in several folders ({', '.join(both)}): write "
                f"?path={name}&root=DIR with the folder that is meant"
            )
    if _holds_pixels(frame):
        return (
            "Its cells hold the pixels themselves, which are not read: save each row as a .png (NumPy, "
            "Pillow) in a folder for its class"
        )
    return "Name it one of path, image, file, filename, url, or write ?path=COLUMN"


def _holds_pixels(frame: pd.DataFrame) -> bool:
    """Whether a table has a column a pixel (MNIST as .csv), or numbers with blanks between (FER-2013)."""
    if sum(bool(PIXEL.fullmatch(str(name))) for name in frame) >= FEWEST_PIXELS:
        return True
    firsts = [str(cell) for cell in frame.iloc[0]]
    return any(cell.count(" ") >= FEWEST_PIXELS and cell.replace(" ", "").isdecimal() for cell in firsts)


def _best(
    shares: Mapping[str, float], best: float, called: Sequence[str], samples: Mapping[str, Sequence[str]]
) -> str | None:
    """Return a column of the largest share; one of bare words or numbers only where nearly all are images."""
    for name, share in shares.items():
        by_ending = any(map(is_image_name, samples[name]))
        if share == best and (by_ending or name in called or share >= MOST):
            return name
    return None


def _share(values: Iterable[Any]) -> float:
    flags = [bool(value) for value in values]
    return sum(flags) / len(flags) if flags else 0.0


def _find_files(decision: ColumnChoice, frame: pd.DataFrame, files: ListedFiles | None) -> None:
    """Look below the folder for the images whose cells name no file as they stand, where any is found so."""
    if files is None or "path" not in decision.columns:
        return
    column = _cells(frame, decision.columns["path"])
    sample = _sample(column)
    if not sample or _share(map(files.is_there, sample)) == 1.0:
        return
    if not any(files.below(sample)):
        names = files.in_several_folders(sample)
        note = say_of_columns("ambiguous", what=decision.columns["path"], names=tuple(names))
        decision.notes += [note] if names else []
        return
    decision.images = files.column_below(texts_or_empty(column))
    n_found = int(decision.images.notna().sum())
    decision.notes.append(say_of_columns("found_below", n=n_found, of=len(column), what=files.folder))


def _id_column(frame: pd.DataFrame, decision: ColumnChoice) -> str | None:
    by_lower = {name.lower(): name for name in reversed(list(frame.columns))}
    for alias in COLUMNS["image_id"]:
        name = by_lower.get(alias)
        if name is not None and (
            alias == "image_id" or "path" not in decision.columns or _is_unique(_cells(frame, name))
        ):
            return name
    return None


def _is_unique(column: pd.Series) -> bool:
    return not repeated(column).any() if column.dtype == "str" else column.is_unique


# Splits


def _decide_split(decision: ColumnChoice, frame: pd.DataFrame, table: str) -> list[str]:
    """Take the column of splits; return others that look like one and are not taken."""
    named = {column_name(name): name for name in reversed(list(frame.columns))}
    usual = [named[alias] for alias in (*SPLITS, *TRUE_MEANS) if alias in named]
    usual = [name for name in usual if name not in decision.columns.values()]
    readable_as_split = [name for name in usual if split_values(_cells(frame, name), name) is not None]
    further = [name for name in frame if name not in usual and _holds_split_words(_cells(frame, name))]
    candidates = readable_as_split or further
    first = next(iter(candidates), None)
    first = next((name for name in usual if name.lower() == "split"), first)
    if first is None:
        return usual
    decision.columns["split"] = first
    for other in candidates:
        _check_same_split(frame, first, other, table)
    return [name for name in usual if name not in candidates and name != first]


def _holds_split_words(column: pd.Series) -> bool:
    if not pd.api.types.is_string_dtype(column):
        return False
    if not set(column.iloc[:100].dropna().str.strip().str.lower()) <= SPLIT_WORDS.keys():
        return False  # at a glance: a table may have millions of rows
    words = {text.strip().lower() for text in _texts_of(column).unique()}
    return (
        "train" in {SPLIT_WORDS.get(word) for word in words}
        and words <= SPLIT_WORDS.keys()
        and len(words) > 1
    )


def split_values(column: pd.Series, name: str, *, asked: bool = False) -> dict[str, str] | None:
    """Return which split of images each value of a table's column means; None where one is unknown.

    Words of splits, as in names of folders (`PublicTest`); 0, 1 and 2 as WILDS, group-DRO and CelebA write
    them; truth values of a column is_valid.

    Args:
        asked: the user named the column: 0 and 1 alone are train and val as well.
    """
    written = list(dict.fromkeys(text.strip() for text in texts_or_empty(column).unique()))
    values = list(dict.fromkeys(value.lower() for value in written))
    words = {value.lower(): SPLIT_NAMES.get(value.lower()) or split_of_folder(value) for value in written}
    if all(words.values()):
        return {value: split for value, split in words.items() if split}
    numbers = {value: value.removesuffix(".0") for value in values}
    needed = {"0", "1"} if asked and "2" not in numbers.values() else {"0", "2"}
    is_numbered = column_name(name) in NUMBERED_SPLITS and needed <= set(numbers.values())
    if is_numbered and set(numbers.values()) <= BY_NUMBER.keys():
        return {value: BY_NUMBER[number] for value, number in numbers.items()}
    meaning = TRUE_MEANS.get(column_name(name))
    if meaning is not None and set(values) <= TRUTHS.keys():
        return {value: meaning[0] if TRUTHS[value] else meaning[1] for value in values}
    return None


def _check_same_split(frame: pd.DataFrame, first: str, other: str, table: str) -> None:
    """Raise ImageSourceError where two columns put an image into train and into another split."""
    if first == other:
        return
    sides = []
    for name in (first, other):
        column = _cells(frame, name)
        values = split_values(column, name)
        if values is None:
            return
        texts = coded(texts_or_empty(column))
        is_train = np.array([values[text.strip().lower()] == "train" for text in texts.names], bool)
        sides.append(is_train[texts.codes])
    differ = sides[0] != sides[1]
    if differ.any():
        row = int(differ.argmax())
        by_first = frame[first].iat[row]
        by_other = frame[other].iat[row]
        raise ImageSourceError(
            f"row {row + 1} of '{table}' is '{by_first}' by column {first} and "
            f"'{by_other}' by column {other}. Write ?split={first} or ?split={other}"
        )


# Labels


def _decide_label(decision: ColumnChoice, frame: pd.DataFrame, table: str) -> list[str]:
    """Take the column of labels, or the columns of which one a row is the class; return others that might be
    meant."""
    used = set(decision.columns.values())
    free = [name for name in frame.columns if name not in used]
    ranks = _ranks(free)
    candidates = [name for name in _called_labels(free) if name not in ranks[:-1]]
    candidates += [name for name in ranks[-1:] if name not in candidates]
    measured = [name for name in candidates if _is_measured(_cells(frame, name))]
    candidates = [name for name in candidates if name not in measured]
    if not candidates:
        return [*measured, *_by_content(decision, frame, [name for name in free if name not in measured])]
    label = candidates[0]
    if label in ranks and label == ranks[-1]:
        _check_rank(frame, ranks, table)
    further = [*candidates[1:], *(name for name in free if column_name(name) in NAMES)]
    words = next((name for name in further if _names_numbers(frame, label, name, table)), None)
    decision.columns["label"] = words or label
    named = [*candidates, *ranks, *_free_texts(frame, free)]
    return [name for name in dict.fromkeys(named) if name != decision.columns["label"]]


def _called_labels(free: Sequence[str]) -> list[str]:
    """List the columns that are called as labels are, the likeliest first."""
    words = {name: column_name(name) for name in free}
    is_place = "x" in words.values()
    aliases = [alias for alias in LABELS if not (alias == "y" and is_place)]
    called = [name for alias in aliases for name in free if words[name] == alias]
    longer = [name for name in free if words[name].rpartition("_")[2] in LABEL_WORDS]
    return called or (longer if len(longer) == 1 else [])


def _ranks(free: Sequence[str]) -> list[str]:
    """List the columns of a taxonomy, the finest last; none where there are not two beside `class`."""
    named = {column_name(name): name for name in reversed(free)}
    ranks = [named[rank] for rank in RANKS if rank in named]
    if len([rank for rank in RANKS if rank in named and rank != "class"]) < 2:
        return []
    finest = [named[name] for name in FINEST if name in named and named[name] not in ranks]
    return [*ranks, *finest]


def _check_rank(frame: pd.DataFrame, ranks: Sequence[str], table: str) -> None:
    """Raise ImageSourceError where one name of the finest rank stands below two of the rank above."""
    if len(ranks) < 2 or column_name(ranks[-1]) not in ("species", "genus"):
        return
    finest, above = ranks[-1], ranks[-2]
    pairs: Any = frame[[above, finest]].drop_duplicates()
    again = pairs[pairs[finest].duplicated(keep=False) & (texts_or_empty(pairs[finest]) != "")]
    if len(again):
        name = again[finest].iat[0]
        both = list(again.loc[again[finest] == name, above])[:2]
        raise ImageSourceError(
            f"{finest} '{name}' of '{table}' stands below the {above} '{both[0]}' and '{both[1]}': as labels "
            f"they would be one class. Add a column label, or write ?label={finest}"
        )


def texts_or_empty(column: pd.Series) -> pd.Series:
    """Return a column of a user's table as texts, "" where nothing is."""
    texts = column.astype("str")
    return texts.fillna("") if texts.hasnans else texts


def _names_numbers(frame: pd.DataFrame, label: str, other: str, table: str) -> bool:
    """Whether a column has the names of the classes whose numbers the label has.

    Raises:
        ImageSourceError: it does for nearly all rows, and contradicts in others.
    """
    numbers, names = texts_or_empty(_cells(frame, label)), texts_or_empty(_cells(frame, other))
    is_pair = (numbers != "") & (names != "")
    if not is_pair.all():
        numbers, names = (cast(pd.Series, one[is_pair]) for one in (numbers, names))
    if numbers.empty or not numbers.str.fullmatch(NUMBER).all() or names.str.fullmatch(NUMBER).any():
        return False
    if n_different(names) > n_different(numbers) + (1 - MOST) * len(names):
        return False  # of most names there is one row: neither one to one, nor nearly
    of_rows, of_names = coded(numbers), coded(names)
    counts: Any = _counts_of_pairs(of_rows.codes, of_names.codes)
    main = counts.drop_duplicates("number").drop_duplicates("name")
    if len(main) == len(counts):
        return True
    n_classes = min(len(of_rows.names), len(of_names.names))
    if main["count"].sum() >= MOST * len(numbers) and len(main) == n_classes:
        usual = np.full(len(of_rows.names), -1)
        usual[main["number"]] = main["name"]
        row = int((usual[of_rows.codes] != of_names.codes).argmax())
        number, name, expected = numbers.iat[row], names.iat[row], usual[of_rows.codes[row]]
        written = of_names.names[expected] if expected >= 0 else None
        line = int(numbers.index[row]) + 1
        classes = f"{label} {number} and {other}"
        raise ImageSourceError(
            f"row {line} of '{table}' has {classes} '{name}', other rows {classes} '{written}'. "
            f"Write ?label={label} or ?label={other}"
        )
    return False


def _counts_of_pairs(numbers: np.ndarray, names: np.ndarray) -> pd.DataFrame:
    """Count the rows of each pair of codes: the most frequent first, of equal ones that which came first."""
    pairs = numbers.astype(np.int64) * (int(names.max()) + 1) + names
    _, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    rows = first[order]
    return pd.DataFrame({"number": numbers[rows], "name": names[rows], "count": counts[order]})


def _free_texts(frame: pd.DataFrame, free: Sequence[str]) -> list[str]:
    """List the columns of few words that come again, which could be labels."""
    return [name for name in free if _could_be_label(_cells(frame, name))]


def _could_be_label(column: pd.Series) -> bool:
    if not (pd.api.types.is_string_dtype(column) or column.dtype == "category"):
        return False
    texts = _texts_of(column)
    if texts.empty or column_name(str(column.name)) in UNITS or is_image_name(texts.iat[0]):
        return False
    if texts.str.fullmatch(r"[+-]?\d+(\.\d+)?").all():
        return False
    return 1 < n_different(texts) <= len(texts) // 2


def _by_content(decision: ColumnChoice, frame: pd.DataFrame, free: Sequence[str]) -> list[str]:
    """Take columns of which one a row is 1, or the only column beside the path; others might be meant."""
    localised = [name for name in free if is_localised(_cells(frame, name))]
    if len(localised) == 1:
        decision.columns["label"] = localised[0]
        return []
    flags = [name for name in free if _is_flag(_cells(frame, name))]
    if len(flags) > 1 and _is_one_hot(frame, flags):
        decision.one_hot = tuple(flags)
        return []
    could = _free_texts(frame, free)
    numbers = [name for name in free if name not in could and _are_numbers_again(_cells(frame, name))]
    only = free[0] if len(free) == 1 else ""
    if only in could or (only.isdecimal() and _comes_again(_cells(frame, only))):  # no header: "2"
        decision.columns["label"] = only
        return []
    return list(dict.fromkeys([*could, *flags, *numbers]))


def is_localised(column: pd.Series) -> bool:
    """Whether a column holds ImageNet's WordNet ids, each before a box (LOC_val_solution.csv)."""
    if not pd.api.types.is_string_dtype(column):
        return False
    texts = _texts_of(column)
    is_at_a_glance = len(texts) > 0 and texts.iloc[:100].str.fullmatch(LOCALISED).all()
    return bool(is_at_a_glance and texts.str.fullmatch(LOCALISED).all())


def _are_numbers_again(column: pd.Series) -> bool:
    """Whether a column has few whole numbers that come again, as numbers of classes do."""
    if column_name(str(column.name)) in UNITS or not _are_whole(cast(pd.Series, column.iloc[:100])):
        return False  # at a glance: a table may have millions of rows
    return _comes_again(column) and n_different(_texts_of(column)) > 1 and _are_whole(column)


def _are_whole(column: pd.Series) -> bool:
    return bool(_texts_of(column).str.fullmatch(NUMBER).all())


def _is_measured(column: pd.Series) -> bool:
    """Whether a column has fractions that hardly come again, such as ages and scores: no classes."""
    texts = _texts_of(cast(pd.Series, column.iloc[:1000]))
    if texts.empty or not texts.str.fullmatch(FRACTION).all():
        return False
    are_whole = texts.str.fullmatch(NUMBER).mean() > 0.5
    return bool(2 * texts.nunique() > len(texts) and not are_whole)


def _is_flag(column: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(column):
        return True
    if not set(texts_or_empty(column.iloc[:100])) <= FLAGS:
        return False  # at a glance: a table may have millions of rows
    values = set(texts_or_empty(column).unique())
    return values <= FLAGS and len(values) > 0


def _is_one_hot(frame: pd.DataFrame, flags: Sequence[str]) -> bool:
    """Whether each row has 1 in one of the columns and 0 in all others, not always in the same."""
    n_ones, n_used = np.zeros(len(frame), np.int32), 0
    for name in flags:
        texts = texts_or_empty(_cells(frame, name))
        is_one = texts.isin(ONES).to_numpy()
        if not (is_one | texts.isin(ZEROS).to_numpy()).all():
            return False
        n_ones += is_one
        n_used += bool(is_one.any())
    return bool((n_ones == 1).all()) and n_used > 1


def _comes_again(column: pd.Series) -> bool:
    texts = _texts_of(column)
    return 0 < n_different(texts) <= len(texts) // 2 and texts.str.len().max() < 100


# What is said


def _taken_note(
    decision: ColumnChoice, others: Mapping[str, Sequence[str]], unknown: Iterable[str]
) -> list[Record]:
    """One sentence: the columns that were taken where their names do not say so alone, and the others."""
    columns = decision.columns
    usual = {"path": COLUMNS["path"], "label": ("label",), "split": ("split",)}
    odd = any(columns[role].lower() not in usual[role] for role in usual if role in columns)
    rivals = list(others["label"]) if "label" in unknown else []
    if decision.one_hot:
        odd = True
    if not odd and not rivals and not others["split"]:
        return []
    taken = [f"{role} is '{columns[role]}'" for role in ("path", "label", "split") if role in columns]
    if decision.one_hot:
        taken.append(f"label is the one of {len(decision.one_hot)} columns with 1")
    why = []
    if rivals:
        verb = "for" if "label" in columns else "no label: for"
        why.append(f"{verb} {first_of(rivals)} write ?label={rivals[0]}")
    if others["split"]:
        why.append(f"no split is read from {first_of(others['split'])}")
    if not taken:
        return [say_of_columns("not_taken", why="; ".join(why))]
    return [say_of_columns("taken", names=tuple(taken), why="".join(f"; {reason}" for reason in why))]
