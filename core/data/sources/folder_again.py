"""Folders that hold the class folders beside them once more, as archives packed in themselves leave them."""

from collections.abc import Iterable, Mapping

from core.data.sources.folder_splits import children, join
from core.data.sources.folder_walk import Folder

SAME = 0.5  # share of file names that both have


def folders_again(
    tree: Mapping[str, Folder], counts: Mapping[str, int], prefixes: Iterable[str]
) -> list[str]:
    """Return the folders among the classes whose own folders are these classes again, with the same files.

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
