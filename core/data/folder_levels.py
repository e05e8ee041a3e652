"""The levels of a tree of folders: what they hold, and which of them are splits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.data.folder_walk import Folder
from core.data.folder_words import (
    CONTAINERS,
    QUANTITY,
    SPLIT_WORDS,
    UNLABELLED_BESIDE,
    WORDNET_ID,
    counts_from_zero,
    is_number,
    name_words,
    numbered_alike,
    says_domain,
    split_of_folder,
    splits_alike,
)
from core.data.source import SPLIT_NAMES, split_named

# Find the folders of splits in a tree: at the root, inside a wrapper, or inside each class.


KINDS = ("train", "val", "test", "id_val", "id_test")


@dataclass
class Splits:
    """Folders of splits: `of` maps paths below the root to "train" or "val"; `inside` maps names of folders
    that lie in each class. Folders beside them that are not read are `ignored`."""

    of: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)  # of the folders in `of`: "test" is not "val"
    val_as_train: bool = False


def join(*parts: str) -> str:
    """Join names of folders of images to a path, without empty ones.

    >>> join("", "train", "cat")
    'train/cat'
    """
    return "/".join(part for part in parts if part)


def above_of(path: str) -> list[str]:
    """Return a folder of images and all above it, the root last.

    >>> above_of("val/images")
    ['val/images', 'val', '']
    """
    paths = [path]
    while paths[-1]:
        paths.append(paths[-1].rpartition("/")[0])
    return paths


def children(tree: Mapping[str, Folder], counts: Mapping[str, int], path: str) -> list[str]:
    """Return the folders of a folder that hold images at any depth."""
    return [name for name in tree[path].folders if counts.get(join(path, name))] if path in tree else []


def find_splits(tree: Mapping[str, Folder], counts: Mapping[str, int]) -> Splits:
    """Find the splits of images (train, val, test) by the names of folders.

    Args:
        counts: the images in and below each folder, without masks.
    """
    at = ""
    while True:
        if (splits := _splits_at(tree, counts, at)) is not None:
            splits.of = {_inner(tree, counts, path): split for path, split in splits.of.items()}
            splits.kinds = {_inner(tree, counts, path): kind for path, kind in splits.kinds.items()}
            return splits
        inner = children(tree, counts, at)
        if len(inner) != 1 or tree[at].images:
            break
        at = join(at, inner[0])
    return _splits_in_classes(tree, counts, at) or Splits()


def first_splits(tree: Mapping[str, Folder], counts: Mapping[str, int]) -> Splits:
    """Find splits of images as studies without a stored reading did: by few names, at the root only."""
    named = [name for name in tree[""].folders if split_named(name)]
    kinds = {name: str(split_named(name)) for name in sorted(named, key=_order)}
    if {"train"} < set(kinds.values()):
        return _of_kinds(tree, counts, "", kinds)
    alone = len(kinds) == len(tree[""].folders)
    if not (alone and any(tree[name].folders for name in named if name in tree)):
        return Splits()
    return _of_kinds(tree, counts, "", kinds)


def _splits_at(tree: Mapping[str, Folder], counts: Mapping[str, int], at: str) -> Splits | None:
    named = {name: kind for name in sorted(tree[at].folders, key=_order) if (kind := split_of_folder(name))}
    if not named:
        alike = splits_alike(children(tree, counts, at))
        named = dict(sorted(alike.items(), key=lambda item: (KINDS.index(item[1]), item[0])))
    splits = {kind for name, kind in named.items() if counts.get(join(at, name))}
    if not splits:
        return None
    others = [name for name in children(tree, counts, at) if name not in named and not _says_unlabelled(name)]
    exact_kinds = {kind for name, kind in named.items() if name.lower() in SPLIT_WORDS}
    exact = all(name.lower() in SPLIT_WORDS for name in named)
    if {"train"} < splits and ({"train"} < exact_kinds or not others):
        kinds = _with_classes(tree, counts, at, _without_doubles(named))
        return _of_kinds(tree, counts, at, kinds)
    alone = not others and (exact or splits in ({"train"}, {"val", "test"}))
    nested = any(children(tree, counts, join(at, name)) for name in named)
    return _of_kinds(tree, counts, at, named) if alone and nested else None


def _says_unlabelled(name: str) -> bool:
    return not UNLABELLED_BESIDE.isdisjoint(name_words(name))


def _without_doubles(kinds: dict[str, str]) -> dict[str, str]:
    """Leave out `trainval` where its two halves lie beside it."""
    if {"train", "trainval"} <= {name.lower() for name in kinds}:
        return {name: kind for name, kind in kinds.items() if name.lower() != "trainval"}
    return kinds


def _with_classes(
    tree: Mapping[str, Folder], counts: Mapping[str, int], at: str, kinds: dict[str, str]
) -> dict[str, str]:
    """Leave out evaluation folders that say less than others: without class folders beside one of their kind
    that has some (MVTec AD 2), and a val with one class where test has several (MVTec LOCO)."""
    n_classes = {name: len(children(tree, counts, _inner(tree, counts, join(at, name)))) for name in kinds}
    most = {kind: max(n_classes[name] for name in kinds if kinds[name] == kind) for kind in kinds.values()}
    prefers_test = most.get("train", 0) > 0 and most.get("val") == 1 and most.get("test", 0) > 1
    says_less = {name for name, kind in kinds.items() if most[kind] and not n_classes[name]}
    says_less |= {name for name, kind in kinds.items() if kind == "val" and prefers_test}
    return {name: kind for name, kind in kinds.items() if kind == "train" or name not in says_less}


def _of_kinds(
    tree: Mapping[str, Folder], counts: Mapping[str, int], at: str, kinds: dict[str, str]
) -> Splits:
    """Take train, and the first evaluation folder that holds images; without train, val takes its part."""
    fitted_on = "val" if "train" not in kinds.values() and {"val", "test"} <= set(kinds.values()) else "train"
    splits = Splits(val_as_train=fitted_on == "val")
    evaluated = None
    for name, kind in kinds.items():
        path = join(at, name)
        if kind == fitted_on:
            splits.of[path] = "train"
        elif evaluated is None or (kind == evaluated and name.lower() not in SPLIT_WORDS):
            splits.of[path] = "val"
            evaluated = kind if counts.get(path) else evaluated
        else:
            splits.ignored.append(path)
            continue
        splits.kinds[path] = kind
    rest = [join(at, name) for name in tree[at].folders if name not in kinds]
    splits.ignored = rest + splits.ignored
    return splits


def _splits_in_classes(tree: Mapping[str, Folder], counts: Mapping[str, int], at: str) -> Splits | None:
    """Find CLASS/train and CLASS/test, where at least half of the classes have both."""
    classes = children(tree, counts, at)
    with_both = 0
    kinds: dict[str, str] = {}
    for name in classes:
        inner = {
            one: kind for one in children(tree, counts, join(at, name)) if (kind := split_of_folder(one))
        }
        with_both += {"train"} < set(inner.values())
        kinds |= inner
    if not classes or 2 * with_both < len(classes):
        return None
    evaluated = "val" if "val" in kinds.values() else "test"
    inside = {
        name: "train" if kind == "train" else "val"
        for name, kind in kinds.items()
        if kind in ("train", evaluated)
    }
    left = set()
    for name in classes:
        folders = children(tree, counts, join(at, name))
        left |= {join(at, name, folder) for folder in folders if folder not in inside}
    return Splits(inside=inside, ignored=sorted(left))


def _inner(tree: Mapping[str, Folder], counts: Mapping[str, int], path: str) -> str:
    """Go down to where the classes of a split are: `seg_train/seg_train`, `val/images`."""
    while path in tree and not tree[path].images:
        inner = children(tree, counts, path)
        name = path.rpartition("/")[2].lower()
        if len(inner) != 1 or inner[0].lower() not in (*CONTAINERS, name):
            return path
        path = join(path, inner[0])
    return path


def _order(name: str) -> tuple[int, int, str]:
    """Sort train before val before test, and each kind in the order of `SPLIT_NAMES`."""
    kind = split_of_folder(name)
    split_names = list(SPLIT_NAMES)
    at = split_names.index(name.lower()) if name.lower() in split_names else len(split_names)
    return (KINDS.index(kind) if kind else len(KINDS), at, name)


# What the levels of folders of a tree hold: their names, and which levels repeat below the others.


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
    """Count the names of each level of folders of images, in one pass over the folders."""
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
    """Choose the level of folders that names the classes: one that repeats, or of several names.

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
