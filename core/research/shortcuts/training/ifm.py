"""Implicit feature modification: a contrastive loss on harder logits (Robinson et al. 2021, "I")."""

import math

import torch
from torch import Tensor

from core.analysis.tensors import check_matrix
from core.common.dataframes import check_same_length
from core.errors import SettingsError


def ifm_info_nce(
    positive: Tensor, negatives: Tensor, *, temperature: float = 0.2, epsilon: float = 0.1, alpha: float = 1.0
) -> Tensor:
    """InfoNCE averaged with InfoNCE under the worst perturbation of the compared features.

    (L(0) + alpha L(epsilon)) / (1 + alpha)   (Robinson et al. 2021, arXiv 2106.11230, eq. 2), with
    L(e) = mean_i -log( exp((s+_i - e)/t) / (exp((s+_i - e)/t) + sum_k exp((s-_ik + e)/t)) ):
    moving each unit feature by at most e against the anchor's interest changes its similarity by exactly e.

    Args:
        positive: (B,) cosine similarity of each anchor to its positive.
        negatives: (B, K) cosine similarities of each anchor to its negatives; -inf leaves one out.
        temperature: t > 0.
        epsilon: size of the perturbation, >= 0; 0 is plain InfoNCE.
        alpha: weight of the perturbed loss, >= 0; inf for the perturbed loss alone.
    Returns:
        scalar, dtype of the inputs but at least float32; 0 where K = 0.
    Raises:
        ShapeError: `negatives` is not a matrix, or B differs. SettingsError: temperature, epsilon, alpha.
    """
    check_matrix("negatives", negatives)
    check_same_length("positive", positive.numel(), "rows of negatives", len(negatives))
    if not temperature > 0:
        raise SettingsError(f"temperature = {temperature:g} must be above 0.")
    for name, value in (("epsilon", epsilon), ("alpha", alpha)):
        if not value >= 0:
            raise SettingsError(f"{name} = {value:g} must be 0 or more.")
    moved = positive - epsilon, negatives + epsilon
    return mixed_info_nce((positive, negatives), moved, temperature=temperature, alpha=alpha)


def mixed_info_nce(
    plain: tuple[Tensor, Tensor], perturbed: tuple[Tensor, Tensor], *, temperature: float, alpha: float
) -> Tensor:
    """(L(plain) + alpha L(perturbed)) / (1 + alpha), L the InfoNCE of (positive (B,), negatives (B, K)).

    Args:
        perturbed: as `perturbed_cosines` makes them; a row whose positive is -inf, which has no direction, is
            left out of its mean.
        alpha: >= 0; inf for the perturbed loss alone.
    Returns:
        scalar, dtype of the inputs but at least float32.
    """
    harder = _info_nce(*perturbed, temperature)
    if math.isinf(alpha):
        return harder
    return (_info_nce(*plain, temperature) + alpha * harder) / (1 + alpha)


def _info_nce(positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    positive = positive.reshape(-1, 1)  # (B, 1)
    finite = torch.isfinite(positive)
    safe = torch.where(finite, positive, torch.zeros_like(positive))
    logits = torch.cat([safe, negatives], 1) / temperature  # (B, 1 + K)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = torch.logsumexp(logits, 1) - logits[:, 0]
    return (losses * finite[:, 0]).sum() / finite.sum().clamp_min(1)
