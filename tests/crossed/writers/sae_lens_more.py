"""What SAELens 6 writes: folders of inference and of training."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sae_lens import saes
from sae_lens.saes.sae import SAEMetadata
from sae_lens.training.activation_scaler import ActivationScaler

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, written


def model_of(name: str, **options: Any) -> Any:
    """An autoencoder of SAELens by the name of its class, with drawn weights."""
    about = SAEMetadata(model_name="vit-small", hook_name="blocks.2.hook_resid_post")
    config = getattr(saes, f"{name}Config")(d_in=R, d_sae=M, metadata=about, **options)
    return drawn(getattr(saes, name)(config))


@torch.no_grad()
def inference(folder: Path, name: str, **options: Any) -> Written:
    model = model_of(name, **options)
    model.save_model(folder)
    return written("", model.encode(X))


@torch.no_grad()
def trained_then_saved(folder: Path, name: str, **options: Any) -> Written:
    """A model of training, saved for inference; batch top-k with the threshold that training found."""
    model = (
        model_of(name, l1_coefficient=1.0, **options)
        if name == "StandardTrainingSAE"
        else model_of(name, **options)
    )
    if hasattr(model, "topk_threshold"):
        model.topk_threshold.fill_(0.4)
    model.save_inference_model(folder)
    return written("", saes.SAE.load_from_disk(folder).encode(X))


@torch.no_grad()
def in_training(folder: Path, name: str, **options: Any) -> Written:
    """A checkpoint of training: its own architecture, and the threshold so far."""
    model = model_of(name, **options)
    if hasattr(model, "topk_threshold"):
        model.topk_threshold.fill_(0.4)
    model.save_model(folder)
    model.save_inference_model(folder / "inference")
    return written("sae_weights.safetensors", saes.SAE.load_from_disk(folder / "inference").encode(X))


@torch.no_grad()
def scaled(folder: Path, normalisation: str) -> Written:
    """A checkpoint of training whose vectors are scaled or whitened by what lies beside it."""
    model = model_of("TopKSAE", k=K, normalize_activations=normalisation)
    scaler = ActivationScaler()

    def batches() -> Any:
        while True:
            yield X * 3

    if normalisation == "covariance_whitening":
        scaler.estimate_whitening(R, batches(), 4)
    else:
        scaler.estimate_scaling_factor(R, batches(), 4)
    model.save_model(folder)
    scaler.save(str(folder / "activation_scaler.json"))
    return written("sae_weights.safetensors", model.encode(scaler.scale(X)))


def alone(folder: Path) -> Written:
    """The weights without cfg.json."""
    found = inference(folder, "StandardSAE")
    (folder / "cfg.json").unlink()
    return written("", found.codes, dictionary_options={"activation": "relu"})


def other(folder: Path, name: str, **options: Any) -> Written:
    model_of(name, **options).save_model(folder)
    return refused("")


def mixed(folder: Path) -> Written:
    """The weights of one autoencoder with the settings of another."""
    inference(folder, "TopKSAE", k=K)
    settings = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**settings, "d_sae": 2 * M}))
    return refused("")


SAVE, TRAINING, INFERENCE = "save_model", "save_model in training", "save_inference_model"
CASES: Cases = {
    (SAVE, "standard"): partial(inference, name="StandardSAE"),
    (SAVE, "standard, layer_norm"): partial(
        inference, name="StandardSAE", normalize_activations="layer_norm"
    ),
    (SAVE, "standard, b_dec not subtracted"): partial(
        inference, name="StandardSAE", apply_b_dec_to_input=False
    ),
    (SAVE, "topk"): partial(inference, name="TopKSAE", k=K),
    (SAVE, "topk, rescaled"): partial(inference, name="TopKSAE", k=K, rescale_acts_by_decoder_norm=True),
    (SAVE, "topk, constant_norm_rescale"): partial(
        inference, name="TopKSAE", k=K, normalize_activations="constant_norm_rescale"
    ),
    (SAVE, "jumprelu"): partial(inference, name="JumpReLUSAE"),
    (SAVE, "abstopk"): partial(inference, name="AbsTopKSAE", k=K),
    (SAVE, "abstopk, rescaled"): partial(
        inference, name="AbsTopKSAE", k=K, rescale_acts_by_decoder_norm=True
    ),
    (SAVE, "gated"): partial(other, name="GatedSAE"),
    (SAVE, "matching_pursuit"): partial(other, name="MatchingPursuitSAE"),
    (SAVE, "temporal"): partial(other, name="TemporalSAE", n_heads=1, bottleneck_factor=4, kval_topk=K),
    (SAVE, "transcoder"): partial(other, name="Transcoder", d_out=R, apply_b_dec_to_input=False),
    (SAVE, "cfg.json of another size"): mixed,
    (SAVE, "no cfg.json, --activation relu"): alone,
    (INFERENCE, "standard"): partial(trained_then_saved, name="StandardTrainingSAE"),
    (INFERENCE, "topk"): partial(trained_then_saved, name="TopKTrainingSAE", k=K),
    (INFERENCE, "batchtopk"): partial(trained_then_saved, name="BatchTopKTrainingSAE", k=K),
    (INFERENCE, "matryoshka_batchtopk"): partial(
        trained_then_saved, name="MatryoshkaBatchTopKTrainingSAE", k=K, matryoshka_widths=[10, M]
    ),
    (TRAINING, "topk"): partial(in_training, name="TopKTrainingSAE", k=K),
    (TRAINING, "batchtopk"): partial(in_training, name="BatchTopKTrainingSAE", k=K),
    (TRAINING, "matryoshka_batchtopk"): partial(
        in_training, name="MatryoshkaBatchTopKTrainingSAE", k=K, matryoshka_widths=[10, M]
    ),
    (TRAINING, "expected_average_only_in"): partial(scaled, normalisation="expected_average_only_in"),
    (TRAINING, "covariance_whitening"): partial(scaled, normalisation="covariance_whitening"),
}
