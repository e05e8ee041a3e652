"""Files of pictures in forms that are not read: known by what is in them, under any name."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.data.images import open_images
from core.data.unread_forms import masked_checksum, unread_form
from core.errors import ImageSourceError
from tests.data.pictures import make_folder


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else b"content")
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, train_images=np.zeros((2, 4, 4)), train_labels=np.zeros(2))
    return file.getvalue()


def tar_packed() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    return file.getvalue()


def record(data: bytes = b"content") -> bytes:
    length = struct.pack("<Q", len(data))
    return (
        length + struct.pack("<I", masked_checksum(length)) + data + struct.pack("<I", masked_checksum(data))
    )


HDF5 = b"\x89HDF\r\n\x1a\n"
SAMPLES = struct.pack("<4I", 2, 20, 24, 28) + b"\0" * 12
CONTENT = {
    "tfrecord": record(),
    "array_record": bytes.fromhex("83af70d10d884a3f0000000000000000400000000000000091bac23c"),
    "hdf5": HDF5 + b"\0" * 90,
    "mat": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "lmdb": b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 60,
    "lance": b"\x01\0\x02\0LANC",
    "recordio": b"\x0a\x23\xd7\xce" + b"\0" * 60,
    "npz": arrays(),
    "npy": b"\x93NUMPY\x01\0",
    "checkpoint": zipped("model/data.pkl", "model/version"),
    "pictures_zipped": zipped("pets/", "pets/cat/", "pets/cat/1.JPG"),
    "zipped": zipped("annotations.json"),
    "archive": b"Rar!\x1a\x07\x01\0",
    "idx": gzip.compress(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x1c\0\0\0\x1c" + b"\0" * 99),
    "tar_packed": tar_packed(),
    "pickle": b"\x80\x04\x95\0\0\0\0",
    "arrow": b"ARROW1\0\0\xff\xff\xff\xff",
    "xml": b"<?xml version='1.0'?>\n<annotations></annotations>",
    "samples": SAMPLES,
}


@pytest.mark.parametrize("kind", CONTENT)
@pytest.mark.parametrize("name", ["train-00000-of-00001", "inner/deeper/data.bin"])
def test_forms__are_known_by_their_content(tmp_path, kind, name):
    make_folder(tmp_path, {name: CONTENT[kind]})
    for path in (tmp_path, tmp_path / name):
        told = unread_form(str(path))
        assert told is not None and told.kind == kind
        with pytest.raises(ImageSourceError) as error:
            open_images(path)
        assert str(told) in str(error.value)


@pytest.mark.parametrize("packed", [False, True])
def test_forms__that_begin_otherwise(tmp_path, packed):
    held = gzip.compress(record()) if packed else b"\0" * 512 + HDF5
    make_folder(tmp_path, {"a": held})
    told = unread_form(str(tmp_path))
    assert told is not None and told.kind == ("tfrecord" if packed else "hdf5")


INDICES = {
    "mds": {"version": 2, "shards": [{"format": "mds", "raw_data": {"basename": "shard.00000.mds"}}]},
    "litdata": {"chunks": [{"filename": "chunk-0-0.bin"}], "config": {"compression": None}},
}


@pytest.mark.parametrize("kind", INDICES)
def test_forms__with_an_index_beside(tmp_path, kind):
    make_folder(tmp_path, {"train/index.json": json.dumps(INDICES[kind]).encode(), "train/0.bin": SAMPLES})
    for path in (tmp_path, tmp_path / "train", tmp_path / "train/0.bin", tmp_path / "train/index.json"):
        with pytest.raises(ImageSourceError, match="StreamingDataset"):
            open_images(path)
        told = unread_form(str(path))
        assert told is not None and told.kind == kind


OTHERS = {
    "nothing": b"",
    "text": b"a cat\na dog\n",
    "a length without its checksum": struct.pack("<QI", 7, 7) + b"content",
    "places that do not end where the file does": SAMPLES + b"\0",
    "another index": json.dumps({"shards": ["a"], "chunks": 3}).encode(),
    "no whole gzip": b"\x1f\x8b\x08",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files__are_none_of_these(tmp_path, name):
    make_folder(tmp_path, {"index.json": OTHERS[name], "data": OTHERS[name]})
    assert unread_form(str(tmp_path)) is None
    with pytest.raises(ImageSourceError):
        open_images(tmp_path)


def test_pipes__are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "data")
    assert unread_form(str(tmp_path)) is None and unread_form(str(tmp_path / "data")) is None


def test_checksum__is_that_of_the_standard():
    crc = 0xE3069283  # CRC-32C of these digits (RFC 3720)
    assert masked_checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_pictures__are_read_whatever_lies_beside(tmp_path):
    root = Path(make_folder(tmp_path, ["cat/0.png", "dog/1.png"]))
    make_folder(root, {"train.h5": CONTENT["hdf5"]})
    assert len(open_images(root)) == 2
