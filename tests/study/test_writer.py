from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import SettingsError, StudyError
from core.pipeline.verify import verify
from core.store import open_study
from core.study.manifest import last_settings
from core.study.study_folders import foreign_entries
from core.study.writer import StepWriter, StudyWriter, write_study
from tests.command_line import contents


def asked(writer: StudyWriter, name: str, settings: dict[str, int]) -> AbstractContextManager[StepWriter]:
    """Begin a step as the commands do."""
    writer.asked[name] = settings
    return writer.step(name, settings)


def refused(folder, *, written: bool, error: type[BaseException] = SettingsError) -> None:
    with (
        pytest.raises(error, match="too many"),
        write_study(folder) as writer,
        asked(writer, "quality", {"calibrate": 2}) as step,
    ):
        if written:
            step.table("quality", pd.DataFrame({"image_id": ["a"]}))
        raise error("too many")


@pytest.mark.parametrize("error", [SettingsError, StudyError, RuntimeError, KeyboardInterrupt])
def test_step__that_ends_before_it_writes_loses_nothing(shared_study, tmp_path, error):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    before = open_study(folder)
    assert before.has("quality")
    refused(folder, written=False, error=error)
    after = open_study(folder)
    assert after.manifest == before.manifest and after.state("quality") == "done"
    pd.testing.assert_frame_equal(after.table("quality"), before.table("quality"))
    with write_study(folder):
        pass
    assert open_study(folder).has("quality")


def test_step__that_has_written_leaves_what_was_there_and_goes_on_with_its_settings(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    before = open_study(folder)
    refused(folder, written=True)
    after = open_study(folder)
    pd.testing.assert_frame_equal(after.table("quality"), before.table("quality"))
    assert verify(folder) == [] and foreign_entries(folder) == []
    assert last_settings(after.manifest, "quality") == {"calibrate": 2}
    with write_study(folder) as writer:
        settings = before.settings("quality")
        assert not writer.is_current("quality", settings, ()), "it is not made yet"
        writer.remove("quality")
    assert last_settings(open_study(folder).manifest, "quality") == {} and verify(folder) == []


def written(folder: Path, values: list[int]) -> None:
    """Make a step with a table and an array."""
    with write_study(folder) as writer, writer.step("quality", {"of": values}) as step:
        step.table("quality", pd.DataFrame({"score": values}))
        for chunk, value in enumerate(values):
            step.array("rows").put(chunk, np.array([value]))
        step.finish_array("rows", len(values))


@pytest.fixture
def renames(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[str]]:
    """Count what takes a name from here on, and end the process before the nth does, as a kill would."""
    real = {"replace": os.replace, "rename": os.rename}

    def begin(number: int | None) -> list[str]:
        taken: list[str] = []

        def named(how: str, source: Path, target: Path) -> None:
            taken.append(Path(target).name)
            if len(taken) == number:
                raise KeyboardInterrupt
            real[how](source, target)

        for how in real:
            monkeypatch.setattr(os, how, partial(named, how))
        return taken

    return begin


def test_step__made_again_and_killed_at_any_moment_has_the_old_result_or_the_new(tmp_path, renames):
    written(tmp_path / "old", [1, 2])
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    taken = renames(None)
    written(tmp_path / "new", [3, 4, 5])
    assert not (tmp_path / "new" / ".quality.redo").exists()
    found = []
    for number in range(1, len(taken) + 1):
        folder = shutil.copytree(tmp_path / "old", tmp_path / str(number))
        renames(number)
        with pytest.raises(KeyboardInterrupt):
            written(folder, [3, 4, 5])
        renames(None)
        with write_study(folder):
            pass
        study = open_study(folder)
        scores = study.table("quality")["score"].tolist()
        assert scores == study.vector("rows").tolist() and verify(folder) == []
        found.append(len(scores))
    assert contents(folder) == contents(tmp_path / "new")
    assert found == sorted(found) and set(found) == {2, 3}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_step__made_again_where_nothing_can_be_synced_keeps_the_old_result(tmp_path, monkeypatch, number):
    written(tmp_path / "study", [1, 2])
    before = contents(tmp_path / "study")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        written(tmp_path / "study", [3, 4, 5])
    assert contents(tmp_path / "study") == before and verify(tmp_path / "study") == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system which file a descriptor is of")
def test_everything_that_a_manifest_names__is_on_the_disk_before_it(tmp_path, monkeypatch):
    """Contents and names: a file that is synced and renamed can lose its name with the power."""
    study, unsynced, n_manifests = tmp_path / "study", set(), 0
    replace, rename, fsync, mkdir = os.replace, os.rename, os.fsync, os.mkdir

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        unsynced.difference_update([path, *[one for one in unsynced if os.path.dirname(one) == path]])

    def replaced(source: Path, target: Path) -> None:
        nonlocal n_manifests
        if Path(target).name == "manifest.json":
            assert not unsynced
            n_manifests += 1
        replace(source, target)
        unsynced.add(str(target))

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        unsynced.add(str(target))

    def made(path: Path, *mode: int) -> None:
        mkdir(path, *mode)
        unsynced.add(str(path))

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "mkdir", made)
    for length in (3, 2):
        with write_study(study) as writer, writer.step("quality", {"length": length}) as step:
            step.table("quality", pd.DataFrame({"image_id": ["a"]}))
            step.vector("scores", np.arange(length))
            for chunk in range(length):
                step.array("rows").put(chunk, np.ones((1, 1)))
            step.finish_array("rows", length)
    assert n_manifests == 4 and not unsynced  # once for each length, and beside the second, and without it


def test_a_step_that_several_threads_write_begins_once_and_before_all_of_them(tmp_path):
    began: list[int] = []

    def begin() -> None:
        began.append(len(began))
        time.sleep(0.02)
        (tmp_path / "begun").touch()

    step = StepWriter(tmp_path, "", before_first=begin)

    def write(number: int) -> bool:
        step.vector(f"part{number}", np.arange(3))
        return (tmp_path / "begun").exists()

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(write, range(3)))
    assert began == [0]
