"""A basis as SAELens loads it: weights as .safetensors, and settings in cfg.json beside them. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from core.bases.basis import Basis
from core.bases.origin import stated_layer
from core.common.formatting import json_text
from core.common.inside import read_json_file
from core.common.step_facts import EmbedFacts
from core.errors import SettingsError
from core.export.files import complete_file
from core.reader import StudyReader

SETTINGS = "cfg.json"
ARCHITECTURES = {"relu": "standard", "topk": "topk", "jumprelu": "jumprelu", "magnitude": "abstopk"}
NORMS = {"none": "none", "layer_norm": "layer_norm", "sqrt_d": "constant_norm_rescale"}
OF_VERSION = "6.0.0"  # whose settings these are
OURS = "made_by"


def sae_lens_parts(
    parts: Mapping[str, np.ndarray], card: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the settings under which SAELens has the same codes.

    Args:
        parts: `decoder`, `encoder` (M, r), `offset`, `pre_bias` (r,), `bias` (M,), `threshold` (M,) if any.
    Raises:
        SettingsError: no architecture of SAELens has codes of this kind.
    """
    activation, norm = str(card.get("activation")), str(card.get("normalisation", "none"))
    if activation not in ARCHITECTURES or norm not in NORMS or "encoder" not in parts:
        raise SettingsError(
            f"SAELens has no autoencoder that keeps codes by {activation} with the normalisation '{norm}'; "
            "write .npz, which basis --load reads back"
        )
    decoder, encoder, pre_bias = parts["decoder"], parts["encoder"], parts["pre_bias"]
    subtracts = bool(np.array_equal(pre_bias, parts["offset"]))
    bias = parts["bias"] if subtracts else parts["bias"] - encoder.astype(np.float64) @ pre_bias
    tensors = {"W_enc": encoder.T, "W_dec": decoder, "b_enc": bias, "b_dec": parts["offset"]}
    tensors |= {"threshold": parts["threshold"]} if activation == "jumprelu" else {}
    n_latents, n_features = decoder.shape
    settings: dict[str, Any] = {"architecture": ARCHITECTURES[activation]}
    settings |= {"d_in": n_features, "d_sae": n_latents, "dtype": "float32", "device": "cpu"}
    settings |= {"apply_b_dec_to_input": subtracts, "normalize_activations": NORMS[norm]}
    settings["reshape_activations"] = "none"
    settings |= {"k": int(card.get("k") or len(decoder))} if "topk" in settings["architecture"] else {}
    return {name: np.ascontiguousarray(one, np.float32) for name, one in tensors.items()}, settings


def write_sae_lens(study: StudyReader, basis: Basis, parts: Mapping[str, np.ndarray], out: Path) -> None:
    """Write a basis to a .safetensors file and to `cfg.json` beside it.

    SAELens loads a folder where the file is called sae_weights.safetensors.

    Raises:
        SettingsError: as `sae_lens_parts`, or a cfg.json of something else lies there.
    """
    tensors, settings = sae_lens_parts(parts, basis.card)
    place = out.with_name(SETTINGS)
    _check_place(place)
    facts = study.facts(EmbedFacts).encoder
    model = "" if facts.is_given else study.encoder_name or facts.spec
    about = {
        "sae_lens_version": OF_VERSION,
        "model_name": model,
        "hook_name": stated_layer(facts, study.settings("embed")),
        OURS: "Peregrine",
        "basis": basis.name,
        "on": basis.card.get("on", "pooled"),
    }
    with complete_file(out) as temporary:
        save_file(tensors, temporary)
    with complete_file(place) as temporary:
        temporary.write_text(json_text({**settings, "metadata": about}), encoding="utf-8")


def _check_place(place: Path) -> None:
    """Raise SettingsError where a cfg.json is not such a one."""
    if not place.exists():
        return
    try:
        metadata = read_json_file(place).get("metadata", {})
    except (OSError, ValueError, AttributeError, json.JSONDecodeError):
        metadata = {}
    if OURS not in metadata:
        raise SettingsError(f"'{place}' is of something else; name a file in a folder of its own")
