"""What killed writers of files outside a study leave, and when it goes."""

from __future__ import annotations

import os
from pathlib import Path

from core.charts.table_file import complete_file
from core.study.leftovers import folder_of_redo, remove_leftovers

DEAD = 999_999_999  # no process has this id


def test_output__written_again_removes_what_killed_writers_left_and_nothing_else(tmp_path: Path) -> None:
    stay = [f".site.zip.{os.getppid()}.tmp", f".other.zip.{DEAD}.tmp", f".a.site.zip.{DEAD}.tmp", "site.zip"]
    for name in (*stay, f".site.zip.{DEAD}.tmp"):
        (tmp_path / name).write_text("x")
    folder = tmp_path / f".site.zip.{DEAD + 1}.tmp"
    folder.mkdir()
    (folder / "index.html").write_text("x")
    with complete_file(tmp_path / "site.zip") as temporary:
        temporary.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)


def test_study__a_redo_that_had_not_begun_leaves_nothing_and_finished_work_stays(tmp_path: Path) -> None:
    empty, begun = (tmp_path / folder_of_redo(step) for step in ("features", "heatmaps"))
    for folder in (empty, begun):
        folder.mkdir()
    (begun / "chunk").touch()
    remove_leftovers(tmp_path)
    assert (empty.exists(), list(begun.iterdir())) == (False, [begun / "chunk"])
