"""Cached reads of one image; the rules are those of `reader.py`."""

from PIL import Image

from core.analysis.predictor import predictor_of_images
from core.common.picture_bytes import image_address, image_file
from core.pictures.look import Look
from core.pictures.of_image import look_at
from core.store import Study
from core.training import preview
from dashboard.cache import heatmap_reads
from dashboard.cache.reader import cached_read

predictor = cached_read(max_entries=8)(predictor_of_images)


@cached_read(max_entries=512)
def look(study: Study, row: int, off: tuple[int, ...] = ()) -> Look:
    """See `look_at`."""
    return look_at(study, predictor(study), row, off=off)


@cached_read(max_entries=4)
def stored_set(study: Study) -> frozenset[int]:
    """The rows of the images whose heatmap is stored."""
    return frozenset(heatmap_reads.stored_rows(study).tolist())


@cached_read(max_entries=32)
def centred(study: Study, row: int) -> Image.Image:
    """The centre of an image at the size of the previews.

    Raises:
        UnreadableImage, StudyError: the picture cannot be read now.
    """
    return preview.centred(study.image(row))


@cached_read(max_entries=128)
def before_augmentation(study: Study, row: int) -> str:
    """An image without augmentation, as an address that holds the picture itself."""
    return _as_address(centred(study, row))


@cached_read(max_entries=256)
def after_augmentation(
    study: Study, row: int, name: str, values: tuple[tuple[str, float], ...], seed: int
) -> str:
    """An image after one augmentation of `preview.previews`, as an address that holds the picture itself."""
    return _as_address(preview.augmented(centred(study, row), name, dict(values), seed=seed))


def _as_address(picture: Image.Image) -> str:
    return image_address(image_file(picture, "PNG"), "png")
