"""TFRecords that the package tfrecord writes, with and without gzip."""

from __future__ import annotations

import gzip
import io
from functools import partial
from pathlib import Path

from PIL import Image
from tfrecord.reader import tfrecord_loader
from tfrecord.tools.tfrecord2idx import create_index
from tfrecord.writer import TFRecordWriter

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb


def records(
    folder: Path, spec: str, *, name: str = "train.tfrecord", index: bool = False, packed: bool = False
) -> WrittenData:
    root = folder / "data"
    root.mkdir()
    file = root / name
    writer = TFRecordWriter(str(file))
    for number in range(9):
        picture = io.BytesIO()
        drawn(number).save(picture, "PNG")
        writer.write({"image": (picture.getvalue(), "byte"), "label": (number % 3, "int")})
    writer.close()
    back = tfrecord_loader(str(file), None, {"image": "byte", "label": "int"})
    pictures = [Picture(rgb(Image.open(io.BytesIO(one["image"])))) for one in back]
    if index:
        create_index(str(file), str(file.with_suffix(".tfindex")))
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    return WrittenData(spec=spec, pictures=pictures, refused=True)


CASES = {
    ("TFRecordWriter", "its folder"): partial(records, spec="{folder}/data"),
    ("TFRecordWriter", "a file"): partial(records, spec="{folder}/data/train.tfrecord"),
    ("TFRecordWriter", "with an index"): partial(records, spec="{folder}/data", index=True),
    ("TFRecordWriter", "train-00000-of-00001"): partial(
        records, spec="{folder}/data", name="train-00000-of-00001"
    ),
    ("TFRecordWriter", "train-00000-of-00001, the file"): partial(
        records, spec="{folder}/data/train-00000-of-00001", name="train-00000-of-00001"
    ),
    ("TFRecordWriter", "compression_type=gzip"): partial(
        records, spec="{folder}/data", name="train.tfrecord.gz", packed=True
    ),
}
