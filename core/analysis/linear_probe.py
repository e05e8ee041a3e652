"""Multinomial logistic regression: its rows, its optimiser (L-BFGS or SGD) and what speeds it up."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.common.moments import Moments
from core.common.threads import one_torch_thread
from core.measures.evaluate import class_column
from core.store import Study
from core.study.chunked_array import ChunkedArray

# The minimum of a smooth convex function, by L-BFGS (Liu and Nocedal 1989).


HISTORY = 10  # pairs of a step and the change of the gradient along it
TOLERANCE = 1e-4  # largest entry of the gradient at the minimum, as in scikit-learn
MOST_STEPS = 1000
ENOUGH, NEARLY = 1e-4, 1e-6  # share of the expected decrease; float32 noise of a loss
SHORTEST = 1e-9

CurvaturePairs = list[tuple[Tensor, Tensor, float]]
Preconditioner = Callable[[Tensor], Tensor]  # an approximate inverse Hessian, applied to a gradient


def _minimise(
    evaluate: Callable[[Tensor], tuple[float, Tensor]],
    at: Tensor,
    pairs: CurvaturePairs,
    preconditioner: Preconditioner | None = None,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Minimise the loss of a linear probe; a step is halved until it passes Hager and Zhang 2005.

    Args:
        evaluate: place -> value and gradient. at: where to begin.
        pairs: the curvature met so far, of a similar function; read, and continued in place.
        preconditioner: what is known of the inverse Hessian before; None: nothing.
        tolerance: largest entry of the gradient at the minimum.
    """
    loss, gradient = evaluate(at)
    for _ in range(MOST_STEPS):
        if float(gradient.abs().max()) <= tolerance:
            break
        direction = _direction(gradient, pairs, preconditioner)
        slope = float((direction * gradient).sum())
        length = 1.0 if pairs or preconditioner else min(1.0, 1 / float(gradient.norm()))
        while True:
            step = length * direction
            next_loss, next_gradient = evaluate(at + step)
            flat = float((direction * next_gradient).sum()) <= -0.8 * slope
            if next_loss <= loss + ENOUGH * length * slope or (flat and next_loss <= loss * (1 + NEARLY)):
                break
            length /= 2
            if length < SHORTEST:
                return at
        change = next_gradient - gradient
        if (curvature := float((step * change).sum())) > 0:
            pairs.append((step, change, curvature))
            del pairs[:-HISTORY]
        at, loss, gradient = at + step, next_loss, next_gradient
    return at


def _direction(gradient: Tensor, pairs: CurvaturePairs, preconditioner: Preconditioner | None) -> Tensor:
    """Minus the gradient times the inverse Hessian of the pairs, by the recursion of two loops."""
    direction, shares = -gradient, []
    for step, change, curvature in reversed(pairs):
        shares.append(float((step * direction).sum()) / curvature)
        direction.sub_(change, alpha=shares[-1])
    if preconditioner is not None:
        direction = preconditioner(direction)
    if pairs:
        _, change, curvature = pairs[-1]
        scaled = change if preconditioner is None else preconditioner(change)
        direction.mul_(curvature / float((change * scaled).sum()))
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction.add_(step, alpha=share - float((change * direction).sum()) / curvature)
    return direction


# Multinomial logistic regression on standardised rows: by SGD, or with a penalty to its optimum.
#
# Training K probes by SGD together (learning rates, feature subsets) costs little more than one: the rows
# are gathered once and the K weight matrices are a single matrix product.


MEMORY_ENTRIES = 1 << 28  # float32 entries held at a time (1 GiB)
SMALL_STEP = 100_000_000  # with fewer products, threads wait longer than they work
PART_ROWS = 4096  # rows evaluated at a time
RUN_ROWS = 64  # length of runs of rows when not all rows fit into memory
CONSTANT = 1e-9  # a column with a smaller ratio of deviation to mean is constant up to rounding


@dataclass(frozen=True)
class Recipe:
    """The settings for training a probe (docs/method.md 3)."""

    epochs: int = 100
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 0.0
    seed: int = 0
    penalty: float | None = None  # L2 penalty of the optimum, by L-BFGS; the rate and the others play no part


@dataclass(frozen=True)
class Standard:
    """Standardisation of raw columns: (raw - mean) * scale; scale is 0 for a constant column."""

    mean: Tensor  # (n_features,) float64
    scale: Tensor  # (n_features,) float64, 1 / std

    @classmethod
    def of(cls, moments: Moments) -> "Standard":
        std = moments.std
        constant = std <= CONSTANT * np.abs(moments.mean)
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=~constant)
        return cls(torch.from_numpy(moments.mean), torch.from_numpy(scale))

    def __call__(self, raw: Tensor) -> Tensor:
        """Standardised rows, float32, on the device of `raw`."""
        mean, scale = (values.to(raw.device, torch.float32) for values in (self.mean, self.scale))
        return raw.float().sub_(mean).mul_(scale)

    def fold(self, weights: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (…, n_features) and bias (…) for raw rows: U' = U * scale, b' = b - U' mean; float64."""
        folded = weights.double() * self.scale.to(weights.device)
        return folded, bias.double() - folded @ self.mean.to(weights.device)


class ShuffledRows:
    """Standardised training rows in shuffled batches, all in memory if they fit.

    Otherwise an epoch passes over buffers of random short runs of rows, each buffer shuffled: the runs are
    short enough to mix a listing sorted by class.

    Args:
        load: positions (m,) -> raw rows (m, n_features) on the device, of any float type.
        labels: (n,) int64 class codes on the device.
    """

    def __init__(
        self,
        load: Callable[[np.ndarray], Tensor],
        labels: Tensor,
        n_features: int,
        standard: Standard,
        *,
        memory_entries: int = MEMORY_ENTRIES,
    ):
        self.labels, self.n_features, self._standard, self._load_raw = labels, n_features, standard, load
        self._load = lambda positions: standard(load(positions))
        self._rows_held = max(RUN_ROWS, memory_entries // n_features)
        everything = np.arange(len(labels))
        self._all = self._load(everything) if len(labels) <= self._rows_held else None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, positions: np.ndarray) -> "ShuffledRows":
        """The rows at `positions` by themselves."""
        labels = self.labels[torch.from_numpy(positions).to(self.labels.device)]
        load, entries = (lambda at: self._load_raw(positions[at])), self._rows_held * self.n_features
        return ShuffledRows(load, labels, self.n_features, self._standard, memory_entries=entries)

    def take(self, positions: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows and labels at `positions`, in parts that fit into memory."""
        for start in range(0, len(positions), self._rows_held):
            part = positions[start : start + self._rows_held]
            where = torch.from_numpy(part).to(self.labels.device)
            rows = self._load(part) if self._all is None else self._all.index_select(0, where)
            yield rows, self.labels[where]

    def parts(self) -> Iterator[tuple[Tensor, Tensor, slice]]:
        """Yield all rows and labels in order, and where they are."""
        for start in range(0, len(self), PART_ROWS):
            where = slice(start, min(start + PART_ROWS, len(self)))
            rows = self._load(np.arange(where.start, where.stop)) if self._all is None else self._all[where]
            yield rows, self.labels[where], where

    def batches(
        self, used: np.ndarray, size: int, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch over the positions `used` (ascending), shuffled."""
        device = self.labels.device
        for buffer in self._buffers(used, rng):
            rows = self._load(buffer) if self._all is None else self._all
            order = rng.permutation(len(buffer))
            places = torch.from_numpy(order if self._all is None else buffer[order]).to(device)
            labels = self.labels[torch.from_numpy(buffer[order]).to(device)]
            for part, label in zip(places.split(size), labels.split(size), strict=True):
                yield rows.index_select(0, part), label

    def _buffers(self, used: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
        if self._all is not None:
            yield used
            return
        starts = rng.permutation(np.arange(0, len(used), RUN_ROWS))
        for part in np.array_split(starts, math.ceil(len(used) / self._rows_held)):
            within = np.add.outer(np.sort(part), np.arange(RUN_ROWS)).reshape(-1)
            yield used[within[within < len(used)]]


@dataclass(frozen=True)
class Fit:
    """K probes on standardised rows."""

    weights: Tensor  # (K, n_classes, n_features) float32
    bias: Tensor  # (K, n_classes) float32

    @classmethod
    def of(cls, weights_and_bias: Tensor) -> "Fit":
        """From (K, n_classes, n_features + 1), the last column is the bias."""
        return cls(weights_and_bias[..., :-1].contiguous(), weights_and_bias[..., -1].contiguous())

    def logits(self, rows: Tensor) -> Tensor:
        """(n, K, n_classes) logits of standardised rows."""
        k, n_classes, n_features = self.weights.shape
        flat = torch.addmm(self.bias.reshape(-1), rows, self.weights.reshape(-1, n_features).T)
        return flat.view(len(rows), k, n_classes)


def fit(
    rows: ShuffledRows,
    used: np.ndarray,
    n_classes: int,
    *,
    lrs: list[float],
    recipe: Recipe,
    masks: Tensor | None = None,
    after_epoch: Callable[[], object] = lambda: None,
) -> Fit:
    """Train K = len(lrs) linear probes together: SGD on the mean cross-entropy, cosine rate to 0.

    All start at 0 and use the same batches, so each result is the same as for a probe trained alone. With a
    penalty each is `_fit_optimum`.

    Args:
        used: positions of the rows to train on. masks: (K, n_features) bool, the features each probe may use.
    """
    if recipe.penalty is not None:
        each = masks if masks is not None else [None] * len(lrs)
        optima = [_fit_optimum(rows, used, n_classes, recipe.penalty, mask=one) for one in each]
        for _ in range(recipe.epochs):  # what waits counts epochs
            after_epoch()
        return Fit.of(torch.stack(optima))
    with _threads_for(2 * recipe.batch_size * rows.n_features * len(lrs) * n_classes):
        return _fit(rows, used, n_classes, lrs, recipe, masks, after_epoch)


def _threads_for(n_products: int) -> AbstractContextManager[object]:
    return one_torch_thread() if n_products < SMALL_STEP else nullcontext()


def _fit(
    rows: ShuffledRows,
    used: np.ndarray,
    n_classes: int,
    lrs: list[float],
    recipe: Recipe,
    masks: Tensor | None,
    after_epoch: Callable[[], object],
) -> Fit:
    device, k, r = rows.labels.device, len(lrs), rows.n_features
    weights = torch.zeros(k * n_classes, r, device=device)
    bias = torch.zeros(k * n_classes, device=device)
    moving = [torch.zeros_like(weights), torch.zeros_like(bias)]
    rate = torch.tensor(lrs, device=device, dtype=torch.float32).repeat_interleave(n_classes)
    allowed = None if masks is None else masks.to(device).float().repeat_interleave(n_classes, 0)
    rng, n_seen, n_total = np.random.default_rng(recipe.seed), 0, recipe.epochs * len(used)
    for _ in range(recipe.epochs):
        for x, y in rows.batches(used, recipe.batch_size, rng):
            error = torch.softmax(torch.addmm(bias, x, weights.T).view(len(x), k, n_classes), dim=2)
            error.scatter_add_(2, y[:, None, None].expand(-1, k, 1), error.new_full((len(x), k, 1), -1.0))
            error = error.view(len(x), -1).div_(len(x))
            pull = error.T @ x
            if allowed is not None:
                pull.mul_(allowed)
            step = rate * (0.5 * (1.0 + math.cos(math.pi * n_seen / n_total)))
            for value, momentum, gradient in ((weights, moving[0], pull), (bias, moving[1], error.sum(0))):
                if recipe.weight_decay and value is weights:
                    gradient = gradient.add(value, alpha=recipe.weight_decay)
                momentum.mul_(recipe.momentum).add_(gradient)
                value.addcmul_(momentum, step[:, None] if value.ndim == 2 else step, value=-1.0)
            n_seen += len(x)
        after_epoch()
    return Fit(weights.view(k, n_classes, r), bias.view(k, n_classes))


def _fit_optimum(
    rows: ShuffledRows,
    used: np.ndarray,
    n_classes: int,
    penalty: float,
    *,
    start: Tensor | None = None,
    pairs: CurvaturePairs | None = None,
    mask: Tensor | None = None,
    preconditioner: Preconditioner | None = None,
    tolerance: float = TOLERANCE,
    counts: np.ndarray | None = None,
) -> Tensor:
    """Minimise a linear probe's mean cross-entropy plus penalty / 2 times its squared weights, no biases.

    Starting at the optimum of a similar penalty, with the curvature met on the way, saves most of the passes.

    Args:
        used: positions of the rows to train on. mask: (n_features,) bool, the features it may use.
        start: as returned; None: 0. pairs, preconditioner, tolerance: of `_minimise`.
        counts: (len(used),) how much each row counts in the mean, at least 0; None: all alike.
    Returns:
        (n_classes, n_features + 1) float32, the last column is the bias.
    """
    device = rows.labels.device
    share = torch.zeros(len(rows), device=device)
    alike = np.ones(len(used)) if counts is None else counts / counts.mean()
    share[torch.from_numpy(used).to(device)] = torch.from_numpy(alike / len(used)).float().to(device)
    allowed = None if mask is None else mask.to(device).float()

    def evaluate(at: Tensor) -> tuple[float, Tensor]:
        weights, gradient = at[:, :-1], torch.zeros_like(at)
        loss = 0.5 * penalty * float(weights.double().square().sum())
        for x, y, where in rows.parts():
            logits, part = torch.addmm(at[:, -1], x, weights.T), share[where]
            log_sum = torch.logsumexp(logits, 1)
            loss += float(((log_sum - logits.gather(1, y[:, None])[:, 0]) * part).double().sum())
            error = logits.sub_(log_sum[:, None]).exp_()  # the probabilities
            error.scatter_add_(1, y[:, None], error.new_full((len(y), 1), -1.0)).mul_(part[:, None])
            gradient[:, :-1].addmm_(error.T, x)
            gradient[:, -1].add_(error.sum(0))
        gradient[:, :-1].add_(weights, alpha=penalty)
        if allowed is not None:
            gradient[:, :-1].mul_(allowed)
        return loss, gradient

    at = torch.zeros(n_classes, rows.n_features + 1, device=device) if start is None else start
    with _threads_for(2 * min(PART_ROWS, len(rows)) * at.numel()):
        return _minimise(evaluate, at, [] if pairs is None else pairs, preconditioner, tolerance)


def accuracy_and_loss(
    fitted: Fit, rows: ShuffledRows, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Top-1 accuracy and mean cross-entropy of K linear probes at `positions`, (K,) float64 each."""
    right = torch.zeros(fitted.weights.shape[0], dtype=torch.float64)
    loss = torch.zeros_like(right)
    for x, y in rows.take(positions):
        for part, label in zip(x.split(4096), y.split(4096), strict=True):
            logits = fitted.logits(part).double()
            right += (logits.argmax(2) == label[:, None]).double().sum(0).cpu()
            own_logit = logits.gather(2, label[:, None, None].expand(-1, logits.shape[1], 1))[..., 0]
            loss += (torch.logsumexp(logits, 2) - own_logit).sum(0).cpu()
    n = max(len(positions), 1)
    return (right / n).numpy(), (loss / n).numpy()


# The rows that a probe is trained on, and the standardisation of their columns.


@dataclass(frozen=True)
class TrainSet:
    """The labelled train rows of a study, and their standardisation."""

    array: ChunkedArray
    rows: np.ndarray  # (n,) image rows, ascending
    codes: np.ndarray  # (n,) class codes
    standard: Standard

    @classmethod
    def of(cls, study: Study) -> "TrainSet":
        array, codes = study.array("representations"), class_column(study, "label")
        rows = np.flatnonzero(~study.is_val & (codes >= 0))
        return cls(array, rows, codes[rows], Standard.of(_column_moments(array, rows)))

    def load(self, device: str | torch.device) -> Callable[[np.ndarray], Tensor]:
        return lambda positions: torch.from_numpy(self.array.rows(self.rows[positions])).to(device)

    def batches(self, device: str | torch.device, *, memory_entries: int = MEMORY_ENTRIES) -> ShuffledRows:
        labels = torch.from_numpy(self.codes).to(device)
        return ShuffledRows(
            self.load(device), labels, self.array.shape[1], self.standard, memory_entries=memory_entries
        )


def _column_moments(array: ChunkedArray, rows: np.ndarray) -> Moments:
    """Moments of the raw features over `rows`, chunk by chunk, by which a probe standardises."""
    is_used = np.zeros(len(array), bool)
    is_used[rows] = True
    moments = Moments.empty(array.shape[1])
    for chunk, is_used_here in array.by_chunk(is_used):
        moments = moments.merge(Moments.of_rows(array.chunk(chunk)[is_used_here]))
    return moments


# What L-BFGS knows of the curvature before it starts: without it, correlated features cost many steps.


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
    def of(cls, rows: ShuffledRows, seed: int) -> "Curvature":
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
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]  # documented, not exported
            return cls()
        return cls(vectors.float(), values.clamp(min=0).float())

    def preconditioner(
        self, rows: ShuffledRows, n_classes: int, penalty: float, start: Tensor | None
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
    rows: ShuffledRows,
    n_classes: int,
    penalty: float,
    curvature: Curvature,
    *,
    used: np.ndarray | None = None,
    start: Tensor | None = None,
    tolerance: float = TOLERANCE,
    counts: np.ndarray | None = None,
) -> Tensor:
    """Fit a linear probe on raw representations to its optimum.

    (n_classes, n_features + 1) the optimum on the rows `used`, None: all; see `linear.fit_optimum`.
    """
    positions = np.arange(len(rows)) if used is None else used
    preconditioner = curvature.preconditioner(rows, n_classes, penalty, start)
    return _fit_optimum(
        rows,
        positions,
        n_classes,
        penalty,
        start=start,
        preconditioner=preconditioner,
        tolerance=tolerance,
        counts=counts,
    )
