"""What an uploaded picture may be, and the private folders of jobs that look at one image. No torch.

Of such a job only the result outlives it, and only until it is fetched; abandoned folders are deleted.
"""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from core.common.assets import make_private
from core.errors import JobError, UnreadableImage
from core.study.jobs import read_job
from core.study.progress import PROGRESS, RESULT
from core.study.runner import forget
from core.study.write_access import check_write_access

EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
MOST_BYTES = 100_000_000
AT_ONCE = 2  # each job holds an encoder and a picture in memory
STALE = 1800.0  # seconds after which a folder that no job writes to is removed
UNFETCHED = 120.0  # seconds that a finished result waits for its page

ACCEPTED = "use a JPEG, PNG, WebP, GIF, BMP or TIFF file"
KNOWN = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
OTHERS = (
    ("a PDF document", (b"%PDF",)),
    ("a Photoshop file", (b"8BPS",)),
    ("an archive", (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")),
)
HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
HEAD = 1024


def check_picture(head: bytes, n_bytes: int) -> None:
    """Refuse an uploaded file that is not in an accepted image format, judged by its content.

    Args:
        head: the first kilobyte. n_bytes: of the whole file.
    Raises:
        UnreadableImage: one line with the reason and what to do.
    """
    if not n_bytes:
        raise UnreadableImage("the file is empty (zero bytes)")
    if n_bytes > MOST_BYTES:
        raise UnreadableImage(
            f"the file has {n_bytes / 1e6:,.0f} MB; the limit is {MOST_BYTES / 1e6:,.0f} MB"
        )
    check_format(head)


def check_format(head: bytes) -> None:
    """Raise UnreadableImage unless an upload's first bytes belong to an accepted image format."""
    if not head.startswith(KNOWN) and not (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        raise UnreadableImage(f"this is {_kind(head)}; {ACCEPTED}")


def _kind(head: bytes) -> str:
    if head[4:8] == b"ftyp" and head[8:12] in HEIF:
        return "an AVIF file" if head[8:11] == b"avi" else "an HEIC file"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing, not a pixel image"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "an HTML page, not a picture"
    return next((what for what, starts in OTHERS if head.startswith(starts)), "not a picture")


def new_folder() -> Path:
    """Make a private folder for the job of one uploaded image.

    Raises:
        JobError: too many images are being processed, or the folder cannot be written.
    """
    check_write_access()
    clean()
    running = [job for folder in _folders() if (job := read_job(folder)) and job.running]
    if len(running) >= AT_ONCE:
        raise JobError(f"{len(running)} images are being processed already; try again in a moment")
    root = make_private(uploads_folder())
    try:
        return Path(tempfile.mkdtemp(dir=root))
    except OSError as error:
        raise JobError(f"cannot write to '{root}': {error.strerror or error}") from error


def discard(folder: Path) -> None:
    """Delete the folder of an uploaded image with its content; any other folder is left alone."""
    if folder.parent == uploads_folder():
        forget(folder)
        shutil.rmtree(folder, ignore_errors=True)


def clean(*, older_than: float = STALE) -> int:
    """Delete upload folders without a write for `older_than` seconds, and return how many there were."""
    now, removed = time.time(), 0
    for folder in _folders():
        job = read_job(folder)
        if now - _touched(folder) > older_than and not (job and job.running):
            discard(folder)
            removed += not folder.exists()
    return removed


def wait_for_page(folder: Path) -> None:
    """Delete an upload folder some time after its job has ended, in case its page was closed."""
    ended: float | None = None
    while folder.exists() and (ended is None or time.monotonic() - ended < UNFETCHED):
        job = read_job(folder)
        if ended is None and (job is None or not job.running):
            ended = time.monotonic()
        time.sleep(1.0)
    discard(folder)


def uploads_folder() -> Path:
    """Return this user's parent directory for upload folders, inside the system's temporary folder."""
    return Path(tempfile.gettempdir()).resolve() / f"peregrine-uploads-{os.getuid()}"


def _folders() -> list[Path]:
    try:
        return [
            Path(entry.path) for entry in os.scandir(uploads_folder()) if entry.is_dir(follow_symlinks=False)
        ]
    except OSError:
        return []


def _touched(folder: Path) -> float:
    """Return the time of the last write to anything in the folder."""
    times = [0.0]
    for path in (folder, folder / PROGRESS, folder / RESULT):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)
