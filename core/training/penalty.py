"""A method with a regulariser added to its loss, how strongly each term pulls, and how far it has gone.

The wrapper is an ordinary Method, so the trainer does not depend on regularisers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from core.analysis.definitions import normalise_rows
from core.analysis.scores import q_score
from core.common.step_facts import FeaturesFacts
from core.errors import SettingsError
from core.training.config import TrainConfig
from core.training.losses import Reward, lasso, q_regularizer
from core.training.method import Around, Method
from core.training.process_group import gathered, n_processes, total

METHOD, REWARD, NORMS = "method", "reward", "norms"  # terms that pull at the representations
PARTS = ("weight_change", "batchnorm_change", "statistics_change")


class Penalised(Around):
    """loss + regulariser of the same raw representations, which are computed only once.

    Buffers: `discriminative` (n_features,) bool, the set D at the start of the training (recomputing the
    study does not change a running training); `totals` (4,) float64, sums since the last `facts`: batches,
    mean Q, term, mean ||h||_1.
    """

    discriminative: Tensor
    totals: Tensor

    def __init__(self, inner: Method, n_features: int, config: TrainConfig):
        super().__init__(inner)
        self.settings = config.regularizer
        discriminative, self.epsilon = discriminative_of(config, n_features)
        self.knows_features = discriminative is not None
        self.register_buffer("discriminative", torch.zeros(n_features, dtype=torch.bool))
        if discriminative is not None:
            self.discriminative.copy_(discriminative)
        self.register_buffer("totals", torch.zeros(4, dtype=torch.float64))
        self.norms, self.n_rows = GradientNorms(), torch.zeros(3, dtype=torch.int64)
        self.began = parts_of(inner.backbone)
        if config.frozen:
            inner.backbone.requires_grad_(False)

    def loss(self, views: Tensor, local: Tensor | None = None) -> Tensor:
        self.inner.progress, self.inner.rows = self.progress, self.rows
        if type(self.inner).loss is Method.loss:
            raw = self.inner.backbone(views)
            return self.loss_of(raw, views, local)
        # for a method that calls its backbone itself
        with _outputs_for(self.inner.backbone, views, self._for_method) as seen:
            loss = self.inner.loss(views, local)
        return loss + self.penalty(torch.cat(seen)).to(loss.dtype)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        loss = self.inner.loss_of(self._for_method(raw), views, local)
        return loss + self.penalty(raw).to(loss.dtype)

    def _for_method(self, raw: Tensor) -> Tensor:
        return self.norms.branch(METHOD, raw) if self.settings.kind == "q" else raw

    def penalty(self, raw: Tensor) -> Tensor:
        """Regularisation term of (2N, n_features) raw representations; scalar float64.

        Computed over the rows of all processes: sums over features and batch means are not averages of parts.
        """
        settings, raw = self.settings, gathered(raw)
        if settings.kind == "q":
            term = self._q_term(raw)
        elif settings.kind == "lasso":
            term = lasso(raw, weight=settings.weight)
        else:
            term = torch.zeros((), dtype=torch.float64, device=raw.device)
        self._remember(raw.detach(), term.detach())
        return term

    def _q_term(self, raw: Tensor) -> Tensor:
        """`q_regularizer`, with one branch for each of its two terms."""
        eq3 = self.settings
        branches = (self.norms.branch(REWARD, raw), self.norms.branch(NORMS, raw))
        discriminative = self.discriminative
        return q_regularizer(
            raw,
            discriminative,
            epsilon=self.epsilon,
            lambda1=eq3.lambda1,
            lambda2=eq3.lambda2,
            reading=eq3.reading,
            branches=branches,
            observe=self._count_rows,
        )

    def _count_rows(self, reward: Reward) -> None:
        counts = torch.stack([reward.rewarded.sum(), reward.scored.sum()]).cpu()
        self.n_rows += torch.cat([counts, torch.tensor([len(reward.scored)])])

    @torch.no_grad()
    def _remember(self, raw: Tensor, term: Tensor) -> None:
        h = normalise_rows(raw.double())
        mean_q = q_score(h, self.discriminative, epsilon=self.epsilon).mean()
        self.totals += torch.stack([torch.ones_like(mean_q), mean_q, term, h.abs().sum(1).mean()])

    def step_facts(self) -> dict[str, float]:
        """Return which rows the Q regulariser rewarded, and how strongly its terms pull.

        Returns:
            rewarded, scored, rows: number of rows below alpha, of rows with L_i & D not empty, and of all
            rows of a step's views; reward_gradient and norm_gradient: the norm of each term's gradient at
            the raw representations, relative to that of the method's own loss; left out if nothing is
            trained.
        """
        inner = self.inner.step_facts()
        if self.settings.kind != "q":
            return inner
        rewarded, scored, rows = (float(n) for n in self.n_rows)
        self.n_rows = torch.zeros(3, dtype=torch.int64)
        facts = inner | {"rewarded": rewarded, "scored": scored, "rows": rows}
        reward, norms, method_gradient = (self.norms.take(name) for name in (REWARD, NORMS, METHOD))
        if method_gradient is None:
            return facts
        # Each process holds its own rows' gradient of a loss that DDP averages afterwards, too large by a
        # factor of the number of processes. The terms of eq. 3 see all rows in each process.
        method_gradient = total(method_gradient) / n_processes() ** 2
        return facts | {
            "reward_gradient": relative(reward, method_gradient),
            "norm_gradient": relative(norms, method_gradient),
        }

    def concern(self, means: dict[str, float]) -> str:
        if self.settings.kind != "q" or not self.settings.lambda1 or means.get("rewarded", 1) > 0:
            return self.inner.concern(means)
        return (
            f"no row was rewarded: of {means['rows']:g} rows a step, a discriminative feature "
            f"fires on {means['scored']:g}, and none of these lies below their mean. Only column norms were "
            "penalised. A start study with a smaller --epsilon has more such rows"
        )

    def facts(self) -> dict[str, float]:
        """Return means over the batches since the last call, and the backbone's distance from its start.

        Returns:
            mean_q (if D is known), penalty, l1 (mean ||h_i||_1); relative changes ||w - w0|| / ||w0|| of
            weights without BatchNorm, of BatchNorm's weights, and of its running statistics.
        """
        batches, mean_q, term, l1 = self.totals.tolist()
        self.totals.zero_()
        means = {"mean_q": mean_q, "penalty": term, "l1": l1} if batches else {}
        if not self.knows_features:
            means.pop("mean_q", None)
        averages = {name: total / batches for name, total in means.items()}
        return self.inner.facts() | averages | changes(self.began, parts_of(self.inner.backbone))


def discriminative_of(config: TrainConfig, n_features: int) -> tuple[Tensor | None, float]:
    """Return D and epsilon of the study that the regulariser names; None if it names none.

    Raises:
        StudyError: no such study, or no features in it. SettingsError: the number of features differs.
    """
    settings = config.regularizer
    if settings.study is None:
        return None, 4.0
    from core.store import Study

    study = Study(settings.study)
    discriminative = study.discriminative
    if len(discriminative) != n_features:
        raise SettingsError(
            f"'{settings.study}' has {len(discriminative)} features, but {config.start or config.arch} has "
            f"{n_features}: its discriminative features mean nothing here."
        )
    epsilon = study.facts(FeaturesFacts).known_epsilon if settings.epsilon is None else settings.epsilon
    return torch.from_numpy(discriminative.copy()), float(epsilon)


def parts_of(backbone: nn.Module) -> dict[str, Tensor]:
    """Return a fine-tuned network's weights, BatchNorm's weights and running statistics as CPU vectors."""
    tensors_of: dict[str, list[Tensor]] = {part: [] for part in PARTS}
    for module in backbone.modules():
        norm = isinstance(module, _NormBase)
        for parameter in module.parameters(recurse=False):
            tensors_of[PARTS[norm]].append(parameter)
        if norm and module.running_mean is not None and module.running_var is not None:
            tensors_of[PARTS[2]] += [module.running_mean, module.running_var]
    parts = {}
    for part, tensors in tensors_of.items():
        if tensors:
            flat = [tensor.detach().cpu().double().flatten() for tensor in tensors]
            parts[part] = torch.cat(flat)
    return parts


def changes(before: dict[str, Tensor], now: dict[str, Tensor]) -> dict[str, float]:
    """How far each part of a network moved in fine-tuning: ||w - w0|| / ||w0||, non-empty parts only."""
    norm: Callable[[Tensor], Any] = torch.linalg.vector_norm
    by_part = {}
    for part, old in before.items():
        by_part[part] = float(norm(now[part] - old) / norm(old).clamp(min=1e-12))
    return by_part


@contextmanager
def _outputs_for(
    backbone: nn.Module, views: Tensor, passed_on: Callable[[Tensor], Tensor]
) -> Iterator[list[Tensor]]:
    """Record a trained backbone's outputs for the large views, to which a regulariser is applied.

    Args:
        passed_on: returned to the caller of the backbone instead of such an output.
    """
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if inputs[0].shape[1:] != views.shape[1:]:
            return None
        seen.append(output)
        return passed_on(output)

    with backbone.register_forward_hook(keep):
        yield seen


class GradientNorms:
    """Squared norms of the gradients that reach a tensor through its named branches.

    A branch is the same tensor used by one term only, so the gradient through it is that term's gradient.
    Branches of several micro-batches add up, as rows of one batch would.
    """

    def __init__(self) -> None:
        self.squares: dict[str, Tensor] = {}

    def branch(self, name: str, tensor: Tensor) -> Tensor:
        """Return `tensor` for the term `name`; unchanged if no gradient is needed."""
        if not tensor.requires_grad:
            return tensor
        view = tensor.view_as(tensor)
        view.register_hook(partial(self._add, name))
        return view

    def _add(self, name: str, gradient: Tensor) -> None:
        square = gradient.detach().double().square().sum()
        self.squares[name] = self.squares[name] + square if name in self.squares else square

    def take(self, name: str) -> Tensor | None:
        """Return the squared norm since the last call; None if there was no gradient."""
        return self.squares.pop(name, None)


def relative(square: Tensor | None, other: Tensor) -> float:
    """Return the ratio of two norms that a training logs, given squared; 0 without the first, or NaN."""
    if not float(other) > 0:
        return float("nan")
    return 0.0 if square is None else float(torch.sqrt(square / other))


def head_of(method: Method) -> nn.Module | None:
    """Return the projection head of a training's method, from representations to what its loss compares."""
    inner = method.inner if isinstance(method, Penalised) else method
    head = getattr(inner, "head", None)
    return head if isinstance(head, nn.Module) else None
