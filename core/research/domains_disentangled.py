"""Training with a domain prefix: its terms, its critic, and the method (Kalibhat, dissertation, 2)."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import leaky_relu, one_hot

from core.common.dataframes import check_same_length
from core.research.domains_config import CLUSTER, OWN_TEMPERATURE, TEMPERATURE, DomainsConfig
from core.research.domains_labels import FACTS, DomainLabels, Represent, Rest, find_domains, prefix_length
from core.research.domains_robust_clustering import clustering_times
from core.training.config import TrainConfig
from core.training.method import Around
from core.training.methods import build_method
from core.training.process_group import at_least_single, gathered, n_processes

# The terms of domain-disentangled training as functions of tensors (Kalibhat, dissertation, section 2.4).


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
    """Rows at length 1 for research on domains; a zero row stays zero. Finite gradients."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, torch.ones_like(norms))


def prefix_objective(h_d: Tensor, domains: Tensor, *, temperature: float) -> PrefixTerm:
    """Mean log-ratio of the prefix's similarity within and across domains (research); to be maximised.

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
    """Return by how much the critic (research) scores the true domain of each image above a random one.

    L_invar,i = D(h^p_i, y_i) - D(h^p_i, y_rand,i): (n,), unit of the critic (Kalibhat, dissertation, p.
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
    """(n, d) rows as the critic of domains reads them: raw, at length 1 (unit), or sqrt(d) (normalised)."""
    if reads == "raw":
        return h_p
    return unit_or_zero(h_p) * (1.0 if reads == "unit" else h_p.shape[1] ** 0.5)


# The critic of the domain-invariant objective, which trains itself beside the encoder.


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
    """The critic's rate in research on domains: half a cosine from `peak` at the start to 0 at the end."""
    return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


# A method whose representations are split into a domain prefix and a rest without the domain (Kalibhat,
# dissertation, ch. 2).
#
# The wrapper is an ordinary Method, so the trainer does not depend on domains.


STEP_FACTS = (
    *("own_loss", "l_var", "wasserstein", "critic_penalty", "prefix_norm", "rest_norm"),
    *("anchors", "without_partner", "labelled", "rows"),
)
UNKNOWN = -1.0  # stands for NaN in the state, which must be finite


class Disentangled(Around):
    """weight * loss(h^p) - mean L_var(h^d) - mean L_invar(h^p): Kalibhat, dissertation, eq. 2.1 with its
    sign turned.

    The method is built on `Rest(backbone, k)`: its head, its momentum network and its small views read h^p.
    Both objectives read the large views of the online network, of all processes. The critic takes its own
    steps on the batch before the encoder does.

    Buffers: `codes` (n_images,) int64, the domain of each training image, -1: none; `clusters` (n_images,)
    int64, the cluster also of outliers, -1 without clusters; `n_clusterings`; `clustering`, the threshold
    and FACTS of the last one; `n_batches`, from which the random domains of a batch follow.
    """

    codes: Tensor
    clusters: Tensor
    clustering: Tensor
    n_clusterings: Tensor
    n_batches: Tensor

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig, labels: DomainLabels):
        settings = config.sections["domains"]
        k = prefix_length(settings.prefix, n_features)
        unread = k if settings.ssl_reads == "rest" else 0
        super().__init__(build_method(config.method, Rest(backbone, unread), n_features - unread, config))
        self.settings, self.seed, self.labels, self.k = settings, config.seed, labels, k
        self.batch_size = config.batch_size
        self.temperature = _prefix_temperature(settings, config)
        with torch.random.fork_rng(devices=[]):  # the method's own weights are those without domains
            torch.manual_seed(config.seed)
            size = {"hidden": settings.critic_hidden, "slope": settings.critic_slope}
            self.critic = DomainCritic(n_features - self.k, len(labels.names), **size)
        self.register_buffer("codes", torch.from_numpy(labels.codes.copy()))
        self.register_buffer("clusters", torch.full((len(labels.codes),), -1))
        self.register_buffer("n_clusterings", torch.zeros((), dtype=torch.long))
        self.register_buffer("clustering", torch.full((1 + len(FACTS),), UNKNOWN, dtype=torch.float64))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.long))
        self.times = clustering_times(settings.warmup, settings.every) if settings.labels == CLUSTER else []
        self.frequencies: np.ndarray | None = None  # of the domains, follow from `codes`
        self.sums, self.n_summed, self.warned = torch.zeros(len(STEP_FACTS)), 0, False

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        return self.inner.backbone.backbone  # type: ignore[return-value]

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        self.inner.progress = self.progress
        unread = self.k if self.settings.ssl_reads == "rest" else 0
        loss = self.inner.loss_of(raw[:, unread:], views, local)
        with torch.autocast(raw.device.type, enabled=False):
            terms = self._domain_terms(at_least_single(raw), loss.detach())
        loss = self.settings.weight * loss
        return loss if terms is None else loss + terms.to(loss.dtype)

    def _domain_terms(self, raw: Tensor, own_loss: Tensor) -> Tensor | None:
        """Minus the weighted objectives of (n_views * B, r) representations; None if both are off."""
        settings = self.settings
        if not settings.variant and not settings.invariant:
            return None
        rows, domains = _in_order(raw, self.n_views), self._domains_of_batch(raw)
        facts = dict.fromkeys(STEP_FACTS, torch.full((), torch.nan, device=raw.device))
        term = rows.new_zeros(())
        if settings.variant:
            prefix = prefix_objective(rows[:, : self.k], domains, temperature=self.temperature)
            term = term - settings.variant * prefix.value
            lone = (domains >= 0) & (prefix.partners < self.n_views)
            facts |= {"l_var": prefix.value, "anchors": prefix.defined.sum(), "without_partner": lone.sum()}
        labelled = domains >= 0
        n_labelled = int(labelled.sum())
        if settings.invariant and n_labelled:
            gap, penalty = self._adversarial_term(rows[labelled, self.k :], domains[labelled])
            term = term - settings.invariant * gap
            facts |= {"wasserstein": -gap, "critic_penalty": penalty}
        self.n_batches += 1
        norms = torch.linalg.vector_norm
        facts |= {"own_loss": own_loss, "labelled": labelled.sum(), "rows": domains.new_tensor(len(rows))}
        facts |= {"prefix_norm": norms(rows[:, : self.k].detach(), dim=1).mean()}
        facts |= {"rest_norm": norms(rows[:, self.k :].detach(), dim=1).mean()}
        self._remember(facts)
        return term

    def _domains_of_batch(self, raw: Tensor) -> Tensor:
        """(n_views * B,) int64 of all processes, in the order of `_in_order`."""
        assert self.rows is not None, "the trainer sets the rows of a batch"
        here = self.codes[torch.from_numpy(np.asarray(self.rows)).to(raw.device)]
        column = here.repeat(self.n_views)[:, None].double()
        return _in_order(column, self.n_views)[:, 0].long()

    def _adversarial_term(self, h_p: Tensor, domains: Tensor) -> tuple[Tensor, Tensor]:
        """Train the critic on a batch, then return mean L_invar for the encoder, and the penalty."""
        settings, n_domains = self.settings, len(self.labels.names)
        rng = np.random.default_rng([self.seed, *b"critic", int(self.n_batches)])
        read = as_read_by_critic(h_p, settings.critic_reads)

        def drawn() -> Tensor:
            codes = rng.choice(n_domains, len(read), p=self._frequencies())
            return one_hot(torch.from_numpy(codes).to(read.device), n_domains).to(read.dtype)

        true = one_hot(domains, n_domains).to(read.dtype)
        penalty = read.new_zeros(())
        for _ in range(settings.critic_steps):
            other, mix = drawn(), torch.from_numpy(rng.random((len(read), 1))).to(read)
            lr = falling_rate(settings.critic_lr, self.progress)
            _, penalty = self.critic.step(read.detach(), true, other, mix, lr=lr, penalty=settings.penalty)
        return critic_gap(self.critic, read, true, drawn()).mean(), penalty

    def _frequencies(self) -> np.ndarray:
        """(M,) P(y): shares of the domains among the training images that have one."""
        frequencies = self.frequencies
        if frequencies is None:
            codes = self.codes.cpu().numpy()
            counts = np.bincount(codes[codes >= 0], minlength=len(self.labels.names))
            frequencies = self.frequencies = counts / counts.sum()
        return frequencies

    def before_step(self, represent: Represent) -> bool:
        due = sum(time <= self.progress + 1e-9 for time in self.times)
        if int(self.n_clusterings) >= due:
            return False
        first = int(self.n_clusterings) == 0
        clusters_before = self.clusters.cpu().numpy()
        threshold = None if first else float(self.clustering[0])
        last = len(self.times) - 1
        truth = self.labels.truth
        domains = find_domains(
            represent,
            clusters_before,
            self.settings,
            n_prefix=self.k,
            number=due - 1,
            last=last,
            threshold=threshold,
            truth=truth,
            seed=self.seed,
        )
        values = [domains.threshold, *(domains.facts[name] for name in FACTS)]
        codes = [UNKNOWN if math.isnan(value) else value for value in values]
        self.clustering.copy_(
            _of_first_process(torch.tensor(codes, dtype=torch.float64, device=self.codes.device))
        )
        clusters = _of_first_process(torch.from_numpy(domains.clusters).to(self.codes.device))
        sure = _of_first_process(torch.from_numpy(domains.kept).to(self.codes.device).long())
        self.clusters.copy_(clusters)
        self.codes.copy_(torch.where(sure > 0, clusters, -1))
        self.n_clusterings.fill_(due)
        self.frequencies = None
        return True

    def batch_groups(self) -> np.ndarray | None:
        """Return the groups of `Method.batch_groups`; too few kept images for a batch drop none."""
        settings = self.settings
        clustered = int(self.n_clusterings) > 0
        drops = settings.outliers == "drop" and clustered and int((self.codes >= 0).sum()) >= self.batch_size
        if not settings.balanced and not drops:
            return None
        groups = (self.clusters if clustered else self.codes).cpu().numpy()
        groups = groups.copy() if settings.balanced else np.zeros(len(groups), np.int64)
        if drops:
            groups[(self.codes < 0).cpu().numpy()] = -1
        elif groups.min(initial=0) < 0:  # before the first clustering
            return None
        return groups

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        self.frequencies = None
        return super().load_state_dict(*args, **options)

    def sidecar(self) -> dict[str, Any]:
        return self.inner.sidecar() | {"prefix": self.k}

    def facts(self) -> dict[str, float]:
        """Return the last clustering: its number from 1, and FACTS (docs/method.md); nothing before."""
        facts = self.inner.facts()
        if not int(self.n_clusterings):
            return facts
        values = [math.nan if value == UNKNOWN else value for value in self.clustering[1:].tolist()]
        return facts | {"clustering": float(self.n_clusterings)} | dict(zip(FACTS, values, strict=True))

    @torch.no_grad()
    def _remember(self, facts: dict[str, Tensor]) -> None:
        step = torch.stack([facts[name].detach().float() for name in STEP_FACTS])
        self.sums = self.sums.to(facts["rows"].device) + step
        self.n_summed += 1

    def step_facts(self) -> dict[str, float]:
        """Return means over the micro-batches of a step.

        Returns:
            own_loss: the method's; l_var, wasserstein (minus mean L_invar), critic_penalty: NaN where a term
            is off or no row has a domain; prefix_norm and rest_norm: mean lengths of h^d and h^p; anchors:
            rows for which L_var is defined; without_partner: labelled rows whose domain no other image has;
            labelled, rows: with a domain, and all.
        """
        facts = self.inner.step_facts()
        if self.n_summed:
            means = (self.sums / self.n_summed).tolist()
            facts |= dict(zip(STEP_FACTS, means, strict=True))
        self.sums, self.n_summed = torch.zeros(len(STEP_FACTS)), 0
        return facts

    def concern(self, means: dict[str, float]) -> str:
        searched = not self.times or int(self.n_clusterings) > 0
        if self.warned or not searched or means.get("labelled", 1) > 0:
            return self.inner.concern(means)
        self.warned = True
        return (
            "no row has a domain, so that both domain terms rest: every row is an outlier at epsilon "
            f"{float(self.clustering[1]):g}. A smaller domains.outlier_threshold, or 'auto', keeps some"
        )


def _prefix_temperature(settings: DomainsConfig, config: TrainConfig) -> float:
    """The temperature of the domain prefix (research): as set, else the method's own, else 0.2."""
    if settings.temperature is not None:
        return settings.temperature
    return config.temperature if config.method in OWN_TEMPERATURE else TEMPERATURE


def _in_order(rows: Tensor, n_views: int) -> Tensor:
    """Gather (n_views * B, d) rows of all processes, the first view of all first; differentiable."""
    if n_processes() == 1:
        return rows
    parts = gathered(rows).view(n_processes(), n_views, -1, rows.shape[1])
    return parts.transpose(0, 1).reshape(-1, rows.shape[1])


def _of_first_process(value: Tensor) -> Tensor:
    """Return the first process's value, so that all go on with the same one."""
    if n_processes() > 1:
        torch.distributed.broadcast(value, 0)
    return value
