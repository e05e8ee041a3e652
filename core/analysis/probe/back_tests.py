"""How far off are estimates of accuracy where the truth is known? (docs/method.md 3.4)

On slices of the study's own evaluation images, and on corrupted copies of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.probe.accuracy_estimates import METHODS, Predictions, estimates
from core.common.arrays import known_mean
from core.common.dataframes import numbers
from core.errors import SettingsError

BLUR, NOISE, CONTRAST = KINDS = ("blur", "noise", "contrast")
STRENGTHS = {
    BLUR: (0.75, 1.0, 1.5, 2.0, 3.0),  # sigma in 64ths of the height
    NOISE: (0.04, 0.08, 0.12, 0.18, 0.26),  # sigma, of values in [0, 1]
    CONTRAST: (0.75, 0.5, 0.4, 0.3, 0.15),  # what is left of the distance to the mean
}
LEAST = 25  # images of a slice
CORRUPTED = 200  # images that are corrupted


def corrupt(pixels: Tensor, kind: str, strength: int, *, seed: int = 0) -> Tensor:
    """Blurred, noisy or flat copies of images.

    Args:
        pixels: (n, H, W, 3) uint8. kind: one of KINDS. strength: 1 (weak) to 5.
    Returns:
        the same shape, uint8.
    Raises:
        SettingsError: unknown kind or strength.
    """
    if kind not in STRENGTHS or strength not in range(1, 6):
        raise SettingsError(
            f"unknown corruption '{kind}' of strength {strength}; known: {', '.join(KINDS)}, 1 to 5"
        )
    amount, values = STRENGTHS[kind][strength - 1], pixels.permute(0, 3, 1, 2).float() / 255
    if kind == BLUR:
        from torchvision.transforms.functional import gaussian_blur

        sigma = amount * pixels.shape[1] / 64
        side = 2 * round(3 * sigma) + 1
        values = gaussian_blur(values, [side, side], [sigma, sigma])
    elif kind == NOISE:
        generator = torch.Generator().manual_seed(seed)
        values = values + amount * torch.randn(values.shape, generator=generator)
    else:
        mean = values.mean((1, 2, 3), keepdim=True)
        values = mean + amount * (values - mean)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def halves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint, seeded halves of n rows, ascending."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def slices_of(columns: Mapping[str, np.ndarray], n: int) -> Iterator[tuple[str, np.ndarray]]:
    """('column: value', rows) of every value that at least `LEAST` of n images have, but not all."""
    for name, values in columns.items():
        held = pd.Series(values, dtype=object)
        for value, count in held.dropna().map(str).value_counts().items():
            if LEAST <= count < n:
                yield f"{name}: {value}", np.flatnonzero((held.map(str) == value).to_numpy(bool))


def on_slices(
    predictions: Predictions, correct: np.ndarray, columns: Mapping[str, np.ndarray], *, seed: int = 0
) -> pd.DataFrame:
    """Estimates for slices of one half of the evaluation images, from the other half, beside the truth.

    Args:
        predictions: of n evaluation images; correct: (n,) bool. columns: name -> (n,) values that slices are
            made of, their labels say.
    Returns:
        case, n, truth, and a column per method; empty without slices that are large enough.
    """
    known, held = halves(len(predictions), seed)
    rows = []
    for name, inside in slices_of({key: values[held] for key, values in columns.items()}, len(held)):
        rows.append(
            _case(
                name,
                predictions.at(known),
                correct[known],
                predictions.at(held[inside]),
                correct[held[inside]],
            )
        )
    return pd.DataFrame(rows, columns=["case", "n", "truth", *METHODS])


def on_copies(
    predictions: Predictions, correct: np.ndarray, copies: Mapping[str, tuple[Predictions, np.ndarray]]
) -> pd.DataFrame:
    """Estimates for corrupted copies, from the images as they are, beside the truth; columns as `on_slices`.

    Args:
        copies: 'noise 3' -> (predictions, correct) of the copies.
    """
    rows = [_case(name, predictions, correct, told, right) for name, (told, right) in copies.items()]
    return pd.DataFrame(rows, columns=["case", "n", "truth", *METHODS])


def _case(
    name: str, known: Predictions, correct: np.ndarray, new: Predictions, right: np.ndarray
) -> dict[str, Any]:
    return {"case": name, "n": len(new), "truth": float(np.mean(right))} | estimates(known, correct, new)


def mean_errors(cases: pd.DataFrame) -> dict[str, float]:
    """Mean absolute error of each method over the cases of a back test; NaN without cases."""
    truth = numbers(cases, "truth")
    return {name: known_mean(np.abs(numbers(cases, name) - truth)) for name in METHODS}
