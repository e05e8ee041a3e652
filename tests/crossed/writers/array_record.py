"""Pictures in ArrayRecord, which Grain and TFDS read."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb


def records(folder: Path, spec: str, *, options: str = "group_size:1") -> WrittenData:
    root = folder / "data"
    root.mkdir()
    file = str(root / "train.array_record-00000-of-00001")
    writer = ArrayRecordWriter(file, options)
    for number in range(9):
        picture = io.BytesIO()
        drawn(number).save(picture, "PNG")
        writer.write(picture.getvalue())
    writer.close()
    reader = ArrayRecordReader(file)
    pictures = [Picture(rgb(Image.open(io.BytesIO(one)))) for one in reader.read_all()]
    return WrittenData(spec=spec, pictures=pictures, refused=True)


FILE = "{folder}/data/train.array_record-00000-of-00001"
CASES = {
    ("ArrayRecordWriter", "its folder"): partial(records, spec="{folder}/data"),
    ("ArrayRecordWriter", "a file"): partial(records, spec=FILE),
    ("ArrayRecordWriter", "uncompressed"): partial(records, spec=FILE, options="group_size:1,uncompressed"),
}
