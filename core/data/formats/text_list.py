"""Lists of images in .txt files: `PATH LABEL` a line (torchvision, timm, Caffe), or only labels, in the order
of the images' names, as ImageNet's validation set has them."""

import os
import re

from core.common.formatting import counted
from core.common.remote.objects import read_small
from core.data.formats.names_beside import named_labels
from core.data.formats.rows import Rows, image_names
from core.data.sources.source import IMAGE_EXTENSIONS
from core.errors import ImageSourceError

MOST_BYTES = 2_000_000_000
NUMBERED = re.compile(r"_(\d{8})\.\w+$")  # ILSVRC2012_val_00000001.JPEG
GROUND_TRUTH = (  # labels of ImageNet's validation set, in the image folder or in the one above
    "imagenet_2012_validation_synset_labels.txt",
    *("ILSVRC2012_validation_ground_truth.txt", "val.txt", "val_map.txt", "synset_labels.txt"),
)


def read_text_list(path: str, root: str | None) -> Rows:
    """Return the images of a list. Labels that are numbers become names where a file of names lies beside.

    Raises:
        ImageSourceError: it is too large, no text, empty, or has another number of labels than of images.
    """
    try:
        text = read_small(path, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ImageSourceError(f"no such file: '{path}'. Check the path") from None
    except UnicodeDecodeError:
        raise ImageSourceError(f"'{path}' is not UTF-8 text. Give a list of images, one a line") from None
    except (OSError, ValueError) as error:
        raise ImageSourceError(f"cannot read '{path}': {error}. Give a list of images, one a line") from None
    by_number = {
        number: line.strip()
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    }
    lines = list(by_number.values())
    if not lines:
        raise ImageSourceError(f"the list '{path}' has no lines. Expected PATH LABEL, one image a line")
    folder = root or os.path.dirname(path)
    if not any(is_image(_parts(line)[0]) for line in lines[:100]):
        return _in_order(lines, path, folder)
    pairs = [_parts(line) for line in lines]
    bad = next((number for number, pair in zip(by_number, pairs, strict=True) if not is_image(pair[0])), None)
    if bad is not None:
        raise ImageSourceError(f"line {bad} of '{path}' names no image file. Expected PATH LABEL")
    labels, notes = named_labels([pair[1] for pair in pairs], path, [os.path.dirname(path), folder])
    folders = (".", "images", "..")
    return Rows([pair[0] for pair in pairs], labels, notes=[*notes], folders=folders)


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


def is_image(path: str) -> bool:
    return path.rpartition(".")[2].lower() in IMAGE_EXTENSIONS


def _parts(line: str) -> tuple[str, str | None]:
    """Split a line into the path, which may hold spaces, and the label.

    >>> _parts("my dog.jpg 3"), _parts("a.jpg,dog"), _parts("a b.jpg")
    (('my dog.jpg', '3'), ('a.jpg', 'dog'), ('a b.jpg', None))
    """
    if is_image(line):
        return line, None
    for separator in ("\t", ",", ";"):
        path, mark, label = line.partition(separator)
        if mark and is_image(path.strip()):
            return path.strip(), label.strip() or None
    words = re.split(r"\s+", line)
    for n_words in range(1, len(words)):
        if is_image(words[n_words - 1]):  # the label may hold spaces, too
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
