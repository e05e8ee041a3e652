"""Q-Score and its label-free baselines: how well each image is represented (Kalibhat et al. 2024, "Q")."""

import torch
from torch import Tensor

from core.analysis.features.definitions import Array, highly_activating
from core.analysis.tensors import as_tensor, check_matrix, masked_mean
from core.common.dataframes import check_same_length


def q_score(h: Array, discriminative: Array, *, epsilon: float = 4.0) -> Tensor:
    """Mean excess activation of each image's firing discriminative features.

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
    """Share of near-zero entries of each row: raw_ij < threshold * max_j raw_ij (docs/method.md 2.5).

    Returns:
        (n_images,) float64 in [0, 1]; 1 for a row without a positive entry. Negative entries count as near
        zero, which is why the trust check also reports their share.
    """
    raw = as_tensor(raw)
    check_matrix("raw", raw)
    peak = raw.amax(1, keepdim=True)
    return torch.where(peak[:, 0] > 0, (raw < threshold * peak).double().mean(1), 1.0)


def energy(logits: Array) -> Tensor:
    """log sum_c exp(logit_c) of each row, (n_images,) float64; higher = more confident."""
    return torch.logsumexp(as_tensor(logits).double(), 1)


def confidence(logits: Array) -> Tensor:
    """Largest softmax probability of each row, (n_images,) float64 in [1/C, 1]."""
    return torch.softmax(as_tensor(logits).double(), 1).amax(1)


def margin(logits: Array) -> Tensor:
    """Largest minus second-largest softmax probability, (n_images,) float64 in [0, 1]; needs two classes."""
    best = torch.softmax(as_tensor(logits).double(), 1).topk(2, dim=1).values
    return best[:, 0] - best[:, 1]
