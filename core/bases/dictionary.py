"""A dictionary: how a vector becomes codes, and codes a vector again (docs/method.md 18.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.bases.kinds import FEWEST_LATENTS
from core.errors import SettingsError

# Which k of every row are largest: by torch, and on a GPU by a kernel of Triton, where there is one.
#
# For 32 of 4,096 torch takes nearly as long as the product before it. The kernel holds a row in registers,
# finds the k-th largest number by halving, and writes columns in their order.


MOST_IN_REGISTERS = 16_384  # numbers of a row


def largest_of_rows(values: Tensor, k: int) -> Tensor:
    """Find the k largest numbers of each row, the codes of a dictionary; the left ones of equals.

    Args:
        values: (n, M) float32. k: 1 to M.
    Returns:
        (n, k) int64: their columns, ascending.
    """
    if values.is_cuda and values.dtype == torch.float32 and values.shape[1] <= MOST_IN_REGISTERS:
        select = _kernel()
        if select is not None:
            return select(values, k)
    return values.topk(k, dim=1, sorted=False).indices.sort(1).values


@cache
def _kernel() -> Callable[[Tensor, int], Tensor] | None:
    """Return the GPU kernel; None without Triton, a C compiler or a GPU that it supports."""
    try:
        from core.bases.largest_on_gpu import select

        select(torch.zeros(1, 2, device="cuda"), 1)
    except Exception:  # each of them has its own errors
        return None
    return select


# A dictionary: how a vector becomes codes, and codes a vector again (docs/method.md 18.1).
#
#     x' = (x - m_i) / s_i                the normalisation of each vector; m_i = 0, s_i = 1 without one
#     z  = act((x' - pre_bias) @ encoder.T + bias)
#     x^ = (z @ decoder + offset) s_i + m_i
#
# Here m_i and s_i are of the vector itself. What is fitted by this project has its scaling folded into the
# weights, so codes are in the units of the vectors.


TOPK, MAGNITUDE, NEAREST, RELU, JUMP, RAW_TOPK, NMF = (
    "topk",  # the k largest, then ReLU
    "magnitude",  # the k largest in magnitude, with their signs
    "nearest",  # 1 for the largest
    "relu",
    "jumprelu",  # what is above the latent's threshold, and positive
    "raw-topk",  # the k largest, also where they are negative
    "nmf",  # least squares with codes of at least 0, then the k largest
)
NORMS = ("none", "layer_norm", "sqrt_d", "unit")
MOST_ENTRIES = 64 << 20  # of a block of codes before they are sparse
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Dictionary:
    """The weights of a dictionary with M latents of vectors with r features.

    Attributes:
        decoder, encoder: (M, r). offset, pre_bias: (r,). bias: (M,). All float32.
        activation: how the pre-activations become codes. k: active latents, of the kinds that keep k.
        threshold: (M,), of `jumprelu`. norm: one of NORMS. facts: what a card says of it besides.
    """

    decoder: np.ndarray
    offset: np.ndarray
    encoder: np.ndarray
    bias: np.ndarray
    pre_bias: np.ndarray
    activation: str
    k: int | None = None
    threshold: np.ndarray | None = None
    norm: str = "none"
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.decoder)

    @property
    def width(self) -> int:
        return self.decoder.shape[1]

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by name, as a study stores them."""
        by_name = {
            name: getattr(self, name)
            for name in ("decoder", "offset", "encoder", "bias", "pre_bias", "threshold")
        }
        return {name: np.asarray(one, np.float32) for name, one in by_name.items() if one is not None}


@dataclass(frozen=True)
class SparseRows:
    """Codes of n vectors as entries, by row and within a row by latent."""

    n: int
    rows: Tensor  # (n_active,) int64
    latents: Tensor  # (n_active,) int64
    values: Tensor  # (n_active,) float32

    @property
    def counts(self) -> Tensor:
        return torch.bincount(self.rows, minlength=self.n)


class Coder:
    """A dictionary on a device, which encodes and decodes."""

    def __init__(self, dictionary: Dictionary, device: str | torch.device = "cpu"):
        self.about, self.device = dictionary, torch.device(device)
        self.weights = {}
        for name, array in dictionary.arrays().items():
            self.weights[name] = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def __reduce__(self) -> Any:
        return Coder, (self.about, self.device)

    @property
    def block_rows(self) -> int:
        """How many vectors are encoded at once, so that memory is bounded."""
        return max(1, MOST_ENTRIES // max(self.about.size, self.about.width))

    def encode(self, raw: Tensor) -> SparseRows:
        """(n, r) vectors -> codes; all n at once, see `block_rows`."""

        about = self.about
        weights = self.weights
        if about.activation == NMF:
            return _entries(torch.from_numpy(_nmf_codes(raw.cpu().numpy(), about)).to(self.device), about.k)
        x = raw
        if about.norm != "none":
            mean, scale = normalisation(raw, about.norm)
            x = (raw - mean) / scale
        pre = torch.addmm(weights["bias"], x - weights["pre_bias"], weights["encoder"].T)
        if about.activation in (RELU, JUMP):
            above = weights["threshold"] if about.activation == JUMP else 0.0
            return _entries(torch.where((pre > above) & (pre > 0), pre, 0.0), None)
        ranked = pre.abs() if about.activation == MAGNITUDE else pre
        k = 1 if about.activation == NEAREST else min(about.k or about.size, about.size)
        latents = largest_of_rows(ranked, k)
        values = pre.gather(1, latents)
        if about.activation == NEAREST:
            values = torch.ones_like(values)
        elif about.activation == TOPK:
            values = values.clamp_min_(0)
        rows = torch.arange(len(raw), device=self.device)[:, None].expand_as(latents)
        entries = [one.flatten() for one in (rows, latents, values)]
        if not (is_active := entries[2] != 0).all():
            active = is_active.nonzero()[:, 0]
            entries = [entry[active] for entry in entries]
        return SparseRows(len(raw), *entries)

    def decode(self, codes: SparseRows, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct vectors from their codes.

        Args:
            raw: (n, r) the vectors, of which only the normalisation is taken.
        Returns:
            (n, r) reconstructions, and (n, 1) the scale s_i by which a latent's direction is multiplied.
        """
        starts = torch.cat([codes.counts.new_zeros(1), codes.counts.cumsum(0)[:-1]])
        summed = torch.nn.functional.embedding_bag(
            codes.latents, self.weights["decoder"], starts, mode="sum", per_sample_weights=codes.values
        )
        mean, scale = normalisation(raw, self.about.norm)
        return (summed + self.weights["offset"]) * scale + mean, scale


def normalisation(raw: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Return mean and scale by which a dictionary normalises the vectors that it encodes.

    The m and s of each vector, (n, 1): x' = (x - m) / s. A vector without length or spread has s = 1.
    """
    zero = raw.new_zeros(len(raw), 1)
    one = raw.new_ones(len(raw), 1)
    if norm == "none":
        return zero, one
    if norm == "layer_norm":  # as SAELens and Prisma do it: ddof 1
        mean = raw.mean(1, keepdim=True)
        scale = (raw - mean).std(1, keepdim=True) + LAYER_NORM_EPS
        return mean, scale
    length = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
    scale = length / raw.shape[1] ** 0.5 if norm == "sqrt_d" else length
    return zero, torch.where(length > 0, scale, one)


def _entries(dense: Tensor, k: int | None) -> SparseRows:
    """The entries of dense codes that are not 0, of each row the k largest."""
    if k is not None and k < dense.shape[1]:
        largest = dense.topk(k, dim=1, sorted=False)
        dense = torch.zeros_like(dense).scatter_(1, largest.indices, largest.values)
    rows, latents = dense.nonzero(as_tuple=True)
    return SparseRows(len(dense), rows, latents, dense[rows, latents])


def _nmf_codes(raw: np.ndarray, about: Dictionary) -> np.ndarray:
    """(n, M) float32: codes of at least 0 for which a dictionary's components come nearest to each vector."""
    from sklearn.decomposition import non_negative_factorization

    factorise: Any = non_negative_factorization
    decoder = about.decoder.astype(np.float64)
    positive = np.maximum(raw, 0, dtype=np.float64)
    codes, _, _ = factorise(
        positive, H=decoder, n_components=about.size, init="custom", update_H=False, tol=1e-4, max_iter=200
    )
    return codes.astype(np.float32)


def check_latents(size: int, where: str) -> None:
    """Raise SettingsError for a dictionary of fewer latents than one of them can stand out from."""
    if size < FEWEST_LATENTS:
        raise SettingsError(
            f"{where}: a basis needs {FEWEST_LATENTS} or more latents, since a feature fires where it stands "
            "out from the others of an image"
        )


def check_dictionary(dictionary: Dictionary, width: int, where: str) -> Dictionary:
    """Raise SettingsError for a dictionary that can encode nothing of vectors of this width."""
    if dictionary.width != width:
        raise SettingsError(
            f"{where}: its vectors have {dictionary.width:,} features, those of this study {width:,}; it is "
            "of another encoder or layer"
        )
    check_latents(dictionary.size, where)
    for name, array in dictionary.arrays().items():
        if not np.isfinite(array).all():
            raise SettingsError(f"{where}: {name} holds NaN or infinity, so it encodes nothing")
    if dictionary.k is not None and dictionary.k > dictionary.size:
        raise SettingsError(
            f"{where}: k is {dictionary.k:,}, but it has {dictionary.size:,} latents; lower k"
        )
    return dictionary


def with_gain(dictionary: Dictionary, gain: float) -> Dictionary:
    """Multiply all codes of a dictionary by a factor, by what makes them."""
    return replace(
        dictionary,
        encoder=(dictionary.encoder * gain).astype(np.float32),
        bias=(dictionary.bias * gain).astype(np.float32),
    )


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def folded(dictionary: Dictionary, mean: np.ndarray, factor: float) -> Dictionary:
    """A dictionary for (x - mean) * factor as one for x, with the same codes."""
    encoder, decoder = dictionary.encoder * factor, dictionary.decoder / factor
    pre_bias, offset = mean + dictionary.pre_bias / factor, mean + dictionary.offset / factor
    return replace(
        dictionary,
        encoder=_float32(encoder),
        pre_bias=_float32(pre_bias),
        decoder=_float32(decoder),
        offset=_float32(offset),
    )


def whitened(
    dictionary: Dictionary, mean: np.ndarray, forward: np.ndarray, backward: np.ndarray
) -> Dictionary:
    """A dictionary for z = (x - mean) @ forward as one for x, with the same codes.

    Args:
        forward, backward: (r, r), with x = z @ backward + mean.
    """
    directions = dictionary.encoder.astype(np.float64)
    before = directions @ dictionary.pre_bias.astype(np.float64)
    decoder = dictionary.decoder.astype(np.float64) @ backward
    offset = dictionary.offset.astype(np.float64) @ backward + mean
    encoder, bias = directions @ forward.T, dictionary.bias - before
    return replace(
        dictionary,
        encoder=_float32(encoder),
        bias=_float32(bias),
        pre_bias=_float32(mean),
        decoder=_float32(decoder),
        offset=_float32(offset),
    )
