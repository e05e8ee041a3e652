"""Slow twins of the Fourier augmentations: sums over all pixels and frequencies.

From Kalibhat's dissertation, eq. 5.1 and p. 72.

An image of one channel is a list of rows; `factor` (u, v) is what the frequencies of the rfft grid, v from 0
to W // 2, are multiplied by. The frequencies that the grid leaves out are the opposites of those it holds,
and an image is real only if opposite frequencies get conjugate factors.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

Plane = list[list[float]]
Factor = Callable[[int, int], complex]


def filtered(image: Plane, factor: Factor) -> Plane:
    """One channel with every frequency multiplied by its factor, clipped to [0, 1]."""
    height, width = len(image), len(image[0])
    spectrum = [[dft(image, u, v) for v in range(width)] for u in range(height)]
    for u in range(height):
        for v in range(width):
            spectrum[u][v] *= on_full_grid(factor, u, v, height, width)
    changed = []
    for h in range(height):
        row = []
        for w in range(width):
            total = 0j
            for u in range(height):
                for v in range(width):
                    total += spectrum[u][v] * cmath.exp(2j * math.pi * (h * u / height + w * v / width))
            value = total / (height * width)
            assert abs(value.imag) < 1e-9  # else the factors do not belong to a real image
            row.append(min(max(value.real, 0.0), 1.0))
        changed.append(row)
    return changed


def dft(image: Plane, u: int, v: int) -> complex:
    """Eq. 5.1."""
    height, width = len(image), len(image[0])
    return sum(
        image[h][w] * cmath.exp(-2j * math.pi * (h * u / height + w * v / width))
        for h in range(height)
        for w in range(width)
    )


def on_full_grid(factor: Factor, u: int, v: int, height: int, width: int) -> complex:
    """Of two opposite frequencies, the first by (v, u) has the drawn factor, the other its conjugate."""
    opposite = ((-u) % height, (-v) % width)
    if opposite == (u, v):  # real: it has no phase
        return abs(factor(u, v))
    if (opposite[1], opposite[0]) < (v, u):
        return complex(factor(*opposite)).conjugate()
    return complex(factor(u, v))


def phase_shift(theta: float) -> Factor:
    return lambda u, v: cmath.exp(1j * theta)


def gaussian_mixture(
    centres: list[tuple[float, float]], sigmas: list[tuple[float, float]], height: int
) -> Factor:
    """The largest of the kernels; rows form a circle of `height`, and the mean is kept."""

    def factor(u: int, v: int) -> float:
        if u == v == 0:
            return 1.0
        best = 0.0
        for (row, column), (down, right) in zip(centres, sigmas, strict=True):
            apart = min(abs(u - row), height - abs(u - row))
            kernel = math.exp(-(apart**2 / (2 * down**2) + (v - column) ** 2 / (2 * right**2)))
            best = max(best, kernel)
        return best

    return factor


def frequency_mask(luck: Plane, n_dropped: int, height: int, width: int) -> Factor:
    """0 for the `n_dropped` frequencies of least luck, never the mean; opposite ones have the same luck."""

    def lot(u: int, v: int) -> float:
        opposite = ((-u) % height, (-v) % width)
        if opposite[1] == v and opposite[0] < u:
            u, v = opposite
        return luck[u][v]

    grid = [(u, v) for u in range(height) for v in range(width // 2 + 1) if (u, v) != (0, 0)]
    ranked = sorted(lot(u, v) for u, v in grid)
    least_kept = ranked[n_dropped] if n_dropped < len(ranked) else math.inf
    return lambda u, v: 1.0 if (u, v) == (0, 0) or lot(u, v) >= least_kept else 0.0
