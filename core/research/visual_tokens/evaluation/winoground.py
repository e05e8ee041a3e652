"""Winoground (Thrush et al. 2022), read from a copy of its files: it is gated and never downloaded.

Either examples.jsonl with id, image_0, image_1, caption_0, caption_1, tag, secondary_tag … and
images/NAME.png, or .parquet files whose image columns hold the bytes; both in ROOT or in ROOT/data.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.inside import parse_json
from core.errors import TokenError
from core.research.visual_tokens.evaluation.benchmark import Benchmark, PairItem, missing_images, opened
from core.research.visual_tokens.plugs import KeyedPicture

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
    path, items, paths, missing = folder / EXAMPLES, [], {}, []
    entries = list(_entries(path))
    for where, row in entries:
        names = _text(row, "image_0", where), _text(row, "image_1", where)
        image_paths = {name: _image_path(folder / "images", name) for name in names}
        paths |= {name: image for name, image in image_paths.items() if image is not None}
        missing += [name for name, image in image_paths.items() if image is None]
        if all(image_paths.values()):
            items.append(_item(row, names, where))
    _check_ids([row["id"] for _, row in entries], path)
    n_left_out = len(entries) - len(items)
    dropped = missing_images(missing, len(paths), path)
    dropped |= {"pairs without both of their images": n_left_out} if n_left_out else {}
    return _benchmark(items, paths, dropped, path)


def _benchmark(
    items: list[PairItem], pictures: Mapping[str, Path | bytes], dropped: dict[str, int], path: Path
) -> Benchmark:
    if not items:
        raise TokenError(f"'{path}' holds no pair whose two images are there")
    return Benchmark("Winoground", items, lambda key: KeyedPicture(key, opened(pictures[key], key)), dropped)


def _image_path(folder: Path, name: str) -> Path | None:
    named = (folder / name, folder / f"{name}.png", folder / f"{name}.jpg")
    return next((path for path in named if path.is_file()), None)


def _from_parquet(files: list[Path]) -> Benchmark:
    items, contents = [], {}
    for path in files:
        try:
            table = pd.read_parquet(path)
        except Exception as error:
            raise TokenError(f"'{path}' cannot be read ({type(error).__name__})") from error
        _check_columns(table.columns.tolist(), f"'{path}'")
        for number, row in enumerate(table.to_dict("records")):
            where, keys = f"'{path}': entry {number}", (f"{row['id']}/0", f"{row['id']}/1")
            for side, key in enumerate(keys):
                contents[key] = _bytes_of(row[f"image_{side}"], where)
            items.append(_item(row, keys, where))
    _check_ids([item.pictures[0].removesuffix("/0") for item in items], files[0].parent)
    return _benchmark(items, contents, {}, files[0])


def _bytes_of(value: Any, where: str) -> bytes:
    """Return the bytes of an image column, which is a mapping with `bytes`, or bytes."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise TokenError(f"{where} holds no image bytes")
    return content


def _check_ids(ids: Sequence[Any], path: Path) -> None:
    """Raise TokenError for a pair that is listed twice, as in a copy beside the original."""
    seen: set[str] = set()
    for one in map(str, ids):
        if one in seen:
            raise TokenError(f"'{path}' lists the pair with id {one} twice. Leave one copy of the files")
        seen.add(one)


def _item(row: Mapping[str, Any], keys: tuple[str, str], where: str) -> PairItem:
    tags = [row.get(name) for name in ("collapsed_tag", "tag")]
    captions = _text(row, "caption_0", where), _text(row, "caption_1", where)
    return PairItem(keys, captions, next((tag for tag in tags if isinstance(tag, str) and tag), ""))


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(row[name], str):
        raise TokenError(f"{where} has no text in {name}")
    return row[name]


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each entry with the words that name it in a message."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: texts may hold other breaks
    except (OSError, ValueError) as error:
        raise TokenError(f"'{path}' cannot be read as text ({type(error).__name__})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"'{path}': line {number}"
        try:
            row = parse_json(line)
        except ValueError:
            raise TokenError(f"{where} is no JSON") from None
        _check_columns(list(row) if isinstance(row, dict) else [], where)
        yield where, row


def _check_columns(names: list[str], where: str) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise TokenError(f"{where} has no {', '.join(missing)}")
