"""How large pictures may be and how many are decoded at a time; captions in files beside them. No torch."""

import contextlib
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from PIL import Image

from core.errors import DecoderBusy, SettingsError, UnreadableImage

CAPTION, LONGEST_CAPTION = ".txt", 10_000  # the ending of the file beside; bytes of it that are read


# How pictures are wanted by who reads them: at which size, and how long a large one may wait for its turn.
#
# A picture of 100 megapixels may take a gigabyte while it is decoded, so few large ones are decoded at a
# time.


LARGE, HUGE = 10_000_000, 40_000_000  # pixels
AT_ONCE = {LARGE: 2, HUGE: 1}  # of one process; a huge picture is a large one, too


@dataclass(frozen=True)
class Wish:
    """How a picture is wanted: its longer side at most so long, its turn after at most so many seconds."""

    side: int | None = None
    wait: float | None = None


AS_IT_IS = Wish()
_wish: ContextVar[Wish] = ContextVar("wish", default=AS_IT_IS)


@contextlib.contextmanager
def wanted(**changes: float) -> Iterator[None]:
    """Let pictures be decoded in this block only up to a side, with a bounded wait for a turn; see `Wish`."""
    token = _wish.set(replace(_wish.get(), **changes))  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        _wish.reset(token)


class Turns:
    """Let few large pictures be decoded at a time by the threads of a process: each may take a gigabyte."""

    def __init__(self) -> None:
        self.slots = {size: threading.BoundedSemaphore(n) for size, n in AT_ONCE.items()}

    @contextlib.contextmanager
    def turn(self, n_pixels: int) -> Iterator[None]:
        """Wait for a turn, those above HUGE for theirs first. Raises DecoderBusy."""
        with contextlib.ExitStack() as taken:
            for size in sorted(self.slots, reverse=True):
                if n_pixels > size:
                    if not self.slots[size].acquire(timeout=_wish.get().wait):
                        raise DecoderBusy("too many large pictures are being read; ask again in a moment")
                    taken.callback(self.slots[size].release)
            yield


TURNS = Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=TURNS.__init__
    )  # nobody in a forked process gives back a turn taken before


def longest_side() -> int | None:
    """Return the longer side at which pictures are to be decoded here, see `wanted`."""
    return _wish.get().side


# Limit the size of images: a few kilobytes can declare a gigabyte of pixels. No torch.


VARIABLE = "PEREGRINE_MAX_PIXELS"
MAX_PIXELS = 100_000_000  # 10,000 x 10,000; decoding one takes about 1 GB at worst
BYTES_A_PIXEL = 8  # bytes in the largest supported encoding, uncompressed 16-bit RGBA


def max_pixels() -> int:
    """Return the maximum number of pixels of an image: PEREGRINE_MAX_PIXELS, or 100 million.

    Raises:
        SettingsError: the variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    if not re.fullmatch(r"[0-9_]+", text) or int(text) == 0:
        raise SettingsError(f"{VARIABLE} is '{text}', not a number of pixels. Write {VARIABLE}=200000000")
    return int(text)


def check_pixels(width: int, height: int, limit: int) -> None:
    """Raise UnreadableImage for an image, or a part decoded at once, beyond the limit."""
    if width * height > limit:
        raise too_large(f"{width} x {height} pixels ({_millions(width * height)})", limit)


def check_bytes(n_bytes: int) -> None:
    """Raise UnreadableImage for an encoded image with more bytes than its pixels could need."""
    limit = max_pixels()
    if n_bytes > BYTES_A_PIXEL * limit:
        raise too_large(f"{n_bytes / 1e6:,.0f} MB", limit)


def too_large(what: str, limit: int) -> UnreadableImage:
    """Return the error for a picture with too many pixels, with what to do."""
    return UnreadableImage(
        f"too large: {what}; the limit is {_millions(limit)} pixels. Make it smaller, or set {VARIABLE}"
    )


def of_pillow(error: Exception, limit: int) -> UnreadableImage:
    """Return the error for a picture that Pillow itself refuses as too large, with what to do.

    Return the same error when Pillow refuses first: it reports the number of pixels only.
    """
    match = re.search(r"\((\d+) pixels\)", str(error))
    return too_large(f"{_millions(int(match[1]))} pixels" if match else "its pixels", limit)


@contextmanager
def limited_pillow() -> Iterator[None]:
    """Make Pillow itself refuse pictures beyond the limit, for those that other code opens.

    Raises:
        UnreadableImage: a larger image was opened.
    """
    limit = max_pixels()
    let_pillow_open(limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise of_pillow(error, limit) from None


def let_pillow_open(limit: int) -> None:
    """Set Pillow's own limit; all threads use the same value, so they do not disturb each other."""
    if limit != Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit


def _millions(n: int) -> str:
    """
    >>> _millions(484_000_000), _millions(99_999)
    ('484 million', '99,999')
    """
    return f"{n / 1e6:,.4g} million" if n >= 1_000_000 else f"{n:,}"
