"""Embed a text or a picture at once, by a CLIP that stays loaded (`core/jobs/resident.py`). No torch."""

from typing import Any

import numpy as np

from core.errors import ClipError
from core.jobs import resident
from core.jobs.uploads import HEAD, check_picture

KIND = "clip"
LONGEST_TEXT = 1000  # characters
WIDEST = 1 << 14  # entries of a vector


def embed_text(clip: str, text: str) -> np.ndarray:
    """(width,) float32 unit vector of a text; waits until the CLIP is loaded.

    Raises:
        ClipError: one line with what is wrong.
    """
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise ClipError(f"a text to search for has 1 to {LONGEST_TEXT:,} characters; got {len(text):,}")
    return _asked(clip, {"text": text})[0]


def embed_picture(clip: str, picture: bytes) -> tuple[np.ndarray, bytes]:
    """Embed an encoded picture, which is written nowhere; with it, the picture as a small JPEG.

    Raises:
        ClipError: one line with what is wrong. UnreadableImage: not a picture of an accepted format.
    """
    check_picture(picture[:HEAD], len(picture))
    return _asked(clip, {}, picture)


def _asked(clip: str, request: dict[str, Any], data: bytes = b"") -> tuple[np.ndarray, bytes]:
    arrays = resident.ask(KIND, clip, request, data).get("arrays", {})
    vector = arrays.get("vector", np.empty(0, np.float32))
    if not 0 < vector.size <= WIDEST or vector.ndim != 1 or not np.isfinite(vector).all():
        raise ClipError("CLIP gave no sensible vector")
    return vector.astype(np.float32), arrays.get("preview", np.empty(0, np.uint8)).tobytes()
