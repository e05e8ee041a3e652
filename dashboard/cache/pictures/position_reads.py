"""What is at a place of an image in a basis of positions, and where it is elsewhere; read once."""

import pandas as pd
from PIL import ImageDraw

from core.bases.position_index import at_position, grid_of, similar_positions
from core.common.image_files import image_address, image_file
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.reader import cached_read

OUTLINE = "#E5A93B"  # as of the chosen place


def has_places(study: Study) -> bool:
    """Whether the study is read in a basis that was fitted on positions."""
    return study.basis is not None and bool(study.basis.card.get("grid"))


def grid(study: Study) -> tuple[int, int]:
    assert study.basis is not None
    return grid_of(study.basis)


@cached_read(max_entries=64)
def view_of(study: Study, row: int) -> tuple[float, float, float, float]:
    """What the grid covers of an image: left, top, right, bottom as shares of its sides."""
    width, height = study.thumbnail_image(row).size
    left, top, right, bottom = study.transform.box(width, height)
    return left / width, top / height, right / width, bottom / height


@cached_read(max_entries=64)
def latents_at(study: Study, row: int, place: int) -> pd.DataFrame:
    """The latents that are active at a place, strongest first: latent, value."""
    return at_position(served_studies.in_units(study), _basis(study), row, *_centre(study, row, place))


@cached_read(max_entries=64, spinner="Looking for this elsewhere")
def places_like(study: Study, row: int, place: int) -> pd.DataFrame:
    """The most similar positions, one an image: row, place, cosine."""
    return similar_positions(served_studies.in_units(study), _basis(study), row, *_centre(study, row, place))


@cached_read(max_entries=256)
def marked(study: Study, row: int, place: int) -> str:
    """The thumbnail of an image with a place outlined, as an address that holds it."""
    picture = study.thumbnail_image(row).convert("RGB")
    left, top, right, bottom = view_of(study, row)
    rows, columns = grid(study)
    x, y = (right - left) / columns, (bottom - top) / rows
    corner = left + place % columns * x, top + place // columns * y
    sides = [corner[0], corner[1], corner[0] + x, corner[1] + y]
    limits = [picture.width, picture.height] * 2
    pixels = [min(max(side * limit, 0), limit - 1) for side, limit in zip(sides, limits, strict=True)]
    ImageDraw.Draw(picture).rectangle(pixels, outline=OUTLINE, width=max(2, picture.width // 60))
    return image_address(image_file(picture, quality=88))


def _centre(study: Study, row: int, place: int) -> tuple[float, float]:
    left, top, right, bottom = view_of(study, row)
    rows, columns = grid(study)
    across, down = (place % columns + 0.5) / columns, (place // columns + 0.5) / rows
    return left + across * (right - left), top + down * (bottom - top)


def _basis(study: Study):
    assert study.basis is not None
    return study.basis
