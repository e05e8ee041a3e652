"""The folder of an experiment: its settings, its rows, and which images it uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.csv_text import as_written, write_csv
from core.common.inside import replacing
from core.errors import SettingsError

ROWS, SETTINGS, IMAGES, STUDY = "runs.csv", "settings.json", "images.csv", "study"


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Store what all rows of a folder must share, or refuse a folder that was begun with other settings."""
    path, now = folder / SETTINGS, json.loads(json.dumps(settings))
    begun = (folder / STUDY).exists() or (folder / ROWS).exists()
    if path.exists() and begun:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise SettingsError(f"'{path}' cannot be read. Choose another -o, or delete it") from None
        changed = [f"{key} ({before.get(key)}, not {now[key]})" for key in now if before.get(key) != now[key]]
        if changed:
            named = ", ".join(changed)
            raise SettingsError(f"'{folder}' holds runs with another {named}. Choose another -o")
        return
    (folder / IMAGES).unlink(missing_ok=True)  # drawn for settings that led to nothing
    with replacing(path, parents=True) as temporary:
        temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def read_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / ROWS
    if not path.exists():
        return []
    frame = pd.read_csv(path).map(as_written)
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(folder / ROWS, parents=True) as temporary:
        write_csv(pd.DataFrame(rows), temporary)


def sampled_images(images: str, folder: Path, *, n_train: int | None, n_val: int | None) -> str:
    """Return an image set of at most this many images, drawn class by class by a fixed seed.

    The sample is listed in FOLDER/images.csv, once; without limits the set is used as it is.

    Raises:
        SettingsError: images without labels, or that are no files. ImageSourceError: no images.
    """
    from core.data.sources.images import open_images

    path = folder / IMAGES
    if path.exists():
        return str(path)
    table = open_images(images).table
    if bool(table["label"].isna().any()):
        raise SettingsError(
            f"'{images}' has images without a label, and the probe needs them. Give a folder of CLASS/IMAGE"
        )
    n_images = {"train": n_train, "val": n_val}
    if all(n is None or n >= (table["split"] == split).sum() for split, n in n_images.items()):
        return images
    if not all(Path(text).is_file() for text in table["path"].iloc[[0, -1]]):
        raise SettingsError(
            f"'{images}' does not consist of image files, so no sample of it can be listed. "
            "Unpack it into folders, or use --preset gpu, which takes all images"
        )
    parts = [
        sample(table.loc[table["split"] == split].reset_index(drop=True), n) for split, n in n_images.items()
    ]
    with replacing(path, parents=True) as temporary:
        write_csv(pd.concat(parts).loc[:, ["image_id", "path", "split", "label"]], temporary)
    return str(path)


def sample(table: pd.DataFrame, n: int | None, *, seed: int = 0) -> pd.DataFrame:
    """Draw at most n rows, as evenly over the labels as possible; None: all."""
    if n is None or n >= len(table):
        return table
    rng = np.random.default_rng(seed)
    shuffled = table.iloc[rng.permutation(len(table))]
    rank_in_class = shuffled.groupby("label").cumcount()  # the first of each class, then the second, …
    return shuffled.loc[rank_in_class.sort_values(kind="stable").index[:n]].sort_index()
