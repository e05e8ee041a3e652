"""Multinomial logistic regression on standardised rows: by SGD, or with a penalty to its optimum.

Training K probes by SGD together (learning rates, feature subsets) costs little more than one: the rows are
gathered once and the K weight matrices are a single matrix product.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.analysis.probe.lbfgs import TOLERANCE, CurvaturePairs, Preconditioner, minimise
from core.common.statistics.moments import Moments
from core.common.threads import one_torch_thread

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
    """Train K = len(lrs) probes together: SGD with momentum on the mean cross-entropy, cosine rate to 0.

    All start at 0 and use the same batches, so each result is the same as for a probe trained alone. With a
    penalty each is `fit_optimum`.

    Args:
        used: positions of the rows to train on. masks: (K, n_features) bool, the features each probe may use.
    """
    if recipe.penalty is not None:
        each = masks if masks is not None else [None] * len(lrs)
        optima = [fit_optimum(rows, used, n_classes, recipe.penalty, mask=one) for one in each]
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


def fit_optimum(
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
    """Minimise the mean cross-entropy plus penalty / 2 times the sum of squared weights (not biases).

    Starting at the optimum of a similar penalty, with the curvature met on the way, saves most of the passes.

    Args:
        used: positions of the rows to train on. mask: (n_features,) bool, the features it may use.
        start: as returned; None: 0. pairs, preconditioner, tolerance: of `minimise`.
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
        return minimise(evaluate, at, [] if pairs is None else pairs, preconditioner, tolerance)


def accuracy_and_loss(
    fitted: Fit, rows: ShuffledRows, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Top-1 accuracy and mean cross-entropy of each of the K probes at `positions`, (K,) float64 each."""
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
