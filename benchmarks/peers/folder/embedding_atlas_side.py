"""Embedding Atlas embeds the bytes of pictures by a function of one's own.

Its own embedder takes networks of transformers alone, and of a convolutional one it averages the channels.
What follows its embedding, a map by UMAP, is left out.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedding_atlas.projection import _run_embedding
from PIL import Image

from benchmarks.peers.folder.same_network import BATCH, embedder, paths_of, view


def main(folder: str, weights: str, out: str) -> None:
    print(f"settings: batches of {BATCH}, an embedder of one's own")
    network, to_view = embedder(weights), view()

    async def embed(batch: list[dict[str, bytes]], **_: Any) -> np.ndarray:
        pictures = [Image.open(io.BytesIO(one["bytes"])).convert("RGB") for one in batch]
        with torch.inference_mode():
            return network(torch.stack([to_view(picture) for picture in pictures])).numpy()

    read = [{"bytes": Path(path).read_bytes()} for path in paths_of(folder)]
    running = _run_embedding(
        embed, read, model=None, embedder_args={}, batch_size=BATCH, max_concurrency=None
    )
    np.save(out, asyncio.run(running))


if __name__ == "__main__":
    main(*sys.argv[1:])
