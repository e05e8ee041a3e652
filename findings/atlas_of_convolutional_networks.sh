#!/usr/bin/env bash
# embedding-atlas==0.26.0 with transformers==5.24.0 and torch==2.14.1. Seen on 2026-11-30.
#
# Guess before it was run: `--embedder transformers` with a ResNet embeds a picture as its 2,048 pooled channels, or is
# refused.
#
# What happens: the pipeline's output is averaged over all axes but the last. For a vision transformer the last axis
# holds the features, so that this is the mean of its tokens (the class token with them). A convolutional network has
# (1, channels, height, width): channels and rows are averaged, and the embedding is one number for each *column* of the
# map, 7 for a picture of 224 pixels. With the pipeline's own `pool` the output is (1, channels, 1, 1), and the embedding
# is one number. Nothing is said, and the map is drawn from it.
#
# Output seen:
#   ViT, 32 features: embeddings (12, 32), equal to the mean of its 197 tokens
#   ResNet, 2048 channels: embeddings (12, 7), equal to the mean over channels and rows
#   ResNet, pool=True: embeddings (12, 1), equal to the mean of all pooled channels
#   messages of the embedder about it: 0
#
# Why it matters: maps, neighbours and clusters of a ResNet, ConvNeXt or EfficientNet there show where in the picture
# something is bright for the network, not what it represents; a comparison with another tool's embeddings of the same
# network finds nothing in common.
#
# Usage: atlas_of_convolutional_networks.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check embedding-atlas==0.26.0 transformers==5.24.0 \
        torch==2.14.1 torchvision==0.29.1
fi
cat > "$folder/look.py" <<'PYTHON'
import asyncio
import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedding_atlas.embedding import create_embedder
from PIL import Image
from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel, ViTConfig, ViTImageProcessor, ViTModel

ROOT = Path(sys.argv[1])
N = 12


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)) for _ in range(N)]


def as_bytes(picture: Image.Image) -> dict[str, bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {"bytes": buffer.getvalue()}


def embedded(model: Path, **settings: Any) -> np.ndarray:
    embed = create_embedder("transformers", modality="image", model=str(model), embedder_args=settings)
    batch = [as_bytes(picture) for picture in pictures()]
    return asyncio.run(embed(batch, model=str(model), embedder_args=settings))


def outputs(network: torch.nn.Module, processor: Callable[..., Any]) -> Any:
    with torch.inference_mode():
        return network.eval()(**processor(pictures(), return_tensors="pt"))


def shown(name: str, found: np.ndarray, expected: np.ndarray, words: str) -> None:
    assert found.shape == expected.shape and np.allclose(found, expected, atol=1e-4), (name, found.shape)
    print(f"{name}: embeddings {found.shape}, equal to {words}")


heard = Heard()
for name in ("embedding_atlas", "transformers"):
    logging.getLogger(name).addHandler(heard)
torch.manual_seed(0)

settings = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
vit, vit_processor = ViTModel(settings), ViTImageProcessor()
for part in (vit, vit_processor):
    part.save_pretrained(ROOT / "vit")
tokens = outputs(vit, vit_processor).last_hidden_state.numpy()
shown("ViT, 32 features", embedded(ROOT / "vit"), tokens.mean(1), f"the mean of its {tokens.shape[1]} tokens")

resnet = ResNetModel(ResNetConfig(depths=[1, 1, 1, 1]))
processor = ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=1.0)
for part in (resnet, processor):
    part.save_pretrained(ROOT / "resnet")
found = outputs(resnet, processor)
maps, pooled = found.last_hidden_state.numpy(), found.pooler_output.numpy()
columns, one = maps.mean((1, 2)), pooled.mean((1, 2))
shown(f"ResNet, {maps.shape[1]} channels", embedded(ROOT / "resnet"), columns, "the mean over channels and rows")
shown("ResNet, pool=True", embedded(ROOT / "resnet", pool=True), one, "the mean of all pooled channels")
about = [message for message in heard.messages if not message.startswith("Loading")]
print(f"messages of the embedder about it: {len(about)}")
assert not about, about
PYTHON
"$python" "$folder/look.py" "$folder" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
