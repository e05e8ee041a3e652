"""Pictures and layouts that the tests make: bytes with known pixels, folders and tar shards."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.common.records import Record
from core.data.source import ImageSource


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture(seed: int = 0, *, size: tuple[int, int] = (6, 5)) -> bytes:
    """PNG bytes of random colours; other seeds, other colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels))


def colour(*rgb: int, size: tuple[int, int] = (4, 4)) -> bytes:
    return encoded(Image.new("RGB", size, rgb))


def deep_png(values: np.ndarray, *, colour_key: Sequence[int] = ()) -> bytes:
    """A 16-bit PNG of (H, W, channels) values: 1 gray, 2 gray + alpha, 3 RGB, 4 RGBA."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + values[y].astype(">u2").tobytes() for y in range(height))
    key = _chunk(b"tRNS", struct.pack(f">{len(colour_key)}H", *colour_key)) if colour_key else b""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + key + body + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_folder(root: Path, files: Sequence[str] | Mapping[str, bytes]) -> Path:
    """Write files below `root`, in the order given; those without content are pictures of their own."""
    contents = files if isinstance(files, Mapping) else {name: picture(n) for n, name in enumerate(files)}
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def class_folder(root: Path, counts: Mapping[str, int]) -> Path:
    """`{"dog": 3}` -> dog/0.png, dog/1.png, dog/2.png; a count of 0 makes an empty folder."""
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        make_folder(root, [f"{label}/{number}.png" for number in range(count)])
    return root


def make_tar(path: Path, members: Mapping[str, bytes | str | int | dict[str, Any]]) -> Path:
    """Write a tar of the given members, in order; anything but bytes is written as text, a dict as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text if isinstance(text, bytes) else str(text).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def parts_of(source: ImageSource) -> list[Record]:
    """What the sentence on how a folder is read is made of; nothing where there is none."""
    told = [note for note in source.notes if isinstance(note, Record) and note.kind == "tree"]
    return [part for note in told for part in note.parts]


def pixels(image: Image.Image) -> list[list[tuple[int, ...]]]:
    return [[tuple(int(v) for v in pixel) for pixel in row] for row in np.asarray(image)]
