"""Contrastive losses with harder logits, hard negatives and perturbed cosines (Robinson et al. 2021)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from core.analysis.tensors import check_matrix
from core.common.dataframes import check_same_length
from core.errors import SettingsError

# Implicit feature modification: a contrastive loss on harder logits (Robinson et al. 2021, "I").


def ifm_info_nce(
    positive: Tensor, negatives: Tensor, *, temperature: float = 0.2, epsilon: float = 0.1, alpha: float = 1.0
) -> Tensor:
    """InfoNCE averaged with that under the worst perturbation of features (IFM, shortcuts, research).

    (L(0) + alpha L(epsilon)) / (1 + alpha)   (Robinson et al. 2021, arXiv 2106.11230, eq. 2), with
    L(e) = mean_i -log( exp((s+_i - e)/t) / (exp((s+_i - e)/t) + sum_k exp((s-_ik + e)/t)) ):
    moving each unit feature by at most e against the anchor's interest changes its similarity by exactly e.

    Args:
        positive: (B,) cosine similarity of each anchor to its positive.
        negatives: (B, K) cosine similarities of each anchor to its negatives; -inf leaves one out.
        temperature: t > 0.
        epsilon: size of the perturbation, >= 0; 0 is plain InfoNCE.
        alpha: weight of the perturbed loss, >= 0; inf for the perturbed loss alone.
    Returns:
        scalar, dtype of the inputs but at least float32; 0 where K = 0.
    Raises:
        ShapeError: `negatives` is not a matrix, or B differs. SettingsError: temperature, epsilon, alpha.
    """
    check_matrix("negatives", negatives)
    check_same_length("positive", positive.numel(), "rows of negatives", len(negatives))
    if not temperature > 0:
        raise SettingsError(f"temperature = {temperature:g} must be above 0.")
    for name, value in (("epsilon", epsilon), ("alpha", alpha)):
        if not value >= 0:
            raise SettingsError(f"{name} = {value:g} must be 0 or more.")
    moved = positive - epsilon, negatives + epsilon
    return mixed_info_nce((positive, negatives), moved, temperature=temperature, alpha=alpha)


def mixed_info_nce(
    plain: tuple[Tensor, Tensor], perturbed: tuple[Tensor, Tensor], *, temperature: float, alpha: float
) -> Tensor:
    """(L(plain) + alpha L(perturbed)) / (1 + alpha), L the InfoNCE of each (IFM, research on shortcuts).

    Args:
        perturbed: as `perturbed_cosines` makes them; a row whose positive is -inf, which has no direction, is
            left out of its mean.
        alpha: >= 0; inf for the perturbed loss alone.
    Returns:
        scalar, dtype of the inputs but at least float32.
    """
    harder = _info_nce(*perturbed, temperature)
    if math.isinf(alpha):
        return harder
    return (_info_nce(*plain, temperature) + alpha * harder) / (1 + alpha)


def _info_nce(positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    positive = positive.reshape(-1, 1)  # (B, 1)
    finite = torch.isfinite(positive)
    safe = torch.where(finite, positive, torch.zeros_like(positive))
    logits = torch.cat([safe, negatives], 1) / temperature  # (B, 1 + K)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = torch.logsumexp(logits, 1) - logits[:, 0]
    return (losses * finite[:, 0]).sum() / finite.sum().clamp_min(1)


# A contrastive loss that weighs hard negatives more (Robinson et al. 2021b, ICLR; [40] of IFM's paper).


def hard_info_nce(
    positive: Tensor, negatives: Tensor, *, temperature: float = 0.5, beta: float = 1.0, tau_plus: float = 0.0
) -> Tensor:
    """InfoNCE with importance weights on hard negatives (shortcuts, research).

    mean_i -log( p_i / (p_i + N_i) ), p_i = exp(s+_i / t), n_ik = exp(s-_ik / t),
    N_i = K_i sum_k n_ik^(1 + beta) / sum_k n_ik^beta; with tau_plus > 0, N_i is replaced by
    max( (N_i - tau_plus K_i p_i) / (1 - tau_plus), K_i exp(-1 / t) ). The weights n^beta have gradients, as
    in the authors' code.

    Args:
        positive: (B,) cosine similarity of each anchor to its positive.
        negatives: (B, K) cosine similarities of each anchor to its negatives; -inf leaves one out of K_i.
        temperature: t > 0.
        beta: hardness concentration, >= 0; 0 is InfoNCE.
        tau_plus: share of negatives that are of the anchor's class, in [0, 1); 0 corrects nothing.
    Returns:
        scalar, dtype of the inputs but at least float32; a row without negatives counts 0.
    Raises:
        ShapeError: `negatives` is not a matrix, or B differs. SettingsError: temperature, beta, tau_plus.
    """
    check_matrix("negatives", negatives)
    check_same_length("positive", positive.numel(), "rows of negatives", len(negatives))
    check_hardness(beta, tau_plus)
    if not temperature > 0:
        raise SettingsError(f"temperature = {temperature:g} must be above 0.")
    dtype = torch.promote_types(negatives.dtype, torch.float32)
    above = positive.reshape(-1).to(dtype) / temperature  # (B,) log p
    logits = negatives.to(dtype) / temperature  # (B, K) log n
    finite = torch.isfinite(logits)
    count = finite.sum(1)
    log_k = count.clamp_min(1).to(dtype).log()
    hard = _log_sum((1 + beta) * logits, finite) - _log_sum(beta * logits, finite) + log_k  # (B,) log N
    if tau_plus:
        hard = _debiased(hard, above, log_k, temperature, tau_plus)
    losses = torch.nn.functional.softplus(hard - above)  # -log(p / (p + N))
    return torch.where(count > 0, losses, torch.zeros_like(losses)).mean()


def check_hardness(beta: float, tau_plus: float) -> None:
    """Raise SettingsError for a hardness of negatives (shortcuts, research) out of range."""
    if not 0 <= beta < math.inf:
        raise SettingsError(f"hard_beta = {beta:g} must be 0 or more.")
    if not 0 <= tau_plus < 1:
        raise SettingsError(f"hard_tau_plus = {tau_plus:g} must be at least 0 and below 1.")


def _log_sum(logits: Tensor, finite: Tensor) -> Tensor:
    """Logarithm of the sum of exp over the known entries of each row; 0 for a row without any."""
    filled = torch.where(finite, logits, torch.full_like(logits, -torch.inf))
    some = finite.any(1)
    safe = torch.where(some[:, None], filled, torch.zeros_like(filled))
    if not filled.shape[1]:
        return filled.new_zeros(len(filled))
    return torch.where(some, torch.logsumexp(safe, 1), torch.zeros_like(safe[:, 0]))


def _debiased(hard: Tensor, above: Tensor, log_k: Tensor, temperature: float, tau_plus: float) -> Tensor:
    """log max((N - tau_plus K p) / (1 - tau_plus), K exp(-1 / t)), scaled so that nothing overflows."""
    top = torch.maximum(hard, above).detach()
    corrected = ((hard - top).exp() - tau_plus * (log_k + above - top).exp()) / (1 - tau_plus)
    least = (log_k - 1 / temperature - top).exp()
    return torch.maximum(corrected, least).clamp_min(torch.finfo(hard.dtype).tiny).log() + top


# The cosine of an anchor and the worst point near another embedding (Robinson 2021, App. B.1).
#
# Where "near" is measured tells the variants apart: `default` (eq. 2; in `ifm.py`) moves a unit embedding
# and leaves it at its new length; `+norm` moves it and scales it back to unit length; `+pre-norm` moves the
# embedding before it is normalised. Every move is held fixed in the backward pass: gradients are those of
# the cosine at the moved point.
#
# Shapes: anchors v (B, d). The others u are (B, d) with `dot = paired`, one for each anchor, or (K, d) with
# `dot = crossed`, each with each anchor; results are (B,) or (B, K). A positive epsilon moves towards the
# anchor (negatives), a negative one away from it (positives).


FLAT = 1e-6  # sine below which two directions are parallel in single precision
ROUNDING = 16  # units in the last place by which the squared length of a point at 0 may miss 0

Dot = Callable[[Tensor, Tensor], Tensor]


def paired(one: Tensor, other: Tensor) -> Tensor:
    """Dot product of each row with its pair's, (B,), for contrastive losses of research on shortcuts."""
    return (one * other).sum(-1)


def crossed(one: Tensor, other: Tensor) -> Tensor:
    """Dot product of each row with each other's, (B, K), for losses of research on shortcuts."""
    return one @ other.T


def renormalised_cosines(
    v: Tensor, u: Tensor, *, epsilon: float, dot: Dot = crossed, detach: bool = True
) -> tuple[Tensor, Tensor]:
    """Cosine of v and u/||u|| + epsilon v/||v|| (+norm), for IFM of research on shortcuts.

    s' = (s + epsilon) / sqrt(1 + 2 epsilon s + epsilon^2), s = cos(v, u).

    Args:
        detach: the move epsilon v/||v|| has no gradient; False: it follows v.
    Returns:
        the cosines, and bool of the same shape: True where the moved point is 0 (epsilon = 1 and s = -1, or
        epsilon = -1 and s = 1, up to rounding), whose cosine is 0.
    """
    unit, other = normalize(v, dim=-1), normalize(u, dim=-1)
    cosine = dot(unit, other)
    along = dot(unit.detach(), other) if detach else cosine
    square = 1 + 2 * epsilon * along + epsilon**2
    undefined = square.detach() <= ROUNDING * torch.finfo(square.dtype).eps
    root = torch.where(undefined, torch.ones_like(square), square).sqrt()
    return torch.where(undefined, torch.zeros_like(cosine), (cosine + epsilon) / root), undefined


def turned_cosines(
    v: Tensor, u: Tensor, *, epsilon: float, dot: Dot = crossed, relative: bool = False
) -> tuple[Tensor, Tensor]:
    """Largest or smallest cosine of v and u + delta, ||delta|| <= |epsilon|, for IFM (shortcuts research).

    A ball of radius r < ||u|| turns u by at most t = arcsin(r / ||u||), within the plane of u and v. So with
    theta the angle of v and u: cos(max(0, theta - t)) towards v, and cos(min(pi, theta + t)) away from it; +1
    or -1 where r >= ||u||.

    Args:
        u: not normalised. relative: r = |epsilon| ||u|| instead of |epsilon|.
    Returns:
        the cosines, -inf where ||u|| = 0; and bool of the same shape: True where ||u|| = 0, or u is parallel
        to v, so that every direction of the turn is as good: the cosine is right, its gradient 0.
    """
    unit, length = normalize(v, dim=-1), torch.linalg.vector_norm(u, dim=-1)  # (B, d); (B,) or (K,)
    with torch.no_grad():
        cosine = dot(unit, normalize(u, dim=-1)).clamp(-1, 1)
        size = length.clamp_min(torch.finfo(length.dtype).tiny)
        share = (torch.full_like(size, abs(epsilon)) if relative else abs(epsilon) / size).clamp(max=1)
        turn, angle = torch.asin(share), torch.acos(cosine)
        turned = (angle - turn).clamp_min(0) if epsilon >= 0 else (angle + turn).clamp_max(torch.pi)
        sine = (1 - cosine.square()).clamp_min(0).sqrt()
        flat, empty = sine <= FLAT, (length == 0).expand_as(cosine)
        whole = (share >= 1).expand_as(cosine) & ~empty
        extreme = whole | (turned <= 0) | (turned >= torch.pi)
        best = torch.where(whole, torch.full_like(cosine, 1.0 if epsilon >= 0 else -1.0), torch.cos(turned))
        # delta = a v + b u, both of unit length
        tilt = torch.sin(turned) / torch.where(flat, torch.ones_like(sine), sine)
        remaining = size * torch.cos(turn)
        a, b = remaining * (torch.cos(turned) - cosine * tilt), remaining * tilt - size
        square = (a.square() + 2 * a * b * cosine + b.square()).clamp_min(0)
    fixed = flat | extreme | empty
    moved = _moved_cosine(unit, u, length, a, b, square, dot, fixed)
    value = torch.where(fixed, best.to(moved.dtype), moved)
    return torch.where(empty, torch.full_like(value, -torch.inf), value), (flat & ~extreme) | empty


def _moved_cosine(
    unit: Tensor, u: Tensor, length: Tensor, a: Tensor, b: Tensor, square: Tensor, dot: Dot, fixed: Tensor
) -> Tensor:
    """Cosine of v and u + a v + b u/||u||, the added vectors constants, without any (B, K, d) values."""
    direction = normalize(u.detach(), dim=-1)
    above = dot(unit, u) + a + b * dot(unit, direction)
    norm2 = length.square() + 2 * (a * dot(unit.detach(), u) + b * length) + square
    root = torch.where(fixed, torch.ones_like(norm2), norm2).clamp_min(torch.finfo(norm2.dtype).tiny).sqrt()
    return torch.where(fixed, torch.zeros_like(above), above) / root


def stepped_cosines(
    v: Tensor, u: Tensor, *, epsilon: float, steps: int, dot: Dot = crossed, relative: bool = False
) -> tuple[Tensor, Tensor]:
    """Approximate `turned_cosines` by projected gradient (IFM, research); holds (B, K, d) values.

    The gradient of cos(v, w) in w is (v/||v|| - cos w/||w||) / ||w||. Its direction is followed by steps that
    become shorter, and the sum of the moves is scaled back into the ball. Size and number of the steps are
    not published.

    Args:
        steps: number of steps, at least 1.
    Returns:
        as `turned_cosines`; True also where the gradient was 0 at the first step, so that nothing moved.
    Raises:
        SettingsError: steps below 1.
    """
    if steps < 1:
        raise SettingsError(f"steps = {steps} must be at least 1")
    unit, point = normalize(v, dim=-1), u
    if dot is crossed:
        unit, point = unit[:, None], u[None]  # (B, 1, d), (1, K, d)
    anchor, start = unit.detach(), point.detach()
    length = torch.linalg.vector_norm(start, dim=-1, keepdim=True)
    radius = abs(epsilon) * (length if relative else torch.ones_like(length))
    delta, sign = torch.zeros_like(anchor + start), 1.0 if epsilon >= 0 else -1.0
    stuck = torch.zeros_like(delta[..., 0], dtype=torch.bool)
    for step in range(steps):
        w = normalize(start + delta, dim=-1)
        gradient = anchor - (anchor * w).sum(-1, keepdim=True) * w
        norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        if step == 0:
            stuck = norm[..., 0] <= FLAT
        size = sign * radius * (1 - step / steps)
        delta = delta + torch.where(
            norm > FLAT, size * gradient / norm.clamp_min(FLAT), torch.zeros_like(delta)
        )
        over = torch.linalg.vector_norm(delta, dim=-1, keepdim=True)
        delta = delta * torch.where(over > radius, radius / over.clamp_min(FLAT), torch.ones_like(over))
    empty = (length[..., 0] == 0).expand_as(stuck)
    value = (unit * normalize(point + delta, dim=-1)).sum(-1)
    return torch.where(empty, torch.full_like(value, -torch.inf), value), stuck | empty
