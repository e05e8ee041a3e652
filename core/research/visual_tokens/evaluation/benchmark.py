"""What a test of composition consists of: items about pictures, and the pictures. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from core.data.sources.decode import decode
from core.errors import TokenError, UnreadableImage
from core.research.visual_tokens.plugs import KeyedPicture


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
        dropped: what was left out, and how often.
        notes: what must be said beside its numbers.
        least_group: items that a group needs to count in the mean over groups.
    """

    name: str
    items: Sequence[ChoiceItem] | Sequence[PairItem]
    read: Callable[[str], KeyedPicture]
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    least_group: int = 1

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


def missing_images(names: Sequence[str], n_found: int, path: Path) -> dict[str, int]:
    """Count images that a file names but that are not there, with the first ones and the share missing.

    Raises:
        TokenError: none is there.
    """
    unique = list(dict.fromkeys(names))
    if not unique:
        return {}
    if not n_found:
        raise TokenError(
            f"'{path}' names {len(unique)} images and none is there, such as '{unique[0]}'. "
            "Unpack them beside it, or move the file away"
        )
    share, more = len(unique) / (len(unique) + n_found), " …" if len(unique) > 3 else ""
    return {f"images that are not there ({share:.0%}: {', '.join(unique[:3])}{more})": len(unique)}


def opened(content: Path | bytes, name: object) -> Image.Image:
    """Decode a picture, from a file or its bytes. Raises TokenError."""
    try:
        return decode(content)
    except UnreadableImage as error:
        raise TokenError(f"the picture '{name}' cannot be read: {error}") from error


def keys_of(item: ChoiceItem | PairItem) -> Iterator[str]:
    if isinstance(item, ChoiceItem):
        yield item.picture
    else:
        yield from item.pictures
