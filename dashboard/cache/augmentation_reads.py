"""Cached pictures of augmentations on an image of a study; the rules are those of `reader.py`."""

from __future__ import annotations

import base64
import io

from PIL import Image

from core.store import Study
from core.training.augmentations import preview
from dashboard.cache.reader import cached_read

Values = tuple[tuple[str, float], ...]


@cached_read(max_entries=32)
def centred(study: Study, row: int) -> Image.Image:
    """The centre of an image at the size of the previews.

    Raises:
        UnreadableImage, StudyError: the picture cannot be read now.
    """
    return preview.centred(study.image(row))


@cached_read(max_entries=128)
def before(study: Study, row: int) -> str:
    """An image without augmentation, as an address that holds the picture itself."""
    return _address(centred(study, row))


@cached_read(max_entries=256)
def after(study: Study, row: int, name: str, values: Values, seed: int) -> str:
    """An image after one augmentation of `preview.PREVIEWS`, as an address that holds the picture itself."""
    return _address(preview.augmented(centred(study, row), name, dict(values), seed=seed))


def _address(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
