from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.concepts import clip as module
from core.concepts.clip import build_model, load_clip, padded
from core.errors import ClipError
from tests.concepts.tiny_clip import TINY, tiny_asset

open_clip = importlib.import_module("open_clip")


@pytest.fixture(scope="module")
def asset(tmp_path_factory):
    return tiny_asset(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def tiny_model(tmp_path, monkeypatch):
    """A small model under a name that open_clip knows while the test runs; returns its weights' file."""
    factory = importlib.import_module("open_clip.factory")
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {**TINY, "text_cfg": text, "custom_text": False}
    (tmp_path / "Tiny-32.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "Tiny-32.json")
    torch.manual_seed(1)
    torch.save(build_model(config).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def pictures(rng, *sizes):
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def test_asset__embeds_images_and_texts_as_unit_rows(rng, asset):
    clip = load_clip(str(asset))
    images = clip.embed_images(pictures(rng, (32, 32), (50, 20), (7, 90)))
    texts = clip.embed_texts(["a brown dog", "a zebra that nobody knows", ""])
    for rows in (images, texts):
        assert rows.shape == (3, clip.width) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert clip.embed_images([]).shape == clip.embed_texts([]).shape == (0, clip.width)


@pytest.mark.parametrize("size", [(1, 2048), (2048, 1), (3, 1000), (3000, 10), (300, 1), (6000, 2)], ids=str)
def test_images__however_long_and_thin_are_embedded_by_their_middle(rng, size):
    clip = load_clip("asset:glyphworld")  # fits the longer side, as SigLIP does; others fit the shorter one
    (image,) = pictures(rng, size)
    rows = clip.embed_images([image]), clip.embed_images([image], pad=True)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(rows), axis=1), 1, atol=1e-6)
    across, along = sorted(size)
    start = (along - 32 * across) // 2
    ends = (start, start + 32 * across)
    middle = (0, ends[0], size[0], ends[1]) if size[0] < size[1] else (ends[0], 0, ends[1], size[1])
    np.testing.assert_allclose(rows[0], clip.embed_images([image.crop(middle)]), atol=1e-6)


def test_embeddings__do_not_depend_on_the_batch(rng, asset, monkeypatch):
    clip, images = load_clip(str(asset)), pictures(rng, *[(32, 32)] * 5)
    texts = ["a dog", "a cat on snow", "a boat", "grass", "a small red house next to a key"]
    whole = clip.embed_images(images), clip.embed_texts(texts)
    monkeypatch.setattr(module, "IMAGE_BATCH", 2)
    monkeypatch.setattr(module, "TEXT_BATCH", 2)
    np.testing.assert_allclose(clip.embed_images(images), whole[0], atol=1e-5)
    np.testing.assert_allclose(clip.embed_texts(texts), whole[1], atol=1e-5)


def test_fingerprint__follows_weights_configuration_and_precision(asset, tmp_path):
    clip = load_clip(str(asset))
    assert clip.fingerprint == load_clip(str(asset)).fingerprint
    other = tiny_asset(tmp_path / "other", seed=1)
    configured = json.loads(asset.read_text())
    configured["preprocess_cfg"]["fill_color"] = 7
    again = tiny_asset(tmp_path / "again")
    again.write_text(json.dumps(configured))
    fingerprints = {clip.fingerprint, load_clip(str(other)).fingerprint, load_clip(str(again)).fingerprint}
    fingerprints.add(load_clip(str(asset), precision="bf16").fingerprint)
    assert len(fingerprints) == 4 and all(len(text) == 64 for text in fingerprints)


def test_temperature__is_the_one_of_the_training(asset):
    clip = load_clip(str(asset))
    clip.model.logit_scale.data.fill_(np.log(20.0))
    assert clip.temperature == pytest.approx(20)


def test_bf16__is_near_fp32(rng, asset):
    exact, half = load_clip(str(asset)), load_clip(str(asset), precision="bf16")
    images = pictures(rng, (32, 32), (40, 32))
    assert (exact.embed_images(images) * half.embed_images(images)).sum(1).min() > 0.99
    assert (exact.embed_texts(["a dog"]) * half.embed_texts(["a dog"])).sum(1).min() > 0.99


def test_crops__are_padded_to_squares_so_that_nothing_is_cut_off(rng):
    wide = pictures(rng, (60, 20))[0]
    square = padded(wide, (1, 2, 3))
    assert square.size == (60, 60) and square.getpixel((0, 0)) == (1, 2, 3)
    np.testing.assert_array_equal(np.asarray(square)[20:40], np.asarray(wide))
    assert padded(square, (0, 0, 0)) is square


def test_pad__changes_what_a_model_sees_that_crops_the_centre(rng, tiny_model):
    clip = load_clip(f"Tiny-32@{tiny_model}")
    ends = np.asarray(pictures(rng, (90, 30))[0]).copy()
    middle = Image.fromarray(ends.copy())
    ends[:, :20] = 255 - ends[:, :20]
    changed = Image.fromarray(ends)
    assert np.array_equal(clip.embed_images([middle]), clip.embed_images([changed]))
    assert not np.array_equal(clip.embed_images([middle], pad=True), clip.embed_images([changed], pad=True))


def test_open_clip_model__with_weights_of_this_machine(rng, tiny_model):
    clip = load_clip(f"Tiny-32@{tiny_model}")
    assert (clip.name, clip.width) == (f"Tiny-32@{tiny_model}", 16)
    expected: Any = build_model(clip.configuration["model_cfg"])
    expected.load_state_dict(torch.load(tiny_model, weights_only=True))
    tokens = open_clip.get_tokenizer("Tiny-32")(["a dog"])
    with torch.no_grad():
        rows = expected.eval().encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(clip.embed_texts(["a dog"]), rows, atol=1e-5)
    assert clip.embed_images(pictures(rng, (40, 60))).shape == (1, 16)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ViT-B-31@openai", r"no model 'ViT-B-31'.* Did you mean 'ViT-B-"),
        ("ViT-B-32", r"which weights of ViT-B-32\? Write ViT-B-32@TAG .*openai.* or @FILE"),
        ("ViT-B-32@opanai", r"no such file and no such tag.* Did you mean 'openai'"),
        ("ViT-B-32@/nowhere/weights.pt", "no such file and no such tag"),
        ("asset:glyphwrold", r"no CLIP 'asset:glyphwrold'"),
        ("nothing/there.json", "cannot load CLIP 'nothing/there.json'"),
        ("", "no model ''"),
    ],
)
def test_load__says_what_is_wrong_in_one_line(spec, message):
    with pytest.raises(ClipError, match=message) as caught:
        load_clip(spec)
    assert "\n" not in str(caught.value)


def test_load__unknown_precision(asset):
    with pytest.raises(ClipError, match="'int8'; use fp32"):
        load_clip(str(asset), precision="int8")


def test_load__weights_that_do_not_fit(tiny_model, tmp_path):
    torch.save({"visual.proj": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ClipError, match="Tiny-32") as caught:
        load_clip(f"Tiny-32@{tmp_path / 'other.pt'}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"format": 1', '"format": 9'), "format 9, expected 1"),
        (lambda text: text[:40], "cannot load CLIP"),
        (lambda text: text.replace('"embed_dim": 16', '"embed_dim": 24'), "cannot load CLIP"),
    ],
)
def test_asset__that_is_damaged(asset, tmp_path, damage, message):
    copy = tmp_path / "tiny.json"
    copy.write_text(damage(asset.read_text()))
    copy.with_suffix(".safetensors").write_bytes(asset.with_suffix(".safetensors").read_bytes())
    with pytest.raises(ClipError, match=message):
        load_clip(str(copy))


def test_asset__without_weights(asset, tmp_path):
    (tmp_path / "tiny.json").write_text(asset.read_text())
    with pytest.raises(ClipError, match="cannot load CLIP"):
        load_clip(str(tmp_path / "tiny.json"))


@pytest.mark.parametrize("spec", ["ViT-B-32@openai", "hf-hub:timm/ViT-B-16-SigLIP"])
def test_download__without_a_network_says_where_to_put_the_weights(monkeypatch, spec):
    """The paper's model, up to the download."""

    def offline(*_args, **_options):
        raise OSError("Name or service not known")

    factory = importlib.import_module("open_clip.factory")
    for name in ("download_pretrained", "download_pretrained_from_hf", "_get_hf_config"):
        monkeypatch.setattr(factory, name, lambda *_args, **_options: pytest.fail("asked again and again"))
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: SimpleNamespace(head=offline))
    with pytest.raises(ClipError, match="cannot fetch the weights of .*Name or service not known") as caught:
        load_clip(spec)
    text = str(caught.value)
    assert "\n" not in text and "asset:glyphworld needs no network" in text
    assert ("ViT-B-32-quickgelu@FILE" if "openai" in spec else "local-dir:FOLDER") in text


def test_openai_weights__get_the_activation_they_were_trained_with(monkeypatch):
    asked = {}

    def create(name, **options):
        asked.update(options, name=name)
        raise OSError("stop here")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    monkeypatch.setattr("core.concepts.clip._reach_hub", lambda: None)
    for spec, quick in (("ViT-B-32@openai", True), ("ViT-B-32@laion2b_s34b_b79k", False)):
        with pytest.raises(ClipError):
            load_clip(spec)
        assert asked["force_quick_gelu"] is quick and asked["pretrained"] == spec.partition("@")[2]


def test_settings__reach_both_towers(rng, tiny_model):
    texts, images = ["a brown dog", "two boats on the water"], pictures(rng, (32, 32), (32, 32))
    options: dict[str, Any] = {"pretrained": str(tiny_model), "force_quick_gelu": True}
    model, _, preprocess = open_clip.create_model_and_transforms("Tiny-32", **options)
    with torch.no_grad():
        pixels = torch.stack([preprocess(image) for image in images])
        expected = model.eval()(pixels, open_clip.get_tokenizer("Tiny-32")(texts))[:2]
    clip = load_clip(f"Tiny-32?force_quick_gelu=true@{tiny_model}")
    np.testing.assert_allclose(clip.embed_images(images), expected[0], atol=1e-5)
    np.testing.assert_allclose(clip.embed_texts(texts), expected[1], atol=1e-5)
    plain = load_clip(f"Tiny-32@{tiny_model}")
    assert np.abs(plain.embed_texts(texts) - clip.embed_texts(texts)).max() > 1e-3
    assert plain.fingerprint != clip.fingerprint
    with pytest.raises(ClipError, match="'force_quick' is not a setting of Tiny-32.*force_quick_gelu"):
        load_clip(f"Tiny-32?force_quick=true@{tiny_model}")
