"""A manifest of any size is read as it was written; one that no study has is refused early."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import pytest

from core.errors import DamagedManifest, StudyError
from core.study import manifest, seals
from core.study.manifest import LONG, read_manifest, write_manifest


def an_array(n_chunks: int) -> dict[str, object]:
    chunks = [
        {"rows": 1 + number % 3, "sha256": hashlib.sha256(str(number).encode()).hexdigest()}
        for number in range(n_chunks)
    ]
    n_rows = sum(1 + number % 3 for number in range(n_chunks))
    return {"kind": "array", "step": "embed", "dtype": "<f2", "shape": [n_rows, 4], "chunks": chunks}


def of_items(items: dict[str, object]) -> dict[str, Any]:
    return manifest.empty_manifest() | {"items": items}


@pytest.mark.parametrize("n_chunks", [0, 1, LONG - 1, LONG, 3 * LONG + 1])
def test_manifest__as_written_whatever_its_size(tmp_path, n_chunks):
    written = of_items({"few": an_array(2), "many": an_array(n_chunks)})
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written
    content = (tmp_path / "manifest.json").read_bytes()
    write_manifest(tmp_path, read_manifest(tmp_path))
    assert (tmp_path / "manifest.json").read_bytes() == content
    assert (len(content) < 100 * n_chunks) == (n_chunks >= LONG)


def test_manifest__a_long_list_of_an_earlier_version_is_read(tmp_path):
    written = of_items({"many": an_array(2 * LONG)})
    (tmp_path / "manifest.json").write_bytes(seals.sealed_json(written))
    assert read_manifest(tmp_path) == written


@pytest.mark.parametrize(
    "chunks",
    [
        {"rows": "1 1", "sha256": "a" * 127},
        {"rows": "1 -1", "sha256": "a" * 128},
        {"rows": f"1 {'9' * 5000}", "sha256": "a" * 128},
        {"rows": "9 9", "sha256": "a" * 128},
        {"rows": [1], "sha256": "a" * 64},
        {"rows": "2"},
    ],
    ids=["checksum", "negative", "digits", "sum", "list", "none"],
)
def test_manifest__packed_texts_that_are_no_chunks(tmp_path, chunks):
    (tmp_path / "manifest.json").write_bytes(
        seals.sealed_json(of_items({"bad": {**an_array(2), "shape": [2, 4], "chunks": chunks}}))
    )
    with pytest.raises(DamagedManifest, match="has an invalid item 'bad': (no chunks|chunks of a different)"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(("rows", "columns"), [(0, ["image_id", "split", "label"]), (3, ["split", "label"])])
def test_manifest__a_table_of_images_without_any_or_without_their_names(tmp_path, rows, columns):
    table = {"kind": "table", "step": "embed", "shape": [rows, len(columns)], "columns": columns}
    write_manifest(tmp_path, of_items({"images": {**table, "types": [""] * len(columns), "sha256": ""}}))
    with pytest.raises(DamagedManifest, match="has an invalid item 'images'"):
        read_manifest(tmp_path)


def test_manifest__of_small_values_is_refused_before_it_takes_memory(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b'{"format": 1, "steps": [' + b"[],{}," * (1 << 20) + b"0]}")
    tracemalloc.start()
    with pytest.raises(DamagedManifest, match="manifest"):
        read_manifest(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_manifest__one_that_could_not_be_read_is_not_written(tmp_path, monkeypatch):
    write_manifest(tmp_path, of_items({"few": an_array(2)}))
    monkeypatch.setattr(manifest, "MOST_BYTES", 10_000)
    with pytest.raises(StudyError, match="studies"):
        write_manifest(tmp_path, of_items({"many": an_array(LONG)}))
    assert list(read_manifest(tmp_path)["items"]) == ["few"]
