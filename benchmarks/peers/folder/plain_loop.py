"""A plain loop of torchvision with a DataLoader."""

from __future__ import annotations

import os
import sys

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers.folder.same_network import BATCH, embedder, paths_of, view


class Pictures(Dataset[torch.Tensor]):
    def __init__(self, folder: str):
        self.paths, self.view = paths_of(folder), view()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.paths[row]) as opened:
            return self.view(opened.convert("RGB"))


def main(folder: str, weights: str, out: str) -> None:
    n_workers = len(os.sched_getaffinity(0)) - 1
    print(f"settings: batches of {BATCH}, {n_workers} workers, torch's {torch.get_num_threads()} threads")
    network = embedder(weights)
    with torch.inference_mode():
        parts = [
            network(batch).numpy() for batch in DataLoader(Pictures(folder), BATCH, num_workers=n_workers)
        ]
    np.save(out, np.concatenate(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
