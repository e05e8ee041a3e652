"""Images of a study as a data set of Hugging Face: Parquet with pictures, as `load_dataset(FOLDER)` reads."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from core.publish.known_images import (
    FIELDS,
    HEAT,
    NUMBER,
    PREFIX,
    ROWS,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    ImageMaps,
    KnownImages,
)

SPLITS = {"train": "train", "val": "validation"}  # as the names of files say them
SHARD = 500_000_000  # bytes of pictures and maps in a file; as the library itself cuts
IN_MEMORY = 64_000_000  # bytes of them that are written at once
TYPES = {
    TEXT: (pa.string(), "string"),
    NUMBER: (pa.float64(), "float64"),
    WHOLE: (pa.int64(), "int64"),
    TRUTH: (pa.bool_(), "bool"),
}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
OF_USER = ("image", "file_name", "label")  # columns without the prefix: what the user had
Records = list[dict[str, Any]]


def write_datasets(exported: KnownImages, folder: Path) -> int:
    """Export images for Hugging Face: `data/SPLIT-00000-of-00001.parquet` for each split, with pictures.

    Returns:
        the number of rows.
    """
    (folder / "data").mkdir()
    schema = _schema(exported)
    for split in dict.fromkeys(exported.fields["split"]):
        rows = [at for at, field in enumerate(exported.fields["split"]) if field == split]
        _write_split(exported, rows, SPLITS[split], schema, folder / "data")
    return len(exported)


def _write_split(exported: KnownImages, rows: list[int], split: str, schema: pa.Schema, folder: Path) -> None:
    """Write files of at most about SHARD bytes; their names say how many there are."""
    begun: list[Path] = []
    writer, size = None, SHARD
    for part, part_size in _parts(exported, rows):
        if size >= SHARD:
            if writer is not None:
                writer.close()
            begun.append(folder / f"{split}-{len(begun):05d}.parquet")
            writer, size = pq.ParquetWriter(begun[-1], schema), 0
        assert writer is not None
        writer.write_table(pa.Table.from_pylist(part, schema))
        size += part_size
    if writer is not None:
        writer.close()
    for number, path in enumerate(begun):
        path.rename(folder / f"{split}-{number:05d}-of-{len(begun):05d}.parquet")


def _parts(exported: KnownImages, rows: list[int]) -> Iterator[tuple[Records, int]]:
    """Yield rows with their bytes, IN_MEMORY and ROWS of them at most."""
    maps, part, size = ImageMaps(exported.study), [], 0
    for at in rows:
        row, n_bytes = _row(exported, at, maps)
        part.append(row)
        size += n_bytes
        if size >= IN_MEMORY or len(part) == ROWS:
            _add_vectors(exported, part)
            yield part, size
            part, size = [], 0
    if part:
        _add_vectors(exported, part)
        yield part, size


def _row(exported: KnownImages, at: int, maps: ImageMaps) -> tuple[dict[str, Any], int]:
    content, ending = exported.content(at)
    path = exported.paths[at]
    name = path if exported.root else f"{path}{ending}"
    row = {"image": {"bytes": content, "path": name}, "file_name": name, "at": at}
    row |= exported.of_image(at) | {f"{PREFIX}tags": exported.tags[at]}
    row["label"] = row.get(f"{PREFIX}label")
    for kind, values in maps.of_image(int(exported.rows[at])).items():
        row[_map_name(kind)] = {"bytes": _png(values), "path": None}
    return row, len(content) + sum(len(one["bytes"]) for one in row.values() if isinstance(one, dict))


def _add_vectors(exported: KnownImages, part: Records) -> None:
    numbers = [row.pop("at") for row in part]
    if exported.study.has("representations"):
        vectors = exported.study.array("representations").rows(exported.rows[numbers])
        for row, vector in zip(part, np.asarray(vectors, np.float32), strict=True):
            row[f"{PREFIX}embedding"] = vector


def _map_name(kind: str) -> str:
    return f"{PREFIX}{HEAT}" if kind == HEAT else f"{PREFIX}mask_{kind}"


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def _schema(exported: KnownImages) -> pa.Schema:
    """The columns with what the library takes them for, which stands in the metadata of the file."""
    text = _value(TEXT)
    columns = {"image": (PICTURE, {"_type": "Image"}), "file_name": text, "label": text}
    columns |= {f"{PREFIX}{name}": _value(FIELDS[name]) for name in exported.fields}
    columns[f"{PREFIX}tags"] = _value(TEXTS)
    columns |= {_map_name(kind): (PICTURE, {"_type": "Image"}) for kind in ImageMaps(exported.study).held}
    if exported.study.has("representations"):
        width = int(exported.study.array("representations").shape[1])
        feature = {"feature": {"dtype": "float32", "_type": "Value"}, "length": width, "_type": "Sequence"}
        columns[f"{PREFIX}embedding"] = pa.list_(pa.float32(), width), feature
    described = {"info": {"features": {name: feature for name, (_, feature) in columns.items()}}}
    metadata = {"huggingface": json.dumps(described), "peregrine": json.dumps(exported.facts)}
    return pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata)


def _value(kind: str) -> tuple[pa.DataType, dict[str, Any]]:
    if kind == TEXTS:
        arrow, feature = _value(TEXT)
        return pa.list_(arrow), {"feature": feature, "_type": "Sequence"}
    arrow, name = TYPES[kind]
    return arrow, {"dtype": name, "_type": "Value"}
