"""Scores of how well images are represented: of each image (Q and its baselines), and of a whole set."""

import numpy as np
import torch
from torch import Tensor

from core.analysis.definitions import Array, highly_activating
from core.analysis.tensors import as_tensor, check_matrix, masked_mean
from core.common.dataframes import check_same_length

# Q-Score and its label-free baselines: how well each image is represented (Kalibhat et al. 2024, "Q").


def q_score(h: Array, discriminative: Array, *, epsilon: float = 4.0) -> Tensor:
    """The Q-Score: mean excess activation of each image's firing discriminative features.

    Q_i = mean of (h_ij - mu_i) over j in L_i & D,  L_i = {j: h_ij > mu_i + eps*sigma_i}
    (Kalibhat et al. 2024, arXiv 2203.01881, eq. 1; mu_i, sigma_i over row i, ddof 0)

    Args:
        h: (n_images, n_features) float, L2-normalised rows; gradients flow to it, the sets are constants.
        discriminative: (n_features,) bool, the set D.
        epsilon: firing threshold, in standard deviations.
    Returns:
        (n_images,) float64, unit of `h`, higher is better; 0 where L_i & D is empty.
    Raises:
        ShapeError: the two inputs disagree on n_features.
    """
    h = as_tensor(h)
    discriminative = as_tensor(discriminative).to(h.device)
    check_matrix("h", h)
    check_same_length("h columns", h.shape[1], "discriminative", len(discriminative))
    excess = h.double() - h.double().mean(1, keepdim=True)  # (N, F)
    firing = highly_activating(h, epsilon=epsilon)  # (N, F)
    return masked_mean(excess, firing & discriminative.bool(), empty=0.0)  # (N,)


def near_zero_share(raw: Array, *, threshold: float = 1e-2) -> Tensor:
    """Score of an image by sparsity: share of entries of its representation that are near zero.

    Near zero is raw_ij < threshold * max_j raw_ij (docs/method.md 2.5).

    Returns:
        (n_images,) float64 in [0, 1]; 1 for a row without a positive entry. Negative entries count as near
        zero, which is why the trust check also reports their share.
    """
    raw = as_tensor(raw)
    check_matrix("raw", raw)
    peak = raw.amax(1, keepdim=True)
    return torch.where(peak[:, 0] > 0, (raw < threshold * peak).double().mean(1), 1.0)


def energy(logits: Array) -> Tensor:
    """The score energy of images: log sum_c exp(logit_c), (n_images,) float64; higher = more confident."""
    return torch.logsumexp(as_tensor(logits).double(), 1)


def confidence(logits: Array) -> Tensor:
    """The score confidence: largest softmax probability of each image, (n_images,) float64 in [1/C, 1]."""
    return torch.softmax(as_tensor(logits).double(), 1).amax(1)


def margin(logits: Array) -> Tensor:
    """The score margin: largest minus second-largest softmax probability, (n_images,) float64 in [0, 1]."""
    best = torch.softmax(as_tensor(logits).double(), 1).topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


# Scores of a whole set of representations, from the spectrum of the raw rows: RankMe and alpha-ReQ.


ALPHA_FIRST, ALPHA_LAST = 10, 100  # eigenvalues between which alpha-ReQ fits its line
BLOCK_ROWS = 4096
ROUNDING = 1e-12  # smaller eigenvalues, relative to the largest, are rounding errors
RANKME_EPSILON = 1e-7  # added to every p_k, as printed in the RankMe paper


def spectra(raw: Array) -> tuple[Tensor, Tensor]:
    """Singular values of representations and eigenvalues of their covariance, for RankMe and alpha-ReQ.

    Both come from the smaller Gram matrix in float64: singular values are accurate to about 1e-8 of the
    largest, far below the resolution of either score.

    Args:
        raw: (n_images, n_features) float.
    Returns:
        two (min(n_images, n_features),) float64, descending; the covariance is centred, divided by n_images.
    """
    raw = as_tensor(raw)
    check_matrix("raw", raw)
    n, n_features = raw.shape
    if n < n_features:
        wide = raw.double()
        around = wide - wide.mean(0)
        plain, centred = wide @ wide.T, around @ around.T
    else:
        total = torch.zeros(n_features, dtype=torch.float64, device=raw.device)
        plain = torch.zeros(n_features, n_features, dtype=torch.float64, device=raw.device)
        for block in raw.split(BLOCK_ROWS):
            total += block.double().sum(0)
            plain += block.double().T @ block.double()
        centred = plain - torch.outer(total, total) / n
    singular = torch.linalg.eigvalsh(plain).flip(0).clamp(min=0).sqrt()
    return singular, torch.linalg.eigvalsh(centred).flip(0).clamp(min=0) / max(n, 1)


def rankme(singular: Array) -> float:
    """Effective rank of the representations (Garrido et al. 2023, eq. 1 and 2).

    exp(-sum_k p_k log p_k), p_k = s_k / sum s + 1e-7

    Args:
        singular: singular values of the raw, uncentred rows; the paper uses 25,600 of them.
    Returns:
        float from 1 to the number of singular values, but for the 1e-7; NaN when all are 0.
    """
    values = as_tensor(singular).double()
    if not float(values.sum()) > 0:
        return float("nan")
    return float(torch.exp(torch.special.entr(values / values.sum() + RANKME_EPSILON).sum()))


def alpha_req(eigenvalues: Array, *, first: int = ALPHA_FIRST, last: int = ALPHA_LAST) -> float:
    """Decay of the covariance spectrum (Agrawal et al. 2022): lambda_k ~ k^-alpha, near 1 is best.

    alpha = - slope of the least-squares line through (log k, log lambda_k), k = first … last (from 1 if there
    are fewer than 2 `first` eigenvalues, up to their number if there are fewer than `last`).

    Args:
        eigenvalues: of the covariance of the raw rows, descending; rounding errors are left out.
    Returns:
        float; NaN with fewer than two eigenvalues.
    """
    values = as_tensor(eigenvalues).double().cpu().numpy()
    values = values[values > ROUNDING * values.max(initial=0.0)]
    start = first if len(values) >= 2 * first else 1
    k = np.arange(start, min(last, len(values)) + 1)
    if len(k) < 2:
        return float("nan")
    return float(-np.polyfit(np.log(k), np.log(values[k - 1]), 1)[0])
