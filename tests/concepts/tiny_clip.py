"""A CLIP asset of random weights, small enough to make in every test."""

import json

import torch
from safetensors.torch import save_file

from core.concepts.clip import FORMAT, build_model
from core.worlds.captions import WordTokenizer

WORDS = (
    "a",
    "the",
    "on",
    "next",
    "to",
    "brown",
    "red",
    "small",
    "dog",
    "cat",
    "boat",
    "grass",
    "snow",
    "house",
    "key",
)
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "image_size": 32},
    "text_cfg": {"width": 16, "layers": 1, "heads": 2, "context_length": 12},
    "custom_text": True,
}


def tiny_asset(path, *, seed=0):
    """Write PATH.json and PATH.safetensors; returns the former."""
    tokenizer = WordTokenizer(WORDS, 12)
    model_cfg = {**TINY, "text_cfg": {**TINY["text_cfg"], "vocab_size": tokenizer.vocab_size}}
    torch.manual_seed(seed)
    save_file(build_model(model_cfg).half().state_dict(), path.with_suffix(".safetensors"))
    preprocess = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    preprocess |= {"interpolation": "bilinear", "resize_mode": "longest", "fill_color": 128}
    configuration = {"format": FORMAT, "model_cfg": model_cfg, "preprocess_cfg": preprocess}
    configuration["tokenizer"] = {"kind": "words", "words": list(WORDS)}
    path.with_suffix(".json").write_text(json.dumps(configuration))
    return path.with_suffix(".json")
