"""Outputs of a classifier matched to the labels of a study: by WordNet id, name, index or order. No torch."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.common.captions import WORDNET
from core.errors import SettingsError

MOST_BYTES = 50_000_000  # of a file of class names: 22,000 names take 1 MB
MOST_OUTPUTS = 1_000_000
SHOWN = 3


@dataclass(frozen=True)
class Match:
    """Which label each output means.

    Attributes:
        code: (n_outputs,) place in the study's class names; -1 for an output that is none of them.
        names: (n_outputs,) what each output is called; one without a label as no label and no other output.
        how: by what they were matched, in words. unmatched: labels that no output has.
    """

    code: np.ndarray
    names: list[str]
    how: str
    unmatched: tuple[str, ...]

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
            more = " …" if len(self.unmatched) > SHOWN else ""
            shown = ", ".join(self.unmatched[:SHOWN])
            lines.append(f"no output means {shown}{more}: their images are left out of the accuracy")
        return lines


def plain(name: str) -> str:
    """A name as it is compared: without case, underscores, hyphens and articles of spelling.

    >>> plain("Golden_retriever"), plain("black-and-tan  coonhound")
    ('golden retriever', 'black and tan coonhound')
    """
    return " ".join(re.sub(r"[_\-\s]+", " ", name).lower().split())


def match_classes(outputs: Sequence[Sequence[str]], labels: Sequence[str]) -> Match | None:
    """Match the outputs of a classifier to labels.

    Args:
        outputs: what each output may be called: a WordNet id, names; nothing where that is not known.
        labels: the sorted class names of the study.
    Returns:
        The way that matches most labels; None where none matches any.
    """
    wordnet = [[one for one in names if WORDNET.fullmatch(one)] for names in outputs]
    words = [[plain(part) for one in names for part in (one, *one.split(","))] for names in outputs]
    numbers = [[str(place)] for place in range(len(outputs))]
    ways = (
        ("by WordNet id", wordnet, [label.lower() for label in labels]),
        ("by name", words, [plain(label) for label in labels]),
        ("by index", numbers, [str(int(label)) if label.isdecimal() else label for label in labels]),
    )
    best = max(
        (_matched(how, keys, wanted) for how, keys, wanted in ways), key=lambda one: (one[1] >= 0).sum()
    )
    how, code = best
    if not (code >= 0).any():
        if any(outputs) or len(outputs) != len(labels):
            return None
        how, code = "in the order of the sorted class names (the file names none)", np.arange(len(labels))
    return _match([next(iter(names), "") for names in outputs], code, labels, how)


def _match(names: Sequence[str], code: np.ndarray, labels: Sequence[str], how: str) -> Match:
    """The match, with the number of the output behind a name that is not its own."""
    names = [name or f"output {place}" for place, name in enumerate(names)]
    others = np.flatnonzero(code < 0).tolist()
    uses = Counter([*labels, *(names[output] for output in others)])
    for output in others:
        while uses[names[output]] > 1:
            names[output] += f" (output {output})"
            uses[names[output]] += 1
    matched = set(code[code >= 0].tolist())
    return Match(code, names, how, tuple(label for place, label in enumerate(labels) if place not in matched))


def _matched(how: str, keys: list[list[str]], labels: list[str]) -> tuple[str, np.ndarray]:
    """The place in `wanted` of each output; a key of several outputs, or of several labels, matches none."""
    owners: dict[str, set[int]] = {}
    for place, mine in enumerate(keys):
        for key in mine:
            owners.setdefault(key, set()).add(place)
    code = np.full(len(keys), -1)
    for label, key in enumerate(labels):
        places = owners.get(key, set())
        if len(places) == 1 and labels.count(key) == 1:
            code[next(iter(places))] = label
    return how, code


def read_class_file(path: str | Path, n_outputs: int, labels: Sequence[str]) -> Match:
    """The match that a file states: a name a line, a JSON list or object, or a CSV with output,label.

    In a CSV and in an object many outputs may have one label.

    Raises:
        SettingsError: it cannot be read, names another number of outputs, or none of the labels.
    """
    names = read_names(path, n_outputs)
    places = {plain(label): place for place, label in enumerate(labels)}
    if (code := np.array([places.get(plain(name), -1) for name in names])).max(initial=-1) >= 0:
        return _match(names, code, labels, f"by {Path(path).name}")
    match = match_classes([[name] if name else [] for name in names], labels)
    if match is None:
        raise SettingsError(
            f"none of the names in '{path}' is a label of the study: it names {', '.join(names[:SHOWN])} …, "
            f"the study {', '.join(list(labels)[:SHOWN])} …"
        )
    return match


def read_names(file: str | Path, n_outputs: int) -> list[str]:
    """One name an output, "" where the file names none."""
    path = Path(file)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"'{path}' has {path.stat().st_size:,} bytes: a file of class names has less")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(f"cannot read the class names '{path}': {why}") from None
    kind = path.suffix.lower()
    try:
        pairs = _json_pairs(text) if kind == ".json" else _table_pairs(text) if kind == ".csv" else None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"'{path}' holds no class names: {str(error)[:200]}") from None
    if pairs is None:
        pairs = list(enumerate(line.strip() for line in text.splitlines()))
        while pairs and not pairs[-1][1]:
            pairs.pop()
        if len(pairs) != n_outputs:
            raise SettingsError(f"'{path}' names {len(pairs):,} classes; the head has {n_outputs:,} outputs")
    names = [""] * n_outputs
    for output, name in pairs:
        if not 0 <= output < n_outputs:
            raise SettingsError(
                f"'{path}' names output {output}; the head has outputs 0 to {n_outputs - 1:,}"
            )
        names[output] = name
    return names


def _json_pairs(text: str) -> list[tuple[int, str]] | None:
    parsed = json.loads(text)
    if isinstance(parsed, list) and all(isinstance(one, str) for one in parsed):
        return list(enumerate(parsed))
    if isinstance(parsed, dict):
        return [
            (int(key), value if isinstance(value, str) else str(value[-1])) for key, value in parsed.items()
        ]
    raise ValueError("expected a list of names, or an object output: name")


def _table_pairs(text: str) -> list[tuple[int, str]]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"output", "label"} <= set(rows.fieldnames or ()):
        raise ValueError("expected the columns output and label")
    return [(int(row["output"]), (row["label"] or "").strip()) for row in rows]
