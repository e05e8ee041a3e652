"""What SAELens 3 to 5 write: an activation beside the architecture, and fine-tuned factors."""

from __future__ import annotations

import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sae_lens import SAE, SAEConfig

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, written

DEFAULTS = {
    "architecture": "standard",
    "d_in": R,
    "d_sae": M,
    "activation_fn_str": "relu",
    "apply_b_dec_to_input": True,
    "finetuning_scaling_factor": False,
    "context_size": 8,
    "model_name": "clip-vit-base-patch16",
    "hook_name": "blocks.9.hook_resid_post",
    "hook_layer": 9,
    "hook_head_index": None,
    "prepend_bos": True,
    "dataset_path": "x",
    "dataset_trust_remote_code": True,
    "normalize_activations": "none",
    "dtype": "float32",
    "device": "cpu",
    "sae_lens_training_version": None,
}


@torch.no_grad()
def stored(folder: Path, *, refuse: bool = False, **options: Any) -> Written:
    known = inspect.signature(SAEConfig).parameters
    asked = {name: one for name, one in {**DEFAULTS, **options}.items() if name in known}
    model = drawn(SAE(SAEConfig(**asked)))
    model.save_model(str(folder))
    if refuse:
        return refused("")
    codes = model.encode(X)
    again = model.decode(codes)
    assert torch.isfinite(again).all()
    return written("", codes)


def old_names(folder: Path) -> Written:
    """The settings of version 1 to 2: hook_point, and no architecture."""
    found = stored(folder)
    path = folder / "cfg.json"
    about = json.loads(path.read_text())
    for new, old in (("hook_name", "hook_point"), ("hook_layer", "hook_point_layer")):
        about[old] = about.pop(new)
    about["activation_fn"] = about.pop("activation_fn_str")
    del about["architecture"]
    path.write_text(json.dumps(about))
    return found


SAVE = "save_model"
TOPK = {"architecture": "topk", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
CASES: Cases = {
    (SAVE, "standard"): stored,
    (SAVE, "standard, names of version 2"): old_names,
    (SAVE, "fine-tuned"): partial(stored, finetuning_scaling_factor=True),
    (SAVE, "topk"): partial(stored, **TOPK),
    (SAVE, "standard with topk"): partial(stored, **{**TOPK, "architecture": "standard"}),
    (SAVE, "jumprelu"): partial(stored, architecture="jumprelu"),
    (SAVE, "jumprelu, layer_norm"): partial(
        stored, architecture="jumprelu", normalize_activations="layer_norm"
    ),
    (SAVE, "tanh-relu"): partial(stored, activation_fn_str="tanh-relu", refuse=True),
    (SAVE, "gated"): partial(stored, architecture="gated", refuse=True),
}
