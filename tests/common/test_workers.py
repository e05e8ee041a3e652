"""Worker processes of a command that is killed (kill -9) end with it, and let go of its output."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.common.processes import LOST_AFTER, process_started, watch_connections

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 6.0  # seconds until no descendant may be left
EMBED = ("embed", "STUDY", "--images", "glyphworld?train=1800&val=200", "--encoder", "timm:resnet10t")
EMBED += ("--input-size", "32", "--resize", "32", "--workers", "2")
SLOW_PIXELS = """
import sys, time, numpy as np
from tests.common.test_workers import SlowSource
from core.training.pixels import load_pixels
if __name__ == "__main__":
    load_pixels(SlowSource(), 16, cache=sys.argv[1], workers=2)
"""
FROM_A_THREAD = """
import sys, threading
from tests.common.test_workers import SlowSource
from core.analysis.representations import ThumbnailLook
from core.analysis.representations import Pictures, picture_batches
def run():
    pictures = Pictures(SlowSource(), (ThumbnailLook(96),))
    for batch in picture_batches(pictures, [range(9)] * 999, workers=2, pin=False):
        pass
worker = threading.Thread(target=run)
worker.start()
worker.join()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]


class SlowSource:
    """Images that take as long as those of a camera; enough of them for workers."""

    def __init__(self) -> None:
        import pandas as pd

        self.table = pd.DataFrame({"split": ["train"] * 4096, "label": ["a"] * 4096})

    def fingerprint(self) -> str:
        return "slow"

    def read(self, row: int):
        from PIL import Image

        time.sleep(0.01)
        return Image.effect_noise((96, 96), 90).convert("RGB")  # more than a pipe holds


def descendants(pid: int) -> set[int]:
    """Processes below `pid`, at any depth."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    below, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - below
        below |= new
    return below


def workers_of(pid: int, at_least: int) -> set[int]:
    """The descendants, as soon as there are that many and they have had time to begin."""
    deadline = time.monotonic() + 120
    while len(workers := descendants(pid)) < at_least:
        assert time.monotonic() < deadline and process_started(pid), f"{len(workers)} workers"
        time.sleep(0.05)
    time.sleep(1.0)
    return workers | descendants(pid)


def left_of(pids: set[int]) -> list[str]:
    """The command lines of those that still run after a while."""
    deadline = time.monotonic() + PATIENCE
    while (running := [pid for pid in pids if process_started(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:80] for pid in running]


def started(words: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(folder / "log.txt", "wb") as log:
        return subprocess.Popen(
            words, stdout=log, stderr=log, env=environment, cwd=ROOT, start_new_session=True
        )


IN_RANKS = pytest.mark.exhaustive("the workers of pixels and of a thread end in the same way")


@pytest.mark.parametrize("kind", [pytest.param("embed", marks=IN_RANKS), "pixels", "thread"])
def test_killed_parent__leaves_no_worker(tmp_path, kind):
    script = tmp_path / "script.py"
    script.write_text(FROM_A_THREAD if kind == "thread" else SLOW_PIXELS)
    embed = ["-m", "core", *(word.replace("STUDY", str(tmp_path / "study")) for word in EMBED)]
    words = embed if kind == "embed" else [str(script), str(tmp_path)]
    process = started([sys.executable, *words], tmp_path)
    try:
        below = workers_of(process.pid, 2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert left_of(below) == [], (tmp_path / "log.txt").read_text()
    finally:
        end(process)


@pytest.mark.exhaustive("test_killed_parent… leaves no worker; tests/pipeline/test_ranks.py kills ranks")
def test_killed_rank__leaves_no_worker_of_any(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [word.replace("STUDY", str(tmp_path / "study")) for word in EMBED]
    small = "import core.analysis.representations as r, core.cli, sys; r.CHUNK_ROWS = 128; core.cli.main()"
    process = started([*launcher, "--no-python", sys.executable, "-c", small, *words], tmp_path)
    try:
        below = workers_of(process.pid, 2 + 2 * 2)
        rank = next(pid for pid in sorted(below) if len(descendants(pid)) == 2)
        os.kill(rank, signal.SIGKILL)
        assert process.wait(timeout=60) != 0
        assert left_of(below) == [], (tmp_path / "log.txt").read_text()
    finally:
        end(process)


def test_connections__fail_where_another_machine_no_longer_answers():
    """Else one that waits for a message of a machine without power waits for ever."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
    ):
        watch_connections()
        level = socket.IPPROTO_TCP
        asked_after, between, times = (
            ours.getsockopt(level, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert asked_after + between * times == LOST_AFTER
        assert ours.getsockopt(level, socket.TCP_USER_TIMEOUT) == 1000 * LOST_AFTER
        peer, _ = server.accept()
        ours.sendall(b"still open")
        assert peer.recv(10) == b"still open"
        peer.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a failed test leave nothing running either."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
