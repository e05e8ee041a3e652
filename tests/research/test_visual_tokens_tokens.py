"""A TOKENS folder gives back what was written, and refuses what no model can read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from core.data.glyphworld import GlyphworldSource
from core.encoders.trusted_code import allowing
from core.errors import CodeRefused, ShapeError, TokenError
from core.research.visual_tokens_graph import Triple
from core.research.visual_tokens_segmenters import (
    Counts,
    KeyedPicture,
    PlantedSource,
    PluggedSource,
    Segments,
    grid_boxes,
    load_plug,
    masked_crop,
    one_hot,
    open_token_source,
)
from core.research.visual_tokens_store import TokenFolder, TokenWriter
from core.research.visual_tokens_tokens import ImageTokens, pack_tokens
from tests.manifests import without_checksums
from tests.research.planted_graphs import random_graph

WORDS = {"left of": np.array([1.0, 0, 0])}


def made(rng, n, m, width=5):
    return ImageTokens(
        rng.random(4).astype(np.float32),
        rng.random((n, width)).astype(np.float32),
        random_graph(rng, n, m),
        (96, 80),
    )


def written(path, images, words=WORDS):
    with TokenWriter(path) as writer:
        for number, tokens in enumerate(images):
            writer.add(f"image/{number}", "val" if number % 2 else "train", tokens)
        writer.finish(words, {"fingerprint": "f"})
    return TokenFolder(path)


def test_folder__gives_back_what_was_written(rng, tmp_path):
    images = [made(rng, n, m) for n, m in [(3, 2), (0, 0), (1, 0), (4, 5)]]
    folder = written(tmp_path / "tokens", images)
    assert folder.widths == {"global": 4, "tangible": 5, "predicates": 3}
    assert folder.images["split"].tolist() == ["train", "val", "train", "val"]
    for before, after in zip(images, folder.tokens([f"image/{i}" for i in range(4)]), strict=True):
        assert np.array_equal(before.features, after.features) and after.size == (96, 80)
        assert np.array_equal(before.embeddings, after.embeddings[: len(before.embeddings)])
        assert before.graph.triples == after.graph.triples
        assert np.array_equal(before.graph.boxes, after.graph.boxes)
        assert [node.name for node in after.graph.nodes] == [node.name for node in before.graph.nodes]
    assert folder.words["left of"].tolist() == [1, 0, 0]


def test_folder__is_there_whole_or_not_at_all(rng, tmp_path):
    with pytest.raises(RuntimeError, match="killed"), TokenWriter(tmp_path / "tokens") as writer:
        writer.add("a", "train", made(rng, 2, 1))
        raise RuntimeError("killed")
    assert list(tmp_path.iterdir()) == []


def test_folder__refuses_what_is_none(rng, tmp_path):
    with pytest.raises(TokenError, match="folder"):
        TokenFolder(tmp_path)
    folder = written(tmp_path / "tokens", [made(rng, 2, 1)])
    with pytest.raises(TokenError, match="'image/1'.*'image/0'"):
        folder.graph("image/1")
    manifest = json.loads((without_checksums(folder.path) / "manifest.json").read_text())
    (folder.path / "manifest.json").write_text(json.dumps(manifest | {"version": 9}))
    with pytest.raises(TokenError, match="version 9"):
        TokenFolder(folder.path)


def test_folder__refuses_offsets_and_relations_that_do_not_fit(rng, tmp_path):
    folder = written(tmp_path / "tokens", [made(rng, 3, 2), made(rng, 2, 1)])
    without_checksums(folder.path)
    offsets, relations = folder.path / "offsets.npy", folder.path / "relations.parquet"
    np.save(offsets, [0, 3, 4])  # one object too few
    with pytest.raises(TokenError, match="offsets.npy"):
        TokenFolder(folder.path).graph(1)
    offsets.write_bytes(b"")
    with pytest.raises(TokenError, match="offsets.npy"):
        TokenFolder(folder.path).graph(1)
    np.save(offsets, [0, 3, 5])
    assert len(TokenFolder(folder.path).graph(1).triples) == 1
    folder.relations.iloc[::-1].to_parquet(relations)
    with pytest.raises(TokenError, match="relations.parquet.*images.parquet"):
        TokenFolder(folder.path).graph(1)


def test_pack__places_relations_and_boxes(rng):
    images = [made(rng, 3, 2), made(rng, 0, 0), made(rng, 5, 4)]
    packed = pack_tokens(images, WORDS, context=24)
    assert packed.ranks.shape == (3, 10, 10) and packed.n_cut == 0
    batch = packed.batch(np.array([0, 1]))
    assert batch.tangible.shape == (2, 3, 5) and batch.ranks.shape == (2, 6, 6)
    assert np.allclose(packed.boxes[0, 0], images[0].graph.boxes[0] / [96, 80, 96, 80])
    assert packed.word.max() == 0 and packed.n_predicates.tolist() == [2, 0, 4]


def test_pack__cuts_to_the_context_and_counts(rng):
    packed = pack_tokens([made(rng, 6, 9), made(rng, 2, 1)], WORDS, context=8)
    assert packed.n_cut == 1 and packed.ranks.shape[1] <= 8
    assert packed.n_nodes.tolist() == [6, 2]


def test_pack__shuffled_graph_keeps_the_tokens_and_moves_the_rest(rng):
    images = [made(rng, 6, 4) for _ in range(8)]
    plain, moved = (pack_tokens(images, WORDS, context=24, shuffle=seed) for seed in (None, 3))
    assert np.array_equal(plain.tangible, moved.tangible)
    assert not np.array_equal(plain.ranks, moved.ranks) and not np.array_equal(plain.boxes, moved.boxes)
    again = pack_tokens(images, WORDS, context=24, shuffle=3)
    assert np.array_equal(again.ranks, moved.ranks)


def test_pack__refuses_two_widths_and_words_without_embedding(rng):
    with pytest.raises(ShapeError, match="5.*6.*numbers"):
        pack_tokens([made(rng, 2, 1), made(rng, 2, 1, width=6)], WORDS, context=24)
    with pytest.raises(TokenError, match="'left of'"):
        pack_tokens([made(rng, 2, 1)], {"above": np.ones(3)}, context=24)


def planted_picture():
    source = GlyphworldSource.from_spec("glyphworld?preset=compose&train=1&val=0")
    return KeyedPicture("0/0", source.read(0), source.plan(0))


def test_onehot__tells_noun_colour_and_size_and_no_place():
    [tokens] = PlantedSource(None, "planted", None, 0.05).tokens([planted_picture()])
    named = [len(node.phrase.split()) for node in tokens.graph.nodes]
    assert tokens.embeddings.sum(1).tolist()[:-1] == [3.0] * (len(named) - 1)
    assert np.array_equal(tokens.embeddings, one_hot(tokens.graph.nodes))
    assert tokens.features.sum() == 2  # kind and colour of the ground


def test_masked_crop__shows_the_object_alone():
    image = Image.new("RGB", (8, 8), (200, 0, 0))
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:4, 2:6] = 255
    crop = np.asarray(masked_crop(image, alpha, np.array([2.0, 2, 6, 5]), (128, 128, 128)))
    assert crop.shape == (3, 4, 3)
    assert (crop[:2] == [200, 0, 0]).all() and (crop[2] == 128).all()


def test_grid_boxes__tile_the_image():
    boxes = grid_boxes(10, 7)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert len(boxes) == 9 and areas.sum() == 70


PICTURE = KeyedPicture("a.png", Image.new("RGB", (40, 30)))


def plug(scores=(0.95, 0.99), value=1.0, relations=(), names=("cup", "tree")):
    boxes = ((1, 2, 9, 9), (-5, 0, 50, 20))

    def segment(image):
        rows = np.full((len(boxes), 3), value)
        return Segments(np.ones(4), rows, np.array(boxes), None, np.array(scores), names)

    return PluggedSource(segment, lambda image, found: relations, 0.9, 0.05)


def test_plug__boxes_are_clipped_and_weak_finds_left_out():
    source = plug(scores=(0.5, 0.99), relations=())
    [tokens] = source.tokens([PICTURE])
    assert [node.name for node in tokens.graph.nodes] == ["tree"]
    assert tokens.graph.boxes.tolist() == [[0, 0, 40, 20]]
    assert source.counts == Counts(boxes_clipped=1, objects_below_score=1)


def test_plug__relations_by_score():
    source = plug(relations=[(0, 1, "under", 0.9), (1, 0, "over", 0.01)])
    [tokens] = source.tokens([PICTURE])
    assert tokens.graph.triples == (Triple(0, 1, "under", 0.9),)
    assert source.counts.relations_below_score == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value": np.nan}, "embeddings of 'a.png' hold NaN"),
        ({"relations": [(0, 7, "on", 1.0)]}, "beyond the 2"),
        ({"relations": [(0, 1, "", 1.0)]}, "no word"),
        ({"scores": (0.95,)}, "2 boxes"),
        ({"scores": (0.95, np.nan)}, "scores of 'a.png' hold NaN"),
        ({"names": ["cup"]}, "2 boxes on 'a.png' but 1 names"),
    ],
)
def test_plug__refuses_what_no_model_can_read(wrong, said):
    with pytest.raises(TokenError, match=said):
        plug(**wrong).tokens([PICTURE])


def make_segmenter():
    return plug().segment


def test_load_plug__only_what_the_owner_has_named():
    name = "python:tests.research.test_visual_tokens_tokens:make_segmenter"
    with pytest.raises(CodeRefused, match="--trust"):
        load_plug(name)
    with allowing(name):
        assert callable(load_plug(name))
    with allowing(f"{name}s"), pytest.raises(TokenError, match="cannot load"):
        load_plug(f"{name}s")


def test_open_token_source__refuses_unknown_names_and_planted_relations_of_patches():
    with pytest.raises(TokenError, match="'planted'"):
        open_token_source("plantd", "none", None)  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="planted"):
        open_token_source("grid", "planted", None)  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="Glyphworld"):
        PlantedSource(None, "planted", None, 0.05).tokens([PICTURE])
