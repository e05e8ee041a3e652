"""Pictures that users bring: what is refused, and that nothing of them stays."""

from __future__ import annotations

import io
import os
import time

import pytest
from PIL import Image

from core import uploads
from core.errors import JobError, UnreadableImage
from core.jobs import Job
from core.progress import write_record


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 30, 40)).save(buffer, kind)
    return buffer.getvalue()


class Study:
    """All that is asked of a study."""

    runs_code = False

    def __init__(self, path):
        self.path = path


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Uploads go to a folder of the test, and jobs are noted instead of started."""
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))
    calls = []

    def start(arguments, *, folder):
        calls.append((list(arguments), folder))
        return Job(folder=folder, command=())

    monkeypatch.setattr(uploads, "start_job", start)
    monkeypatch.setattr(uploads, "_watch", lambda folder: None)
    return calls


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_check_picture__takes_pictures(kind):
    data = encoded(kind)
    assert uploads.check_picture(data[: uploads.HEAD], len(data)) is None  # it raises what it refuses


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC file"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "an HEIC file"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF file"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "an SVG drawing"),
        (b"\xef\xbb\xbf  <SVG>", "an SVG drawing"),
        (b"<!DOCTYPE html><p>", "an HTML page"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04", "an archive"),
        (b"RIFF....WAVE", "not a picture"),
        (b"hello", "not a picture"),
    ],
)
def test_check_picture__refuses_with_one_line(head, said):
    with pytest.raises(UnreadableImage, match=said) as error:
        uploads.check_picture(head, len(head))
    assert "\n" not in str(error.value)


def test_check_picture__size():
    with pytest.raises(UnreadableImage, match="at most 100"):
        uploads.check_picture(b"\xff\xd8\xff", uploads.MOST_BYTES + 1)


def test_start_upload__a_private_folder_and_a_command_that_removes_the_picture(started, tmp_path):
    data = encoded("PNG")
    folder = uploads.start_upload(Study(tmp_path / "s"), data, true="--cat")
    assert (folder / uploads.PICTURE).read_bytes() == data
    for path, mode in ((folder.parent, 0o700), (folder, 0o700), (folder / uploads.PICTURE, 0o600)):
        assert path.stat().st_mode & 0o777 == mode
    ((arguments, where),) = started
    assert where == folder
    assert arguments[:2] == ["decompose", str((tmp_path / "s").resolve())]
    assert "--remove-file" in arguments and "--true=--cat" in arguments


def test_start_upload__refused_before_anything_is_written(started, tmp_path):
    with pytest.raises(UnreadableImage):
        uploads.start_upload(Study(tmp_path), b"<svg>")
    assert not started and not uploads.uploads_folder().exists()


def test_start_upload__a_job_that_cannot_start_leaves_nothing(started, tmp_path, monkeypatch):
    def fail(arguments, *, folder):
        raise JobError("no")

    monkeypatch.setattr(uploads, "start_job", fail)
    with pytest.raises(JobError):
        uploads.start_upload(Study(tmp_path), encoded("PNG"))
    assert list(uploads.uploads_folder().iterdir()) == []


def test_at_once__the_next_waits(started, tmp_path):
    for _ in range(uploads.AT_ONCE):
        folder = uploads.start_upload(Study(tmp_path), encoded("PNG"))
        record = {"state": "running", "pid": os.getpid(), "updated": time.time()}
        write_record(folder / uploads.PROGRESS, record)
    with pytest.raises(JobError, match="try again"):
        uploads.start_upload(Study(tmp_path), encoded("PNG"))
    assert len(list(uploads.uploads_folder().iterdir())) == uploads.AT_ONCE


def test_clean__old_folders_go_and_fresh_ones_stay(started, tmp_path):
    old, fresh = (uploads.start_upload(Study(tmp_path), encoded("PNG")) for _ in range(2))
    ago = time.time() - uploads.STALE - 10
    for path in (old / uploads.PICTURE, old):
        os.utime(path, (ago, ago))
    assert uploads.clean() == 1
    assert not old.exists() and fresh.exists()
    assert uploads.clean(older_than=-1) == 1


def test_discard__only_below_the_uploads_folder(started, tmp_path):
    other = tmp_path / "precious"
    other.mkdir()
    uploads.discard(other)
    assert other.exists()
    folder = uploads.start_upload(Study(tmp_path), encoded("PNG"))
    (folder / uploads.RESULT).write_text('{"features": []}')
    assert uploads.fetch(folder) == {"features": []}
    uploads.discard(folder)
    assert not folder.exists() and uploads.fetch(folder) is None


def test_forget__a_finished_job_that_nobody_fetches_is_removed(started, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "UNFETCHED", 0.0)
    monkeypatch.setattr(uploads.time, "sleep", lambda seconds: None)
    folder = uploads.start_upload(Study(tmp_path), encoded("PNG"))
    write_record(folder / uploads.PROGRESS, {"state": "done", "updated": time.time()})
    uploads._forget(folder)
    assert not folder.exists()


def test_folder_of_somebody_else__is_not_used(started, tmp_path):
    uploads.uploads_folder().mkdir(mode=0o777)
    uploads.uploads_folder().chmod(0o777)
    with pytest.raises(JobError, match="private"):
        uploads.start_upload(Study(tmp_path), encoded("PNG"))
    assert not started
