"""Training on tokens: captions follow from the seed, arms read what they should, and resuming is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.glyphworld import GlyphworldSource
from core.errors import CaptionError, SettingsError, TokenError
from core.research.visual_tokens_composed_scenes import RELATIONS, scene_graph
from core.research.visual_tokens_config import TokenTrainConfig, read_token_config
from core.research.visual_tokens_data import described, open_captions
from core.research.visual_tokens_extract import extract_tokens
from core.research.visual_tokens_model import load_token_model
from core.research.visual_tokens_segmenters import KeyedPicture
from core.research.visual_tokens_store import TokenFolder
from core.research.visual_tokens_topic import ExtractConfig
from core.research.visual_tokens_train import TokenTrainingRun, token_learning_rate, train_tokens
from core.study.progress import Progress
from core.worlds.scenes import Draws
from tests.concepts.tiny_clip import tiny_asset

SPEC = "glyphworld?preset=compose&train=24&val=12"
SOURCE = GlyphworldSource.from_spec(SPEC)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(tiny_asset(tmp_path_factory.mktemp("clip") / "tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip):
    out = tmp_path_factory.mktemp("tokens") / "tokens"
    return extract_tokens(SPEC, out, ExtractConfig(clip=clip), progress=Progress.silent())


def config(tmp_path, folder, clip, **changes):
    usual = {"width": 16, "layers": 1, "heads": 2, "epochs": 2, "batch_size": 8, "monitor_every": 1}
    return TokenTrainConfig(
        output=str(tmp_path / "model.safetensors"),
        tokens=str(folder.path),
        text=clip,
        cache=str(tmp_path / "cache"),
        **{**usual, **changes},
    )


def weights(path):
    return {name: tensor.clone() for name, tensor in load_token_model(path).trained()}


@pytest.mark.slow
def test_described__reads_planted_objects_back_from_their_names(folder):
    for row, image_id in enumerate(folder.images["image_id"][:24]):
        planted, read = scene_graph(SOURCE.plan(row)), described(folder.graph(image_id))
        for one, other in zip(planted.nodes, read.nodes, strict=True):
            assert (one.name, one.colour, one.size) == (other.name, other.colour, other.size)
        assert planted.triples == read.triples


def test_captions__are_true_and_follow_from_the_dice(folder):
    captions = open_captions("", folder)
    for image_id in folder.images["image_id"][:12]:
        texts = [captions.draw(image_id, Draws(0, epoch)) for epoch in range(6)]
        assert texts == [captions.draw(image_id, Draws(0, epoch)) for epoch in range(6)]
        assert len(set(texts)) > 1
        assert all(any(word in text for word in RELATIONS) for text in texts)


def test_captions__of_a_file_and_of_patches(folder, tmp_path, clip):
    pd.DataFrame({"image_id": ["0/0", "0/0"], "caption": ["a dog", "a cat"], "note": ""}).to_csv(
        tmp_path / "c.csv"
    )
    listed = open_captions(str(tmp_path / "c.csv"), folder)
    assert listed.has("0/0") and not listed.has("0/1")
    assert {listed.draw("0/0", Draws(0, i)) for i in range(20)} == {"a dog", "a cat"}
    with pytest.raises(CaptionError, match="image_id"):
        open_captions(str(tmp_path / "no.csv"), folder)
    plain = ExtractConfig(segmenter="grid", relations="none", clip=clip)
    patches = extract_tokens(SPEC, tmp_path / "grid", plain, progress=Progress.silent())
    with pytest.raises(CaptionError, match="describe"):
        open_captions("", patches)
    assert open_captions(str(folder.path), patches).has("0/0")


def test_captions__of_other_images_with_the_same_ids_are_refused(folder, tmp_path, clip):
    other = extract_tokens(
        SPEC.replace("train=24", "train=30"),
        tmp_path / "other",
        ExtractConfig(clip=clip),
        progress=Progress.silent(),
    )
    assert set(folder.row_of) <= set(other.row_of)
    with pytest.raises(CaptionError) as caught:
        train_tokens(config(tmp_path, folder, clip, captions=str(other.path)))
    said = str(caught.value)
    assert (
        f"captions = '{other.path}' describes other images than '{folder.path}'" in said and "\n" not in said
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"additive": False},
        {"attention": False},
        {"shuffle_graph": True},
        {"vision": "vit"},
        {"vision": "clip"},
    ],
    ids=str,
)
def test_train__every_arm_writes_a_model_that_embeds_alike(tmp_path, folder, clip, changes):
    made = config(tmp_path, folder, clip, image_size=32, patch=16, epochs=1, **changes)
    path = train_tokens(made)
    model = load_token_model(path)
    before = {name: tensor for name, tensor in TokenTrainingRun(made, Progress.silent()).model.trained()}
    moved = {name for name, tensor in model.trained() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("text.") for name in moved) and "text.logit_scale" in moved
    assert any("visual" in name for name in moved) is (changes.get("vision") == "clip")
    pictures = [
        KeyedPicture("0/0", SOURCE.read(0), SOURCE.plan(0)),
        KeyedPicture("0/1", SOURCE.read(1), SOURCE.plan(1)),
    ]
    rows = model.embed_pictures(pictures)
    assert rows.shape == (2, 16) and np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
    log = pd.read_csv(tmp_path / "model.safetensors.csv")
    assert {"loss", "text_to_image", "image_to_text", "diagonal", "off_diagonal"} <= set(log)


def test_train__resumes_to_the_bit(tmp_path, folder, clip):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = weights(train_tokens(config(tmp_path / "a", folder, clip)))
    run = TokenTrainingRun(config(tmp_path / "b", folder, clip), Progress.silent())
    for _ in range(4):
        run.advance()
        run.review()
    run.save()
    again = weights(train_tokens(config(tmp_path / "b", folder, clip)))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_train__refuses_other_settings_and_keeps_a_finished_model(tmp_path, folder, clip):
    made = config(tmp_path, folder, clip, epochs=1)
    path = train_tokens(made)
    stamp = path.stat().st_mtime_ns
    assert train_tokens(made) == path and path.stat().st_mtime_ns == stamp
    with pytest.raises(SettingsError, match="0.0005.*0.1.*--fresh"):
        train_tokens(replace(made, lr=0.1))
    with pytest.raises(TokenError, match="cannot load"):
        load_token_model(tmp_path / "nothing.safetensors")


def test_rate__warms_up_and_ends_at_zero(tmp_path, folder, clip):
    made = config(tmp_path, folder, clip)
    rates = [token_learning_rate(step, 100, made) for step in range(101)]
    assert rates[9] == made.lr == max(rates) and rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)


def test_extract__refuses_another_folder_and_keeps_the_same(tmp_path, folder, clip):
    again = extract_tokens(SPEC, folder.path, ExtractConfig(clip=clip), progress=Progress.silent())
    assert isinstance(again, TokenFolder) and again.fingerprint == folder.fingerprint
    with pytest.raises(TokenError, match="tokens"):
        extract_tokens(
            SPEC, folder.path, ExtractConfig(relations="none", clip=clip), progress=Progress.silent()
        )
    (tmp_path / "mine").mkdir()
    with pytest.raises(SettingsError, match="folder"):
        extract_tokens(SPEC, tmp_path / "mine", ExtractConfig(clip=clip), progress=Progress.silent())


@pytest.mark.parametrize("manifest", ['{"kind": "study"}', "[]", "{"], ids=["study", "list", "damaged"])
def test_extract__never_replaces_a_study_or_what_else_has_a_manifest(tmp_path, clip, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "images.parquet").write_text("work of days")
    with pytest.raises(SettingsError, match="folder"):
        extract_tokens(SPEC, tmp_path, ExtractConfig(clip=clip), progress=Progress.silent(), fresh=True)
    assert (tmp_path / "images.parquet").read_text() == "work of days"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vision": "tokns"}, "vision = 'tokns'"),
        ({"warmup": 1.0}, "warmup"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"patch": 7}, "multiple of patch"),
        ({"vision": "vit", "shuffle_graph": True}, "shuffle_graph"),
        ({"layers": 0}, "layers = 0"),
    ],
)
def test_config__refuses_unusable_values(changes, said):
    with pytest.raises(SettingsError, match=said):
        TokenTrainConfig(output="a", tokens="b", **changes)


def test_config__of_the_repository_is_readable():
    found = read_token_config("configs/tokens_glyphworld.toml", epochs=2)
    assert (found.epochs, found.additive, found.context) == (2, True, 24)
