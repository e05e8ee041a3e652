"""Pictures that users bring: what is refused, and that nothing of them stays."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from core.errors import JobError, UnreadableImage
from core.study import uploads
from core.study.jobs import read_report
from core.study.progress import write_record


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 30, 40)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Uploads go to a folder of the test."""
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))


def kept() -> Path:
    return uploads.new_folder()


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
    with pytest.raises(UnreadableImage, match="100"):
        uploads.check_picture(b"\xff\xd8\xff", uploads.MOST_BYTES + 1)


def test_at_once__the_next_waits(tmp_path):
    for _ in range(uploads.AT_ONCE):
        folder = kept()
        record = {"state": "running", "pid": os.getpid(), "updated": time.time()}
        write_record(folder / uploads.PROGRESS, record)
    with pytest.raises(JobError, match="try again"):
        kept()
    assert len(list(uploads.uploads_folder().iterdir())) == uploads.AT_ONCE


def test_clean__old_folders_go_and_fresh_ones_stay(tmp_path):
    old, fresh = (kept() for _ in range(2))
    ago = time.time() - uploads.STALE - 10
    for path in (old,):
        os.utime(path, (ago, ago))
    assert uploads.clean() == 1
    assert not old.exists() and fresh.exists()
    assert uploads.clean(older_than=-1) == 1


def test_discard__only_below_the_uploads_folder(tmp_path):
    other = tmp_path / "precious"
    other.mkdir()
    uploads.discard(other)
    assert other.exists()
    folder = kept()
    (folder / uploads.RESULT).write_text('{"features": []}')
    assert read_report(folder) == {"features": []}
    uploads.discard(folder)
    assert not folder.exists() and read_report(folder) is None


def test_forget__a_finished_job_that_nobody_fetches_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "UNFETCHED", 0.0)
    monkeypatch.setattr(uploads.time, "sleep", lambda seconds: None)
    folder = kept()
    write_record(folder / uploads.PROGRESS, {"state": "done", "updated": time.time()})
    uploads.wait_for_page(folder)
    assert not folder.exists()


def test_folder_of_somebody_else__is_not_used(tmp_path):
    uploads.uploads_folder().mkdir(mode=0o777)
    uploads.uploads_folder().chmod(0o777)
    with pytest.raises(JobError, match="private"):
        kept()
