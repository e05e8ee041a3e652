from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from core.common.assets import asset
from core.concepts.clip.clip import load_clip
from core.data.sources.glyphworld import GlyphworldSource
from core.research.small_clip.evaluate import (
    check_on_glyphworld,
    class_embeddings,
    evaluate_clip,
    main,
    recall_at,
    zero_shot_accuracy,
)
from tests.concepts.clip import reference_clip as reference
from tests.concepts.clip.tiny_clip import tiny_asset


def unit_rows(rng, n, d):
    rows = rng.normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("n", "n_groups"), [(1, 1), (8, 8), (60, 25)])
def test_recall__matches_loop(rng, k, n, n_groups):
    texts = unit_rows(rng, n, 6)
    images = texts + 0.7 * unit_rows(rng, n, 6)
    groups = [f"caption {number}" for number in rng.integers(0, n_groups, n)]
    assert recall_at(images, texts, k, groups) == pytest.approx(reference.recall_at(images, texts, k, groups))


def test_recall__by_hand():
    images, texts = np.eye(3), np.eye(3)[[1, 0, 2]]
    assert recall_at(images, texts, 1) == pytest.approx(1 / 3)
    assert recall_at(images, texts, 1, ["same", "same", "other"]) == 1
    assert recall_at(images, texts, 3) == 1
    assert recall_at(np.zeros((2, 3)), np.zeros((2, 3)), 1) == 0  # ties count against
    assert np.isnan(recall_at(np.zeros((0, 3)), np.zeros((0, 3)), 1))


def test_zero_shot__by_hand():
    images = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert zero_shot_accuracy(images, np.eye(2), np.array([0, 1, 0])) == pytest.approx(2 / 3)
    assert np.isnan(zero_shot_accuracy(images[:0], np.eye(2), np.array([])))


class KnowsEverything:
    """Sees a scene by its pixels and embeds it as the caption it has: what a perfect CLIP would do."""

    name, width = "oracle", 64

    def __init__(self, source):
        rows = range(source.n_train, len(source))
        self.of = {source.read(row).tobytes(): source.scene(row) for row in rows}

    def embed_images(self, images, *, pad=False):
        return self.embed_texts(
            [f"{self.of[i.tobytes()].caption} a {self.of[i.tobytes()].label}" for i in images]
        )

    def embed_texts(self, texts):
        rows = np.zeros((len(texts), self.width))
        for row, text in zip(rows, texts, strict=True):
            for word in set(text.split()):
                row += np.random.default_rng(list(word.encode())).normal(size=self.width)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def oracle(source: GlyphworldSource) -> Any:
    """No Clip by its class, but all of one that is asked for here."""
    return KnowsEverything(source)


@pytest.mark.slow
def test_check__of_an_oracle_and_on_held_out_scenes_alone():
    source = GlyphworldSource(train=5, val=40)
    report = check_on_glyphworld(oracle(source), source, n=40)
    assert report["n"] == 40 and report["n_classes"] <= 20
    assert {"zero_shot_easy", "zero_shot_hard"} <= set(report)
    assert report["image_to_text_r1"] > 0.9 and report["text_to_image_r5"] > 0.9 and report["zero_shot"] > 0.5


def test_class_embeddings__are_means_over_templates():
    clip = oracle(GlyphworldSource(train=1, val=1))
    rows = class_embeddings(clip, ["dog", "cat"], ["a {}", "the {}"])
    mean = clip.embed_texts(["a dog", "the dog"]).mean(0)
    np.testing.assert_allclose(rows[0], mean / np.linalg.norm(mean))


def test_check__accuracy_of_easy_and_hard_ones_adds_up():
    source = GlyphworldSource(train=1, val=30)
    scenes = [source.scene(row) for row in range(1, 31)]
    pictures, captions = [s.image for s in scenes], [s.caption for s in scenes]
    hard = np.arange(30) % 3 == 0
    report = evaluate_clip(oracle(source), pictures, captions, [s.label for s in scenes], hard=hard)
    parts = 20 * report["zero_shot_easy"] + 10 * report["zero_shot_hard"]
    assert parts == pytest.approx(30 * report["zero_shot"], abs=0.01)


def test_check__as_a_command(tmp_path, capsys):
    path = tiny_asset(tmp_path / "tiny")
    assert main([str(path), "--images", "glyphworld?train=1&val=6", "--n", "6"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 6
    assert main(["asset:none"]) == 2
    assert "no CLIP 'asset:none'" in capsys.readouterr().err


@pytest.mark.slow
def test_shipped_clip__is_small_and_knows_held_out_scenes():
    files = [path for path in asset("clip").iterdir() if path.stem.startswith("glyphworld")]
    assert len(files) == 3 and sum(path.stat().st_size for path in files) <= 30 * 2**20
    report = check_on_glyphworld(load_clip("asset:glyphworld"), GlyphworldSource(train=1, val=150), n=150)
    stored = json.loads(asset("clip/glyphworld.metrics.json").read_text())["held_out"]
    assert stored["n"] == 1000 and stored["zero_shot"] > 0.6 and stored["image_to_text_r5"] > 0.8
    assert report["zero_shot"] == pytest.approx(stored["zero_shot"], abs=0.1)  # 150 scenes: 3 standard errors
    assert report["image_to_text_r1"] > stored["image_to_text_r1"]  # among fewer captions
