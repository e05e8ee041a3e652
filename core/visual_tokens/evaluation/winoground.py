"""Winoground (Thrush et al. 2022), read from a copy of its files: it is gated and never downloaded.

Either examples.jsonl with id, image_0, image_1, caption_0, caption_1, tag, secondary_tag … and
images/NAME.png, or .parquet files whose image columns hold the bytes; both in ROOT or in ROOT/data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from core.data.sources.decode import decode
from core.errors import TokenError, UnreadableImage
from core.visual_tokens.evaluation.benchmark import Benchmark, PairItem
from core.visual_tokens.plugs import KeyedPicture

EXAMPLES = "examples.jsonl"
COLUMNS = ("id", "image_0", "image_1", "caption_0", "caption_1")


def winoground_benchmark(root: str | Path) -> Benchmark:
    """Open Winoground below `root`.

    Raises:
        TokenError: neither layout is there, or an entry lacks what it should have.
    """
    folder = Path(root)
    for inner in (folder, folder / "data"):
        if (inner / EXAMPLES).is_file():
            return _from_lines(inner)
    files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
    if files:
        return _from_parquet(files)
    raise TokenError(
        f"'{root}' holds no Winoground: expected {EXAMPLES} with images/, or a .parquet file. "
        "Its owners give it to those who agree to their terms"
    )


def _from_lines(folder: Path) -> Benchmark:
    items, paths, missing = [], {}, []
    for row in _entries(folder / EXAMPLES):
        names = [str(row[f"image_{side}"]) for side in (0, 1)]
        found = [_image_path(folder / "images", name) for name in names]
        missing += [name for name, path in zip(names, found, strict=True) if path is None]
        if None in found:
            continue
        paths |= dict(zip(names, found, strict=True))
        items.append(_item(row, (names[0], names[1])))
    share = len(missing) / max(len(missing) + len(paths), 1)
    said = f"images that are not there ({share:.0%}: {', '.join(missing[:3])} …)"
    dropped = {said: len(missing)}
    return Benchmark(
        "Winoground",
        items,
        lambda key: KeyedPicture(key, _opened(paths[key])),
        dropped=dropped if missing else {},
    )


def _image_path(folder: Path, name: str) -> Path | None:
    named = (folder / name, folder / f"{name}.png", folder / f"{name}.jpg")
    return next((path for path in named if path.is_file()), None)


def _from_parquet(files: list[Path]) -> Benchmark:
    try:
        table = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    except Exception as error:
        raise TokenError(f"'{files[0]}' cannot be read ({type(error).__name__})") from error
    _check_columns(table.columns.tolist(), files[0])
    items, contents = [], {}
    for number, row in enumerate(table.to_dict("records")):
        keys = (f"{row['id']}/0", f"{row['id']}/1")
        for side, key in enumerate(keys):
            contents[key] = _bytes_of(row[f"image_{side}"], files[0], number)
        items.append(_item(row, keys))
    return Benchmark("Winoground", items, lambda key: KeyedPicture(key, _opened(contents[key])))


def _bytes_of(value: Any, path: Path, number: int) -> bytes:
    """Return the bytes of an image column, which is a mapping with `bytes`, or bytes."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise TokenError(f"'{path}': entry {number} holds no image bytes")
    return content


def _opened(content: Path | bytes) -> Image.Image:
    try:
        return decode(content)
    except UnreadableImage as error:
        raise TokenError(f"an image of Winoground cannot be read: {error}") from error


def _item(row: dict[str, Any], keys: tuple[str, str]) -> PairItem:
    captions = (str(row["caption_0"]), str(row["caption_1"]))
    return PairItem(keys, captions, str(row.get("collapsed_tag") or row.get("tag") or ""))


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise TokenError(f"'{path}': line {number + 1} is no JSON") from None
        _check_columns(list(row) if isinstance(row, dict) else [], path)
        yield row


def _check_columns(names: list[str], path: Path) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise TokenError(f"'{path}' has no {', '.join(missing)}")
