"""SIGKILL of commands that go on with what is there: a second kill while resuming, a basis on positions."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.pipeline.verify import verify
from tests.campaign.calls import copy
from tests.campaign.changing import embedding
from tests.campaign.children import Children, children
from tests.campaign.disks import IS_POSSIBLE as IS_POSSIBLE
from tests.campaign.disks import NEEDS as NEEDS
from tests.campaign.outcome import Outcome
from tests.campaign.writing import IN_A_ROW, command
from tests.command_line import contents

Words = Callable[[Path], list[str]]  # of a command, on the study in a folder


def _killed(rng: np.random.Generator, n: int, folder: Path, before: Words, words: Words) -> Outcome:
    """Kill a command at random moments, up to three in a row; afterwards it ends with the same bytes.

    Args:
        before: makes the study on which it is tried.
    """
    outcome, at, whole, ended = Outcome(), folder / "at", folder / "whole", 0
    command(at, at / "study")
    with children(folder, at) as run:
        _run(run, before(at))
        copy(at, whole)
        _run(run, words(at))  # the first loads what the next find in memory
        copy(whole, at)
        begin = time.monotonic()
        _run(run, words(at))
        seconds, expected = time.monotonic() - begin, contents(at / "study")
        while outcome.tried < n:
            copy(whole, at)
            for _ in range(min(IN_A_ROW, n - outcome.tried)):
                child = run.begin(words(at))
                time.sleep(float(rng.uniform(0, 0.8 * seconds)))
                ended += not _kill(child)
                run.end()
                outcome.tried += 1
            again = run(words(at))
            if again["code"] or verify(at / "study") or contents(at / "study") != expected:
                outcome.lost += 1
                outcome.examples.append(again["said"][-300:])
    outcome.note = f"up to {IN_A_ROW} in a row; {ended} came after its end"
    return outcome


def _run(run: Children, words: list[str]) -> None:
    done = run(words)
    assert done["code"] == 0, done["said"]


def _kill(child: int) -> bool:
    """Kill a child of the process that waits for it; False where it had ended."""
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def killed_resume(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """`resume` makes the steps that a study lacks which was killed while it was made."""

    return _killed(rng, n, folder, embedding, lambda at: ["resume", str(at / "study")])


def killed_positions(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """A dictionary that is trained on positions goes on with --resume."""
    sizes = ["--size", "16", "--k", "4", "--steps", "60", "--device", "cpu"]

    def several(at: Path) -> list[str]:  # positions an image
        return [*embedding(at), "--input-size", "64", "--resize", "64"]

    made = ["--kind", "topk", "--on", "positions", "--name", "parts", "--resume", *sizes]
    return _killed(rng, n, folder, several, lambda at: ["basis", str(at / "study"), *made])
