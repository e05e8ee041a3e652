"""Shards that MDSWriter, JSONWriter and XSVWriter of streaming write: pictures inside of files of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from streaming import CSVWriter, JSONWriter, MDSWriter, StreamingDataset

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb

NAMES = ("cat", "dog", "hot dog")
COLUMNS = {"image": "png", "label": "int"}


def sample(number: int) -> dict[str, Any]:
    return {"image": drawn(number), "label": number % 3}


def named(number: int) -> dict[str, Any]:
    return {"image": drawn(number), "label": NAMES[number % 3]}


def path(number: int) -> dict[str, Any]:
    return {"path": f"{number}.png", "label": NAMES[number % 3]}


def shards(
    folder: Path,
    spec: str,
    *,
    writer: Any = MDSWriter,
    columns: dict[str, str] | None = None,
    make: Callable[[int], dict[str, Any]] = sample,
    splits: tuple[str, ...] = ("",),
    **how: Any,
) -> WrittenData:
    """Nine samples, which its own data set returns again."""
    for split in splits:
        root = folder / "data" / split
        with writer(out=str(root), columns=columns or COLUMNS, **how) as out:
            for number in range(9):
                out.write(make(number))
    back = StreamingDataset(local=str(folder / "data" / splits[0]), batch_size=1, shuffle=False)
    pictures = [Picture(rgb(one["image"]) if "image" in one else rgb(drawn(0))) for one in back]
    return WrittenData(spec=spec, pictures=pictures, refused=True)


FOLDER, SHARD, INDEX = "{folder}/data", "{folder}/data/shard.00000.mds", "{folder}/data/index.json"
TEXTS = {"path": "str", "label": "str"}
CASES = {
    ("MDSWriter", "png, its folder"): partial(shards, spec=FOLDER),
    ("MDSWriter", "png, a shard"): partial(shards, spec=SHARD),
    ("MDSWriter", "png, index.json"): partial(shards, spec=INDEX),
    ("MDSWriter", "several shards"): partial(shards, spec=FOLDER, size_limit=4000),
    ("MDSWriter", "compression=zstd"): partial(shards, spec=FOLDER, compression="zstd"),
    ("MDSWriter", "compression=zstd, a shard"): partial(
        shards, spec=f"{SHARD}.zstd", compression="zstd", keep_local=True
    ),
    ("MDSWriter", "jpeg and text"): partial(
        shards, spec=FOLDER, columns={"image": "jpeg", "label": "str"}, make=named
    ),
    ("MDSWriter", "train/ and val/"): partial(shards, spec=FOLDER, splits=("train", "val")),
    ("JSONWriter", "paths, its folder"): partial(
        shards, spec=FOLDER, writer=JSONWriter, columns=TEXTS, make=path
    ),
    ("CSVWriter", "paths, its folder"): partial(
        shards, spec=FOLDER, writer=CSVWriter, columns=TEXTS, make=path
    ),
}
