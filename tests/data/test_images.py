from __future__ import annotations

import subprocess
import sys

import pytest

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError
from tests.data.pictures import make_folder


def test_reopen__unknown_kind():
    with pytest.raises(ImageSourceError, match="'hologram'"):
        reopen_images({"kind": "hologram"})


def test_open__a_command():
    with pytest.raises(ImageSourceError, match="command"):
        open_images("pipe:cat x.tar")


def test_open__home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_folder(tmp_path / "pets", ["a/1.png"])
    assert len(open_images("~/pets")) == 1


def test_open__relative_folder_is_reopened_from_anywhere(tmp_path, monkeypatch):
    make_folder(tmp_path / "pets", ["a/1.png"])
    monkeypatch.chdir(tmp_path)
    description = open_images("pets").describe()
    monkeypatch.chdir("/")
    assert reopen_images(description).read_id("a/1.png").mode == "RGB"


def test_open__brackets_in_a_folder_name_are_no_pattern(tmp_path):
    assert open_images(make_folder(tmp_path / "pets [2024] {old}", ["a/1.png"])).kind == "folder"


def test_glyphworld__delegated_and_reopened():
    source = open_images("glyphworld?train=6&val=2&seed=3")
    again = reopen_images(source.describe())
    assert source.kind == "glyphworld" and len(source.table) == 8
    assert again.fingerprint() == source.fingerprint()
    assert again.read(7).tobytes() == source.read_id(source.table["image_id"].iloc[7]).tobytes()


@pytest.mark.slow
def test_sources__load_neither_torch_nor_what_reads_addresses(tmp_path):
    make_folder(tmp_path, ["a/1.png", "a/2.png"])
    code = (
        "import sys; from core.data.images import open_images; "
        f"open_images({str(tmp_path)!r}).read(0); "
        "print(*{'torch', 'fsspec', 'aiohttp'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []
