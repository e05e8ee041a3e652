"""One picture file into upright 8-bit RGB pixels, by the same rules for every format (docs/method.md 1.5)."""

import contextlib
import errno
import importlib
import io
import logging
import os
import struct
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.common.addresses import is_url
from core.common.picture_bytes import image_file
from core.common.remote_objects import read_object, stat
from core.data.picture_limits import (
    TURNS,
    check_bytes,
    check_pixels,
    let_pillow_open,
    longest_side,
    max_pixels,
    of_pillow,
    too_large,
)
from core.data.pixel_values import (
    AS_STATED,
    DROP,
    FOURTH_BAND,
    TURNED,
    TWO_BANDS,
    FileFacts,
    PixelReading,
    Values,
    as_picture,
    is_empty,
    is_transparency,
    note_transparency,
)
from core.data.tiff_values import (
    NO_DATA,
    WHITE_IS_ZERO,
    is_tiff,
    nodata_of,
    note_bands,
    pages_of,
    tiff_picture,
)
from core.errors import AddressRefused, UnreadableImage, first_line

# Ask no more of a decoder than is needed: no endless work, and fewer pixels for a smaller picture.


SCALES = (8, 4, 2)  # factors by which libjpeg and OpenJPEG can downscale while decoding
PASSES = 30  # over the largest allowed picture; progressive JPEGs have 10, their best optimisers 20
SCAN, LEAST_SCAN = b"\xff\xda", 12  # begins a scan of a JPEG; bytes of the shortest
PIECE = 1 << 20  # bytes
CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000 begins so, in a box or not
CODING, TILES = 0xFF52, 0xFF90  # its segments: how tiles are coded; the first tile


def _check_work(image: Image.Image, limit: int) -> None:
    """Refuse an image file whose few pixels ask for endless work to decode, by its header and length.

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


def _decode_smaller(image: Image.Image, side: int) -> None:
    """Make a JPEG or JPEG 2000 image downscale while decoding, its longer side at least `side`."""
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


def _jpeg_precision(head: bytes) -> int:
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


# JPEG 2000 that Pillow reads wrongly: in colours of more than 8 bits it turns white to black.


ENUMERATED, GREY = 1, (17).to_bytes(4)  # ways to state a colour space; one of them
COMPONENTS = 40  # bytes from the begin of the code to the number of components; three a component follow


def _load_jpeg2000(image: Image.Image, reading: PixelReading, facts: FileFacts) -> Image.Image:
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


# One picture file into upright 8-bit RGB pixels, by the same rules for every format (docs/method.md 1.5).


# Formats that an image source lists. Pillow detects fifty more by content, and starts Ghostscript for one.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
CLIP_SIDE = 2048  # longer side of images for CLIP; crops of them still have more pixels than it reads
TILE_WIDTH, TILE_LENGTH = 322, 323  # TIFF tags
BITS, COMPRESSION, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 259, 262, 284, 339
SEPARATE = 2  # planes: one after the other
UNKNOWN_TO_PILLOW = (34887, 34712, 50001, 50002, 52546)  # LERC, JPEG 2000, WebP, JPEG XL
UNSIGNED, SIGNED = 1, 2  # formats of samples
ORIENTATION = 0x0112  # the EXIF tag
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
HTML = (b"<!doctype html", b"<html")
CUT_SHORT = ("truncated", "not enough", "unexpected end")  # in Pillow's messages on truncated files
MOMENTARY = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN)
PAUSES = (0.1, 1.0)  # seconds
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)  # else it prints what it cannot read


def decode(source: bytes | str | Path | BinaryIO, reading: PixelReading = AS_STATED) -> Image.Image:
    """Decode an image to RGB: upright, 8 bits per channel, transparency on white, first frame of an
    animation.

    An image of more than `max_pixels()` pixels is refused from its header, before any pixel is decoded. The
    size in the file counts: a progressive JPEG is held in full even when it is downscaled while decoding.

    Args:
        source: encoded bytes, a path, an address (s3://…), or a binary file.
        reading: what a user says of the pixels.
    Returns:
        A loaded RGB image, as large as in the file or as `decoder_work.wanted` says; `info["original_size"]`
        is the upright (width, height) in the file, `info["facts"]` what was found in the pixels
        (`file_facts`), `info["turn"]` its EXIF orientation.
    Raises:
        UnreadableImage: with a short reason such as "truncated" or "not an image". DecoderBusy: no turn.
        RemoteError: no server answers.
    """
    if isinstance(source, str) and is_url(source):
        source = _by_address(source)
    if isinstance(source, str | Path) and _would_be_waited_for(source):
        raise UnreadableImage("not a file")
    limit = max_pixels()
    let_pillow_open(limit)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            return _decode_patiently(file, limit, reading)
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise of_pillow(error, limit) from None
    except MemoryError:
        raise UnreadableImage("too large for this machine's memory") from None
    except Exception as error:  # Pillow's plugins may raise any kind of error
        raise UnreadableImage(_reason(error, source)) from error


def _by_address(url: str) -> bytes:
    """Fetch a picture. RemoteError stays: a server that does not answer says nothing about the picture."""
    try:
        check_bytes(stat(url).size)
        return read_object(url)
    except AddressRefused as error:
        raise UnreadableImage(str(error)) from None
    except OSError as error:
        raise UnreadableImage(_reason(error, b"")) from None


def _would_be_waited_for(path: str | Path) -> bool:
    """Return True for a pipe or a device, which could block; a foreign study may contain one."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _decode_patiently(file: str | Path | BinaryIO, limit: int, reading: PixelReading) -> Image.Image:
    """Decode a file; again where a disk or a network fails for a moment, so that it is not skipped."""
    for pause in PAUSES if isinstance(file, str | Path) else ():
        try:
            return _decode(file, limit, reading)
        except OSError as error:
            if error.errno not in MOMENTARY:
                raise
            time.sleep(pause)
    return _decode(file, limit, reading)


def _decode(file: str | Path | BinaryIO, limit: int, reading: PixelReading) -> Image.Image:
    facts: FileFacts = {}
    try:
        with Image.open(file, formats=_formats()) as image:
            width, height = image.size
            check_pixels(width, height, limit)
            check_pixels(*_tile(image), limit)
            _check_work(image, limit)
            with TURNS.turn(width * height):
                side = longest_side()
                if image.format == "TIFF" and _is_beyond_pillow(image, facts):
                    return _of_tiff(file, limit, reading, facts)
                return _upright(image, side, reading, facts)
    except (UnidentifiedImageError, ValueError) as error:
        if isinstance(error, UnreadableImage) or not is_tiff(_head(file)):
            raise
        return _of_tiff(file, limit, reading, facts)


def _is_beyond_pillow(image: Image.Image, facts: FileFacts) -> bool:
    """Return True for a TIFF whose colours are pages, whose compression Pillow does not know, or whose planes
    have more than 8 bits, which it mixes up."""
    if pages_of(vars(image)["_fp"], facts) or _tag(image, COMPRESSION, 1) in UNKNOWN_TO_PILLOW:
        return True
    bits = _tag(image, BITS, (8,))
    return _tag(image, PLANES, 1) == SEPARATE and len(bits) > 1 and max(bits) > 8


def _of_tiff(file: str | Path | BinaryIO, limit: int, reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Decode a TIFF that Pillow does not."""
    picture, turn = tiff_picture(file, limit, reading, facts)
    return _finished(picture, picture.size, turn, longest_side(), facts)


def _upright(image: Image.Image, side: int | None, reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Decode an opened image, its longer side at most `side` pixels."""
    size = image.size
    if side is not None:
        _decode_smaller(image, side)
    if image.format == "JPEG2000":
        image = _load_jpeg2000(image, reading, facts)
    image.load()
    turn = orientation(image)
    return _finished(to_rgb(image, reading, facts), size, turn, side, facts)


def _finished(
    picture: Image.Image, size: tuple[int, int], turn: int, side: int | None, facts: FileFacts
) -> Image.Image:
    """Turn a picture upright, its longer side at most `side` pixels."""
    width, height = size
    if side is not None and max(picture.size) > side:
        picture.thumbnail((side, side))
    if turn in TRANSPOSE:
        picture = picture.transpose(TRANSPOSE[turn])
        facts[TURNED] = ()
    original_size = (height, width) if turn >= 5 else (width, height)
    picture.info = {"original_size": original_size, "facts": facts, "turn": turn}
    return picture


@cache
def _formats() -> list[str]:
    """List those of FORMATS that this Pillow was built with; HEIF where the package pillow-heif is there."""
    Image.init()
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    return [name for name in FORMATS if name in Image.OPEN]


def _tile(image: Image.Image) -> tuple[int, int]:
    """Return the tile size of a TIFF; a tile is decoded in full even if it is larger than the image."""
    tags: Any = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return int(tags.get(TILE_WIDTH, 0)), int(tags.get(TILE_LENGTH, 0))


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 where it is missing or damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF does not affect the pixels
        return 1


def to_rgb(
    image: Image.Image, reading: PixelReading = AS_STATED, facts: FileFacts | None = None
) -> Image.Image:
    """Convert an image of any Pillow mode to 8-bit RGB; transparent parts become white.

    Values of more than 8 bits are scaled as `as_picture` says. A fourth band that is no transparency
    (`is_transparency`) is left out.

    Args:
        facts: gets what was found in the pixels, by kind.
    Raises:
        UnreadableImage: a colour space that Pillow cannot convert.
    """
    facts = {} if facts is None else facts
    if image.mode == "RGB" and "transparency" not in image.info:
        note_bands(len(_tag(image, BITS, ())), facts)
        return image.copy() if image.readonly else image
    if image.mode.startswith(("I", "F")):
        key = image.info.get("transparency")
        return as_picture(_values(image, key if isinstance(key, int) else None), reading, facts).convert(
            "RGB"
        )
    if image.mode == "L" and _signed(image):
        return as_picture(Values(np.asarray(image).view(np.int8)), reading, facts).convert("RGB")
    if image.mode == "L":
        note_bands(len(_tag(image, BITS, ())), facts)
    if _has_deep_colour_key(image):
        return _opaque(image)
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or image.has_transparency_data:
        return _without_alpha(image, reading, facts)
    try:
        return _opaque(image)
    except ValueError:
        raise UnreadableImage(f"colour space {image.mode} is not supported") from None


def _values(image: Image.Image, colour_key: int | None) -> Values:
    """Return the values of a picture of more than 8 bits, read by the tags of a TIFF."""
    values = np.asarray(image)
    if (
        image.mode == "I"
        and image.format == "TIFF"
        and _tag(image, SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED
    ):
        values = values.view(np.uint32)
    nodata = nodata_of(_tag(image, NO_DATA, None))
    return Values(values, nodata, _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO, colour_key)


def _signed(image: Image.Image) -> bool:
    """Return True for a TIFF of 8 bits with a sign."""
    return _tag(image, SAMPLE_FORMAT, (UNSIGNED,))[0] == SIGNED


def _tag(image: Image.Image, number: int, default: Any) -> Any:
    tags: Any = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return tags.get(number, default)


def _without_alpha(image: Image.Image, reading: PixelReading, facts: FileFacts) -> Image.Image:
    n_bands = {"RGBA": 4, "RGBa": 4, "LA": 2}.get(image.mode, 0)  # others have transparent colours
    alpha = image.getchannel(n_bands - 1) if n_bands else None
    if alpha is not None and not is_transparency(alpha, image.format):
        facts[FOURTH_BAND if n_bands == 4 else TWO_BANDS] = ()
        return _first_bands(image)
    if alpha is not None and image.format == "BMP" and is_empty(alpha):
        return _first_bands(image)
    whole = image if image.mode == "RGBA" else image.convert("RGBA")
    note_transparency(whole.getchannel("A"), facts)
    return _opaque(whole) if reading.transparency == DROP else _on_white(whole)


def _first_bands(image: Image.Image) -> Image.Image:
    """Return bands 1 to 3, or the first of two, as they are stored."""
    first = [image.getchannel(band) for band in range(3 if len(image.getbands()) == 4 else 1)]
    return Image.merge("RGB", first if len(first) == 3 else first * 3)


def _has_deep_colour_key(image: Image.Image) -> bool:
    """Detect a transparent colour in a 16-bit RGB file; Pillow's cut to 8 bits merges it with neighbours."""
    key = image.info.get("transparency")
    return image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255


def _opaque(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _reason(error: Exception, source: bytes | str | Path | BinaryIO) -> str:
    plain = {
        FileNotFoundError: "file not found",
        PermissionError: "permission denied",
        IsADirectoryError: "a folder, not an image",
        NotADirectoryError: "file not found",
    }
    for kind, reason in plain.items():
        if isinstance(error, kind):
            return reason
    if isinstance(error, UnidentifiedImageError):
        return _why_unidentified(_head(source))
    if isinstance(error, OSError) and error.strerror:  # of the system; Pillow's have none
        return f"cannot be read ({error.strerror})"
    text = str(error).lower()
    if isinstance(error, EOFError) or any(word in text for word in CUT_SHORT):
        return "truncated"
    return f"corrupt ({first_line(error)[:80]})"


def _why_unidentified(head: bytes) -> str:
    if not head:
        return "zero bytes"
    if head.lstrip().lower().startswith(HTML):
        return "not an image but an HTML page"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not an image (git lfs pull)"
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand.startswith(b"avi"):
        return "AVIF, which this Pillow cannot read: update it"
    if brand in HEIF_BRANDS and "HEIF" not in _formats():
        return "HEIC, which needs one more package: pip install pillow-heif"
    if _jpeg_precision(head) > 8:
        return "a JPEG of 12 bits, which Pillow cannot read: convert it to PNG"
    is_begun = head.startswith(SIGNATURES) or head[8:12] == b"WEBP"
    return "truncated or corrupt before its pixels" if is_begun else "not an image"


def _head(source: bytes | str | Path | BinaryIO, length: int = 1 << 16) -> bytes:
    if isinstance(source, bytes):
        return source[:length]
    if isinstance(source, (str, Path)):
        with open(source, "rb") as file:
            return file.read(length)
    source.seek(0, os.SEEK_SET)
    return source.read(length)


def reduced(image: Image.Image, side: int) -> Image.Image:
    """Return a decoded image whose longer side is at most `side` pixels; a smaller one stays."""
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return image


def thumbnail_jpeg(image: Image.Image, size: int) -> bytes:
    """Encode a decoded image as a JPEG thumbnail: its longer side at most `size` pixels, never enlarged.

    `image` stays as it is: other consumers look at the same picture.
    """
    small = image.copy()
    small.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return image_file(small, quality=88, subsampling=0)
