"""The temperature of a softmax, by the log loss (Guo et al. 2017). numpy only."""

import numpy as np

HALVINGS = 60
RANGE = -6.0, 6.0  # of log(1 / T)


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T of the least mean log loss of softmax(z / T), between exp(-6) and exp(6).

    The loss is convex in b = 1 / T, with the slope mean(sum_c p_c z_c - z_y) for p = softmax(b z), so that
    its zero is found by bisection.

    Args:
        logits: (n, n_classes) float, finite. labels: (n,) int.
    Returns:
        1 where there are no images.
    """
    if not len(labels):
        return 1.0
    shifted = logits - logits.max(1, keepdims=True)
    of_label = shifted[np.arange(len(labels)), labels]
    low, high = RANGE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(np.exp(middle) * shifted)
        slope = ((weights * shifted).sum(1) / weights.sum(1) - of_label).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))
