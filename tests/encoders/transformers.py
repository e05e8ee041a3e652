"""Small transformers with random weights, shaped like today's encoders; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import timm
import torch
from open_clip.transformer import VisionTransformer as ClipTransformer
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionTransformer

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 0}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    # patch 14, a CLS token, four registers, a norm over tokens; embeddings without a place for CLS
    "dinov2": ("vit_small_patch14_reg4_dinov2", {"img_size": 56}),
    # patch 16, rotary embeddings, a CLS token, four registers
    "dinov3": ("vit_small_patch16_dinov3", {"img_size": 64}),
    # patch 16, neither CLS token nor registers, attention pooling over normed patch tokens
    "siglip2": ("vit_base_patch16_siglip_224", {"img_size": 64}),
    # the norm follows the pooling
    "fc_norm": ("vit_tiny_patch16_224", {"img_size": 64, "global_pool": "avg"}),
}


def transformer(name: str, **more: Any) -> nn.Module:
    """Build one of SHAPES, narrow; its weights are stirred, so that norms, registers and scales matter."""
    arch, options = SHAPES[name]
    torch.manual_seed(0)
    return stirred(timm.create_model(arch, pretrained=False, **{**SMALL, **options, **more}))


def clip_transformer(**more: Any) -> nn.Module:
    torch.manual_seed(0)
    options = {"image_size": 64, "patch_size": 16, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 4}
    return stirred(ClipTransformer(**{**options, "output_dim": 24, **more}))


def torchvision_transformer() -> nn.Module:
    torch.manual_seed(0)
    model = TorchvisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64
    )
    model.set_submodule("heads", nn.Identity())
    return stirred(model)


def stirred(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()
