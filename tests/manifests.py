"""Changing a study's manifest by hand, to make cases: the new one carries the right checksum again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from core.study.manifest import input_digests, read_manifest, write_manifest
from core.study.writer import StepWriter


@contextmanager
def edited_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """The manifest of a study, which is written when the block ends."""
    manifest = read_manifest(folder)
    yield manifest
    write_manifest(folder, manifest)


def change_texts(folder: Path, columns: Collection[str], prefix: str) -> None:
    """Put a text before every one in these columns of all tables of a study, which stays sound."""
    items = read_manifest(folder)["items"]
    tables = [name for name, entry in items.items() if entry["kind"] == "table"]
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in tables}
    for frame in frames.values():
        for column in set(columns) & set(frame.select_dtypes("str")):
            frame[column] = (prefix + frame[column]).where(frame[column] != "", "")
    write_tables(folder, **frames)


def write_tables(folder: Path, **frames: pd.DataFrame) -> None:
    """Replace tables of a study, which stays sound: what was made of them is not stale."""
    writer = StepWriter(folder, "")
    with edited_manifest(folder) as manifest:
        for name, frame in frames.items():
            writer.table(name, frame)
            manifest["items"][name] |= writer.items[name]
        for step in manifest["steps"].values():
            own = tuple(name for name in step["inputs"] if not name.startswith("@"))
            step["inputs"] |= input_digests(manifest, own)


def rename_to_head(folder: Path, answer: str) -> None:
    """Make an answer that a study was given the one of its encoder's own head: then it is the default."""
    (folder / f"answer_{answer}.parquet").rename(folder / "answer_head.parquet")
    with edited_manifest(folder) as manifest:
        manifest["items"]["answer_head"] = manifest["items"].pop(f"answer_{answer}")
        answers = manifest["steps"][f"answer-{answer}"]["summary"]["answers"]
        answers["head"] = answers.pop(answer)


def without_checksums(folder: Path) -> Path:
    """A TOKENS folder as it was written before its files had checksums."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"], manifest["files"]
    for array in manifest["arrays"].values():
        array["chunks"] = [{"rows": chunk["rows"]} for chunk in array["chunks"]]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
