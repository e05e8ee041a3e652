"""Train sparse autoencoders: TopK (Gao 2024) and Matryoshka (Bussmann 2025); docs/method.md 18.2.

Nothing random depends on earlier computations: the vectors of a step follow from (seed, step). Gradients are
written out, because with k codes a vector those of the weights are products with sparse matrices.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.bases.dictionary import TOPK, Dictionary, largest_of_rows
from core.bases.kinds import BATCH, PREFIXES, default_steps
from core.bases.vectors import FitRun, Vectors
from core.errors import PeregrineError
from core.training.augment import held
from core.training.loop import ResumableRun, run_steps

AUXILIARY, AUXILIARY_WEIGHT = 512, 1 / 32  # dead latents that reconstruct the residual, and their weight
DEAD_AFTER = 10_000_000  # vectors on which a dead latent has not been active
SAVE_EVERY = 2.0  # minutes


def fit_topk(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Train the dictionary TopK, a sparse autoencoder that keeps k codes of each vector, step by step."""
    return _fit(vectors, (size,), k, seed, run)


def fit_matryoshka(vectors: Vectors, size: int, k: int, seed: int, run: FitRun) -> Dictionary:
    """Train the dictionary Matryoshka, a sparse autoencoder whose first latents are a dictionary, too.

    The first 1/16, 1/8 … of the latents reconstruct on their own; the losses add up.
    """
    nested = sorted({max(1, round(size * share)) for share in PREFIXES})
    return _fit(vectors, tuple(nested), k, seed, run)


def _fit(vectors: Vectors, prefixes: tuple[int, ...], k: int, seed: int, run: FitRun) -> Dictionary:
    training = DictionaryRun(vectors, prefixes, k, seed, run)
    training.resume()
    run_steps(training, training.n_steps, run.progress, save_every=SAVE_EVERY)
    training.save()  # the fits with other seeds may be interrupted
    return training.dictionary()


class Autoencoder(nn.Module):
    """Weights for centred and scaled vectors x: z = topk(relu((x - b) We.T + be)), x^ = z Wd + b."""

    def __init__(self, size: int, width: int, seed: int):
        super().__init__()
        rows = torch.randn(size, width, generator=torch.Generator().manual_seed(seed))
        self.decoder = nn.Parameter(F.normalize(rows, dim=1))
        self.encoder = nn.Parameter(self.decoder.detach().clone())
        self.bias = nn.Parameter(torch.zeros(size))
        self.centre = nn.Parameter(torch.zeros(width))


class DictionaryRun(ResumableRun):
    """The training of one dictionary.

    Attributes:
        losses: tensors, so that no step waits for a GPU.
    """

    losses: list[Any]

    def __init__(self, vectors: Vectors, prefixes: tuple[int, ...], k: int, seed: int, run: FitRun) -> None:
        state = Path(f"{run.state}.{seed}.resume")
        super().__init__(run.progress, state, {**run.settings, "seed": seed, "prefixes": list(prefixes)})
        self.vectors, self.prefixes, self.seed, self.device = vectors, prefixes, seed, run.device
        size = prefixes[-1]
        self.k = min(k, size)
        self.batch_size = min(BATCH, len(vectors))
        self.n_steps = run.steps or default_steps(len(vectors))
        self.dead_after = min(DEAD_AFTER, self.n_steps * self.batch_size / 10)
        self.model = Autoencoder(size, vectors.width, seed).to(self.device)
        self.model.register_buffer("idle", torch.zeros(size, dtype=torch.int64, device=self.device))
        rate = 4e-4 * math.sqrt(16_384 / size)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=rate)
        self._centre = torch.from_numpy(vectors.centre.astype(np.float32)).to(self.device)
        self._held = None if vectors.held is None else held(vectors.held, self.device)

    def stateful(self) -> dict[str, Any]:
        return {"model": self.model, "optimiser": self.optimiser}

    def advance(self) -> None:
        places = self.vectors.places_of_step(self.seed, self.step, self.batch_size)
        x = (self._take(places) - self._centre) * self.vectors.scale
        self.torn = True
        loss = self.train_step(x)
        self.step += 1
        self.torn = False
        self.losses.append(loss)

    def _take(self, places: np.ndarray) -> Tensor:
        if isinstance(self._held, Tensor):
            return self._held[torch.from_numpy(places).to(self.device)]
        return torch.from_numpy(self.vectors.take(places)).to(self.device)

    def review(self) -> None:
        if self.step % 100 == 0 or self.step == self.n_steps:
            loss = sum(map(float, self.losses)) / len(self.losses)
            self.losses = [loss]
            if not math.isfinite(loss):
                raise PeregrineError(f"the loss is {loss} at step {self.step}; are there extreme vectors?")

    @torch.no_grad()
    def train_step(self, x: Tensor) -> Tensor:
        """One step of Adam, with gradients of length 1 at most; the decoder's rows keep their length of 1."""
        model: Any = self.model
        loss, gradients, active = gradients_of(
            model, x, self.k, self.prefixes, dead=model.idle > self.dead_after
        )
        along = (gradients["decoder"] * model.decoder).sum(1, keepdim=True)
        gradients["decoder"] -= along * model.decoder
        for name, parameter in model.named_parameters():
            parameter.grad = gradients[name]
        nn.utils.clip_grad_norm_(model.parameters(), 1 / x.shape[1])  # 1 of the loss summed over features
        self.optimiser.step()
        model.decoder.copy_(F.normalize(model.decoder, dim=1))
        model.idle.add_(len(x))
        model.idle[active] = 0
        return loss

    def dictionary(self) -> Dictionary:
        """The weights for vectors as they are: codes and biases are divided by the scale."""
        model: Any = self.model
        weights = {name: one.detach().cpu().numpy() for name, one in model.named_parameters()}
        scale = self.vectors.scale
        centre = (self.vectors.centre + weights["centre"] / scale).astype(np.float32)
        bias = (weights["bias"] / scale).astype(np.float32)
        facts = {
            "steps": self.step,
            "batch": self.batch_size,
            "scale": scale,
            "prefixes": list(self.prefixes),
        }
        return Dictionary(
            weights["decoder"], centre, weights["encoder"], bias, centre, TOPK, self.k, facts=facts
        )


@torch.no_grad()
def gradients_of(
    model: Any, x: Tensor, k: int, prefixes: tuple[int, ...], *, dead: Tensor
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Compute the loss of a sparse autoencoder in training, its gradients, and every active code's latent.

    loss = sum over prefixes p of mean (x^_p - x)^2 + AUXILIARY_WEIGHT * mean (e^ - e)^2, with x^_p the
    reconstruction by the latents below p, e = x - x^ the residual, taken as constant, and e^ its
    reconstruction by the AUXILIARY largest codes among dead latents. Means are over vectors and features.

    Args:
        x: (B, r) centred and scaled. prefixes: ascending, the last one is the number of latents M.
        dead: (M,) bool.
    """
    centred = x - model.centre
    pre = torch.addmm(model.bias, centred, model.encoder.T)  # (B, M)
    latents = largest_of_rows(pre, k)
    z = pre.gather(1, latents).clamp_min_(0)  # (B, k)
    size, loss, residual = len(model.decoder), x.new_zeros(()), x
    to_x, to_z, to_decoder = torch.zeros_like(x), torch.zeros_like(z), torch.zeros_like(model.decoder)
    for low, high in reversed(list(zip((0, *prefixes), prefixes, strict=False))):
        inside = torch.where(latents < high, z, 0)
        error = F.embedding_bag(latents, model.decoder, mode="sum", per_sample_weights=inside)
        error += model.centre - x
        residual = -error if high == size else residual
        loss += error.square().mean()
        to_x += error * (2 / x.numel())  # what the latents of low to high see: of all prefixes that hold them
        of_these = torch.where(latents >= low, inside, 0)
        to_decoder += _transposed(latents, of_these, size, to_x)
        to_z = torch.where(of_these > 0, _sampled(latents, to_x, model.decoder), to_z)
    to_bias = x.new_zeros(size).index_add_(0, latents.flatten(), to_z.flatten())
    gradients = {
        "decoder": to_decoder,
        "encoder": _transposed(latents, to_z, size, centred),
        "bias": to_bias,
        "centre": to_x.sum(0),
    }
    if dead.any():
        loss += _add_auxiliary(gradients, model, centred, pre, residual, dead.nonzero()[:, 0])
    gradients["centre"] -= gradients["bias"] @ model.encoder
    return loss, gradients, latents[z > 0]


def _add_auxiliary(
    gradients: dict[str, Tensor], model: Any, centred: Tensor, pre: Tensor, residual: Tensor, dead: Tensor
) -> Tensor:
    """Add the gradients of the auxiliary loss, and return it."""
    best = pre[:, dead].topk(min(AUXILIARY, len(dead)), dim=1, sorted=False)
    z = pre.new_zeros(len(pre), len(dead)).scatter_(1, best.indices, best.values.clamp_min(0))
    decoder = model.decoder[dead]
    error = z @ decoder - residual
    to_error = error * (2 * AUXILIARY_WEIGHT / error.numel())
    to_z = torch.where(z > 0, to_error @ decoder.T, 0)
    gradients["decoder"][dead] += z.T @ to_error
    gradients["encoder"][dead] += to_z.T @ centred
    gradients["bias"][dead] += to_z.sum(0)
    return AUXILIARY_WEIGHT * error.square().mean()


def _transposed(latents: Tensor, values: Tensor, size: int, right: Tensor) -> Tensor:
    """(size, r): the codes, transposed, times (B, r)."""
    n, k = latents.shape
    flat = latents.flatten()
    order = flat.argsort(stable=True)
    ends = torch.bincount(flat, minlength=size).cumsum(0)
    return _csr(F.pad(ends, (1, 0)), order // k, values.flatten()[order], (size, n)) @ right


def _sampled(latents: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(B, k): the products of each row of (B, r) with the rows of (M, r) that its latents name."""
    n, k = latents.shape
    if left.device.type == "cpu" and not torch.backends.mkl.is_available():
        parts = zip(latents.split(256), left.split(256), strict=True)
        return torch.cat([torch.einsum("bkr,br->bk", right[rows], one) for rows, one in parts])
    starts = torch.arange(0, n * k + 1, k, device=left.device)
    pattern = _csr(starts, latents.flatten(), left.new_zeros(n * k), (n, len(right)))
    return torch.sparse.sampled_addmm(pattern, left, right.T).values().view(n, k)


def _csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that sparse matrices are new
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
