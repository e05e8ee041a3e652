"""Lists that share the ids of images, as CUB-200 and NABirds write them: of paths, classes and splits."""

import os

from core.common.labels.distinct import distinct_names
from core.common.remote.addresses import is_url
from core.common.remote.objects import read_small
from core.data.formats.rows import Rows, say_of_rows
from core.errors import ImageSourceError

IMAGES, CLASSES = "images.txt", "image_class_labels.txt"
NAMES, SPLITS = "classes.txt", "train_test_split.txt"
SPLIT_OF = {"1": "train", "0": "test"}


def read_joined_lists(path: str) -> Rows | None:
    """Return the images of such lists, of which `path` is any; None where it is none of them.

    Raises:
        ImageSourceError: an id occurs twice, or has a split that is neither 1 nor 0.
    """
    folder, file_name = os.path.split(path)
    needed = [os.path.join(folder, name) for name in (IMAGES, CLASSES)]
    if (
        is_url(path)
        or file_name not in (IMAGES, CLASSES, NAMES, SPLITS)
        or not all(map(os.path.isfile, needed))
    ):
        return None
    paths, classes = map(_by_id, needed)
    names, splits = (_by_id(os.path.join(folder, name)) for name in (NAMES, SPLITS))
    numbers = list(dict.fromkeys(classes.values()))
    texts, of_names = distinct_names(numbers, [names.get(number, number) for number in numbers])
    label_of = dict(zip(numbers, texts, strict=True))
    labels = [label_of.get(classes.get(one, "")) for one in paths]
    of_images = [SPLIT_OF.get(splits.get(one, "")) for one in paths]
    if splits and None in of_images:
        image = list(paths)[of_images.index(None)]
        raise ImageSourceError(
            f"image {image} of '{IMAGES}' has split '{splits.get(image, '')}' in '{SPLITS}'; expected 1 or 0"
        )
    used = tuple(
        name for name in (IMAGES, CLASSES, NAMES, SPLITS) if os.path.isfile(os.path.join(folder, name))
    )
    given = [split or "" for split in of_images] if splits else None
    notes: list[str] = [say_of_rows("joined", names=used), *of_names]
    return Rows(list(paths.values()), labels, given, {"id": list(paths)}, notes, ("images", "."))


def _by_id(path: str) -> dict[str, str]:
    """Return what stands behind the id of each line; nothing where the file is not there."""
    if not os.path.isfile(path):
        return {}
    try:
        lines = read_small(path).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ImageSourceError(f"cannot read '{path}': {error}. Save it as text in UTF-8") from None
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    values: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        if len(pair) < 2 or pair[0] in values:
            why = "has no value" if len(pair) < 2 else "stands there twice"
            raise ImageSourceError(f"id '{pair[0]}' in line {number} of '{path}' {why}. Correct the line")
        values[pair[0]] = pair[1].strip()
    return values
