"""What img2dataset downloads, here from a server on this machine, in its output formats."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import pandas as pd
from img2dataset import download
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, rgb, save_all

NAMES = ("cat", "dog", "hot dog")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def downloaded(
    folder: Path,
    form: str,
    *,
    caption: bool = True,
    label: bool = False,
    n_shards: int = 1,
    spec: str = "{folder}/data",
    input_format: str = "csv",
    captions: str = "",
    **how: Any,
) -> WrittenData:
    """Nine pictures, with captions or classes beside, where asked.

    Args:
        captions: what `open_bank` reads, in place of pictures.
    """
    places = [folder / "source" / f"{number}.png" for number in range(9)]
    save_all(places, width=64, height=64)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "source")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rows: dict[str, Any] = {
        "url": [f"http://127.0.0.1:{server.server_port}/{number}.png" for number in range(9)]
    }
    texts = [f"A picture with the number {number}, in colours" for number in range(9)]
    rows |= {"caption": texts} if caption else {}
    rows |= {"label": [NAMES[number % 3] for number in range(9)]} if label else {}
    frame = pd.DataFrame(rows)
    listed = folder / f"list.{input_format}"
    frame.to_parquet(listed) if input_format == "parquet" else frame.to_csv(listed, index=False)
    asked = {
        "image_size": 48,
        "processes_count": 1,
        "thread_count": 2,
        "number_sample_per_shard": -(-9 // n_shards),
        "encode_format": "png",
        "encode_quality": 1,
        "resize_mode": "border",
    }
    further = {"caption_col": "caption"} if caption else {}
    further |= {"save_additional_columns": ["label"]} if label else {}
    download(
        url_list=str(listed),
        output_folder=str(folder / "data"),
        output_format=form,
        input_format=input_format,
        **(asked | further | how),
    )
    server.shutdown()
    if captions:
        told = pd.read_parquet(folder / "data" / "00000.parquet")["caption"]
        return WrittenData(captions=captions, texts=texts if captions.endswith("csv") else list(told))
    return WrittenData(spec=spec, pictures=read(folder / "data", form, caption, label))


def read(root: Path, form: str, caption: bool, label: bool) -> list[Picture]:
    """Each picture with the row of its shard's Parquet, which img2dataset writes for all formats."""
    pictures = []
    for table in sorted(root.glob("*.parquet")):
        rows = pd.read_parquet(table)
        members: dict[str, bytes] = {}
        if form == "webdataset":
            with tarfile.open(table.with_suffix(".tar")) as tar:
                members = {one.name: tar.extractfile(one).read() for one in tar}
        for row in rows[rows["status"] == "success"].itertuples():
            name = f"{row.key}.png"
            source = root / table.stem / name if form == "files" else io.BytesIO(members.get(name) or row.png)
            pixels = rgb(Image.open(source))
            pictures.append(
                Picture(pixels, row.label if label else None, text=row.caption if caption else "")
            )
    return pictures


CASES = {
    ("files", "captions"): partial(downloaded, form="files"),
    ("files", "captions, three shards"): partial(downloaded, form="files", n_shards=3),
    ("files", "neither captions nor labels"): partial(downloaded, form="files", caption=False),
    ("files", "save_additional_columns=[label]"): partial(
        downloaded, form="files", caption=False, label=True
    ),
    ("webdataset", "captions"): partial(downloaded, form="webdataset"),
    ("webdataset", "captions, three shards"): partial(downloaded, form="webdataset", n_shards=3),
    ("webdataset", "captions, save_additional_columns=[label]"): partial(
        downloaded, form="webdataset", label=True
    ),
    ("webdataset", "save_additional_columns=[label]"): partial(
        downloaded, form="webdataset", caption=False, label=True
    ),
    ("webdataset", "captions, from Parquet"): partial(downloaded, form="webdataset", input_format="parquet"),
    ("webdataset", "resize_mode=center_crop"): partial(
        downloaded, form="webdataset", resize_mode="center_crop"
    ),
    ("parquet", "captions"): partial(downloaded, form="parquet", spec="{folder}/data/00000.parquet"),
    ("parquet", "captions, its folder"): partial(downloaded, form="parquet"),
    ("parquet", "save_additional_columns=[label]"): partial(
        downloaded, form="parquet", caption=False, label=True, spec="{folder}/data/00000.parquet"
    ),
    ("files", "captions of 00000.parquet"): partial(
        downloaded, form="files", captions="{folder}/data/00000.parquet"
    ),
    ("files", "captions of the list"): partial(downloaded, form="files", captions="{folder}/list.csv"),
}
