"""The faults of `faults.c`, met by a small program: they are what the campaign says that they are."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.campaign.children import KINDS
from tests.campaign.disks import IS_POSSIBLE, faulty, lose_unsynced

pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="needs Linux and a C compiler")
WRITE = """
import os, sys
from pathlib import Path
import numpy as np
from core.common.inside import replacing
folder = Path(sys.argv[1])
try:
    print(len((folder / "there").read_bytes()))
    with replacing(folder / "synced") as temporary:
        with open(temporary, "wb") as file:
            np.frombuffer(b"x" * 1000, np.uint8).tofile(file)
    os.replace(folder / "synced", folder / "moved")
    (folder / "written").write_bytes(b"y")
    (folder / "there").unlink()
except OSError as error:
    print(error.errno or str(error)[:4])
"""

FAIL = """
import ctypes, fcntl, os, sys
from pathlib import Path
folder = Path(sys.argv[1])
faults = ctypes.CDLL(None)

def everything():
    os.stat(folder)
    (folder / "made").mkdir()
    with open(folder / "new", "wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"x")
        os.fsync(file)
    os.replace(folder / "new", folder / "made" / "old")
    (folder / "made" / "old").read_bytes()
    os.listdir(folder)
    os.unlink(folder / "made" / "old")

for number, kind in enumerate(sys.argv[2]):
    folder = folder.with_name(f"disk{number}")
    folder.mkdir()
    faults.faults_fail(ord(kind), 1, 100 + number)
    try:
        everything()
    except OSError as error:
        print(kind, error.errno)
    faults.faults_fail(0, 0, 0)
"""


def met(tmp_path: Path, **faults: object) -> list[int]:
    """What the program prints that meets the faults in a folder."""
    folder = tmp_path / "disk"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "there").write_bytes(b"abc")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder)], env=os.environ | faulty(tmp_path, folder, **faults),
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return [int(line) for line in done.stdout.split()]


def test_faults__read_only_no_room_and_reads_that_fail(tmp_path):
    assert met(tmp_path) == [3]
    assert not (tmp_path / "disk" / "there").exists()
    assert met(tmp_path, read_only=1) == [3, errno.EROFS]
    assert os.listdir(tmp_path / "disk") == ["there"]
    assert met(tmp_path, room=1000, full=errno.EDQUOT) == [3, errno.EDQUOT]
    assert met(tmp_path, room=999) == [3, 1000]  # numpy says how many bytes it wanted to write
    assert met(tmp_path, read_error=1) == [errno.EIO]


def test_power__what_was_not_synced_is_lost_and_nothing_else(tmp_path):
    disk, log, left = tmp_path / "disk", tmp_path / "log", set()
    for seed in range(12):
        log.unlink(missing_ok=True)
        (tmp_path / "kept").mkdir(exist_ok=True)
        assert met(tmp_path, log=log, kept=tmp_path / "kept") == [3]
        assert lose_unsynced(np.random.default_rng(seed), log) >= 1
        names = sorted(path.name for path in disk.iterdir())
        left.add(" ".join(names))
        (of_synced,) = {"synced", "moved"} & set(names)
        assert (disk / of_synced).read_bytes() == b"x" * 1000  # its name may be the older one
        assert "written" not in names or (disk / "written").read_bytes() == b""
    assert left == {"synced there", "moved there", "moved there written", "moved written"}


def test_each_kind_of_call_fails_once_with_the_error_that_was_asked_for(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FAIL, str(tmp_path / "disk"), "".join(KINDS)], check=True, text=True,
        capture_output=True, env=os.environ | faulty(tmp_path, tmp_path / "disk"),
    )  # fmt: skip
    assert done.stdout.split() == [
        word for number, kind in enumerate(KINDS) for word in (kind, str(100 + number))
    ]
