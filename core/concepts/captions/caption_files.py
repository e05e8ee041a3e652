"""Captions in a folder with a .txt for each picture, as trainers of diffusion models lay them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from core.concepts.captions.files import TextsTaken, say_of_captions
from core.concepts.captions.text import lines_of, text_encoding

ENDINGS = (".txt", ".caption")
LARGEST = 100_000  # bytes of one file; a list of all captions is given itself


def read_caption_files(folder: Path) -> TextsTaken | None:
    """Read the lines of all text files below a folder, sorted by path; None where there are none.

    Links and large files are left out.
    """
    paths = list(_caption_files(folder))
    if not paths:
        return None
    texts = [line.strip() for path in paths for line in lines_of(path, text_encoding(path))]
    captions = pd.Series([text for text in texts if text], dtype="str")
    return TextsTaken(captions, say_of_captions("files", n=len(paths)))


def _caption_files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(here, name) for name in sorted(names) if name.lower().endswith(ENDINGS))
        yield from (path for path in paths if _is_small_file(path))


def _is_small_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST
