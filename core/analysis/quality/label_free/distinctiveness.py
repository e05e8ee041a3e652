"""How far an image stands out from the average train image: scores without labels (docs/method.md 2.7)."""

from __future__ import annotations

from torch import Tensor

from core.analysis.features.definitions import Array
from core.analysis.tensors import as_tensor, check_matrix
from core.common.arrays import check_same_length

LEAST_STD = 1e-12  # a feature that varies less over the train images is left out
BEYOND = 1.0  # standard deviations from which soft Q counts


def standard_scores(rows: Array, mean: Array, std: Array) -> Tensor:
    """z_ij = (row_ij - mean_j) / std_j of the features with std_j > LEAST_STD, (n, n_varying) float64.

    Args:
        rows: (n_images, n_features) float. mean, std: (n_features,), over the train images, ddof 0.
    Raises:
        ShapeError: they disagree on n_features.
    """
    rows, mean, std = as_tensor(rows), as_tensor(mean).double(), as_tensor(std).double()
    check_matrix("rows", rows)
    check_same_length("row columns", rows.shape[1], "means", len(mean))
    check_same_length("row columns", rows.shape[1], "standard deviations", len(std))
    varying = std > LEAST_STD
    return (rows.double()[:, varying] - mean[varying]) / std[varying]


def distinctiveness(h: Array, mean: Array, std: Array) -> Tensor:
    """Mean squared standard score of each image.

    d_i = mean of z_ij^2 over the features that vary, z_ij = (h_ij - m_j) / s_j

    A diagonal Mahalanobis distance from the average train image, read with the opposite sign of detectors of
    foreign images: the distinctive image is the well represented one. Images of another data set lie far away
    as well, and score high.

    Args:
        h: (n_images, n_features) float, L2-normalised rows. mean, std: (n_features,) m and s of the
        normalised train rows, ddof 0.
    Returns:
        (n_images,) float64 >= 0, near 1 on average over the train images; NaN if no feature varies.
    """
    return standard_scores(h, mean, std).square().mean(1)


def raw_distinctiveness(raw: Array, mean: Array, std: Array) -> Tensor:
    """The same of raw rows, with mean and standard deviation of the raw train rows."""
    return distinctiveness(raw, mean, std)


def soft_q(h: Array, mean: Array, std: Array, *, threshold: float = BEYOND) -> Tensor:
    """Mean excess of an image's features over the train mean plus `threshold` standard deviations.

    soft Q_i = mean of max(0, z_ij - threshold) over the features that vary

    The Q-Score's excess without its two cliffs: column by column, at one deviation in place of four, and
    over all features in place of D. At large thresholds it only counts outliers.

    Returns:
        (n_images,) float64 >= 0; NaN if no feature varies.
    """
    return (standard_scores(h, mean, std) - threshold).clamp(min=0.0).mean(1)
