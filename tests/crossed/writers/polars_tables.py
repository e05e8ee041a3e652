"""Tables of images that polars writes, as it reads them."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb
from tests.crossed.tables_kit import Columns, Save, case

NAMES = ("cat", "dog", "hot dog")


def csv(**how: Any) -> Save:
    def save(columns: Columns, path: Path) -> Columns:
        pl.DataFrame(columns).write_csv(path, **how)
        read = {name: how[name] for name in ("separator",) if name in how}
        found = pl.read_csv(path, infer_schema=False, has_header=how.get("include_header", True), **read)
        found.columns = list(columns)
        return found.to_dict(as_series=False)

    return save


def parquet(kind: Any = None, **how: Any) -> Save:
    def save(columns: Columns, path: Path) -> Columns:
        frame = pl.DataFrame(columns, strict=False)
        if kind is not None:
            frame = frame.with_columns(pl.col("label").cast(kind))
        frame.write_parquet(path, **how)
        return pl.read_parquet(path).to_dict(as_series=False)

    return save


def ndjson(columns: Columns, path: Path) -> Columns:
    pl.DataFrame(columns).write_ndjson(path)
    return pl.read_ndjson(path).to_dict(as_series=False)


def json(columns: Columns, path: Path) -> Columns:
    pl.DataFrame(columns).write_json(path)
    return pl.read_json(path).to_dict(as_series=False)


def pictures(folder: Path, kind: Any) -> WrittenData:
    """A column of bytes, or of {bytes, path}, beside a categorical label."""
    held = []
    for number in range(9):
        file = io.BytesIO()
        drawn(number).save(file, "PNG")
        held.append(file.getvalue())
    columns = {"image": [{"bytes": one, "path": f"{n}.png"} for n, one in enumerate(held)]}
    frame = pl.DataFrame(columns).with_columns(
        pl.Series("label", [NAMES[n % 3] for n in range(9)]).cast(kind)
    )
    frame.write_parquet(folder / "data.parquet")
    labels = pl.read_parquet(folder / "data.parquet")["label"].to_list()
    return WrittenData(
        spec="{folder}/data.parquet",
        pictures=[Picture(rgb(drawn(number)), label) for number, label in enumerate(labels)],
    )


CASES = {
    ("write_csv", "path, label"): partial(case, save=csv()),
    ("write_csv", "path, label, split"): partial(case, save=csv(), reads=("path", "label", "split")),
    ("write_csv", "separator=';'"): partial(case, save=csv(separator=";")),
    ("write_csv", "quote_style=always"): partial(case, save=csv(quote_style="always")),
    ("write_csv", "include_bom"): partial(case, save=csv(include_bom=True)),
    ("write_csv", "line_terminator=CRLF"): partial(case, save=csv(line_terminator="\r\n")),
    ("write_csv", "include_header=False"): partial(
        case, save=csv(include_header=False), then="list.csv?header=no"
    ),
    ("write_parquet", "path, label"): partial(case, save=parquet(), file="list.parquet"),
    ("write_parquet", "Categorical"): partial(case, save=parquet(pl.Categorical), file="list.parquet"),
    ("write_parquet", "Enum"): partial(case, save=parquet(pl.Enum(NAMES)), file="list.parquet"),
    ("write_parquet", "zstd"): partial(case, save=parquet(compression="zstd"), file="list.parquet"),
    ("write_parquet", "Int64 with one missing"): partial(
        case, save=parquet(pl.Int64), file="list.parquet", values=(0, 1, None)
    ),
    ("write_parquet", "{bytes, path}, String"): partial(pictures, kind=pl.String),
    ("write_parquet", "{bytes, path}, Categorical"): partial(pictures, kind=pl.Categorical),
    ("write_parquet", "{bytes, path}, Enum"): partial(pictures, kind=pl.Enum(NAMES)),
    ("write_ndjson", "path, label"): partial(case, save=ndjson, file="list.jsonl"),
    ("write_json", "path, label"): partial(case, save=json, file="list.json"),
}
