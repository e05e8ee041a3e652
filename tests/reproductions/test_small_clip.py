"""The training of the embedded CLIP: its views, schedule and evaluation, and the asset that it shipped."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from core.common.assets import asset
from core.concepts.clip import load_clip
from core.data.glyphworld import GlyphworldSource
from core.worlds.scenes import FAULTS
from reproductions import small_clip
from reproductions.small_clip import (
    FILL,
    SMOKE,
    SceneViews,
    Settings,
    class_embeddings,
    cut,
    evaluate_on_scenes,
    forget_words,
    learning_rate,
    zero_shot_accuracy,
)


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


def test_zero_shot__by_hand():
    images = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert zero_shot_accuracy(images, np.eye(2), np.array([0, 1, 0])) == pytest.approx(2 / 3)
    assert np.isnan(zero_shot_accuracy(images[:0], np.eye(2), np.array([])))


def test_class_embeddings__are_means_over_templates():
    clip = oracle(GlyphworldSource(train=1, val=1))
    rows = class_embeddings(clip, ["dog", "cat"], ["a {}", "the {}"])
    mean = clip.embed_texts(["a dog", "the dog"]).mean(0)
    np.testing.assert_allclose(rows[0], mean / np.linalg.norm(mean))


def test_evaluation__of_an_oracle_and_accuracy_of_easy_and_hard_ones_adds_up():
    source = GlyphworldSource(train=1, val=40)
    row = evaluate_on_scenes(oracle(source), source, 40)
    assert row["n"] == 40 and row["n_classes"] <= 20
    assert row["image_to_text_r1"] > 0.9 and row["text_to_image_r5"] > 0.9 and row["zero_shot"] > 0.5
    n_hard = sum(source.scene(at).cause in FAULTS for at in range(1, 41))
    parts = (40 - n_hard) * row["zero_shot_easy"] + n_hard * row["zero_shot_hard"]
    assert 0 < n_hard < 40 and parts == pytest.approx(40 * row["zero_shot"], abs=0.01)


def test_forget_words__touches_words_alone():
    tokens = torch.tensor([[1, 5, 6, 9, 0]] * 2000)
    forgotten = forget_words(tokens, 0.25, step=3, end=9)
    assert (forgotten[:, [0, 3, 4]] == tokens[:, [0, 3, 4]]).all()
    changed = forgotten != tokens
    assert (forgotten[changed] == 2).all() and 0.2 < changed[:, 1:3].float().mean() < 0.3
    assert torch.equal(forget_words(tokens, 0.25, step=3, end=9), forgotten)
    assert torch.equal(forget_words(tokens, 0.0, step=3, end=9), tokens)


def test_learning_rate__warms_up_and_falls_to_nothing():
    settings = Settings(steps=100, warmup=10, lr=2.0)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0) and rates[100] == pytest.approx(0)
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_views__depend_on_seed_and_step_alone_and_show_each_scene_once_an_epoch():
    source = GlyphworldSource(train=40, val=1, seed=3)
    images = np.stack([np.asarray(source.read(row)) for row in range(40)])
    settings = Settings(batch_size=10, absent=3, image_size=32, seed=1)
    views, again = SceneViews(settings, source, images), SceneViews(settings, source, images)
    first, second = views.batch(6), again.batch(6)
    np.testing.assert_array_equal(first.pictures, second.pictures)
    assert (first.captions, first.absent) == (second.captions, second.absent)
    assert first.pictures.shape == (10, 32, 32, 3) and len(first.absent) == 3
    assert views.batch(7).captions != first.captions
    assert sorted(np.concatenate([views.rows_of(step) for step in range(4)])) == list(range(40))


def test_cut__keeps_the_aspect_and_centres_on_gray():
    image = GlyphworldSource(train=1, val=1).read(0)
    whole = cut(image, (0, 0, 1, 1), 96)
    np.testing.assert_array_equal(whole, np.asarray(image))
    wide = cut(image, (0, 0.25, 1, 0.75), 96)
    assert (wide[:24] == FILL).all() and (wide[72:] == FILL).all()
    np.testing.assert_array_equal(wide[24:72], np.asarray(image)[24:72])


def test_settings__are_those_of_the_shipped_asset():
    """The asset's file has the tower as text, and no number of steps: that is where its history ends."""
    trained = json.loads(asset("clip/glyphworld.metrics.json").read_text())
    settings = dataclasses.asdict(Settings())
    settings["image_tower"] = ",".join(map(str, settings.pop("blocks")))
    assert settings.pop("steps") == trained["held_out"]["step"]
    assert settings.pop("monitor_every") == trained["history"][0]["step"]
    assert settings == trained["settings"]


@pytest.mark.slow
def test_a_trained_asset_loads_and_the_same_steps_give_the_same_numbers(tmp_path):
    tables = []
    for name in ("first", "second"):
        small_clip.main(["--smoke", "-o", str(tmp_path / name)])
        lines = (tmp_path / name / "small_clip.csv").read_text().splitlines()
        tables.append([[value for at, value in enumerate(line.split(",")) if at != 3] for line in lines])
    assert tables[0] == tables[1] and len(tables[0]) == 1 + SMOKE.steps
    clip = load_clip(str(tmp_path / "first" / "glyphworld.json"))
    assert clip.embed_texts(["a brown dog"]).shape == (1, SMOKE.width)


@pytest.mark.slow
def test_shipped_clip__is_small_and_knows_held_out_scenes():
    files = [path for path in asset("clip").iterdir() if path.stem.startswith("glyphworld")]
    assert len(files) == 3 and sum(path.stat().st_size for path in files) <= 30 * 2**20
    row = evaluate_on_scenes(load_clip("asset:glyphworld"), GlyphworldSource(train=1, val=150), 150)
    stored = json.loads(asset("clip/glyphworld.metrics.json").read_text())["held_out"]
    assert stored["n"] == 1000 and stored["zero_shot"] > 0.6 and stored["image_to_text_r5"] > 0.8
    assert row["zero_shot"] == pytest.approx(stored["zero_shot"], abs=0.1)  # 150 scenes: 3 standard errors
    assert row["image_to_text_r1"] > stored["image_to_text_r1"]  # among fewer captions
