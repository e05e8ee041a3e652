"""Which files of a list are there: the same as asking for each, whatever folders and names look like."""

from __future__ import annotations

import os

import numpy as np
import pytest

from core.common.arrow_tables import as_texts
from core.data import listed_files
from core.data.images import open_images
from core.data.listed_files import missing_files

N_FILES = 6


@pytest.fixture
def folder(tmp_path):
    for inner in ("a", "a/b", "ü"):
        (tmp_path / inner).mkdir()
        for number in range(N_FILES):
            (tmp_path / inner / f"{number}.png").touch()
    (tmp_path / "alone.png").touch()
    (tmp_path / "a" / "broken.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    return tmp_path


@pytest.mark.parametrize("few", [0, 3, 100])
def test_missing__is_what_asking_for_each_says(folder, monkeypatch, few):
    monkeypatch.setattr(listed_files, "FEW", few)
    paths = [f"{inner}/{number}.png" for inner in ("a", "a/b", "ü", "gone", "linked") for number in range(9)]
    paths += ["alone.png", "no.png", "a/../alone.png", "a/broken.png", "a/", "a/.", "", "~x/y.png", "a:b.png"]
    paths += [str(folder / "a" / "0.png"), str(folder / "a" / "none.png"), "a\0b.png", "./alone.png"]
    paths = np.random.default_rng(0).permutation(paths).tolist()
    missing = missing_files(as_texts(paths), lambda path: os.path.join(folder, path))
    assert missing.tolist() == ["\0" in path or not os.path.exists(folder / path) for path in paths]


def test_missing__lists_a_folder_once_and_asks_for_few_files(folder, monkeypatch):
    asked, listed = [], []
    exists, scandir = os.path.exists, os.scandir
    monkeypatch.setattr(listed_files, "FEW", 2)
    monkeypatch.setattr(os.path, "exists", lambda path: asked.append(path) or exists(path))
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    paths = [f"{inner}/{number}.png" for number in range(40) for inner in ("a", "ü")]
    missing = missing_files(as_texts(paths), lambda path: os.path.join(folder, path))
    assert missing.sum() == 2 * (40 - N_FILES)
    assert sorted(listed) == [str(folder / "a"), str(folder / "ü")]
    assert (
        len(asked) == 1 + 2 * listed_files.FEW
    )  # the link, and two files of each folder that are not listed


def test_missing__where_a_system_knows_names_that_it_does_not_list(folder, monkeypatch):
    """As a disk that ignores case: what a listing lacks is asked for."""
    exists = os.path.exists
    monkeypatch.setattr(listed_files, "FEW", 2)
    monkeypatch.setattr(os.path, "exists", lambda path: exists(path.replace("PNG", "png")))
    paths = [f"a/{number}.PNG" for number in range(9)]
    missing = missing_files(as_texts(paths), lambda path: os.path.join(folder, path))
    assert np.flatnonzero(missing).tolist() == list(range(N_FILES, 9))


def test_table__of_windows_paths_of_which_one_is_a_name(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/1.png", "a\\2.png"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("path,label\na\\1.png,x\na\\2.png,y\n")
    assert open_images(tmp_path / "t.csv").table["path"].tolist() == ["a/1.png", "a\\2.png"]
