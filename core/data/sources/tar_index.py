"""Index the members of a tar file from its headers; nothing is extracted."""

import errno
import os
import shlex
import tarfile
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from core.common.remote.addresses import is_url
from core.common.remote.objects import open_object, read_object
from core.errors import ImageSourceError

COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


NOWHERE = (errno.EINVAL, errno.EFBIG, errno.EOVERFLOW)  # errors of a seek beyond the maximum file size
LONGEST_HEADER = 16_384  # bytes of a long name or of pax records; Python's reader takes their square in time
LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Header(tarfile.TarInfo):
    """A header whose size is looked at before tarfile reads what follows."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in LONG_HEADERS and info.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"a header that claims {info.size:,} bytes")
        return info


class Member(NamedTuple):
    """A file in a tar: its name and the position of its bytes."""

    name: str
    offset: int
    size: int


@dataclass
class TarIndex:
    """The complete members of a tar; `damage` says where reading ended early, or is empty."""

    members: list[Member] = field(default_factory=list)
    damage: str = ""


def index_tar(path: str) -> TarIndex:
    """List the files of an uncompressed tar. Members before a damaged position are kept.

    Raises:
        ImageSourceError: it cannot be opened, or is compressed.
    """
    try:
        with open_object(path) if is_url(path) else open(path, "rb") as file:
            _refuse_compressed(path, file.read(8))
            length = file.seek(0, os.SEEK_END)
            file.seek(0)
            return _index(file, length)
    except OSError as error:
        raise unreadable_shard(path, error) from None


def unreadable_shard(path: str, error: OSError) -> ImageSourceError:
    """Return the error of a shard that the system or a store does not hand out."""
    reason = (error.strerror or str(error)).lower()
    return ImageSourceError(f"cannot read the shard '{path}': {reason}. Check its permissions")


def _refuse_compressed(path: str, head: bytes) -> None:
    tool = next((tool for magic, tool in COMPRESSED.items() if head.startswith(magic)), None)
    if tool:
        command = f"{tool} {shlex.quote(path)}"
        raise ImageSourceError(f"'{path}' is compressed: single images cannot be read. Run: {command}")


def _index(file: BinaryIO, length: int) -> TarIndex:
    index = TarIndex()
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
            while (info := tar.next()) is not None:
                if info.size < 0:  # said by pax records; the next member would be an earlier one
                    raise tarfile.ReadError(f"a header that claims {info.size:,} bytes")
                if info.isreg() and info.offset_data + info.size <= length:
                    index.members.append(Member(info.name, info.offset_data, info.size))
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # or it keeps every header
            end = tar.offset
    except RecursionError:
        index.damage = "too many headers in a row"
        return index
    except (tarfile.TarError, EOFError, ValueError) as error:
        index.damage = str(error) or "unexpected end of data"
        return index
    except OSError as error:
        if error.errno not in NOWHERE:
            raise
        index.damage = "a member is larger than a file can be"
        return index
    if end > length:
        index.damage = "unexpected end of data"
    else:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            index.damage = f"no valid header at byte {end:,}"
    return index


def read_member(path: str, offset: int, size: int) -> bytes:
    """Read the bytes of one member. Raises OSError; shorter than `size` if the file was truncated since."""
    if is_url(path):
        return read_object(path, offset, size)
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), size, offset)
