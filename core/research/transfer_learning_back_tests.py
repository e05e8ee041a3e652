"""Errors of estimates of accuracy where the truth is known (docs/method.md 3.4).

On slices of the study's own evaluation images, and on corrupted copies of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.common.dataframes import known_mean, numbers
from core.errors import SettingsError
from core.measures.intervals import percentile_interval
from core.research.transfer_learning_estimates import ASSUMED, METHODS, Predictions, estimates

BLUR, NOISE, CONTRAST = KINDS = ("blur", "noise", "contrast")
STRENGTHS = {
    BLUR: (0.75, 1.0, 1.5, 2.0, 3.0),  # sigma in 64ths of the height
    NOISE: (0.04, 0.08, 0.12, 0.18, 0.26),  # sigma, of values in [0, 1]
    CONTRAST: (0.75, 0.5, 0.4, 0.3, 0.15),  # what is left of the distance to the mean
}
LEAST = 25  # images of a slice
CORRUPTED = 200  # images that are corrupted


def corrupt(pixels: Tensor, kind: str, strength: int, *, seed: int = 0) -> Tensor:
    """Blurred, noisy or flat copies of images, to test estimates of accuracy (research).

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
    """Two disjoint, seeded halves of n images, ascending, to test estimates of accuracy (research)."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def grouping_columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns of an image table whose values make slices for back tests (research): texts, booleans.

    Left out are numbers, dates, and columns in which every value is another one.
    """
    columns = {}
    for name in table:
        values, kind = table[name].dropna(), table[name].dtype
        measured = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
        timed = pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind)
        repeated = len(set(map(str, values))) < len(values)
        if repeated and not measured and not timed:
            columns[str(name)] = table[name].to_numpy(object)
    return columns


def _slices_of(columns: Mapping[str, np.ndarray], n: int) -> Iterator[tuple[str, np.ndarray]]:
    """('column: value', rows) of slices for back tests of estimated accuracy (research)."""
    for name, values in columns.items():
        column = pd.Series(values, dtype=object)
        for value, count in column.dropna().map(str).value_counts().items():
            if LEAST <= count < n:
                yield f"{name}: {value}", np.flatnonzero((column.map(str) == value).to_numpy(bool))


@dataclass(frozen=True)
class Case:
    """Images whose accuracy is estimated and known: those of a pool that are `inside`.

    Attributes:
        predictions: of all n images of the pool; right: (n,) bool, whether each is classified correctly.
        inside: (n,) bool.
    """

    name: str
    predictions: Predictions
    right: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class BackTest:
    """Cases whose images come from one pool, estimated from known images.

    Attributes:
        labelled: predictions of images with labels; correct: (n_labelled,) bool.
    """

    labelled: Predictions
    correct: np.ndarray
    cases: tuple[Case, ...]

    def table(self) -> pd.DataFrame:
        """Columns case, n (images), truth (accuracy), and each method's estimate; empty without cases."""
        whole = np.arange(len(self.cases[0].right)) if self.cases else np.arange(0)
        return pd.DataFrame(
            self._rows(np.arange(len(self.labelled)), whole), columns=["case", "n", "truth", *METHODS]
        )

    def errors(self) -> dict[str, float]:
        """Mean absolute error of each method over the cases; NaN without cases."""
        return mean_errors(self.table())

    def gains(self, *, resamples: int = 200, seed: int = 0) -> dict[str, tuple[float, float, float]]:
        """Compute how much smaller each method's error is than that of assuming that nothing has changed.

        The 95 % bootstrap interval is paired: in a resample, all methods and all cases share the known images
        that were drawn and the images of the pool that were drawn.

        Returns:
            method -> (gain, low, high), above 0 where the method is better; NaN without cases.
        """
        rng = np.random.default_rng(seed)
        draws = np.full((resamples, len(METHODS)), np.nan)
        for draw in draws if self.cases else ():
            n, n_pool = len(self.labelled), len(self.cases[0].right)
            rows = self._rows(rng.integers(0, n, n), rng.integers(0, n_pool, n_pool))
            draw[:] = [*_gains(mean_errors(pd.DataFrame(rows))).values()]
        low, high = percentile_interval(draws)
        ends = zip(_gains(self.errors()).items(), low, high, strict=True)
        return {name: (gain, float(least), float(most)) for (name, gain), least, most in ends}

    def _rows(self, mine: np.ndarray, drawn: np.ndarray) -> list[dict[str, Any]]:
        labelled, correct = self.labelled.at(mine), self.correct[mine]
        rows = []
        for case in self.cases:
            images = drawn[case.inside[drawn]]
            truth = float(np.mean(case.right[images])) if len(images) else np.nan
            by_method = estimates(labelled, correct, case.predictions.at(images))
            rows.append({"case": case.name, "n": len(images), "truth": truth} | by_method)
        return rows


def on_slices(
    predictions: Predictions, correct: np.ndarray, columns: Mapping[str, np.ndarray], *, seed: int = 0
) -> BackTest:
    """Back test of estimates of accuracy (research): slices of one half from the other half.

    Args:
        predictions: of n evaluation images; correct: (n,) bool. columns: name -> (n,) values that slices are
            made of, their labels say.
    """
    first, second = halves(len(predictions), seed)
    predicted, right, inside = predictions.at(second), correct[second], np.zeros(len(second), bool)
    cases = []
    for name, rows in _slices_of({key: values[second] for key, values in columns.items()}, len(second)):
        cases.append(Case(name, predicted, right, inside.copy()))
        cases[-1].inside[rows] = True
    return BackTest(predictions.at(first), correct[first], tuple(cases))


def on_copies(
    predictions: Predictions, correct: np.ndarray, copies: Mapping[str, tuple[Predictions, np.ndarray]]
) -> BackTest:
    """Back test of estimates of accuracy (research): corrupted copies of the same evaluation images.

    Args:
        copies: 'noise 3' -> (predictions, correct) of the copies.
    """
    cases = []
    for name, (predicted, right) in copies.items():
        cases.append(Case(name, predicted, right, np.ones(len(predicted), bool)))
    return BackTest(predictions, correct, tuple(cases))


def mean_errors(cases: pd.DataFrame) -> dict[str, float]:
    """Mean absolute error of each method of estimating accuracy (research) in a back test; NaN without."""
    return dict(zip(METHODS, map(known_mean, absolute_errors(cases).T), strict=True))


def absolute_errors(cases: pd.DataFrame) -> np.ndarray:
    """(n_cases, n_methods) |estimate - truth| of accuracy in back tests (research)."""
    return np.abs(np.stack([numbers(cases, name) - numbers(cases, "truth") for name in METHODS], axis=1))


def sampling_noise(cases: pd.DataFrame) -> float:
    """Mean absolute error that chance alone gives the cases' own accuracies; NaN without cases (research).

    mean of sqrt(2 p (1 - p) / (pi n)): what an estimate that knew the accuracy of all such images would err.
    """
    p, n = numbers(cases, "truth"), numbers(cases, "n")
    return known_mean(np.sqrt(2 * p * (1 - p) / (np.pi * n)))


def best_method(errors: Sequence[np.ndarray]) -> str:
    """The method of estimating accuracy (research) with the smallest mean error in back tests.

    Args:
        errors: of each back test, (n_cases, n_methods).
    """
    overall = [known_mean(known_mean(test[:, at]) for test in errors) for at in range(len(METHODS))]
    return METHODS[int(np.nanargmin(overall))] if np.isfinite(overall).any() else ASSUMED


def errors_of_the_best(errors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The error of choosing the best method (research): in each case, of the one best on all other cases.

    Args:
        errors: of each back test, (n_cases, n_methods).
    Returns:
        (n_cases,) of each back test.
    """
    errors_of_best = []
    for number, test in enumerate(errors):
        others = []
        for case in range(len(test)):
            without_case = np.delete(test, case, 0)
            others.append([*errors[:number], without_case, *errors[number + 1 :]])
        best = [METHODS.index(best_method(rest)) for rest in others]
        errors_of_best.append(test[np.arange(len(test)), best])
    return errors_of_best


def error_margin(errors: np.ndarray) -> float:
    """The 95th percentile of absolute errors of estimated accuracies (research); NaN without any."""
    finite = errors[np.isfinite(errors)]
    return float(np.percentile(finite, 95)) if len(finite) else np.nan


def _gains(errors: Mapping[str, float]) -> dict[str, float]:
    return {name: errors[ASSUMED] - error for name, error in errors.items()}
