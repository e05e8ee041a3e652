"""Captions of JSON: COCO's annotations, Karpathy's splits, lists, objects by image, lines. No torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from core.common.inside import parse_json
from core.concepts.captions.line_form import SAMPLE, choose_columns
from core.concepts.captions.text import BLOCK, open_bytes, whole_lines

MOST_BYTES = 1_000_000_000  # of a file that is read as one; lines of JSON have no limit
RECORDS = ("annotations", "captions", "data", "images", "sentences", "rows")  # under which lists stand


@dataclass(frozen=True)
class JsonTexts:
    """Captions of a JSON file.

    Attributes:
        names: the keys of its objects; empty for a list of texts. columns: those of captions.
    """

    texts: list[str]
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def read_json_texts(path: Path, encoding: str, column: str | None) -> JsonTexts:
    """Read the captions of a .json file, which may hold an object a line.

    Raises:
        ValueError: no JSON, larger than MOST_BYTES, or without captions. UnclearColumn: several keys may
            be it.
    """
    with open_bytes(path) as file:
        parts = [file.read(BLOCK)]
        while len(parts) * BLOCK <= MOST_BYTES and parts[-1]:
            parts.append(file.read(BLOCK))
        if parts[-1]:
            raise ValueError(
                f"it has more than {MOST_BYTES / 1e6:,.0f} MB; give it as .jsonl, an object a line"
            )
    text = b"".join(parts).decode(encoding, errors="replace")
    first, _, rest = text.lstrip().partition("\n")
    if rest.strip() and _is_object(first):
        return read_lines_of_json(path, encoding, column)
    return _texts_of(parse_json(text), column)


def read_lines_of_json(path: Path, encoding: str, column: str | None) -> JsonTexts:
    """Read the captions of a .jsonl file: an object or a text a line.

    Raises:
        ValueError: a line is no JSON, or has no captions. UnclearColumn: several keys may be it.
    """
    values = map(_flat, _values(path, encoding))
    start = list(islice(values, SAMPLE))
    if not start or not isinstance(start[0], Mapping):
        return _texts_of(list(chain(start, values)), column)
    names, columns = _columns(start, column)
    texts = [text for row in chain(start, values) for text in _of_row(row, columns)]
    return JsonTexts(texts, names, columns)


def _is_object(line: str) -> bool:
    try:
        return line.startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _values(path: Path, encoding: str) -> Iterator[Any]:
    for number, line in enumerate(whole_lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line)
        except ValueError:
            raise ValueError(f"line {number} is no JSON") from None


def _texts_of(data: Any, column: str | None) -> JsonTexts:
    if isinstance(data, Mapping):
        data = _records(data)
    if not isinstance(data, list):
        raise ValueError("it holds neither a list nor an object")
    rows = [_flat(row) for row in data if isinstance(row, Mapping)]
    if not rows:
        return JsonTexts([text for row in data for text in _strings(row)])
    names, columns = _columns(rows[:SAMPLE], column)
    return JsonTexts([text for row in rows for text in _of_row(row, columns)], names, columns)


def _records(data: Mapping[str, Any]) -> list[Any]:
    """The list below the first of RECORDS that holds captions; else the values of the object."""
    lists = [data[name] for name in RECORDS if isinstance(data.get(name), list)]
    return next((some for some in lists if _has_captions(some)), lists[0] if lists else list(data.values()))


def _has_captions(rows: Sequence[Any]) -> bool:
    try:
        return bool(_columns(rows[:SAMPLE], None))
    except ValueError:
        return False


def _columns(rows: Sequence[Any], column: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    objects = [row for row in rows if isinstance(row, Mapping)]
    names = tuple(dict.fromkeys(name for row in objects for name in row))
    if not names:
        raise ValueError("it holds no captions")
    are_texts = [any(_strings(row.get(name)) for row in objects) for name in names]
    if column is None and not any(are_texts):
        raise ValueError(f"it holds no captions, only {', '.join(names)}")
    return names, tuple(names[number] for number in choose_columns(names, are_texts, column))


def _of_row(row: Any, columns: Sequence[str]) -> list[str]:
    values = [row.get(name) for name in columns] if isinstance(row, Mapping) else []
    return [text for value in values for text in _strings(value)] or [""]


def _flat(row: Any) -> Any:
    """An object with the texts of objects inside under their paths: `en.caption` of XM3600."""
    if not isinstance(row, Mapping) or not any(isinstance(value, Mapping) for value in row.values()):
        return row
    inner = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            inner |= {f"{name}.{key}": text for key, text in value.items()}
    return {**{name: value for name, value in row.items() if not isinstance(value, Mapping)}, **inner}


def _strings(value: Any) -> list[str]:
    """The texts of a value: itself, or those of a list; of objects in a list (Karpathy's) their `raw`."""
    if isinstance(value, str):
        return [value.encode("utf-8", "replace").decode()]  # half of a pair of surrogates is no text
    if not isinstance(value, list):
        return []
    inner = [one.get("raw") if isinstance(one, Mapping) else one for one in value]
    return [text.encode("utf-8", "replace").decode() for text in inner if isinstance(text, str)]
