"""Each kind of call to the system fails once, in any command: one line, never a bug, and nothing lost.

`faults.c` lies between the commands, which run as children of one process (`children.py`), and the system.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from core.pipeline.verify import verify
from tests.campaign.children import KINDS, children
from tests.campaign.disks import IS_POSSIBLE as IS_POSSIBLE
from tests.campaign.disks import NEEDS as NEEDS
from tests.campaign.outcome import Outcome
from tests.campaign.writing import command, ended

ERRORS = (errno.EIO, errno.ESTALE, errno.EBUSY, errno.EACCES, errno.EDQUOT)
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
    make(at)
    copy(at, whole)
    words = commands(at)
    with children(folder, at) as run:
        counted = {}
        for number in range(n):
            name = list(words)[number % len(words)]
            copy(whole, at)
            if name not in counted:
                done = run(words[name], "-", 0, 0)
                counted[name] = done["calls"]
                if done["code"]:
                    outcome.went_wrong(f"{name} without a fault: {done['said'][-300:]}")
                copy(whole, at)
            kinds = [kind for kind in KINDS if counted[name][kind]]
            kind = str(rng.choice(kinds))
            error = int(rng.choice(ERRORS))
            nth = int(rng.integers(counted[name][kind])) + 1
            what = f"{name}: {KINDS[kind]} {nth} of {counted[name][kind]}, {errno.errorcode[error]}"
            done = run(words[name], kind, nth, error)
            outcome.tried += 1
            met[KINDS[kind]] += 1
            judge(outcome, done, what)
            if name not in READING:
                again = run(words[name], "-", 0, 0)
                is_refused = again["code"] and not (name in ONCE and done["code"] == 0)
                if is_refused or verify(at / "study"):
                    outcome.lost += 1
                    outcome.examples.append(f"{what}; then {again['said'][-300:]}")
    of = ", ".join(f"{kind} {count}" for kind, count in met.most_common())
    outcome.note = f"{len(words)} commands; {of}"
    return outcome


def judge(outcome: Outcome, done: dict[str, Any], what: str) -> None:
    said = done["said"]
    if done["code"] in (1, 2) and not (done["code"] == 1 and OVER not in said):  # verify ends with 1
        outcome.said(said, what)
    elif "Traceback" in said or done["code"] not in (0, 1):
        outcome.lines += 1
        outcome.examples.append(f"{what}: {done['code']} {said[-300:]}")


def make(at: Path) -> None:
    """Make the study that the commands are tried on, and beside it what they are given."""
    at.mkdir()
    assert not ended(command(at, at / "study"))
    shutil.copytree(at / "photos", at / "masks" / "core")
    (at / "out").mkdir()
    names = sorted(path.relative_to(at / "photos") for path in (at / "photos").rglob("*.png"))
    rows = "".join(f"{name},cat\n" for name in names)
    (at / "answers.csv").write_text(f"image_id,predicted\n{rows}")


def copy(whole: Path, at: Path) -> None:
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(whole, at)
