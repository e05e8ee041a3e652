"""Pictures in Lance's tables."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb

NAMES = ("cat", "dog", "hot dog")


def table(folder: Path, spec: str, **how: Any) -> WrittenData:
    (folder / "data").mkdir()
    held = []
    for number in range(9):
        picture = io.BytesIO()
        drawn(number).save(picture, "PNG")
        held.append(picture.getvalue())
    rows = pa.table(
        {"image": pa.array(held, pa.binary()), "label": [NAMES[number % 3] for number in range(9)]}
    )
    place = folder / "data" / "pets.lance"
    lance.write_dataset(rows, str(place), **how)
    back = lance.dataset(str(place)).to_table()["image"].to_pylist()
    return WrittenData(
        spec=spec, pictures=[Picture(rgb(Image.open(io.BytesIO(one)))) for one in back], refused=True
    )


CASES = {
    ("write_dataset", "pets.lance/"): partial(table, spec="{folder}/data/pets.lance"),
    ("write_dataset", "the folder above"): partial(table, spec="{folder}/data"),
    ("write_dataset", "three files"): partial(table, spec="{folder}/data/pets.lance", max_rows_per_file=3),
}
