import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.common.assets import asset
from core.concepts.clip.clip import load_clip
from core.errors import PeregrineError, SettingsError
from core.jobs.progress import Progress
from core.research.small_clip import training as module
from core.research.small_clip.commands import DEFAULT_CONFIG
from core.research.small_clip.config import ClipTrainConfig, read_clip_config
from core.research.small_clip.training import (
    ClipTrainingRun,
    clip_learning_rate,
    contrastive_loss,
    forget_words,
    same_rows,
    train_clip,
)
from tests.concepts.clip import reference_clip as reference

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path):
    return ClipTrainConfig(
        output=str(tmp_path / "out" / "tiny"),
        images="glyphworld?train=24&val=8&seed=0",
        steps=4,
        batch_size=8,
        absent=2,
        warmup=1,
        image_tower="1,1,1,1",
        image_width=8,
        image_size=32,
        cache_size=32,
        width=32,
        text_layers=1,
        text_heads=2,
        precision="fp32",
        cache=str(tmp_path / "cache"),
        monitor_every=2,
        monitor_images=8,
    )


def weights(path):
    return load_file(path.with_suffix(".safetensors"))


def test_training__writes_an_asset_that_loads_and_its_figures(config):
    path = train_clip(config)
    clip = load_clip(str(path))
    figures = json.loads(path.with_suffix(".metrics.json").read_text())
    assert figures["held_out"]["step"] == 4 and figures["held_out"]["n"] == 8
    assert [row["step"] for row in figures["history"]] == [2, 4]
    assert {"zero_shot", "image_to_text_r1", "image_to_text_r5", "text_to_image_r1"} <= set(
        figures["held_out"]
    )
    assert figures["settings"]["seed"] == 0 and "cache" not in figures["settings"]
    assert all(t.dtype == torch.float16 for t in weights(path).values() if t.is_floating_point())
    assert clip.embed_texts(["a brown dog"]).shape == (1, 32)
    assert not path.with_suffix(".resume.pt").exists()


def test_training__the_asset_embeds_as_the_trained_model_did(config):
    run = ClipTrainingRun(dataclasses.replace(config, steps=2), Progress.silent())
    run.run()
    texts = ["a brown dog", "a large boat on blue water"]
    images = [run.source.read(row) for row in range(3)]
    trained, loaded = run.clip(), load_clip(str(run.path(".json")))
    np.testing.assert_allclose(loaded.embed_texts(texts), trained.embed_texts(texts), atol=5e-3)
    np.testing.assert_allclose(loaded.embed_images(images), trained.embed_images(images), atol=5e-3)


def test_training__goes_on_after_an_interruption_to_the_bit(config, tmp_path, monkeypatch):
    whole = weights(train_clip(config))
    other = dataclasses.replace(config, output=str(tmp_path / "other" / "tiny"))
    batch = module.SceneViews.batch

    def interrupted(views, step):
        if step == 3:
            raise KeyboardInterrupt
        return batch(views, step)

    monkeypatch.setattr(module.SceneViews, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_clip(other)
    monkeypatch.setattr(module.SceneViews, "batch", batch)
    resumed = train_clip(other)
    assert [
        row["step"] for row in json.loads(resumed.with_suffix(".metrics.json").read_text())["history"]
    ] == [2, 4]
    for name, tensor in weights(resumed).items():
        assert torch.equal(tensor, whole[name]), name


def test_training__another_setting_needs_fresh(config, monkeypatch):
    monkeypatch.setattr(module.SceneViews, "batch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train_clip(config)
    monkeypatch.undo()
    changed = dataclasses.replace(config, lr=0.01)
    with pytest.raises(SettingsError, match=r"other settings \(lr 0.001 -> 0.01\). Change them back, or"):
        train_clip(changed)
    assert train_clip(changed, fresh=True).exists()


def test_training__learns_what_is_on_the_pictures(config):
    """Against chance: 8 pictures, 8 captions, after fitting the same scenes again and again."""
    run = ClipTrainingRun(
        dataclasses.replace(config, steps=60, lr=3e-3, monitor_every=60, whole_share=1.0), Progress.silent()
    )
    run.train_step(run.views.batch(0))
    first = run.losses[-1]
    run.run()
    assert run.metrics[-1]["loss"] < 0.9 * first


def test_training__a_lost_loss_is_said(config, monkeypatch):
    monkeypatch.setattr(module, "contrastive_loss", lambda *_: torch.tensor(math.nan, requires_grad=True))
    with pytest.raises(PeregrineError, match="The loss is nan at step 1"):
        train_clip(config)


@pytest.mark.parametrize(("n", "extra"), [(1, 0), (4, 3), (9, 0)])
def test_loss__matches_loop(rng, n, extra):
    images, texts = rng.normal(size=(n, 6)), rng.normal(size=(n + extra, 6))
    groups = rng.integers(0, 4, n + extra)
    same = groups[:, None] == groups[None, :]
    loss = contrastive_loss(torch.tensor(images), torch.tensor(texts), torch.tensor(5.0), torch.tensor(same))
    assert loss.item() == pytest.approx(reference.contrastive_loss(images, texts, 5.0, same), rel=1e-5)


def test_loss__by_hand():
    eye = torch.eye(2)
    none = torch.eye(2, dtype=torch.bool)
    expected = math.log(1 + math.exp(-3.0))
    assert contrastive_loss(eye, eye, torch.tensor(3.0), none).item() == pytest.approx(expected, rel=1e-6)
    twins = torch.ones(2, 2, dtype=torch.bool)
    assert contrastive_loss(eye, eye, torch.tensor(3.0), twins).item() == pytest.approx(0)


def test_same_rows__by_hand():
    tokens = torch.tensor([[1, 2], [1, 3], [1, 2]])
    assert same_rows(tokens).tolist() == [[True, False, True], [False, True, False], [True, False, True]]


def test_forget_words__touches_words_alone():
    tokens = torch.tensor([[1, 5, 6, 9, 0]] * 2000)
    forgotten = forget_words(tokens, 0.25, step=3, end=9)
    assert (forgotten[:, [0, 3, 4]] == tokens[:, [0, 3, 4]]).all()
    changed = forgotten != tokens
    assert (forgotten[changed] == 2).all() and 0.2 < changed[:, 1:3].float().mean() < 0.3
    assert torch.equal(forget_words(tokens, 0.25, step=3, end=9), forgotten)
    assert torch.equal(forget_words(tokens, 0.0, step=3, end=9), tokens)


def test_learning_rate__warms_up_and_falls_to_nothing():
    config = ClipTrainConfig(output="x", steps=100, warmup=10, lr=2.0)
    rates = [clip_learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0) and rates[100] == pytest.approx(0)
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('output = "x"\nstep = 3', "unknown setting 'step'. Did you mean 'steps'"),
        ("steps = 3", "missing setting output"),
        ('output = "x"\nsteps = 0', "steps = 0 must be at least 1"),
        ('output = "x"\nprecision = "fp8"', "precision = 'fp8' must be fp32 or bf16"),
        ('output = "x"\nimages = "photos"', "captions exist only for Glyphworld"),
    ],
)
def test_config__errors(tmp_path, text, message):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_clip_config(tmp_path / "c.toml")


def test_command__trains_and_says_what_came_of_it(config, tmp_path, capsys):
    from core.cli import main

    settings = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    (tmp_path / "c.json").write_text(json.dumps({**settings, "steps": 9}))
    assert main(["train-clip", str(tmp_path / "c.json"), "--steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 steps, measured on 8 held-out scenes" in out and "zero_shot" in out


def test_shipped_config__is_what_the_shipped_asset_was_trained_with():
    shipped = read_clip_config(DEFAULT_CONFIG)
    assert shipped.output == "assets/clip/glyphworld"
    figures = json.loads(asset("clip/glyphworld.metrics.json").read_text())
    assert figures["settings"] == module.clip_settings(shipped)
    assert figures["held_out"]["step"] == shipped.steps
