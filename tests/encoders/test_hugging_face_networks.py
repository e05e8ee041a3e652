"""Weights of Hugging Face transformers: the network that timm has for them gives what theirs gave."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from timm.models.beit import Beit
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch.testing import assert_close

from core.encoders.head import Head
from core.encoders.hugging_face_classifiers import stated_labels
from core.encoders.registry import load_encoder
from core.errors import CheckpointError
from tests.encoders.make_references import FILE, planted, planted_input
from tests.sentences import as_record

REFERENCES: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
IN_MEMORY = ["ViT", "DINOv2 registers", "DINOv3", "CLIP", "SigLIP", "Swin", "ConvNeXt V2"]
TOLERANCE: dict[str, Any] = {
    "rtol": 1e-3,
    "atol": 3e-4,
}  # outputs are of size 1 to 3, and rounded to five places


def write(folder: Path, name: str, *, config: bool = True) -> Path:
    """A folder as `save_pretrained` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(planted(REFERENCES[name]["shapes"]), folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(REFERENCES[name]["config"]))
    return folder


def own_tokens(name: str) -> str | None:
    """Those of which a network gives its output, where a classifier reads others; else None."""
    return ("attnpool" if name.startswith("SigLIP") else "cls") if "classifier" in name else None


def output(encoder: Any, name: str) -> torch.Tensor:
    return encoder.model(planted_input(REFERENCES[name]["size"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_the_same_representation_as_transformers(tmp_path, name):
    encoder = load_encoder(str(write(tmp_path, name)), tokens=own_tokens(name))
    family = name.split()[0]
    assert encoder.report.layout == f"{family} (Hugging Face transformers)"
    assert encoder.arch.startswith(f"{family.lower()}[")
    assert_close(output(encoder, name), torch.tensor(REFERENCES[name]["output"]), **TOLERANCE)
    assert not any(as_record(line).kind == "heads_without_config" for line in encoder.assumptions)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_MEMORY)
def test_as_transformers_5_names_them_in_memory_and_without_config(tmp_path, name):
    shapes, renamed = REFERENCES[name]["shapes"], REFERENCES[name]["in_memory"]
    on_disk = planted(shapes)
    names = {disk: memory for memory, disk in renamed.items()}
    state = {f"module.{names.get(key, key)}": tensor for key, tensor in on_disk.items()}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    encoder = load_encoder(str(tmp_path / "w.ckpt"), input_size=REFERENCES[name]["size"])
    assert_close(output(encoder, name), torch.tensor(REFERENCES[name]["output"]), **TOLERANCE)
    if name in ("ViT", "CLIP"):
        notes = [as_record(line) for line in encoder.assumptions]
        assert ("heads_without_config", 2) in [(note.kind, note.n) for note in notes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prefix"), [("ViT", "vit."), ("Swin", "swin."), ("ConvNeXt V2", "convnextv2.")]
)
def test_the_classifier_of_a_transformers_checkpoint_is_its_head(tmp_path, name, prefix):
    state = {f"{prefix}{key}": tensor for key, tensor in planted(REFERENCES[name]["shapes"]).items()}
    encoder = load_encoder(str(write(tmp_path / "plain", name)))
    torch.manual_seed(0)
    weight, bias = torch.randn(3, encoder.n_features), torch.randn(3)
    save_file(state | {"classifier.weight": weight, "classifier.bias": bias}, tmp_path / "model.safetensors")
    config = REFERENCES[name]["config"] | {"id2label": {"0": "tench", "2": "elk", "1": "cat, puss"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    head = encoder.find_head()
    assert isinstance(head, Head) and head.names == [["tench"], ["cat, puss"], ["elk"]] and not head.assumed
    x = planted_input(REFERENCES[name]["size"])
    with head.reading(encoder.base) as logits:
        raw = encoder.model(x)
        assert_close(
            logits(), torch.tensor(REFERENCES[name]["output"]) @ weight.T + bias, rtol=1e-2, atol=1e-2
        )
    assert head.linear is not None
    assert_close(raw @ head.linear[0].T + head.linear[1], logits(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in REFERENCES if "classifier" in name])
def test_a_classifier_reads_the_tokens_that_it_reads_in_transformers(tmp_path, name):
    folder, expected = write(tmp_path, name), torch.tensor(REFERENCES[name]["logits"])
    encoder = load_encoder(str(folder), tokens=own_tokens(name))
    head, x = encoder.find_head(), planted_input(REFERENCES[name]["size"])
    assert isinstance(head, Head) and head.linear is None
    with head.reading(encoder.base) as logits:
        encoder.model(x)
        assert_close(logits(), expected, rtol=1e-3, atol=1e-3)
    for layer in (None, "head-input"):  # by itself: the classifier reads other tokens than the network gives
        deeper = load_encoder(str(folder), layer=layer)
        head = deeper.find_head()
        assert isinstance(head, Head) and head.linear is not None
        assert_close(deeper.model(x) @ head.linear[0].T + head.linear[1], expected, rtol=1e-3, atol=1e-3)
        assert not head.independent
    several = REFERENCES[name]["config"] | {"problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(several))
    head = load_encoder(str(folder)).find_head()
    assert isinstance(head, Head) and head.independent
    (folder / "config.json").write_text(
        json.dumps(REFERENCES[name]["config"] | {"architectures": ["MyClassifier"]})
    )
    assert load_encoder(str(folder)).find_head() == "what the classifier of MyClassifier reads is not known"


def test_images_are_prepared_as_the_preprocessor_says(tmp_path):
    folder = write(tmp_path, "ConvNeXt V2")
    assert load_encoder(str(folder)).transform.mean[0] == 0.485
    said = {
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 2, "do_center_crop": True,
        "size": {"shortest_edge": 300}, "crop_size": {"height": 224, "width": 224},
        "image_processor_type": "BitImageProcessor",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    encoder = load_encoder(str(folder))
    transform = encoder.transform
    assert [note.what for note in map(as_record, encoder.assumptions) if note.kind == "transform_from"] == [
        "preprocessor_config.json"
    ]
    assert not any(as_record(line).kind.startswith("pixels") for line in encoder.assumptions)
    assert encoder.normalisation_stated
    assert (transform.mean, transform.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (transform.resize, transform.input_size, transform.interpolation) == (300, 224, "bilinear")


def test_a_network_that_contradicts_its_settings_is_refused(tmp_path):
    folder = write(tmp_path, "ViT")
    for key, stated in (
        ("num_hidden_layers", 24),
        ("hidden_size", 768),
        ("num_attention_heads", 7),
        ("image_size", 48),
    ):
        config = REFERENCES["ViT"]["config"] | {key: stated}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=rf"{stated}.*weights hold"):
            load_encoder(str(folder))


@pytest.mark.parametrize(
    ("name", "change"),
    [("ViT", "relu"), ("DINOv2", "relu"), ("DINOv3", "relu"), ("CLIP", "relu"), ("Swin", "relu"),
     ("ConvNeXt V2", "relu")],
)  # fmt: skip
def test_the_activation_is_that_of_config_json(tmp_path, name, change):
    config = json.loads(json.dumps(REFERENCES[name]["config"]))
    config.get("vision_config", config)["hidden_act"] = change
    folder = write(tmp_path, name)
    (folder / "config.json").write_text(json.dumps(config))
    model: Any = load_encoder(str(folder)).base
    acts = {type(one.act) for key, one in model.named_modules() if key.endswith(".mlp")}
    assert acts == {torch.nn.ReLU}
    config.get("vision_config", config)["hidden_act"] = "laplace"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="laplace"):
        load_encoder(str(folder))


def test_what_a_nested_config_leaves_out_is_the_default_of_its_class(tmp_path):
    shapes, n_heads = REFERENCES["CLIP"]["shapes"], 12
    wider = {key: [192 if side == 128 else side for side in shape] for key, shape in shapes.items()}
    save_file(planted(wider), tmp_path / "model.safetensors")
    config = json.loads(json.dumps(REFERENCES["CLIP"]["config"]))
    for key in ("num_attention_heads", "hidden_size", "hidden_act"):  # as transformers 4.44 writes it
        del config["vision_config"][key]
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    model: Any = encoder.base
    assert {block.attn.num_heads for block in model.blocks} == {n_heads}
    kinds = {as_record(line).kind for line in encoder.assumptions}
    assert not kinds & {"heads_without_config", "quick_gelu", "network_untaken"}


def test_dinov2_sees_the_view_of_its_processor_with_places_between(tmp_path):
    """Published DINOv2 has places for 518 pixels and is shown 224, as transformers resamples them."""
    folder = write(tmp_path, "DINOv2")
    said = {
        "image_processor_type": "BitImageProcessor", "do_center_crop": True, "size": {"shortest_edge": 64},
        "crop_size": {"height": 56, "width": 56},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    encoder = load_encoder(str(folder))
    assert (encoder.transform.resize, encoder.transform.input_size) == (64, 56)
    places = planted(REFERENCES["DINOv2"]["shapes"])["embeddings.position_embeddings"]
    rest = places[:, 1:].reshape(1, 2, 2, -1).permute(0, 3, 1, 2)
    larger = torch.nn.functional.interpolate(rest, (4, 4), mode="bicubic", align_corners=False)
    model: Any = encoder.base
    assert_close(model.pos_embed[:, 1:], larger.permute(0, 2, 3, 1).flatten(1, 2))


def test_files_of_other_networks_and_of_the_future_are_refused_by_name(tmp_path):
    folder = write(tmp_path, "ViT")
    config = REFERENCES["ViT"]["config"] | {"model_type": "vit9", "transformers_version": "9.0.0"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="vit9"):
        load_encoder(str(folder))
    future = REFERENCES["ViT"]["config"] | {"transformers_version": "9.0.0", "gated_tokens": 2}
    (folder / "config.json").write_text(json.dumps(future))
    notes = [as_record(line) for line in load_encoder(str(folder)).assumptions]
    assert [note.names for note in notes if note.kind == "network_untaken"] == [("gated_tokens",)]


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"model_type": "vit", "num_attention_heads": "x"}',
             '{"model_type": "vit", "layer_norm_eps": -1}', '{"model_type": "vit", "hidden_act": ["a"]}']
)  # fmt: skip
def test_a_damaged_config_is_refused(tmp_path, text):
    folder = write(tmp_path, "ViT", config=False)
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_encoder(str(folder))


def test_a_config_of_something_else_is_as_none(tmp_path):
    folder = write(tmp_path, "ViT", config=False)
    (folder / "config.json").write_text(json.dumps({"lr": 0.1, "num_attention_heads": 4}))
    encoder = load_encoder(str(folder))
    assert_close(output(encoder, "ViT"), torch.tensor(REFERENCES["ViT"]["output"]), **TOLERANCE)
    assert any(as_record(line).kind == "heads_without_config" for line in encoder.assumptions)


def test_weights_of_a_damaged_network(tmp_path):
    state = planted(REFERENCES["Swin"]["shapes"])
    table = "swin.encoder.layers.1.blocks.0.attention.self.relative_position_bias_table"
    torch.save({key: tensor for key, tensor in state.items() if key != table}, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match="transformers"):
        load_encoder(str(tmp_path / "w.bin"))


def test_a_timm_name_takes_weights_of_transformers(tmp_path):
    folder = write(tmp_path, "ViT", config=False)
    spec = "timm:vit_tiny_patch16_224?img_size=32&patch_size=8&embed_dim=128&depth=2&num_heads=2&mlp_ratio=2"
    encoder = load_encoder(f"{spec}@{folder / 'model.safetensors'}")
    assert_close(output(encoder, "ViT"), torch.tensor(REFERENCES["ViT"]["output"]), rtol=1e-2, atol=1e-2)


def test_position_numbers_of_old_clips_are_no_weights(tmp_path):
    """transformers stored them until 4.30, as the published repositories of OpenAI do."""
    state = planted(REFERENCES["CLIP"]["shapes"])
    n_places = len(state["vision_model.embeddings.position_embedding.weight"])
    state["vision_model.embeddings.position_ids"] = torch.arange(n_places)[None]
    write(tmp_path, "CLIP")
    save_file(state, tmp_path / "model.safetensors")
    assert_close(
        output(load_encoder(str(tmp_path)), "CLIP"), torch.tensor(REFERENCES["CLIP"]["output"]), **TOLERANCE
    )


def deit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as of DeiT, made of those of a ViT, with a second token and its place."""
    renamed = {
        key.replace("vit.", "deit."): one for key, one in state.items() if not key.startswith("classifier")
    }
    name, places = next((key, one) for key, one in renamed.items() if "position_embeddings" in key)
    token = {
        name.replace("position_embeddings", "distillation_token"): torch.full((1, 1, places.shape[-1]), 0.3)
    }
    return renamed | token | {name: torch.cat([places, places[:, :1]], 1)}


@pytest.mark.parametrize("teacher", [False, True])
def test_the_classifiers_of_a_distilled_transformer(tmp_path, teacher):
    state = deit(planted(REFERENCES["ViT"]["shapes"]))
    config = REFERENCES["ViT"]["config"] | {"model_type": "deit"}
    heads = ("cls_classifier", "distillation_classifier") if teacher else ("classifier",)
    generator = torch.Generator().manual_seed(0)
    weights = {f"{name}.weight": torch.randn(3, 128, generator=generator) for name in heads}
    biases = {f"{name}.bias": torch.randn(3, generator=generator) for name in heads}
    save_file(state | weights | biases, tmp_path / "model.safetensors")
    kind = "DeiTForImageClassification" + ("WithTeacher" if teacher else "")
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": [kind]}))
    encoder = load_encoder(str(tmp_path), tokens="cls")
    base: Any = encoder.base
    x = planted_input(32)
    tokens = base.forward_features(x)
    logits = [
        tokens[:, n] @ weights[f"{name}.weight"].T + biases[f"{name}.bias"] for n, name in enumerate(heads)
    ]
    head = encoder.find_head()
    assert isinstance(head, Head)
    with head.reading(encoder.base) as read:
        encoder.model(x)
        assert_close(read(), sum(logits) / len(logits), rtol=1e-4, atol=1e-4)


def test_the_mean_of_normed_patches_where_there_is_no_cls_token(tmp_path):
    """I-JEPA, whose classifier reads the mean of its patch tokens after the norm."""
    state = planted(REFERENCES["ViT"]["shapes"])
    name = next(key for key in state if "position_embeddings" in key)
    state = {key: one for key, one in state.items() if "cls_token" not in key and "classifier" not in key}
    state[name] = state[name][:, 1:]
    state |= {"classifier.weight": torch.randn(3, 128, generator=torch.Generator().manual_seed(0))}
    save_file(state, tmp_path / "model.safetensors")
    config = REFERENCES["ViT"]["config"] | {
        "model_type": "ijepa",
        "architectures": ["IJepaForImageClassification"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    base: Any = encoder.base
    x = planted_input(32)
    expected = base.forward_features(x).mean(1)
    assert_close(encoder.model(x), expected)
    head = encoder.find_head()
    assert isinstance(head, Head) and head.linear is not None
    with head.reading(encoder.base) as read:
        encoder.model(x)
        assert_close(read(), expected @ state["classifier.weight"].T, rtol=1e-4, atol=1e-4)


def test_a_classifier_whose_layers_were_saved_without_their_prefix(tmp_path):
    """ViT-MSN of transformers 5.24: `vit.embeddings.…`, but `encoder.layer.…`."""
    state = planted(REFERENCES["ViT"]["shapes"])
    mixed = {key.replace("vit.encoder.", "encoder."): one for key, one in state.items()}
    folder = write(tmp_path, "ViT")
    mixed["vit.embeddings.cls_token"] = mixed["vit.embeddings.cls_token"].clone()
    save_file(mixed, folder / "model.safetensors")
    encoder = load_encoder(str(folder))
    assert_close(output(encoder, "ViT"), torch.tensor(REFERENCES["ViT"]["output"]), **TOLERANCE)
    assert encoder.report.dropped.keys() <= {"classifier"}


def test_outputs_that_nobody_named_have_no_names(tmp_path):
    folder = write(tmp_path, "ViT")
    config = REFERENCES["ViT"]["config"]
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}))
    assert stated_labels(folder) == []
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "elk", "1": "LABEL_1"}}))
    assert stated_labels(folder) == [["elk"], ["LABEL_1"]]


def test_a_view_that_is_not_square(tmp_path):
    state = planted(REFERENCES["ViT"]["shapes"])
    name = next(key for key in state if "position_embeddings" in key)
    state[name] = state[name][:, :9]  # the CLS token, and 2 x 4 patches of 8 pixels
    folder = write(tmp_path, "ViT", config=False)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(REFERENCES["ViT"]["config"] | {"image_size": [16, 32]}))
    encoder = load_encoder(str(folder))
    assert encoder.transform.sides == (16, 32)
    assert encoder.model(torch.randn(2, 3, 16, 32)).shape == (2, 128)


@pytest.mark.parametrize("name", ["CLIP classifier", "SigLIP classifier", "DINOv2 classifier"])
def test_an_own_classifier_reads_the_output_of_the_network(tmp_path, name):
    """`nn.Linear` on `pooler_output`: the class of transformers with a classifier reads something else."""
    shapes = REFERENCES[name]["shapes"]
    state = {
        f"backbone.{key}": one for key, one in planted(shapes).items() if not key.startswith("classifier")
    }
    width = len(REFERENCES[name]["output"][0])
    weight = torch.randn(3, width, generator=torch.Generator().manual_seed(0))
    save_file(state | {"head.weight": weight, "head.bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    headless = {"architectures": ["CLIPVisionModel"]}
    (tmp_path / "config.json").write_text(json.dumps(REFERENCES[name]["config"] | headless))
    encoder = load_encoder(str(tmp_path))
    head = encoder.find_head()
    assert isinstance(head, Head) and head.linear is not None
    assert "own_head" in {as_record(line).kind for line in encoder.assumptions}
    x = planted_input(REFERENCES[name]["size"])
    with head.reading(encoder.base) as logits:
        raw = encoder.model(x)
        assert_close(logits(), raw @ weight.T, rtol=1e-3, atol=1e-3)
    assert_close(raw, torch.tensor(REFERENCES[name]["output"]), **TOLERANCE)


def test_a_trained_pooler_lies_before_a_classifier_beside_it(tmp_path):
    state = {
        f"backbone.{key.removeprefix('vit.')}": one
        for key, one in planted(REFERENCES["ViT"]["shapes"]).items()
        if not key.startswith("classifier")
    }
    rng = torch.Generator().manual_seed(0)
    dense, bias = torch.randn(128, 128, generator=rng), torch.randn(128, generator=rng)
    weight = torch.randn(3, 128, generator=rng)
    head = {"head.weight": weight, "head.bias": torch.zeros(3)}
    pooler = {"backbone.pooler.dense.weight": dense, "backbone.pooler.dense.bias": bias}
    save_file(state | pooler | head, tmp_path / "model.safetensors")
    config = REFERENCES["ViT"]["config"] | {"architectures": ["ViTModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path))
    found = encoder.find_head()
    assert isinstance(found, Head)
    with found.reading(encoder.base) as logits:
        raw = encoder.model(planted_input(32))
        expected = torch.tanh(raw @ dense.T + bias) @ weight.T
        assert_close(logits(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("key", "name"),
    [("resnet.embedder.embedder.convolution.weight", "ResNet"), ("vit.embeddings.detection_tokens", "YOLOS")],
)  # fmt: skip
def test_a_network_that_is_not_read_is_refused_by_its_name(tmp_path, key, name):
    patches = {"x.embeddings.patch_embeddings.projection.weight": torch.ones(8, 3, 4, 4)}
    save_file({key: torch.ones(8)} | patches, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        load_encoder(str(tmp_path))


def test_a_setting_that_the_class_does_not_read_contradicts_nothing(tmp_path):
    """A DINOv2 keeps `intermediate_size` in its config.json, and its perceptrons follow `mlp_ratio`."""
    folder = write(tmp_path, "DINOv2")
    config = REFERENCES["DINOv2"]["config"] | {"intermediate_size": 96}
    (folder / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(folder))
    assert_close(output(encoder, "DINOv2"), torch.tensor(REFERENCES["DINOv2"]["output"]), **TOLERANCE)
    assert as_record(encoder.assumptions[0]).kind == "arch_of_sidecar"


SPLIT = {"query": 0, "key": 1, "value": 2}


def as_transformers(state: dict[str, torch.Tensor], renamed: dict[str, str]) -> dict[str, torch.Tensor]:
    """timm's tensors with query, key and value apart, and other parts of their names."""
    found = {}
    for key, tensor in state.items():
        for old, new in renamed.items():
            key = key.replace(old, new)
        if "attn.qkv.weight" in key:
            for name, part in SPLIT.items():
                found[key.replace("attn.qkv", f"SELF.{name}")] = tensor.chunk(3)[part].clone()
        else:
            key = key.replace("attn.q_bias", "SELF.query.bias").replace("attn.v_bias", "SELF.value.bias")
            found[key.replace("attn.", "SELF.")] = tensor
    return found


def test_a_beit_has_relative_positions_and_scaled_layers(tmp_path):
    torch.manual_seed(0)
    norm: Any = partial(torch.nn.LayerNorm, eps=1e-12)
    model = Beit(
        img_size=32, patch_size=16, embed_dim=32, depth=2, num_heads=4, num_classes=0, use_abs_pos_emb=False,
        use_rel_pos_bias=True, init_values=0.5, mlp_ratio=2,
        norm_layer=norm,
    ).eval()  # fmt: skip
    for one in model.parameters():
        torch.nn.init.normal_(one, std=0.3)
    renamed = {
        "attn.proj": "attention.output.dense", "blocks.": "encoder.layer.", "gamma_": "lambda_",
        "norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense", "fc_norm": "pooler.layernorm", "cls_token": "embeddings.cls_token",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "attn.relative_position_bias_table": "attn.relative_position_bias.relative_position_bias_table",
    }  # fmt: skip
    state = as_transformers(model.state_dict(), renamed)
    state = {f"beit.{key.replace('SELF.', 'attention.attention.')}": one for key, one in state.items()}
    save_file(state, tmp_path / "model.safetensors")
    config = {
        "model_type": "beit",
        "num_attention_heads": 4,
        "image_size": 32,
        "use_relative_position_bias": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    x = planted_input(32)
    encoder = load_encoder(str(tmp_path))
    assert_close(encoder.model(x), model(x), rtol=1e-4, atol=1e-4)
    assert encoder.arch.startswith("beit[")


def test_the_windows_of_a_swin_v2_are_those_of_its_config(tmp_path):
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4}
    model = SwinTransformerV2(img_size=32, patch_size=4, num_classes=0, **sizes).eval()
    for one in model.parameters():
        torch.nn.init.normal_(one, std=0.3)
    renamed = {
        "attn.proj": "attention.output.dense", "layers.1.downsample": "layers.0.downsample",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
        "patch_embed.proj": "embeddings.patch_embeddings.projection", "patch_embed.norm": "embeddings.norm",
        "cpb_mlp": "continuous_position_bias_mlp",
    }  # fmt: skip
    state = as_transformers(model.state_dict(), renamed)
    state = {key.replace("SELF.", "attention.self."): one for key, one in state.items()}
    state = {f"encoder.{key}" if key.startswith("layers") else key: one for key, one in state.items()}
    state |= {f"layernorm.{kind}": state.pop(f"norm.{kind}") for kind in ("weight", "bias")}
    save_file({f"swinv2.{key}": one for key, one in state.items()}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="window_size"):
        load_encoder(str(tmp_path))
    config = {"model_type": "swinv2", "image_size": 32, "pretrained_window_sizes": [0, 0]}
    (tmp_path / "config.json").write_text(json.dumps(config | {key: one for key, one in sizes.items()}))
    x = planted_input(32)
    encoder = load_encoder(str(tmp_path))
    assert_close(encoder.model(x), model(x), rtol=1e-4, atol=1e-4)
    assert not {"heads_without_config", "network_untaken"} & {
        as_record(line).kind for line in encoder.assumptions
    }
