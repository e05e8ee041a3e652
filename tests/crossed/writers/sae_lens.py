"""What SAELens writes: sae_weights.safetensors and cfg.json, of inference and of training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class, get_sae_training_class

from tests.crossed.kit import Cases, Written, outputs, trained, vectors
from tests.crossed.writers.sae_lens_more import CASES as MORE

WIDTH, SIZE, K = 12, 40, 4


def made(registered: tuple[Any, Any], **settings: Any) -> Any:
    cls, config = registered
    torch.manual_seed(0)
    sae = trained(cls(config(d_in=WIDTH, d_sae=SIZE, **settings)))
    for name, one in sae.named_parameters():
        if "threshold" in name:
            one.data.copy_(one.data.abs() * 0.3)
    return sae


def saved(folder: Path, architecture: str, **settings: Any) -> Written:
    """What `save_model` writes."""
    sae = made(get_sae_class(architecture), **settings)
    sae.save_model(folder)
    again = type(sae).load_from_disk(folder)
    raw = vectors(WIDTH)
    return Written(dictionary="{folder}", vectors=raw, codes=outputs(again.encode, raw))


def training(folder: Path, architecture: str, *, inference: bool, **settings: Any) -> Written:
    """What the training writes: `save_model` in checkpoints, `save_inference_model` at its end."""
    sae = made(get_sae_training_class(architecture), **settings)
    if hasattr(sae, "topk_threshold"):
        sae.topk_threshold.fill_(0.4)
    save = sae.save_inference_model if inference else sae.save_model
    save(folder)
    # in training the codes of a batch depend on each other where k is of the batch: those after it count
    sae.save_inference_model(folder / "after")
    encode = SAE.load_from_disk(folder / "after").encode
    raw = vectors(WIDTH)
    return Written(dictionary="{folder}", vectors=raw, codes=outputs(encode, raw))


INFERENCE: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("standard", {}),
    "standard, apply_b_dec_to_input false": ("standard", {"apply_b_dec_to_input": False}),
    "standard, layer_norm": ("standard", {"normalize_activations": "layer_norm"}),
    "standard, constant_norm_rescale": ("standard", {"normalize_activations": "constant_norm_rescale"}),
    "standard, expected_average_only_in": ("standard", {"normalize_activations": "expected_average_only_in"}),
    "topk": ("topk", {"k": K}),
    "topk, rescale_acts_by_decoder_norm": ("topk", {"k": K, "rescale_acts_by_decoder_norm": True}),
    "topk, layer_norm": ("topk", {"k": K, "normalize_activations": "layer_norm"}),
    "abstopk": ("abstopk", {"k": K}),
    "jumprelu": ("jumprelu", {}),
    "gated": ("gated", {}),
    "matching_pursuit": ("matching_pursuit", {}),
    "transcoder": ("transcoder", {"d_out": WIDTH, "apply_b_dec_to_input": False}),
}
TRAINING: dict[str, dict[str, Any]] = {
    "standard": {}, "topk": {"k": K}, "batchtopk": {"k": K}, "jumprelu": {}, "gated": {},
    "matryoshka_batchtopk": {"k": K, "matryoshka_widths": [10, SIZE]},
}  # fmt: skip
CASES: Cases = {
    **{
        ("SAE.save_model", name): partial(saved, architecture=kind, **options)
        for name, (kind, options) in INFERENCE.items()
    },
    **{
        ("TrainingSAE.save_model", name): partial(training, architecture=name, inference=False, **options)
        for name, options in TRAINING.items()
    },
    **{
        ("TrainingSAE.save_inference_model", name): partial(
            training, architecture=name, inference=True, **options
        )
        for name, options in TRAINING.items()
    },
}
CASES |= MORE
