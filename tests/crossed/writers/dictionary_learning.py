"""What dictionary_learning writes: a folder a trainer with config.json, ae.pt and checkpoints below it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

for language in ("nnsight", "datasets", "zstandard", "wandb"):  # it imports them to read language models
    sys.modules.setdefault(language, MagicMock())
from dictionary_learning.trainers import (
    batch_top_k,
    gated_anneal,
    gdm,
    jumprelu,
    matryoshka_batch_top_k,
    p_anneal,
    standard,
    top_k,
)
from dictionary_learning.training import trainSAE

from tests.crossed.kit import Cases, Written, outputs, vectors
from tests.crossed.writers.dictionary_learning_more import CASES as MORE

MODULES = (batch_top_k, gated_anneal, gdm, jumprelu, matryoshka_batch_top_k, p_anneal, standard, top_k)
WIDTH, SIZE, K, STEPS = 12, 40, 4, 60


def batches() -> Any:
    for seed in range(STEPS + 5):
        yield vectors(WIDTH, 128, seed=100 + seed)


def learned(folder: Path, trainer: str, *, at: str = "trainer_0/ae.pt", **settings: Any) -> Written:
    """What `trainSAE` writes; the network is loaded from the file as the library does it."""
    cls = next(vars(module)[trainer] for module in MODULES if trainer in vars(module))
    asked = {
        "trainer": cls,
        "activation_dim": WIDTH,
        "dict_size": SIZE,
        "layer": 0,
        "lm_name": "none",
        "device": "cpu",
        "steps": STEPS,
        "seed": 0,
        **settings,
    }
    kept: list[Any] = []

    class Watched(cls):  # the trainer itself, so that its network can be asked
        def __init__(self, **options: Any):
            super().__init__(**options)
            kept.append(self)

    asked["trainer"] = Watched
    Watched.__name__ = cls.__name__
    trainSAE(
        data=batches(),
        trainer_configs=[asked],
        steps=STEPS,
        use_wandb=False,
        save_dir=str(folder),
        device="cpu",
        save_steps=[STEPS // 2],
        autocast_dtype=torch.float32,
    )
    ae = kept[0].ae
    ae.load_state_dict(torch.load(folder / at))
    if hasattr(ae, "normalize_decoder"):
        ae.normalize_decoder()  # as `from_pretrained` does, by which the library loads it
    raw = vectors(WIDTH)
    return Written(dictionary=f"{{folder}}/{at}", vectors=raw, codes=outputs(ae.encode, raw))


TRAINERS: dict[str, dict[str, Any]] = {
    "StandardTrainer": {"warmup_steps": 5, "sparsity_warmup_steps": 5},
    "StandardTrainerAprilUpdate": {"warmup_steps": 5, "sparsity_warmup_steps": 5},
    "TopKTrainer": {"k": K, "warmup_steps": 5, "threshold_start_step": 10},
    "BatchTopKTrainer": {"k": K, "warmup_steps": 5, "threshold_start_step": 10},
    "MatryoshkaBatchTopKTrainer": {
        "k": K,
        "warmup_steps": 5,
        "threshold_start_step": 10,
        "group_fractions": [0.25, 0.75],
    },
    "JumpReluTrainer": {"warmup_steps": 5, "sparsity_warmup_steps": 5, "target_l0": 4.0},
    "GatedSAETrainer": {"warmup_steps": 5, "sparsity_warmup_steps": 5},
    "GatedAnnealTrainer": {"warmup_steps": 5, "sparsity_warmup_steps": 5},
    "PAnnealTrainer": {"warmup_steps": 5, "sparsity_warmup_steps": 5},
}
CASES: Cases = {
    **{("trainSAE", name): partial(learned, trainer=name, **options) for name, options in TRAINERS.items()},
    **{
        ("trainSAE, checkpoints/ae_30.pt", name): partial(
            learned, trainer=name, at=f"trainer_0/checkpoints/ae_{STEPS // 2}.pt", **TRAINERS[name]
        )
        for name in ("TopKTrainer", "BatchTopKTrainer", "MatryoshkaBatchTopKTrainer", "StandardTrainer")
    },
}
CASES |= MORE
