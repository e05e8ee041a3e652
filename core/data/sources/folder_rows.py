"""The images of a tree under one reading: names, labels, splits, and the columns `domain` and `group`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.common.formatting import counted
from core.data.sources.folder_profile import ImagePlace
from core.data.sources.folder_reading import Tree, TreeReading, places_of
from core.data.sources.folder_splits import join
from core.data.sources.folder_tables import labels_in
from core.data.sources.folder_walk import readable
from core.data.sources.shard_tables import labels_of_shards
from core.data.sources.source import some

DOMAIN, GROUP = "domain", "group"


@dataclass
class TreeRows:
    """One entry an image: its name below the root as in the file system, label, split, further columns."""

    names: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def rows_of(root: str, tree: Tree, reading: TreeReading) -> TreeRows:
    """List the images split by split, class by class, by their names."""
    rows = TreeRows(columns={name: [] for name in _columns(reading)})
    by_prefix = defaultdict(list)
    for folder in places_of(tree, reading):
        by_prefix[folder.prefix].append(folder)
    train_classes = {folder.parts[0] for folders in by_prefix.values() for folder in folders if folder.parts}
    for prefix in reading.splits:
        folders = by_prefix.get(prefix, [])
        if not folders:
            rows.notes.append(f"{readable(prefix)}/ holds no images")
            continue
        before = len(rows.names)
        _add(rows, tree, reading, folders)
        if (file := reading.label_files.get(prefix)) is not None:
            images = [name.rpartition("/")[2] for name in rows.names[before:]]
            labels = labels_in(root, file, images, train_classes)
            rows.labels[before:] = [labels.get(name) for name in images]
        if reading.shard_label is not None:
            labels = labels_of_shards(root, reading.shard_tables, reading.shard_label, rows.names[before:])
            rows.labels[before:] = labels
            rows.notes += [f"{counted(labels.count(None), 'image')} without label"] if None in labels else []
        rows.notes += _notes(tree, reading, prefix, folders)
    rows.notes += _notes_beside(tree, reading)
    return rows


def _columns(reading: TreeReading) -> list[str]:
    return [name for name, level in ((DOMAIN, reading.domains), (GROUP, reading.group)) if level]


def has_classes(reading: TreeReading, folders: Sequence[ImagePlace]) -> bool:
    """Return True where folders name classes; images beside them are then none."""
    return reading.classes is not None and any(folder.parts for folder in folders)


def _add(rows: TreeRows, tree: Tree, reading: TreeReading, folders: Sequence[ImagePlace]) -> None:
    """Add the images of a split: folder by folder of the first level, sorted by the names below it."""
    labelled = has_classes(reading, folders)
    together = defaultdict(list)
    for folder in folders:
        first = folder.path[len(folder.prefix) :].strip("/").partition("/")[0] if labelled else ""
        if not labelled or not is_above(reading, folder):
            together[first].append(folder)
    for first in sorted(together):
        pairs = []
        for at, folder in enumerate(together[first]):
            pairs += [(join(folder.path, name), at) for name in tree[folder.path].images]
        if len(together[first]) > 1:
            pairs.sort()
        facts = [_facts(reading, folder, labelled) for folder in together[first]]
        rows.names += [name for name, _ in pairs]
        rows.labels += [facts[at][0] for _, at in pairs]
        rows.splits += [together[first][at].split for _, at in pairs]
        for number, values in enumerate(rows.columns.values(), 1):
            values += [facts[at][number] for _, at in pairs]


def _facts(reading: TreeReading, folder: ImagePlace, labelled: bool) -> list[str | None]:
    """Return the label of the images in a folder, and their entries of the further columns."""
    label = reading.label_of(folder.parts) if labelled else reading.classes_of_prefix.get(folder.prefix)
    values = {DOMAIN: reading.domain_of(folder.parts), GROUP: reading.group_of(folder.parts)}
    texts = [label, *(values[name] for name in _columns(reading))]
    return [None if text is None else readable(text) for text in texts]


def is_above(reading: TreeReading, folder: ImagePlace) -> bool:
    """Return True where images lie above the folders of the classes, which makes them none."""
    if not folder.parts:
        return True
    return folder.parts[0] not in reading.without_label and reading.label_of(folder.parts) is None


def _notes(tree: Tree, reading: TreeReading, prefix: str, folders: Sequence[ImagePlace]) -> list[str]:
    where = f" in {readable(prefix)}/" if prefix else ""
    if not has_classes(reading, folders):
        has_labels = prefix in reading.label_files or prefix in reading.classes_of_prefix
        has_labels = has_labels or reading.shard_label is not None
        has_labels = has_labels or any(folder.parts for folder in folders)  # of which a sentence tells
        return [] if has_labels else [f"no class folders{where}: images without labels"]
    first = {folder.path[len(prefix) :].strip("/").partition("/")[0] for folder in folders}
    without_images = [
        name for name in tree[prefix].folders if name not in first and name not in reading.masks
    ]
    empty = [readable(name) for name in without_images if join(prefix, name) not in reading.left_out]
    notes = [f"{counted(len(empty), 'empty class folder')} ignored{where}: {some(empty)}"] if empty else []
    outside = sum(folder.n_images for folder in folders if not folder.parts)
    above = sum(folder.n_images for folder in folders if folder.parts and is_above(reading, folder))
    if outside:
        notes.append(f"{counted(outside, 'image')} ignored{where}, outside the class folders")
    if above:
        notes.append(f"{counted(above, 'image')} ignored{where}, above class level {reading.classes}")
    return notes


def _notes_beside(tree: Tree, reading: TreeReading) -> list[str]:
    """Return what lies beside the folders of the splits."""
    notes = []
    prefixes = [prefix for prefix in reading.splits if prefix]
    if reading.ignored:
        used = " and ".join(f"{readable(prefix)}/" for prefix in prefixes) or "the splits in each class"
        names = [f"{readable(path)}/" for path in reading.ignored]
        notes.append(f"ignored beside {used}: {some(names)}")
    above = {prefix.rpartition("/")[0] for prefix in prefixes}
    outside = sum(len(tree[path].images) for path in above if path in tree)
    if outside:
        notes.append(f"{counted(outside, 'image')} ignored, outside train/ and val/")
    return notes
