"""TIFF and JPEG 2000 as microscopes, satellites and X-rays write them; the truth is what was written."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from core.data.decode import decode
from core.data.pixel_values import file_facts
from core.errors import UnreadableImage

RAMP = np.add.outer(np.arange(16), np.arange(24))  # 0 to 38


def bands(n: int, kind: type = np.uint8, scale: int = 4) -> np.ndarray:
    """(16, 24, n), each band other values; a single one (16, 24)."""
    values = np.stack([(RAMP * scale + 40 * band * scale // 4) for band in range(n)], axis=2).astype(kind)
    return values[..., 0] if n == 1 else values


def tiff(values: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (np.uint8, [0, 7, 255], [255, 248, 0]),
        (np.uint16, [0, 256, 65535], [255, 254, 0]),
        (np.float32, [0.0, 0.5, 1.0], [255, 127, 0]),
    ],
)
def test_white_is_zero(kind, given, expected):
    data = tiff(np.array([given], kind), photometric="miniswhite")
    assert np.asarray(decode(data))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (np.int8, [-128, 0, 127], [0, 128, 255]),
        (np.uint32, [0, 2**31, 2**32 - 1], [0, 128, 255]),
        (np.float64, [0.0, 0.5, 1.0], [0, 128, 255]),
    ],
)
def test_types_by_their_range(kind, given, expected):
    data = tiff(np.array([given], kind), photometric="minisblack")
    assert np.asarray(decode(data))[0, :, 0].tolist() == expected


def test_colours_of_16_bits_and_floats():
    deep = bands(3, np.uint16, 257)
    assert_array_equal(decode(tiff(deep, photometric="minisblack", planarconfig="contig")), deep >> 8)
    planes = tiff(np.moveaxis(deep, 2, 0), photometric="rgb", planarconfig="separate")
    assert_array_equal(decode(planes), deep >> 8)
    floats = (bands(3) / 255).astype(np.float32)
    assert_array_equal(decode(tiff(floats, photometric="rgb")), bands(3))


@pytest.mark.parametrize(
    ("n", "kind", "fact"),
    [(2, np.uint8, "two_bands"), (2, np.uint16, "two_bands"), (5, np.uint8, "further_bands")]
    + [(4, np.uint16, "fourth_band"), (9, np.uint16, "further_bands")],
)
@pytest.mark.parametrize("plane", ["contig", "separate"])
def test_bands_beside_the_picture_are_said(n, kind, fact, plane):
    values = bands(n, kind, 4 if kind is np.uint8 else 200)
    stored = values if plane == "contig" else np.moveaxis(values, 2, 0)
    picture = decode(tiff(stored, photometric="minisblack", planarconfig=plane))
    eight = values if kind is np.uint8 else values >> 8
    assert_array_equal(picture, grey(eight[..., 0]) if n == 2 else eight[..., :3])
    assert fact in file_facts(picture)


def test_fourth_band__unspecified_is_said():
    values = np.dstack([bands(3), RAMP.astype(np.uint8)])
    picture = decode(tiff(values, photometric="rgb", extrasamples=["unspecified"]))
    assert_array_equal(picture, bands(3))
    assert set(file_facts(picture)) == {"fourth_band"}


def test_transparency_of_16_bits():
    values = np.dstack([bands(3, np.uint16, 257), np.where(RAMP > 20, 65535, 0).astype(np.uint16)])
    data = tiff(values, photometric="rgb", extrasamples=["unassalpha"])
    expected = np.where((RAMP > 20)[..., None], values[..., :3] >> 8, 255)
    picture = decode(data)
    assert_array_equal(picture, expected)
    assert "transparent" in file_facts(picture)


def test_nodata__is_dark_and_no_part_of_the_range():
    values = (RAMP.astype(np.float32) - 20) * 10
    values[0] = -9999
    data = tiff(values, extratags=[(42113, 2, 0, "-9999", True)])
    picture = np.asarray(decode(data))[..., 0]
    known = values[1:]
    scaled = np.round(255 * (known - known.min()) / (known.max() - known.min()))
    assert_array_equal(picture, np.vstack([np.zeros((1, 24)), scaled]))


def test_pages__the_first_is_read_and_said():
    picture = decode(tiff(np.moveaxis(bands(3), 2, 0), photometric="minisblack", metadata=None))
    assert_array_equal(picture, grey(bands(3)[..., 0]))
    assert file_facts(picture) == {"pages": (3.0,)}


@pytest.mark.parametrize(
    ("names", "fact"), [(("Red", "Green", "Blue"), "channels"), (("DAPI", "GFP", "RFP"), "pages")]
)
def test_pages_of_ome__red_green_and_blue_are_one_picture(names, fact):
    how = {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": list(names)}}}
    picture = decode(tiff(np.moveaxis(bands(3), 2, 0), photometric="minisblack", **how))
    assert_array_equal(picture, bands(3) if fact == "channels" else grey(bands(3)[..., 0]))
    assert fact in file_facts(picture)


def test_smaller_copies_are_no_pages():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(bands(3), photometric="rgb", metadata=None)
        writer.write(bands(3)[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    assert file_facts(decode(file.getvalue())) == {}


@pytest.mark.parametrize("compression", ["lerc", "jpegxl"])
def test_rare_compressions__are_read_or_named(compression, monkeypatch):
    pytest.importorskip("imagecodecs")
    data = tiff(bands(3), photometric="rgb", compression=compression)
    assert np.abs(np.asarray(decode(data)).astype(int) - bands(3)).max() <= 4
    page = tifffile.tifffile.TiffPage
    monkeypatch.setattr(page, "asarray", _needs_a_package)
    with pytest.raises(UnreadableImage, match=f"(?i){compression}.*pip install imagecodecs"):
        decode(data)


def _needs_a_package(*_: Any, **__: Any) -> None:
    raise ValueError("<COMPRESSION.LERC: 34887> requires the 'imagecodecs' package")


@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_2000__colours_of_more_than_8_bits(bits, monkeypatch):
    """Pillow reads white as black."""
    codecs = pytest.importorskip("imagecodecs")
    values = bands(3, np.uint16, 2 ** (bits - 8))
    values[0, 0] = 2**bits - 1
    data = codecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits, codecformat="jp2")
    assert_array_equal(decode(data), values >> (bits - 8))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        UnreadableImage, match=f"JPEG 2000 of 3 bands and {bits} bits.*pip install imagecodecs"
    ):
        decode(data)


def test_jpeg_of_12_bits__is_named():
    codecs = pytest.importorskip("imagecodecs")
    with pytest.raises(UnreadableImage, match="a JPEG of 12 bits"):
        decode(codecs.jpeg8_encode(bands(1, np.uint16), bitspersample=12))


def test_a_page_too_large_is_refused_from_its_header(monkeypatch):
    data = tiff(bands(5), photometric="minisblack", planarconfig="contig")
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "100")
    with pytest.raises(UnreadableImage, match="too large: 24 x 16"):
        decode(data)
