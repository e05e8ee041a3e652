"""What dictionary_learning writes: ae.pt with config.json, and checkpoints below."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from dictionary_learning import dictionary
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, written

CLASSES = {
    "AutoEncoder": lambda size: dictionary.AutoEncoder(R, size),
    "AutoEncoderNew": lambda size: dictionary.AutoEncoderNew(R, size),
    "AutoEncoderTopK": lambda size: AutoEncoderTopK(R, size, K),
    "BatchTopKSAE": lambda size: BatchTopKSAE(R, size, K),
    "MatryoshkaBatchTopKSAE": lambda size: MatryoshkaBatchTopKSAE(R, size, K, [size // 2, size - size // 2]),
    "JumpReluAutoEncoder": lambda size: dictionary.JumpReluAutoEncoder(R, size),
    "GatedAutoEncoder": lambda size: dictionary.GatedAutoEncoder(R, size),
}
CHECKPOINT = "trainer_0/checkpoints/ae_500.pt"
AGAIN = {
    "AutoEncoder": dictionary.AutoEncoder.from_pretrained,
    "AutoEncoderNew": dictionary.AutoEncoderNew.from_pretrained,
    "AutoEncoderTopK": AutoEncoderTopK.from_pretrained,
    "BatchTopKSAE": BatchTopKSAE.from_pretrained,
    "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE.from_pretrained,
    "JumpReluAutoEncoder": dictionary.JumpReluAutoEncoder.from_pretrained,
}


@torch.no_grad()
def stored(
    folder: Path,
    name: str,
    *,
    place: str = "ae.pt",
    stated: bool = True,
    size: int = M,
    refuse: bool = False,
    **more: Any,
) -> Written:
    """As `trainSAE` lays it: the weights, and the trainer's config beside or one folder up."""
    model = drawn(CLASSES[name](size))
    if hasattr(model, "threshold") and model.threshold.ndim == 0:
        model.threshold.fill_(0.4)
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    if stated:
        about: dict[str, Any] = {"dict_class": name, "activation_dim": R, "dict_size": size, "layer": 3}
        about |= {"lm_name": "openai/clip-vit-base-patch32", "submodule_name": "resid_post_layer_3"}
        about |= {"k": K} if hasattr(model, "k") else {}
        home = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        (home / "config.json").write_text(json.dumps({"trainer": about}))
    if refuse:
        return refused(place)
    return written(place, AGAIN[name](str(path)).encode(X), **more)


def contradicting(folder: Path) -> Written:
    stored(folder, "AutoEncoderTopK")
    path = folder / "config.json"
    about = json.loads(path.read_text())
    about["trainer"]["k"] = K + 3
    path.write_text(json.dumps(about))
    return refused("ae.pt")


TRAIN = "trainSAE's layout"
CASES: Cases = {
    **{(TRAIN, name): partial(stored, name=name) for name in AGAIN},
    **{
        (f"{TRAIN}, a checkpoint", name): partial(stored, name=name, place=CHECKPOINT)
        for name in ("BatchTopKSAE", "AutoEncoderTopK")
    },
    **{
        (TRAIN, f"{name}, as many latents as features"): partial(stored, name=name, size=R)
        for name in ("AutoEncoder", "AutoEncoderNew", "BatchTopKSAE")
    },
    (TRAIN, "GatedAutoEncoder"): partial(stored, name="GatedAutoEncoder", refuse=True),
    (TRAIN, "k of config.json and of the weights differ"): contradicting,
    ("ae.pt alone", "BatchTopKSAE"): partial(stored, name="BatchTopKSAE", stated=False, refuse=True),
    ("ae.pt alone", "BatchTopKSAE, --activation threshold"): partial(
        stored, name="BatchTopKSAE", stated=False, dictionary_options={"activation": "threshold"}
    ),
    ("ae.pt alone", "AutoEncoderTopK, --k"): partial(
        stored, name="AutoEncoderTopK", stated=False, dictionary_options={"k": K}
    ),
    ("ae.pt alone", "MatryoshkaBatchTopKSAE"): partial(stored, name="MatryoshkaBatchTopKSAE", stated=False),
    ("ae.pt alone", "AutoEncoder"): partial(stored, name="AutoEncoder", stated=False),
    ("ae.pt alone", "AutoEncoderNew, --activation relu"): partial(
        stored, name="AutoEncoderNew", stated=False, dictionary_options={"activation": "relu"}
    ),
    ("ae.pt alone", "JumpReluAutoEncoder"): partial(stored, name="JumpReluAutoEncoder", stated=False),
}
