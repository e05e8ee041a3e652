"""How well a dictionary describes vectors, and whether a loaded one fits those of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.bases.basis import LATENTS
from core.bases.dictionary import Coder, Dictionary, SparseRows
from core.bases.files import ReadDictionary, normalised
from core.bases.origin import noted
from core.bases.twins import twins
from core.common.formatting import number
from core.common.verdict_words import ALIKE, EXPLAINED
from core.config.bases import NORMALISATIONS
from core.errors import PeregrineError, SettingsError

# How well a dictionary describes vectors: R2, L0, dead latents, what each latent adds, and stability.


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
    """Return the table of a basis, one row a latent, columns LATENTS, from what was measured of it.

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
    """Count the latents of a dictionary that another fit finds again.

    Those that are not dead and of a stability of ALIKE or more; None where it is not known.

    Args:
        latents: table of a basis: dead, stability.
    """
    stable = latents["stability"].to_numpy(np.float64)[~latents["dead"].to_numpy(bool)]
    return int(np.count_nonzero(stable >= ALIKE)) if np.isfinite(stable).any() else None


def stability(decoder: np.ndarray, others: list[np.ndarray]) -> np.ndarray | None:
    """(M,) float64: the largest |cosine| of each latent's direction with one of another fit, their mean.

    NaN for a row without length; None without other fits.
    """
    if not others:
        return None
    return np.sum([twins(decoder, other)[1] for other in others], axis=0) / len(others)


# Whether a loaded dictionary fits the vectors of a study, and which mistake is likely where it does not.


BETTER = 0.2  # by how much another reading must be better to be named as the likely mistake
DENSE = 0.2  # share of latents that are active at once, above which a latent is not sparse
Readouts = Callable[[], Iterable[tuple[str, np.ndarray]]]


@dataclass(frozen=True)
class Described:
    """How well a dictionary describes some vectors."""

    r2: float
    l0: float


def fit_of(dictionary: Dictionary, vectors: np.ndarray, device: torch.device | str) -> Described:
    """R2 (-inf without variation or where it overflows) and L0 of a dictionary on vectors (n, r)."""
    coder = Coder(dictionary, device)
    tally = Tally()
    for start in range(0, len(vectors), coder.block_rows):
        raw = torch.from_numpy(vectors[start : start + coder.block_rows]).to(coder.device)
        codes = coder.encode(raw)
        tally.add(raw, raw - coder.decode(codes, raw)[0], codes.counts)
    r2 = tally.r2
    return Described(r2 if r2 is not None and np.isfinite(r2) else -np.inf, tally.l0)


def check_fit(
    dictionary: Dictionary,
    vectors: np.ndarray,
    where: str,
    device: torch.device | str,
    *,
    readouts: Readouts | None = None,
    assumed_pre_bias: bool = False,
) -> list[str]:
    """Return what a user should know before trusting a loaded dictionary.

    Args:
        vectors: (n, r) of the study. readouts: yields other readings of some images, in words: other tokens
            and layers. assumed_pre_bias: nobody says whether a bias is subtracted first.
    Raises:
        SettingsError: no latent is active on any vector.
    """
    fit = fit_of(dictionary, vectors, device)
    if fit.l0 == 0 or not dictionary.decoder.any():
        tried = dict(_other_normalisations(dictionary, vectors, device))
        best = max(tried, key=tried.__getitem__)
        likely = (
            f". Likely the {best}: with it R2 is {_number(tried[best])}" if tried[best] >= EXPLAINED else ""
        )
        raise SettingsError(
            f"{where}: no latent is active on any of {len(vectors):,} vectors, so it is dead, or of another "
            f"layer, token or normalisation{likely}"
        )
    notes = []
    if fit.l0 > DENSE * dictionary.size and dictionary.size > dictionary.width:
        notes.append(
            f"{fit.l0:,.0f} of {dictionary.size:,} latents are active on a vector: they are not sparse"
        )
    if fit.r2 >= EXPLAINED:
        return [*notes, *_bias_other_way(dictionary, vectors, device, fit.r2 if assumed_pre_bias else np.inf)]
    start = f"R2 is {_number(fit.r2)} on this study's vectors: wrong layer, token or normalisation"
    tried = dict(_other_normalisations(dictionary, vectors, device))
    try:
        for words, others in readouts() if readouts else ():
            tried[words] = fit_of(dictionary, others, device).r2
    except PeregrineError as error:
        start += f" (other tokens and layers could not be tried: {error})"
    best = max(tried, key=tried.__getitem__, default=None)
    if best is None or tried[best] < max(EXPLAINED, fit.r2 + BETTER):
        return [*notes, f"{start}. None of {len(tried)} others that were tried is better"]
    return [*notes, f"{start}. Likely the {best}: with it R2 is {_number(tried[best])}"]


def chosen(
    found: ReadDictionary, width: int, vectors: np.ndarray, device: torch.device | str
) -> tuple[Dictionary, list[str]]:
    """Choose, of the dictionaries that a file may mean, the one that fits the vectors best, and a note.

    Return the dictionary that fits the vectors (n, r) best among those that a file may mean, and a note.

    One of another width is none of them; where none has this width, the first is returned.
    """
    candidates = {found.reads_as: found.dictionary, **found.otherwise}
    of_width = {name: candidate for name, candidate in candidates.items() if candidate.width == width}
    if not of_width or len(candidates) == 1:
        return found.dictionary, []
    if len(of_width) == 1:
        ((name, one),) = of_width.items()
        turned = name != found.reads_as
        return one, [noted("transposed", n=one.size, of=width)] if turned else []
    r2 = {name: max(fit_of(one, vectors, device).r2, -99.0) for name, one in of_width.items()}
    best = max(r2, key=r2.__getitem__)
    rest = max(one for name, one in r2.items() if name != best)
    return of_width[best], [noted("orientation", what=best, value=r2[best], chance=rest)]


def _bias_other_way(
    dictionary: Dictionary, vectors: np.ndarray, device: torch.device | str, r2: float
) -> Iterable[str]:
    """A note where the decoder's bias, subtracted the other way, describes the vectors better."""
    if not dictionary.offset.any() or r2 == np.inf:
        return
    subtracted = dictionary.pre_bias.any()
    pre_bias = np.zeros_like(dictionary.offset) if subtracted else dictionary.offset
    other = fit_of(replace(dictionary, pre_bias=pre_bias), vectors, device).r2
    if other > r2:
        way = "not subtracted first (--pre-bias no)" if subtracted else "subtracted first (--pre-bias yes)"
        yield noted("bias_other_way", what=way, value=other)


def _other_normalisations(
    dictionary: Dictionary, vectors: np.ndarray, device: torch.device | str
) -> Iterable[tuple[str, float]]:
    mean = vectors.mean(0)
    length = float(np.linalg.norm(vectors, axis=1).mean())
    spread = float(np.sqrt(((vectors - mean) ** 2).sum(1).mean()))
    for name in NORMALISATIONS:
        if name != dictionary.norm:
            other = normalised(dictionary, name, mean, spread if name == "centred" else length)
            yield f"normalisation (--normalisation {name})", fit_of(other, vectors, device).r2
    if dictionary.pre_bias.any():
        zero = replace(dictionary, pre_bias=np.zeros_like(dictionary.pre_bias))
        yield "decoder's bias, which is subtracted first", fit_of(zero, vectors, device).r2
    elif dictionary.offset.any():
        other = replace(dictionary, pre_bias=dictionary.offset)
        yield "decoder's bias, which is not subtracted first", fit_of(other, vectors, device).r2


def _number(r2: float) -> str:
    return number(r2, 2) if r2 > -10 else "far below 0"
