from __future__ import annotations

import base64
import errno
import io
import os
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image, ImageOps, features

from core.data import decode as decoder_work
from core.data import decode as decoding
from core.data import picture_limits
from core.data.decode import decode, to_rgb
from core.data.picture_limits import wanted
from core.errors import DecoderBusy, SettingsError, UnreadableImage
from tests.data.pictures import deep_png, encoded, picture, pixels

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
DEEP = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
DEEP_AS_8_BIT = [[(v, v, v) for v in (0, 0, 1, 128, 255)]]


def flattened(value: int, alpha: int) -> int:
    """Twin of the rule for one channel: over white, rounded."""
    return round((value * alpha + 255 * (255 - alpha)) / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation__as_pillow_turns(orientation, file_format):
    image = Image.open(io.BytesIO(picture(size=(3, 2))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(image, file_format, exif=exif, **options)
    tagged = image.copy()
    tagged.getexif()[0x0112] = orientation

    turned = decode(data)

    assert_array_equal(turned, ImageOps.exif_transpose(tagged).convert("RGB"))
    assert turned.info["original_size"] == turned.size


def test_exif_orientation__hand_computed_quarter_turn():
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (200, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the left edge is the top
    assert pixels(decode(encoded(image, exif=exif))) == [[(200, 0, 0)], [BLACK]]


def test_exif_orientation__damaged_exif_is_ignored():
    data = encoded(Image.new("RGB", (3, 2), (9, 9, 9)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x12\x01")
    assert decode(data).size == (3, 2)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray__scaled_not_clipped(file_format):
    assert pixels(decode(encoded(Image.fromarray(DEEP), file_format))) == DEEP_AS_8_BIT


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_16_bit_gray__either_byte_order(mode):
    order = ">u2" if mode.endswith("B") else "<u2"
    image = Image.frombytes(mode, (5, 1), DEEP.astype(order).tobytes())
    assert pixels(to_rgb(image)) == DEEP_AS_8_BIT


@pytest.mark.parametrize("factor", [256, 257])
def test_16_bit__gives_back_the_8_bit_picture_it_was_made_from(factor):
    eight = np.arange(256, dtype=np.int64)[None]
    assert_array_equal(np.asarray(decode(deep_png(eight[..., None] * factor)))[..., 0], eight)


def test_16_bit_rgb():
    assert pixels(decode(deep_png(np.array([[[0, 256, 65535]]])))) == [[(0, 1, 255)]]


def test_16_bit_rgb_with_alpha__on_white():
    values = np.array([[[256, 512, 65535, 0], [256, 512, 65535, 65535]]])
    assert pixels(decode(deep_png(values))) == [[WHITE, (1, 2, 255)]]


def test_16_bit_gray_with_alpha__on_white():
    assert pixels(decode(deep_png(np.array([[[256, 0], [32768, 65535]]])))) == [[WHITE, (128, 128, 128)]]


def test_16_bit_colour_key__only_the_exact_value_is_transparent():
    gray = deep_png(np.array([[[300], [301]]]), colour_key=[300])
    assert pixels(decode(gray)) == [[WHITE, (1, 1, 1)]]
    rgb = deep_png(np.array([[[1, 2, 3], [300, 300, 300]]]), colour_key=[300, 300, 300])
    assert pixels(decode(rgb)) == [[BLACK, (1, 1, 1)]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 10.0, 255.0], [0, 10, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([np.nan, 0.5, 1.0], [128, 128, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
        ([np.nan, np.nan, np.nan], [0, 0, 0]),
    ],
)
def test_float__first_range_that_holds_it(values, expected):
    image = Image.fromarray(np.array([values], np.float32))
    assert image.mode == "F"
    assert pixels(decode(encoded(image, "TIFF"))) == [[(v, v, v) for v in expected]]


def test_32_bit__own_range():
    image = Image.fromarray(np.array([[-1000, 0, 1000]], np.int32))
    assert pixels(decode(encoded(image, "TIFF"))) == [[(v, v, v) for v in (0, 128, 255)]]


@pytest.mark.parametrize("alpha", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha__flattened_on_white(mode, alpha):
    value = (40, alpha) if mode == "LA" else (40, 90, 250, alpha)
    rgb = (40, 40, 40) if mode == "LA" else (40, 90, 250)
    image = Image.new(mode, (1, 1), value)
    expected = [[tuple(flattened(channel, alpha) for channel in rgb)]]
    assert pixels(decode(encoded(image))) == expected
    assert pixels(to_rgb(image)) == expected


def test_palette():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    assert pixels(decode(encoded(image))) == [[(10, 20, 30), (200, 100, 0)]]


@pytest.mark.parametrize(("transparency", "expected"), [(0, WHITE), (b"\x80\xff", None)])
def test_palette_with_transparency__on_white(transparency, expected):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    first = expected or tuple(flattened(v, 0x80) for v in (10, 20, 30))
    assert pixels(decode(encoded(image, transparency=transparency))) == [[first, (200, 100, 0)]]


def test_palette_with_alpha_channel__on_white():
    image = Image.new("PA", (2, 1))
    image.putpalette([10, 20, 30])
    image.putpixel((1, 0), (0, 255))
    assert pixels(to_rgb(image)) == [[WHITE, (10, 20, 30)]]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_colour_key__on_white(mode, key):
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), 255 if mode != "RGB" else (1, 2, 3))
    second = (1, 2, 3) if mode == "RGB" else WHITE
    assert pixels(decode(encoded(image, transparency=key))) == [[WHITE, second]]


@pytest.mark.parametrize(
    ("mode", "value", "expected"), [("L", 77, (77, 77, 77)), ("1", 1, WHITE), ("1", 0, BLACK)]
)
def test_gray_and_black_white(mode, value, expected):
    assert pixels(decode(encoded(Image.new(mode, (1, 1), value)))) == [[expected]]


def test_cmyk():
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    assert pixels(decode(encoded(image, "TIFF"))) == [[(255, 0, 0)]]
    as_jpeg = np.asarray(decode(encoded(image.resize((8, 8)), "JPEG", quality=100)), int)
    assert np.abs(as_jpeg - (255, 0, 0)).max() <= 3  # JPEG loses a little


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation__first_frame(file_format):
    frames = [Image.new("RGB", (4, 4), shade) for shade in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert (np.asarray(decode(data)) == (200, 0, 0)).all()


def test_tiny_and_huge_sides():
    assert decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))).size == (1, 1)
    assert decode(encoded(Image.new("L", (20_000, 3)))).size == (20_000, 3)


def test_limit_of_pixels__is_the_variables_not_pillows(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encoded(Image.new("1", (100, 100)))).size == (100, 100)
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "10_000")
    assert decode(encoded(Image.new("1", (100, 100)))).size == (100, 100)
    message = r"^too large: 101 x 100 pixels \(10,100\); the limit is 10,000 .* or set PEREGRINE_MAX_PIXELS$"
    with pytest.raises(UnreadableImage, match=message):
        decode(encoded(Image.new("1", (101, 100))))
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "20")  # Pillow refuses first, and says less
    with pytest.raises(UnreadableImage, match="10,000.*20"):
        decode(encoded(Image.new("1", (100, 100))))


@pytest.mark.parametrize("text", ["0", "many", "-5", "1e8"])
def test_limit_of_pixels__no_number(monkeypatch, text):
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", text)
    with pytest.raises(SettingsError, match=f"PEREGRINE_MAX_PIXELS is '{text}', not a number"):
        decode(picture())


def test_formats__only_those_of_pictures():
    """Ghostscript would be started for this one, whatever its name ends in."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(UnreadableImage, match="image"):
        decode(script)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "JPEG2000"])
@pytest.mark.parametrize("turn", [1, 6])
def test_wanted__a_picture_is_decoded_at_that_size(kind, turn):
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow reads no JPEG 2000")
    exif = Image.Exif()
    exif[0x0112] = turn
    marked = Image.new("RGB", (640, 480), (10, 200, 30))
    marked.paste((250, 10, 10), (0, 0, 320, 480))
    given = {} if kind == "JPEG2000" else {"exif": exif}
    upright = (480, 640) if given and turn == 6 else (640, 480)
    data = encoded(marked, kind, **given)
    with wanted(side=100):
        small = decode(data)
    assert max(small.size) == 100 and small.info["original_size"] == upright
    with wanted(side=9999):
        assert decode(data).size == decode(data).info["original_size"] == upright
    for place in ((10, 10), (small.width - 10, small.height - 10)):
        share = [at / length for at, length in zip(place, small.size, strict=True)]
        x, y = (int(one * length) for one, length in zip(share, upright, strict=True))
        near, far = np.array(small.getpixel(place)), np.array(decode(data).getpixel((x, y)))
        assert np.abs(near - far).max() < 8


def test_wanted__libraries_decode_fewer_pixels(monkeypatch):
    """Of a JPEG and a JPEG 2000 the rest is never unpacked; an odd size is decoded in full."""
    sizes = []
    monkeypatch.setattr(decoding, "to_rgb", lambda image, *_: sizes.append(image.size) or image.copy())
    kinds = ("JPEG", "JPEG2000") if features.check("jpg_2000") else ("JPEG",)
    with wanted(side=100):
        for kind in kinds:
            decode(encoded(Image.new("RGB", (832, 640)), kind))
        decode(encoded(Image.new("RGB", (832, 640))))
    assert sizes == [(104, 80)] * len(kinds) + [(832, 640)]


def test_work__scans_are_bounded_before_any_is_decoded(monkeypatch):
    progressive = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    n = progressive.count(decoder_work.SCAN)
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", str(64 * 64))
    monkeypatch.setattr(decoder_work, "PASSES", n)
    assert n > 5 and decode(progressive).size == (64, 64)
    monkeypatch.setattr(decoder_work, "PASSES", n - 1)
    with pytest.raises(UnreadableImage, match=f"too much work: {n} scans of 64 x 64 pixels"):
        decode(progressive)
    assert decode(encoded(Image.new("RGB", (64, 64)), "JPEG")).size == (64, 64)


def test_work__of_jpeg_2000_is_bounded_by_its_bytes(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG2000")
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", str(64 * 64))
    assert len(data) > 64 * 64
    with pytest.raises(UnreadableImage, match="too large: .* MB of JPEG 2000"):
        decode(data)


def test_large_pictures__few_are_decoded_at_once(monkeypatch):
    """Two threads decode large pictures at a time, one of them a huge one; small ones do not wait."""
    sizes = {"small": 8, "large": 16, "huge": 32}
    monkeypatch.setattr(picture_limits, "AT_ONCE", {8 * 8: 2, 16 * 16: 1})
    monkeypatch.setattr(decoding, "TURNS", picture_limits.Turns())
    held, most, lock, all_small = Counter(), Counter(), threading.Lock(), threading.Barrier(8)

    def seen(image, *_):
        name = next(name for name, side in sizes.items() if side == image.width)
        with lock:
            held[name] += 1
            most[name] = max(most[name], held[name])
            most["all"] = max(most["all"], held["large"] + held["huge"])
        if name == "small":
            all_small.wait(30)
        time.sleep(0.002)
        with lock:
            held[name] -= 1
        return image.copy()

    monkeypatch.setattr(decoding, "to_rgb", seen)
    data = {name: encoded(Image.new("RGB", (side, side))) for name, side in sizes.items()}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data["small"]] * 8))
        list(pool.map(decode, [data["large"], data["huge"]] * 8))
    assert most["all"] == 2 and most["huge"] == 1 and most["small"] == 8


def test_large_pictures__a_turn_is_waited_for_as_long_as_is_said(monkeypatch):
    monkeypatch.setattr(picture_limits, "AT_ONCE", {8: 1})
    monkeypatch.setattr(decoding, "TURNS", turns := picture_limits.Turns())
    data = encoded(Image.new("RGB", (8, 8)))
    with turns.turn(9), wanted(wait=0.0), pytest.raises(DecoderBusy):
        decode(data)
    assert decode(data).size == (8, 8)


def test_sources__bytes_path_and_file_agree(tmp_path):
    data = picture()
    path = tmp_path / "ünï 例.png"
    path.write_bytes(data)
    expected = np.asarray(decode(data))
    assert_array_equal(decode(path), expected)
    assert_array_equal(decode(str(path)), expected)
    with path.open("rb") as file:
        assert_array_equal(decode(file), expected)


def jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "^zero bytes$"),
        (b"<!DOCTYPE html><html>no</html>", "^not an image but an HTML page$"),
        (b"\n <html lang=en>", "^not an image but an HTML page$"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"hello", "^not an image$"),
        (jpeg()[:12], "^truncated$"),
        (picture()[:12], "^truncated or corrupt before its pixels$"),
        (jpeg()[:2000], "^truncated$"),
        (picture(size=(64, 64))[:3000], "^truncated$"),
        (encoded(Image.new("RGB", (64, 64)), "BMP")[:500], "^truncated$"),
    ],
    ids=[
        "empty",
        "html",
        "html2",
        "lfs",
        "text",
        "jpeg head",
        "png head",
        "jpeg half",
        "png half",
        "bmp half",
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_unreadable(tmp_path, data, reason, as_file):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=reason):
        decode(path if as_file else data)


# 64 x 48 pixels of (200, 10, 10), by pillow-heif
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAB4AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAACZtZGF0AAAAGigBrxOA+BDhp//8s6j/+ATPD8nvO/OikM+A"
)


def test_heic__without_its_package_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    without = [name for name in decoding._formats() if name != "HEIF"]
    monkeypatch.setattr(decoding, "_formats", lambda: without)
    with pytest.raises(UnreadableImage, match="package"):
        decode(HEIC)


def test_heic__with_its_package():
    pytest.importorskip("pillow_heif")
    image = decode(HEIC)
    assert image.size == (64, 48) and image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - (200, 10, 10)).max() <= 4
    with pytest.raises(UnreadableImage):
        decode(HEIC[:300])


def test_heic__a_pixel_limit_holds(monkeypatch):
    pytest.importorskip("pillow_heif")
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "1000")
    with pytest.raises(UnreadableImage, match="3,072"):
        decode(HEIC)


def test_unreadable__a_broken_chunk():
    data = bytearray(picture(size=(64, 64)))
    data[200] ^= 0xFF
    with pytest.raises(UnreadableImage, match="corrupt|truncated"):
        decode(bytes(data))


@pytest.fixture(scope="module")
def whole(request):
    """A picture of a format."""
    return encoded(Image.open(io.BytesIO(picture(size=(40, 30)))), request.param)


@pytest.mark.parametrize("whole", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"], indirect=True)
@given(
    kept=st.floats(0, 1),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
)
def test_unreadable__whatever_bytes_are_damaged_only_that_error(whole, kept, damage):
    data = bytearray(whole[: max(round(kept * len(whole)), 1)])
    for at, byte in damage:
        data[int(at * len(data))] = byte
    try:
        image = decode(bytes(data))
    except UnreadableImage as error:
        assert "\n" not in str(error)
    else:
        assert image.mode == "RGB"


def test_unreadable__no_file(tmp_path):
    with pytest.raises(UnreadableImage, match="found"):
        decode(tmp_path / "none.png")
    with pytest.raises(UnreadableImage, match="folder"):
        decode(tmp_path)


def test_unreadable__no_permission(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(UnreadableImage, match="^permission denied$"):
        decode(tmp_path / "x.png")


def test_warnings_of_pillow_stay_silent():
    image = Image.new("P", (2, 1))
    data = encoded(image, transparency=b"\x80\xff")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(data)
        decode(encoded(Image.new("RGB", (3, 2)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x12\x01"))
        warnings.warn("mine", UserWarning, stacklevel=1)
    assert [str(one.message) for one in caught] == ["mine"]


@pytest.mark.timeout(20)
def test_pipe__is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="file"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize(("n_failures", "read"), [(2, True), (3, False)])
def test_file_that_a_disk_fails_to_read_for_a_moment__is_read_again(tmp_path, monkeypatch, n_failures, read):
    path, opened = tmp_path / "a.png", Image.open
    Image.new("RGB", (3, 2), WHITE).save(path)
    failures = [OSError(errno.EIO, "Input/output error")] * n_failures

    def open_(*args, **kwargs):
        if failures:
            raise failures.pop()
        return opened(*args, **kwargs)

    monkeypatch.setattr(decoding, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(Image, "open", open_)
    if read:
        assert decode(path).size == (3, 2)
    else:
        with pytest.raises(UnreadableImage, match=r"\(Input/output"):
            decode(path)
