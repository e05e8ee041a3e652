"""A contrastive loss that weighs hard negatives more (Robinson et al. 2021b, ICLR; [40] of IFM's paper)."""

import math

import torch
from torch import Tensor

from core.analysis.tensors import check_matrix
from core.common.dataframes import check_same_length
from core.errors import SettingsError


def hard_info_nce(
    positive: Tensor, negatives: Tensor, *, temperature: float = 0.5, beta: float = 1.0, tau_plus: float = 0.0
) -> Tensor:
    """InfoNCE with importance weights on the negatives.

    mean_i -log( p_i / (p_i + N_i) ), p_i = exp(s+_i / t), n_ik = exp(s-_ik / t),
    N_i = K_i sum_k n_ik^(1 + beta) / sum_k n_ik^beta; with tau_plus > 0, N_i is replaced by
    max( (N_i - tau_plus K_i p_i) / (1 - tau_plus), K_i exp(-1 / t) ). The weights n^beta have gradients, as
    in the authors' code.

    Args:
        positive: (B,) cosine similarity of each anchor to its positive.
        negatives: (B, K) cosine similarities of each anchor to its negatives; -inf leaves one out of K_i.
        temperature: t > 0.
        beta: hardness concentration, >= 0; 0 is InfoNCE.
        tau_plus: share of negatives that are of the anchor's class, in [0, 1); 0 corrects nothing.
    Returns:
        scalar, dtype of the inputs but at least float32; a row without negatives counts 0.
    Raises:
        ShapeError: `negatives` is not a matrix, or B differs. SettingsError: temperature, beta, tau_plus.
    """
    check_matrix("negatives", negatives)
    check_same_length("positive", positive.numel(), "rows of negatives", len(negatives))
    check_hardness(beta, tau_plus)
    if not temperature > 0:
        raise SettingsError(f"temperature = {temperature:g} must be above 0.")
    dtype = torch.promote_types(negatives.dtype, torch.float32)
    above = positive.reshape(-1).to(dtype) / temperature  # (B,) log p
    logits = negatives.to(dtype) / temperature  # (B, K) log n
    finite = torch.isfinite(logits)
    count = finite.sum(1)
    log_k = count.clamp_min(1).to(dtype).log()
    hard = _log_sum((1 + beta) * logits, finite) - _log_sum(beta * logits, finite) + log_k  # (B,) log N
    if tau_plus:
        hard = _debiased(hard, above, log_k, temperature, tau_plus)
    losses = torch.nn.functional.softplus(hard - above)  # -log(p / (p + N))
    return torch.where(count > 0, losses, torch.zeros_like(losses)).mean()


def check_hardness(beta: float, tau_plus: float) -> None:
    """Raise SettingsError for a hardness or a share of false negatives out of range."""
    if not 0 <= beta < math.inf:
        raise SettingsError(f"hard_beta = {beta:g} must be 0 or more.")
    if not 0 <= tau_plus < 1:
        raise SettingsError(f"hard_tau_plus = {tau_plus:g} must be at least 0 and below 1.")


def _log_sum(logits: Tensor, finite: Tensor) -> Tensor:
    """Logarithm of the sum of exp over the known entries of each row; 0 for a row without any."""
    filled = torch.where(finite, logits, torch.full_like(logits, -torch.inf))
    some = finite.any(1)
    safe = torch.where(some[:, None], filled, torch.zeros_like(filled))
    if not filled.shape[1]:
        return filled.new_zeros(len(filled))
    return torch.where(some, torch.logsumexp(safe, 1), torch.zeros_like(safe[:, 0]))


def _debiased(hard: Tensor, above: Tensor, log_k: Tensor, temperature: float, tau_plus: float) -> Tensor:
    """log max((N - tau_plus K p) / (1 - tau_plus), K exp(-1 / t)), scaled so that nothing overflows."""
    top = torch.maximum(hard, above).detach()
    corrected = ((hard - top).exp() - tau_plus * (log_k + above - top).exp()) / (1 - tau_plus)
    least = (log_k - 1 / temperature - top).exp()
    return torch.maximum(corrected, least).clamp_min(torch.finfo(hard.dtype).tiny).log() + top
