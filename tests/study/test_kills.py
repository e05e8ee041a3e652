"""Commands killed between writing a file and naming it: the same command ends as if it had not been."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.cli import main
from core.common.worker_group import Ranks
from core.pipeline.verify import verify
from core.study.leftovers import TEMPORARY
from core.study.writer import write_study
from tests.command_line import contents
from tests.sampling import sample


def killing(real: Callable[..., None], last: int, done: list[object]) -> Callable[..., None]:
    """`os.replace`, which lists what it renames and kills the process before the `last` one; 0 for never."""

    def replace(source: object, target: object, **options: object) -> None:
        if "progress.json" not in str(target):  # no part of the study
            done.append(target)
            if len(done) == last:
                os.kill(os.getpid(), signal.SIGKILL)
        real(source, target, **options)

    return replace


def run_until(rename: int, *words: object) -> int | None:
    """Run a command that kills itself exactly before its nth rename, in a fork; gives what it exits with."""

    def run() -> None:
        os.replace = killing(os.replace, rename, [])
        sys.exit(main([*map(str, words)]))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def temporaries(study: Path) -> list[Path]:
    return [path for path in study.rglob(".*.tmp") if TEMPORARY.fullmatch(path.name)]


@pytest.mark.slow
def test_killed_before_a_rename__the_same_command_ends_byte_for_byte_the_same(
    tmp_path, given, run, monkeypatch
):
    renamed: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killing(os.replace, 0, renamed))
        assert run("analyze", tmp_path / "whole", *given).code == 0
    n_renames = len(renamed)
    expected = contents(tmp_path / "whole")
    study, left = tmp_path / "study", []
    points = sample((n_renames // 2, n_renames, 2, n_renames // 3), 2)
    for killed_before in points:
        shutil.rmtree(study, ignore_errors=True)
        assert run_until(killed_before, "analyze", study, *given) == -signal.SIGKILL
        left.append(len(temporaries(study)))
        if (study / "manifest.json").exists():
            assert "of a killed command" in " ".join(map(str, verify(study)))
        assert run("analyze", study, *given).code == 0
        assert contents(study) == expected and not temporaries(study), f"killed before {killed_before}"
        assert verify(study) == []
    assert len(left) == len(points) and all(left)  # else nothing was tried


def test_temporaries_of_running_processes_stay_and_others_go(tmp_path):
    study = tmp_path / "study"
    with write_study(study) as writer, writer.step("quality", {}) as step:
        step.vector("scores", np.arange(2))
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mine, foreign, gone = (f".00001.npy.{pid}.tmp" for pid in (os.getpid(), other.pid, 999_999_999))
        for name in (mine, foreign, gone, ".00001.npy.tmp", "notes.12.tmp"):
            (study / "scores" / name).write_bytes(b"half")
        with write_study(study, Ranks(rank=1, size=2)):  # another process of this torchrun: it holds no lock
            assert (study / "scores" / gone).exists()
        with write_study(study):
            left = {path.name for path in (study / "scores").iterdir()} - {"00000.npy"}
            assert left == {foreign, ".00001.npy.tmp", "notes.12.tmp"}
    finally:
        other.communicate(b"\n", timeout=20)
    with write_study(study):
        assert not (study / "scores" / foreign).exists()


def test_temporaries_are_not_removed_through_a_link(tmp_path):
    study, photos = tmp_path / "study", tmp_path / "photos"
    photos.mkdir()
    (photos / ".00001.npy.999999999.tmp").write_bytes(b"of another study")
    with write_study(study) as writer, writer.step("quality", {}) as step:
        step.vector("scores", np.arange(2))
    (study / "link").symlink_to(photos)
    with write_study(study):
        pass
    assert len(list(photos.iterdir())) == 1
