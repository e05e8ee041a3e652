"""The minimum of a smooth convex function, by L-BFGS (Liu and Nocedal 1989)."""

from collections.abc import Callable

from torch import Tensor

HISTORY = 10  # pairs of a step and the change of the gradient along it
TOLERANCE = 1e-4  # largest entry of the gradient at the minimum, as in scikit-learn
MOST_STEPS = 1000
ENOUGH, NEARLY = 1e-4, 1e-6  # share of the expected decrease; float32 noise of a loss
SHORTEST = 1e-9

CurvaturePairs = list[tuple[Tensor, Tensor, float]]
Preconditioner = Callable[[Tensor], Tensor]  # an approximate inverse Hessian, applied to a gradient


def minimise(
    evaluate: Callable[[Tensor], tuple[float, Tensor]],
    at: Tensor,
    pairs: CurvaturePairs,
    preconditioner: Preconditioner | None = None,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Return the place of the minimum; a step is halved until it passes Hager and Zhang 2005, T1 or T2.

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
