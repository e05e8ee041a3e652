"""What L-BFGS knows of the curvature before it starts: without it, correlated features cost many steps."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.analysis.probe import linear
from core.analysis.probe.lbfgs import TOLERANCE, Preconditioner

SAMPLE_ROWS = 8192  # rows that the covariance is estimated from
MOST_FEATURES = 4096  # with more, their eigenvectors take longer than the steps that they save


@dataclass(frozen=True)
class Curvature:
    """Eigenvectors of the covariance S = V diag(e) V^T of standardised features.

    The Hessian of the mean cross-entropy of class c is about h_c S, with h_c the mean of p_c (1 - p_c), so
    that V diag(1 / (h_c e + penalty)) V^T is near the inverse of that of the penalised loss.

    Attributes:
        vectors: (n_features, n_features) V, values: (n_features,) e, float32; None: unknown.
    """

    vectors: Tensor | None = None
    values: Tensor | None = None

    @classmethod
    def of(cls, rows: linear.ShuffledRows, seed: int) -> "Curvature":
        """Estimate the curvature from a sample of the rows; empty for more than MOST_FEATURES features."""
        if rows.n_features > MOST_FEATURES:
            return cls()
        n = min(len(rows), SAMPLE_ROWS)
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), n, replace=False))
        covariance = torch.zeros(rows.n_features, rows.n_features, device=rows.labels.device)
        for x, _ in rows.take(drawn):
            covariance.addmm_(x.T, x)
        try:  # in double precision: of few images, whose covariance is singular, single may not converge
            values, vectors = torch.linalg.eigh(covariance.double() / n)
        except torch.linalg.LinAlgError:
            return cls()
        return cls(vectors.float(), values.clamp(min=0).float())

    def preconditioner(
        self, rows: linear.ShuffledRows, n_classes: int, penalty: float, start: Tensor | None
    ) -> Preconditioner | None:
        """The approximate inverse Hessian, for gradients (n_classes, n_features + 1); None: unknown."""
        if self.vectors is None or self.values is None:
            return None
        vectors, shares = self.vectors, torch.bincount(rows.labels, minlength=n_classes).float() / len(rows)
        height = (shares * (1 - shares)).clamp(min=1e-6)
        scale = 1 / (height[:, None] * self.values + penalty)

        def apply(gradient: Tensor) -> Tensor:
            weights = ((gradient[:, :-1] @ vectors) * scale) @ vectors.T
            return torch.cat([weights, gradient[:, -1:] / height[:, None]], 1)

        return apply


def fit_classes(
    rows: linear.ShuffledRows,
    n_classes: int,
    penalty: float,
    curvature: Curvature,
    *,
    used: np.ndarray | None = None,
    start: Tensor | None = None,
    tolerance: float = TOLERANCE,
    counts: np.ndarray | None = None,
) -> Tensor:
    """(n_classes, n_features + 1) the optimum on the rows `used`, None: all; see `linear.fit_optimum`."""
    positions = np.arange(len(rows)) if used is None else used
    preconditioner = curvature.preconditioner(rows, n_classes, penalty, start)
    return linear.fit_optimum(
        rows,
        positions,
        n_classes,
        penalty,
        start=start,
        preconditioner=preconditioner,
        tolerance=tolerance,
        counts=counts,
    )
