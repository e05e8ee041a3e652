"""Commands as children of one process that has imported them: a try costs what the command itself takes.

`python -m tests.campaign.children FILE` answers each line of its input, a command and how it runs, first by
the number of the child, then by what became of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.campaign.disks import faulty
from tests.campaign.writing import ROOT

KINDS = {
    "o": "open",
    "r": "read",
    "w": "write",
    "n": "rename",
    "s": "fsync",
    "u": "unlink",
    "m": "mkdir",
    "f": "flock",
    "c": "close",
    "t": "stat",
    "l": "listdir",
}
CLOCK = "j"  # looks at the clock, which jumps at one of them
ESCAPED = 70  # the exit code of a child whose command raised, or that was killed
CAPABILITIES = 0x20080522  # the version of the call that sets them


class Children:
    """The process whose children the commands are."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process

    def begin(
        self, words: Sequence[str], kind: str = "-", nth: int = 0, error: int = 0, how: str = ""
    ) -> int:
        """Begin a command and return the number of its process.

        Args:
            kind, nth, error: the nth call of this kind fails, or the clock jumps (see `faults.c`).
            how: "ordinary" for a user who has not the rights of root.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([list(words), kind, nth, error, how]) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> dict[str, Any]:
        """Wait for the command; return its exit code, what it said and its calls of each kind."""
        return self._answer()

    def __call__(self, *asked: Any, **more: Any) -> dict[str, Any]:
        self.begin(*asked, **more)
        return self.end()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def children(folder: Path, at: Path) -> Iterator[Children]:
    """Yield what runs commands; calls to the system fail only below `at`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.campaign.children", str(folder / "said")], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | faulty(folder, at),
    )  # fmt: skip
    try:
        yield Children(process)
    finally:
        process.communicate()


def serve(said: Path) -> None:
    import torch  # once, before the children

    torch.set_num_threads(1)
    for line in sys.stdin:
        words, kind, nth, error, how = json.loads(line)
        result = said.with_suffix(".json")
        result.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _run(words, (kind, nth, error), how, said, result)
        print(child, flush=True)
        os.waitpid(child, 0)
        answer = result.read_text() if result.exists() else ""  # empty of a child that was killed
        done = json.loads(answer) if answer else {"code": ESCAPED, "calls": {}}
        print(json.dumps(done | {"said": said.read_text(errors="replace")}), flush=True)


def _run(words: list[str], fault: tuple[str, int, int], how: str, said: Path, result: Path) -> None:
    """Run a command in this child, and end it."""
    from core.cli import main

    faults, (kind, nth, error) = ctypes.CDLL(None), fault
    result.touch()
    answer = os.open(result, os.O_WRONLY)  # before the rights go
    with open(said, "wb") as err, open(os.devnull, "wb") as out:
        os.dup2(err.fileno(), 2)
        os.dup2(out.fileno(), 1)
    if how == "ordinary":
        version, nothing = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
        assert faults.capset(version, nothing) == 0
    faults.faults_fail(ord(kind), nth, error)
    try:
        code = main(words)
    except BaseException:
        traceback.print_exc()
        code = ESCAPED
    counts = {one: faults.faults_calls(ord(one)) for one in KINDS}
    looks = faults.faults_calls(ord(CLOCK))
    faults.faults_fail(0, 0, 0)
    os.write(answer, json.dumps({"code": code, "calls": counts, "looks": looks}).encode())
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
