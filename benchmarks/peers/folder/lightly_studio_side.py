"""LightlyStudio adds a folder, and embeds it by an embedder that is registered for it."""

from __future__ import annotations

import sys

import lightly_studio as ls
import numpy as np
import torch
from lightly_studio.embed.image_embedding import EmbeddingContext, embed_image_files_batched
from lightly_studio_serve.embedder import ImagePathEmbedder

from benchmarks.peers.folder.same_network import BATCH, embedder, view


class Embedder(ImagePathEmbedder):
    """As its example of an embedder of one's own does it."""

    def __init__(self, weights: str, out: str):
        self.network, self.out = embedder(weights), out

    def embedding_space_spec(self) -> ls.EmbeddingSpaceSpec:
        return ls.EmbeddingSpaceSpec(space_key="resnet50", dimension=2048)

    def embed_images(self, paths: list[str]) -> ls.EmbeddingResult:
        context = EmbeddingContext(2048, BATCH, torch.device("cpu"), view(), self.encode)
        embedded = embed_image_files_batched(paths, context, show_progress=False)
        np.save(self.out, embedded.embeddings[np.argsort(np.array(paths)[embedded.kept_indices])])
        return embedded

    def encode(self, batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return self.network(batch).numpy()


def main(folder: str, weights: str, out: str) -> None:
    print(f"settings: batches of {BATCH}, its own threads")
    ls.register_default_embedder(embedder=Embedder(weights, out))
    ls.ImageDataset.create().add_images_from_path(path=folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
