"""Chunks that litdata's optimize writes: pictures inside of files of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import litdata as ld

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb


def sample(number: int) -> dict[str, Any]:
    return {"image": drawn(number), "class": number % 3}


def chunks(folder: Path, spec: str, *, splits: tuple[str, ...] = ("",), **how: Any) -> WrittenData:
    for split in splits:
        ld.optimize(
            fn=sample, inputs=list(range(9)), output_dir=str(folder / "data" / split), num_workers=1,
            start_method="fork", **how,
        )  # fmt: skip
    back = ld.StreamingDataset(str(folder / "data" / splits[0]))
    pictures = [Picture(rgb(back[number]["image"])) for number in range(len(back))]
    return WrittenData(spec=spec, pictures=pictures, refused=True)


CASES = {
    ("optimize", "its folder"): partial(chunks, spec="{folder}/data", chunk_bytes="64MB"),
    ("optimize", "chunk_size=4"): partial(chunks, spec="{folder}/data", chunk_size=4),
    ("optimize", "a chunk"): partial(chunks, spec="{folder}/data/chunk-0-0.bin", chunk_bytes="64MB"),
    ("optimize", "index.json"): partial(chunks, spec="{folder}/data/index.json", chunk_bytes="64MB"),
    ("optimize", "train/ and val/"): partial(
        chunks, spec="{folder}/data", chunk_bytes="64MB", splits=("train", "val")
    ),
}
