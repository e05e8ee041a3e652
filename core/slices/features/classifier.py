"""A classifier of raw representations in numbers: a Linear, or two with an activation between. No torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # values and slopes


def _gelu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtr  # here: it takes long to load

    below = ndtr(x)
    return x * below, below + x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def _silu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = 0.5 + 0.5 * np.tanh(x / 2)
    return x * share, share * (1 + x * (1 - share))


ACTIVATIONS: dict[str, Curve] = {
    "ReLU": lambda x: (np.maximum(x, 0), x > 0),
    "ReLU6": lambda x: (np.clip(x, 0, 6), (x > 0) & (x < 6)),
    "Hardswish": lambda x: (
        x * np.clip(x + 3, 0, 6) / 6,
        np.where(x < -3, 0.0, np.where(x > 3, 1.0, x / 3 + 0.5)),
    ),
    "GELU": _gelu,
    "SiLU": _silu,
    "Identity": lambda x: (x, np.ones_like(x)),  # two Linears and dropout between
    "Tanh": lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2),
}


@dataclass(frozen=True)
class Classifier:
    """z = W a(V r + c) + b, or W r + b where no layer is hidden.

    Attributes:
        weights: (n_outputs, n_hidden or n_features) W, bias: (n_outputs,) b.
        hidden: (n_hidden, n_features) V, hidden_bias: (n_hidden,) c; None for none.
        activation: a, one of ACTIVATIONS.
    """

    weights: np.ndarray
    bias: np.ndarray
    hidden: np.ndarray | None = None
    hidden_bias: np.ndarray | None = None
    activation: str = ""

    @property
    def first(self) -> np.ndarray:
        """(n, n_features): the weights of the first layer, which reads the representation."""
        return self.weights if self.hidden is None else self.hidden

    def start(self, raw: np.ndarray) -> np.ndarray:
        """(n, n_features) raw rows -> (n, len(first)) what the first layer makes of them, float64."""
        bias = self.bias if self.hidden_bias is None else self.hidden_bias
        return raw.astype(np.float64) @ self.first.T + bias

    def finish(self, started: np.ndarray) -> np.ndarray:
        """The logits (n, n_outputs) from what `start` returns."""
        if self.hidden is None:
            return started
        return ACTIVATIONS[self.activation](started)[0] @ self.weights.T + self.bias

    def logits(self, raw: np.ndarray) -> np.ndarray:
        """(n, n_outputs) float64 of raw rows."""
        return self.finish(self.start(raw))

    def gradients(self, raw: np.ndarray, toward: np.ndarray) -> np.ndarray:
        """Compute the gradient of sum_o toward_io z_o at each raw row i.

        Of a hidden layer V^T (a'(V r_i + c) * W^T toward_i), else W^T toward_i.

        Args:
            raw: (n, n_features). toward: (n, n_outputs).
        Returns:
            (n, n_features) float64.
        """
        back = toward @ self.weights
        if self.hidden is None:
            return back
        return (back * ACTIVATIONS[self.activation](self.start(raw))[1]) @ self.hidden

    def of_outputs(self, kept: np.ndarray) -> "Classifier":
        """The classifier with some of its outputs. kept: (n_outputs,) bool, or their numbers in order."""
        return replace(self, weights=self.weights[kept], bias=self.bias[kept])
