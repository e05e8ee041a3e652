"""Files that may be packed with gzip, unpacked on the way and up to a limit."""

import gzip
import io
from pathlib import Path
from typing import IO

PACKED = ".gz"
MOST_UNPACKED = 4_000_000_000  # bytes


class _Bounded(io.RawIOBase):
    """The bytes of a .gz; ValueError once more than MOST_UNPACKED of them came out."""

    def __init__(self, path: Path) -> None:
        self.file, self.n = gzip.open(path, "rb"), 0  # noqa: SIM115 - closed by `close`

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        part = self.file.read(len(buffer))
        self.n += len(part)
        if self.n > MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED / 1e6:,.0f} MB")
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self.file.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading; one that ends in .gz is unpacked on the way."""
    if path.suffix.lower() == PACKED:
        return io.BufferedReader(_Bounded(path))
    return open(path, "rb")
