"""One sentence on how a tree is read, with the option for the next likely reading; a row for each level."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core.common.records import Record, Templates
from core.config.reading import LEAF
from core.data.folder_levels import NAMES_SHOWN, Level
from core.data.folder_reading import ReadingChoice, Tree, places_of
from core.data.folder_walk import readable
from core.data.source import VAL_AS_TRAIN, split_named

say_of_tree = Templates.beside(__file__)
MOST_SHOWN = 3
FEW, FEW_CLASSES = 2, 8  # images of a class; classes from which on such ones are told


def sentences(
    choice: ReadingChoice, tree: Tree, masks: Mapping[str, int], tables: Sequence[str], *, root: str
) -> list[str]:
    """Return one record of all that is not plain about a tree of images; none for CLASS/IMAGE.

    Args:
        masks: how many each folder holds, see `set_apart`. tables: those in the tree that name its images.
    """
    parts = [*_of_levels(choice), *_of_unread(choice)]
    parts += [*_of_splits(choice, tree), *_of_masks(masks, root)]
    if left_out := choice.reading.left_out:
        parts.append(say_of_tree("again", names=_some([f"{path}/" for path in left_out])))
    parts += _of_classes(choice, tree)
    if tables:
        file = os.path.join(root, readable(tables[0]))
        what = f"{file}?root={root}" if "/" in tables[0] and tables[0].endswith(".txt") else file
        parts.append(say_of_tree("lists", names=_some(tables), what=what))
    notes: list[str] = [say_of_tree("tree", parts=tuple(parts))] if parts else []
    return [*notes, VAL_AS_TRAIN] if choice.splits.val_as_train else notes


def levels_table(choice: ReadingChoice, tree: Tree, mask_counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a row for each level of folders of images: number, what it is read as, names and images."""
    reading = choice.reading
    roles = {level: "domain" for level in reading.domains} | {reading.group: "group"}
    if reading.classes == LEAF:
        roles |= {level: "class" for level in range(reading.leaf_from, len(choice.profile.levels) + 1)}
    elif reading.classes is not None:
        roles[int(reading.classes)] = "class"
    rows = [_row(f"level {number}", roles.get(number, ""), level) for number, level in _numbered(choice)]
    splits = Level()
    for folder in places_of(tree, reading):
        inner = next((name for name in folder.path.split("/") if name in reading.inside), folder.prefix)
        if inner:
            splits.names[readable(inner)] += folder.n_images
    masks = Level()
    for path, n_images in mask_counts.items():
        masks.names[readable(path)] += n_images
    rows = [_row("splits", "split", splits), *rows, _row("beside", "masks, left out", masks)]
    return [row for row in rows if row["n_names"]]


def _numbered(choice: ReadingChoice) -> list[tuple[int, Level]]:
    return list(enumerate(choice.profile.levels, 1))


def _row(title: str, role: str, level: Level) -> dict[str, Any]:
    names = [readable(name) for name in sorted(level.names)]
    row = {"level": title, "role": role, "n_names": len(names), "names": names[:NAMES_SHOWN]}
    return row | {"n_images": level.n_images}


def _of_levels(choice: ReadingChoice) -> list[Record]:
    reading, levels = choice.reading, choice.profile
    what, kind = str(choice.other), choice.why
    n = reading.classes if isinstance(reading.classes, int) else 1
    classes = _some(levels.names(n)) if levels.levels else ()
    if kind == "domains" and reading.domains:
        above = reading.domains[0]
        why = "; ".join(", ".join(_some(levels.names(level))) for level in reading.domains)
        return [say_of_tree("domains", n=n, names=classes, of=above, why=why, what=what)]
    if kind == "taxa" and reading.domains:
        why = ", ".join(_some(levels.names(reading.domains[0])))
        return [say_of_tree("taxa", n=n, names=classes, of=reading.domains[0], why=why, what=what)]
    if kind in ("cameras", "scenes") and reading.classes is None:
        return [say_of_tree(kind, names=_some(levels.names(_level_of_scenes(choice))), what=what)]
    if kind in ("groups_alone", "codes") and reading.group is not None and reading.classes is None:
        why = ", ".join(_some(levels.names(reading.group)))
        return [say_of_tree(kind, of=reading.group, why=why, what=what)]
    if reading.group is not None:
        why = ", ".join(_some(levels.names(reading.group)))
        return [say_of_tree("groups", n=n, names=classes, of=reading.group, why=why, what=what)]
    if kind == "wrapper":
        return [say_of_tree("wrapper", n=n, names=classes, why=levels.names(n - 1)[0], what=what)]
    if kind == "letters":
        return [say_of_tree("letters", names=_some(levels.names(2)), what=what)]
    if kind == "parts" and reading.shard_label is not None:
        names = _some(list(reading.shard_tables.values()))
        return [say_of_tree("parts_labelled", names=names, why=readable(reading.shard_label), what=what)]
    if kind == "parts":
        return [say_of_tree("parts", names=_some(levels.names(levels.base or 1)), what=what)]
    if kind == "deeper":
        below = next(level for level in levels.several if level > 1)
        why = ", ".join(_some(levels.names(below)))
        return [say_of_tree("deeper", n=below, names=_some(levels.names(1)), why=why, what=what)]
    return []


def _level_of_scenes(choice: ReadingChoice) -> int:
    """Return the level that a sentence on cameras or scenes names."""
    return choice.reading.domains[0] if choice.reading.domains else choice.reading.group or 1


def _of_unread(choice: ReadingChoice) -> list[Record]:
    """Name the level with most names among those that are not read, where it may be of patients or clips."""
    reading, levels = choice.reading, choice.profile
    if not isinstance(reading.classes, int) or choice.why == "deeper":
        return []
    n_classes = len(levels.names(reading.classes)) if len(levels.levels) >= reading.classes else 0
    read = {reading.classes, reading.group, *reading.domains}
    unread = [level for level in levels.several if level not in read and len(levels.names(level)) > n_classes]
    if not unread:
        return []
    n = max(unread, key=lambda level: len(levels.names(level)))
    return [say_of_tree("unread", n=n, names=_some(levels.names(n)))]


def _of_splits(choice: ReadingChoice, tree: Tree) -> list[Record]:
    reading = choice.reading
    parts = []
    named = {**reading.splits, **reading.inside}
    of = {split: [f"{path}/" for path, one in named.items() if one == split] for split in ("train", "val")}
    why, what = (" and ".join(_some(paths)) for paths in of.values())
    if reading.inside:
        parts.append(say_of_tree("splits_in_classes", why=why, what=what))
    elif any(path and not _is_usual(path) for path in reading.splits) and of["train"] and of["val"]:
        parts.append(say_of_tree("splits", why=why, what=what))
    if choice.flat_test:
        parts.append(
            say_of_tree("flat_test", n=len(tree[choice.flat_test].images), what=readable(choice.flat_test))
        )
    for path, file in reading.label_files.items():
        parts.append(say_of_tree("labels_of_list", what=readable(path), why=readable(file)))
    return parts


def _is_usual(path: str) -> bool:
    return any(map(split_named, path.split("/")))


def _of_masks(counts: Mapping[str, int], root: str) -> list[Record]:
    n_masks = sum(counts.values())
    if not n_masks:
        return []
    first = next(iter(counts))
    if len(counts) == 1 and "*" not in first:
        return [say_of_tree("masks_in", n=n_masks, what=os.path.join(root, readable(first)))]
    return [say_of_tree("masks", n=n_masks, names=_some(sorted(counts)))]


def _of_classes(choice: ReadingChoice, tree: Tree) -> list[Record]:
    reading = choice.reading
    counts: Counter[str] = Counter()
    n_unlabelled = 0
    for folder in places_of(tree, reading):
        if folder.parts and folder.parts[0] in reading.without_label:
            n_unlabelled += folder.n_images
        elif (label := reading.label_of(folder.parts)) is not None:
            counts[label] += folder.n_images
    parts = []
    if n_unlabelled:
        parts.append(say_of_tree("unlabelled", n=n_unlabelled, what=reading.without_label[0]))
    few = sum(n <= FEW for n in counts.values())
    if len(counts) >= FEW_CLASSES and 2 * few >= len(counts):
        parts.append(say_of_tree("few_images", n=few, of=len(counts)))
    return parts


def _some(names: Sequence[str]) -> tuple[str, ...]:
    shown = [readable(name) for name in names[:MOST_SHOWN]]
    return (*shown, "…") if len(names) > MOST_SHOWN else tuple(shown)
