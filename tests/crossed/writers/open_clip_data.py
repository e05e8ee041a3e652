"""Captions as open_clip's training reads them: its .csv by CsvDataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from open_clip_train.data import CsvDataset

from tests.crossed.data_kit import Picture, WrittenData, rgb, save_all
from tests.crossed.writers import open_clip_csv

TEXTS = [
    f'A {name} number {number}, seen from "afar"; it is late'
    for number, name in enumerate(("cat", "dog", "owl", "cow", "fox", "bee"))
]


def table(folder: Path, separator: str, columns: tuple[str, str], ending: str) -> tuple[Path, CsvDataset]:
    places = [folder / "data" / f"{number}.png" for number in range(6)]
    save_all(places)
    frame = pd.DataFrame({columns[0]: [str(one) for one in places], columns[1]: TEXTS})
    file = folder / "data" / f"train.{ending}"
    frame.to_csv(file, sep=separator, index=False)
    return file, CsvDataset(str(file), lambda one: one, *columns, sep=separator, tokenizer=list)


def captions(
    folder: Path,
    separator: str = "\t",
    columns: tuple[str, str] = ("filepath", "title"),
    ending: str = "csv",
    more: str = "",
    **written: Any,
) -> WrittenData:
    file, held = table(folder, separator, columns, ending)
    return WrittenData(
        captions=f"{{folder}}/data/{file.name}{more}", texts=[str(one) for one in held.captions], **written
    )


def images(
    folder: Path,
    separator: str = "\t",
    columns: tuple[str, str] = ("filepath", "title"),
    ending: str = "csv",
    **written: Any,
) -> WrittenData:
    """The same file as images: no labels, a caption each."""
    file, held = table(folder, separator, columns, ending)
    pictures = [
        Picture(rgb(Path(path)), None, file=Path(path).name, text=text if columns[1] == "caption" else "")
        for path, text in zip(held.images, held.captions, strict=True)
    ]
    return WrittenData(spec=f"{{folder}}/data/{file.name}", pictures=pictures, **written)


CASES = {
    ("CsvDataset", "captions, tab, .csv"): captions,
    ("CsvDataset", "captions, tab, .tsv"): partial(captions, ending="tsv"),
    ("CsvDataset", "captions, comma, .csv"): partial(captions, separator=","),
    ("CsvDataset", "captions, semicolon, .csv"): partial(captions, separator=";"),
    ("CsvDataset", "captions, columns image, caption"): partial(
        captions, columns=("image", "caption"), separator=","
    ),
    ("CsvDataset", "captions, columns image_path, raw"): partial(
        captions, columns=("image_path", "raw"), separator=",", more="?column=raw"
    ),
    ("CsvDataset", "images, tab, .csv"): images,
    ("CsvDataset", "images, comma, .csv"): partial(images, separator=","),
    ("CsvDataset", "images, filepath and caption"): partial(
        images, columns=("filepath", "caption"), separator=","
    ),
}
CASES |= open_clip_csv.CASES
