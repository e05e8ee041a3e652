"""Bases without a training of ours: scikit-learn's factorisations, and random directions as a control."""

import warnings
from typing import Any

import numpy as np
import torch

from core.bases.dictionary import MAGNITUDE, NEAREST, NMF, TOPK, Coder, Dictionary, with_gain
from core.bases.vectors import FitRun, Vectors
from core.errors import SettingsError

BATCH = 4096


def fit_pca(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Fit a PCA as a dictionary of a basis; of the codes, those with the k largest magnitudes are kept."""
    from sklearn.decomposition import PCA

    sample = vectors.sample(seed)
    most = min(sample.shape)
    if size > most:
        raise SettingsError(
            f"--size {size}: {len(sample):,} vectors of {vectors.width:,} features have {most:,} components"
        )
    with run.progress.stage("pca"):
        pca: Any = PCA(size, random_state=seed).fit(sample)
    mean = pca.mean_.astype(np.float32)
    return _linear(pca.components_, mean, MAGNITUDE, min(k, size))


def fit_kmeans(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Fit k-means as a dictionary of a basis: a vector has the code 1 for the nearest centre.

    The decoder is the centre less the mean vector.
    """
    from sklearn.cluster import MiniBatchKMeans

    sample = vectors.sample(seed)
    if size > len(sample):
        raise SettingsError(f"--size {size}: there are {len(sample):,} vectors to find centres of")
    mean = vectors.centre.astype(np.float32)
    with run.progress.stage("kmeans"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that many vectors are equal: some centres will be dead
        make: Any = MiniBatchKMeans
        kmeans = make(size, batch_size=BATCH, n_init=1, random_state=seed).fit(sample - mean)
    centres = kmeans.cluster_centers_.astype(np.float32)
    bias = -0.5 * (centres.astype(np.float64) ** 2).sum(1)  # x.c - |c|2 / 2 is largest for the nearest
    return _linear(centres, mean, NEAREST, 1, bias=bias)


def fit_nmf(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Fit a non-negative factorisation as a dictionary of a basis; the k largest codes are kept."""
    from sklearn.decomposition import MiniBatchNMF

    sample = vectors.sample(seed)
    if (sample < 0).any():
        raise SettingsError(
            "--kind nmf needs features of at least 0, and these are negative in part (no ReLU before the "
            "pooling); use topk or pca"
        )
    with run.progress.stage("nmf"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged to the last digit
        make: Any = MiniBatchNMF
        nmf = make(size, init="random", batch_size=BATCH, random_state=seed).fit(sample)
    lengths = np.linalg.norm(nmf.components_, axis=1, keepdims=True)
    components = nmf.components_ / np.where(lengths > 0, lengths, 1)
    return _linear(components, np.zeros(vectors.width, np.float32), NMF, min(k, size))


def fit_random(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Draw random directions as a dictionary of a basis, with which fitted ones are compared.

    Random directions of length 1; the k largest products with the centred vector, by one factor for all.

    The factor is the one with which the reconstructions are nearest to the vectors.
    """
    rows = np.random.default_rng(seed).standard_normal((size, vectors.width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    dictionary = _linear(rows, vectors.centre.astype(np.float32), TOPK, min(k, size))
    coder = Coder(dictionary, run.device)
    both = 0.0
    squared = 0.0
    with run.progress.stage("random"):
        sample = vectors.sample(seed, 4096)
        for start in range(0, len(sample), coder.block_rows):
            raw = torch.from_numpy(sample[start : start + coder.block_rows]).to(run.device)
            decoded = coder.decode(coder.encode(raw), raw)[0] - coder.weights["offset"]
            both += float((decoded * (raw - coder.weights["offset"])).sum())
            squared += float((decoded**2).sum())
    return with_gain(dictionary, both / squared if squared > 0 else 1.0)


def _linear(
    rows: np.ndarray, mean: np.ndarray, activation: str, k: int, *, bias: np.ndarray | None = None
) -> Dictionary:
    """A dictionary whose encoder is its decoder, on centred vectors."""
    decoder = np.ascontiguousarray(rows, np.float32)
    zeros = np.zeros(len(decoder), np.float32)
    shift = zeros if bias is None else bias.astype(np.float32)
    return Dictionary(decoder, mean, decoder, shift, mean, activation, k)
