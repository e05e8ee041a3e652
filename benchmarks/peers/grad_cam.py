"""pytorch-grad-cam: heatmaps of features of a CNN (ours in closed form) and of a transformer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.peers.environment import GRAD_CAM
from benchmarks.peers.task import Inputs, Side, Task, largest_difference

CNN = "torchvision:resnet18?weights=none"
TRANSFORMER = "timm:vit_tiny_patch16_224"
SMALL_CNN, SMALL_TRANSFORMER = CNN, "timm:vit_tiny_patch16_224?img_size=64&depth=2"


def _pictures(spec: str, n_images: int, n_features: int) -> dict[str, np.ndarray]:
    """Random pixels, and features that are not zero on them."""
    encoder = _encoder(spec)
    height, width = encoder.transform.sides
    pixels = np.random.default_rng(0).integers(0, 256, (n_images, height, width, 3)).astype(np.uint8)
    active = encoder.represent(torch.from_numpy(pixels)).min(0).values.topk(n_features).indices
    return {"spec": np.array(spec), "pixels": pixels, "features": active.numpy()}


def _encoder(spec: str):  # noqa: ANN202
    from core.encoders.registry import load_encoder

    encoder = load_encoder(spec, device="cpu")
    encoder.precision = "float32"
    return encoder


def _ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.analysis.gradcam import gradcam_maps
    from core.study.heatmaps import combine

    encoder, pixels = _encoder(str(inputs["spec"])), torch.from_numpy(inputs["pixels"])
    size, one = encoder.transform.input_size, np.ones(1, np.float32)

    def heatmaps() -> np.ndarray:
        maps = gradcam_maps(encoder, pixels, inputs["features"]).cpu().numpy()
        return np.stack([[combine(map_[None], one, "mean", size) for map_ in of_image] for of_image in maps])

    return heatmaps


def _theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    """As the library's README does it: a call for each feature, and for tokens a reshape."""
    from pytorch_grad_cam import GradCAM

    from core.encoders.layers import count_prefix_tokens

    encoder = _encoder(str(inputs["spec"]))
    model, x = (
        copy.deepcopy(encoder.model).requires_grad_(True),
        encoder.normalise(torch.from_numpy(inputs["pixels"])),
    )
    base: Any = getattr(model, "base", model)
    n_prefix = count_prefix_tokens(base)

    def reshape(tokens: torch.Tensor) -> torch.Tensor:
        patches = tokens[:, n_prefix:].transpose(1, 2)
        side = round(patches.shape[2] ** 0.5)
        return patches.reshape(*patches.shape[:2], side, side)

    def heatmaps() -> np.ndarray:
        layer = base.get_submodule(encoder.target_layer)
        with GradCAM(model, [layer], reshape_transform=reshape if encoder.family == "vit" else None) as cam:
            show: Any = cam  # the library declares its targets as modules, and calls them as functions
            maps = [show(x, [lambda raw, j=j: raw[j]] * len(x)) for j in inputs["features"]]
        return np.stack(maps, axis=1)

    return heatmaps


def _task(name: str, spec: str, small_spec: str, ours: Side) -> Task:
    return Task(
        name,
        GRAD_CAM,
        lambda small: _pictures(small_spec, 2, 2) if small else _pictures(spec, 4, 8),
        *(ours, _theirs, largest_difference, 1e-4),
    )


TASKS = (
    _task("heatmaps of a ResNet-18", CNN, SMALL_CNN, _ours),
    _task("heatmaps of a ViT-Ti/16", TRANSFORMER, SMALL_TRANSFORMER, _ours),
)
