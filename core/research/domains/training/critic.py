"""The critic of the domain-invariant objective, which trains itself beside the encoder."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import leaky_relu

from core.research.domains.training.objectives import critic_gap, gradient_penalty

BETAS, STABILISER = (0.9, 0.999), 1e-8  # Adam's usual; Kalibhat only says "Adam"


class DomainCritic(nn.Module):
    """D(h^p, y): an MLP with LeakyReLU on the row and its one-hot domain, and the state of its own Adam.

    No optimiser but its own changes its weights: they ask for no gradient outside `step`. Everything that a
    resumed training needs is in `state_dict`.

    Buffers: `first` and `second`, Adam's running means of the gradient and its square, flat; `n_steps`.
    """

    first: Tensor
    second: Tensor
    n_steps: Tensor

    def __init__(self, n_features: int, n_domains: int, *, hidden: int = 256, slope: float = 0.2):
        super().__init__()
        self.n_domains, self.slope = n_domains, slope
        self.from_row = nn.Linear(n_features + n_domains, hidden)
        self.between = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        self.requires_grad_(False)
        n_weights = sum(weight.numel() for weight in self.parameters())
        self.register_buffer("first", torch.zeros(n_weights))
        self.register_buffer("second", torch.zeros(n_weights))
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))

    def forward(self, h_p: Tensor, domains: Tensor) -> Tensor:
        """(n, d) rows and (n, M) domains -> (n,)."""
        hidden = leaky_relu(self.from_row(torch.cat([h_p, domains], 1)), self.slope)
        return self.out(leaky_relu(self.between(hidden), self.slope))[:, 0]

    def step(
        self, h_p: Tensor, domains: Tensor, random_domains: Tensor, mix: Tensor, *, lr: float, penalty: float
    ) -> tuple[Tensor, Tensor]:
        """Descend mean L_invar + penalty * gradient penalty by one step of Adam.

        Args:
            h_p: (n, d) float, detached. mix: (n, 1), see `gradient_penalty`.
        Returns:
            mean L_invar and the gradient penalty before the step; scalars, detached.
        """
        weights = {name: value.detach().requires_grad_() for name, value in self.named_parameters()}

        def critic(rows: Tensor, of: Tensor) -> Tensor:
            return functional_call(self, weights, (rows, of))

        with torch.enable_grad():
            gap = critic_gap(critic, h_p.detach(), domains, random_domains).mean()
            excess = gradient_penalty(critic, h_p, domains, random_domains, mix)
            # The bias of the last layer moves neither term: its gradient is 0.
            gradients = torch.autograd.grad(
                gap + penalty * excess, tuple(weights.values()), allow_unused=True
            )
        pairs = zip(gradients, weights.values(), strict=True)
        flat = [(torch.zeros_like(w) if g is None else g).flatten() for g, w in pairs]
        self._adam(torch.cat(flat), lr)
        return gap.detach(), excess.detach()

    @torch.no_grad()
    def _adam(self, gradient: Tensor, lr: float) -> None:
        self.n_steps += 1
        n = int(self.n_steps)
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        spread = (self.second / (1 - BETAS[1] ** n)).sqrt_().add_(STABILISER)
        change = (self.first / (1 - BETAS[0] ** n)).div_(spread).mul_(lr)
        at = 0
        for weight in self.parameters():
            weight -= change[at : at + weight.numel()].view_as(weight)
            at += weight.numel()


def falling_rate(peak: float, progress: float) -> float:
    """Half a cosine from `peak` at the start of the training to 0 at its end."""
    return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
