"""Faults while a study is written: kills, full disks, two writers, readers beside a writer, wrong clocks."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from core.pipeline.verify import verify
from core.study.progress import read_record
from core.study.steps import in_analysis
from tests.campaign.outcome import Outcome
from tests.command_line import QUICK, SMALL, contents, photos
from tests.study.flips import read_all

ROOT = Path(__file__).parents[2]
IN_A_ROW = 3  # kills before a run may end


def command(folder: Path, study: Path) -> list[str]:
    """Analyse 40 small pictures with a small encoder: every step that needs no words or masks."""
    pictures = folder / "photos"
    if not pictures.exists():
        photos(pictures, {"cat": 20, "dog": 20})
    return [sys.executable, "-m", "core", "analyze", str(study), "--images", str(pictures), *SMALL, *QUICK]


def begun(
    words: list[str],
    variables: Mapping[str, str] | None = None,
    *,
    file_size: int | None = None,
    stdout: int | IO[str] = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    def limit() -> None:
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    return subprocess.Popen(
        words, cwd=ROOT, text=True, stdout=stdout, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=limit, env=os.environ | (variables or {}),
    )  # fmt: skip


def ended(words: list[str], variables: Mapping[str, str] | None = None) -> str:
    """Run a command to its end; what it says where it fails, else nothing."""
    process = begun(words, variables)
    _, said = process.communicate()
    return said if process.returncode else ""


def expected_of(folder: Path) -> tuple[dict[str, bytes], float]:
    """The files of a study that nothing disturbed, and the seconds that it took."""
    begin = time.monotonic()
    assert not ended(command(folder, folder / "whole"))
    return contents(folder / "whole"), time.monotonic() - begin


def compare(outcome: Outcome, study: Path, expected: dict[str, bytes], words: list[str], why: str) -> None:
    """Run the same command to its end, and look at what it made."""
    said = ended(words)
    if said or contents(study) != expected or verify(study):
        outcome.lost += 1
        outcome.examples.append(f"{why}: {said[-300:]}")


def kills(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """SIGKILL at random moments, up to three in a row, then the same command."""
    expected, seconds = expected_of(folder)
    study, outcome, steps = folder / "study", Outcome(), Counter[str]()
    while outcome.tried < n:
        shutil.rmtree(study, ignore_errors=True)
        words = command(folder, study)
        for _ in range(min(IN_A_ROW, n - outcome.tried)):
            process = begun(words)
            time.sleep(float(rng.uniform(0, seconds)))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            steps[_step_of(study)] += 1
            outcome.tried += 1
        compare(outcome, study, expected, words, f"killed {outcome.tried}")
    outcome.note = ", ".join(f"{name} {count}" for name, count in steps.most_common())
    return outcome


def _step_of(study: Path) -> str:
    """The step that the killed command was in, as far as its last record says."""
    done = (read_record(study / "progress.json") or {}).get("stages_done")
    return "start" if done is None else next((name for name in in_analysis() if name not in done), "end")


def full_disks(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """No file may grow beyond a random size; then the same command with room."""
    expected, _ = expected_of(folder)
    largest = max(map(len, expected.values()))
    outcome = Outcome()
    for _ in range(n):
        study, size = folder / "study", int(rng.integers(64, largest))
        shutil.rmtree(study, ignore_errors=True)
        words = command(folder, study)
        process = begun(words, file_size=size)
        _, said = process.communicate()
        outcome.tried += 1
        if process.returncode:
            outcome.said(said, f"files of {size} bytes")
        compare(outcome, study, expected, words, f"files of {size} bytes")
    outcome.note = f"64 to {largest:,} bytes"
    return outcome


def two_writers(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """The same command twice, the second a random moment later."""
    expected, seconds = expected_of(folder)
    outcome = Outcome()
    for _ in range(n):
        study = folder / "study"
        shutil.rmtree(study, ignore_errors=True)
        words = command(folder, study)
        first = begun(words)
        time.sleep(float(rng.uniform(0, seconds)))
        second = begun(words)
        for process in (first, second):
            _, said = process.communicate()
            if process.returncode:
                outcome.said(said, "two writers")
        outcome.tried += 1
        compare(outcome, study, expected, words, "two writers")
    return outcome


def readers_beside(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """All that pages read of a study, again and again while it is written."""
    expected, _ = expected_of(folder)
    outcome, study = Outcome(), folder / "study"
    words = command(folder, study)
    while outcome.tried < n:
        shutil.rmtree(study, ignore_errors=True)
        process = begun(words)
        while process.poll() is None and outcome.tried < n:
            try:
                outcome.refused += read_all(study) > 0
            except Exception as error:
                outcome.went_wrong(f"{type(error).__name__}: {error}")
            outcome.tried += 1
        process.communicate()
        compare(outcome, study, expected, words, "readers beside")
    return outcome


def clocks(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """A study whose files say that they are of another year, past or future."""
    expected, _ = expected_of(folder)
    outcome, study = Outcome(), folder / "whole"
    for _ in range(n):
        moment = float(rng.uniform(0, 2**32))
        for path in study.rglob("*"):
            os.utime(path, (moment, moment))
        outcome.tried += 1
        compare(outcome, study, expected, command(folder, study), f"files of {moment:.0f} s since 1970")
    return outcome
