"""Lists of images in text files: `PATH LABEL` a line, or several lists that share the ids of images."""

import os
import re
from collections.abc import Sequence
from typing import Any

from core.common.addresses import is_url
from core.common.formatting import counted
from core.common.label_text import distinct_names
from core.common.remote_objects import read_small
from core.data.annotation_rows import TRIED, Rows, image_names, largest_class, say_of_rows
from core.data.columns import BY_NUMBER
from core.data.listed_files import ListedFiles
from core.data.names_beside import named_labels
from core.data.source import IMAGE_EXTENSIONS, split_named
from core.errors import ImageSourceError

# Lists that share the ids of images, as CUB-200 and NABirds write them: of paths, classes and splits.


IMAGES, CLASSES = "images.txt", "image_class_labels.txt"
NAMES, SPLITS = "classes.txt", "train_test_split.txt"
SPLIT_OF = {"1": "train", "0": "test"}


def read_joined_lists(path: str) -> Rows | None:
    """Return the images of several text lists that belong together, of which `path` is any; else None.

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


# Lists of images in .txt files: `PATH LABEL` a line (torchvision, timm, Caffe), or only labels, in the
# order of the images' names, as ImageNet's validation set has them.


MOST_BYTES = 2_000_000_000
IMAGE_FOLDERS = ("JPEGImages", "images", "data/images", "img", "imgs", "jpg")
SPLIT_FILE = re.compile(r"partition|split")
BOXES = re.compile(r"(-?\d+(\.\d+)?,){4}\d+(\s+(-?\d+(\.\d+)?,){4}\d+)*")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
NUMBERED = re.compile(r"_(\d{8})\.\w+$")  # ILSVRC2012_val_00000001.JPEG
GROUND_TRUTH = (  # labels of ImageNet's validation set, in the image folder or in the one above
    "imagenet_2012_validation_synset_labels.txt",
    *("ILSVRC2012_validation_ground_truth.txt", "val.txt", "val_map.txt", "synset_labels.txt"),
)


def read_text_list(path: str, root: str | None, *, old: bool = False) -> Rows:
    """Return the images of a text list, with names for labels that are numbers where a file has them.

    A line names an image with its extension, or without where images of such names lie near; behind it stand
    a label, several fields, or boxes. Without labels in the lines, folders of the images are.

    Args:
        old: as versions before 0.4 did: only names with extension, and all behind one is the label.
    Raises:
        ImageSourceError: it is too large, no text, empty, or has another number of labels than of images.
    """
    by_number = _lines(path)
    lines = list(by_number.values())
    folder = root or os.path.dirname(path)
    if not any(_is_image(_parts(line)[0]) for line in lines[:100]):
        named = None if old else _without_extension(lines, path, root)
        return named or _in_order(lines, path, folder)
    pairs = [_parts(line) for line in lines]
    bad = next(
        (number for number, pair in zip(by_number, pairs, strict=True) if not _is_image(pair[0])), None
    )
    if bad is not None:
        raise ImageSourceError(f"line {bad} of '{path}' names no image file. Expected PATH LABEL")
    return _with_labels(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], path, folder, (".", "images", ".."), old=old
    )


def _lines(path: str) -> dict[int, str]:
    """Return the lines of a list by their numbers, without empty ones and remarks."""
    try:
        text = read_small(path, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ImageSourceError(f"no such file: '{path}'. Check the path") from None
    except UnicodeDecodeError:
        raise ImageSourceError(f"'{path}' is not UTF-8 text. Give a list of images, one a line") from None
    except (OSError, ValueError) as error:
        raise ImageSourceError(f"cannot read '{path}': {error}. Give a list of images, one a line") from None
    by_number = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            by_number[number] = line.strip()
    if not by_number:
        raise ImageSourceError(f"the list '{path}' has no lines. Expected PATH LABEL, one image a line")
    return by_number


def _with_labels(
    paths: list[str], rests: list[str | None], path: str, folder: str, folders: Sequence[str], *, old: bool
) -> Rows:
    """Return the images with the labels that stand behind their names."""
    labels, splits, further, notes = rests, None, {}, []
    if not old:
        labels, splits, further, notes = _of_rests(paths, rests, path)
    labels, of_names = named_labels(labels, path, [os.path.dirname(path), folder])
    return Rows(paths, labels, splits, further, [*notes, *of_names], folders)


Fields = tuple[list[str | None], list[str] | None, dict[str, list[Any]], list[str]]


def _of_rests(paths: list[str], rests: list[str | None], path: str) -> Fields:
    """Return labels, splits, further columns and notes of what stands behind the names of images."""
    name, none = os.path.basename(path), [None] * len(rests)
    filled = [rest for rest in rests if rest]
    if not filled:
        folders = _folder_labels(paths)
        return (folders, None, {}, [say_of_rows("folder_labels")]) if folders else (rests, None, {}, [])
    if SPLIT_FILE.search(name.lower()) and set(filled) <= BY_NUMBER.keys() and {"0", "2"} <= set(filled):
        return (
            list(none),
            [BY_NUMBER[rest or "0"] for rest in rests],
            {},
            [say_of_rows("split_of_lines", what=name)],
        )
    if all(map(BOXES.fullmatch, filled)):
        n_boxes = len(filled)
        return [_largest_of(rest) for rest in rests], None, {}, [say_of_rows("boxes_of_lines", n=n_boxes)]
    fields = [re.split(r"[\s,;]+", rest) if rest else [] for rest in rests]
    n_fields = {len(each) for each in fields}
    if len(n_fields) != 1 or n_fields <= {0, 1}:
        return rests, None, {}, []
    columns = list(zip(*fields, strict=True))
    if not all(NUMBER.fullmatch(cell) for column in columns[1:] for cell in column):
        return rests, None, {}, []
    further = {str(at): list(map(_number, column)) for at, column in enumerate(columns[1:], 3)}
    return list(columns[0]), None, further, [say_of_rows("further_fields", n=len(columns), what="3")]


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _largest_of(rest: str | None) -> str | None:
    """Return the class of the largest of boxes `x1,y1,x2,y2,class` with blanks between (YOLO in Keras)."""
    boxes = [box.split(",") for box in (rest or "").split()]
    areas = []
    for left, top, right, bottom, name, *_ in boxes:
        areas.append((name, (float(right) - float(left)) * (float(bottom) - float(top))))
    return largest_class(areas)


def _folder_labels(paths: Sequence[str]) -> list[str | None] | None:
    """Return the folder that each image lies in, where there are several and none is called as a split."""
    names = _own_folders(paths)
    several = set(names)
    is_class = len(several) > 1 and all(names) and not any(map(split_named, several))
    return list(names) if is_class else None


def _own_folders(paths: Sequence[str]) -> list[str]:
    """Return the last folder of each path; all below the first where that only sorts by letters (SUN397).

    >>> _own_folders(["/a/abbey/1.jpg", "/c/church/indoor/1.jpg"]), _own_folders(["x/cat/1.jpg"])
    (['abbey', 'church/indoor'], ['cat'])
    """
    folders = [os.path.dirname(path).strip("/").split("/") for path in paths]
    has_parent = all(len(parts) > 1 for parts in folders)
    by_letter = has_parent and all(parts[0] == parts[1][:1].lower() for parts in folders)
    return ["/".join(parts[1:]) if by_letter else parts[-1] for parts in folders]


def _without_extension(lines: list[str], path: str, root: str | None) -> Rows | None:
    """Return the images of lines that begin with names without extension; None where none lie near."""
    parts = [re.split(r"[\s,;]+", line, maxsplit=1) for line in lines]
    names = [each[0] for each in parts]
    has_label = any(len(each) > 1 for each in parts)
    is_bare = not has_label and all(name.isdecimal() and len(name) < 5 for name in names)
    if is_bare or len(set(names)) < len(names):
        return None  # numbers of classes
    sample = names[:: max(1, len(names) // TRIED)]
    for folder in _image_folders(os.path.dirname(path), root):
        files = ListedFiles(folder, lambda cell: cell)
        if sum(map(bool, files.below(sample))) < 0.9 * len(sample):
            continue
        paths = files.below(names)
        rows_with_image = [at for at, image in enumerate(paths) if image is not None]
        rests = [parts[at][1].strip() if len(parts[at]) > 1 else None for at in rows_with_image]
        images = [paths[at] or "" for at in rows_with_image]
        rows = _with_labels(images, rests, path, folder, (folder,), old=False)
        rows.notes.append(say_of_rows("names_without_extension", what=folder))
        n_missing = len(names) - len(rows_with_image)
        if n_missing:
            rows.notes.append(f"{counted(n_missing, 'image')} not found")
        return rows
    return None


def _image_folders(beside: str, root: str | None) -> list[str]:
    """List where images of names without extension may lie."""
    if root:
        return [root]
    if is_url(beside):
        return []
    above = [beside or ".", os.path.join(beside, ".."), os.path.join(beside, "..", "..")]
    named = [os.path.normpath(os.path.join(up, name)) for up in above for name in IMAGE_FOLDERS]
    return [*(folder for folder in named if os.path.isdir(folder)), beside or "."]


def ground_truth(folder: str) -> str | None:
    """Return the labels' file of a flat folder with ImageNet's validation images; None for others."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(100), strict=False)]
    except OSError:
        return None
    if not any(name.startswith("ILSVRC2012_val_") for name in names):
        return None
    places = [
        os.path.join(above, name) for above in (folder, os.path.dirname(folder)) for name in GROUND_TRUTH
    ]
    return next((file for file in places if os.path.isfile(file)), None)


def _is_image(path: str) -> bool:
    """Whether a path in a text list ends as an image file does."""
    return path.rpartition(".")[2].lower() in IMAGE_EXTENSIONS


def _parts(line: str) -> tuple[str, str | None]:
    """Split a line into the path, which may hold spaces, and the label.

    >>> _parts("my dog.jpg 3"), _parts("a.jpg,dog"), _parts("a b.jpg")
    (('my dog.jpg', '3'), ('a.jpg', 'dog'), ('a b.jpg', None))
    """
    if _is_image(line):
        return line, None
    for separator in ("\t", ",", ";"):
        path, mark, label = line.partition(separator)
        if mark and _is_image(path.strip()):
            return path.strip(), label.strip() or None
    words = re.split(r"\s+", line)
    for n_words in range(1, len(words)):
        if _is_image(words[n_words - 1]):  # the label may hold spaces, too
            prefix = re.match(rf"(?:\S+\s+){{{n_words}}}", line)
            at = prefix.end() if prefix else len(line)
            return line[:at].strip(), line[at:].strip() or None
    return line, None


def _in_order(lines: list[str], path: str, folder: str) -> Rows:
    """Pair labels with the images of a folder: by the number in their names, else sorted by name."""
    names = image_names(folder)
    numbers = [int(match[1]) for name in names if (match := NUMBERED.search(name))]
    if len(numbers) == len(names) > 0 and min(numbers) >= 1 and max(numbers) <= len(lines):
        named = [lines[at - 1] for at in numbers]
    elif len(names) == len(lines):
        named = lines
    else:
        raise ImageSourceError(
            f"'{path}' has {counted(len(lines), 'label')} and '{folder}' {counted(len(names), 'image')}: "
            "they cannot be paired. Give the folder with ?root=DIR"
        )
    labels, notes = named_labels(named, path, [os.path.dirname(path), folder, os.path.dirname(folder)])
    return Rows(names, labels, notes=[*notes])
