"""What files hold beside a picture, as satellites, microscopes and X-rays write them: read and counted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from core.data.decode import decode
from core.data.pixel_values import PixelFacts, facts_of_pictures, file_facts
from tests.data.pictures import encoded

RNG = np.random.default_rng(0)
BANDS = RNG.integers(0, 256, (32, 32, 4)).astype(np.uint8)  # red, green, blue, near infrared


def kinds(facts: PixelFacts) -> dict[str, tuple[int | None, int | None]]:
    return {note.kind: (note.n, note.of) for note in facts.notes()}


@pytest.mark.parametrize(
    ("file_format", "options"), [("TIFF", {}), ("WEBP", {"lossless": True, "exact": True}), ("PNG", {})]
)
def test_fourth_band__near_infrared_is_no_transparency(file_format, options):
    picture = decode(encoded(Image.fromarray(BANDS, "RGBA"), file_format, **options))
    assert_array_equal(picture, BANDS[..., :3])
    assert set(file_facts(picture)) == {"fourth_band"}


def test_fourth_band__satellites_leave_pixels_without_data_out():
    bands = BANDS.copy()
    bands[:20] = 0
    assert_array_equal(decode(encoded(Image.fromarray(bands, "RGBA"), "TIFF")), bands[..., :3])


@pytest.mark.parametrize("file_format", ["TIFF", "PNG"])
def test_fourth_band__soft_edges_are_transparency(file_format):
    bands = BANDS.copy()
    bands[..., 3] = 255
    bands[:10, :, 3] = 0
    bands[10:16, :, 3] = np.arange(32) * 8
    picture = decode(encoded(Image.fromarray(bands, "RGBA"), file_format))
    assert_array_equal(np.asarray(picture)[:10], np.full((10, 32, 3), 255))
    assert set(file_facts(picture)) == {"transparent"}


def test_fourth_band__empty_in_a_bmp_is_none():
    bands = BANDS.copy()
    bands[..., 3] = 0
    assert_array_equal(decode(encoded(Image.fromarray(bands, "RGBA"), "BMP")), bands[..., :3])


def test_facts__are_counted_among_pictures():
    exif = Image.Exif()
    exif[0x0112] = 6
    opaque = Image.fromarray(BANDS[..., :3])
    pictures = [
        decode(encoded(opaque)),
        decode(encoded(opaque, exif=exif)),
        decode(encoded(Image.fromarray(BANDS, "RGBA"), "TIFF")),
        decode(encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 0)))),
    ]
    found = facts_of_pictures(pictures)
    assert kinds(found) == {"fourth_band": (1, 4), "turned": (1, 4), "transparent": (1, 4)}
    again = PixelFacts.from_dict(found.to_dict())
    again.merge(facts_of_pictures(pictures[:1]))
    assert kinds(again)["turned"] == (1, 5)


def test_facts__values_that_span_little_of_their_type():
    """12 bits in 16, as an X-ray is stored; the note is for the set, since one file may well be dark."""
    dark = decode(encoded(Image.fromarray(np.array([[5, 4095]], np.uint16)), "TIFF"))
    bright = decode(encoded(Image.fromarray(np.array([[30_000, 65_000]], np.uint16)), "TIFF"))
    (note,) = facts_of_pictures([dark]).notes()
    assert (note.kind, note.interval) == ("narrow", (5, 4095))
    assert facts_of_pictures([dark, bright]).notes() == []


def test_facts__a_range_of_its_own():
    odd = decode(encoded(Image.fromarray(np.array([[-1000.0, 3000.0]], np.float32)), "TIFF"))
    (note,) = facts_of_pictures([odd]).notes()
    assert (note.kind, note.n, note.interval) == ("own_range", 1, (-1000.0, 3000.0))
