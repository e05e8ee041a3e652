"""Robust and non-robust features of a frozen encoder (IFM paper, section 4.3, after Ilyas et al. 2019).

An image is changed, by steps too small to see, until a linear probe on the encoder gives it a target class.
With the true label it still holds what people see (robust features); with the target it holds only what the
encoder reads (non-robust features).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.common.dataframes import check_same_length
from core.errors import SettingsError

Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attacked:
    """Changed images.

    `images` (n, 3, S, S) in [0, 1]; `reached` (n,) bool, the target is predicted; `steps` (n,) int, 0 where
    the target was predicted at once, the number tried where it was not reached; `stuck` (n,) bool, the
    gradient was zero; `change` (n,) largest absolute difference of a pixel.
    """

    images: Tensor
    reached: Tensor
    steps: Tensor
    stuck: Tensor
    change: Tensor


def targeted_fgsm(
    logits: Logits, images: Tensor, targets: Tensor, *, step: float = 0.01, steps: int = 50
) -> Attacked:
    """Change each image until its logits are largest at its target.

    x_k = clip(x_{k-1} - step sign(grad_x CE(logits(x_{k-1}), t)), 0, 1), stopped at the first k with
    argmax logits(x_k) = t. The clip is ours.

    Args:
        logits: (n, 3, S, S) in [0, 1] -> (n, n_classes), each row a function of its own image only.
        images: (n, 3, S, S) in [0, 1]. targets: (n,) int.
    Raises:
        ShapeError: another number of targets. SettingsError: a step of 0 or less, or fewer than one step.
    """
    check_same_length("images", len(images), "targets", len(targets))
    if not step > 0:
        raise SettingsError(f"step {step:g} must be above 0")
    if steps < 1:
        raise SettingsError(f"steps {steps} must be at least 1")
    x, done = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    taken = torch.full((len(images),), steps, device=images.device)
    stuck = torch.zeros_like(done)
    for k in range(steps + 1):
        active = torch.nonzero(~(done | stuck)).flatten()
        if not len(active):
            break
        now = x[active].detach().requires_grad_(k < steps)
        with torch.set_grad_enabled(k < steps):
            outputs = logits(now)
        hit = outputs.argmax(1) == targets[active]
        done[active[hit]], taken[active[hit]] = True, k
        if k == steps or bool(hit.all()):
            continue
        loss = cross_entropy(outputs, targets[active], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, now)
        flat = gradient.flatten(1).abs().amax(1) == 0
        stuck[active[flat & ~hit]], taken[active[flat & ~hit]] = True, k
        moving = active[~hit & ~flat]
        unreached = ~hit & ~flat
        x[moving] = (x[moving] - step * gradient[unreached].sign()).clamp(0, 1)
    change = (x - images).flatten(1).abs().amax(1)
    return Attacked(x.detach(), done, taken, stuck, change)


def draw_targets(labels: np.ndarray, n_classes: int, *, seed: int, other: bool = False) -> np.ndarray:
    """Draw a target class for each image, uniform over all classes, or over all but its own.

    Raises:
        SettingsError: fewer than two classes.
    """
    if n_classes < 2:
        raise SettingsError("targets need at least two classes")
    rng = np.random.default_rng(seed)
    if not other:
        return rng.integers(0, n_classes, len(labels))
    return (np.asarray(labels) + rng.integers(1, n_classes, len(labels))) % n_classes


def robust_feature_sets(
    reached: np.ndarray, labels: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the changed images that reached their target, with their labels in the two sets.

    Returns:
        rows (m,), labels of D_R (m,) (the true ones), labels of D_NR (m,) (the targets).
    """
    check_same_length("reached", len(reached), "labels", len(labels))
    check_same_length("reached", len(reached), "targets", len(targets))
    rows = np.flatnonzero(reached)
    return rows, np.asarray(labels)[rows], np.asarray(targets)[rows]
