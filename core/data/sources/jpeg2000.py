"""JPEG 2000 that Pillow reads wrongly: in colours of more than 8 bits it turns white to black."""

import importlib
import struct
from typing import Any

import numpy as np
from PIL import Image

from core.data.sources.decoder_work import CODESTREAM, PIECE
from core.data.sources.deep_values import Values, as_picture
from core.data.sources.pixel_facts import FileFacts
from core.data.sources.pixel_reading import PixelReading
from core.data.sources.tiff_values import note_bands
from core.errors import UnreadableImage

ENUMERATED, GREY = 1, (17).to_bytes(4)  # ways to state a colour space; one of them
COMPONENTS = 40  # bytes from the begin of the code to the number of components; three a component follow


def load_jpeg2000(image: Image.Image, reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Decode an opened JPEG 2000: by Pillow, but not colours of more than 8 bits, or three or more bands
    that the file calls grey, which Pillow does not read.

    Raises:
        UnreadableImage: the package for these is missing. OSError: of Pillow.
    """
    depths, is_grey = _stated(image)
    if len(depths) > 1 and (max(depths) > 8 or (is_grey and len(depths) > 2)):
        return _by_codec(image, depths, reading, facts)
    image.load()
    return image


def _stated(image: Image.Image) -> tuple[list[int], bool]:
    """Return the bits of each band, and whether the colour space is stated as grey."""
    file: Any = vars(image)["fp"]
    at = file.tell()
    file.seek(0)
    head = file.read(PIECE)
    file.seek(at)
    colours = head.find(b"colr") + 4
    is_grey = colours >= 4 and head[colours] == ENUMERATED and head[colours + 3 : colours + 7] == GREY
    offset = head.find(CODESTREAM) + COMPONENTS
    if offset < COMPONENTS or offset + 2 > len(head):
        return [], False
    (n,) = struct.unpack_from(">H", head, offset)
    return [(depth & 127) + 1 for depth in head[offset + 2 : offset + 2 + 3 * n : 3]], is_grey


def _by_codec(image: Image.Image, depths: list[int], reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Decode bands 1 to 3 to 8-bit RGB, their declared range from black to white."""
    bits, what = max(depths), f"JPEG 2000 of {len(depths)} bands and {max(depths)} bits"
    try:
        codecs: Any = importlib.import_module("imagecodecs")
    except ImportError:
        raise UnreadableImage(f"{what}, which needs one more package: pip install imagecodecs") from None
    file: Any = vars(image)["fp"]
    file.seek(0)
    values: Any = codecs.jpeg2k_decode(file.read())
    if values.ndim != 3 or values.shape[2] < 3 or values.dtype not in (np.uint8, np.uint16):
        raise UnreadableImage(f"{what} that is no picture in red, green and blue")
    note_bands(len(depths), facts)
    if values.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(values[..., :3]))
    return as_picture(Values(values[..., :3] << (16 - bits)), reading, facts).convert("RGB")
