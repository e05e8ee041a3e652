"""Scores of other papers that predict errors, and how far an image stands out (docs/method.md 2.7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import softmax

from core.analysis.chunk_scan import ChunkRows
from core.analysis.kernels import score_deviations
from core.analysis.neighbours import QUERY_ROWS, sample_rows, stored_unit_rows
from core.analysis.principal_scores import MOST_FEATURES
from core.common.dataframes import LEAST_NORM, check_same_length, safe_divide
from core.common.moments import Moments
from core.common.threads import map_in_order
from core.config import NeighboursConfig
from core.measures.evaluate import class_column
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS, ChunkedArray
from core.study.steps import settings_of

# How far an image stands out from the average train image: scores without labels (docs/method.md 2.7).
#
# Standard scores z_ij = (h_ij - m_j) / s_j of the features with s_j > LEAST_STD; m and s over the train
# images, ddof 0. Undefined (NaN) where no feature varies.


LEAST_STD = 1e-12  # a feature that varies less over the train images is left out
BEYOND = 1.0  # standard deviations from which soft Q counts
NAMES = ("distinctiveness", "raw_distinctiveness", "soft_q")


def deviation_scores(study: Study, *, threshold: float = BEYOND) -> dict[str, np.ndarray]:
    """Compute three scores of images (n_images,) float64 from the moments over the train images.

    Several threads and processes read a chunk each; a row's scores depend on no other row. They have the
    digits of float32, as the rows have.
    """
    array, table = study.array("representations"), study.table("features", ["mean", "std"])
    inverse, shift = scaling(*(table[name].to_numpy(np.float64) for name in ("mean", "std")))
    raw_inverse, raw_shift = scaling(*raw_moments(study, array))
    norm = study.table("row_stats", ["norm"])["norm"].to_numpy(np.float32)
    scale = np.float32(1.0) / np.maximum(norm, np.float32(LEAST_NORM))

    moments = (inverse, shift, raw_inverse, raw_shift)
    deviations = partial(_deviations, array, moments, np.float32(threshold))
    parts = map_in_order(deviations, array.by_chunk(scale))
    sums = np.concatenate([np.empty((3, 0)), *parts], 1)
    n_varying, n_raw = np.count_nonzero(inverse), np.count_nonzero(raw_inverse)
    means = (safe_divide(part, n) for part, n in zip(sums, (n_varying, n_raw, n_varying), strict=True))
    return dict(zip(NAMES, means, strict=True))


def _deviations(
    array: ChunkedArray, moments: Sequence[np.ndarray], threshold: np.float32, chunk: int, scale: np.ndarray
) -> np.ndarray:
    scores = np.empty((3, len(scale)))
    for here, x in ChunkRows.of_chunk(array, chunk).blocks():
        score_deviations(x, scale[here], *moments, threshold, scores[:, here])
    return scores


def raw_moments(study: Study, array: ChunkedArray) -> np.ndarray:
    """Compute mean and deviation of train representations, (2, n_features) float64, or take stored ones."""
    if study.has("raw_moments"):
        return study.vector("raw_moments")
    moments = Moments.empty(array.shape[1])
    for start, chunk in array.chunks():
        in_train = ~study.is_val[start : start + len(chunk)]
        moments = moments.merge(Moments.of_rows(np.asarray(chunk[in_train])))
    return np.stack([moments.mean, moments.std])


def scaling(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 / std and mean / std in float32 to standardise features for scores; 0 and 0 without spread."""
    varies = std > LEAST_STD
    inverse = np.where(varies, 1.0 / np.where(varies, std, 1.0), 0.0)
    return inverse.astype(np.float32), (mean * inverse).astype(np.float32)


# Detectors of other papers as predictors of errors, on stored vectors; higher = better (docs/method.md
# 2.2).
#
# All of them use labels, through the probe or by themselves.


ROUNDING = 1e-12  # eigenvalues with less of the sum are rounding


def gen(logits: np.ndarray, *, gamma: float = 0.1, top: int = 100) -> np.ndarray:
    """The score GEN of images: generalised entropy, negated (Liu, Lochman and Zach, CVPR 2023).

    - sum over the `top` largest probabilities of p^gamma (1 - p)^gamma

    Args:
        logits: (n_images, n_classes) of the probe.
    Returns:
        (n_images,) float64 <= 0.
    """
    p = np.sort(softmax(np.asarray(logits, np.float64), 1), 1)[:, ::-1]
    others = 1.0 - p
    others[:, 0] = p[:, 1:].sum(1)  # near certainty, 1 - p has no digits left
    return -((p * np.maximum(others, 0.0))[:, :top] ** gamma).sum(1)


def fdbd(logits: np.ndarray, weights: np.ndarray, raw: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Score fDBD of images by their representations: how far the decision boundaries of the probe are.

    Mean distance to the decision boundaries, relative to the distance from the train mean (Liu and Qin,
    ICML 2024).

    1 / (C - 1) sum_{c != f} (z_f - z_c) / ||w_f - w_c||, divided by ||raw_i - mean||
    (f is the predicted class)

    Args:
        logits: (n_images, n_classes). weights: (n_classes, n_features) of the probe. raw: (n_images,
        n_features). mean: (n_features,) of the raw train rows.
    Returns:
        (n_images,) float64 >= 0; NaN for the mean itself; classes with equal weights are left out.
    """
    check_same_length("raw rows", len(raw), "logits", len(logits))
    z, w = np.asarray(logits, np.float64), np.asarray(weights, np.float64)
    square = np.square(w).sum(1)
    apart = np.sqrt(np.maximum(square[:, None] + square - 2.0 * (w @ w.T), 0.0))  # (classes, classes)
    first = z.argmax(1)
    distance = safe_divide(z.max(1, keepdims=True) - z, apart[first])  # NaN for the class itself
    is_defined = np.isfinite(distance) & (np.arange(z.shape[1]) != first[:, None])
    boundary = safe_divide(np.where(is_defined, distance, 0.0).sum(1), is_defined.sum(1))
    return safe_divide(boundary, np.linalg.norm(np.asarray(raw, np.float64) - mean, axis=1))


def nnguide(energy: np.ndarray, guidance: np.ndarray) -> np.ndarray:
    """The score NNGuide: energy guided by near train images of high energy (Park et al., ICCV 2023).

    Energy guided by train images that are near and of high energy (Park, Jung and Teoh, ICCV 2023).

    E_i (1 / k) sum over the k train images t with the largest E_t cos(h_i, h_t) of E_t cos(h_i, h_t)

    Args:
        energy: (n_images,) log-sum-exp of the probe's logits. guidance: (n_images, k) these k products.
    Returns:
        (n_images,) float64; NaN where there are fewer than k train images.
    """
    check_same_length("energies", len(energy), "guidance", len(guidance))
    return np.asarray(energy, np.float64) * np.asarray(guidance, np.float64).mean(1)


def she(raw: np.ndarray, predicted: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """The score SHE of images: likeness to the stored pattern of the predicted class.

    Simplified Hopfield energy: inner product with the pattern of the predicted class (Zhang et al., ICLR
    2023).

    Args:
        raw: (n_images, n_features). predicted: (n_images,) class codes. patterns: (n_classes, n_features)
        mean raw row of each class over its correctly classified train images; NaN without any.
    Returns:
        (n_images,) float64; NaN for a class without a pattern.
    """
    check_same_length("raw rows", len(raw), "predictions", len(predicted))
    return np.einsum("ij,ij->i", np.asarray(raw, np.float64), patterns[predicted])


OF_LOGITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gen": gen}  # scores that need nothing else


def vim_origin(weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The origin of the score ViM: the point whose logits are nearest to 0.

    The point whose logits are as near to 0 as they can be, o = - pinv(W) b, (n_features,) float64.
    """
    return -np.linalg.pinv(np.asarray(weights, np.float64)) @ np.asarray(bias, np.float64)


def outside_axes(second: np.ndarray, *, kept: int) -> np.ndarray:
    """The axes outside the principal subspace, for the score ViM.

    All but the `kept` leading eigenvectors of X^T X, (n_features, n_features - kept) float64.

    Where X spans fewer directions, all but those: the order of the others is rounding.

    Args:
        second: (n_features, n_features) X^T X or a multiple of it, X = raw train rows - `vim_origin`.
    """
    values, axes = eigh(second)  # ascending
    spanned = int(np.count_nonzero(values > ROUNDING * values.sum()))
    return axes[:, : len(second) - min(kept, spanned)]


def vim_residual(raw: np.ndarray, origin: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The score ViM: norm outside the principal subspace around its origin, negated (Wang et al. 2022).

    - ||R^T (raw_i - o)||, R = `outside_axes` of the train images, o = `vim_origin`

    Args:
        raw: (n_images, n_features). origin: (n_features,). outside: (n_features, m), orthonormal columns.
    Returns:
        (n_images,) float64 <= 0.
    """
    return -np.linalg.norm((np.asarray(raw, np.float64) - origin) @ outside, axis=1)


# GEN, NNGuide, fDBD, SHE and ViM's residual of the evaluation images, from what a study holds.


OTHERS = ("nnguide", "fdbd", "she", "vim_residual")  # than those of logits alone
KEPT = 1000  # components of ViM's principal subspace at 2,048 features, as in the paper
GUIDED_ENTRIES = 1 << 26  # of evaluation rows that are compared with all train rows at a time
TRAIN_ROWS = 25_600  # train images that ViM's subspace is computed from, as many as the spectrum's


def baseline_scores(
    study: Study, *, seed: int = 0, device: str | torch.device = "cpu"
) -> dict[str, np.ndarray]:
    """Compute the baselines of Q, other scores of images, (n_images,) float64; NaN on train images."""
    scores = {name: np.full(study.n_images, np.nan) for name in (*OF_LOGITS, *OTHERS)}
    if not (study.has("probe_weights") and study.has("val_logits") and study.is_val.any()):
        return scores
    logits = study.vector("val_logits").astype(np.float64)
    val = np.flatnonzero(study.is_val)
    for name, score in OF_LOGITS.items():
        scores[name][val] = score(logits)
    energy = study.table("probe", ["energy"])["energy"].to_numpy(np.float64)
    scores["nnguide"][val] = nnguide(energy[val], largest_guidance(study, val, energy, device))
    weights, bias = (study.vector(name).astype(np.float64) for name in ("probe_weights", "probe_bias"))
    array = study.array("representations")
    mean = raw_moments(study, array)[0]
    patterns = _correct_patterns(study)
    origin = vim_origin(weights, bias)
    second = _vim_second_moment(study, origin, seed=seed)
    outside = None if second is None else outside_axes(second, kept=min(KEPT, len(mean) // 2))
    of_rows = _OfRows(array, weights, mean, patterns, origin, outside)
    ends = np.searchsorted(val, array.starts).tolist()
    spans = [(first, last) for first, last in pairwise(ends) if last > first]
    for first, last in spans:
        for name, value in of_rows(val[first:last], logits[first:last]).items():
            scores[name][val[first:last]] = value
    return scores


@dataclass
class _OfRows:
    """The scores that read representations, of evaluation images of one chunk."""

    array: ChunkedArray
    weights: np.ndarray
    mean: np.ndarray
    patterns: np.ndarray
    origin: np.ndarray
    outside: np.ndarray | None

    def __call__(self, rows: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
        raw = self.array.rows(rows)
        values = {
            "fdbd": fdbd(logits, self.weights, raw, self.mean),
            "she": she(raw, logits.argmax(1), self.patterns),
        }
        if self.outside is not None:
            values["vim_residual"] = vim_residual(raw, self.origin, self.outside)
        return values


def largest_guidance(
    study: Study, val: np.ndarray, energy: np.ndarray, device: str | torch.device
) -> np.ndarray:
    """The guidance of the score NNGuide for each image.

    The k largest products E_t cos(h_i, h_t) over the train images that `neighbours` would compare with.

    Evaluation images are taken GUIDED_ENTRIES at a time, train images by the chunk, so memory does not grow
    with either.

    Args:
        val: (n,) rows. energy: (n_images,) of all images.
    Returns:
        (n, k) float32, NaN where there are fewer train images.
    """
    settings: NeighboursConfig = settings_of("neighbours", {}, study.settings("neighbours"))
    array = study.array("representations")
    k = settings.k
    train = sample_rows(np.flatnonzero(~study.is_val), settings.max_train, settings.seed)
    largest = [np.empty((0, k), np.float32)]
    height = max(1, GUIDED_ENTRIES // array.shape[1])
    for first in range(0, len(val), height):
        queries = stored_unit_rows(array, val[first : first + height], device)
        best = torch.full((len(queries), k), -torch.inf)
        for start in range(0, len(train), CHUNK_ROWS):
            rows = train[start : start + CHUNK_ROWS]
            here = _guided(queries, stored_unit_rows(array, rows, device), energy[rows], k)
            best = torch.cat([best, here], dim=1).topk(k, dim=1).values
        largest.append(best.masked_fill(best == -torch.inf, torch.nan).numpy())
    return np.concatenate(largest)


def _guided(queries: torch.Tensor, train: torch.Tensor, energy: np.ndarray, k: int) -> torch.Tensor:
    """The k largest products of evaluation images with train images (fewer where these are), on the CPU."""
    weights = torch.as_tensor(energy[:, None], dtype=queries.dtype, device=queries.device)
    bank = train * weights
    k = min(k, len(train))
    parts = ((part @ bank.T).topk(k, dim=1).values for part in queries.split(QUERY_ROWS))
    return torch.cat([*parts]).cpu()


def _correct_patterns(study: Study) -> np.ndarray:
    """Mean raw row of each class over its correct train images, (n_classes, n_features), for SHE."""
    correct = study.table("probe", ["correct"])["correct"].fillna(False).to_numpy(bool)
    code = np.where(correct & ~study.is_val, class_column(study, "label"), -1)
    array = study.array("representations")
    sums = np.zeros((len(study.class_names), array.shape[1]))
    for chunk, code_of_chunk in array.by_chunk(code):
        classes, of_chunk = _class_sums(array, chunk, code_of_chunk)
        sums[classes] += of_chunk
    return safe_divide(sums, np.bincount(code[code >= 0], minlength=len(sums))[:, None])


def _class_sums(array: ChunkedArray, chunk: int, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes >= 0 of a chunk, and the sums of their rows."""
    order = np.argsort(code, kind="stable")
    order = order[np.count_nonzero(code < 0) :]
    classes, firsts = np.unique(code[order], return_index=True)
    if not len(order):
        return classes, np.empty((0, array.shape[1]))
    return classes, np.add.reduceat(array.chunk(chunk)[order], firsts, axis=0, dtype=np.float64)


def _vim_second_moment(study: Study, origin: np.ndarray, *, seed: int) -> np.ndarray | None:
    """The second moment of train images that the score ViM is made of.

    X^T X of at most TRAIN_ROWS seeded raw train rows around the origin; None for too many features.
    """
    array = study.array("representations")
    train = np.flatnonzero(~study.is_val)
    if array.shape[1] > MOST_FEATURES or not len(train):
        return None
    if len(train) > TRAIN_ROWS:
        train = np.sort(np.random.default_rng(seed).choice(train, TRAIN_ROWS, replace=False))
    is_sampled = np.zeros(len(array), bool)
    is_sampled[train] = True
    total = np.zeros((array.shape[1], array.shape[1]))
    for start, chunk in array.chunks():
        x = np.asarray(chunk[is_sampled[start : start + len(chunk)]], np.float64) - origin
        total += x.T @ x
    return total
