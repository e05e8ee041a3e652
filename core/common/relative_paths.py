"""Paths of images as they are handed on: below their common folder, as a home folder names its user."""

import os

import pandas as pd


def common_folder(names: pd.Series) -> str:
    """Return the folder, with a slash, in which all absolute ones of some paths lie; "" without any."""
    absolute = names[names.str.startswith("/").fillna(False).to_numpy(bool)]
    if not len(absolute):
        return ""
    return os.path.dirname(os.path.commonprefix([absolute.min(), absolute.max()])).rstrip("/") + "/"


def relative_paths(paths: pd.Series, *folders: str) -> pd.Series:
    """Return paths relative to the first folder that they are below; absolute ones elsewhere by their last
    two parts."""
    starts = [one.rstrip("/") + "/" for one in folders if one.rstrip("/")]

    def relative(path: str) -> str:
        below = next((path.removeprefix(start) for start in starts if path.startswith(start)), path)
        return "/".join(below.split("/")[-2:]) if os.path.isabs(below) else below

    return paths.map(relative, na_action="ignore").astype(paths.dtype)


def folder_of_ids(ids: pd.Series) -> str:
    """Return the folder, with a slash, in which all images lie whose ids are paths; "" for other ids.

    Ids are shown as they are below it: apart from each other, and without a folder of this machine.
    """
    if not ids.size or not str(ids.iloc[0]).startswith("/") or not ids.str.startswith("/").all():
        return ""
    folder = common_folder(ids)
    return "" if folder == "/" else folder
