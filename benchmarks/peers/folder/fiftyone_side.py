"""FiftyOne's `compute_embeddings` with a network of one's own; its settings else as they are."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.peers.folder.same_network import BATCH, embedder, paths_of, view
from tests.crossed.readers.fiftyone import fo  # which starts its database

import fiftyone.utils.torch as fout  # isort: skip  # after its database is there


def main(folder: str, weights: str, out: str) -> None:
    print(f"settings: batches of {BATCH}, ragged_batches=False, the workers that it takes by itself")
    data = fo.Dataset()
    data.add_samples([fo.Sample(filepath=path) for path in paths_of(folder)])
    config = fout.TorchImageModelConfig(
        {
            "model": embedder(weights),
            "transforms": view(),
            "ragged_batches": False,
            "as_feature_extractor": True,
        }
    )
    np.save(out, np.asarray(data.compute_embeddings(fout.TorchImageModel(config), batch_size=BATCH)))


if __name__ == "__main__":
    main(*sys.argv[1:])
