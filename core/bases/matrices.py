"""SAELens, Prisma, saev, Gemma Scope: matrices W_enc (r, M) and W_dec (M, r), and biases."""

import numpy as np

from core.bases.dictionary import RAW_TOPK, RELU, TOPK, Dictionary, folded, whitened
from core.bases.origin import noted
from core.bases.reading import KeptCodes, Reading, UnknownLayout, assembled, kept_by
from core.common.entries import Taken

GATED = "it is a gated autoencoder, and only linear encoders are read"
TRANSCODER = "it is a transcoder: it writes what another layer will hold, so it is no basis of its own"
# Architectures of SAELens whose codes do not come from one product and one activation.
OTHERS = {
    "gated": GATED,
    "matching_pursuit": "it encodes by matching pursuit, step by step, and only linear encoders are read",
    "temporal": "it attends to other tokens (a temporal autoencoder), and only linear encoders are read",
}
NORMS = {"none": "none", "layer_norm": "layer_norm", "constant_norm_rescale": "sqrt_d"}
FACTOR, WHITENING = "expected_average_only_in", "covariance_whitening"
SCHEMAS = 5  # of saev
SCALES = ("finetuning_scaling_factor", "scaling_factor")  # by which SAELens fine-tuned what a latent writes


def read_saev(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the library saev writes it.

    f = act(x W_enc + b_enc): ReLU; the k largest, whatever their sign; or above a threshold.

    Without a schema, and in schema 1 with the activation as `cls` (before August 2025), b_dec is subtracted.
    """
    header = reading.settings
    schema = header.get("schema")
    if isinstance(schema, int) and schema > SCHEMAS:
        raise UnknownLayout(
            f"is of saev's schema {schema}, and those up to {SCHEMAS} are known: update Peregrine"
        )
    cfg = header.inner("cfg") if "cfg" in header else header
    name, k = _saev_activation(header, cfg)
    is_old = schema is None or (schema == 1 and not cfg.inner("activation"))
    how = kept_by(
        reading, {"activation": name}, {"top_k": k}, reading.first("activation.threshold"), usual=RELU
    )
    tensors = reading.tensors
    keeping = KeptCodes(RAW_TOPK, how.k) if how.activation == TOPK else how
    pre_bias = "b_dec" in tensors and reading.of_bias("b_dec", stated=is_old, usual=is_old)
    return assembled(
        keeping,
        tensors["W_enc"].T,
        tensors["W_dec"],
        bias=reading.first("b_enc"),
        offset=reading.first("b_dec"),
        pre_bias=pre_bias,
    )


def _saev_activation(header: Taken, cfg: Taken) -> tuple[str | None, int | None]:
    """The activation and its k, as the schemas say them."""
    about = cfg.inner("activation")
    if len(about):
        return about.get("cls"), about.inner("params").get("top_k")
    name = header.get("cls")
    if name in (None, "SparseAutoencoderConfig"):
        return None, None
    return name, None if name == "Relu" else cfg.get("top_k", 32)


def read_sae_lens(reading: Reading) -> Dictionary:
    """Read a basis's dictionary as the libraries SAELens and Prisma write it.

    SAELens and Prisma: f = act((norm(x) - b_dec) W_enc + b_enc).
    """
    settings = reading.settings
    architecture = settings.get("architecture")
    _refuse_others(reading, str(architecture))
    kwargs = settings.inner("activation_fn_kwargs")
    ks = {"k": settings.get("k"), "activation_fn_kwargs.k": kwargs.get("k")}
    names = _sae_lens_names(settings.get("activation_fn_str") or settings.get("activation_fn"), architecture)
    threshold = reading.first("threshold", "topk_threshold")  # one for all until training has ended
    how = kept_by(reading, names, ks, threshold, usual=RELU)
    encoder = reading.tensors["W_enc"].T
    decoder = reading.tensors["W_dec"]
    bias = reading.first("b_enc")
    if settings.get("rescale_acts_by_decoder_norm"):
        lengths = np.linalg.norm(decoder, axis=1)
        encoder = encoder * lengths[:, None]
        decoder = decoder / np.where(lengths > 0, lengths, 1)[:, None]
        bias = None if bias is None else bias * lengths
    if (scales := reading.first(*SCALES)) is not None:
        settings.get("finetuning_scaling_factor")  # says that they are there
        decoder = decoder * scales[:, None]
    stated = bool(settings.get("apply_b_dec_to_input", True))
    return _normalised(
        reading,
        assembled(
            how,
            encoder,
            decoder,
            bias=bias,
            offset=reading.tensors["b_dec"],
            pre_bias=reading.of_bias("b_dec", stated=stated, usual=True),
        ),
    )


def _sae_lens_names(activation: str | None, architecture: str | None) -> dict[str, str | None]:
    """What says the activation: the architecture, or before version 6 an activation other than ReLU."""
    if activation in (None, "relu"):
        return {"architecture": architecture}
    names: dict[str, str | None] = {"activation_fn": activation}
    return names if architecture in (None, "standard") else {**names, "architecture": architecture}


def _refuse_others(reading: Reading, architecture: str) -> None:
    """Raise UnknownLayout for architectures that are no linear encoder with one activation."""
    if reading.has("r_mag") or reading.has("b_gate"):
        raise UnknownLayout(GATED)
    if "transcoder" in architecture or reading.settings.get("is_transcoder") or reading.has("W_skip"):
        raise UnknownLayout(TRANSCODER)
    if architecture in OTHERS:
        raise UnknownLayout(OTHERS[architecture])


def _normalised(reading: Reading, dictionary: Dictionary) -> Dictionary:
    """With the normalisation that the settings name, or that lies beside the weights."""
    norm = reading.settings.get("normalize_activations") or "none"
    norm = FACTOR if norm is True else str(norm)
    if norm in NORMS:
        return Dictionary(**{**vars(dictionary), "norm": NORMS[norm]})
    if norm == FACTOR:
        factor = reading.settings.inner("activation_scaler").get("scaling_factor")
        if factor is None:
            reading.notes.append(noted("factor_missing"))
            return dictionary
        return folded(dictionary, np.zeros(dictionary.width), float(factor))
    if norm == WHITENING:
        reading.settings.inner("activation_scaler").get("has_whitening")
        matrices = [
            reading.first(f"activation_whitening.{name}") for name in ("mean", "matrix", "inverse_matrix")
        ]
        parts = [matrix for matrix in matrices if matrix is not None]
        if len(parts) < len(matrices):
            raise UnknownLayout(
                f"its vectors were whitened ({WHITENING}), and activation_whitening.safetensors is not "
                "beside it"
            )
        return whitened(dictionary, *parts)
    raise UnknownLayout(f"its normalize_activations is '{norm}', which is not read: only {', '.join(NORMS)}")


def read_matrices(reading: Reading) -> Dictionary:
    """Read a basis's dictionary from a file with matrices of encoder and decoder alone.

    Matrices of which no settings say whose they are, as Gemma Scope writes them.

    With a threshold b_dec is not subtracted (Gemma Scope, dictionary_learning), else it is (SAELens).
    """
    if reading.has("r_mag") or reading.has("b_gate"):
        raise UnknownLayout(GATED)
    statements = reading.said()
    how = kept_by(reading, statements.names, statements.ks, statements.threshold)
    stated = reading.settings.get("apply_b_dec_to_input")
    tensors, usual = reading.tensors, statements.threshold is None
    pre_bias = "b_dec" in tensors and reading.of_bias("b_dec", stated=stated, usual=usual)
    return assembled(
        how,
        tensors["W_enc"].T,
        tensors["W_dec"],
        bias=reading.first("b_enc"),
        offset=reading.first("b_dec"),
        pre_bias=pre_bias,
    )
