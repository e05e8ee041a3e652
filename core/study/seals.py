"""Checksums stored inside files, and a quick check for unreadable files of a study."""

import errno
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.common.inside import parse_json, replacing
from core.common.parquet_footer import count_rows
from core.errors import NotEnoughMemory, PeregrineError, StudyError
from core.study.chunked_array import NO_ARRAY, chunk_name, read_npy
from core.study.inside import inside

# Checksums stored inside files: they detect changes by disks, copying or accident.
#
# A checksum is not a signature: anyone who changes a file on purpose can recompute it.


CHECKSUM = "checksum"
HEAD = re.compile(rb'\A\{\n "checksum": "([0-9a-f]{64})",\n')
MAGIC = b"peregrine sha256 "
SEAL = len(MAGIC) + 64  # bytes at the end of a sealed file of arrays


class Damaged(PeregrineError):
    """The content of a file is not what was written."""


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON of a study, whose first entry is a checksum of all its other bytes."""
    body = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
    head = f'{{\n "{CHECKSUM}": "{hashlib.sha256(body).hexdigest()}",\n'.encode()
    return head + body.removeprefix(b"{\n")


def checksum_fits(content: bytes) -> bool | None:
    """Return True when a study's JSON is as `sealed_json` wrote it; None when it has no checksum.

    Return True when the bytes are as `sealed_json` wrote them; None when they carry no checksum.
    """
    head = HEAD.match(content)
    if head is None:
        return None
    return hashlib.sha256(b"{\n" + content[head.end() :]).hexdigest().encode() == head[1]


def read_json(content: bytes, entries: Collection[str]) -> dict[str, Any]:
    """Return the object passed to `sealed_json`, or one that was written by hand without a checksum.

    Args:
        entries: the allowed entries. An object without a checksum must hold no others: an unknown entry may
            be a damaged checksum.
    Raises:
        Damaged: not such a text, or changed since it was written.
    """
    fits = checksum_fits(content)
    if fits is False:
        raise Damaged("has changed since it was written (checksum differs)")
    try:
        value = parse_json(content)
    except ValueError as error:
        raise Damaged(f"is damaged ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        raise Damaged("is damaged (not a JSON object)")
    value = {key: entry for key, entry in value.items() if key != CHECKSUM or not fits}
    if strange := sorted(set(value) - set(entries)):
        raise Damaged(f"has changed since it was written (unknown entry '{strange[0]}')")
    return value


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a study's .npz file atomically; its checksum is stored as the comment at its end."""
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = bytes(SEAL)
        _seal(temporary)


def write_array(path: Path, array: np.ndarray) -> None:
    """Replace a study's .npy file atomically; its checksum follows the numbers, where numpy does not read."""
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.write(bytes(SEAL))
        _seal(temporary)


def _seal(path: Path) -> None:
    """Overwrite the last `SEAL` bytes with the checksum of all bytes before them."""
    with open(path, "r+b") as file:
        file.seek(-SEAL, os.SEEK_END)
        length = file.tell()
        file.seek(0)
        checksum = _sha256(file, length)
        file.seek(length)
        file.write(MAGIC + checksum)


def _sha256(file: Any, length: int) -> bytes:
    digest = hashlib.sha256()
    while length and (part := file.read(min(length, 1 << 20))):
        digest.update(part)
        length -= len(part)
    return digest.hexdigest().encode()


def check_arrays(path: Path) -> None:
    """Raise Damaged when a study's .npz file has no checksum, or another one."""
    with open(path, "rb") as file:
        digest = _sha256(file, max(os.fstat(file.fileno()).st_size - SEAL, 0))
        seal = file.read(SEAL)
    if seal != MAGIC + digest:
        raise Damaged("has changed since it was written (checksum differs)")


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray] | None:
    """Read arrays of a study's cached .npz file; None if it is absent or damaged and must be recomputed."""
    try:
        check_arrays(path)
        _check_unpacked_size(path)
        with zipfile.ZipFile(path) as archive:
            return {name: _member(archive, f"{name}.npy") for name in names}
    except OSError as error:
        return _none_unless_memory_ran_out(path, error)
    except (Damaged, *NO_ARRAY):
        return None


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return read_npy(file, archive.getinfo(name).file_size)


def _check_unpacked_size(path: Path) -> None:
    """Raise Damaged for members that claim to unpack to more than the file: ours are never compressed."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    if packed or unpacked > path.stat().st_size:
        raise Damaged("claims to unpack to more than its size")


def read_array(path: Path) -> np.ndarray | None:
    """Read a .npy that a study keeps as a cache; None if absent or damaged: it must be recomputed."""
    try:
        check_arrays(path)
        with open(path, "rb") as file:
            return read_npy(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        return _none_unless_memory_ran_out(path, error)
    except (Damaged, *NO_ARRAY):
        return None


def _none_unless_memory_ran_out(path: Path, error: OSError) -> None:
    if error.errno == errno.ENOMEM:
        raise NotEnoughMemory(f"not enough memory to read {path}") from error


# Quick check for unreadable files of a study; `verify` compares all contents.


HEADER_STEP = 64  # bytes: numpy pads the header of a file to a multiple of it


def find_damage(folder: Path, items: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Map each missing, truncated or unreadable item of a study to a description of the problem.

    Checks only the size of every file and the end of every table, which takes milliseconds.

    Args:
        items: entries of the manifest, by name.
    """
    faults = {name: _first_fault(folder, name, item) for name, item in sorted(items.items())}
    return {name: what for name, what in faults.items() if what}


def _first_fault(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    if item["kind"] == "table":
        return _fault(folder, f"{name}.parquet", _table_fault, item["shape"][0])
    row_bytes = int(np.prod(item["shape"][1:], dtype=np.int64)) * np.dtype(item["dtype"]).itemsize
    sizes = _sizes(folder, name)
    for number, chunk in enumerate(item["chunks"]):
        file, n_bytes = chunk_name(number), chunk["rows"] * row_bytes
        is_whole = file in sizes and _is_whole(sizes[file], n_bytes)
        if not is_whole and (what := _fault(folder, f"{name}/{file}", _chunk_fault, n_bytes)):
            return what
    return None


def _sizes(folder: Path, name: str) -> dict[str, int]:
    """Return the size of each file of an array in one go; not of links, which are followed one by one."""
    try:
        with os.scandir(inside(folder, name)) as files:
            return {file.name: file.stat().st_size for file in files if file.is_file(follow_symlinks=False)}
    except (OSError, StudyError):
        return {}


def _fault(folder: Path, file: str, look: Callable[[Path, int], str | None], expected: int) -> str | None:
    try:
        what = look(inside(folder, file), expected)
    except FileNotFoundError:
        what = "is missing"
    except StudyError:
        what = "points outside the study folder"
    except (OSError, ValueError):
        what = "cannot be read"
    return what and f"{file} {what}"


def _table_fault(path: Path, n_rows: int) -> str | None:
    n_stored = count_rows(path)
    return None if n_stored == n_rows else f"has {n_stored:,} rows instead of {n_rows:,}"


def _chunk_fault(path: Path, n_bytes: int) -> str | None:
    return None if _is_whole(path.stat().st_size, n_bytes) else "is truncated"


def _is_whole(size: int, n_bytes: int) -> bool:
    return size > n_bytes and (size - n_bytes) % HEADER_STEP == 0
