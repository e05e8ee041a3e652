"""Paths of a study that lead out of its folder, and files that are replaced."""

from pathlib import Path

import pytest

from core.common.inside import replacing
from core.errors import StudyError
from core.study.inside import inside, is_inside


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    (folder / "array").mkdir(parents=True)
    (folder / "array" / "00000.npy").write_bytes(b"")
    (tmp_path / "secret").write_text("not yours")
    return folder


@pytest.mark.parametrize("relative", ["manifest.json", "array/00000.npy", "array/not_yet", "a/../b", "."])
def test_inside__returns_what_lies_in_the_folder(study, relative):
    assert inside(study, relative) == study / relative


@pytest.mark.parametrize("relative", ["../secret", "..", "array/../../secret", "/etc/passwd", "../study2/x"])
def test_inside__refuses_a_name_that_leaves(study, relative):
    with pytest.raises(StudyError, match="outside"):
        inside(study, relative)


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_inside__refuses_a_name_that_no_file_can_have(study, name):
    with pytest.raises(StudyError, match="valid"):
        inside(study, name)


def test_inside__refuses_links_out_and_takes_links_within(study):
    (study / "out").symlink_to(study.parent / "secret")
    (study / "folder_out").symlink_to(study.parent)
    (study / "dangling").symlink_to(study.parent / "not_there")
    (study / "within").symlink_to(study / "array" / "00000.npy")
    assert is_inside(study, "within") and is_inside(study, "array/00000.npy")
    for relative in ("out", "folder_out/secret", "folder_out", "dangling"):
        assert not is_inside(study, relative), relative


def test_inside__the_study_folder_itself_may_be_a_link(study, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").symlink_to(study, target_is_directory=True)
    assert is_inside(tmp_path / "elsewhere", "array/00000.npy")
    assert not is_inside(tmp_path / "elsewhere", "../secret")
    monkeypatch.chdir(study)
    assert is_inside(".", "array/00000.npy") and not is_inside(".", "../secret")


def test_inside__a_link_that_goes_round_is_refused_or_harmless(study):
    (study / "loop").symlink_to(study / "loop")
    assert inside(study, "loop") == study / "loop"  # reading it is an OSError like that of any lost file


def test_replacing__a_removal_that_fails_is_no_failure_of_what_was_written(tmp_path, monkeypatch):
    def fails(path: Path, **options: bool) -> None:
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "unlink", fails)
    with replacing(tmp_path / "notes") as temporary:
        temporary.write_text("kept")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "notes"):
        raise ZeroDivisionError
