"""Which latents of two dictionaries are the same direction. No torch."""

import numpy as np

BLOCK = 1024  # rows at once


def twins(decoder: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find for each latent of a dictionary the one of another with most nearly the same direction.

    t_i = argmax_j |cos(d_i, e_j)|; the sign is left out, as a latent may be written either way.

    Args:
        decoder: (M, r) the latents' directions. other: (L, r), L > 0.
    Returns:
        (M,) int64 t_i, and (M,) float64 |cos|; NaN for a row without length. A row of `other` without length
        is nobody's twin, unless all are.
    """
    unit = _unit(decoder)
    against = np.nan_to_num(_unit(other))
    rows = np.empty(len(unit), np.int64)
    cosines = np.empty(len(unit))
    for at in range(0, len(unit), BLOCK):
        alike = np.abs(unit[at : at + BLOCK] @ against.T)  # (block, L)
        rows[at : at + BLOCK] = alike.argmax(1)
        cosines[at : at + BLOCK] = alike.max(1)
    return rows, cosines


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; NaN for one without length."""
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.full_like(wide, np.nan), where=length > 0)
