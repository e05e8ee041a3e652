"""What is added to a self-supervised loss: the Q-Score regulariser and its Lasso baseline.

Kalibhat et al. 2024, "Q", arXiv 2203.01881. Scores, sets and normalisation are those of the analysis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.analysis.features import Array, normalise_rows
from core.analysis.numeric import TIE, check_matrix
from core.analysis.quality import q_score


def q_regularizer(
    raw: Tensor,
    discriminative: Array,
    *,
    epsilon: float = 4.0,
    lambda1: float = 1e-4,
    lambda2: float = 1e-4,
) -> Tensor:
    """Raises low Q-Scores and shrinks features that are active on much of the batch, when minimised.

    - lambda1 / (2N) sum_i 1[Q_i < alpha] Q_i + lambda2 sum_k 1[||H_*k||_1 > beta] ||H_*k||_1
    (Q, eq. 3, with the sign of a loss to minimise), H the 2N normalised rows, Q_i by `q_score`,
    alpha = mean_i Q_i (an empty Q_i is 0 and counts), beta = mean_k ||H_*k||_1. The sets L_i, D and both
    indicators are constants: gradients flow through Q_i and ||H_*k||_1 alone. Where L_i & D is empty, Q_i is
    the constant 0, so such a row is not pushed. A value within 1e-12 (relative) of its threshold equals it.

    Args:
        raw: (2N, n_features) float, not normalised: both views of a batch, in any order.
        discriminative: (n_features,) bool, the set D of the start study.
        epsilon: firing threshold, in standard deviations.
        lambda1, lambda2: weights of the two terms.
    Returns:
        scalar float64, to be added to the loss.
    Raises:
        ShapeError: `raw` is no matrix, or the two inputs disagree on n_features.
    """
    check_matrix("raw", raw)
    h = normalise_rows(raw.double())  # (2N, F)
    scores = q_score(h, discriminative, epsilon=epsilon)  # (2N,)
    column_norms = h.abs().sum(0)  # (F,)
    alpha, beta = scores.detach().mean(), column_norms.detach().mean()
    low = scores.detach() < alpha - TIE * alpha.abs()
    large = column_norms.detach() > beta + TIE * beta
    return lambda2 * _masked_sum(column_norms, large) - lambda1 / len(raw) * _masked_sum(scores, low)


def lasso(raw: Tensor, *, weight: float) -> Tensor:
    """The baseline: weight / (2N) ||H||_1, H the 2N normalised rows (Q, section 4).

    Args:
        raw: (2N, n_features) float, not normalised. weight: unpublished, so ours.
    Returns:
        scalar float64 in [0, weight * sqrt(n_features)].
    Raises:
        ShapeError: `raw` is no matrix.
    """
    check_matrix("raw", raw)
    return weight / len(raw) * normalise_rows(raw.double()).abs().sum()


def _masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, torch.zeros_like(values)).sum()
