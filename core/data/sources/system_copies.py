"""Copies of a file that a system named: `x - Copy.jpg`, `x copy 2.jpg`, `x (1).jpg`, beside `x.jpg`.

Words that say "copy" are enough. A number in brackets may also count pictures that were named together, so
those have to look like the picture they are called after.
"""

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from core.common.dataframes import evenly
from core.data.sources.likeness import PictureOf, likeness

LOOKED_AT = 100  # pairs of pictures that are compared
SAME = 0.98  # correlation of a picture and its copy, which may have been saved anew
MOST = 0.9  # share of copies among the compared pairs from which on the other pairs count as copies
_WRITTEN = tomllib.loads(Path(__file__).with_name("unit_names.toml").read_text(encoding="utf-8"))
NAMED, NUMBERED = (
    re.compile("|".join(_WRITTEN[name]), re.IGNORECASE) for name in ("said_copies", "numbered_copies")
)
IN_ALL = (")", "cop", "cóp", "kop", "副本", "コピー", "коп")  # one is in each such name


def originals(ids: Sequence[str], look: PictureOf) -> dict[int, int]:
    """Return the row of the original for the row of each copy.

    Args:
        ids: paths below the root. look: reads the picture of a row.
    """
    named = _named_as_copies(ids)
    if not named:
        return {}
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    first_of: dict[int, int] = {}
    numbered: dict[int, int] = {}
    for row in named:
        for pattern, pairs in ((NAMED, first_of), (NUMBERED, numbered)):
            original = original_name(ids[row], pattern)
            if original is not None and original in row_of:
                pairs[row] = row_of[original]
    pairs = first_of | _that_look_alike(numbered, look)
    return {row: _first(row, pairs) for row in pairs}


def original_name(image_id: str, pattern: re.Pattern[str]) -> str | None:
    """Return the name of the file that the name of a copy says; None for another name.

    >>> original_name("a/x - Copy (2).jpg", NAMED), original_name("a/Copy of x.jpg", NAMED)
    ('a/x.jpg', 'a/x.jpg')
    >>> original_name("a/x (1).jpg", NUMBERED), original_name("a/x.jpg", NUMBERED)
    ('a/x.jpg', None)
    """
    folder, slash, name = image_id.rpartition("/")
    stem, ending = os.path.splitext(name)
    original = pattern.sub("", stem)
    return f"{folder}{slash}{original}{ending}" if original not in ("", stem) else None


def _named_as_copies(ids: Sequence[str]) -> list[int]:
    text = "\n".join(ids).lower()
    if not any(mark in text for mark in IN_ALL):  # quick, as a million names are asked
        return []
    names = (os.path.splitext(image_id.rpartition("/")[2])[0] for image_id in ids)
    return [row for row, name in enumerate(names) if NAMED.search(name) or NUMBERED.search(name)]


def _that_look_alike(pairs: dict[int, int], look: PictureOf) -> dict[int, int]:
    """Leave out pairs that do not look alike; of very many pairs only some are looked at."""
    rows = list(pairs)
    looked_at = [rows[int(at)] for at in evenly(len(rows), LOOKED_AT)]
    alike = {row: pairs[row] for row in looked_at if likeness(look, row, pairs[row]) >= SAME}
    return pairs if len(rows) > LOOKED_AT and len(alike) >= MOST * len(looked_at) else alike


def _first(row: int, pairs: dict[int, int]) -> int:
    """Follow copies of copies to what they began with; each name is shorter than the one before."""
    while row in pairs:
        row = pairs[row]
    return row
