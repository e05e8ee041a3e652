"""Leave folders out of texts that are handed on: a home folder holds its user's name."""

import os
import re

import pandas as pd

QUOTED = re.compile(r"(?<=')/[^'\n]*/(?=[^'/\n])|~/(?='[^'\n]*')|(?<=~/')[^'\n]*/(?=[^'/\n])")  # with spaces
PLAIN = re.compile(r"(?<![\w.:/~-])~?/(?:[^/'\"\s,;]+/)+")


def without_folders(text: str) -> str:
    """Shorten absolute paths in a text to their last part; relative ones and addresses stay.

    >>> without_folders("no table in '/data/jo doe/mine': run it on /data/x.csv, a/b.csv or http://a/b")
    "no table in 'mine': run it on x.csv, a/b.csv or http://a/b"
    >>> without_folders("Run: info ~/studies/a, or ~/'my studies/b c', or '/data/my studies/d'")
    "Run: info a, or 'b c', or 'd'"
    """
    return PLAIN.sub("", QUOTED.sub("", text))


def relative_paths(paths: pd.Series, folder: str) -> pd.Series:
    """Return paths relative to the folder of images; absolute ones elsewhere by their last two parts."""
    start = folder.rstrip("/") + "/"
    return paths.map(
        lambda path: (
            path.removeprefix(start)
            if path.startswith(start) or not os.path.isabs(path)
            else "/".join(path.split("/")[-2:])
        ),
        na_action="ignore",
    ).astype(paths.dtype)
