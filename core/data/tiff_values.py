"""TIFF files by their tags: those that Pillow reads wrongly or not at all, and the pages of the others."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image

from core.data.picture_limits import check_bytes, check_pixels
from core.data.pixel_values import (
    AS_STATED,
    CHANNELS,
    DROP,
    FOURTH_BAND,
    FURTHER_BANDS,
    PAGES,
    TWO_BANDS,
    FileFacts,
    PixelReading,
    Values,
    as_picture,
    is_transparency,
    note_transparency,
)
from core.errors import UnreadableImage, first_line

NO_DATA, EXTRA, FORMAT, ORIENTATION = 42113, 338, 339, 274  # tags
WHITE_IS_ZERO, GREY, COLOUR = 0, 1, 2  # photometric interpretations that are read here
ALPHA = (1, 2)  # kinds of extra samples
REDUCED, MASK = 1, 4  # bits of the kind of a page: a smaller copy, a mask
MOST_PAGES = 64  # looked at; a stack may have thousands
HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RED_GREEN_BLUE = (("r", "red"), ("g", "green"), ("b", "blue"))
PURE = ("-16776961", "16711935", "65535")  # red, green and blue as OME writes them
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of odd tags is said by the reason


def tiff_picture(
    file: str | Path | BinaryIO, limit: int, reading: PixelReading, facts: FileFacts
) -> tuple[Image.Image, int]:
    """Decode the first page of a TIFF to 8-bit RGB, and say how its EXIF turns it.

    Of one or two bands the first is shown in grey, of three or more the first three in colours; a last band
    that is declared as alpha and looks so is transparency.

    Raises:
        UnreadableImage: another colour space, or a compression that needs a package.
    """
    with _opened(file) as tiff:
        page: Any = tiff.pages[0]
        pages = [page] if not (rgb := _channels_of_ome(tiff)) else rgb
        values = _pixels(pages, limit)
        alpha = _alpha(page, values, facts)
        n_bands = values.shape[2] - (alpha is not None)
        note_bands(n_bands, facts)
        shown = values[..., :3] if n_bands >= 3 else values[..., 0]
        inverted = page.photometric == WHITE_IS_ZERO
        given = Values(shown, nodata=nodata_of(_text(page, NO_DATA)), zero_is_white=inverted)
        picture = as_picture(given, reading, facts).convert("RGB")
        turn: Any = page.tags.get(ORIENTATION)
    if alpha is not None and note_transparency(alpha, facts) and reading.transparency != DROP:
        white = Image.new("RGB", picture.size, (255, 255, 255))
        white.paste(picture, mask=alpha)
        picture = white
    return picture, int(turn.value) if turn is not None else 1


def note_bands(n_bands: int, facts: FileFacts) -> None:
    """Note the bands of a TIFF image that are not shown."""
    if n_bands == 2:
        facts[TWO_BANDS] = ()
    elif n_bands == 4:
        facts[FOURTH_BAND] = ()
    elif n_bands > 4:
        facts[FURTHER_BANDS] = (float(n_bands),)


def pages_of(file: BinaryIO, facts: FileFacts) -> bool:
    """Note the pages of a TIFF image; return True where they are its red, green and blue.

    Smaller copies and masks of a picture are no pages.
    """
    with contextlib.suppress(Exception), _opened(file) as tiff:
        n_pages = sum(_is_page(page) for page, _ in zip(tiff.pages, range(MOST_PAGES), strict=False))
        if n_pages < 2:
            return False
        if _channels_of_ome(tiff):
            facts[CHANNELS] = ()
            return True
        facts[PAGES] = (float(n_pages),)
    return False


def nodata_of(text: str | None) -> float | None:
    """Return the pixel value of a TIFF image that GDAL's tag names as no data.

    >>> nodata_of("-9999"), nodata_of("nan"), nodata_of(None)
    (-9999.0, None, None)
    """
    try:
        value = float(str(text).strip("\0 "))
    except ValueError:
        return None
    return None if np.isnan(value) else value


def is_tiff(head: bytes) -> bool:
    """Return True for the first bytes of a TIFF image."""
    return head.startswith(HEADS)


@contextlib.contextmanager
def _opened(file: str | Path | BinaryIO) -> Iterator[tifffile.TiffFile]:
    if not isinstance(file, (str, Path)):
        file.seek(0)
    with tifffile.TiffFile(file if isinstance(file, io.IOBase) else str(file)) as tiff:
        yield tiff


def _pixels(pages: list[Any], limit: int) -> np.ndarray:
    """Return (H, W, bands); pages of one channel side by side."""
    for page in pages:
        if page.photometric not in (WHITE_IS_ZERO, GREY, COLOUR) or page.dtype is None:
            kind = getattr(page.photometric, "name", page.photometric)
            raise UnreadableImage(f"a TIFF of a colour space or type that is not read ({kind})")
        check_pixels(page.imagewidth, page.imagelength, limit)
        check_pixels(page.tilewidth or 0, page.tilelength or 0, limit)
        check_bytes(page.nbytes)
    try:
        bands = [_bands_last(page, page.asarray(maxworkers=1)) for page in pages]
    except (ValueError, ImportError) as error:
        raise UnreadableImage(_why(pages[0], error)) from None
    return np.concatenate(bands, axis=2) if len(bands) > 1 else bands[0]


def _why(page: Any, error: Exception) -> str:
    if "imagecodecs" in str(error):
        name = getattr(page.compression, "name", page.compression)
        return f"a TIFF compressed as {name}, which needs one more package: pip install imagecodecs"
    return f"corrupt ({first_line(error)[:80]})"


def _bands_last(page: Any, values: np.ndarray) -> np.ndarray:
    if page.axes == "SYX":
        return np.moveaxis(values, 0, 2)
    if page.axes == "YX":
        return values[..., None]
    if page.axes != "YXS":
        raise UnreadableImage(f"a TIFF of the axes {page.axes}, which is no picture")
    return values


def _alpha(page: Any, values: np.ndarray, facts: FileFacts) -> Image.Image | None:
    """Return the last band in 8 bits where it is declared as alpha and is no other quantity."""
    extra: Any = page.tags.get(EXTRA)
    kinds = np.atleast_1d(extra.value) if extra is not None else ()
    if values.shape[2] not in (2, 4) or len(kinds) == 0 or int(kinds[-1]) not in ALPHA:
        return None
    alpha = as_picture(Values(values[..., -1]), AS_STATED, {})
    return alpha if is_transparency(alpha, "TIFF") else None


def _text(page: Any, tag: int) -> str | None:
    value: Any = page.tags.get(tag)
    return None if value is None else str(value.value)


def _is_page(page: Any) -> bool:
    kind = int(getattr(page, "subfiletype", 0) or 0)
    return not kind & (REDUCED | MASK)


def _channels_of_ome(tiff: tifffile.TiffFile) -> list[Any] | None:
    """Return the pages of red, green and blue where a file of OME names its three channels so."""
    if not tiff.is_ome or len(tiff.pages) != 3:
        return None
    text = tiff.ome_metadata or ""
    names = [name.lower() for name in re.findall(r"<Channel\b[^>]*\bName=\"([^\"]*)\"", text)]
    shades = re.findall(r"<Channel\b[^>]*\bColor=\"([^\"]*)\"", text)
    named = len(names) == 3 and all(name in of for name, of in zip(names, RED_GREEN_BLUE, strict=True))
    if not named and tuple(shades) != PURE:
        return None
    pages: list[Any] = list(tiff.pages)
    return pages if len({page.shape for page in pages}) == 1 and pages[0].ndim == 2 else None
