"""Folders whose labels or captions stand in metadata.csv, as `datasets` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from core.data.folder import FolderSource
from core.data.images import open_images, reopen_images
from core.data.source import ImageSource
from core.data.tables import MetadataSource
from tests.data.pictures import make_folder
from tests.data.test_folder import rows

NAMES = [f"{number}.png" for number in range(4)]


def kinds(source: ImageSource) -> list[str]:
    return [getattr(note, "kind", "") for note in source.notes]


def written(path: Path, **columns: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(columns)
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        getattr(frame, f"to_{path.suffix[1:]}")(path, index=False)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_labels__and_captions_of_the_table(tmp_path, ending):
    make_folder(tmp_path, [f"cat/{name}" for name in NAMES])
    labels, texts = ["owl", "dog", "owl"], ["an owl", "a dog", "owls"]
    columns = {"file_name": [f"cat/{name}" for name in NAMES[:3]], "label": labels, "text": texts}
    written(tmp_path / f"metadata.{ending}", **columns)
    source = open_images(tmp_path)
    assert isinstance(source, MetadataSource)
    assert [(path, label) for path, _, label in rows(source)] == [
        (f"cat/{name}", label) for name, label in zip(NAMES, labels, strict=False)
    ]
    assert source.extras is not None and list(source.extras["caption"]) == texts
    assert {"metadata", "not_listed"} <= set(kinds(source))
    again = reopen_images(source.describe())
    assert again.table.equals(source.table) and again.fingerprint() == source.fingerprint()
    assert source.read(2).size == again.read_id("cat/2.png").size


def test_splits__with_a_table_each(tmp_path):
    for split in ("train", "validation"):
        make_folder(tmp_path / split, NAMES)
        written(tmp_path / split / "metadata.csv", file_name=NAMES, label=["a", "b"] * 2)
    source = open_images(tmp_path)
    assert source.split_given and len(source) == 8
    assert rows(source)[1] == ("train/1.png", "train", "b")
    assert rows(source)[-1] == ("validation/3.png", "val", "b")


def test_level__asked_for_takes_the_folders(tmp_path):
    make_folder(tmp_path, [f"cat/{name}" for name in NAMES] + ["dog/0.png"])
    written(tmp_path / "metadata.csv", file_name=["cat/0.png", "dog/0.png"], label=["x", "y"])
    assert isinstance(open_images(tmp_path), MetadataSource)
    source = open_images(tmp_path, class_level=1)
    assert isinstance(source, FolderSource) and set(source.table["label"]) == {"cat", "dog"}


@pytest.mark.parametrize("column", ["text", "caption"])
def test_captions__without_labels_leave_the_folders(tmp_path, column):
    make_folder(tmp_path, ["cat/0.png", "dog/1.png"])
    columns = {"file_name": ["dog/1.png", "cat/0.png"], column: ["a dog", "a cat"]}
    written(tmp_path / "metadata.csv", **columns)
    source = open_images(tmp_path)
    assert isinstance(source, FolderSource) and list(source.table["label"]) == ["cat", "dog"]
    assert source.extras is not None and list(source.extras["caption"]) == ["a cat", "a dog"]
    assert "captions" in kinds(source) and "folder_table" not in kinds(source)
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize(
    "columns",
    [
        {"img_filename": ["cat/0.png", "dog/1.png"], "label": ["a", "b"]},  # Waterbirds
        {"file_name": ["cat/0.png", "cat/0.png"], "label": ["a", "b"]},  # two labels of one image
    ],
)
def test_other_tables__are_named(tmp_path, columns):
    make_folder(tmp_path, ["cat/0.png", "dog/1.png"])
    written(tmp_path / "metadata.csv", **columns)
    source = open_images(tmp_path)
    assert isinstance(source, FolderSource) and "folder_table" in kinds(source)


def test_paths__that_leave_the_folder_are_not_read(tmp_path):
    root = make_folder(tmp_path / "data", NAMES[:2])
    make_folder(tmp_path, ["secret.png"])
    written(Path(root) / "metadata.csv", file_name=["0.png", "../secret.png"], label=["a", "b"])
    source = open_images(root)
    with pytest.raises(Exception, match="leaves"):
        source.read(1)
