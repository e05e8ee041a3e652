"""Dictionaries of Linear layers, as several libraries write them."""

from dataclasses import replace

import numpy as np

from core.bases.dictionary import JUMP, RAW_TOPK, RELU, TOPK, Dictionary
from core.bases.matrices import GATED, TRANSCODER
from core.bases.origin import noted
from core.bases.reading import KeptCodes, Reading, UnknownLayout, assembled, kept_by

# Two Linear layers: dictionary_learning, ViSAEBench, sparse-autoencoder, sparsify, OpenAI, and anybody's.


# What the classes of dictionary_learning keep: None where their settings say k.
CLASSES = {
    "AutoEncoder": RELU,
    "AutoEncoderNew": RELU,
    "AutoEncoderTopK": TOPK,
    "BatchTopKSAE": JUMP,
    "MatryoshkaBatchTopKSAE": JUMP,
    "JumpReluAutoEncoder": JUMP,
}
EITHER = (
    "BatchTopKSAE and AutoEncoderTopK write the same tensors, and no config.json is beside them or one "
    "folder up: give --activation threshold for BatchTopK, --k K for TopK"
)
BIASES = (
    "b_dec",
    "bias",
    "pre_bias",
    "tied_bias",
    "decoder_bias",
    "b_pre",
)  # subtracted first, and added last


def _linear_encoder(reading: Reading) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the encoder of a dictionary of two Linear layers: weight (M, r) and bias (M,), if any."""
    return reading.tensors["encoder.weight"], reading.first("encoder.bias", "latent_bias", "b_enc")


def _linear_decoder(reading: Reading, *, transposed: bool | None) -> np.ndarray:
    """Read a dictionary's decoder (M, r), whose weight a Linear layer stores as (r, M).

    Args:
        transposed: it is stored so; None: the shapes decide, and where they cannot, the Linear layer.
    """
    decoder = reading.tensors["decoder.weight"]
    encoder = reading.tensors["encoder.weight"]
    if transposed is None:
        transposed = decoder.shape == encoder.shape[::-1]
    return decoder.T if transposed else decoder


def read_dictionary_learning(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library dictionary_learning writes it.

    f = relu((x - b) W.T + c); AutoEncoderNew and JumpReLU do not subtract the decoder's bias b.
    """
    if reading.has("r_mag") or reading.has("gate_bias"):
        raise UnknownLayout(GATED)
    trainer = reading.settings.inner("trainer") if "trainer" in reading.settings else reading.settings
    cls = trainer.get("dict_class")
    if cls is not None and cls not in CLASSES:
        raise UnknownLayout(
            GATED
            if cls == "GatedAutoEncoder"
            else f"its dict_class is '{cls}', and only {', '.join(CLASSES)} are read"
        )
    ks = {"the tensor 'k'": reading.number("k"), "trainer.k": trainer.get("k")}
    how = _kept_by_class(reading, cls, ks)
    if reading.has("W_enc"):
        reading.tensors.get("group_sizes")  # of training alone: all groups are active
        tensors = reading.tensors
        pre_bias = reading.of_bias("b_dec", stated=cls != "JumpReluAutoEncoder", usual=True)
        return assembled(
            how,
            tensors["W_enc"].T,
            tensors["W_dec"],
            bias=reading.first("b_enc"),
            offset=tensors["b_dec"],
            pre_bias=pre_bias,
        )
    encoder, bias = _linear_encoder(reading)
    name = next(name for name in ("b_dec", "bias", "decoder.bias") if reading.has(name))
    pre_bias = reading.of_bias(name, stated=name != "decoder.bias", usual=True)
    dictionary = assembled(
        how,
        encoder,
        _linear_decoder(reading, transposed=True),
        bias=bias,
        offset=reading.tensors[name],
        pre_bias=pre_bias,
    )
    return _of_unit_rows(dictionary) if cls == "AutoEncoder" or name == "bias" else dictionary


def _kept_by_class(reading: Reading, cls: str | None, ks: dict[str, float | None]) -> KeptCodes:
    """How the class keeps codes; where none is stated, the tensors say it that only one class writes."""
    if cls is None:
        of_batches = reading.has("group_sizes")
        if reading.has("threshold", "k") and not of_batches and not reading.asked.decides:
            raise UnknownLayout(EITHER)
        uses_it = reading.asked.k is None or of_batches
        names: dict[str, str] = {}
        usual = RELU if reading.has("bias") else None
    else:  # AutoEncoderTopK stores a threshold too, and does not use it
        uses_it = CLASSES[cls] == JUMP or reading.asked.activation == "threshold"
        names = {"dict_class": CLASSES[cls]}
        usual = None
    threshold = reading.first("threshold") if uses_it else None
    return kept_by(reading, names, ks, threshold, usual=usual)


def _of_unit_rows(dictionary: Dictionary) -> Dictionary:
    """With decoder rows of length 1, as `AutoEncoder.from_pretrained` makes them; codes are larger for it."""
    lengths = np.linalg.norm(dictionary.decoder.astype(np.float64), axis=1)
    lengths = np.where(lengths > 0, lengths, 1)
    decoder, encoder = dictionary.decoder / lengths[:, None], dictionary.encoder * lengths[:, None]
    bias = dictionary.bias * lengths
    return replace(
        dictionary,
        decoder=decoder.astype(np.float32),
        encoder=encoder.astype(np.float32),
        bias=bias.astype(np.float32),
    )


def read_visaebench(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library ViSAEBench writes it.

    z = relu(x W.T + b), then the k largest, or those not below one threshold, or above each its own.
    """
    encoder, bias = _linear_encoder(reading)
    return assembled(
        _kept_by_visaebench(reading),
        encoder,
        _linear_decoder(reading, transposed=False),
        bias=bias,
        offset=reading.first("decoder.bias"),
    )


def _kept_by_visaebench(reading: Reading) -> KeptCodes:
    """Return how a dictionary of ViSAEBench keeps codes; those equal to its one threshold are kept, too."""
    stated = reading.said()
    how = kept_by(reading, stated.names, stated.ks, stated.threshold)
    one_for_all = how.threshold is not None and np.size(how.threshold) == 1
    if how.activation != JUMP or not one_for_all or "jump_thresholds" in reading.tensors:
        return how
    threshold = np.asarray(how.threshold, np.float32).max()
    return KeptCodes(JUMP, None, np.nextafter(threshold, np.float32(-np.inf)))


def read_sparsify(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library eai-sparsify writes it.

    eai-sparsify: the k largest of relu(W (x - b_dec) + b); decoder W_dec (M, r).
    """
    settings = reading.settings
    if settings.get("transcode") or settings.get("skip_connection") or reading.has("W_skip"):
        raise UnknownLayout(TRANSCODER)
    encoder, bias = _linear_encoder(reading)
    name = settings.get("activation")
    if name == "groupmax":
        raise UnknownLayout(
            "its activation is 'groupmax' (the largest of each of k groups), which is not read"
        )
    # Before version 1.1 the settings name no activation, and it was TopK.
    how = kept_by(
        reading, {"activation": name or ("topk" if "k" in settings else None)}, {"k": settings.get("k")}
    )
    return assembled(
        how,
        encoder,
        reading.tensors["W_dec"],
        bias=bias,
        offset=reading.tensors["b_dec"],
        pre_bias=reading.of_bias("b_dec", stated=True, usual=True),
    )


def read_sparse_autoencoder(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library sparse-autoencoder writes it.

    sparse-autoencoder 1: relu(W (x - t) + b), decoded + t, with t the tied bias; one component.
    """
    reading.first("pre_encoder_bias._bias_reference")
    reading.first("post_decoder_bias._bias_reference")  # both are the tied bias again
    encoder, bias = _linear_encoder(reading)
    tied = reading.tensors["tied_bias"]
    decoder = reading.tensors["decoder.weight"]
    if encoder.ndim == 3:
        if len(encoder) != 1:
            raise UnknownLayout(
                f"holds {len(encoder)} components, and one is read: save "
                "{name: one[0] for name, one in state_dict.items()}"
            )
        encoder, tied, decoder = encoder[0], tied[0], decoder[0]
        bias = bias if bias is None else bias[0]
    how = kept_by(reading, {}, {}, None, usual=RELU)
    subtracted = reading.of_bias("tied_bias", stated=True, usual=True)
    return assembled(how, encoder, decoder.T, bias=bias, offset=tied, pre_bias=subtracted)


def read_openai(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as OpenAI's library writes it.

    OpenAI's: act(W (n(x) - pre_bias) + latent_bias); with TopK, n is the layer normalisation.
    """
    about = reading.settings.inner("activation_state_dict")
    name = reading.settings.get("activation", "ReLU")
    how = kept_by(reading, {"activation": name}, {"activation_state_dict.k": about.get("k")})
    if how.activation == TOPK and about.get("postact_fn") == "Identity":
        how = KeptCodes(RAW_TOPK, how.k)
    encoder, bias = _linear_encoder(reading)
    decoder = _linear_decoder(reading, transposed=True) if reading.has("decoder.weight") else encoder
    dictionary = assembled(
        how,
        encoder,
        decoder,
        bias=bias,
        offset=reading.tensors["pre_bias"],
        pre_bias=reading.of_bias("pre_bias", stated=True, usual=True),
    )
    return replace(dictionary, norm="layer_norm") if name == "TopK" else dictionary


def read_two_layers(reading: Reading) -> Dictionary:
    """Read a basis's dictionary that is two Linear layers of no known library.

    Two Linear layers of nobody in particular: what settings say decides, and what is assumed is said.
    """
    stated = reading.said()
    encoder, bias = _linear_encoder(reading)
    if "decoder.weight" in reading.tensors:
        decoder = _linear_decoder(reading, transposed=None)
    else:
        decoder = reading.tensors["W_dec"]
    how = kept_by(reading, stated.names, stated.ks, stated.threshold)
    offset, subtracted = _biases(reading)
    dictionary = assembled(how, encoder, decoder, bias=bias, offset=offset, pre_bias=subtracted)
    if "decoder.weight" in reading.tensors and encoder.shape[0] == encoder.shape[1]:
        reading.reads_as = "the decoder of a Linear layer"
        other = np.ascontiguousarray(dictionary.decoder.T)
        reading.otherwise["a decoder with a row for each latent"] = replace(dictionary, decoder=other)
    return dictionary


def _biases(reading: Reading) -> tuple[np.ndarray | None, np.ndarray | bool]:
    """What the decoder adds, and what is subtracted before the encoder."""
    name = next((name for name in BIASES if name in reading.tensors), None)
    added = "decoder.bias" in reading.tensors
    if added and name is not None:
        return reading.tensors["decoder.bias"], reading.tensors[name]
    if added:
        subtracted = reading.of_bias("decoder.bias", stated=None, usual=False)
        return reading.tensors["decoder.bias"], subtracted
    if name is None:
        return None, False
    return reading.tensors[name], reading.of_bias(name, stated=None, usual=True)


# overcomplete: an encoder of one linear layer, a dictionary whose rows are normalised, and a factor.


SEVERAL_LAYERS = "its encoder has several layers, and only linear ones are read"
QUANTISED = "its codes are quantised (QSAE), and only codes of a linear encoder are read"
NO_ENCODER = (
    "it has no encoder, so it encodes by matching pursuit (MpSAE, OmpSAE), and only linear encoders are read"
)
FINAL = "encoder.final_block"
EPS = 1e-5  # of torch's batch normalisation


def read_overcomplete(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library Overcomplete writes it.

    z = relu(norm(x W.T + b)), the k largest or above exp(thresholds).
    """
    decoder = _dictionary(reading)
    encoder, bias = _encoder(reading, decoder)
    return assembled(_kept_codes(reading), encoder, decoder, bias=bias)


def _kept_codes(reading: Reading) -> KeptCodes:
    """Return which codes are kept: a state dict names neither k nor class, only the settings beside it do."""
    if "thresholds" in reading.tensors and "jump_thresholds" not in reading.tensors:
        stated, thresholds = reading.said(), np.exp(reading.tensors["thresholds"])
        return kept_by(reading, stated.names, stated.ks, thresholds)
    return _kept_by_visaebench(reading)


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
