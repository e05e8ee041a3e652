"""Disks that are full and memory that runs out: one line that says so, and the same command goes on after."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import cli
from core.cli import errors as cli_errors
from core.errors import AGAIN, KEPT, NotEnoughMemory, user_message
from core.pipeline.verify import verify
from core.study.chunked_array import write_chunk
from tests.command_line import contents

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BATCHES = ["analyze", "embed", "heatmaps", "overlap"]
NO_BATCHES = ["concepts", "features", "neighbours", "quality", "failures", "info", "export", "verify"]


def limited(*words: object, memory: int):
    """A command in a process that may use so many bytes of addresses."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    return subprocess.run(
        [sys.executable, "-m", "core", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error that the user can act on."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(lines) == 1 and "defect" not in lines[0], done.stderr[-3000:]
    return lines[0]


@pytest.fixture
def big(tmp_path: Path) -> tuple[str, ...]:
    """A list of rows and 2 MB of their representations."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "big.npy", rng.gamma(0.3, size=(1000, 512)).astype(np.float32))
    rows = "".join(f"{row},{'cat' if row % 2 else 'dog'}\n" for row in range(1000))
    (tmp_path / "big.csv").write_text("image_id,label\n" + rows)
    return ("--images", str(tmp_path / "big.csv"), "--representations", str(tmp_path / "big.npy"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; skips where this user may mount none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount no file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk__says_so_and_the_same_command_goes_on(small_disk, tmp_path, big, run):
    study = small_disk / "study"
    error = run("embed", study, *big).error
    assert "full" in error and KEPT in error and error.endswith(AGAIN)
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run("embed", study, *big).code == 0
    assert run("embed", tmp_path / "whole", *big).code == 0
    assert contents(study) == contents(tmp_path / "whole") and verify(study) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """This process may write files of 1 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_limit_on_file_sizes__is_no_defect(tmp_path, big, small_files, run):
    error = run("embed", tmp_path / "study", *big).error
    assert "limit" in error and "again" in error and "defect" not in error


@pytest.mark.parametrize("most", [1_000_000_000, 2_000_000_000])
def test_memory_too_small_for_torch__is_no_defect(tmp_path, big, most):
    error = error_of(limited("embed", tmp_path / "study", *big, memory=most))
    assert "out of memory" in error and KEPT in error and "--batch-size" in error


def real_errors() -> dict[str, BaseException]:
    """What numpy and the system really raise."""
    errors: dict[str, BaseException] = {}
    for name, write in {
        "tofile": lambda file: np.zeros(10_000).tofile(file),
        "write": lambda file: file.write(bytes(100_000)),
        "array": lambda file: np.lib.format.write_array(file, np.zeros(100_000)),
    }.items():
        try:
            with open("/dev/full", "wb") as file:
                write(file)
        except OSError as error:
            errors[name] = error
    return errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("name", ["tofile", "write", "array"])
def test_full_device__whatever_the_words(name):
    message = user_message(real_errors()[name])
    assert message is not None and message.startswith("the disk is full") and "\n" not in message


def test_sound_file_that_memory_has_no_room_for__is_not_called_damaged(tmp_path):
    """In a process of its own: the limit holds for all that it does afterwards."""
    line = write_chunk(tmp_path, 0, np.zeros(300_000_000, np.uint8))
    code = f"""
import resource
from pathlib import Path
from core.study.chunked_array import ChunkedArray
array = ChunkedArray(Path({str(tmp_path)!r}), [{line["rows"]}], {line["dtype"]!r}, [])
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 100_000_000,) * 2)
from core.errors import user_message
try:
    array[:3]
except Exception as error:
    print(type(error).__name__, user_message(error), sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kind, message = done.stdout.strip().split("|")
    assert kind == NotEnoughMemory.__name__ and "out of memory" in message and KEPT in message


@pytest.mark.parametrize("command", [*BATCHES, *NO_BATCHES])
def test_smaller_batches__are_named_only_where_there_is_the_option(command):
    parser = cli.build_parser()
    more = ["images", "-o", "x.csv"] if command == "export" else []
    args = parser.parse_args([command, "S", *more])
    message = user_message(MemoryError(), has_batches=cli_errors._has_batches(args))
    assert message is not None and ("--batch-size" in message) == (command in BATCHES)
    assert message.endswith("run the same command again") or command in BATCHES
