"""Compile what the map of a small study takes, once a machine: `python -m core.analysis.warm_map`."""

import numpy as np

from core.analysis.map_step import UMAP_FEATURES, umap_map
from core.config import MapConfig
from core.study.progress import Progress

if __name__ == "__main__":
    points = np.random.default_rng(0).normal(size=(100, UMAP_FEATURES)).astype(np.float32)
    with Progress.silent().stage("umap", total=len(points), unit="images") as bar:
        umap_map(points, np.arange(80), MapConfig(), bar)
