"""The values that mask files hold, which of them are the mask, and what must be asked about them."""

import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.common.addresses import is_url
from core.common.records import Record, Templates
from core.common.remote_objects import read_object
from core.data.decode import TRANSPOSE, decode, orientation
from core.data.picture_limits import TURNS
from core.errors import MaskError, UnreadableImage

say_of_masks = Templates.beside(__file__)
Value = tuple[int, ...]  # a level of grey, or red, green and blue
ANY = "any"
WHITE = (255, 65535)  # of 8 and 16 bits
IGNORE = 255  # beside small class numbers
SMALL = 100  # class numbers beside which it is one
RARE = 0.01  # share of it, of the pixels that are 255, below which a small number is noise
SOFT_TOP = 128  # the highest value of a mask that is soft is at least so high
MANY = 64  # levels, above which a gradual one is soft
FEW = 16  # levels that are numbers where the highest is far from white
FLAT = 0.5  # share of pixels between that lie in areas of one value: in those of class numbers most do
STEP = 32  # part of the highest value that neighbours of a gradual mask differ by at most
NEAR = 64  # lossy files: values so near to one that is asked for are it
BINS, FREQUENT, REST = 16, 0.005, 0.03  # of the values of .jpg; shares of pixels: a level; beside levels
NAMED = 6  # levels in a question
FULL, NEARLY, FEWEST = 0.95, 0.9, 5  # of a picture; of the masks; masks that are judged by it
SOFTWARE, PHOTOMETRIC, WHITE_IS_ZERO = 305, 262, 0  # TIFF tags


@dataclass(frozen=True)
class MaskReading:
    """Which values are the mask.

    Attributes:
        values: those that are; none: as bright, or as opaque, as the file says (soft masks, black and white).
        ignored: neither mask nor ground, such as 255 beside class numbers; not drawn.
        any_other: all values but 0 and those ignored.
        only: decided by a look at some files: one that holds other values than these and 0 is not read.
    """

    values: tuple[Value, ...] = ()
    ignored: tuple[Value, ...] = ()
    any_other: bool = False
    only: bool = False

    @property
    def is_soft(self) -> bool:
        """True where no values are named."""
        return not self.values and not self.any_other

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able data, from which `from_dict` makes it again."""
        values, ignored = ([list(one) for one in some] for some in (self.values, self.ignored))
        only = {"only": True} if self.only else {}
        return {"values": values, "ignored": ignored, "any_other": self.any_other, **only}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MaskReading":
        """Return the reading that `to_dict` described."""
        values, ignored = (tuple(tuple(one) for one in data[name]) for name in ("values", "ignored"))
        return cls(values, ignored, data["any_other"], data.get("only", False))


AS_BRIGHT = MaskReading()


def reading_from(options: dict[str, str], root: str) -> MaskReading | None:
    """Return which values of mask files `?value=` and `?ignore=` name; None without them.

    A value is a level of grey or red,green,blue; several are joined by +; `any` is all but black.

    Raises:
        MaskError: another option, or no such values.

    >>> reading_from({"value": "1 2", "ignore": "255"}, "masks")
    MaskReading(values=((1,), (2,)), ignored=((255,),), any_other=False, only=False)
    """
    if unknown := [name for name in options if name not in ("value", "ignore")]:
        raise MaskError(f"masks '{root}' have no option '{unknown[0]}': they take value and ignore")
    if "value" not in options:
        if "ignore" in options:
            raise MaskError(f"'{root}?ignore=' needs a value, too: ?value=1&ignore=255, or ?value=any")
        return None
    ignored = _values(options.get("ignore", ""), root)
    if options["value"] == ANY:
        return MaskReading((), ignored, any_other=True)
    values = _values(options["value"], root)
    if not values:
        raise MaskError(_no_value(options["value"], root))
    return MaskReading(values, ignored)


def _values(text: str, root: str) -> tuple[Value, ...]:
    values = []
    for part in text.replace("+", " ").split():
        numbers = part.split(",")
        if not all(number.isdecimal() for number in numbers) or len(numbers) not in (1, 3):
            raise MaskError(_no_value(text, root))
        values.append(tuple(map(int, numbers)))
    return tuple(values)


def _no_value(text: str, root: str) -> str:
    return (
        f"'{root}?value={text}' is no level of grey. Write ?value=1, ?value=1+2 for several, "
        "?value=255,0,0 for a colour, or ?value=any for all but black"
    )


@dataclass(frozen=True)
class StoredMask:
    """What one mask file holds, upright.

    Attributes:
        values: (H, W) whole numbers, or (H, W, 3) uint8 where it has colours; None: a soft mask by its kind
            (opacity, floats).
        lossless: whether values are exact.
        numbers: (H, W) places in the palette, where it has one in colours.
    """

    values: np.ndarray | None
    lossless: bool = True
    numbers: np.ndarray | None = None


def stored_values(path: str | Path) -> StoredMask:
    """Read the values that a mask file holds. Raises UnreadableImage, as `decode`."""
    whole = decode(path)
    file = io.BytesIO(read_object(str(path))) if is_url(path) else path  # from the cache by now
    with Image.open(file) as image, TURNS.turn(image.width * image.height):
        lossless = image.format != "JPEG"
        turn = orientation(image)
        if image.mode == "P" and not image.has_transparency_data:
            numbers = np.asarray(_turned(image, turn))
            colours = np.asarray(whole)
            if _is_grey(colours):
                return StoredMask(colours[..., 0])
            return StoredMask(numbers if _is_voc(image, numbers) else colours, numbers=numbers)
        if image.mode == "F" or (image.has_transparency_data and _has_clear_parts(image)):
            return StoredMask(None)
        if image.mode == "1":
            bits = np.asarray(_turned(image, turn)).astype(np.uint8)
            return StoredMask(1 - bits if holds_inverted_bits(image) else bits)
        if image.mode.startswith("I"):
            return StoredMask(np.asarray(_turned(image, turn)))
    colours = np.asarray(whole)
    return StoredMask(colours[..., 0] if _is_grey(colours, lossless=lossless) else colours, lossless)


def _turned(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(TRANSPOSE[turn]) if turn in TRANSPOSE else image


def _has_clear_parts(image: Image.Image) -> bool:
    """Return True where the opacity of an image file may be its mask."""
    low: Any = image.convert("RGBA").getchannel("A").getextrema()
    return low[0] < 255


def holds_inverted_bits(image: Image.Image) -> bool:
    """Return True for a mask of booleans by tifffile: 1 is stored for True and declared to be black."""
    tags: Any = getattr(image, "tag_v2", {})
    software = str(tags.get(SOFTWARE, ""))
    return image.mode == "1" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and software.startswith("tifffile")


def _is_grey(colours: np.ndarray, *, lossless: bool = True) -> bool:
    spread = colours.max(axis=2).astype(int) - colours.min(axis=2)
    return bool(spread.max(initial=0) <= (0 if lossless else 24))


def _is_voc(image: Image.Image, numbers: np.ndarray) -> bool:
    """Return True where the palette is PASCAL VOC's: its places are numbers of classes."""
    palette = np.asarray(image.getpalette("RGB")).reshape(-1, 3)
    used = np.unique(numbers)
    used = used[(used > 0) & (used < min(len(palette), IGNORE))]
    return bool(len(used)) and all(tuple(palette[one]) == voc_colour(int(one)) for one in used)


def voc_colour(number: int) -> tuple[int, int, int]:
    """Return the colour, (R, G, B), by which mask files of Pascal VOC show the class of a number.

    >>> voc_colour(1), voc_colour(15)
    ((128, 0, 0), (192, 128, 128))
    """
    colour = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return colour[0], colour[1], colour[2]


def selected(stored: StoredMask, reading: MaskReading) -> np.ndarray:
    """Return where a mask file holds the values of the mask: (H, W) float32, 0 or 1.

    Raises:
        UnreadableImage: the file holds no levels to choose from, or one that nobody decided about.
    """
    if stored.values is None:
        raise UnreadableImage("its mask is soft (opacity or fractions): it has no ?value=")
    is_mask = np.zeros(stored.values.shape[:2], bool)
    for value in reading.values:
        is_mask |= _holds(stored, value)
    if reading.any_other:
        is_mask |= ~_holds(stored, (0,))
    for value in reading.ignored:
        is_mask &= ~_holds(stored, value)
    if reading.only:
        is_other_level = np.logical_or.reduce([_holds(stored, value) for value in (*reading.ignored, (0,))])
        if not (is_mask | is_other_level).all():
            other = stored.values[~(is_mask | is_other_level)][0]
            raise UnreadableImage(f"it holds the value {other}, as other masks do not; name it by ?value=")
    return is_mask.astype(np.float32)


def _holds(stored: StoredMask, value: Value) -> np.ndarray:
    values: Any = stored.values
    if len(value) == 1 and value[0] and stored.numbers is not None:
        return stored.numbers == value[0]
    within = 0 if stored.lossless else NEAR
    if values.ndim == 3:
        return (np.abs(values.astype(int) - value) <= within).all(2)
    if len(set(value)) > 1:
        return np.zeros(values.shape, bool)
    return np.abs(values.astype(np.int64) - value[0]) <= within


@dataclass
class Levels:
    """Values of some mask files, added up.

    Attributes:
        grey, colours: value -> pixels, of lossless files in grey, in colours. lossy: pixels by sixteenths of
            the range, of grey .jpg files. n_files: those that count.
        between, flat: pixels between black and the highest value; those of them in areas of one value.
        steps, small: neighbours that differ; those that differ little.
    """

    grey: Counter[int] = field(default_factory=Counter)
    colours: Counter[Value] = field(default_factory=Counter)
    lossy: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    n_files: int = 0
    between: int = 0
    flat: int = 0
    steps: int = 0
    small: int = 0

    def add(self, stored: StoredMask) -> None:
        """Count one file; soft ones say nothing."""
        if stored.values is None:
            return
        if stored.values.ndim == 3:
            self.n_files += 1
            self.colours.update(_colour_counts(stored.values, lossless=stored.lossless))
        elif stored.lossless:
            self.n_files += 1
            values, counts = np.unique(stored.values, return_counts=True)
            self.grey.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            self._add_texture(stored.values.astype(np.int64))
        else:
            self.n_files += 1
            self.lossy += np.histogram(stored.values, BINS, (0, 256))[0]

    def _add_texture(self, values: np.ndarray) -> None:
        highest = int(values.max(initial=0))
        top = highest if highest < SOFT_TOP else 255 if highest <= 255 else highest
        here = values[:-1, :-1]
        right = np.abs(here - values[:-1, 1:])
        below = np.abs(here - values[1:, :-1])
        between = (here > 0) & (here < top)
        self.between += int(between.sum())
        self.flat += int((between & (right == 0) & (below == 0)).sum())
        differ = right > 0
        self.steps += int(differ.sum())
        self.small += int((differ & (right <= max(top / STEP, 1))).sum())


def _colour_counts(values: np.ndarray, *, lossless: bool) -> dict[Value, int]:
    flat = values.reshape(-1, 3).astype(np.int64)
    if not lossless:
        flat = np.minimum((flat + 32) // 64 * 64, 255)
    packed, counts = np.unique(flat @ (65536, 256, 1), return_counts=True)
    colours = [(one >> 16, one >> 8 & 255, one & 255) for one in packed.tolist()]
    return dict(zip(colours, counts.tolist(), strict=True))


def decided(levels: Levels, root: str) -> tuple[MaskReading, list[Record]]:
    """Return which values of a set of mask files are the mask, and notes.

    Black and one other value: that one. Soft masks: as bright as they are. Class numbers beside 255: it is
    ignored. All else is asked.

    Raises:
        MaskError: three or more levels or colours, or no black ground, with their shares and the option.
    """
    if levels.colours:
        return _decided_by_colour(levels, root)
    if lossy := _lossy_levels(levels.lossy):
        raise MaskError(_question(lossy, "level", root, levels.n_files))
    if not levels.grey:  # lossy files, or masks that are opacity
        return AS_BRIGHT, []
    present = sorted(levels.grey)
    notes, ignored = [], ()
    if _has_ignored(levels.grey):
        present, ignored = present[:-1], ((IGNORE,),)
        notes = [say_of_masks("ignored", n=IGNORE, value=_share(levels.grey, IGNORE))]
    black_and_white = len(present) <= 2 and present[0] == 0 and present[-1] in (0, *WHITE)
    if (len(present) < 2 or black_and_white) and not ignored:
        return AS_BRIGHT, []
    if len(present) <= 2 and present[0] == 0:
        values = tuple((one,) for one in present[1:]) or ((1,),)
        return MaskReading(values, ignored, only=True), notes
    if not ignored and _is_soft(levels):
        return AS_BRIGHT, []
    named = {str(one): n for one, n in levels.grey.items()}
    raise MaskError(_question(named, "level", root, levels.n_files))


def _lossy_levels(bins: np.ndarray) -> dict[str, int]:
    """Return the levels of .jpg files where they hold three or more and little between; {} elsewhere."""
    total = max(int(bins.sum()), 1)
    peaks: list[list[int]] = []
    for at in np.flatnonzero(bins > FREQUENT * total).tolist():
        if peaks and at == peaks[-1][-1] + 1:
            peaks[-1].append(at)
        else:
            peaks.append([at])
    n_near_peaks = sum(int(bins[peak].sum()) for peak in peaks)
    if len(peaks) < 3 or max(map(len, peaks)) > 2 or n_near_peaks < (1 - REST) * total:
        return {}
    width = 256 // BINS
    levels = {}
    for peak in peaks:
        middle = round(np.mean(peak) * width + width / 2)
        levels[str(middle)] = int(bins[peak].sum())
    return levels


def _has_ignored(grey: Counter[int]) -> bool:
    numbers = [one for one in grey if 0 < one < IGNORE]
    if IGNORE not in grey or not numbers or max(numbers) > SMALL or max(grey) > IGNORE:
        return False
    return sum(grey[number] for number in numbers) > RARE * grey[IGNORE]


def _is_soft(levels: Levels) -> bool:
    highest = max(levels.grey)
    if highest < SOFT_TOP or (len(levels.grey) <= FEW and not _is_white(highest)):
        return False
    if levels.flat <= FLAT * levels.between:
        return True
    return len(levels.grey) > MANY and levels.small > 0.5 * levels.steps


def _is_white(value: int) -> bool:
    return any(NEARLY * white <= value <= white for white in WHITE)


def _decided_by_colour(levels: Levels, root: str) -> tuple[MaskReading, list[Record]]:
    colours = levels.colours + Counter({(one, one, one): n for one, n in levels.grey.items()})
    total = sum(colours.values())
    frequent = [one for one, n in colours.items() if n > 0.001 * total]
    if (0, 0, 0) in colours and _one_hue(frequent):
        return AS_BRIGHT, []
    named = {",".join(map(str, one)): n for one, n in colours.items()}
    raise MaskError(_question(named, "colour", root, levels.n_files))


def _one_hue(colours: Iterable[Value]) -> bool:
    """Return True where all colours but black are shades of one, as in a soft mask in a colour on black."""
    shades = [np.array(colour) / max(colour) for colour in colours if max(colour) >= 32]
    return bool(shades) and np.ptp(shades, axis=0).max() < 0.15


def _share(counts: Counter[int], value: int) -> float:
    return counts[value] / max(sum(counts.values()), 1)


def _question(counts: dict[str, int], what: str, root: str, n_files: int) -> str:
    total = sum(counts.values())
    largest = sorted(counts, key=lambda one: -counts[one])[:NAMED]
    beside = f"{os.path.normpath(root)}.json"
    if what == "colour" and os.path.isfile(beside):
        return say_of_masks("segments", n=len(counts), of=n_files, what=root, why=beside)
    shares = tuple(f"{value} ({counts[value] / total:.1%})" for value in largest)
    usual = next((one for one in largest if one not in ("0", "0,0,0")), largest[0])
    if len(counts) > len(largest):
        kind = "colours_more" if what == "colour" else "levels_more"
    else:
        kind = "colours" if what == "colour" else "levels"
    return say_of_masks(kind, n=len(counts), of=n_files, names=shares, what=root, why=usual)


def check_polarity(masks: Iterable[np.ndarray], kind: str, root: str) -> None:
    """Ask whether black is the object where nearly all masks cover nearly their whole pictures.

    Or core masks their whole frame.

    Args:
        masks: (H, W) in [0, 1] each, of one kind.
    Raises:
        MaskError: with the number of such masks and the options.
    """
    shares = []
    for mask in masks:
        frame = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        shares.append((float(mask.mean()), float(frame.mean())))
    full = sum(share >= FULL for share, _ in shares)
    if len(shares) >= FEWEST and full >= NEARLY * len(shares):
        raise MaskError(say_of_masks("covering", n=full, of=len(shares), value=FULL, what=root, why=kind))
    framed = [share for share, of_frame in shares if of_frame >= FULL]
    if kind == "core" and len(shares) >= FEWEST and len(framed) >= NEARLY * len(shares):
        value = sum(framed) / len(framed)
        raise MaskError(
            say_of_masks("framing", n=len(framed), of=len(shares), value=value, what=root, why=kind)
        )
