from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import SettingsError, StudyError
from core.storage.writer import write_study
from core.store import open_study


def refused(folder, *, written: bool, error: type[BaseException] = SettingsError) -> None:
    with (
        pytest.raises(error, match="too many"),
        write_study(folder) as writer,
        writer.step("quality", {"calibrate": 2}) as step,
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


def test_step__that_has_written_is_not_taken_back(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    refused(folder, written=True)
    assert not open_study(folder).has("quality")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system which file a descriptor is of")
def test_everything_that_a_manifest_names__is_on_the_disk_before_it(tmp_path, monkeypatch):
    """Contents and names: a file that is synced and renamed can lose its name with the power."""
    study, unsynced, n_manifests = tmp_path / "study", set(), 0
    replace, fsync, mkdir = os.replace, os.fsync, os.mkdir

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

    def made(path: Path, *mode: int) -> None:
        mkdir(path, *mode)
        unsynced.add(str(path))

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "mkdir", made)
    for length in (3, 2):
        with write_study(study) as writer, writer.step("quality", {"length": length}) as step:
            step.table("quality", pd.DataFrame({"image_id": ["a"]}))
            step.vector("scores", np.arange(length))
            for chunk in range(length):
                step.array("rows").put(chunk, np.ones((1, 1)))
            step.finish_array("rows", length)
    assert n_manifests == 3 and not unsynced  # once it is dropped, and once for each length
