"""Export a basis of a study: as .npz, as a table of its latents, or as SAELens loads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from core.bases.basis import PARTS, Basis, basis_named, codes_of, latents_table
from core.bases.origin import stated_layer
from core.charts.table_file import complete_file, provenance
from core.common.formatting import json_text
from core.common.inside import check_output_file, read_json_file
from core.common.step_facts import EmbedFacts
from core.errors import SettingsError
from core.publish.export_files import WRITERS, write_about
from core.store import Study
from core.study.reader import StudyReader

# A basis as SAELens loads it: weights as .safetensors, and settings in cfg.json beside them. No torch.


SETTINGS = "cfg.json"
ARCHITECTURES = {"relu": "standard", "topk": "topk", "jumprelu": "jumprelu", "magnitude": "abstopk"}
NORMS = {"none": "none", "layer_norm": "layer_norm", "sqrt_d": "constant_norm_rescale"}
OF_VERSION = "6.0.0"  # whose settings these are
OURS = "made_by"


def _sae_lens_parts(
    parts: Mapping[str, np.ndarray], card: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return tensors and settings for export under which SAELens has the same codes as a basis.

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
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}, settings


def _write_sae_lens(study: StudyReader, basis: Basis, parts: Mapping[str, np.ndarray], out: Path) -> None:
    """Export a basis for SAELens: a .safetensors file with `cfg.json` beside it.

    SAELens loads a folder where the file is called sae_weights.safetensors.

    Raises:
        SettingsError: as `_sae_lens_parts`, or a cfg.json of something else lies there.
    """
    tensors, settings = _sae_lens_parts(parts, basis.card)
    settings_file = out.with_name(SETTINGS)
    _check_place(settings_file)
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
    with complete_file(settings_file) as temporary:
        temporary.write_text(json_text({**settings, "metadata": about}), encoding="utf-8")


def _check_place(path: Path) -> None:
    """Raise SettingsError where a cfg.json is not such a one."""
    if not path.exists():
        return
    try:
        metadata = read_json_file(path).get("metadata", {})
    except (OSError, ValueError, AttributeError, json.JSONDecodeError):
        metadata = {}
    if OURS not in metadata:
        raise SettingsError(f"'{path}' is of something else; name a file in a folder of its own")


# Export a basis of a study: its dictionary and codes as .npz, or a table of its latents.


EXTENSIONS = (".npz", ".safetensors", *WRITERS)


def export_basis(study: Study, name: str, out: str | Path) -> int:
    """Export a basis of a study as a file for others, which appears only when complete.

    Args:
        out: .npz for all arrays of the dictionary (`decoder` (M, r), `offset` (r,), its encoder …), the codes
            of the images in the order of `images` as CSR (`indptr`, `indices`, `data`; codes @ decoder +
            offset is the reconstruction), and `card`, a JSON text; `basis --load` reads it. .safetensors for
            the dictionary as SAELens loads it. Another extension for the table of latents.
    Returns:
        the number of latents.
    Raises:
        SettingsError: the study has no such basis, the extension is another, or SAELens has no such codes.
    """
    out, basis = Path(out), basis_named(study, name)
    ending = check_output_file(out, "a basis", EXTENSIONS)
    table = latents_table(study, basis)
    facts = provenance(study) | {"basis": name}
    if ending == ".safetensors":
        _write_sae_lens(study, basis, _parts(study, basis), out)
        return len(table)
    write_about(out, facts)
    with complete_file(out) as temporary:
        if ending != ".npz":
            table.attrs = {**facts}
            WRITERS[ending](table, temporary)
            return len(table)
        codes = codes_of(study, basis)
        parts: dict[str, Any] = {**_parts(study, basis)}
        parts |= {"indptr": codes.indptr, "indices": codes.features, "data": codes.values}
        with open(temporary, "wb") as file:
            np.savez(file, **parts, card=np.array(json_text(basis.card)))
    return len(table)


def _parts(study: Study, basis: Basis) -> dict[str, np.ndarray]:
    """The arrays of the dictionary that the study has."""
    return {part: study.vector(basis.item(part)) for part in PARTS if study.has(basis.item(part))}
