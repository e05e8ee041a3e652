"""CLIP through open_clip: the only module that imports it. Images and texts in, unit vectors out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor, nn

from core.concepts.tokens import WordTokenizer
from core.encoders.device import resolve_device
from core.errors import ClipError, did_you_mean

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "clip"
FORMAT = 1
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
IMAGE_BATCH, TEXT_BATCH = 64, 256


class Clip:
    """An image tower, a text tower and what turns pictures and texts into their inputs.

    `fingerprint` is the sha256 of weights, configuration and precision: what embeddings depend on. `width` is
    the number of entries of an embedding.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Any],
        preprocess: Callable[[Image.Image], Tensor],
        *,
        name: str,
        configuration: dict[str, Any],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.name, self.tokenizer, self.preprocess = name, tokenizer, preprocess
        self.configuration, self.precision = configuration, precision
        self.device = resolve_device(device)
        self.model: Any = model.to(self.device, PRECISIONS[precision]).eval()
        self.width = int(configuration["model_cfg"]["embed_dim"])

    @property
    def fingerprint(self) -> str:
        if not hasattr(self, "_fingerprint"):
            settings = {**self.configuration, "precision": self.precision}
            digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
            for name, tensor in sorted(self.model.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image], *, pad: bool = False) -> np.ndarray:
        """(n, width) float32 unit rows. `pad`: crops are padded to squares, so that nothing is cut off."""
        rows = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(images), IMAGE_BATCH):
            part = [image.convert("RGB") for image in images[start : start + IMAGE_BATCH]]
            part = [padded(image, self.fill) for image in part] if pad else part
            pixels = torch.stack([self.preprocess(image) for image in part])
            pixels = pixels.to(self.device, PRECISIONS[self.precision])
            rows.append(_unit(self.model.encode_image(pixels)))
        return np.concatenate(rows)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, width) float32 unit rows. A text longer than the context loses its end."""
        rows = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = torch.as_tensor(self.tokenizer(list(texts[start : start + TEXT_BATCH])))
            rows.append(_unit(self.model.encode_text(tokens.to(self.device))))
        return np.concatenate(rows)

    @property
    def fill(self) -> tuple[int, int, int]:
        """Colour for padding: the mean of the pictures the model was trained on."""
        mean = self.configuration.get("preprocess_cfg", {}).get("mean") or (0.5, 0.5, 0.5)
        red, green, blue = (round(255 * value) for value in mean)
        return red, green, blue


def _unit(rows: Tensor) -> np.ndarray:
    rows = rows.float()
    return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)).cpu().numpy()


def padded(image: Image.Image, fill: tuple[int, int, int]) -> Image.Image:
    """The image in the middle of a square as large as its longer side."""
    side = max(image.size)
    return ImageOps.pad(image, (side, side), color=fill) if image.width != image.height else image


def build_model(model_cfg: dict[str, Any]) -> nn.Module:
    """An untrained open_clip model of a configuration (`embed_dim`, `vision_cfg`, `text_cfg`)."""
    from open_clip import CLIP, CustomTextCLIP

    settings = {name: value for name, value in model_cfg.items() if name != "custom_text"}
    return (CustomTextCLIP if model_cfg.get("custom_text") else CLIP)(**settings)


def build_preprocess(preprocess_cfg: dict[str, Any]) -> Callable[[Image.Image], Tensor]:
    from open_clip import image_transform

    options = {name: value for name, value in preprocess_cfg.items() if name not in ("size", "mode")}
    return image_transform(preprocess_cfg["size"], is_train=False, **options)  # type: ignore[return-value]
