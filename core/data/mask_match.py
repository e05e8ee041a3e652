"""Match mask files to images by name alone, in time linear in both."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from core.data.folder_words import CONTAINERS, image_of_mask, may_hold_masks
from core.data.source import IMAGE_EXTENSIONS, split_named

# Match mask files to images by name alone, in time linear in both.


@dataclass
class Matches:
    """Image row -> mask index, and the masks that do not match exactly one image."""

    mask_of: dict[int, int] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)


Key = tuple[str, str | None]  # the lookup text of a name, and the split that must agree, if any
Keys = Callable[[str], Iterable[Key]]


def match_names(images: Sequence[str], masks: Sequence[str], paths: Sequence[str] | None = None) -> Matches:
    """Match names of images with names of masks; each mask goes to one image, each image has one mask.

    The first rule that matches counts: the same name; the same name up to the extension (or with the image's
    whole name before the mask's extension), where `val/` equals `validation/`; one path is the end of the
    other; the same without a leading split folder, unless the two splits differ. Then the same rules with
    `paths` in place of the ids. Nothing is guessed: if a mask matches several images by its first matching
    rule, or one image matches several masks, it is not used, and reported.

    Args:
        images: names with forward slashes, such as image ids. masks: names below the folder of masks.
        paths: paths of the images, in the same order; used where the ids do not decide.
    """
    matches = Matches()
    _match_by(_RULES, images, masks, matches)
    if paths is not None and len(matches.mask_of) + len(matches.ambiguous) < len(masks):
        _match_by(_RULES[2:], paths, masks, matches)
    return matches


def without_extension(name: str) -> str:
    """Return the name of an image or mask without the ending of an image file.

    >>> without_extension("dog/1.JPEG"), without_extension("dog/1.5"), without_extension("shard/key")
    ('dog/1', 'dog/1.5', 'shard/key')
    """
    base, dot, ending = name.rpartition(".")
    is_image = ending.lower() in IMAGE_EXTENSIONS and base and not base.endswith("/")
    return base if dot and is_image else name


def last_part(name: str) -> str:
    """Return the file name of a path of an image or mask, without its folders.

    >>> last_part("dog/1.png"), last_part("1.png")
    ('1.png', '1.png')
    """
    return name[name.rfind("/") + 1 :]


def _match_by(
    rules: Sequence[tuple[Keys, Keys]], images: Sequence[str], masks: Sequence[str], matches: Matches
) -> None:
    settled = set(matches.mask_of)  # rows that an earlier rule has matched, with one mask or with several
    for image_keys, mask_keys in rules:
        taken = set(matches.mask_of.values()) | matches.ambiguous
        index: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
        for mask, name in enumerate(masks):
            if mask not in taken:
                for text, split in mask_keys(name):
                    index[text].append((mask, split))
        if not index:
            return
        rows = _rows_alike(images, (name for mask, name in enumerate(masks) if mask not in taken))
        mask_of: dict[int, int | None] = {}  # None: several
        row_of: dict[int, int | None] = {}
        for row, mask in _candidates(rows, images, image_keys, index):
            mask_of[row] = mask if mask_of.get(row, mask) == mask and row not in settled else None
            row_of[mask] = row if row_of.get(mask, row) == row else None
        unique = {row: mask for mask, row in row_of.items() if row is not None and mask_of[row] == mask}
        matches.mask_of |= unique
        matches.ambiguous |= row_of.keys() - unique.values()
        settled |= mask_of.keys()


def _rows_alike(images: Sequence[str], masks: Iterable[str]) -> list[int]:
    """Return rows of images that end like any of the masks, which every rule requires."""
    ends = {without_extension(last_part(name)) for name in masks}
    return [
        row
        for row, name in enumerate(images)
        if (end := last_part(name)) in ends or without_extension(end) in ends
    ]


def _candidates(
    rows: Iterable[int],
    images: Sequence[str],
    image_keys: Keys,
    index: dict[str, list[tuple[int, str | None]]],
) -> Iterator[tuple[int, int]]:
    for row in rows:
        for text, split in image_keys(images[row]):
            for mask, of_mask in index.get(text, ()):
                if split is None or of_mask is None or split == of_mask:
                    yield row, mask


def _split_and_rest(name: str) -> tuple[str | None, str]:
    first, slash, rest = name.partition("/")
    split = split_named(first) if slash else None
    return (split, rest) if split else (None, name)


def _plain(name: str) -> str:
    """Remove `./` and `../`, and normalise the name of the split folder."""
    if name[:1] in ("/", ".") or "//" in name or "/." in name:
        name = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
    split, rest = _split_and_rest(name)
    return f"{split}/{rest}" if split else rest


def _whole(name: str) -> list[Key]:
    return [(name, None)]


def _stem(name: str) -> list[Key]:
    return [(_plain(without_extension(name)), None)]


def _stem_or_whole(name: str) -> list[Key]:
    return [*_stem(name), (_plain(name), None)]


def _ends(path: str) -> Iterator[str]:
    """Yield the path and every suffix of it that starts after a slash."""
    yield path
    while "/" in path:
        path = path.partition("/")[2]
        yield path


# A mask is entered under its whole name ("=") and under each suffix ("~"); an image looks up masks that are
# one of its suffixes, and masks of which it is a suffix.
def _mask_ends(name: str) -> list[Key]:
    stem = _plain(without_extension(name))
    return [(f"={stem}", None), *((f"~{end}", None) for end in _ends(stem) if end != stem)]


def _image_ends(name: str) -> list[Key]:
    stem = _plain(without_extension(name))
    return [(f"~{stem}", None), *((f"={end}", None) for end in _ends(stem))]


def _in_split(keys: Keys) -> Keys:
    def without_split(name: str) -> list[Key]:
        split, rest = _split_and_rest(_plain(name))
        return [(text, split) for text, _ in keys(rest)]

    return without_split


_IN_SPLIT = (_in_split(_image_ends), _in_split(_mask_ends))
_WHOLE, _ENDS = (_whole, _whole), (_image_ends, _mask_ends)
_RULES: tuple[tuple[Keys, Keys], ...] = (_WHOLE, (_stem_or_whole, _stem), _ENDS, _IN_SPLIT)


# Which mask files are of which image: by their names, alike or as data sets vary them.


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
    """Match mask files to the images that they belong to, by their names.

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
    """Return True for a file in a folder of masks, or called as a mask.

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
    return "/".join([*(folder for folder in folders if not is_word(folder.lower())), end])


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
