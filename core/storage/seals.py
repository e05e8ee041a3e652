"""Checksums that a file carries in itself: they find what a disk, a copy or a slip of the hand has changed.

A checksum is no signature: whoever changes a file on purpose can give it the checksum of its new contents.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import NotEnoughMemory, PeregrineError
from core.storage.chunked_array import NO_ARRAY, replace_file

CHECKSUM = "checksum"
HEAD = re.compile(rb'\A\{\n "checksum": "([0-9a-f]{64})",\n')
MAGIC = b"peregrine sha256 "
SEAL = len(MAGIC) + 64  # bytes at the end of a sealed file of arrays


class Damaged(PeregrineError):
    """A file's contents are not those that were written."""


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """A JSON object with a checksum of all its other bytes as its first entry."""
    body = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
    head = f'{{\n "{CHECKSUM}": "{hashlib.sha256(body).hexdigest()}",\n'.encode()
    return head + body.removeprefix(b"{\n")


def checksum_fits(content: bytes) -> bool | None:
    """Whether the bytes are those that `sealed_json` made; None where they carry no checksum."""
    head = HEAD.match(content)
    if head is None:
        return None
    return hashlib.sha256(b"{\n" + content[head.end() :]).hexdigest().encode() == head[1]


def read_json(content: bytes, entries: Collection[str]) -> dict[str, Any]:
    """The object that `sealed_json` was given, or that an older version wrote without a checksum.

    Args:
        entries: what the object may hold. One without a checksum must hold nothing else: its checksum may be
            there and unreadable.
    Raises:
        Damaged: it is no such text, or was changed since it was written.
    """
    fits = checksum_fits(content)
    if fits is False:
        raise Damaged("has other contents than were written (checksum differs)")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"is damaged ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        raise Damaged("is damaged (it holds no object)")
    value = {key: held for key, held in value.items() if key != CHECKSUM or not fits}
    if strange := sorted(set(value) - set(entries)):
        raise Damaged(f"has other contents than were written ('{strange[0]}' belongs to nothing)")
    return value


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a .npz file in one go; its checksum is the comment at its end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = bytes(SEAL)
        _seal(temporary)
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_array(path: Path, array: np.ndarray) -> None:
    """Replace a .npy file in one go; its checksum stands behind the numbers, where no reader looks."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.write(bytes(SEAL))
        _seal(temporary)
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    found = hashlib.sha256()
    while length and (part := file.read(min(length, 1 << 20))):
        found.update(part)
        length -= len(part)
    return found.hexdigest().encode()


def check_arrays(path: Path) -> None:
    """Raise Damaged when a file's checksum does not fit. One of an older version, without any, is accepted.

    A changed bit is either in the seal's first words or in what the seal covers: so one of both still fits.
    """
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size - SEAL
        if length <= 0:
            return
        found = _sha256(file, length)
        seal = file.read(SEAL)
    is_marked, fits = seal.startswith(MAGIC), seal[len(MAGIC) :] == found
    if is_marked != fits:
        raise Damaged("has other contents than were written (checksum differs)")


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray] | None:
    """Some arrays of a .npz file that can be made again; None where there is none, or it is damaged."""
    try:
        check_arrays(path)
        _check_unpacked_size(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except OSError as error:
        return _none_unless_memory_ran_out(path, error)
    except (Damaged, *NO_ARRAY):
        return None


def _check_unpacked_size(path: Path) -> None:
    """Raise Damaged for members that say they unpack into more than the file holds: ours are never packed."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    if packed or unpacked > path.stat().st_size:
        raise Damaged("unpacks into more than it holds")


def read_array(path: Path) -> np.ndarray | None:
    """The array of a .npy file that can be made again; None where there is none, or it is damaged."""
    try:
        check_arrays(path)
        return np.load(path, allow_pickle=False)
    except OSError as error:
        return _none_unless_memory_ran_out(path, error)
    except (Damaged, *NO_ARRAY):
        return None


def _none_unless_memory_ran_out(path: Path, error: OSError) -> None:
    if error.errno == errno.ENOMEM:
        raise NotEnoughMemory(f"not enough memory to read {path}") from error
