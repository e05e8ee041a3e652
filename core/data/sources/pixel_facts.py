"""What was found in the pixels of image files that one look at the picture would not tell, counted over them.

`decode` leaves the facts of a file in `info["facts"]` of its picture: kinds, with numbers such as a range.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from core.common.records import Record, Templates

say_of_pixels = Templates.beside(__file__)
FileFacts = dict[str, tuple[float, ...]]
DARK = 0.25  # of the range that a type allows: values that span less are shown with few levels of grey
DEEP = "deep"  # a file of more than 8 bits a channel: its lowest and highest value, what is black and white
FOURTH_BAND, FURTHER_BANDS, TWO_BANDS = "fourth_band", "further_bands", "two_bands"
PAGES, CHANNELS, OWN_RANGE, NARROW = "pages", "channels", "own_range", "narrow"
TRANSPARENT, TURNED = "transparent", "turned"
KINDS = (FOURTH_BAND, FURTHER_BANDS, TWO_BANDS, PAGES, CHANNELS, OWN_RANGE, TRANSPARENT, TURNED)


def file_facts(image: Image.Image) -> FileFacts:
    """Return the facts that `decode` left with a picture."""
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
    """Add up the facts of pictures."""
    facts = PixelFacts()
    for picture in pictures:
        facts.add(file_facts(picture))
    return facts
