"""Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from core.common.labels.match import BY_SYNSET, Match, few, match_as_stated, match_labels
from core.common.labels.spelling import plain
from core.common.records import Templates
from core.errors import SettingsError, did_you_mean

MOST_BYTES = 50_000_000  # of a file of class names: 22,000 names take 1 MB
MOST_OUTPUTS = 1_000_000
NUMBERED = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")  # the name of an output that is only its number
BY_INDEX = "by index"  # labels are the numbers of outputs
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
    by_index = match_labels([[str(output)] for output in range(len(outputs))], labels)
    if not by_name.n_matched and _only_numbered(outputs):
        outputs = [[] for _ in outputs]
    if not any(outputs) and by_index.n_matched < len(outputs) == len(labels):
        return match_as_stated(outputs, np.arange(len(labels)), labels, SORTED)
    if by_index.n_matched > by_name.n_matched:
        return match_as_stated(outputs, by_index.code, labels, BY_INDEX)
    return by_name if by_name.n_matched else None


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
    """The match that a file states: a name a line, a JSON list or object, or a CSV with output,label.

    An object maps outputs to names, of which there may be several ({"0": ["n01440764", "tench"]}), or each
    name to its output. Many outputs may have one label.

    Args:
        n_outputs: None: as many as the file names.
        called: what the outputs are called already, by which a CSV or an object may name them.
    Raises:
        SettingsError: it cannot be read, names another number of outputs, an output twice, or no label.
    """
    outputs = read_names(path, n_outputs, called=called)
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


def read_names(
    file: str | Path,
    n_outputs: int | None = None,
    *,
    of: str = "the head has {:,} outputs",
    called: Sequence[Sequence[str]] | None = (),
) -> list[list[str]]:
    """The names of each output, none where the file names none.

    Args:
        n_outputs: None: as many as the file names.
        called: as for `read_class_file`; None: not yet known, and outputs that are named are left out.
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
        pairs = READERS.get(path.suffix.lower(), _read_lines)(text, _numbering(called))
    except (ValueError, RecursionError, csv.Error) as error:
        raise SettingsError(f"'{path}' holds no class names: {str(error)[:200]}") from None
    if not pairs:
        raise SettingsError(f"'{path}' holds no class names: it is empty")
    if isinstance(pairs, list):
        if n_outputs is not None and len(pairs) != n_outputs:
            raise SettingsError(f"'{path}' names {len(pairs):,} classes; {of.format(n_outputs)}")
        return pairs
    pairs = {output: names for output, names in pairs.items() if isinstance(output, int)} or {0: []}
    least, most = min(pairs), max(pairs)
    n_outputs = min(most + 1, MOST_OUTPUTS) if n_outputs is None else n_outputs
    if least < 0 or most >= n_outputs:
        bad = least if least < 0 else most
        raise SettingsError(f"'{path}' names output {bad}; the head has outputs 0 to {n_outputs - 1:,}")
    return [pairs.get(output, []) for output in range(n_outputs)]


Output = int | str  # a number, or a name where the names are not yet known
Numbering = Callable[[str | None], Output]


def _numbering(called: Sequence[Sequence[str]] | None) -> Numbering:
    """What reads which output is meant: a number, or a name that one output alone is called."""
    if called is None:
        return partial(_output, None)
    keys = [{plain(part) for one in names for part in (one, *one.split(","))} for names in called]
    uses = Counter(key for mine in keys for key in mine)
    return partial(_output, {key: place for place, mine in enumerate(keys) for key in mine if uses[key] == 1})


def _output(numbers: Mapping[str, int] | None, text: str | None) -> Output:
    text = text or ""
    try:
        return int(text)
    except ValueError:
        key = plain(text)
    if key and numbers is None:
        return key
    if numbers and key in numbers:
        return numbers[key]
    nor = f", nor the name of one alone.{did_you_mean(key, numbers)}" if numbers else ""
    raise ValueError(f"'{text}' is no number of an output{nor}")


def _read_lines(text: str, _: Numbering) -> list[list[str]]:
    names = [line.strip() for line in text.splitlines()]
    while names and not names[-1]:
        names.pop()
    return [[name] if name else [] for name in names]


def _read_json(text: str, number: Numbering) -> list[list[str]] | dict[Output, list[str]]:
    parsed = json.loads(text, object_pairs_hook=_Pairs)
    if isinstance(parsed, _Pairs):
        if parsed and all(type(value) is int for _, value in parsed):
            return _by_output((output, [name]) for name, output in parsed)
        return _by_output((number(key), _names(value, f"output {key}")) for key, value in parsed)
    if isinstance(parsed, list):
        return [_names(one, f"output {place}") for place, one in enumerate(parsed)]
    raise ValueError("expected a list of names, or an object output: name")


class _Pairs(list):
    """The members of a JSON object in their order, also those of one name."""


def _names(value: object, what: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if type(names) is not list or not names or not all(isinstance(one, str) for one in names):
        raise ValueError(f"expected a list of names, or an object output: name; {what} has no name")
    return [one for one in map(str.strip, names) if one]


def _read_table(text: str, number: Numbering) -> dict[Output, list[str]]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"output", "label"} <= set(rows.fieldnames or ()):
        raise ValueError("expected the columns output and label")
    pairs = ((number(row["output"]), (row["label"] or "").strip()) for row in rows)
    return _by_output((output, [label] if label else []) for output, label in pairs)


def _by_output(pairs: Iterable[tuple[Output, list[str]]]) -> dict[Output, list[str]]:
    names: dict[Output, list[str]] = {}
    for output, mine in pairs:
        if output in names:
            raise ValueError(f"it names output {output} twice")
        names[output] = mine
    return names


READERS: dict[str, Callable[[str, Numbering], list[list[str]] | dict[Output, list[str]]]] = {
    ".json": _read_json,
    ".csv": _read_table,
}
