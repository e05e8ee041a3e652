"""Values of pixels as 8 bits a channel, and what was found in them that one look would not tell. No torch."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from core.common.records import Record, Templates
from core.errors import SettingsError

# What was found in the pixels of image files that one look at the picture would not tell, counted over
# them.
#
# `decode` leaves the facts of a file in `info["facts"]` of its picture: kinds, with numbers such as a
# range.


say_of_pixels = Templates.beside(__file__)
FileFacts = dict[str, tuple[float, ...]]
DARK = 0.25  # of the range that a type allows: values that span less are shown with few levels of grey
DEEP = "deep"  # a file of more than 8 bits a channel: its lowest and highest value, what is black and white
FOURTH_BAND, FURTHER_BANDS, TWO_BANDS = "fourth_band", "further_bands", "two_bands"
PAGES, CHANNELS, OWN_RANGE, NARROW = "pages", "channels", "own_range", "narrow"
TRANSPARENT, TURNED = "transparent", "turned"
KINDS = (FOURTH_BAND, FURTHER_BANDS, TWO_BANDS, PAGES, CHANNELS, OWN_RANGE, TRANSPARENT, TURNED)


def file_facts(image: Image.Image) -> FileFacts:
    """Return the facts on an image file that `decode` left with its picture."""
    return image.info.get("facts", {})


@dataclass
class PixelFacts:
    """FileFacts of pictures, added up.

    Attributes:
        n_images: pictures looked at. counts: kind -> how many have it. spans: kind -> lowest and highest.
    """

    n_images: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    spans: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def add(self, facts: FileFacts) -> None:
        """Count the facts of one picture."""
        self.n_images += 1
        for kind, numbers in facts.items():
            self.counts[kind] += 1
            self.spans[kind] = _wider(self.spans.get(kind, numbers), numbers)

    def merge(self, other: "PixelFacts") -> None:
        """Add those of further pictures."""
        self.n_images += other.n_images
        self.counts += other.counts
        for kind, numbers in other.spans.items():
            self.spans[kind] = _wider(self.spans.get(kind, numbers), numbers)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able data, from which `from_dict` makes them again."""
        spans = {kind: list(numbers) for kind, numbers in self.spans.items()}
        return {"n_images": self.n_images, "counts": dict(self.counts), "spans": spans}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PixelFacts":
        """Return the facts that `to_dict` described; none for {}."""
        spans = {kind: tuple(numbers) for kind, numbers in data.get("spans", {}).items()}
        return cls(data.get("n_images", 0), Counter(data.get("counts", {})), spans)

    def notes(self) -> list[Record]:
        """Return one note a kind, with the number of pictures; nothing on what all of them share rightly."""
        notes = [self._note(kind, self.counts[kind], self.spans[kind]) for kind in KINDS if self.counts[kind]]
        if self.counts[DEEP] and self._is_dark():
            notes.append(self._note(NARROW, self.counts[DEEP], self.spans[DEEP][:2]))
        return notes

    def _is_dark(self) -> bool:
        low, high, black, white = self.spans[DEEP]
        return high - low < DARK * (white - black)

    def _note(self, kind: str, n: int, numbers: tuple[float, ...]) -> Record:
        highest = numbers[-1] if numbers else None
        interval = (numbers[0], numbers[1]) if len(numbers) == 2 else None
        return say_of_pixels(kind, n=n, of=self.n_images, value=highest, interval=interval)


def _wider(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """Return the lower of the even places and the higher of the odd ones; of a single number the higher."""
    if len(first) == 1:
        return (max(first[0], second[0]),)
    ends: Iterable[tuple[float, float]] = zip(first, second, strict=True)
    return tuple(max(pair) if at % 2 else min(pair) for at, pair in enumerate(ends))


def facts_of_pictures(pictures: Iterable[Image.Image]) -> PixelFacts:
    """Add up what `decode` noted of image files: value ranges, bands, transparency."""
    facts = PixelFacts()
    for picture in pictures:
        facts.add(file_facts(picture))
    return facts


# How values of pixels become 8 bits a channel, where a file alone does not say it. No torch.


WHITE, DROP = "white", "drop"
RANGE_OF_FILE = "file"


@dataclass(frozen=True)
class PixelReading:
    """What a user says of the pixels of image files.

    Attributes:
        value_range: the values that become black and white, in files of more than 8 bits a channel; None: by
            the type of the file (docs/method.md 1.5).
        own_range: from the lowest to the highest value of each file instead.
        transparency: "white": transparent parts on white; "drop": the colours below, as if all were opaque.
    """

    value_range: tuple[float, float] | None = None
    own_range: bool = False
    transparency: str = WHITE

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from `AS_STATED`, for a study's description of its images."""
        changed: dict[str, Any] = {}
        if self.value_range is not None:
            changed["value_range"] = list(self.value_range)
        if self.own_range:
            changed["own_range"] = True
        if self.transparency != WHITE:
            changed["transparency"] = self.transparency
        return changed

    @classmethod
    def from_dict(cls, described: dict[str, Any]) -> "PixelReading":
        """Return the reading that `to_dict` described."""
        given = described.get("value_range")
        value_range = (float(given[0]), float(given[1])) if given else None
        return cls(value_range, bool(described.get("own_range")), described.get("transparency", WHITE))


AS_STATED = PixelReading()


def reading_of(value_range: str | None, transparency: str | None) -> PixelReading:
    """Return how pixels of image files are read by `--range LOW,HIGH` (or `file`), `--transparency`.

    Raises:
        SettingsError: no two numbers, the first below the second.

    >>> reading_of("0,4095", None).value_range
    (0.0, 4095.0)
    """
    is_file_range, ends = value_range == RANGE_OF_FILE, None
    if value_range is not None and not is_file_range:
        ends = _two_numbers(value_range)
    return PixelReading(ends, is_file_range, transparency or WHITE)


def _two_numbers(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(
            f"--range '{text}' is not LOW,HIGH. Write --range 0,4095 or --range {RANGE_OF_FILE}"
        )
    return low, high


# Values of more than 8 bits, or of other types, as 8-bit pixels (docs/method.md 1.5).


STRIP = 4_000_000  # values scaled at a time: all at once in double precision, they would take gigabytes
SIXTEEN = 65535.0
BOUNDS = (1.0, 255.0, SIXTEEN)  # of floats, whose range no file declares


@dataclass(frozen=True)
class Values:
    """The values of a picture as a file holds them.

    Attributes:
        values: (H, W) or (H, W, 3), whole numbers or floats.
        nodata: the value that stands for none; such pixels are black.
        zero_is_white: low values are bright (MINISWHITE).
        colour_key: the value that is transparent, of (H, W).
    """

    values: np.ndarray
    nodata: float | None = None
    zero_is_white: bool = False
    colour_key: int | None = None


def as_picture(given: Values, reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Scale the values of an image file, of any type, to a picture of 8 bits.

    v -> round(255 (v - black) / (white - black)). 16-bit values lose their low byte instead: exact for files
    made by v * 256 and by v * 257 alike; those of 8 bits with a sign are moved by 128. Floats have no
    declared range: the first of [0, 1], [0, 255], [0, 65535] that contains all values is used, else the range
    of the values; the range of the values also for whole numbers beyond 16 bits. NaN, infinity and `nodata`
    have no part in a range and count as the darkest value. A range that `reading` names comes before all.

    Args:
        facts: gets the range of the values, and whether it was taken for the scale.
    Returns:
        a grey picture for (H, W), one in RGB for (H, W, 3).
    """
    values = given.values
    rows = max(STRIP // max(values[:1].size, 1), 1)
    strips = [values[start : start + rows] for start in range(0, len(values), rows)]
    low, high = _range(strips, given.nodata)
    black, white = _ends(values.dtype, low, high, reading, facts)
    pixels = np.empty(values.shape, np.uint8)
    for number, strip in enumerate(strips):
        scaled = _scaled(_filled(strip, low, given.nodata), black, white)
        if given.zero_is_white:
            scaled = 255 - scaled
        if given.nodata is not None:
            scaled[strip == given.nodata] = 0
        if given.colour_key is not None and reading == AS_STATED:
            scaled[strip == given.colour_key] = 255
        pixels[number * rows :][: len(strip)] = scaled
    return Image.fromarray(pixels)


def _range(strips: Sequence[np.ndarray], nodata: float | None) -> tuple[Any, Any]:
    """Return the minimum and maximum finite value; zeros if there is none."""
    ends = []
    for strip in strips:
        values = strip[np.isfinite(strip)]
        if nodata is not None:
            values = values[values != nodata]
        if values.size:
            ends.append((values.min(), values.max()))
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0, 0)


def _ends(
    kind: np.dtype, low: Any, high: Any, reading: PixelReading, facts: FileFacts
) -> tuple[float, float]:
    """Return the values that become black and white."""
    file_range = float(low), float(high)
    if reading.own_range:
        return file_range
    if reading.value_range is not None:
        return reading.value_range
    if kind.itemsize == 1:
        return (-128.0, 127.0) if kind.kind == "i" else (0.0, 255.0)
    bounds = (SIXTEEN,) if kind.kind in "iu" else BOUNDS
    fits = [bound for bound in bounds if low >= 0 and high <= bound]
    if not fits:
        facts[OWN_RANGE] = file_range
        return file_range
    facts[DEEP] = (*file_range, 0.0, fits[0])
    return 0.0, fits[0]


def _filled(values: np.ndarray, low: Any, nodata: float | None) -> np.ndarray:
    is_valid = np.isfinite(values)
    if nodata is not None:
        is_valid &= values != nodata
    return values if is_valid.all() else np.where(is_valid, values, low)


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    if values.dtype.kind in "iu" and (black, white) == (0.0, SIXTEEN):
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    share = (values.astype(np.float64) - black) / ((white - black) or 1.0)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


# What the fourth band of a picture is: transparency, or values of its own. No torch.


SEEN_THROUGH = 128  # opacity below which a pixel counts as transparent

# Levels and share of pixels between 0 and 255, above both of which a last band is no transparency.
BETWEEN = {"TIFF": (2, 0.5), "JPEG2000": (2, 0.5), "WEBP": (2, 0.5)}  # as satellites' files are
ELSEWHERE = (16, 0.98)  # a .png may well fade over most of it
NO_DATA = ("TIFF", "JPEG2000")  # where pixels without data are 0 in every band


def is_transparency(alpha: Image.Image, file_format: str | None) -> bool:
    """Return True unless most values of an image's last band are neither 0 nor 255, at many levels.

    Near infrared, which satellites and drones store there, has values between nearly everywhere; TIFF, WebP
    and JPEG 2000 written by GDAL and tifffile declare it as alpha all the same.
    """
    counts = np.asarray(alpha.histogram()[:256])
    between = counts[1:255]
    of = counts.sum() - (counts[0] if file_format in NO_DATA else 0)
    few, share = BETWEEN.get(str(file_format), ELSEWHERE)
    return bool(np.count_nonzero(between) <= few or between.sum() <= share * of)


def is_empty(alpha: Image.Image) -> bool:
    """Return True for an image's fourth band that is 0 everywhere, as many programs pad a .bmp."""
    return alpha.getextrema() == (0, 0)


def note_transparency(alpha: Image.Image, facts: FileFacts) -> bool:
    """Note an image file that is not opaque everywhere, with the share of transparent pixels."""
    counts = np.asarray(alpha.histogram()[:256])
    if counts[255] == counts.sum():
        return False
    facts[TRANSPARENT] = (float(counts[:SEEN_THROUGH].sum() / counts.sum()),)
    return True
