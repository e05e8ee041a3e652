"""Pictures in LMDB, as LSUN and many repositories lay them."""

from __future__ import annotations

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb


def database(folder: Path, spec: str, *, place: str = "data/train_lmdb", **how: Any) -> WrittenData:
    (folder / "data").mkdir()
    root = folder / place
    with lmdb.open(str(root), map_size=1 << 24, **how) as held, held.begin(write=True) as out:
        for number in range(9):
            picture = io.BytesIO()
            drawn(number).save(picture, "PNG")
            out.put(f"{number:08d}".encode(), picture.getvalue())
        out.put(b"__keys__", pickle.dumps([f"{number:08d}" for number in range(9)]))
    pictures = []
    with lmdb.open(str(root), readonly=True, lock=False, **how) as held, held.begin() as back:
        for key, value in back.cursor():
            if key != b"__keys__":
                pictures.append(Picture(rgb(Image.open(io.BytesIO(value)))))
    return WrittenData(spec=spec, pictures=pictures, refused=True)


CASES = {
    ("open", "its folder"): partial(database, spec="{folder}/data/train_lmdb"),
    ("open", "the folder above"): partial(database, spec="{folder}/data"),
    ("open", "data.mdb"): partial(database, spec="{folder}/data/train_lmdb/data.mdb"),
    ("open", "subdir=False"): partial(
        database, spec="{folder}/data/train.lmdb", place="data/train.lmdb", subdir=False
    ),
}
