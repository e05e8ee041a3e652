"""Captions as open_clip's training reads them: `CsvDataset` of open_clip_train."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from open_clip_train.data import CsvDataset

from tests.crossed.data_kit import WrittenData

CAPTIONS = [
    "a brown dog, on the grass",
    'a sign that says "stop" beside a man\'s boat',
    '"Two cats", asleep in a box',
    "a red house by the sea; and a tree",
    "a woman | a kite over 3 hills",
    "a café in the old town",
]


def captions(
    folder: Path, *, separator: str = "\t", keys: tuple[str, str] = ("filepath", "title"), **how: Any
) -> WrittenData:
    images = [f"images/{number:03d}.jpg" for number in range(len(CAPTIONS))]
    path = folder / "train.csv"
    frame = pd.DataFrame({keys[0]: images, keys[1]: CAPTIONS, "similarity": 0.25})
    frame.to_csv(path, sep=separator, **{"index": False, **how})
    options: dict[str, Any] = {"transforms": None, "img_key": keys[0], "caption_key": keys[1]}
    read = CsvDataset(str(path), sep=separator, tokenizer=lambda texts: texts, **options)
    return WrittenData(captions="{folder}/train.csv", texts=list(read.captions))


CASES: dict[tuple[str, str], Callable[..., WrittenData]] = {
    ("open_clip_train's CsvDataset", "tab-separated, as by default"): captions,
    ("open_clip_train's CsvDataset", "with pandas' index"): partial(captions, index=True),
    ("open_clip_train's CsvDataset", "--csv-separator ,"): partial(captions, separator=","),
    ("open_clip_train's CsvDataset", "--csv-separator ;, all quoted"): partial(
        captions, separator=";", quoting=1
    ),
    ("open_clip_train's CsvDataset", "--csv-img-key image --csv-caption-key caption"): partial(
        captions, keys=("image", "caption")
    ),
}
