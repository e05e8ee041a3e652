"""Thumbnails: small JPEGs packed in the study, so that a gallery never reads the originals."""

from __future__ import annotations

import io

from PIL import Image


def thumbnail_jpeg(image: Image.Image, size: int) -> bytes:
    """Encode `image` as JPEG with its longer side at most `size` pixels; smaller images keep their size."""
    small = image.copy() if max(image.size) <= size else image
    small.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88, subsampling=0)
    return buffer.getvalue()
