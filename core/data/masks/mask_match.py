"""Match mask files to images by name alone, in time linear in both."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from core.data.sources.source import IMAGE_EXTENSIONS, split_named


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
    """
    >>> without_extension("dog/1.JPEG"), without_extension("dog/1.5"), without_extension("shard/key")
    ('dog/1', 'dog/1.5', 'shard/key')
    """
    base, dot, ending = name.rpartition(".")
    is_image = ending.lower() in IMAGE_EXTENSIONS and base and not base.endswith("/")
    return base if dot and is_image else name


def last_part(name: str) -> str:
    """
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
