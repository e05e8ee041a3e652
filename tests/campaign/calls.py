"""Each kind of call to the system fails once, in any command: one line, never a bug, and nothing lost.

The commands run in children of one process that has imported them (`python -m tests.campaign.calls`), so that
a try costs what the command itself takes. `faults.c` lies between them and the system.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.pipeline.verify import verify
from tests.campaign.disks import IS_POSSIBLE as IS_POSSIBLE
from tests.campaign.disks import NEEDS as NEEDS
from tests.campaign.disks import faulty
from tests.campaign.outcome import Outcome
from tests.campaign.writing import ROOT, command, ended

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
ERRORS = (errno.EIO, errno.ESTALE, errno.EBUSY, errno.EACCES, errno.EDQUOT)
ESCAPED = 70  # the exit code of a child whose command raised
OVER = "error: "


def commands(at: Path) -> dict[str, list[str]]:
    """Every command that a study of 40 pictures, without words, can be asked for, by a name of its own."""
    study, out = str(at / "study"), at / "out"
    answers, masks = at / "answers.csv", at / "masks"
    redone = ("features", "neighbours", "probe", "quality", "map", "heatmaps", "failures")
    return {
        "analyze": [*command(at, at / "study")[3:], "--epsilon", "1.25"],
        "embed": ["embed", study, "--redo"],
        **{step: [step, study, "--redo"] for step in redone},
        "overlap": ["overlap", study, "--masks", str(masks)],
        "resume": ["resume", study],
        "answers": ["answers", study, "--add", str(answers), "--name", "mine"],
        "basis": ["basis", study, "--kind", "pca", "--size", "8", "--name", "parts"],
        "few-shot": ["few-shot", study, "--shots", "2", "--draws", "2"],
        "info": ["info", study],
        "verify": ["verify", study],
        "slices": ["slices", study],
        "inspect": ["inspect", study, "--where", "correct=false"],
        "notes": ["notes", study],
        "decompose": ["decompose", study, "--image", "cat/0.png"],
        "export csv": ["export", study, "images", "-o", str(out / "a.csv")],
        "export npy": ["export", study, "representations", "-o", str(out / "a.npy")],
        "report": ["report", study, "-o", str(out / "a.html")],
        "publish": ["publish", study, "-o", str(out / "site")],
        "publish zip": ["publish", study, "-o", str(out / "site.zip")],
        "tensorboard": ["publish", study, "--to", "tensorboard", "-o", str(out / "runs")],
    }


READING = ("info", "verify", "slices", "inspect", "notes", "decompose")
ONCE = ("answers", "basis", "publish", "publish zip", "tensorboard")  # they overwrite nothing


def failing_calls(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """A random one of the calls of a kind fails in a command; then the same command without faults."""
    outcome, at, whole = Outcome(), folder / "at", folder / "whole"
    met: Counter[str] = Counter()
    _make(at)
    _copy(at, whole)
    words = commands(at)
    with _runner(folder, at) as run:
        counted = {}
        for number in range(n):
            name = list(words)[number % len(words)]
            _copy(whole, at)
            if name not in counted:
                done = run(words[name], "-", 0, 0)
                counted[name] = done["calls"]
                if done["code"]:
                    outcome.went_wrong(f"{name} without a fault: {done['said'][-300:]}")
                _copy(whole, at)
            kinds = [kind for kind in KINDS if counted[name][kind]]
            kind = str(rng.choice(kinds))
            error = int(rng.choice(ERRORS))
            nth = int(rng.integers(counted[name][kind])) + 1
            what = f"{name}: {KINDS[kind]} {nth} of {counted[name][kind]}, {errno.errorcode[error]}"
            done = run(words[name], kind, nth, error)
            outcome.tried += 1
            met[KINDS[kind]] += 1
            _judge(outcome, done, what)
            if name not in READING:
                again = run(words[name], "-", 0, 0)
                is_refused = again["code"] and not (name in ONCE and done["code"] == 0)
                if is_refused or verify(at / "study"):
                    outcome.lost += 1
                    outcome.examples.append(f"{what}; then {again['said'][-300:]}")
    of = ", ".join(f"{kind} {count}" for kind, count in met.most_common())
    outcome.note = f"{len(words)} commands; {of}"
    return outcome


def _judge(outcome: Outcome, done: dict[str, Any], what: str) -> None:
    said = done["said"]
    if done["code"] in (1, 2) and not (done["code"] == 1 and OVER not in said):  # verify ends with 1
        outcome.said(said, what)
    elif "Traceback" in said or done["code"] not in (0, 1):
        outcome.lines += 1
        outcome.examples.append(f"{what}: {done['code']} {said[-300:]}")


def _make(at: Path) -> None:
    """Make the study that the commands are tried on, and beside it what they are given."""
    at.mkdir()
    assert not ended(command(at, at / "study"))
    shutil.copytree(at / "photos", at / "masks" / "core")
    (at / "out").mkdir()
    names = sorted(path.relative_to(at / "photos") for path in (at / "photos").rglob("*.png"))
    rows = "".join(f"{name},cat\n" for name in names)
    (at / "answers.csv").write_text(f"image_id,predicted\n{rows}")


def _copy(whole: Path, at: Path) -> None:
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(whole, at)


@contextmanager
def _runner(folder: Path, at: Path) -> Iterator[Any]:
    """Yield what runs a command whose nth call of a kind fails: its exit code, stderr and counts of calls."""
    said = folder / "said"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.campaign.calls", str(said)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | faulty(folder, at),
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None

    def run(words: list[str], kind: str, nth: int, error: int) -> dict[str, Any]:
        process.stdin.write(json.dumps([words, kind, nth, error]) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield run
    finally:
        process.stdin.close()
        process.wait()


def serve(said: Path) -> None:
    """Answer each line of stdin, a command and its fault, by what a child does with it."""
    import torch  # once, before the children

    from core.cli import main

    torch.set_num_threads(1)
    faults = ctypes.CDLL(None)
    for line in sys.stdin:
        words, kind, nth, error = json.loads(line)
        result = said.with_suffix(".json")
        result.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            with open(said, "wb") as err, open(os.devnull, "wb") as out:
                os.dup2(err.fileno(), 2)
                os.dup2(out.fileno(), 1)
            faults.faults_fail(ord(kind), nth, error)
            try:
                code = main(words)
            except BaseException:
                traceback.print_exc()
                code = ESCAPED
            counts = {one: faults.faults_calls(ord(one)) for one in KINDS}
            faults.faults_fail(0, 0, 0)
            result.write_text(json.dumps({"code": code, "calls": counts}))
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(child, 0)
        done = json.loads(result.read_text()) if result.exists() else {"code": ESCAPED, "calls": {}}
        print(json.dumps(done | {"said": said.read_text(errors="replace")}), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
