"""What a test of composition consists of: items about pictures, and the pictures. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from core.visual_tokens.plugs import KeyedPicture


@dataclass(frozen=True)
class ChoiceItem:
    """A picture and captions of which the first is true; `group` is a relation or another kind."""

    picture: str
    captions: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True)
class PairItem:
    """Two pictures and their captions, in the same order."""

    pictures: tuple[str, str]
    captions: tuple[str, str]
    group: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One test.

    Attributes:
        name: of the test. items: all of one kind.
        read: key -> the picture.
        chance: share that guessing reaches, of a test of choices.
        dropped: what was left out, and how often.
        notes: what must be said beside its numbers.
    """

    name: str
    items: Sequence[ChoiceItem] | Sequence[PairItem]
    read: Callable[[str], KeyedPicture]
    chance: float = 0.5
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def choices(self) -> list[ChoiceItem]:
        return [item for item in self.items if isinstance(item, ChoiceItem)]

    @property
    def pairs(self) -> list[PairItem]:
        return [item for item in self.items if isinstance(item, PairItem)]

    @property
    def keys(self) -> list[str]:
        """List the pictures of all items, each once, in order."""
        named = [key for item in self.items for key in keys_of(item)]
        return list(dict.fromkeys(named))

    def of_pictures(self, keys: Sequence[str]) -> Benchmark:
        """Return a list of pictures alone, as items without captions."""
        return Benchmark("pictures", [ChoiceItem(key, ()) for key in keys], self.read)

    @property
    def captions(self) -> list[str]:
        """List the captions of all items, each once, in order."""
        return list(dict.fromkeys(caption for item in self.items for caption in item.captions))


def keys_of(item: ChoiceItem | PairItem) -> Iterator[str]:
    if isinstance(item, ChoiceItem):
        yield item.picture
    else:
        yield from item.pictures
