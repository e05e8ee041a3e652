"""Images that are dropped: what is written where, and what is left out."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from core.errors import SettingsError
from core.study.commands import Analyze
from dashboard.jobs import allowed_paths, dropped_images
from dashboard.jobs.trust import trust


def picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "studies"


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folder__keeps_its_classes_and_may_then_be_chosen(studies):
    with pytest.raises(SettingsError, match="not below a folder that may be chosen"):
        allowed_paths.allowed(str(studies / "dropped" / "pets"))
    files = [("pets/cat/1.png", picture()), ("pets/dog/1.png", picture("blue"))]
    kept = dropped_images.keep(files)
    assert kept.folder == studies / "dropped" / "pets" and not kept.refused
    assert written(kept.folder) == ["cat/1.png", "dog/1.png"]
    assert (kept.folder / "dog" / "1.png").read_bytes() == files[1][1]
    path = allowed_paths.allowed(allowed_paths.short(kept.folder), folder=True)
    command = Analyze.of(studies / "mine", images=str(path), encoder="asset:efficientnet_lite0")
    assert path == kept.folder and trust(command) is None


def test_captions__are_the_texts_of_the_name_of_a_picture(studies):
    files = [("pets/1.png", picture()), ("pets/1.txt", b"a cat"), ("pets/notes.txt", b"buy milk")]
    kept = dropped_images.keep(files)
    assert written(kept.folder) == ["1.png", "1.txt"] and kept.n == 1
    assert kept.refused == {"pets/notes.txt": "no picture has its name"}
    assert kept.text.startswith("1 picture and 1 caption are in ")
    with pytest.raises(SettingsError, match="no picture is among what was dropped: no picture has its name"):
        dropped_images.keep(files[1:])


def test_second_drop_of_the_same_name__is_another_folder(studies):
    first = dropped_images.keep([("pets/cat/1.png", picture())])
    second = dropped_images.keep([("pets/cat/1.png", picture("blue"))])
    assert second.folder.name == "pets-2" and written(first.folder) == ["cat/1.png"]


@pytest.mark.parametrize(
    ("dropped", "kept"),
    [
        (["mine/core/1.png", "mine/spurious/1.png", "mine/1.png"], ["core/1.png", "spurious/1.png"]),
        (["Core/owl/1.png"], ["core/owl/1.png"]),
        (["mine/owl/1.png", "mine/2.png"], ["core/mine/2.png", "core/mine/owl/1.png"]),
    ],
)
def test_masks__lie_below_core_and_spurious(dropped, kept):
    folder = dropped_images.keep_masks([(name, picture()) for name in dropped]).folder
    assert folder.name == "masks" and written(folder) == kept


def test_loose_pictures__of_one_name_are_both_kept():
    kept = dropped_images.keep([("a.png", picture()), ("a.png", picture("blue"))])
    assert written(kept.folder) == ["a-2.png", "a.png"] and kept.folder.name == "pictures"


@pytest.mark.parametrize(
    "name",
    [
        "../up.png",
        "pets/../../up.png",
        "/etc/up.png",
        "pets/.hidden/1.png",
        ".png",
        "c\0.png",
        "..\\up.png",
        "pets/manifest.json",
        "a/" * 9 + "1.png",
        "x" * 200 + ".png",
    ],
)
def test_odd_name__is_left_out_and_nothing_is_written_outside(name, studies):
    kept = dropped_images.keep([("pets/good.png", picture()), (name, picture())])
    assert len(kept.refused) == 1 and kept.n == 1
    assert written(studies.parent) == [f"studies/dropped/pets/{written(kept.folder)[0]}"]


def test_what_is_no_picture_by_its_content__is_left_out():
    kept = dropped_images.keep([("1.png", picture()), ("2.png", b"%PDF-1.4"), ("3.jpg", b"")])
    assert written(kept.folder) == ["1.png"]
    assert "2 files were left out, such as 2.png" in kept.text


def test_nothing_of_use__writes_nothing(studies, monkeypatch):
    with pytest.raises(SettingsError, match="HTML page"):
        dropped_images.keep([("1.png", b"<html></html>")])
    monkeypatch.setattr(dropped_images, "MOST_FILES", 1)
    with pytest.raises(SettingsError, match="2 files .* the limit is 1 files"):
        dropped_images.keep([("1.png", picture()), ("2.png", picture())])
    assert not studies.exists()


def test_study_that_lies_there__is_not_written_into(studies):
    (studies / "dropped").mkdir(parents=True)
    (studies / "dropped" / "manifest.json").write_text("{}")
    with pytest.raises(SettingsError, match="is a study"):
        dropped_images.keep([("1.png", picture())])


def test_keep__many_files_of_one_name_are_numbered_once_each(monkeypatch):
    """As where the files of many folders are chosen: each is given one further name."""
    asked: list[str] = []
    with_stem = PurePosixPath.with_stem
    monkeypatch.setattr(
        PurePosixPath, "with_stem", lambda path, stem: asked.append(stem) or with_stem(path, stem)
    )
    kept = dropped_images.keep([("a.png", picture())] * 60)
    assert kept.n == len(list(kept.folder.iterdir())) == 60 and len(asked) == 59


@pytest.mark.parametrize(("top", "name"), [("~", "pictures"), ("~root", "root"), ("\u202egpj", "gpj")])
def test_folder__is_called_nothing_that_is_read_otherwise(top, name, studies):
    assert dropped_images.keep([(f"{top}/1.png", picture())]).folder == studies / "dropped" / name


def test_drop_that_fails_or_was_killed__leaves_nothing(studies, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(SettingsError, match="No space left"):
        patch.setattr(Path, "write_bytes", full)
        dropped_images.keep([("birds/1.png", picture())])
    assert not (studies / "dropped").exists()
    killed = studies / "dropped" / ".drop-ab.999999999.tmp"
    running = killed.with_name(f".drop-ab.{os.getppid()}.tmp")
    for folder in (killed, running):
        folder.mkdir(parents=True)
    assert dropped_images.keep([("birds/1.png", picture())]).folder.is_dir()
    assert not killed.exists() and running.exists()
