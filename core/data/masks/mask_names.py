"""Which mask files are of which image: by their names, alike or as data sets vary them."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.data.masks.mask_match import last_part, match_names, without_extension
from core.data.sources.folder_words import CONTAINERS, image_of_mask, may_hold_masks

KINDS_OF_CITYSCAPES = ("labelIds", "labelTrainIds", "color", "panoptic")  # the likeliest first
OF_CITYSCAPES = re.compile(rf"_gt(?:Fine|Coarse)_({'|'.join(KINDS_OF_CITYSCAPES)})(?=\.\w+$)")


@dataclass
class MaskFiles:
    """The masks of images, by their places in two lists.

    Attributes:
        of_image: image row -> masks; of several the mask is all of them together. ambiguous: masks that may
            be of several images. left: masks of no image.
    """

    of_image: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)


def match_files(
    images: Sequence[str], masks: Sequence[str], paths: Sequence[str], groups: Sequence[object] | None = None
) -> MaskFiles:
    """Match mask files to images.

    First as `match_names`. Then what is left, without the words that only say what is a mask and what a
    picture: folders such as `ground_truth`, `masks` and `images`, and endings such as `_mask` and `_mask_1`,
    of which an image may have several. Last, a mask that several images are called like is of all of them
    where these are one photograph.

    Args:
        images: ids. masks: names below the folder of masks. paths, groups: of the images; groups are equal
            where several are one photograph, patient or sequence.
    """
    masks = [OF_CITYSCAPES.sub("_leftImg8bit", name) for name in masks]
    matches = match_names(images, masks, paths)
    files = MaskFiles({row: (mask,) for row, mask in matches.mask_of.items()}, matches.ambiguous)
    left = sorted(set(range(len(masks))) - set(matches.mask_of.values()) - matches.ambiguous)
    if left:
        _match_plain(images, masks, left, files)
    if groups is not None and files.ambiguous:
        _match_copies(images, masks, groups, files)
    taken = {mask for of_row in files.of_image.values() for mask in of_row}
    files.left = set(range(len(masks))) - taken
    files.ambiguous -= taken
    return files


def one_of_cityscapes(names: Sequence[str]) -> Sequence[str]:
    """Return, of the label pictures of Cityscapes, those of one kind: an image has one of each kind.

    >>> one_of_cityscapes(["a_gtFine_color.png", "a_gtFine_instanceIds.png", "a_gtFine_labelIds.png"])
    ['a_gtFine_labelIds.png']
    """
    kinds = [match[1] if (match := OF_CITYSCAPES.search(name)) else "" for name in names]
    first = next((kind for kind in KINDS_OF_CITYSCAPES if kind in kinds), None)
    return (
        names if first is None else [name for name, kind in zip(names, kinds, strict=True) if kind == first]
    )


def is_named_mask(name: str) -> bool:
    """Return True for a file in a folder of masks, or called as one.

    >>> [is_named_mask(name) for name in ("ground_truth/bent/000.png", "a/1_mask.png", "a/1.png")]
    [True, True, False]
    """
    *folders, _ = name.split("/")
    stem = without_extension(last_part(name))
    return any(map(may_hold_masks, folders)) or image_of_mask(stem) is not None


def _match_plain(images: Sequence[str], masks: Sequence[str], left: list[int], files: MaskFiles) -> None:
    rows = [row for row in range(len(images)) if row not in files.of_image]
    plain_images = [_without_words(images[row], CONTAINERS.__contains__) for row in rows]
    stems = {without_extension(last_part(name)) for name in plain_images}
    of_name: dict[str, list[int]] = defaultdict(list)
    for mask in left:
        of_name[_image_name(masks[mask], stems)].append(mask)
    names = list(of_name)
    matches = match_names(plain_images, names)
    for row, name in matches.mask_of.items():
        files.of_image[rows[row]] = tuple(of_name[names[name]])
    files.ambiguous |= {mask for name in matches.ambiguous for mask in of_name[names[name]]}


def _image_name(mask: str, stems: set[str]) -> str:
    """Return what the image of a mask is called, below the folder of masks."""
    plain = _without_words(mask, lambda word: may_hold_masks(word) or word in CONTAINERS)
    folder, slash, end = plain.rpartition("/")
    stem = without_extension(end)
    image = image_of_mask(stem)
    return f"{folder}{slash}{image}" if image is not None and stem not in stems else plain


def _without_words(name: str, is_word: Callable[[str], bool]) -> str:
    *folders, end = name.split("/")
    return "/".join([*(one for one in folders if not is_word(one.lower())), end])


def _match_copies(
    images: Sequence[str], masks: Sequence[str], groups: Sequence[object], files: MaskFiles
) -> None:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(images):
        rows_of[without_extension(last_part(name))].append(row)
    for mask in sorted(files.ambiguous):
        plain = without_extension(masks[mask])
        named = rows_of[last_part(plain)]
        alike = [row for row in named if f"/{without_extension(images[row])}".endswith(f"/{plain}")]
        if alike and len({groups[row] for row in alike}) == 1 and groups[alike[0]] is not None:
            for row in alike:
                files.of_image.setdefault(row, (mask,))
