"""What a study shows of visual tokens: planted graphs at once, the rest when a command has written it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.folder import FolderSource
from core.data.glyphworld import GlyphworldSource
from core.errors import StudyError
from core.research.visual_tokens_beside_study import (
    FOLDER,
    graph_from_rows,
    keep_tables,
    planted_graph,
    rank_weights,
    shown_tokens,
)
from core.research.visual_tokens_composed_scenes import scene_graph

SOURCE = GlyphworldSource.from_spec("glyphworld?preset=compose&train=4&val=2")


class Opened:
    """The parts of a study that are read here."""

    def __init__(self, path):
        self.path, self.source, self.images = path, SOURCE, SOURCE.table


def tables():
    graph = scene_graph(SOURCE.plan(1), 96)
    corners = dict(zip(["left", "top", "right", "bottom"], graph.boxes.T, strict=True))
    objects = pd.DataFrame(
        {"image_id": "0/1", "object": range(len(graph.nodes)), "score": graph.scores, **corners}
    )
    objects["name"] = [node.phrase for node in graph.nodes]
    relations = pd.DataFrame([vars(t) for t in graph.triples]).assign(image_id="0/1")
    attention = pd.DataFrame(
        {"image_id": ["0/1", "0/1", "0/2"], "kind": ["image", "object", "image"], "name": "x", "weight": 0.5}
    )
    return graph, {"objects": objects, "relations": relations, "attention": attention}


def test_shown__planted_graph_without_any_file(tmp_path):
    found = shown_tokens(Opened(tmp_path), 1)  # type: ignore[arg-type]
    assert found.planted is not None and found.planted.triples == scene_graph(SOURCE.plan(1), 96).triples
    assert found.extracted is None and found.attention.empty and found.anything
    assert planted_graph(FolderSource(tmp_path, 0), "0/1") is None
    assert planted_graph(SOURCE, "9/9") is None


def test_shown__what_was_kept_of_this_image_alone(tmp_path):
    graph, kept = tables()
    keep_tables(tmp_path, kept, {"weights": [1, 2, 3]})
    found = shown_tokens(Opened(tmp_path), 1)  # type: ignore[arg-type]
    assert found.extracted is not None and found.extracted.triples == graph.triples
    assert np.array_equal(found.extracted.boxes, graph.boxes)
    assert found.attention["weight"].sum() == 1
    assert rank_weights(tmp_path) == [1.0, 2.0, 3.0]
    other = shown_tokens(Opened(tmp_path), 2)  # type: ignore[arg-type]
    assert other.extracted is None and len(other.attention) == 1


def test_graph_from_rows__is_in_the_order_of_the_objects():
    graph, kept = tables()
    mixed = kept["objects"].sample(frac=1, random_state=0)
    assert [node.name for node in graph_from_rows(mixed, kept["relations"]).nodes] == [
        node.phrase for node in graph.nodes
    ]


def test_shown__damage_is_named(tmp_path):
    keep_tables(tmp_path, {}, None)
    (tmp_path / FOLDER / "attention.parquet").write_bytes(b"no table")
    with pytest.raises(StudyError, match="attention.parquet'"):
        shown_tokens(Opened(tmp_path), 1)  # type: ignore[arg-type]
    assert rank_weights(tmp_path) is None


@pytest.mark.parametrize("file", ["attention.parquet", "weights.json"])
def test_shown__one_changed_bit_is_noticed(tmp_path, file):
    keep_tables(tmp_path, tables()[1], {"weights": [1, 2, 3]})
    assert rank_weights(tmp_path) == [1, 2, 3]
    content = bytearray((tmp_path / FOLDER / file).read_bytes())
    value = content.index(b"0/2" if file == "attention.parquet" else b"2,")
    content[value] ^= 1
    (tmp_path / FOLDER / file).write_bytes(content)
    if file == "weights.json":
        assert rank_weights(tmp_path) is None
    else:
        with pytest.raises(StudyError, match="attention.parquet'"):
            shown_tokens(Opened(tmp_path), 1)  # type: ignore[arg-type]
