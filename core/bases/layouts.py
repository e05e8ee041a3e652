"""Dictionaries of other libraries, recognised by the names of their weights: one table (docs/method.md 18.4).

What a library publishes as its forward pass is what its files mean here. Arrays are float32; nothing is read
from a file but numbers and texts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.bases.dictionary import JUMP, RAW_TOPK, RELU, TOPK, Dictionary
from core.errors import CheckpointError

NamedWeights = Mapping[str, np.ndarray]
Settings = Mapping[str, Any]
SEVERAL_LAYERS = "its encoder has several layers, and only linear ones are read"
GATED = "it is a gated autoencoder, and only linear encoders with topk, jumprelu or ReLU are read"
TRANSCODER = "it is a transcoder: it writes what another layer will hold, so it is no basis of its own"
NO_THRESHOLD = "its activation is {activation}, but neither its weights nor its settings hold a threshold"
NO_K = "the file does not say k, so every positive code is kept: give --k K if it was trained to keep k"
FACTOR = "its vectors were scaled by a factor that is not in the file (expected_average_only_in)"


class UnknownLayout(CheckpointError):
    """The weights are of no library that is known."""


@dataclass(frozen=True)
class DictionaryLayout:
    """How a library writes a dictionary.

    Attributes:
        fits: whether weights and settings are its own. build: a dictionary of them; `k`: by the user.
    """

    name: str
    fits: Callable[[NamedWeights, Settings], bool]
    build: Callable[[NamedWeights, Settings, int | None], Dictionary]


def recognise_dictionary(
    state: NamedWeights, config: Settings, k: int | None = None
) -> tuple[str, Dictionary]:
    """Return the library's name and the dictionary.

    Args:
        config: the settings beside the weights, or in their header. k: overrides what they say.
    Raises:
        UnknownLayout: the weights are of no library of LIBRARIES, or not such as are read.
    """
    for layout in LIBRARIES:
        if layout.fits(state, config):
            return layout.name, layout.build(state, config, k)
    names = ", ".join(sorted(state)[:8])
    libraries = ", ".join(layout.name for layout in LIBRARIES)
    raise UnknownLayout(f"holds no dictionary that is known ({libraries}); its weights: {names or 'none'}")


def _dictionary(
    state: NamedWeights,
    encoder: np.ndarray,
    decoder: np.ndarray,
    activation: str,
    *,
    bias: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    pre_bias: bool | np.ndarray = False,
    k: int | None = None,
    threshold: np.ndarray | float | None = None,
    norm: str = "none",
    notes: list[str] | None = None,
) -> Dictionary:
    """Args: encoder, decoder: (M, r). pre_bias: True for the offset itself."""
    size, width = decoder.shape
    if encoder.shape != decoder.shape:
        raise UnknownLayout(f"has an encoder of shape {encoder.shape} and a decoder of {decoder.shape}")
    offset = np.zeros(width) if offset is None else offset
    if pre_bias is True:
        subtracted = offset
    elif pre_bias is False:
        subtracted = np.zeros(width)
    else:
        subtracted = pre_bias
    if activation == JUMP:
        threshold = np.broadcast_to(np.asarray(threshold, np.float32), (size,))
    values = (decoder, offset, encoder, np.zeros(size) if bias is None else bias, subtracted)
    rows, centre, directions, shift, before = (np.ascontiguousarray(one, np.float32) for one in values)
    n_active = k if activation in (TOPK, RAW_TOPK) else None
    facts = {"n_tensors": len(state), "notes": notes or []}
    held = None if activation != JUMP else np.array(threshold, np.float32)
    return Dictionary(rows, centre, directions, shift, before, activation, n_active, held, norm, facts)


def _kept(k: int | None, *said: Any) -> int | None:
    """The k of the user, else the first that is said."""
    return next((int(one) for one in (k, *said) if one is not None), None)


def _top_or_relu(k: int | None) -> dict[str, Any]:
    return {"activation": TOPK, "k": k} if k else {"activation": RELU, "notes": [NO_K]}


def _saev(state: NamedWeights, config: Settings, k: int | None) -> Dictionary:
    """f = act(x W_enc + b_enc): ReLU; the k largest, whatever their sign; or above a threshold.

    Schema 1 (either of its two forms) to 5 name the activation; before that it was ReLU.
    """
    cfg = config.get("cfg", config)
    about = cfg.get("activation")
    cls = config.get("cls")
    if isinstance(about, dict):
        cls = about.get("cls")
        top = about.get("params", {}).get("top_k")
    else:
        top = cfg.get("top_k", 32)
    given: dict[str, Any] = {"activation": RELU}
    if "activation.threshold" in state:
        given = {"activation": JUMP, "threshold": max(0.0, float(state["activation.threshold"]))}
    elif cls in ("TopK", "BatchTopK"):
        given = {"activation": RAW_TOPK, "k": _kept(k, top)}
    bias = state.get("b_enc")
    offset = state.get("b_dec")
    return _dictionary(state, state["W_enc"].T, state["W_dec"], bias=bias, offset=offset, **given)


def _overcomplete(state: NamedWeights, config: Settings, k: int | None) -> Dictionary:
    """z = relu(norm(x W.T + b)), the k largest or above exp(thresholds); decoder rows of length exp(m)."""
    if any("mlp_blocks" in name for name in state):
        raise UnknownLayout(SEVERAL_LAYERS)
    encoder, bias = (state[f"encoder.final_block.0.{part}"].astype(np.float64) for part in ("weight", "bias"))
    if "encoder.final_block.1.running_mean" in state:  # batch normalisation, as it is after training
        mean, spread, gain, shift = (
            state[f"encoder.final_block.1.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = gain / np.sqrt(spread + 1e-5)
        encoder = encoder * factor[:, None]
        bias = (bias - mean) * factor + shift
    elif "encoder.final_block.1.weight" in state:
        raise UnknownLayout("its encoder ends in a layer normalisation, which no linear encoder has")
    decoder = state["dictionary._weights"].astype(np.float64)
    lengths = np.linalg.norm(decoder, axis=1, keepdims=True)
    if (np.abs(lengths - 1) < 0.1).all():  # it is normalised whenever it is used
        decoder = decoder / lengths
    decoder = decoder * np.exp(float(state.get("dictionary.multiplier", np.zeros(1)).reshape(-1)[0]))
    if "thresholds" in state:
        given: dict[str, Any] = {"activation": JUMP, "threshold": np.exp(state["thresholds"])}
    else:
        given = _top_or_relu(_kept(k, config.get("top_k"), config.get("k")))
    return _dictionary(state, encoder, decoder, bias=bias, **given)


def _visaebench(state: NamedWeights, config: Settings, k: int | None) -> Dictionary:
    """z = relu(x W.T + b), then the k largest, or those not below one threshold, or above each its own."""
    kind = str(
        config.get("activation") or config.get("sae_type") or config.get("architecture") or "topk"
    ).lower()
    if kind == "batchtopk":
        threshold = config.get("threshold", state.get("_running_threshold"))
        if threshold is None:
            raise UnknownLayout(NO_THRESHOLD.format(activation=kind))
        least = np.nextafter(np.float32(threshold), np.float32(-np.inf))  # those equal to it are kept
        given: dict[str, Any] = {"activation": JUMP, "threshold": max(0.0, float(least))}
    elif kind == "jumprelu":
        threshold = state.get("jump_thresholds", state.get("thresholds"))
        if threshold is None:
            raise UnknownLayout(NO_THRESHOLD.format(activation=kind))
        given = {"activation": JUMP, "threshold": threshold}
    else:
        given = _top_or_relu(_kept(k, config.get("k")))
    bias = state["encoder.bias"]
    offset = state.get("decoder.bias")
    return _dictionary(
        state, state["encoder.weight"], state["decoder.weight"], bias=bias, offset=offset, **given
    )


def _dictionary_learning(state: NamedWeights, config: Settings, k: int | None) -> Dictionary:
    """f = relu((x - b) W.T + c); AutoEncoderNew and JumpReLU do not subtract the decoder's bias b."""
    if {"r_mag", "gate_bias"} & set(state):
        raise UnknownLayout(GATED)
    trainer = config.get("trainer", config)
    cls = str(trainer.get("dict_class", ""))
    stored = {name: float(state[name].reshape(-1)[0]) for name in ("k",) if name in state}
    top = _kept(k, stored.get("k"), trainer.get("k"))
    if "W_enc" in state:
        matryoshka = "group_sizes" in state or "Matryoshka" in cls
        given: dict[str, Any] = {"activation": JUMP, "threshold": np.maximum(state["threshold"], 0)}
        return _dictionary(
            state,
            state["W_enc"].T,
            state["W_dec"],
            bias=state["b_enc"],
            offset=state["b_dec"],
            pre_bias=matryoshka,
            **given,
        )
    offset = state.get("b_dec", state.get("bias", state.get("decoder.bias")))
    if "BatchTopK" in cls and "threshold" in state:
        given = {"activation": JUMP, "threshold": np.maximum(state["threshold"], 0)}
    elif "b_dec" in state:
        given = _top_or_relu(top)
    else:
        given = {"activation": RELU}
    return _dictionary(
        state,
        state["encoder.weight"],
        state["decoder.weight"].T,
        bias=state["encoder.bias"],
        offset=offset,
        pre_bias="decoder.bias" not in state,
        **given,
    )


NORMS_OF = {"layer_norm": "layer_norm", "constant_norm_rescale": "sqrt_d"}


def _matrices(state: NamedWeights, config: Settings, k: int | None) -> Dictionary:
    """SAELens and Prisma: f = act((norm(x) - b_dec) W_enc + b_enc). Prisma subtracts b_dec always."""
    if {"r_mag", "b_gate"} & set(state) or config.get("architecture") == "gated":
        raise UnknownLayout(GATED)
    kind = str(config.get("architecture"))
    if "transcoder" in kind or config.get("is_transcoder") or {"W_skip", "b_dec_out"} & set(state):
        raise UnknownLayout(TRANSCODER)
    kwargs = config.get("activation_fn_kwargs") or {}
    name = str(config.get("activation_fn_str") or config.get("activation_fn") or kind)
    encoder = state["W_enc"].T
    decoder = state["W_dec"]
    bias = state.get("b_enc")
    given: dict[str, Any] = {"activation": RELU}
    threshold = state.get("threshold", state.get("topk_threshold"))  # one for all until training has ended
    if threshold is not None:
        given = {"activation": JUMP, "threshold": np.maximum(threshold, 0)}
    elif name.startswith("topk") or kind == "topk":
        given = _top_or_relu(_kept(k, config.get("k"), kwargs.get("k")))
    elif any(one in kind + name for one in ("batchtopk", "jumprelu")):
        raise UnknownLayout(NO_THRESHOLD.format(activation=kind))
    notes = given.pop("notes", [])
    if config.get("normalize_activations") == "expected_average_only_in":
        notes = [*notes, f"{FACTOR}: try --normalisation mean_norm"]
    if config.get("rescale_acts_by_decoder_norm"):
        lengths = np.linalg.norm(decoder, axis=1)
        encoder = encoder * lengths[:, None]
        decoder = decoder / np.where(lengths > 0, lengths, 1)[:, None]
        bias = None if bias is None else bias * lengths
    return _dictionary(
        state,
        encoder,
        decoder,
        bias=bias,
        offset=state["b_dec"],
        pre_bias=bool(config.get("apply_b_dec_to_input", True)),
        norm=NORMS_OF.get(str(config.get("normalize_activations")), "none"),
        notes=notes,
        **given,
    )


def _has(state: NamedWeights, *names: str) -> bool:
    return all(name in state for name in names)


def _is_linear(state: NamedWeights) -> bool:
    """Whether the decoder is stored as a linear layer (r, M), not as the encoder (M, r)."""
    encoder = state["encoder.weight"]
    decoder = state["decoder.weight"]
    if encoder.shape[0] != encoder.shape[1]:
        return decoder.shape == encoder.shape[::-1]
    return _has(state, "b_dec") or _has(state, "bias")


LIBRARIES = (
    DictionaryLayout("saev", lambda s, c: _has(s, "W_enc", "W_dec") and "d_sae_header" in c, _saev),
    DictionaryLayout(
        "overcomplete",
        lambda s, c: _has(s, "encoder.final_block.0.weight", "dictionary._weights"),
        _overcomplete,
    ),
    DictionaryLayout(
        "dictionary_learning",
        lambda s, c: (
            (_has(s, "encoder.weight", "decoder.weight") and _is_linear(s))
            or (_has(s, "W_enc", "W_dec", "threshold") and "d_sae" not in c and "d_in" not in c)
            or _has(s, "r_mag", "gate_bias")
        ),
        _dictionary_learning,
    ),
    DictionaryLayout("ViSAEBench", lambda s, c: _has(s, "encoder.weight", "decoder.weight"), _visaebench),
    DictionaryLayout(
        "SAELens", lambda s, c: _has(s, "W_enc", "W_dec", "b_dec") and "apply_b_dec_to_input" in c, _matrices
    ),
    DictionaryLayout(
        "Prisma",
        lambda s, c: (
            _has(s, "W_enc", "W_dec", "b_dec") and ("activation_fn_str" in c or "d_in" in c or "d_sae" in c)
        ),
        _matrices,
    ),
)
