"""Write references.json: what networks of Hugging Face `transformers` give, with the names of their tensors.

By hand, where `transformers` is installed: python -m tests.encoders.make_references [NAME …]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

FILE = Path(__file__).with_name("references.json")
SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = SIZES | {"intermediate_size": 64, "vocab_size": 9}
BASE = SIZES | {"intermediate_size": 256, "image_size": 32, "patch_size": 8}
DINOV2 = SIZES | {"image_size": 28, "patch_size": 14}
DINOV3 = SIZES | {"intermediate_size": 256, "image_size": 64, "num_register_tokens": 4}
NAFLEX = SIZES | {"intermediate_size": 256, "num_patches": 16, "patch_size": 8}
SWIN = {"image_size": 64, "embed_dim": 32, "depths": [2, 2], "num_heads": [1, 2], "window_size": 4}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "image_size": 64}
BOTH = {"text_config": TEXT, "vision_config": BASE}
LABELS = {"num_labels": 3}
NARROW = DINOV2 | {"hidden_size": 48, "num_attention_heads": 4, "mlp_ratio": 2}  # no usual number of heads
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("ViTForImageClassification", BASE),
    "DINOv2": ("Dinov2Model", DINOV2),
    "DINOv2 giant": ("Dinov2Model", DINOV2 | {"use_swiglu_ffn": True}),
    "DINOv2 registers": ("Dinov2WithRegistersModel", DINOV2),
    "DINOv3": ("DINOv3ViTModel", DINOV3),
    "DINOv3 plus": ("DINOv3ViTModel", DINOV3 | {"use_gated_mlp": True, "hidden_act": "silu"}),
    "CLIP": ("CLIPModel", BOTH),
    "SigLIP": ("SiglipModel", BOTH),
    "SigLIP 2 NaFlex": ("Siglip2VisionModel", NAFLEX),
    "CLIP classifier": ("CLIPForImageClassification", BOTH | LABELS),
    "SigLIP classifier": ("SiglipForImageClassification", BOTH | LABELS),
    "DINOv2 classifier": ("Dinov2ForImageClassification", NARROW | LABELS),
    "Swin": ("SwinForImageClassification", SWIN),
    "ConvNeXt": ("ConvNextForImageClassification", STAGES),
    "ConvNeXt V2": ("ConvNextV2ForImageClassification", STAGES),
}


def planted(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Return weights that depend on the names and shapes alone."""
    rng, state = np.random.default_rng(0), {}
    for name, shape in sorted(shapes.items()):
        values = rng.standard_normal(shape) * (0.15 if len(shape) > 1 else 0.3)
        state[name] = torch.tensor(values + (len(shape) == 1), dtype=torch.float32)
    return state


def planted_input(size: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(1).standard_normal((2, 3, size, size)), dtype=torch.float32)


def patches(size: int, side: int = 8) -> dict[str, torch.Tensor]:
    """Return an input in patches, as the NaFlex form of SigLIP 2 takes it."""
    n = size // side
    cut = planted_input(size).permute(0, 2, 3, 1).reshape(2, n, side, n, side, 3)
    flat = cut.permute(0, 1, 3, 2, 4, 5).reshape(2, n * n, -1)
    mask, shapes = torch.ones(2, n * n, dtype=torch.int32), torch.tensor([[n, n]] * 2)
    return {"pixel_values": flat, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def main() -> None:
    import transformers  # pyright: ignore[reportMissingImports]
    from safetensors.torch import load_file, save_file

    references = json.loads(FILE.read_text(encoding="utf-8"))
    for name in sys.argv[1:] or NETWORKS:
        network, settings = NETWORKS[name]
        kind = getattr(transformers, network)
        with tempfile.TemporaryDirectory() as folder:
            kind(kind.config_class(**settings)).save_pretrained(folder)  # whose names are not those in memory
            file = Path(folder) / "model.safetensors"
            shapes = {key: list(tensor.shape) for key, tensor in load_file(file).items()}
            save_file(planted(shapes), file, {"format": "pt"})
            model, on_disk = kind.from_pretrained(folder).eval(), planted(shapes)
            config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        parts = ("vision_model", "dinov2", "vit", "swin", "convnext", "convnextv2")
        encoder = next((getattr(model, part) for part in parts if hasattr(model, part)), model)
        size = settings.get("image_size", 32)
        with torch.no_grad():
            output = encoder(**(patches(size) if "NaFlex" in name else {"pixel_values": planted_input(size)}))
        vectors = output.last_hidden_state[:, 0] if name == "ViT" else output.pooler_output
        in_memory = {
            key: next((disk for disk, other in on_disk.items() if torch.equal(tensor, other)), key)
            for key, tensor in model.state_dict().items()
        }
        references[name] = {"shapes": shapes, "config": config, "size": size}
        references[name]["in_memory"] = {key: disk for key, disk in in_memory.items() if key != disk}
        references[name]["output"] = [[round(value, 5) for value in row] for row in vectors.tolist()]
        if "classifier" in name:
            logits = model(planted_input(size)).logits.tolist()
            references[name]["logits"] = [[round(value, 5) for value in row] for row in logits]
    FILE.write_text(json.dumps(references) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
