"""How well a dictionary describes vectors: R2, L0, dead latents, what each latent adds, and stability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.bases.basis import LATENTS
from core.bases.dictionary import Coder, SparseRows
from core.bases.twins import twins
from core.common.verdicts.words import ALIKE

GATHERED = 1 << 24  # entries of decoder rows that are gathered at once


@dataclass
class Tally:
    """Sums over vectors, in double precision, that are added block by block.

    Attributes:
        n: vectors. squared, total: sum of squares and sum of the vectors. error: sum of squared residuals.
        active: entries of the codes.
    """

    n: int = 0
    squared: float = 0.0
    error: float = 0.0
    active: int = 0
    total: Any = 0.0

    def add(self, raw: Tensor, residual: Tensor, counts: Tensor) -> None:
        wide = raw.double()
        self.n += len(raw)
        self.squared += float((wide**2).sum())
        self.error += float((residual.double() ** 2).sum())
        self.total = self.total + wide.sum(0).cpu().numpy()
        self.active += int(counts.sum())

    def packed(self, width: int) -> np.ndarray:
        """(4 + r,) float64, from which `include` adds it."""
        total = np.broadcast_to(self.total, width)
        return np.concatenate([[self.n, self.squared, self.error, self.active], total])

    def include(self, packed: np.ndarray) -> None:
        n, squared, error, active = packed[:4].tolist()
        self.n, self.active = self.n + int(n), self.active + int(active)
        self.squared = self.squared + squared
        self.error = self.error + error
        self.total = self.total + packed[4:]

    @property
    def variation(self) -> float:
        """The sum of squared distances to the mean vector."""
        return self.squared - float((np.asarray(self.total) ** 2).sum()) / self.n if self.n else 0.0

    @property
    def r2(self) -> float | None:
        """1 - residual / variation; None without variation."""
        return 1 - self.error / self.variation if self.n and self.variation > 1e-12 * self.squared else None

    @property
    def l0(self) -> float:
        """Mean number of active latents of a vector."""
        return self.active / self.n if self.n else 0.0


@dataclass
class LatentTally:
    """What each latent does, added block by block: all (M,) float64."""

    size: int
    sums: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sums = {name: np.zeros(self.size) for name in ("active", "value", "gain", "max")}

    def add(self, coder: Coder, codes: SparseRows, residual: Tensor, scale: Tensor) -> None:
        """Add a block. `gain` is by how much the squared residual grows where the latent is left out."""
        decoder = coder.weights["decoder"]
        values = codes.values.double()
        along = torch.empty_like(codes.values)
        step = max(1, GATHERED // decoder.shape[1])
        for at in range(0, len(along), step):
            here = slice(at, at + step)
            along[here] = (decoder[codes.latents[here]] * residual[codes.rows[here]]).sum(1)
        weighted = values * scale[codes.rows, 0].double()
        lengths = (decoder.double() ** 2).sum(1)[codes.latents]
        gain = 2 * weighted * along.double() + weighted**2 * lengths
        for name, one in (("active", torch.ones_like(values)), ("value", values), ("gain", gain)):
            added = torch.zeros(self.size, dtype=torch.float64, device=values.device)
            self.sums[name] += added.index_add_(0, codes.latents, one).cpu().numpy()
        most = torch.zeros(self.size, dtype=torch.float64, device=values.device)
        most.scatter_reduce_(0, codes.latents, values.abs(), "amax")
        self.sums["max"] = np.maximum(self.sums["max"], most.cpu().numpy())


def latents_frame(tally: LatentTally, whole: Tally, stable: np.ndarray | None) -> pd.DataFrame:
    """One row a latent: the table of a basis, columns LATENTS.

    l0: share of the vectors on which it is active, so that the column adds up to the L0. r2: the R2 that is
    lost without it. mean: of its values where it is active. max: largest magnitude.
    """
    active = tally.sums["active"]
    varies = whole.r2 is not None
    unknown = np.full(tally.size, np.nan)
    means = np.divide(tally.sums["value"], active, out=np.zeros(tally.size), where=active > 0)
    r2 = tally.sums["gain"] / whole.variation if varies else unknown
    frame: dict[str, Any] = {"latent": np.arange(tally.size), "l0": active / max(whole.n, 1), "r2": r2}
    frame["stability"] = unknown if stable is None else stable
    frame |= {"dead": active == 0, "mean": means, "max": tally.sums["max"]}
    return pd.DataFrame({name: frame[name] for name in LATENTS})


def n_again(latents: pd.DataFrame) -> int | None:
    """Count the latents that another fit finds again, those that are not dead and of a stability of ALIKE or
    more; None where it is not known.

    Args:
        latents: table of a basis: dead, stability.
    """
    stable = latents["stability"].to_numpy(np.float64)[~latents["dead"].to_numpy(bool)]
    return int(np.count_nonzero(stable >= ALIKE)) if np.isfinite(stable).any() else None


def stability(decoder: np.ndarray, others: list[np.ndarray]) -> np.ndarray | None:
    """(M,) float64: the largest |cosine| of each row with a row of another fit, averaged over the other fits.

    NaN for a row without length; None without other fits.
    """
    if not others:
        return None
    return np.sum([twins(decoder, other)[1] for other in others], axis=0) / len(others)
