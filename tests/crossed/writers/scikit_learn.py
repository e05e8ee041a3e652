"""What scikit-learn learns: its matrices as .npz and .npy, and files of joblib."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn import cluster, decomposition

from core.bases.components import WRITE_SKLEARN
from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import X, refused

VALUES = X.numpy().astype(np.float64)
MODULES = {"MiniBatchKMeans": cluster, "KMeans": cluster}


def fitted(name: str, values: np.ndarray, **options: Any) -> Any:
    options = {"random_state": 0, **options}
    return getattr(MODULES.get(name, decomposition), name)(6, **options).fit(values)


def by_our_line(folder: Path, name: str, *, refuse: bool = False, **options: Any) -> Written:
    """The .npz that the line writes which a refused file of joblib shows."""
    values = np.abs(VALUES) if "NMF" in name else VALUES
    model = fitted(name, values, **options)
    joblib.dump(model, folder / "model.joblib")
    command = WRITE_SKLEARN.format(file="model.joblib").removeprefix('python -c "').removesuffix('"')
    subprocess.run([sys.executable, "-c", command], cwd=folder, check=True)
    if refuse:
        return refused("model.joblib.npz")
    codes = model.transform(values)
    if "KMeans" in name:
        codes = np.eye(codes.shape[1])[model.predict(values)]
    place = "{folder}/model.joblib.npz"
    return Written(dictionary=place, vectors=values, codes=codes, excused=("nmf_exact",))


def of_joblib(folder: Path, compress: int) -> Written:
    joblib.dump(fitted("PCA", VALUES), folder / "pca.joblib", compress=compress)
    return refused("pca.joblib")


def components(folder: Path, name: str) -> Written:
    """`numpy.save` of `components_` alone, of vectors without a mean."""
    values = np.abs(VALUES) if name == "NMF" else VALUES - VALUES.mean(0)
    model = fitted(name, values)
    np.save(folder / "components.npy", model.components_)
    return Written(dictionary="{folder}/components.npy", vectors=values, codes=model.transform(values))


def of_ica(folder: Path) -> Written:
    np.save(folder / "components.npy", fitted("FastICA", VALUES).components_)
    return refused("components.npy")


LINE, SAVE = "the line that refuses joblib", "numpy.save(components_)"
NAMES = ("PCA", "TruncatedSVD", "FastICA", "NMF", "MiniBatchNMF", "KMeans", "MiniBatchKMeans")
CASES: Cases = {
    **{(LINE, name): partial(by_our_line, name=name) for name in NAMES},
    (LINE, "PCA, whitened"): partial(by_our_line, name="PCA", whiten=True),
    (LINE, "SparsePCA"): partial(by_our_line, name="SparsePCA", refuse=True),
    (LINE, "DictionaryLearning"): partial(by_our_line, name="DictionaryLearning", refuse=True),
    ("joblib.dump", "PCA"): partial(of_joblib, compress=0),
    ("joblib.dump", "PCA, compressed"): partial(of_joblib, compress=3),
    (SAVE, "PCA"): partial(components, name="PCA"),
    (SAVE, "NMF"): partial(components, name="NMF"),
    (SAVE, "FastICA"): of_ica,
}
