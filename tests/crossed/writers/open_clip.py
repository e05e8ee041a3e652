"""What open_clip writes: states, training checkpoints, folders of the hub."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, through, trained

TEXTS = ["a dog", "a photo of a red car", "two people under a tree"]


def made(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    model = trained(open_clip.create_model(name, **settings))
    with torch.no_grad():
        model.logit_scale.fill_(4.0)
    return model


def preprocess_of(model: Any, name: str = "") -> Any:
    """What open_clip shows a model; by its name what it shows its published weights, where all agree."""
    published = [get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)]
    agree = bool(published) and all(pixels(one) == pixels(published[0]) for one in published)
    settings = merge_preprocess_dict(model.visual.preprocess_cfg, pixels(published[0]) if agree else {})
    return image_transform_v2(PreprocessCfg(**settings), is_train=False)


def pixels(config: dict[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in config}


def image_tower(
    folder: Path, name: str, *, way: str, spec: str = "", states: bool = True, **settings: Any
) -> Written:
    model = made(name, **settings)
    path = folder / "open_clip_pytorch_model.bin"
    if way == "train.py":
        path = folder / "epoch_3.pt"
        state = {f"module.{key}": one for key, one in model.state_dict().items()}
        torch.save({"epoch": 3, "name": "run", "state_dict": state, "optimizer": {}}, path)
    else:
        torch.save(model.state_dict(), path)
    seen = through(preprocess_of(model, name)) if states else plain_pixels(model.visual.image_size[0], 2)
    return Written(
        spec=f"{spec.format(name=name)}{{folder}}/{path.name}",
        pixels=seen,
        features=outputs(model.encode_image, seen),
        states_pixels=states,
    )


def clip(folder: Path, name: str, *, asked: str = "", **settings: Any) -> Written:
    """Both towers, as `--clip NAME@FILE` reads them."""
    model = made(name, **settings)
    torch.save(model.state_dict(), folder / "weights.pt")
    tokens = open_clip.get_tokenizer(name)(TEXTS)
    seen = through(preprocess_of(model, name))
    return Written(
        clip=f"{asked or name}@{{folder}}/weights.pt",
        texts=TEXTS,
        text_features=outputs(model.encode_text, tokens),
        image_features=outputs(model.encode_image, seen),
    )


def hub(folder: Path, *, as_clip: bool, **vision: Any) -> Written:
    """The folder that `push_to_hf_hub` writes, of a small configuration, as `create_model` reads it."""
    config = json.loads(json.dumps(SMALL))
    config["vision_cfg"].update(vision)
    open_clip.factory._MODEL_CONFIGS["small"] = config
    model, tokenizer = made("small"), open_clip.SimpleTokenizer()
    without_files = SimpleNamespace(save_pretrained=lambda folder: None)
    save_for_hf(model, without_files, config, folder)
    seen = through(preprocess_of(model))
    features = outputs(model.encode_image, seen)
    if not as_clip:
        return Written(spec="{folder}", pixels=seen, features=features, states_pixels=True)
    text = outputs(model.encode_text, tokenizer(TEXTS))
    return Written(clip="local-dir:{folder}", texts=TEXTS, text_features=text, image_features=features)


SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
NAMED = ("ViT-S-32-alt", "ViT-B-32-quickgelu", "RN50", "MobileCLIP-S1", "coca_ViT-B-32")
CASES: Cases = {
    **{
        ("torch.save(state_dict), open_clip:NAME@", name): partial(
            image_tower, name=name, way="state", spec="open_clip:{name}@"
        )
        for name in NAMED
    },
    ("torch.save(state_dict), the path alone", "ViT-S-32-alt"): partial(
        image_tower, name="ViT-S-32-alt", way="state", states=False
    ),
    ("training/main.py, open_clip:NAME@", "ViT-S-32-alt"): partial(
        image_tower, name="ViT-S-32-alt", way="train.py", spec="open_clip:{name}@"
    ),
    ("torch.save(state_dict), --clip NAME@", "ViT-S-32-alt"): partial(clip, name="ViT-S-32-alt"),
    ("torch.save(state_dict), --clip NAME@", "ViT-B-32-quickgelu"): partial(clip, name="ViT-B-32-quickgelu"),
    ("push_to_hf_hub.save_for_hf", "small ViT"): partial(hub, as_clip=False),
    ("push_to_hf_hub.save_for_hf, --clip local-dir:", "small ViT"): partial(hub, as_clip=True),
    ("push_to_hf_hub.save_for_hf, --clip local-dir:", "small ResNet"): partial(
        hub, as_clip=True, layers=[1, 1, 1, 1], width=16, patch_size=None
    ),
}
