"""Thumbnails of the images of a study: JPEG bytes, one after the other, in the array `thumbnails`."""

import numpy as np
from PIL import Image

from core.common.command_line import command_line
from core.data.sources.decode import decode
from core.errors import StudyError, UnreadableImage
from core.storage.readable import ReadableStudy


def thumbnail_bytes(study: ReadableStudy, row: int) -> bytes:
    """Return one image's thumbnail as JPEG bytes; StudyError for an unknown row or a missing thumbnail."""
    sizes = study.array("thumbnail_sizes")
    if not 0 <= row < len(sizes):
        raise StudyError(f"no image in row {row} of '{study.path}' ({len(sizes)} images)")
    chunk = int(np.searchsorted(sizes.starts, row, side="right")) - 1
    here = row - sizes.chunk_start(chunk)
    ends = np.cumsum(sizes.chunk(chunk), dtype=np.int64)
    start, end = int(ends[here - 1]) if here else 0, int(ends[here])
    if end == start:
        raise StudyError(f"the image in row {row} of '{study.path}' has no thumbnail")
    pictures = study.array("thumbnails")
    if not 0 <= start < end or ends[-1] != np.diff(pictures.starts)[chunk]:
        raise sizes.damage("thumbnail_sizes do not match the thumbnails")
    return pictures.part(chunk, slice(start, end)).tobytes()


def thumbnail_picture(study: ReadableStudy, row: int) -> Image.Image:
    """Return the thumbnail of one image, as an image."""
    try:
        return decode(thumbnail_bytes(study, row))
    except UnreadableImage as error:
        remedy = f"Run: {command_line('embed', study.path, redo=True)}"
        raise StudyError(f"the thumbnail of row {row} of '{study.path}' is damaged. {remedy}") from error
