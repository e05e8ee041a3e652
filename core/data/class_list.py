"""Files that name classes, in the forms that tools and papers write. No torch, and nothing of a file is run.

| form | example |
|---|---|
| a name a line, in the order of the classes | `golden_retriever` |
| numbers before or behind the names (CUB, Places365) | `1 001.Black_footed_Albatross`, `/a/airfield 0` |
| WordNet ids before words, and numbers between them (Caffe, the devkit) | `n02119789 1 kit_fox` |
| JSON, also id2label of a config.json and an index of Keras | `{"0": ["n01440764", "tench"]}` |
| a dictionary of Python (the usual text of ImageNet's names) | `{0: 'tench, Tinca tinca',` |
| sentences of each class (CuPL), or what describes it (Label-free-CBM) | `{"tench": ["A tench is …"]}` |
| a table with a column of numbers and one of names | `output,label` |
"""

import ast
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from core.common.label_match import integer_of, plain, wordnet_id, words_of
from core.errors import SettingsError

MOST_BYTES = 50_000_000  # of a file of class names: 22,000 names take 1 MB
LONGEST = 500  # characters of a name
FEWEST = 3  # texts of a class that describe it, where its names would be fewer
SENTENCE = 7  # words of a sentence; a description has fewer
NUMBER_FIRST = re.compile(r"(\d{1,9})\s*[\s:,;=]\s*(\S.*)")
NUMBER_LAST = re.compile(r"(.*\S)\s*[\s:,;=]\s*(\d{1,9})")
OF_DEVKIT = re.compile(r"(n\d{8})\s+(\d{1,9})\s+(\S.*)")
OF_PLACES = re.compile(r"/[a-z]/")
INSIDE = ("id2label", "names", "class_names", "classes", "categories", "label2id", "class_to_idx")
NUMBERS = ("output", "index", "idx", "id", "number", "class_id", "label_id", "category_id")
NAMES = ("label", "name", "class", "class_name", "classname", "category")
EXPECTED = "expected a list of names, or an object output: name"


@dataclass(frozen=True)
class NamedClass:
    """One class of a list.

    Attributes:
        names: what it may be called: a WordNet id, words, synonyms; none for a place without a name.
        number: that the file states; None where only its place in the file says it.
        key: what the file calls the class to say of which one it speaks, "" for nothing.
        prompts: sentences about it, as CLIP is to read them.
    """

    names: tuple[str, ...] = ()
    number: int | None = None
    key: str = ""
    prompts: tuple[str, ...] = ()

    @property
    def all_names(self) -> list[str]:
        """Its key, if that is a name of its own, and its names."""
        return [*filter(None, [self.key]), *self.names]


@dataclass(frozen=True)
class ClassList:
    """The classes of a file in its order, and what was not taken of it: descriptions of classes."""

    classes: list[NamedClass]
    n_described: int = 0

    @property
    def numbered(self) -> bool:
        """Whether the file states the numbers of classes."""
        return any(class_.number is not None for class_ in self.classes)


def read_class_list(file: str | Path) -> ClassList:
    """Read a file that lists the names of classes beside a data set, in any of its known forms.

    Raises:
        SettingsError: it cannot be read, is too large, empty, or of another form.
    """
    path = Path(file)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"'{path}' has {path.stat().st_size:,} bytes: a file of class names has less")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(f"cannot read the class names '{path}': {why}") from None
    try:
        return parse_class_list(text, path.suffix)
    except ValueError as error:
        raise SettingsError(f"'{path}' holds no class names: {str(error)[:200]}") from None


def parse_class_list(text: str, suffix: str = ".txt") -> ClassList:
    """Read the names of classes from the text of a file that lists them.

    Args:
        suffix: the ending of the file, which tells its form.

    Raises:
        ValueError: what it is not, in a few words.
    """
    begins = text.lstrip()[:1]
    try:
        if suffix.lower() == ".json":
            class_list = _of_value(json.loads(text, object_pairs_hook=_Pairs))
        elif begins in ("{", "["):
            class_list = _of_value(_literal(text))
        elif suffix.lower() in (".csv", ".tsv") and (table := _of_table(text, suffix.lower() == ".tsv")):
            class_list = table
        else:
            class_list = ClassList(_of_lines(text))
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not class_list.classes:
        raise ValueError("it is empty")
    twice = _first_twice(class_.number for class_ in class_list.classes if class_.number is not None)
    if twice is not None:
        raise ValueError(f"it names output {twice} twice")
    return class_list


def _first_twice(values: Iterable[Any]) -> Any:
    seen = set()
    return next((value for value in values if value in seen or seen.add(value)), None)


class _Pairs(list):
    """The members of an object in their order, also those of one name."""


def _literal(text: str) -> Any:
    """The value of JSON, or of Python's own notation for dictionaries, lists, texts and numbers."""
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except ValueError:
        pass
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError("it begins like JSON or a dictionary of Python, but is neither") from None
    return _constant(tree)


def _constant(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict):
        keys = [None if key is None else _constant(key) for key in node.keys]
        values = map(_constant, node.values)
        pairs = zip(keys, values, strict=True)
        return _Pairs((key if isinstance(key, str) else repr(key), one) for key, one in pairs)
    if isinstance(node, ast.List | ast.Tuple):
        return [_constant(one) for one in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
        return node.value
    raise ValueError("it holds more than names and numbers")


def _of_value(value: Any) -> ClassList:
    inner = _inside(value)
    if isinstance(inner, _Pairs):
        return _of_object(inner)
    if isinstance(inner, list):
        return ClassList([_of_item(one, number) for number, one in enumerate(inner)])
    raise ValueError(EXPECTED)


def _inside(value: Any) -> Any:
    """The part of a settings file that names classes; the value itself where it is no such file."""
    if not isinstance(value, _Pairs):
        return value
    lists = {key: one for key, one in value if isinstance(one, list)}
    return next((lists[key] for key in INSIDE if key in lists), value)


def _of_object(pairs: _Pairs) -> ClassList:
    if pairs and all(type(value) is int for _, value in pairs):
        return ClassList([NamedClass((name,), number) for name, number in pairs])
    if _describes(pairs):
        texts = [text for _, values in pairs for text in values]
        if median(len(text.split()) for text in texts) >= SENTENCE:
            return ClassList([NamedClass((key,), prompts=tuple(values)) for key, values in pairs])
        return ClassList([NamedClass((key,)) for key, _ in pairs], len(texts))
    classes = []
    for key, value in pairs:
        one = NamedClass(_names(value, f"output {key}"), integer_of(key))
        classes.append(one if one.number is not None else replace(one, key=key))
    return ClassList(classes)


def _describes(pairs: _Pairs) -> bool:
    """Whether the members of an object are classes with sentences or descriptions, and not other names."""
    if not pairs or not all(_is_texts(values) and integer_of(key) is None for key, values in pairs):
        return False
    n_own_names = sum(plain(key) in map(plain, values) for key, values in pairs)
    return median(len(values) for _, values in pairs) >= FEWEST and 2 * n_own_names < len(pairs)


def _is_texts(value: Any) -> bool:
    is_list = isinstance(value, list) and not isinstance(value, _Pairs)
    return is_list and bool(value) and all(isinstance(one, str) for one in value)


def _of_item(value: Any, place: int) -> NamedClass:
    if not isinstance(value, _Pairs):
        return NamedClass(_names(value, f"output {place}"))
    number = next((one for key, one in value if key in NUMBERS and type(one) is int), None)
    return NamedClass(_names(value, f"output {place}"), number)


def _names(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, _Pairs):
        value = next((one for key, one in value if key in NAMES), None)
    names = [value] if isinstance(value, str) else value
    if not _is_texts(names):
        raise ValueError(f"{EXPECTED}; {what} has no name")
    return tuple(one for one in map(str.strip, names) if one)


def _of_table(text: str, tabs: bool) -> ClassList | None:
    """The classes of a table with a header; None where its first line is none."""
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if tabs else ",")
    header = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
    number = next((header[one] for one in NUMBERS if one in header), None)
    name = next((header[one] for one in NAMES if one in header), None)
    if number is None or name is None:
        if all(map(NUMBER_FIRST.fullmatch, _held(text))) or all(map(NUMBER_LAST.fullmatch, _held(text))):
            return None
        raise ValueError("expected the columns output and label")
    return ClassList([_of_row(row[number] or "", (row[name] or "").strip()) for row in rows])


def _of_row(number: str, name: str) -> NamedClass:
    if not number.strip():
        raise ValueError("'' is no number of an output")
    stated = integer_of(number)
    names = (name,) if name else ()
    return NamedClass(names, stated, "" if stated is not None else number)


def _held(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _of_lines(text: str) -> list[NamedClass]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if any(len(line) > LONGEST for line in lines) or any(line.startswith(("<", "item {")) for line in lines):
        raise ValueError("expected a name a line, JSON, or a table with the columns output and label")
    filled = [line for line in lines if line]
    if filled and all(map(OF_PLACES.match, filled)):
        lines = [OF_PLACES.sub("", line, count=1) for line in lines]
        filled = [line for line in lines if line]
    for read in LINES:
        if filled and (classes := read(filled)):
            return classes
    return [NamedClass(_id_and_words(line)) for line in lines]


def _id_and_words(line: str) -> tuple[str, ...]:
    """A line as names: a WordNet id and its words stand apart.

    >>> _id_and_words("n01440764 tench, Tinca tinca"), _id_and_words("sea lion"), _id_and_words("")
    (('n01440764', 'tench, Tinca tinca'), ('sea lion',), ())
    """
    one = wordnet_id(line)
    return tuple(filter(None, [one, words_of(line)])) if one else tuple(filter(None, [line]))


def _of_devkit(lines: Sequence[str]) -> list[NamedClass]:
    parts = [OF_DEVKIT.fullmatch(line) for line in lines]
    return [NamedClass((part[1], part[3]), int(part[2])) for part in parts if part] if all(parts) else []


def _number_first(lines: Sequence[str]) -> list[NamedClass]:
    parts = [NUMBER_FIRST.fullmatch(line) for line in lines]
    return _numbered([(int(part[1]), part[2]) for part in parts if part], len(lines))


def _number_last(lines: Sequence[str]) -> list[NamedClass]:
    parts = [NUMBER_LAST.fullmatch(line) for line in lines]
    return _numbered([(int(part[2]), part[1]) for part in parts if part], len(lines))


def _numbered(pairs: Sequence[tuple[int, str]], n: int) -> list[NamedClass]:
    """Classes with the numbers that stand beside them, where these count all of them from 0 or 1."""
    numbers = {number for number, _ in pairs}
    if len(pairs) != n or len(numbers) != n or min(numbers) > 1 or max(numbers) - min(numbers) != n - 1:
        return []
    return [NamedClass(_id_and_words(name), number) for number, name in pairs]


LINES: tuple[Callable[[Sequence[str]], list[NamedClass]], ...] = (_of_devkit, _number_first, _number_last)
