"""Ask no more of a decoder than is needed: no endless work, and fewer pixels for a smaller picture."""

import os
import struct
from typing import Any, BinaryIO

from PIL import Image

from core.data.sources.pixel_limit import too_large
from core.errors import UnreadableImage

SCALES = (8, 4, 2)  # factors by which libjpeg and OpenJPEG can downscale while decoding
PASSES = 30  # over the largest allowed picture; progressive JPEGs have 10, their best optimisers 20
SCAN, LEAST_SCAN = b"\xff\xda", 12  # begins a scan of a JPEG; bytes of the shortest
PIECE = 1 << 20  # bytes
CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000 begins so, in a box or not
CODING, TILES = 0xFF52, 0xFF90  # its segments: how tiles are coded; the first tile


def check_work(image: Image.Image, limit: int) -> None:
    """Refuse a picture whose few pixels ask for endless work, by its header and the length of its file.

    A JPEG may have any number of scans, each of which goes over all pixels; a JPEG 2000 as many bytes as it
    likes, each of which takes long.

    Args:
        image: opened, its pixels not yet decoded. limit: the most pixels of an image.
    Raises:
        UnreadableImage: with the reason.
    """
    file: Any = getattr(image, "fp", None)
    if file is None or image.format not in ("JPEG", "MPO", "JPEG2000"):
        return
    at = file.tell()
    file.seek(0, os.SEEK_END)
    n_bytes = file.tell()
    most = PASSES * limit // max(image.width * image.height, 1)
    try:
        if image.format == "JPEG2000" and n_bytes > limit:
            raise too_large(f"{n_bytes / 1e6:,.0f} MB of JPEG 2000", limit)
        if image.format != "JPEG2000" and n_bytes // LEAST_SCAN > most and (n := _scans(file)) > most:
            raise UnreadableImage(f"too much work: {n:,} scans of {image.width} x {image.height} pixels")
    finally:
        file.seek(at)


def decode_smaller(image: Image.Image, side: int) -> None:
    """Make a JPEG or JPEG 2000 downscale while decoding, its longer side no shorter than `side`."""
    scale = next((scale for scale in SCALES if max(image.size) // scale >= side), 1)
    if scale == 1:
        return
    if image.format != "JPEG2000":  # of other formats but JPEG this changes nothing
        image.draft(None, (image.width // scale, image.height // scale))  # pyright: ignore
        return
    even = all(length % scale == 0 for length in image.size)  # else Pillow and OpenJPEG may round differently
    if even and 2 ** _levels(image) >= scale:
        image.reduce = scale.bit_length() - 1  # pyright: ignore[reportAttributeAccessIssue]


def _scans(file: BinaryIO) -> int:
    """Count the marks of scans: in coded data a byte of 255 is followed by another one."""
    file.seek(0)
    n, last = 0, b""
    while piece := file.read(PIECE):
        n += (last + piece).count(SCAN)
        last = piece[-1:]
    return n


def jpeg_precision(head: bytes) -> int:
    """Return the bits a channel that the first bytes of a JPEG state; 0 where they do not, or are of none."""
    offset = 2
    while head.startswith(b"\xff\xd8") and offset + 5 <= len(head) and head[offset] == 0xFF:
        mark, length = head[offset + 1], int.from_bytes(head[offset + 2 : offset + 4])
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            return head[offset + 4]
        offset += 2 + max(length, 2)
    return 0


def _levels(image: Image.Image) -> int:
    """Return how often a JPEG 2000 can be halved while decoding; 0 where its header does not say so."""
    file: Any = vars(image)["fp"]
    at = file.tell()
    file.seek(0)
    head = file.read(PIECE)
    file.seek(at)
    offset = head.find(CODESTREAM) + 2
    while offset >= 2 and offset + 10 <= len(head):
        mark, length = struct.unpack_from(">HH", head, offset)
        if mark == CODING:
            return head[offset + 9]
        if mark == TILES or length < 2:
            return 0
        offset += 2 + length
    return 0
