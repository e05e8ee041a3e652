"""One reading of a tree: which folders are splits, classes, domains, groups or masks. Part of a manifest."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import gcd
from typing import Any, Self

from core.config.reading import LEAF
from core.data.folder_levels import (
    ImagePlace,
    Profile,
    Splits,
    above_of,
    children,
    class_level_of,
    find_splits,
    first_splits,
    join,
    profile_of,
)
from core.data.folder_masks import Masks
from core.data.folder_walk import Folder
from core.data.folder_words import (
    BESIDE_CAMERAS,
    CAMERA,
    CONTAINERS,
    DRAWN_MAPS,
    SCENE_FILE,
    SPLIT_WORDS,
    TAXA,
    UNLABELLED,
    are_codes,
    are_hashed,
    beside_split,
    is_number,
    name_groups,
    name_words,
)
from core.data.groups import FEWEST_GROUPS

# Folders that hold the class folders beside them once more, as archives packed in themselves leave them.


SAME = 0.5  # share of file names that both have


def _folders_again(
    tree: Mapping[str, Folder], counts: Mapping[str, int], prefixes: Iterable[str]
) -> list[str]:
    """Return the folders among the classes whose own folders are these classes again, with equal files.

    `yes/`, `no/` and `brain_tumor_dataset/{yes,no}`; `flowers/rose/` and `flowers/flowers/rose/`.

    Args:
        counts: the images in and below each folder. prefixes: where the classes of each split begin.
    """
    return [path for prefix in prefixes for path in _again_in(tree, counts, prefix)]


def _again_in(tree: Mapping[str, Folder], counts: Mapping[str, int], at: str) -> list[str]:
    names = children(tree, counts, at)
    while len(names) == 1 and not tree[at].images:
        at = join(at, names[0])
        names = children(tree, counts, at)
    paths = [join(at, name) for name in names]
    return [path for path in paths if _holds_again(tree, counts, path, {join(at, name) for name in names})]


def _holds_again(tree: Mapping[str, Folder], counts: Mapping[str, int], path: str, classes: set[str]) -> bool:
    """Return True where a folder holds two or more of the classes beside it and no other folder."""
    above = path.rpartition("/")[0]
    inner = children(tree, counts, path)
    pairs = [(join(path, name), join(above, name)) for name in inner]
    if len(inner) < 2 or tree[path].images or not {other for _, other in pairs} <= classes - {path}:
        return False
    same = 0
    for path_here, path_above in pairs:
        same += len(set(tree[path_here].images) & set(tree[path_above].images))
    return same > 0 and same >= SAME * counts[path]


# One reading of a tree: which folders are splits, classes, domains, groups or masks. Part of a manifest.


PARTS = frozenset(("part", "parts", "shard", "batch", "chunk", *CONTAINERS))
OF_VOC = "jpegimages"
MOST_COUNTED, FEWEST_COUNTED = 20, 8  # images of a folder, and of all, whose numbers are looked at
LEAST_STEP = 10
Tree = Mapping[str, Folder]


@dataclass(frozen=True)
class TreeReading:
    """How a tree is read. Levels count from 1, below the splits; all paths are below the root.

    Attributes:
        splits: folders and their splits ("train", "val", or "all" where one is drawn).
        inside: names of folders in each class that are splits; they count as no level.
        classes: level that names the class; LEAF: the whole path from level `leaf_from` on; None: no labels.
        domains: levels that become the column `domain`.
        group: level that becomes the column `group`; group_asked: the split goes by it even where it has few.
        masks: names of folders that are left out; mask_files: also files such as `x_mask.png` beside `x.png`.
        without_label: class folders whose images have no label.
        label_files: of a split's folder that has no class folders, the file that names its labels.
        classes_of_prefix: of splits without class folders, the class that their name says: A of `trainA`.
        ignored: folders of images beside the splits.
        left_out: folders that hold the classes beside them once more.
        shard_tables: of folders that only hold parts of one set, the table beside each, and shard_label: its
            column of labels, or None.
    """

    splits: Mapping[str, str] = field(default_factory=lambda: {"": "all"})
    inside: Mapping[str, str] = field(default_factory=dict)
    classes: int | str | None = 1
    leaf_from: int = 1
    domains: Sequence[int] = ()
    group: int | None = None
    group_asked: bool = False
    masks: Sequence[str] = ()
    mask_files: bool = False
    without_label: Sequence[str] = ()
    label_files: Mapping[str, str] = field(default_factory=dict)
    classes_of_prefix: Mapping[str, str] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    left_out: Sequence[str] = ()
    shard_tables: Mapping[str, str] = field(default_factory=dict)
    shard_label: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what differs from a plain tree of classes."""
        plain = _plain(TreeReading())
        return {name: value for name, value in _plain(self).items() if value != plain[name]}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return the reading of a manifest; what another version wrote beside it is passed over."""
        field_names = {one.name for one in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in stored.items() if name in field_names}
        given |= {name: dict(given[name]) for name in MAPPINGS if name in given}
        return cls(**given)

    def label_of(self, parts: Sequence[str]) -> str | None:
        """Return the class of the images in a folder that these names lead to; None for no label."""
        if self.classes is None or not parts or parts[0] in self.without_label:
            return None
        if self.classes == LEAF:
            return "/".join(parts[self.leaf_from - 1 :]) or parts[-1]
        return _at(parts, int(self.classes))

    def domain_of(self, parts: Sequence[str]) -> str:
        """Return the names of the levels that are domains, as one text."""
        return "/".join(parts[level - 1] for level in self.domains if len(parts) >= level)

    def group_of(self, parts: Sequence[str]) -> str | None:
        """Return the group of the images in a folder: the path down to its level; None above it."""
        if self.group is None or len(parts) < self.group:
            return None
        return parts[self.group - 1]


MAPPINGS = ("splits", "inside", "label_files", "classes_of_prefix", "shard_tables")


def _plain(reading: TreeReading) -> dict[str, Any]:
    """Return JSON-able values; mappings as pairs, since names of folders are no names of settings."""
    values = asdict(reading)
    pairs = {name: [list(pair) for pair in values[name].items()] for name in MAPPINGS}
    lists = {name: list(value) for name, value in values.items() if isinstance(value, list | tuple)}
    return {**values, **lists, **pairs}


@dataclass
class ReadingChoice:
    """A reading with what it was chosen from: kinds of sentences are decided on these facts."""

    reading: TreeReading
    profile: Profile
    splits: Splits
    masks: Masks
    other: int | str | None = None  # the next likely `--class-level`
    why: str = "plain"  # kind of the sentence
    flat_test: str = ""  # a test folder without labels, which is left out


def places_of(tree: Tree, reading: TreeReading) -> list[ImagePlace]:
    """Return the folders that hold images of a reading, split by split in the order of names."""
    places = []
    for prefix, split in reading.splits.items():
        for path in sorted(_below(tree, prefix)):
            folder = tree[path]
            if not folder.images or any(_is_in(path, one) for one in reading.left_out):
                continue
            parts = path[len(prefix) :].strip("/").split("/") if path != prefix else []
            inner = next((name for name in parts if name in reading.inside), None)
            if reading.inside and inner is None:
                continue
            if inner is not None:
                parts.remove(inner)
            of_split = split if inner is None else reading.inside[inner]
            places.append(ImagePlace(path, prefix, tuple(parts), of_split, len(folder.images)))
    return places


def _counts_below(tree: Tree) -> dict[str, int]:
    """Count the images in and below each folder."""
    counts: dict[str, int] = defaultdict(int)
    for path, folder in tree.items():
        if folder.images:
            for above in above_of(path):
                counts[above] += len(folder.images)
    return counts


def first_reading(tree: Tree, class_level: int) -> TreeReading:
    """Return how studies that store none read a tree of images: few names of splits, classes on one level."""
    splits = first_splits(tree, _counts_below(tree))
    of = splits.of or {"": "all"}
    return TreeReading(splits=of, classes=class_level, ignored=splits.ignored)


def choose_reading(
    tree: Tree,
    masks: Masks,
    label_file: Callable[[str, set[str]], str | None],
    *,
    class_level: int | str | None = None,
    group_level: int | None = None,
) -> ReadingChoice:
    """Choose the likeliest reading of a tree of images: its splits and classes; given levels are taken.

    Args:
        tree: every folder by its path below the root, without masks. masks: what was taken out of it.
        label_file: returns the file that gives the images of a folder labels of a set, or None.
    """
    counts = _counts_below(tree)
    splits = find_splits(tree, counts)
    ignored = [path for path in splits.ignored if counts.get(path)]
    start = TreeReading(
        splits=splits.of or {"": "all"},
        inside=splits.inside,
        masks=masks.folders,
        mask_files=masks.files,
        ignored=ignored,
    )
    start = _without_containers(tree, counts, start)
    start = replace(start, left_out=_folders_again(tree, counts, start.splits))
    places = places_of(tree, start)
    start = replace(start, label_files=_label_files(places, start, label_file))
    start = replace(start, classes_of_prefix=_letters_of_splits(places))
    flat_test = _flat_test(splits, places, start)
    if flat_test:
        of = {path: split for path, split in start.splits.items() if path != flat_test}
        start = replace(start, splits=of, ignored=[*start.ignored, flat_test])
        places = [folder for folder in places if folder.path != flat_test]
    start = _unlabelled_apart(start, places)
    labelled = [folder for folder in places if not (folder.parts and folder.parts[0] in start.without_label)]
    choice = _levels_chosen(
        ReadingChoice(start, profile_of(labelled), splits, masks, flat_test=flat_test), tree
    )
    return _as_asked(choice, class_level, group_level)


def _levels_chosen(choice: ReadingChoice, tree: Tree) -> ReadingChoice:
    """Choose the level of the classes."""
    levels, reading = choice.profile, choice.reading
    if not levels.levels:
        return replace(choice, reading=replace(reading, classes=None), why="plain")
    if _are_parts(levels, tree, choice.splits) or _are_hashed(levels) or _are_counted(levels, tree):
        return replace(choice, reading=replace(reading, classes=None), other=levels.base or 1, why="parts")
    if (camera := _cameras(levels)) is not None:
        if camera > 1 and set(reading.splits) == {""} and BESIDE_CAMERAS.issuperset(levels.names(1)):
            return _levels_chosen(_below_frames(choice, tree), tree)
        group = _drives(levels, camera)
        by_camera = replace(reading, classes=None, domains=[camera], group=group)
        by_camera = replace(by_camera, group_asked=group is not None and _are_many(levels, group))
        return replace(choice, reading=by_camera, other=levels.base, why="cameras")
    if _are_scenes(tree):
        scenes = replace(reading, classes=None, group=levels.base or None)
        scenes = replace(scenes, group_asked=levels.base > 0 and _are_many(levels, levels.base))
        return replace(choice, reading=scenes, other=levels.base or 1, why="scenes")
    if (taxa := _taxa(levels)) is not None:
        species = replace(reading, classes=taxa + 1, domains=[taxa])
        return replace(choice, reading=species, other=taxa, why="taxa")
    if (group := _group_of_codes(levels)) is not None:
        by_code = replace(reading, classes=None, group=group, group_asked=_are_many(levels, group))
        return replace(choice, reading=by_code, other=levels.base, why="codes")
    if (first := _letters(levels)) is not None:
        letters = replace(reading, classes=LEAF, leaf_from=first)
        return replace(choice, reading=letters, other=first, why="letters")
    if _are_groups_alone(levels):
        grouped = replace(
            reading, classes=None, group=levels.base, group_asked=_are_many(levels, levels.base)
        )
        return replace(choice, reading=grouped, other=levels.base, why="groups_alone")
    if levels.repeated:
        return _of_repeated(choice)
    if levels.base > 1:
        higher = replace(reading, classes=levels.base)
        return replace(choice, reading=higher, other=1, why="wrapper")
    if (group := _groups_below(levels)) is not None:
        grouped = replace(reading, group=group, group_asked=_can_split_by(levels, group))
        return replace(choice, reading=grouped, other=LEAF, why="groups")
    return replace(choice, other=LEAF, why="deeper") if _deeper(levels) else choice


def _of_repeated(choice: ReadingChoice) -> ReadingChoice:
    levels = choice.profile
    class_level = class_level_of(levels)
    rest = [level for level in (levels.base, *levels.repeated) if level != class_level]
    group = next((level for level in rest if name_groups(levels.names(level))), None)
    reading = replace(
        choice.reading, classes=class_level, domains=[level for level in rest if level != group], group=group
    )
    if group is not None:
        reading = replace(reading, group_asked=_are_many(levels, group))
    other = max(rest, key=lambda level: len(levels.names(level)))
    return replace(choice, reading=reading, other=other, why="domains" if group is None else "groups")


def _as_asked(choice: ReadingChoice, class_level: int | str | None, group_level: int | None) -> ReadingChoice:
    """Put given levels in place of those that were chosen."""
    reading = choice.reading
    if class_level is not None:
        from_level = reading.leaf_from if class_level == LEAF else 1
        domains = _domains_beside(choice.profile, class_level) if class_level != LEAF else ()
        group = reading.group if reading.group != class_level else None
        asked = reading.group_asked and group is not None
        reading = replace(reading, classes=class_level, leaf_from=from_level, domains=domains)
        reading = replace(reading, group=group, group_asked=asked)
        choice = replace(choice, why="plain", other=None)
    if group_level is not None:
        reading = replace(reading, group=group_level, group_asked=True)
    domains = [level for level in reading.domains if level != reading.group]
    return replace(choice, reading=replace(reading, domains=domains))


def _domains_beside(levels: Profile, class_level: int | str) -> list[int]:
    candidates = [levels.base, *levels.repeated] if levels.repeated else []
    return [level for level in candidates if level != class_level] if class_level in candidates else []


def _without_containers(tree: Tree, counts: Mapping[str, int], reading: TreeReading) -> TreeReading:
    """Read a folder that only holds a folder of images as the latter: `images/`, `VOC2012/JPEGImages/`."""
    if set(reading.splits) != {""} or reading.inside:
        return reading
    path, names = "", []
    while not tree[path].images:
        inner = [name for name in tree[path].folders if counts.get(join(path, name))]
        if len(inner) != 1:
            break
        names.append(inner[0].lower())
        path = join(path, inner[0])
    if not CONTAINERS.issuperset(names) and names[-1] != OF_VOC:
        return reading
    return replace(reading, splits={path: "all"}) if path and tree[path].images else reading


def _flat_test(splits: Splits, folders: Sequence[ImagePlace], reading: TreeReading) -> str:
    """Return the test folder without class folders beside a train folder that has some."""
    flat = {path for path, kind in splits.kinds.items() if kind == "test" and path not in reading.label_files}
    deep = any(folder.parts for folder in folders if folder.split == "train")
    tests = [folder for folder in folders if any(_is_in(folder.path, path) for path in flat)]
    if (
        not deep
        or not tests
        or any(folder.parts for folder in tests)
        or len({folder.path for folder in tests}) > 1
    ):
        return ""
    return tests[0].path


def _label_files(
    folders: Sequence[ImagePlace], reading: TreeReading, label_file: Callable[[str, set[str]], str | None]
) -> dict[str, str]:
    """Find files that label the images of splits without class folders, as Tiny ImageNet's val has one."""
    classes = {folder.parts[0] for folder in folders if folder.parts and folder.split == "train"}
    deep = {
        prefix
        for prefix in reading.splits
        for folder in folders
        if folder.parts and _is_in(folder.path, prefix)
    }
    flat = [path for path, split in reading.splits.items() if split == "val" and path not in deep]
    files = {path: label_file(path, classes) for path in flat if classes}
    return {path: file for path, file in files.items() if file is not None}


def _letters_of_splits(folders: Sequence[ImagePlace]) -> dict[str, str]:
    """Return the classes that the names of flat splits say: A and B of trainA, trainB, testA, testB."""
    letters = {folder.prefix: beside_split(folder.prefix.rpartition("/")[2]) for folder in folders}
    several = len(set(letters.values())) > 1 and all(letters.values())
    return letters if several and not any(folder.parts for folder in folders) else {}


def _unlabelled_apart(reading: TreeReading, folders: Sequence[ImagePlace]) -> TreeReading:
    names = sorted({folder.parts[0] for folder in folders if folder.parts} & UNLABELLED)
    return replace(reading, without_label=names) if names else reading


def _are_parts(levels: Profile, tree: Tree, splits: Splits) -> bool:
    """Return True where the first level only cuts images into parts: numbered shards, `images_part_1`."""
    names = levels.names(1)
    if levels.base > 1 or any(len(level.names) > 1 for level in levels.levels[1:]):
        return False
    if all(map(is_number, names)) and len({len(name) for name in names}) == 1:
        beside = [table for path in ("", *splits.of) if path in tree for table in tree[path].tables]
        table_stems = {re.sub(r"(_stats)?\.\w+$", "", table) for table in beside}
        return not table_stems.isdisjoint(names)
    if len(names) == 1:
        return names[0].lower() in CONTAINERS or not SPLIT_WORDS.keys().isdisjoint(name_words(names[0]))
    stems = {re.sub(r"\d+$", "", name) for name in names}
    return len(names) > 1 and len(stems) == 1 and not PARTS.isdisjoint(name_words(stems.pop()))


def _are_hashed(levels: Profile) -> bool:
    """Return True where all levels only spread files, by the first digits of their names (`0/a/3/`)."""
    return len(levels.several) > 1 and all(are_hashed(levels.names(level)) for level in levels.several)


def _are_counted(levels: Profile, tree: Tree) -> bool:
    """Return True where folders only spread files by their numbers: `01000/01037.png` (FFHQ), `0037/1037.png`
    (Danbooru)."""
    if len(levels.several) != 1 or not all(map(is_number, levels.names(levels.base))):
        return False
    folders = [(path.rpartition("/")[2], folder.images) for path, folder in tree.items() if folder.images]
    pairs = [(folder, name.partition(".")[0]) for folder, names in folders for name in names[:MOST_COUNTED]]
    if len(pairs) < FEWEST_COUNTED or not all(is_number(one) for pair in pairs for one in pair):
        return False
    step = gcd(*(int(folder) for folder, _ in pairs))
    numbers = [(int(folder), int(name)) for folder, name in pairs]
    by_step = step >= LEAST_STEP and all(number // step * step == folder for folder, number in numbers)
    most_digits = max(len(folder) for folder, _ in pairs)
    return by_step or any(_are_last_digits(numbers, n_digits) for n_digits in range(1, most_digits + 1))


def _are_last_digits(numbers: Sequence[tuple[int, int]], n_digits: int) -> bool:
    """Return True where each folder has the number of the last digits of the files in it."""
    return all(number % 10**n_digits == folder for folder, number in numbers)


def _group_of_codes(levels: Profile) -> int | None:
    """Return the level to group by where each is numbered, as records are: `p10/p10000032/s50414267`."""
    several = levels.several
    if len(several) < 2 or not all(are_codes(levels.names(level)) for level in several):
        return None
    return next((level for level in several if _are_many(levels, level)), several[-1])


def _cameras(levels: Profile) -> int | None:
    """Return the level whose folders are the cameras of a car."""
    return next((level for level in levels.several if all(map(CAMERA.match, levels.names(level)))), None)


def _below_frames(choice: ReadingChoice, tree: Tree) -> ReadingChoice:
    """Read what lies below kinds of frames (`samples`, `sweeps`), and leave out drawn maps."""
    names = choice.profile.names(1)
    splits = dict.fromkeys((name for name in names if name not in DRAWN_MAPS), "all")
    ignored = [*choice.reading.ignored, *(name for name in names if name in DRAWN_MAPS)]
    reading = replace(choice.reading, splits=splits, ignored=ignored)
    return replace(choice, reading=reading, profile=profile_of(places_of(tree, reading)))


def _drives(levels: Profile, camera: int) -> int | None:
    """Return the level of the drives: that with most names beside the cameras."""
    others = [level for level in levels.several if level != camera]
    return max(others, key=lambda level: len(levels.names(level)), default=None)


def _are_scenes(tree: Tree) -> bool:
    """Return True where names of images say that they are whole scenes: `ulm_000000_000019_leftImg8bit`."""
    images = [folder.images[0] for folder in tree.values() if folder.images]
    return bool(images) and all(SCENE_FILE.search(name.rpartition(".")[0]) for name in images)


def _taxa(levels: Profile) -> int | None:
    """Return the level of groups of living things above that of the species."""
    base = levels.base
    if not base or len(levels.levels) <= base or len(levels.names(base + 1)) < len(levels.names(base)):
        return None
    return base if all(name.lower() in TAXA for name in levels.names(base)) else None


def _letters(levels: Profile) -> int | None:
    """Return 2 where the first level only sorts the second by its first letter."""
    if len(levels.levels) < 2 or levels.base != 1:
        return None
    if any(len(name) != 1 or not name.isalpha() for name in levels.names(1)):
        return None
    below = levels.levels[1].below
    alike = []
    for name, above in below.items():
        alike.append(above == {name[0].lower()} or above == {name[0].upper()})
    return 2 if sum(alike) >= 0.9 * len(alike) else None


def _deeper(levels: Profile) -> bool:
    """Return True where folders below the classes have several names."""
    return any(len(level.names) > 1 for level in levels.levels[1:])


def _groups_below(levels: Profile) -> int | None:
    """Return the level of folders called `patient_12` or the like below the first."""
    numbers = range(2, len(levels.levels) + 1)
    return next((number for number in numbers if name_groups(levels.names(number))), None)


def _are_groups_alone(levels: Profile) -> bool:
    """Return True where folders called `patient_12` or the like are the only ones with several names."""
    alone = levels.base and all(len(level.names) < 2 for level in levels.levels[levels.base :])
    return bool(alone) and name_groups(levels.names(levels.base))


def _are_many(levels: Profile, group: int) -> bool:
    return len(levels.names(group)) >= FEWEST_GROUPS


def _can_split_by(levels: Profile, group: int) -> bool:
    """Return True where the groups are several, also in some class."""
    classes = Counter(above for names in levels.levels[group - 1].below.values() for above in names)
    return _are_many(levels, group) and max(classes.values(), default=0) > 1


def _at(parts: Sequence[str], level: int) -> str | None:
    return parts[level - 1] if len(parts) >= level else None


def _below(tree: Tree, prefix: str) -> list[str]:
    return list(tree) if not prefix else [path for path in tree if _is_in(path, prefix)]


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
