"""Matrices of NumPy: components of scikit-learn, directions, and what `export ... basis -o X.npz` writes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.bases.basis import PARTS
from core.bases.dictionary import JUMP, MAGNITUDE, NEAREST, NMF, Dictionary
from core.bases.origin import noted
from core.bases.reading import KEEP_K, KeptCodes, Reading, UnknownLayout, assembled
from core.common.inside import parse_json

# The line that writes what a factorisation of scikit-learn has learned, which nothing has to be run to read.
WRITE_SKLEARN = (
    "python -c \"import joblib, numpy; m = joblib.load('{file}'); "
    "numpy.savez('{file}.npz', kind=type(m).__name__, whiten=str(getattr(m, 'whiten', False)), "
    "**{{n: str(v) for n, v in m.get_params().items() if n in ('beta_loss', 'alpha_W')}}, "
    "**{{n: v for n, v in vars(m).items() if n.endswith('_') and "
    "n[0] != '_' and isinstance(v, numpy.ndarray)}})\""
)
NEEDED = (
    "components (M, r) and kind: 'pca', 'ica' (with mixing), 'nmf', 'svd' or 'kmeans' (with cluster_centers)"
)
CLASSES = {  # of scikit-learn, in small letters
    **{"incrementalpca": "pca", "fastica": "ica", "truncatedsvd": "svd"},
    **{"minibatchnmf": "nmf", "minibatchkmeans": "kmeans"},
}
LEAST_SQUARES = ("frobenius", "2", "2.0")  # as beta_loss of scikit-learn's NMF
FREE = (
    "noise_variance_",
    "singular_values_",
    "explained_variance_ratio_",
    "explained_variance_",
    "whitening_",
    "var_",
)


@dataclass(frozen=True)
class Matrices:
    """Arrays by their names without the underscore of scikit-learn, and the text that says what they are."""

    reading: Reading

    def get(self, name: str) -> np.ndarray | None:
        return self.reading.first(name, f"{name}_")

    @property
    def kind(self) -> str:
        kind = str(self.reading.settings.get("kind", "")).lower()
        return CLASSES.get(kind, kind)


def read_components(reading: Reading) -> Dictionary:
    """Read a dictionary that scikit-learn has fitted: the `transform` of a factorisation gives the codes.

    Raises:
        UnknownLayout: a factorisation whose codes are no product with a matrix, or matrices without a kind.
    """
    matrices = Matrices(reading)
    kind = matrices.kind
    whitens = str(reading.settings.get("whiten")) == "True"
    if whitens and kind == "pca":
        kind = "whitened pca"
    if kind not in KINDS_OF_SKLEARN:
        named = f"its kind is '{kind}'" if kind else "it does not say what its components are of"
        raise UnknownLayout(f"{named}; an .npz with {NEEDED} is read")
    return KINDS_OF_SKLEARN[kind](matrices)


def _pca(matrices: Matrices) -> Dictionary:
    """Products of (x - mean) with each component."""
    rows = _needed(matrices, "components")
    return _signed(matrices, rows, rows)


def _whitened_pca(matrices: Matrices) -> Dictionary:
    """The products over their standard deviations."""
    rows = _needed(matrices, "components").astype(np.float64)
    spread = np.sqrt(_needed(matrices, "explained_variance").astype(np.float64))[:, None]
    return _signed(matrices, rows / spread, rows * spread)


def _ica(matrices: Matrices) -> Dictionary:
    """Products of (x - mean) with the unmixing matrix; the mixing matrix decodes them."""
    return _signed(matrices, _needed(matrices, "components"), _needed(matrices, "mixing").T)


def _svd(matrices: Matrices) -> Dictionary:
    rows = _needed(matrices, "components")
    return _signed(matrices, rows, rows, has_mean=False)


def _signed(
    matrices: Matrices, directions: np.ndarray, rows: np.ndarray, *, has_mean: bool = True
) -> Dictionary:
    """All codes of either sign, or the k largest in magnitude."""
    mean = matrices.get("mean") if has_mean else np.zeros(rows.shape[1])
    if mean is None:
        matrices.reading.notes.append(noted("no_mean"))
    how = KeptCodes(MAGNITUDE, matrices.reading.asked.k or len(rows))
    return assembled(how, directions, rows, offset=mean, pre_bias=mean is not None)


def _nmf(matrices: Matrices) -> Dictionary:
    """Codes of at least 0 whose sum of components is nearest to the vector."""
    rows = _needed(matrices, "components")
    if (rows < 0).any():
        raise UnknownLayout("its kind is 'nmf', but its components are negative in part")
    settings = matrices.reading.settings
    loss, penalty = settings.get("beta_loss"), settings.get("alpha_W")
    if loss is not None and str(loss) not in LEAST_SQUARES:
        raise UnknownLayout(f"its codes are of beta_loss '{loss}', and only those of least squares are read")
    if penalty is not None and float(penalty) != 0:
        raise UnknownLayout(f"its codes have a penalty (alpha_W {penalty}), and only those without are read")
    if loss is None or penalty is None:
        matrices.reading.notes.append(noted("least_squares"))
    elif str(settings.get("kind")).lower() == "minibatchnmf":
        matrices.reading.notes.append(noted("nmf_exact"))
    return replace(assembled(KeptCodes(NMF), rows, rows), k=matrices.reading.asked.k)


def _kmeans(matrices: Matrices) -> Dictionary:
    """The code 1 for the nearest centre."""
    centres = _needed(matrices, "cluster_centers").astype(np.float64)
    bias = -0.5 * (centres**2).sum(1)  # x.c - |c|2 / 2 is largest for the nearest
    return assembled(KeptCodes(NEAREST), centres, centres, bias=bias)


def _needed(matrices: Matrices, name: str) -> np.ndarray:
    matrix = matrices.get(name)
    if matrix is None:
        raise UnknownLayout(f"holds no {name}; an .npz with {NEEDED} is read")
    return matrix


KINDS_OF_SKLEARN: dict[str, Callable[[Matrices], Dictionary]] = {
    "pca": _pca,
    "whitened pca": _whitened_pca,
    "ica": _ica,
    "svd": _svd,
    "nmf": _nmf,
    "kmeans": _kmeans,
}


def read_matrix(reading: Reading) -> Dictionary:
    """Read a dictionary that is a file with a matrix alone.

    A matrix alone, of which orthonormal rows are directions, and rows of at least 0 components of NMF.

    Raises:
        UnknownLayout: any other, of which nothing says how vectors become codes.
    """
    rows = reading.tensors["matrix"]
    if rows.ndim != 2:
        raise UnknownLayout(f"holds an array of shape {rows.shape}, and a matrix (M, r) is needed")
    if (rows >= 0).all():
        reading.otherwise["the matrix transposed"] = _parts(rows.T, reading)
        return _parts(rows, reading)
    if not _is_orthonormal(rows) and _is_orthonormal(rows.T):
        rows = rows.T
    if not _is_orthonormal(rows):
        raise UnknownLayout(
            "holds a matrix whose rows are not orthonormal, so it does not say how vectors become codes: an "
            f".npz with {NEEDED} is read"
        )
    reading.notes.append(noted("no_mean"))
    return assembled(KeptCodes(MAGNITUDE, reading.asked.k or len(rows)), rows, rows)


def _parts(rows: np.ndarray, reading: Reading) -> Dictionary:
    if not reading.notes:
        reading.notes.append(noted("least_squares"))
    return replace(assembled(KeptCodes(NMF), rows, rows), k=reading.asked.k)


def _is_orthonormal(rows: np.ndarray) -> bool:
    wide = rows.astype(np.float64)
    if len(rows) > rows.shape[1]:
        return False
    return np.allclose(wide @ wide.T, np.eye(len(rows)), atol=1e-3)


def read_export(reading: Reading) -> Dictionary:
    """Read a dictionary that this project has exported: every array of it, and its card."""
    card: Any = parse_json(str(reading.settings["card"]))
    for name in ("indptr", "indices", "data"):
        reading.tensors.get(name)  # the codes of the images that it was exported with
    parts = {name: reading.tensors[name] for name in PARTS if name in reading.tensors}
    activation = str(card.get("activation"))
    if "encoder" not in parts:
        parts |= _of_decoder(parts, activation)
    k = reading.asked.k or card.get("k")
    how = KeptCodes(activation, int(k) if k else None, parts.get("threshold") if activation == JUMP else None)
    norm = str(card.get("normalisation", "none"))
    bias = parts.get("bias")
    dictionary = assembled(
        how,
        parts["encoder"],
        parts["decoder"],
        bias=bias,
        offset=parts["offset"],
        pre_bias=parts.get("pre_bias", False),
        norm=norm,
    )
    keeps = activation in KEEP_K or activation == NMF
    return replace(dictionary, k=int(k) if keeps and k else None)


def _of_decoder(parts: dict[str, np.ndarray], activation: str) -> dict[str, np.ndarray]:
    """What versions before 0.4 left out: of these kinds the encoder is the decoder."""
    if activation not in (MAGNITUDE, NMF, NEAREST):
        raise UnknownLayout("was exported without its encoder, by a version before 0.4: export it again")
    decoder = parts["decoder"]
    dictionary = {"encoder": decoder, "pre_bias": parts["offset"]}
    if activation == NEAREST:
        dictionary["bias"] = -0.5 * (decoder.astype(np.float64) ** 2).sum(1)
    return dictionary
