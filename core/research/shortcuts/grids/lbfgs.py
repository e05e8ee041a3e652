"""Logistic regression by L-BFGS, the readout of the IFM paper (Robinson et al. 2021, App. C.2.2)."""

import warnings

import numpy as np

from core.common.dataframes import check_same_length
from core.errors import SettingsError

ITERATIONS = 500


def lbfgs_accuracy(
    train: np.ndarray,
    train_codes: np.ndarray,
    val: np.ndarray,
    val_codes: np.ndarray,
    *,
    iterations: int = ITERATIONS,
) -> float:
    """Share of `val` rows whose class scikit-learn's logistic regression finds, fitted on `train`.

    L-BFGS with at most `iterations` iterations and scikit-learn's own penalty (C = 1), on raw rows, as in the
    paper. Rows are not standardised.

    Args:
        train, val: (n, n_features) float. train_codes, val_codes: (n,) int.
    Returns:
        in [0, 1]; NaN without val rows.
    Raises:
        ShapeError: codes of another length. SettingsError: fewer than two classes to fit.
    """
    check_same_length("train rows", len(train), "train_codes", len(train_codes))
    check_same_length("val rows", len(val), "val_codes", len(val_codes))
    if len(np.unique(train_codes)) < 2:
        raise SettingsError("a readout needs at least two classes among the train images")
    if not len(val):
        return float("nan")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="lbfgs", max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is the protocol
        model.fit(np.asarray(train, np.float64), train_codes)
    return float(np.mean(np.equal(model.predict(np.asarray(val, np.float64)), val_codes)))
