"""Find masks beside pictures: in folders of their own, or as `x_mask.png` beside `x.png`."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.decode import decode
from core.data.folder_walk import Folder
from core.data.folder_words import MASK_WORDS, holds_masks, image_of_mask, may_hold_masks
from core.errors import UnreadableImage

TRIED = 3  # pictures of a name that are opened
NAMES_TRIED = 64
FLAT_SHARE, MOST_COLOURS, COVERED = 0.9, 12, 0.95


@dataclass(frozen=True)
class Masks:
    """What holds masks: folders by their names, wherever they lie; and whether files beside images do."""

    folders: tuple[str, ...] = ()
    files: bool = False


def find_masks(root: str, tree: Mapping[str, Folder]) -> Masks:
    """Find masks among the images of a tree of folders: by names, and by the pixels of a few.

    A name that may mean something else (`mask`, `labels`) needs pictures that look like masks and are called
    as images elsewhere.
    """
    candidates = defaultdict(list)
    elsewhere = []
    for path, folder in tree.items():
        if folder.images:
            name = next(filter(may_hold_masks, path.split("/")), None)
            (candidates[name] if name is not None else elsewhere).append(path)
    stems = None
    names = []
    for name, paths in candidates.items():
        if not elsewhere:
            break
        files = _spread(
            [(path, image) for path in paths[:NAMES_TRIED] for image in tree[path].images[:NAMES_TRIED]]
        )
        sure = holds_masks(name)
        if not sure:
            stems = stems if stems is not None else _stems(tree, elsewhere)
            if not _named_like(stems, (image for _, image in files)):
                continue
        if _look_like_masks([os.path.join(root, path, image) for path, image in files], unread=sure):
            names.append(name)
    return Masks(tuple(names), _files_beside(root, tree, elsewhere))


def set_apart(tree: Mapping[str, Folder], masks: Masks) -> tuple[dict[str, Folder], dict[str, int]]:
    """Take the masks out of a tree of folders of images.

    Returns:
        the tree with no images that are masks, and the number of masks of each folder of them (`x/masks`), or
        beside images (`x/*_mask`).
    """
    images_only: dict[str, Folder] = {}
    counts: dict[str, int] = defaultdict(int)
    for path, folder in tree.items():
        words = path.split("/")
        at = next((at for at, word in enumerate(words) if word in masks.folders), None)
        left = folder.images if at is not None else _mask_files(folder.images) if masks.files else []
        images_only[path] = folder
        if left:
            counts["/".join(words[: at + 1]) if at is not None else f"{path}/*_mask".lstrip("/")] += len(left)
            apart = set(left)
            images_only[path] = replace(folder, images=[name for name in folder.images if name not in apart])
    return images_only, dict(counts)


def _mask_files(images: Sequence[str]) -> list[str]:
    """Return the names of masks that lie beside their image, such as `x_mask.png` beside `x.jpg`."""
    text = "\0".join(images).lower()
    if not any(word in text for word in MASK_WORDS):  # quick, as millions of names are asked
        return []
    stems = {_stem(name) for name in images}
    return [name for name in images if image_of_mask(_stem(name)) in stems]


def _looks_like_mask(pixels: np.ndarray) -> bool:
    """Return True for an image of few colours in flat areas, as masks are.

    Args:
        pixels: (height, width, 3) uint8.
    """
    step = max(1, len(pixels) // 64)
    rows = pixels[::step].astype(np.int16)
    flat = np.abs(np.diff(rows, axis=1)).max(axis=2) <= 4  # (rows, width - 1)
    if flat.size and flat.mean() < FLAT_SHARE:
        return False
    coarse = (rows // 16).astype(np.int64) @ np.array([256, 16, 1])
    counts = np.sort(np.unique(coarse, return_counts=True)[1])[::-1]
    return bool(counts[:MOST_COLOURS].sum() >= COVERED * counts.sum())


def _files_beside(root: str, tree: Mapping[str, Folder], paths: Iterable[str]) -> bool:
    files = []
    for path in paths:
        files += [os.path.join(root, path, name) for name in _mask_files(tree[path].images)]
        if len(files) >= NAMES_TRIED:
            break
    return bool(files) and _look_like_masks(_spread(files), unread=False)


def _look_like_masks(files: Sequence[str], *, unread: bool) -> bool:
    """Return True where most of a few files look like masks; `unread` where none can be read."""
    answers = []
    for file in files[:: max(1, len(files) // TRIED)][:TRIED]:
        try:
            answers.append(_looks_like_mask(np.asarray(decode(file))))
        except UnreadableImage:
            continue
    return 2 * sum(answers) > len(answers) if answers else unread


def _stems(tree: Mapping[str, Folder], paths: Iterable[str]) -> set[str]:
    return {_stem(name) for path in paths for name in tree[path].images}


def _named_like(stems: set[str], names: Iterable[str]) -> bool:
    matched = [not stems.isdisjoint(_possible(name)) for name in names]
    return 2 * sum(matched) >= len(matched)


def _possible(mask: str) -> list[str]:
    """Return the names that the image of a mask may have."""
    stem = _stem(mask)
    image = image_of_mask(stem)
    return [stem] if image is None else [stem, image]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _spread(items: list) -> list:
    """Return at most NAMES_TRIED, spread evenly."""
    return items[:: max(1, len(items) // NAMES_TRIED)][:NAMES_TRIED]
