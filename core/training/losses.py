"""Terms added to a self-supervised loss: the Q-Score regulariser and its Lasso baseline.

Kalibhat et al. 2024, "Q", arXiv 2203.01881. Scores, sets and normalisation are the same as in the analysis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.analysis.definitions import Array, normalise_rows
from core.analysis.scores import q_score
from core.analysis.tensors import TIE, check_matrix
from core.errors import SettingsError
from core.training.config import READINGS


def q_regularizer(
    raw: Tensor,
    discriminative: Array,
    *,
    epsilon: float = 4.0,
    lambda1: float = 1e-4,
    lambda2: float = 1e-4,
    reading: str = "sum",
    branches: tuple[Tensor, Tensor] | None = None,
    observe: "Callable[[Reward], None] | None" = None,
) -> Tensor:
    """The Q regulariser of a training: raise low Q-Scores, shrink features active on much of a batch.

    - lambda1 w1 sum_i 1[Q_i < alpha] Q_i + lambda2 w2 sum_k 1[||H_*k||_1 > beta] ||H_*k||_1
    (Kalibhat 2024, eq. 3, with the sign of a loss to minimise), H the 2N normalised rows,
    beta = mean_k ||H_*k||_1.
    (w1, w2) is (1, 1) for the reading "sum", (1/2N, 1) for "printed" and (1/2N, 1/2N) for "mean".

    Args:
        raw: (2N, n_features) float, not normalised: both views of a batch, in any order.
        discriminative: (n_features,) bool, the set D of the start study.
        epsilon: firing threshold, in standard deviations.
        lambda1, lambda2: weights of the two terms.
        branches: equal to `raw`, one for each term, where the gradients of the terms are measured apart.
        observe: called with the reward, and so with the rows that it takes in.
    Returns:
        scalar float64, to be added to the loss.
    Raises:
        ShapeError: `raw` is not a matrix, or n_features differs.
        SettingsError: unknown reading.
    """
    check_matrix("raw", raw)
    of_reward, of_norms = reading_weights(reading, len(raw))
    for_reward, for_norms = branches or (raw, raw)
    reward = q_reward(for_reward, discriminative, epsilon=epsilon)
    if observe:
        observe(reward)
    return lambda2 * of_norms * large_norms(for_norms) - lambda1 * of_reward * reward.total


@dataclass(frozen=True)
class Reward:
    """The sum that eq. 3 rewards, and the rows in it."""

    total: Tensor  # scalar float64
    rewarded: Tensor  # (2N,) bool
    scored: Tensor  # (2N,) bool, rows with L_i & D not empty


def q_reward(raw: Tensor, discriminative: Array, *, epsilon: float = 4.0) -> Reward:
    """The reward of high Q-Scores in the regulariser of a training.

    sum_i 1[Q_i < alpha] Q_i over the rows with L_i & D not empty; 0 where no such row is below alpha.

    Q_i by `q_score`, alpha its mean over these rows. A row with L_i & D empty has no Q (eq. 1 is 0/0 there),
    so it neither enters alpha nor is rewarded. alpha, the sets and the indicator are constants: gradients
    flow through Q_i alone.
    """
    check_matrix("raw", raw)
    scores = q_score(normalise_rows(raw.double()), discriminative, epsilon=epsilon)  # (2N,)
    values = scores.detach()
    scored = values > 0  # firing entries exceed their row's mean, so a defined Q is above 0
    alpha = values.sum() / scored.sum().clamp(min=1)
    rewarded = scored & (values < alpha - TIE * alpha)
    return Reward(_masked_sum(scores, rewarded), rewarded, scored)


def large_norms(raw: Tensor) -> Tensor:
    """The penalty of features active on much of a batch, in the regulariser of a training.

    sum_k 1[||H_*k||_1 > beta] ||H_*k||_1, beta = mean_k ||H_*k||_1; scalar float64.

    beta and the indicator are constants. A norm within 1e-12 (relative) of beta equals it.
    """
    check_matrix("raw", raw)
    norms = normalise_rows(raw.double()).abs().sum(0)  # (F,)
    beta = norms.detach().mean()
    return _masked_sum(norms, norms.detach() > beta + TIE * beta)


def reading_weights(reading: str, n_rows: int) -> tuple[float, float]:
    """Return the factors of the reward and of the column norms in a training's Q regulariser (eq. 3).

    Return the factors of the reward and of the column norms in eq. 3.

    >>> reading_weights("sum", 4), reading_weights("printed", 4), reading_weights("mean", 4)
    ((1.0, 1.0), (0.25, 1.0), (0.25, 0.25))
    """
    if reading not in READINGS:
        raise SettingsError(f"reading '{reading}': expected {', '.join(READINGS)}")
    return (1.0 if reading == "sum" else 1 / n_rows), (1 / n_rows if reading == "mean" else 1.0)


def lasso(raw: Tensor, *, weight: float) -> Tensor:
    """The baseline regulariser of a training: weight / (2N) ||H||_1, H the 2N normalised rows.

    Args:
        raw: (2N, n_features) float, not normalised. weight: unpublished, chosen here.
    Returns:
        scalar float64 in [0, weight * sqrt(n_features)].
    Raises:
        ShapeError: `raw` is not a matrix.
    """
    check_matrix("raw", raw)
    return weight / len(raw) * normalise_rows(raw.double()).abs().sum()


def _masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, torch.zeros_like(values)).sum()
