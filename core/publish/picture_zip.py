"""Pictures of some images as one zip file: a folder a class, and a table of what is known of them."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.common.csv_text import csv_text
from core.common.picture_bytes import image_file
from core.errors import PeregrineError
from core.study.reader import StudyReader

MOST_PICTURES = 2000
MOST_BYTES = 200_000_000
SMALL = 256  # pixels of the longer side up to which a picture is kept without loss
UNLABELLED = "unlabelled"  # the folder of images without a class
WHEN = (1980, 1, 1, 0, 0, 0)  # the same pictures make the same file


def pictures_zip(study: StudyReader, rows: Sequence[int] | np.ndarray, table: pd.DataFrame) -> bytes:
    """Pack the pictures of a study's images as a .zip, as far as MOST_PICTURES and MOST_BYTES allow.

    Args:
        rows: (n,) image rows. table: what is known of them, a row each; written to `images.csv`, with a
            column `file` that is empty for pictures that are left out or cannot be read.
    Returns:
        the zip file. Its folders are classes, so that it can be the images of another study; `classes.csv`
        has the folder of each class and is what `--head-classes` then takes.
    """
    buffer, files, used = io.BytesIO(), [], 0
    folders = _folders(study.images["label"].iloc[rows])
    with zipfile.ZipFile(buffer, "w") as packed:
        for at, row in enumerate(rows):
            name, body = _picture(study, int(row), folders) if at < MOST_PICTURES else ("", b"")
            fits = bool(body) and used + len(body) <= MOST_BYTES
            files.append(name if fits else "")
            if fits:
                used += len(body)
                packed.writestr(zipfile.ZipInfo(name, WHEN), body)
        listed = csv_text(table.assign(file=files))
        packed.writestr(zipfile.ZipInfo("images.csv", WHEN), listed, zipfile.ZIP_DEFLATED)
        classes = csv_text(pd.DataFrame({"output": folders.keys(), "label": folders.values()}))
        packed.writestr(zipfile.ZipInfo("classes.csv", WHEN), classes, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _folders(labels: pd.Series) -> dict[str, str]:
    """The folder of each class, of its own on every system: "C++", "C#" and "c" are C, C-2 and c-3."""
    folders, taken = {}, {UNLABELLED}
    for label in sorted(set(labels.dropna().astype(str))):
        plain = name = _plain(label)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


def _picture(study: StudyReader, row: int, folders: Mapping[str, str]) -> tuple[str, bytes]:
    """The name of a picture in the zip and its content; empty where it cannot be read now."""
    try:
        picture = study.image(row).convert("RGB")
    except (PeregrineError, OSError, KeyError):
        return "", b""
    image_id, label = (study.images[column].iat[row] for column in ("image_id", "label"))
    folder = UNLABELLED if pd.isna(label) else folders[str(label)]
    stem = _plain(str(image_id).rpartition("/")[2].partition(".")[0])
    kind = "png" if max(picture.size) <= SMALL else "jpg"
    content = image_file(picture, "PNG") if kind == "png" else image_file(picture, quality=95)
    return f"{folder}/{row:07d}-{stem}.{kind}", content


def _plain(text: str) -> str:
    """A text as a name that every system takes, and none for a path."""
    return re.sub(r"[^\w-]+", "-", text).strip("-")[:60] or "x"
