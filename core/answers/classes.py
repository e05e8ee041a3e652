"""Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from core.answers.synsets import match_synsets
from core.common.captions import WORDNET, plain
from core.common.records import Record, Templates
from core.errors import SettingsError, closest, did_you_mean

MOST_BYTES = 50_000_000  # of a file of class names: 22,000 names take 1 MB
MOST_OUTPUTS = 1_000_000
ALIKE = 0.8  # difflib's ratio: a truck is meant by trucks, no crate by cat
SHOWN = 3
NUMBERED = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")  # the name of an output that is only its number
BY_INDEX = "by index"  # labels are the numbers of outputs
SORTED = "in the order of the sorted class names (the file names none)"
say_of_match = Templates.beside(__file__)


@dataclass(frozen=True)
class Match:
    """Which label each output means.

    Attributes:
        code: (n_outputs,) place in the study's class names; -1 for an output that is none of them.
        names: (n_outputs,) what each output is called; one without a label as no label and no other output.
        how: by what they were matched, in words. unmatched: labels that no output has.
        shared: names that several labels or outputs have, hence matched to none, and those labels.
        called: all that each output may be called, as for `match_classes`.
    """

    code: np.ndarray
    names: list[str]
    how: str
    unmatched: tuple[str, ...]
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    called: Sequence[Sequence[str]] = ()

    @property
    def n_matched(self) -> int:
        return len(np.unique(self.code[self.code >= 0]))

    @property
    def one_to_one(self) -> bool:
        return self.n_matched == np.count_nonzero(self.code >= 0)

    def notes(self, remedy: str = "") -> list[Record]:
        """What a user has to know of the match, one line each; `remedy`: what to do about labels without
        an output.
        """
        n = self.n_matched
        of, outputs = n + len(self.unmatched), len(self.code)
        lines = [say_of_match("matched", n=n, of=of, value=outputs, why=self.how)]
        if self.unmatched:
            nearest = [self._with_nearest(one) for one in self.unmatched[:SHOWN]]
            what = few(nearest, len(self.unmatched))
            lines.append(say_of_match("unmatched", what=what, names=self.unmatched, why=remedy))
        return lines + self.shared_note()

    def _with_nearest(self, label: str) -> str:
        """A label and the name of an output without one that is most like it, if any is."""
        if WORDNET.fullmatch(label) or label.isdecimal():
            return label
        free = [names for names, code in zip(self.called, self.code, strict=False) if code < 0]
        parts = {plain(part): part for names in free for one in names for part in one.split(",")}
        names = (plain(label), plain(re.sub(r"\(.*?\)", " ", label)))
        near = next(filter(None, (closest(name, parts, least=ALIKE) for name in names if name)), None)
        return f"{label} (output {parts[near].strip()}?)" if near else label

    def shared_note(self) -> list[Record]:
        """Name the names that several classes have, if there are any."""
        shared = [(name.strip(), label) for name, labels in sorted(self.shared.items()) for label in labels]
        names = tuple(dict.fromkeys(f"{name} ({label})" for name, label in shared))
        return [say_of_match("shared", what=few(names), names=names)] if names else []


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
    if by_name is None and _only_numbered(outputs):
        outputs = [[] for _ in outputs]
    if not any(outputs) and n_by_index < len(outputs) == len(labels):
        return match_as_stated(outputs, np.arange(len(labels)), labels, SORTED)
    if n_by_index and (by_name is None or n_by_index > by_name.n_matched):
        return match_as_stated(outputs, by_index, labels, BY_INDEX)
    return by_name


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


def match_by_name(outputs: Sequence[Sequence[str]], labels: Sequence[str]) -> Match | None:
    """As `match_classes`, but only by WordNet id or name: the outputs have no order."""
    wordnet = [[one for one in names if WORDNET.fullmatch(one)] for names in outputs]
    words = [[plain(part) for one in names for part in (one, *one.split(","))] for names in outputs]
    code, shared = match_synsets(outputs, labels)
    ways = {
        "by WordNet id": _matched(wordnet, [label.lower() for label in labels]),
        "by name": _matched_by_words(words, [plain(label) for label in labels]),
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
    return Match(code, names, how, missing, shared or {}, outputs)


def _matched_by_words(keys: list[list[str]], labels: list[str]) -> np.ndarray:
    """As `_matched`, and what is left without regard to spaces: "air plane" is "airplane"."""
    code = _matched(keys, labels)
    joined = _matched([[_joined(one) for one in mine] for mine in keys], [_joined(one) for one in labels])
    return np.where((code < 0) & ~np.isin(joined, code), joined, code)


def _joined(name: str) -> str:
    return plain(name).replace(" ", "")


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
    uses = Counter(map(_joined, labels))
    places = {_joined(one): place for place, one in enumerate(labels) if uses[_joined(one)] == 1}
    places |= {plain(label): place for place, label in enumerate(labels)}
    keys = [[key for name in names for key in (plain(name), _joined(name))] for names in outputs]
    held = [[places[key] for key in mine if key in places] for mine in keys]
    code = np.array([next(iter(one), -1) for one in held], int)
    match = match_classes(outputs, labels)
    n_stated = len(np.unique(code[code >= 0]))
    if n_stated and (match is None or n_stated >= match.n_matched):
        return match_as_stated(outputs, code, labels, f"by {Path(path).name}")
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


def few(names: Sequence[str], n: int | None = None) -> str:
    """The first names of `n`, or of all."""
    return ", ".join(names[:SHOWN]) + " …" * ((len(names) if n is None else n) > SHOWN)


READERS: dict[str, Callable[[str, Numbering], list[list[str]] | dict[Output, list[str]]]] = {
    ".json": _read_json,
    ".csv": _read_table,
}
