"""Whose the parts of a page's address are: one table (`address_parts.toml`)."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

_TABLE: dict[str, list[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FEATURES, STUDY, READER = "features", "study", "reader"


def owner(part: str) -> str | None:
    """Return whose a part of the address is, FEATURES, STUDY or READER; None for one that no page has.

    >>> owner("under"), owner("images_page"), owner("images_sort"), owner("nothing")
    ('features', 'study', 'reader', None)
    """
    return next((name for name in _TABLE if _fits(part, _TABLE[name])), None)


def _fits(part: str, names: list[str]) -> bool:
    return any(fnmatchcase(part, name) for name in names)
