"""Whether a loaded dictionary fits the vectors of a study, and which mistake is likely where it does not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.bases.dictionary import Coder, Dictionary
from core.bases.files import ReadDictionary, normalised
from core.bases.measures import Tally
from core.bases.notes import noted
from core.common.formatting import number
from core.common.verdicts.words import EXPLAINED
from core.config.bases import NORMALISATIONS
from core.errors import PeregrineError, SettingsError

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
    """Return the dictionary that fits the vectors (n, r) best among those that a file may mean, and a note.

    One of another width is none of them; where none has this width, the first is returned.
    """
    candidates = {found.reads_as: found.dictionary, **found.otherwise}
    of_width = {name: one for name, one in candidates.items() if one.width == width}
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
