"""Read captions from text files, tables, JSON and LAION folders; the content is never markup. No torch."""

import ast
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.inside import parse_json
from core.common.parquet_footer import check_caption_rows, read_footer
from core.common.records import Record, Templates
from core.concepts.caption_text import (
    BLOCK,
    NAMED_SEPARATORS,
    NEARLY_ALL,
    SAMPLE,
    WINDOWS,
    LineForm,
    UnclearColumn,
    choose_columns,
    line_form,
    lines_of,
    open_bytes,
    quotes_enclose,
    text_encoding,
    whole_lines,
)
from core.errors import CaptionError

# Captions of JSON: COCO's annotations, Karpathy's splits, lists, objects by image, lines. No torch.


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


def _read_json_texts(path: Path, encoding: str, column: str | None) -> JsonTexts:
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
        return _read_lines_of_json(path, encoding, column)
    return _texts_of(parse_json(text), column)


def _read_lines_of_json(path: Path, encoding: str, column: str | None) -> JsonTexts:
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


# Read captions from text files, tables, JSON and LAION folders; the content is never markup. No torch.


LINES = (".txt", ".token", ".lst")
TABLES = {".csv": ",", ".tsv": "\t"}
EMBEDDINGS, METADATA = "text_emb", "metadata"
WORDS_OF_SEPARATORS = {sign: word for word, sign in NAMED_SEPARATORS.items()}
LINE_END = re.compile(r"[\r\n]+")
FORMATS = ".txt, .csv, .tsv, .json, .jsonl or .parquet file (also as .gz)"
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
say_of_captions = Templates.beside(__file__)


@dataclass(frozen=True)
class LaionShard:
    """A file of embeddings and the table beside it, row by row."""

    embeddings: Path
    metadata: Path
    column: str
    n_rows: int


@dataclass(frozen=True)
class FormAsked:
    """What an address says of the form of its file; None for nothing.

    Attributes:
        text: the column, by its name or its number. separator: "" for none. header: whether there is one.
    """

    text: str | None = None
    separator: str | None = None
    header: bool | None = None


@dataclass(frozen=True)
class TextsTaken:
    """Captions, unchanged, and what they are of the file: what, and how it was read."""

    captions: pd.Series
    what: Record
    how: tuple[Record, ...] = ()


def read_captions(path: Path, asked: FormAsked = FormAsked()) -> TextsTaken:
    """Read all captions of a file, unchanged. Its form is told by its ending and its first lines.

    Raises:
        CaptionError: no such file, another format, an unknown or unclear column, or an unreadable file.
    """
    endings = [ending.lower() for ending in path.suffixes]
    is_packed = endings[-1:] == [".gz"] and len(endings) > 1
    ending = endings[-2] if is_packed else path.suffix.lower()
    try:
        if ending == ".parquet":
            return _of_parquet(path, asked)
        if ending in (".json", ".jsonl", ".ndjson"):
            return _of_json(path, ending, asked)
        if ending in (*LINES, *TABLES):
            return _of_lines(path, TABLES.get(ending, ""), asked)
    except UnclearColumn as names:
        raise CaptionError(_unclear(path, names)) from None
    except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:240]
        raise CaptionError(f"cannot read captions from '{path}': {reason}") from None
    raise CaptionError(
        f"'{path}' is not a caption bank: give a {FORMATS}, or a folder with {EMBEDDINGS}/ and {METADATA}/"
    )


def _unclear(path: Path, names: UnclearColumn) -> str:
    return f"which column of '{path}' holds the captions? Write {path.name}?text=NAME with one of {names}"


def taken_in_words(taken: TextsTaken, *more: Record) -> Record | None:
    """Say what was taken of a file of captions; None for the lines of a plain list."""
    how = (*taken.how, *more)
    if not how:
        return None if taken.what.kind == "lines" else say_of_captions("taken", what=taken.what)
    return say_of_captions("taken_so", what=taken.what, parts=how)


def _of_parquet(path: Path, asked: FormAsked) -> TextsTaken:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    columns = _text_columns(path, file.schema_arrow, asked.text)
    for name in columns:
        check_caption_rows(str(path), name)
    table = file.read(list(columns))
    chunks = [chunk for name in columns for chunk in table.column(name).chunks]
    captions = pa.concat_arrays(
        [_plain_texts(chunk) for chunk in chunks] or [pa.array([], pa.large_string())]
    )
    captions.validate(full=True)  # a text that is not UTF-8
    has_lists = any(_is_list(file.schema_arrow.field(name).type) for name in columns)
    how = [*_left_out(names, columns), *[say_of_captions("lists")] * has_lists]
    return TextsTaken(captions.to_pandas().astype("str"), _named(columns), tuple(how))


def _plain_texts(values: pa.Array) -> pa.Array:
    """The texts of a column: those of a dictionary or of lists, one by one."""
    if _is_list(values.type):
        return _plain_texts(values.flatten())
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return plain.cast(pa.large_string())


def _of_json(path: Path, ending: str, asked: FormAsked) -> TextsTaken:
    encoding = text_encoding(path)
    read = _read_json_texts if ending == ".json" else _read_lines_of_json
    taken = read(path, encoding, asked.text)
    how = (*_of_encoding(encoding), *_left_out(taken.names, taken.columns))
    what = _named(taken.columns) if taken.columns else say_of_captions("values")
    return TextsTaken(pd.Series(taken.texts, dtype="str"), what, how)


def _of_lines(path: Path, usual: str, asked: FormAsked) -> TextsTaken:
    encoding = text_encoding(path)
    start = list(islice((line for line in lines_of(path, encoding) if line.strip()), SAMPLE))
    if not start and usual:
        raise ValueError("it is empty")
    form = line_form(start, usual=usual, separator=asked.separator, header=asked.header, column=asked.text)
    if not (form.separator or form.header):
        captions = pd.Series(list(lines_of(path, encoding)), dtype="str")
        return TextsTaken(captions, say_of_captions("lines"), _of_encoding(encoding))
    if form.quoted and not quotes_enclose(whole_lines(path, encoding), form.separator):
        form = replace(form, quoted=False)
    n_short: list[int] = []
    cells = list(_cells(form, whole_lines(path, encoding), n_short))
    are_lists = _are_lists(cells)
    captions = pd.Series(_taken_apart(cells) if are_lists else cells, dtype="str")
    how = [*_of_encoding(encoding), *_of_form(form, usual, start)]
    how += [say_of_captions("lists")] * are_lists
    how += [say_of_captions("short", n=len(n_short))] if n_short else []
    return TextsTaken(captions, _columns_of(form), tuple(how))


def _cells(form: LineForm, lines: Iterable[str], n_short: list[int]) -> Iterator[str]:
    """Yield the captions of each row; the number of a row without them is added to `n_short`."""
    width, last = len(form.names), form.columns[-1]
    for number, row in form.rows(lines):
        if len(row) == width:
            yield from [row[at] for at in form.columns]
        elif len(row) <= last:
            n_short.append(number)
        elif len(row) > width and form.rest:
            yield form.separator.join(row[last:])
        elif any(cell.strip() for cell in row[width:]):
            what = WORDS_OF_SEPARATORS.get(form.separator, form.separator)
            raise ValueError(
                f"line {number} has more fields than the header; put texts that hold a {what} into "
                "double quotes"
            )
        else:
            yield from [row[at] for at in form.columns]


def _are_lists(cells: Sequence[str]) -> bool:
    """Whether cells hold lists, as Python, NumPy or JSON write them."""
    some = list(islice((cell.strip() for cell in cells if cell.strip()), SAMPLE))
    return bool(some) and sum(map(_is_list_of_texts, some)) >= NEARLY_ALL * len(some)


def _is_list_of_texts(cell: str) -> bool:
    if cell[:1] != "[" or cell[-1:] != "]":
        return False
    return not QUOTED.sub("", cell[1:-1]).strip(", \r\n\t")


def _taken_apart(cells: Iterable[str]) -> Iterator[str]:
    """
    >>> list(_taken_apart(["['a dog' 'a cat']", '["a bird", "birds"]', "a boat"]))
    ['a dog', 'a cat', 'a bird', 'birds', 'a boat']
    """
    for cell in cells:
        if _is_list_of_texts(cell.strip()):
            yield from (str(ast.literal_eval(text)) for text in _escaped(QUOTED.findall(cell)))
        else:
            yield cell


def _escaped(texts: Iterable[str]) -> Iterator[str]:
    """Line ends within quotes, which Python's literals do not have, as blanks."""
    return (LINE_END.sub(" ", text) for text in texts)


def _columns_of(form: LineForm) -> Record:
    if form.header:
        return _named([form.names[at] for at in form.columns])
    return say_of_captions("field", n=form.columns[0] + 1, of=len(form.names))


def _named(names: Sequence[str]) -> Record:
    if len(names) > 1:
        return say_of_captions("columns", names=tuple(names))
    return say_of_captions("column", what=names[0])


def _of_encoding(encoding: str) -> tuple[Record, ...]:
    if encoding == WINDOWS:
        return (say_of_captions("windows"),)
    return (say_of_captions("wide"),) if encoding.startswith("utf-16") else ()


def _left_out(names: Sequence[str], columns: Sequence[str]) -> list[Record]:
    left = tuple(name for name in names if name and name not in columns)
    return [say_of_captions("left_out", names=left)] if left else []


def _of_form(form: LineForm, usual: str, start: Sequence[str]) -> Iterator[Record]:
    """What is unusual about the form, or left out."""
    if form.header:
        yield from _left_out(form.names, [form.names[at] for at in form.columns])
    if not form.header and usual:
        yield say_of_captions("no_header")
    if form.separator not in (usual, ""):
        yield say_of_captions("separator", what=WORDS_OF_SEPARATORS.get(form.separator, form.separator))
    if usual and not form.quoted and any('"' in line for line in start):
        yield say_of_captions("letters")


def _text_columns(path: Path, schema: pa.Schema, column: str | None) -> tuple[str, ...]:
    names = list(schema.names)
    texts = [_is_text(schema.field(at).type) for at in range(len(names))]
    columns = choose_columns(names, texts, column)
    if not texts[columns[0]]:
        kind = schema.field(columns[0]).type
        raise CaptionError(f"column '{column}' of '{path}' holds {kind}, not text")
    return tuple(names[at] for at in columns)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or _is_list(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def laion_shards(folder: Path, column: str | None = None) -> list[LaionShard]:
    """List the pairs of files in a clip-retrieval folder of captions, in the order of their numbers.

    Raises:
        CaptionError: one file of a pair is missing, or their numbers of rows differ.
    """
    embeddings = _numbered(folder / EMBEDDINGS, "npy")
    metadata = _numbered(folder / METADATA, "parquet")
    alone = sorted(set(embeddings) ^ set(metadata))
    if alone or not embeddings:
        what = f"number {alone[0]} has no partner" if alone else "none found"
        raise CaptionError(
            f"'{folder}': every {EMBEDDINGS}/text_emb_N.npy needs {METADATA}/metadata_N.parquet ({what})"
        )
    return [_pair(embeddings[number], metadata[number], column) for number in sorted(embeddings)]


def _numbered(folder: Path, ending: str) -> dict[int, Path]:
    paths = {path.stem.rpartition("_")[2]: path for path in folder.glob(f"*.{ending}")}
    return {int(number): path for number, path in paths.items() if number.isdecimal()}


def _pair(embeddings: Path, metadata: Path, column: str | None) -> LaionShard:
    try:
        table = pq.ParquetFile(metadata)
        name = _text_columns(metadata, table.schema_arrow, column)[0]
        check_caption_rows(str(metadata), name)
        rows = np.load(embeddings, mmap_mode="r")
    except UnclearColumn as names:
        raise CaptionError(_unclear(metadata, names)) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:160]
        raise CaptionError(f"cannot read '{embeddings}' and '{metadata.name}': {reason}") from None
    n_rows = table.metadata.num_rows
    if rows.ndim != 2 or len(rows) != n_rows or rows.dtype.kind != "f":
        raise CaptionError(
            f"'{embeddings}' has {rows.dtype} of shape {rows.shape}, but '{metadata.name}' has {n_rows} rows"
        )
    return LaionShard(embeddings, metadata, name, n_rows)


def read_metadata(shard: LaionShard, rows: Sequence[int] | np.ndarray | None = None) -> pd.Series:
    """Read captions of LAION, for the words of features: of some rows (ascending), or of all of a shard.

    Row groups without them are not read.
    """
    file = pq.ParquetFile(shard.metadata)
    if rows is None:
        return file.read([shard.column]).column(shard.column).to_pandas().astype("str")
    row_numbers = np.asarray(rows, np.int64)
    parts: list[np.ndarray] = []
    start = 0
    for group, about in enumerate(read_footer(shard.metadata).groups):
        end = start + about.n_rows
        here = row_numbers[(row_numbers >= start) & (row_numbers < end)] - start
        if len(here):
            column = file.read_row_group(group, [shard.column]).column(shard.column)
            parts.append(column.take(pa.array(here)).to_pandas().to_numpy(object))
        start = end
    return pd.Series(np.concatenate([np.empty(0, object), *parts]), dtype="str")
