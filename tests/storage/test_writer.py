from __future__ import annotations

import shutil

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
