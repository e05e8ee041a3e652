"""Pictures as the bytes of a file and as addresses that hold such a file."""

import base64
import io
from typing import Any

from PIL import Image


def image_file(picture: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """Return any picture as a file's bytes. `form` and options, such as a JPEG's quality, are Pillow's."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def image_address(content: bytes, kind: str = "jpeg") -> str:
    """Return an address (a data URI) that holds a picture; `kind` is jpeg, png or svg+xml."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
