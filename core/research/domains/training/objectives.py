"""The terms of domain-disentangled training as functions of tensors (Kalibhat, dissertation, section 2.4)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from core.common.dataframes import check_same_length

Critic = Callable[[Tensor, Tensor], Tensor]  # (n, d) rows, (n, M) domains -> (n,)


class PrefixTerm(NamedTuple):
    """The domain-variant objective of a batch.

    value: scalar mean over the defined anchors, 0 without any. defined: (n,) bool, the anchors with a row of
    their own domain and one of another. partners: (n,) int64, rows of the own domain beside the anchor.
    """

    value: Tensor
    defined: Tensor
    partners: Tensor


def unit_or_zero(rows: Tensor) -> Tensor:
    """Rows at length 1; a zero row stays zero, so that its cosine with any row is 0. Finite gradients."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, torch.ones_like(norms))


def prefix_objective(h_d: Tensor, domains: Tensor, *, temperature: float) -> PrefixTerm:
    """Mean log-ratio of the similarity within and across domains; to be maximised.

    L_i = log [sum_{j != i, y_j = y_i} sim(i, j) / sum_{y_j != y_i} sim(i, j)],  sim = exp(cos / temperature)
    (Kalibhat, dissertation, p. 12, unnumbered). |L_i| <= 2 / temperature + |log(n_same / n_other)|.

    Args:
        h_d: (n, k) float, the prefixes of all views.
        domains: (n,) int64; -1: the row is neither an anchor nor a partner.
    Returns:
        see PrefixTerm; undefined anchors (only one domain in the batch, no partner) are left out of the mean.
    Raises:
        ShapeError: the two disagree on n.
    """
    check_same_length("prefixes", len(h_d), "domains", len(domains))
    unit = unit_or_zero(h_d)
    logits = unit @ unit.T / temperature  # (n, n)
    has_domain = domains >= 0
    same = domains[:, None] == domains
    paired = has_domain[:, None] & has_domain
    alike, unlike = paired & same, paired & ~same
    alike.fill_diagonal_(False)
    partners = alike.sum(1)
    defined = (partners > 0) & unlike.any(1)
    if not bool(defined.any()):
        return PrefixTerm(h_d.sum() * 0.0, defined, partners)
    defined_logits = logits[defined]
    within = defined_logits.masked_fill(~alike[defined], -torch.inf).logsumexp(1)
    across = defined_logits.masked_fill(~unlike[defined], -torch.inf).logsumexp(1)
    return PrefixTerm((within - across).mean(), defined, partners)


def critic_gap(critic: Critic, h_p: Tensor, domains: Tensor, random_domains: Tensor) -> Tensor:
    """L_invar,i = D(h^p_i, y_i) - D(h^p_i, y_rand,i): (n,), unit of the critic (Kalibhat, dissertation, p.
    13).

    The encoder maximises its mean, the critic minimises it; minus the mean estimates the Wasserstein distance
    of P(h^p, y) from P(h^p) P(y).

    Args:
        h_p: (n, d) float. domains, random_domains: (n, M) one-hot, of the rows and drawn from P(y).
    """
    both = critic(torch.cat([h_p, h_p]), torch.cat([domains, random_domains]))
    prefix, drawn = both.chunk(2)
    return prefix - drawn


def gradient_penalty(
    critic: Critic, h_p: Tensor, domains: Tensor, random_domains: Tensor, mix: Tensor
) -> Tensor:
    """Mean of (||grad D||_2 - 1)^2 between the two kinds of pairs; scalar (WGAN-GP, as Kalibhat's
    dissertation uses it, p. 13).

    The gradient is with respect to h^p and y, at (h^p, u y + (1 - u) y_rand).

    Args:
        h_p: (n, d) float. domains, random_domains: (n, M) one-hot. mix: (n, 1) float, u in [0, 1].
    """
    rows = h_p.detach().requires_grad_()
    between = (mix * domains + (1 - mix) * random_domains).requires_grad_()
    with torch.enable_grad():
        value = critic(rows, between).sum()
        gradients = torch.autograd.grad(value, (rows, between), create_graph=True)
    norms = torch.linalg.vector_norm(torch.cat(gradients, 1), dim=1)
    return (norms - 1).square().mean()


def as_read_by_critic(h_p: Tensor, reads: str) -> Tensor:
    """(n, d) rows as the critic reads them: raw, at length 1 (unit), or at length sqrt(d) (normalised)."""
    if reads == "raw":
        return h_p
    return unit_or_zero(h_p) * (1.0 if reads == "unit" else h_p.shape[1] ** 0.5)
