"""Read captions from text files, tables and LAION folders; the content is text, never markup. No torch."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.csv_text import no_wide_rows
from core.common.parquet_footer import read_footer
from core.data.sources.parquet_limit import check_caption_rows
from core.errors import CaptionError, unknown_name

LONGEST = 1000  # maximum characters of a caption: no text tower reads more
LONGEST_LINE = 4 * LONGEST  # maximum bytes of a line to decode
COLUMNS = ("caption", "captions", "text", "title", "sentence", "description", "alt")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
EMBEDDINGS, METADATA = "text_emb", "metadata"


@dataclass(frozen=True)
class LaionShard:
    """A file of embeddings and the table beside it, row by row."""

    embeddings: Path
    metadata: Path
    column: str
    n_rows: int


def clean_captions(captions: pd.Series) -> tuple[pd.Series, int]:
    """Strip captions of NUL, line ends and outer blanks, truncate at LONGEST; return them and the count."""
    text = captions.fillna("").astype("str").str.replace(r"[\0\r\n\t]+", " ", regex=True).str.strip()
    too_long = text.str.len() > LONGEST
    return text.where(~too_long, text.str.slice(0, LONGEST)), int(too_long.sum())


def read_captions(path: Path, column: str | None = None) -> pd.Series:
    """Read all captions of a .txt, .csv, .tsv or .parquet file, unchanged.

    Raises:
        CaptionError: no such file, another format, an unknown column, or an unreadable file.
    """
    ending = path.suffix.lower()
    if ending == ".txt":
        return pd.Series(list(_lines(path)), dtype="str")
    try:
        if ending == ".parquet":
            file = pq.ParquetFile(path)
            name = choose_column(path, file.schema_arrow, column)
            check_caption_rows(str(path), name)
            captions = file.read([name]).column(name).cast(pa.large_string())
            captions.validate(full=True)  # a text that is not UTF-8
            return captions.to_pandas().astype("str")
        if ending in SEPARATORS:
            return _read_table(path, SEPARATORS[ending], column)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:160]
        raise CaptionError(f"cannot read captions from '{path}': {reason}") from None
    raise CaptionError(
        f"'{path}' is not a caption bank: give a .txt, .csv, .tsv or .parquet file, or a folder with "
        f"{EMBEDDINGS}/ and {METADATA}/"
    )


def _lines(path: Path) -> Iterator[str]:
    """Yield lines as text; only the beginning of an endless line is read into memory."""
    with open(path, "rb") as file:
        while piece := file.readline(LONGEST_LINE):
            line = piece
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(1 << 20)
            yield line.decode("utf-8-sig", errors="replace")


class _WithoutNul(io.TextIOWrapper):
    """UTF-8 whose NUL characters are spaces: pandas before 3.1 ends a text at the first one."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read(size).replace("\0", " ")


def _read_table(path: Path, separator: str, column: str | None) -> pd.Series:
    options: Any = {"sep": separator, "dtype": str, "keep_default_na": False, "index_col": False}
    with _WithoutNul(open(path, "rb"), encoding="utf-8-sig", errors="replace", newline="") as file:
        names = pd.read_csv(file, nrows=0, **options).columns
        name = choose_column(path, pa.schema([(one, pa.string()) for one in names]), column)
        file.seek(0)
        with no_wide_rows(separator):  # of all columns: pandas does not see wide rows where it reads some
            parts: Any = [part[name] for part in pd.read_csv(file, chunksize=100_000, **options)]
    return pd.concat(parts, ignore_index=True)


def choose_column(path: Path, schema: pa.Schema, column: str | None) -> str:
    """Choose the caption column: the named one, else one with a usual name, else the only text column."""
    names = list(schema.names)
    if column is not None:
        if column not in names:
            raise CaptionError(unknown_name(f"'{path}' has no column '{column}'", column, names, "Columns"))
        if not _is_text(schema.field(column).type):
            raise CaptionError(f"column '{column}' of '{path}' holds {schema.field(column).type}, not text")
        return column
    texts = [name for name in names if _is_text(schema.field(name).type)]
    usual = [name for usual_name in COLUMNS for name in texts if name.lower() == usual_name]
    if usual or len(texts) == 1:
        return (usual or texts)[0]
    raise CaptionError(
        f"which column of '{path}' holds the captions? Write {path.name}?column=NAME with one of "
        f"{', '.join(names)}"
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def laion_shards(folder: Path, column: str | None = None) -> list[LaionShard]:
    """List the pairs of files in a clip-retrieval folder, in the order of their numbers.

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
        name = choose_column(metadata, table.schema_arrow, column)
        check_caption_rows(str(metadata), name)
        rows = np.load(embeddings, mmap_mode="r")
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
    """Read captions of some rows (ascending), or of all; row groups without them are not read."""
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
