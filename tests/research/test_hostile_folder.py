"""TOKENS folders of a stranger: what no writer of ours would write is damaged, in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import TokenError
from core.research.visual_tokens_graph import Node, SceneGraph, Triple
from core.research.visual_tokens_store import TokenFolder, TokenWriter
from core.research.visual_tokens_tokens import ImageTokens, pack_tokens
from tests.manifests import without_checksums


@pytest.fixture
def written(tmp_path: Path) -> Path:
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9]], float)
    graph = SceneGraph(
        (Node("dog"), Node("cat")), boxes, np.array([0.9, 0.8]), (Triple(0, 1, "left of", 0.5),)
    )
    tokens = ImageTokens(np.ones(3, np.float32), np.ones((2, 3), np.float32), graph, (10, 10))
    with TokenWriter(tmp_path / "tokens") as writer:
        for image_id in "abcd":
            writer.add(image_id, "train", tokens)
        writer.finish({"left of": np.ones(3, np.float32)}, {"fingerprint": "x"})
    return tmp_path / "tokens"


@pytest.fixture
def folder(written: Path) -> Path:
    """As a stranger may write it, and as it was written before there were checksums."""
    return without_checksums(written)


def use(folder: Path) -> list[int]:
    opened = TokenFolder(folder)
    assert opened.fingerprint and opened.widths
    return pack_tokens(opened.tokens(range(len(opened))), opened.words, context=64).n_nodes.tolist()


def test_sound(folder: Path) -> None:
    assert use(folder) == [2, 2, 2, 2]


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    "file",
    [
        *("manifest.json", "offsets.npy", "images.parquet", "objects.parquet", "relations.parquet"),
        *("global/00000.npy", "tangible/00000.npy", "predicates/00000.npy"),
    ],
)
def test_one_changed_bit_is_noticed(written: Path, file: str, at: float) -> None:
    assert use(written) == [2, 2, 2, 2]
    content = bytearray((written / file).read_bytes())
    content[int(at * len(content))] ^= 1
    (written / file).write_bytes(content)
    with pytest.raises(TokenError, match="tokens again|is no TOKENS folder"):
        use(written)


def _array(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["arrays"]["global"].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("arrays"),
        lambda manifest: manifest.pop("fingerprint"),
        lambda manifest: manifest.update(arrays=[]),
        lambda manifest: manifest.update(predicates=None),
        lambda manifest: manifest.update(predicates=["one", "too many"]),
        lambda manifest: manifest.update(predicates=[{"a": 1}]),
        _array(shape=[4]),
        _array(shape=None),
        _array(shape=[4, 2**62]),
        _array(dtype="rubbish"),
        _array(dtype="O"),
        _array(chunks=None),
        _array(chunks=[{"rows": -4}]),
        _array(chunks=[{"rows": "4"}]),
        _array(chunks=[{"rows": 0}] * 9),
    ],
)
def test_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TokenError, match="Extract"):
        use(folder)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("images", {"width": None}),
        ("images", {"width": "x"}),
        ("objects", {"left": "x"}),
        ("objects", {"left": np.nan}),
        ("objects", {"name": None}),
        ("relations", {"subject": "a"}),
        ("relations", {"predicate": None}),
    ],
)
@pytest.mark.parametrize("act", ["change", "drop"])
def test_table(folder: Path, name: str, changes: dict[str, Any], act: str) -> None:
    path = folder / f"{name}.parquet"
    frame = pd.read_parquet(path)
    frame = frame.assign(**changes) if act == "change" else frame.drop(columns=list(changes))
    frame.to_parquet(path)
    with pytest.raises(TokenError, match=f"{name}.parquet cannot be read.*Extract the tokens again"):
        use(folder)


@pytest.mark.parametrize(
    "offsets", [np.zeros((5, 2), int), np.array([0, 2.5, 4, 6, 8]), np.array(3), ["0"] * 5]
)
def test_offsets(folder: Path, offsets: Any) -> None:
    np.save(folder / "offsets.npy", offsets)
    with pytest.raises(TokenError, match="offsets.npy"):
        use(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "says"), [("offsets.npy", "cannot be read"), ("manifest.json", "is no TOKENS folder")]
)
def test_pipe_in_place_of_a_file__is_not_waited_for(folder: Path, name: str, says: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(TokenError, match=says):
        use(folder)
