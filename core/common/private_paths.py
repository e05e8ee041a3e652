"""Paths that are handed on without the folders above them: a home folder names its user."""

import os
import re
from collections.abc import Iterable

import pandas as pd

# Paths of images as they are handed on: below their common folder, as a home folder names its user.


def common_folder(names: pd.Series) -> str:
    """Return the user's folder, with a slash, that holds all absolute ones of some paths; "" without any."""
    absolute = names[names.str.startswith("/").fillna(False).to_numpy(bool)]
    if not len(absolute):
        return ""
    return os.path.dirname(os.path.commonprefix([absolute.min(), absolute.max()])).rstrip("/") + "/"


def relative_paths(paths: pd.Series, *folders: str) -> pd.Series:
    """Take the user's own folders off paths: each begins below the first folder that it lies in.

    Of an absolute path elsewhere the last two parts stay.
    """
    starts = [folder.rstrip("/") + "/" for folder in folders if folder.rstrip("/")]

    def relative(path: str) -> str:
        below = next((path.removeprefix(start) for start in starts if path.startswith(start)), path)
        return "/".join(below.split("/")[-2:]) if os.path.isabs(below) else below

    return paths.map(relative, na_action="ignore").astype(paths.dtype)


def folder_of_ids(ids: pd.Series) -> str:
    """Return the user's folder, with a slash, that holds all images, if ids are paths; "" for other ids.

    Ids are shown as they are below it: apart from each other, and without a folder of this machine.
    """
    if not ids.size or not str(ids.iloc[0]).startswith("/") or not ids.str.startswith("/").all():
        return ""
    folder = common_folder(ids)
    return "" if folder == "/" else folder


# Leave folders out of texts that are handed on: a home folder holds its user's name.


QUOTED = re.compile(r"(?<=')/[^'\n]*/(?=[^'/\n])|~/(?='[^'\n]*')|(?<=~/')[^'\n]*/(?=[^'/\n])")  # with spaces
PLAIN = re.compile(r"(?<![\w.:/~)\]}+#&!@%$-])~?/(?:[^/'\"\s,;]+/)+")  # where no name of a folder ends


def without_folders(text: str, names: Iterable[str] = ()) -> str:
    """Shorten absolute paths in a text to their last part; relative ones, addresses and `names` stay.

    >>> without_folders("no table in '/data/jo doe/mine': run it on /data/x.csv, a/b.csv or http://a/b")
    "no table in 'mine': run it on x.csv, a/b.csv or http://a/b"
    >>> without_folders("Run: info ~/studies/a, or ~/'my studies/b c', or '/data/my studies/d'")
    "Run: info a, or 'b c', or 'd'"
    >>> without_folders("label=/m/0bt9lr in /data/x", ["/m/0bt9lr"])
    'label=/m/0bt9lr in x'
    >>> without_folders("pets (2)/cats/1.jpg, C++/a/b.png (/data/x)")
    'pets (2)/cats/1.jpg, C++/a/b.png (x)'
    """
    rooted = [name for name in names if name.startswith("/")]

    def rest(match: re.Match[str]) -> str:
        begun, at = match[0], match.start()
        of_name = any(name.startswith(begun) and match.string.startswith(name, at) for name in rooted)
        return begun if of_name else ""

    return PLAIN.sub(rest, QUOTED.sub(rest, text))
