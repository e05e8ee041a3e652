"""overcomplete: an encoder of one linear layer, a dictionary whose rows are normalised, and a factor."""

import numpy as np

from core.bases.dictionary import Dictionary
from core.bases.libraries.linear import kept_by_visaebench
from core.bases.notes import noted
from core.bases.reading import KeptCodes, Reading, UnknownLayout, assembled, kept_by

SEVERAL_LAYERS = "its encoder has several layers, and only linear ones are read"
QUANTISED = "its codes are quantised (QSAE), and only codes of a linear encoder are read"
NO_ENCODER = (
    "it has no encoder, so it encodes by matching pursuit (MpSAE, OmpSAE), and only linear encoders are read"
)
FINAL = "encoder.final_block"
EPS = 1e-5  # of torch's batch normalisation


def read_overcomplete(reading: Reading) -> Dictionary:
    """z = relu(norm(x W.T + b)), the k largest or above exp(thresholds)."""
    decoder = _dictionary(reading)
    encoder, bias = _encoder(reading, decoder)
    return assembled(_kept_codes(reading), encoder, decoder, bias=bias)


def _kept_codes(reading: Reading) -> KeptCodes:
    """Return which codes are kept: a state dict names neither k nor class, only the settings beside it do."""
    if "thresholds" in reading.tensors and "jump_thresholds" not in reading.tensors:
        stated, thresholds = reading.said(), np.exp(reading.tensors["thresholds"])
        return kept_by(reading, stated.names, stated.ks, thresholds)
    return kept_by_visaebench(reading)


def _encoder(reading: Reading, decoder: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(M, r) weights and (M,) bias of the encoder; the batch normalisation after it is folded in."""
    tensors = reading.tensors
    if any("mlp_blocks" in name or "_blocks." in name for name in tensors):
        raise UnknownLayout(SEVERAL_LAYERS)
    if "Q" in tensors:
        raise UnknownLayout(QUANTISED)
    if "encoder.tied_to._weights" in tensors or "encoder.tied_to.C" in tensors:  # tied()
        return decoder, reading.first("encoder.bias")
    if "encoder.weight" in tensors:  # untied()
        return tensors["encoder.weight"], reading.first("encoder.bias")
    if f"{FINAL}.0.weight" not in tensors:
        raise UnknownLayout(NO_ENCODER)
    weight, bias = (tensors[f"{FINAL}.0.{part}"].astype(np.float64) for part in ("weight", "bias"))
    if f"{FINAL}.1.running_mean" in tensors:  # as it is after training
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, spread, gain, shift = (tensors[f"{FINAL}.1.{part}"].astype(np.float64) for part in parts)
        factor = gain / np.sqrt(spread + EPS)
        return weight * factor[:, None], (bias - mean) * factor + shift
    if f"{FINAL}.1.weight" in tensors:
        raise UnknownLayout("its encoder ends in a layer normalisation, which no linear encoder has")
    return weight, bias


def _dictionary(reading: Reading) -> np.ndarray:
    """(M, r) rows as they are used: normalised, or convex combinations of points and a relaxation."""
    tensors = reading.tensors
    multiplier = reading.number("dictionary.multiplier") or 0.0
    if "dictionary.C" in tensors:  # the archetypes of RATopKSAE and RAJumpSAE
        shares = np.maximum(tensors["dictionary.W"].astype(np.float64), 0)
        shares /= shares.sum(1, keepdims=True) + 1e-8
        relaxation = tensors["dictionary.Relax"].astype(np.float64)
        delta = reading.settings.get("delta")
        lengths = np.linalg.norm(relaxation, axis=1, keepdims=True)
        if delta is not None:
            relaxation = relaxation * np.minimum(float(delta) / np.where(lengths > 0, lengths, 1), 1)
        elif (lengths > 1 + 1e-4).any():
            reading.notes.append(noted("relaxation"))
        return (shares @ tensors["dictionary.C"] + relaxation) * np.exp(multiplier)
    rows = tensors["dictionary._weights"].astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if (np.abs(lengths - 1) < 0.1).all():  # it is normalised whenever it is used
        rows = rows / lengths
    return rows * np.exp(multiplier)
