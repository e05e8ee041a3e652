"""Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.answers.synsets import match_synsets
from core.common.captions import WORDNET, plain
from core.errors import SettingsError

MOST_BYTES = 50_000_000  # of a file of class names: 22,000 names take 1 MB
MOST_OUTPUTS = 1_000_000
SHOWN = 3
BY_INDEX = "by index"  # labels are the numbers of outputs


@dataclass(frozen=True)
class Match:
    """Which label each output means.

    Attributes:
        code: (n_outputs,) place in the study's class names; -1 for an output that is none of them.
        names: (n_outputs,) what each output is called; one without a label as no label and no other output.
        how: by what they were matched, in words. unmatched: labels that no output has.
        shared: names that several labels or outputs have, hence matched to none, and those labels.
    """

    code: np.ndarray
    names: list[str]
    how: str
    unmatched: tuple[str, ...]
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def n_matched(self) -> int:
        return len(np.unique(self.code[self.code >= 0]))

    @property
    def one_to_one(self) -> bool:
        return self.n_matched == np.count_nonzero(self.code >= 0)

    def notes(self) -> list[str]:
        """What a user has to know of the match, one line each."""
        n = self.n_matched + len(self.unmatched)
        lines = [f"{self.n_matched:,} of {n:,} labels matched to {len(self.code):,} outputs {self.how}"]
        if self.unmatched:
            few = _few(self.unmatched)
            lines.append(f"no output means {few}: their images are left out of the accuracy")
        return lines + self.shared_note()

    def shared_note(self) -> list[str]:
        """Name the names that several classes have, if there are any."""
        shared = [(name.strip(), label) for name, labels in sorted(self.shared.items()) for label in labels]
        names = _few(list(dict.fromkeys(f"{name} ({label})" for name, label in shared)))
        return [f"names of several classes or outputs, matched to none: {names}"] if names else []


def match_classes(outputs: Sequence[Sequence[str]], labels: Sequence[str]) -> Match | None:
    """Match the outputs of a classifier to labels.

    Args:
        outputs: what each output may be called: a WordNet id, names; nothing where that is not known.
        labels: the sorted class names of the study.
    Returns:
        The way that matches most labels; None where none matches any.
    """
    numbers = [[str(output)] for output in range(len(outputs))]
    indices = [str(int(label)) if label.isdecimal() else label for label in labels]
    by_name, by_index = match_by_name(outputs, labels), _matched(numbers, indices)
    n_by_index = np.count_nonzero(by_index >= 0)
    if not any(outputs) and n_by_index < len(outputs) == len(labels):
        how = "in the order of the sorted class names (the file names none)"
        return match_as_stated(outputs, np.arange(len(labels)), labels, how)
    if n_by_index and (by_name is None or n_by_index > by_name.n_matched):
        return match_as_stated(outputs, by_index, labels, BY_INDEX)
    return by_name


def match_by_name(outputs: Sequence[Sequence[str]], labels: Sequence[str]) -> Match | None:
    """As `match_classes`, but only by WordNet id or name: the outputs have no order."""
    wordnet = [[one for one in names if WORDNET.fullmatch(one)] for names in outputs]
    words = [[plain(part) for one in names for part in (one, *one.split(","))] for names in outputs]
    code, shared = match_synsets(outputs, labels)
    ways = {
        "by WordNet id": _matched(wordnet, [label.lower() for label in labels]),
        "by name": _matched(words, [plain(label) for label in labels]),
        "by WordNet name": np.array(code, int),
    }
    how = max(ways, key=lambda one: np.count_nonzero(ways[one] >= 0))
    if not (ways[how] >= 0).any():
        return None
    return match_as_stated(outputs, ways[how], labels, how, shared if how == "by WordNet name" else None)


def match_as_stated(
    outputs: Sequence[Sequence[str]],
    code: np.ndarray,
    labels: Sequence[str],
    how: str,
    shared: Mapping[str, Sequence[str]] | None = None,
) -> Match:
    """The match of outputs whose labels are known, with the number of an output behind a name that is not
    its own.

    Args:
        code: (n_outputs,) place in `labels`, -1 for none. outputs, labels: as for `match_classes`.
    """
    names = [next(iter(names), "") or f"output {place}" for place, names in enumerate(outputs)]
    others = np.flatnonzero(code < 0).tolist()
    uses = Counter([*labels, *(names[output] for output in others)])
    for output in others:
        while uses[names[output]] > 1:
            names[output] += f" (output {output})"
            uses[names[output]] += 1
    matched = set(code[code >= 0].tolist())
    missing = tuple(label for place, label in enumerate(labels) if place not in matched)
    return Match(code, names, how, missing, shared or {})


def _matched(keys: list[list[str]], labels: list[str]) -> np.ndarray:
    """The place in `labels` of each output; a key of several outputs, or of several labels, matches none."""
    owners: dict[str, set[int]] = {}
    for output, mine in enumerate(keys):
        for key in mine:
            owners.setdefault(key, set()).add(output)
    code, uses = np.full(len(keys), -1), Counter(labels)
    for label, key in enumerate(labels):
        places = owners.get(key, set())
        if len(places) == 1 and uses[key] == 1:
            code[next(iter(places))] = label
    return code


def read_class_file(path: str | Path, n_outputs: int | None, labels: Sequence[str]) -> Match:
    """The match that a file states: a name a line, a JSON list or object, or a CSV with output,label.

    An object maps outputs to names, of which there may be several ({"0": ["n01440764", "tench"]}), or each
    name to its output. Many outputs may have one label.

    Args:
        n_outputs: None: as many as the file names.
    Raises:
        SettingsError: it cannot be read, names another number of outputs, an output twice, or no label.
    """
    outputs = read_names(path, n_outputs)
    places = {plain(label): place for place, label in enumerate(labels)}
    held = [[places[plain(name)] for name in names if plain(name) in places] for names in outputs]
    code = np.array([next(iter(one), -1) for one in held], int)
    match = match_classes(outputs, labels)
    n_stated = len(np.unique(code[code >= 0]))
    if n_stated and (match is None or n_stated >= match.n_matched):
        return match_as_stated(outputs, code, labels, f"by {Path(path).name}")
    if match is None:
        names = [name for names in outputs for name in names[-1:]]
        raise SettingsError(
            f"none of the names in '{path}' is a label of the study: it names {_few(names)}, "
            f"the study {_few(labels)}"
        )
    return match


def read_names(
    file: str | Path, n_outputs: int | None = None, *, of: str = "the head has {:,} outputs"
) -> list[list[str]]:
    """The names of each output, none where the file names none; `n_outputs` None: as many as it names."""
    path = Path(file)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"'{path}' has {path.stat().st_size:,} bytes: a file of class names has less")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(f"cannot read the class names '{path}': {why}") from None
    try:
        pairs = READERS.get(path.suffix.lower(), _read_lines)(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise SettingsError(f"'{path}' holds no class names: {str(error)[:200]}") from None
    if not pairs:
        raise SettingsError(f"'{path}' holds no class names: it is empty")
    if isinstance(pairs, list):
        if n_outputs is not None and len(pairs) != n_outputs:
            raise SettingsError(f"'{path}' names {len(pairs):,} classes; {of.format(n_outputs)}")
        return pairs
    least, most = min(pairs), max(pairs)
    n_outputs = min(most + 1, MOST_OUTPUTS) if n_outputs is None else n_outputs
    if least < 0 or most >= n_outputs:
        bad = least if least < 0 else most
        raise SettingsError(f"'{path}' names output {bad}; the head has outputs 0 to {n_outputs - 1:,}")
    return [pairs.get(output, []) for output in range(n_outputs)]


def _read_lines(text: str) -> list[list[str]]:
    names = [line.strip() for line in text.splitlines()]
    while names and not names[-1]:
        names.pop()
    return [[name] if name else [] for name in names]


def _read_json(text: str) -> list[list[str]] | dict[int, list[str]]:
    parsed = json.loads(text, object_pairs_hook=_Pairs)
    if isinstance(parsed, _Pairs):
        if parsed and all(type(value) is int for _, value in parsed):
            return _by_output((output, [name]) for name, output in parsed)
        return _by_output((_output(key), _names(value, f"output {key}")) for key, value in parsed)
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


def _read_table(text: str) -> dict[int, list[str]]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"output", "label"} <= set(rows.fieldnames or ()):
        raise ValueError("expected the columns output and label")
    pairs = ((_output(row["output"]), (row["label"] or "").strip()) for row in rows)
    return _by_output((output, [label] if label else []) for output, label in pairs)


def _output(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise ValueError(f"'{text or ''}' is no number of an output") from None


def _by_output(pairs: Iterable[tuple[int, list[str]]]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for output, mine in pairs:
        if output in names:
            raise ValueError(f"it names output {output} twice")
        names[output] = mine
    return names


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + " …" * (len(names) > SHOWN)


READERS: dict[str, Callable[[str], list[list[str]] | dict[int, list[str]]]] = {
    ".json": _read_json,
    ".csv": _read_table,
}
