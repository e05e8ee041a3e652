"""What the levels of folders of a tree hold: their names, and which levels repeat below the others."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.data.sources.folder_words import (
    QUANTITY,
    WORDNET_ID,
    counts_from_zero,
    is_number,
    numbered_alike,
    says_domain,
)

MOST = 0.5  # share that "most" means
NAMES_SHOWN = 4


class ImagePlace(NamedTuple):
    """A folder of images: its path, the folder of its split, the names of folders that lead from there to it
    (but that of a split), its split, and how many images it holds."""

    path: str
    prefix: str
    parts: tuple[str, ...]
    split: str
    n_images: int


@dataclass
class Level:
    """The folders of one level below the splits; `below`: for each name, those of the base level above it."""

    names: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # images of each name
    below: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def n_images(self) -> int:
        return sum(self.names.values())


@dataclass
class Profile:
    """The levels of a tree, the first that has several names (`base`), and those that repeat below it.

    Attributes:
        base, repeated: numbers of levels, from 1; base is 0 where no level has several names.
        depths: how many levels lead to images.
    """

    levels: list[Level]
    base: int
    repeated: list[int]
    depths: set[int]

    def names(self, level: int) -> list[str]:
        """Return the names of a level, sorted."""
        return sorted(self.levels[level - 1].names)

    @property
    def several(self) -> list[int]:
        """The levels that have several names."""
        return [number for number, level in enumerate(self.levels, 1) if len(level.names) > 1]


def profile_of(folders: Iterable[ImagePlace]) -> Profile:
    """Count the names of each level of folders, in one pass over the folders."""
    folders = list(folders)
    levels: list[Level] = []
    for folder in folders:
        while len(levels) < len(folder.parts):
            levels.append(Level())
        for name, level in zip(folder.parts, levels, strict=False):
            level.names[name] += folder.n_images
    base = next((number for number, level in enumerate(levels, 1) if len(level.names) > 1), 0)
    for folder in folders:
        for name, level in zip(folder.parts[base:], levels[base:], strict=False):
            level.below[name].add(folder.parts[base - 1])
    repeated = [number for number in range(base + 1, len(levels) + 1) if _repeats(levels, base, number)]
    return Profile(levels, base, repeated if base else [], {len(folder.parts) for folder in folders})


def _repeats(levels: Sequence[Level], base: int, number: int) -> bool:
    """Return True where most names of a level lie below most folders of the base level."""
    below = levels[number - 1].below
    needed = max(2, MOST * len(levels[base - 1].names))
    wide = sum(len(above) >= needed for above in below.values())
    return len(below) > 1 and wide >= MOST * len(below)


def class_level_of(profile: Profile) -> int:
    """Choose the level of the classes among those that repeat; without any, the first with several names.

    WordNet ids are classes; words of styles, places and light are not, nor are numbers beside words; of two
    levels of numbers those that count from zero are. Of the levels that are left the deeper one is taken, if
    it has at least as many names.
    """
    left = [profile.base, *profile.repeated]
    ids = [level for level in left if all(map(WORDNET_ID.match, profile.names(level)))]
    if ids:
        return ids[0]
    for is_no_class in (_of_domains, _of_numbers, counts_from_zero):
        left = [level for level in left if not is_no_class(profile.names(level))] or left
    class_level = left[0]
    for level in left[1:]:
        if len(profile.names(level)) >= len(profile.names(class_level)):
            class_level = level
    return class_level


def _of_domains(names: Sequence[str]) -> bool:
    return sum(map(says_domain, names)) >= MOST * len(names)


def _of_numbers(names: Sequence[str]) -> bool:
    if counts_from_zero(names):
        return False
    return all(map(is_number, names)) or all(map(QUANTITY.match, names)) or numbered_alike(names) is not None
