"""Read a dictionary from a file or folder of another library, without running anything from it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.bases.dictionary import Dictionary, folded
from core.bases.layouts import UnknownLayout, recognise_dictionary
from core.common.inside import parse_json, read_bounded
from core.encoders.safe_load import IS_POINTER, POINTER, read_after_header, read_checkpoint
from core.errors import CheckpointError

WEIGHTS = (
    *("sae_weights.safetensors", "sae.pt", "checkpoint/sae.pt", "ae.pt", "weights.pt"),
    *("model.safetensors", "model.pt"),
)
SETTINGS, MOST_SETTINGS = ("cfg.json", "config.json"), 4 << 20
INSIDE = ("state_dict", "model", "sae")  # where a file may hold the weights among other things


def read_dictionary(path: str | Path, *, k: int | None = None) -> tuple[Dictionary, str]:
    """Read a dictionary, and report in a line what of the file was used.

    Args:
        path: the weights, or the folder in which they lie; settings are read beside them.
        k: how many codes are kept, where the file does not say it or says something else.
    Raises:
        CheckpointError: there is no dictionary, or reading it would run code.
    """
    file = weights_file(Path(path))
    config = _settings(file)
    if begins_with_header(file):
        header, state = read_after_header(file)
        config = {**header, "d_sae_header": True}
    else:
        state = read_checkpoint(file)
    arrays = _arrays(state)
    try:
        library, dictionary = recognise_dictionary(arrays, config, k)
    except UnknownLayout as error:
        raise CheckpointError(f"'{file}': {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{file}' lacks what its library writes ({type(error).__name__}: {error})"
        ) from None
    report = f"read as {library}: {dictionary.facts['n_tensors']} tensors, {dictionary.activation}"
    report += f" with k {dictionary.k}" if dictionary.k else ""
    report += ", decoder's bias subtracted first" if dictionary.pre_bias.any() else ""
    report += f", {dictionary.norm} of each vector" if dictionary.norm != "none" else ""
    return replace(dictionary, facts={**dictionary.facts, "library": library, "report": report}), report


def weights_file(path: Path) -> Path:
    """The file of the weights. Raises CheckpointError where a folder has none, or several."""
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    weights = sorted(one for one in path.iterdir() if one.suffix in (".pt", ".pth", ".safetensors"))
    if len(weights) == 1:
        return weights[0]
    names = ", ".join(one.name for one in weights[:5])
    raise CheckpointError(f"'{path}' holds {names or 'no weights'}: name the file of the dictionary")


def begins_with_header(file: Path) -> bool:
    """Whether a file begins with a line of JSON, behind which there is something else, as saev writes it."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(1 << 20)
    line, end, rest = head.partition(b"\n")
    return line.startswith(b"{") and bool(end) and re.match(rb"PK|\x80", rest) is not None


def _settings(file: Path) -> dict[str, Any]:
    """The settings beside the weights; empty where there are none."""
    for folder in (file.parent, file.parent.parent):
        for name in SETTINGS:
            if (folder / name).is_file():
                try:
                    text = read_bounded(folder / name, MOST_SETTINGS)
                    if text.startswith(POINTER):
                        raise CheckpointError(f"'{folder / name}' {IS_POINTER}")
                    held = parse_json(text)
                except (ValueError, OSError) as error:
                    raise CheckpointError(f"'{folder / name}' cannot be read as JSON: {error}") from None
                return held if isinstance(held, dict) else {}
        if file.parent.name != "checkpoint":
            break
    return {}


def _arrays(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a file as arrays, float32."""
    nested = next((state[name] for name in INSIDE if isinstance(state.get(name), dict)), state)
    return {
        str(name).removeprefix("module."): one.detach().float().numpy()
        for name, one in nested.items()
        if isinstance(one, torch.Tensor)
    }


def normalised(
    dictionary: Dictionary, normalisation: str | None, mean: np.ndarray, lengths: float
) -> Dictionary:
    """The dictionary with another normalisation of the vectors before it.

    Args:
        normalisation: one of NORMALISATIONS in core/config/bases.py; None: that of the file.
        mean: (r,) the mean vector. lengths: the mean length of the vectors.
    """
    width = dictionary.width
    if normalisation is None:
        return dictionary
    if normalisation == "mean_norm":
        return folded(replace(dictionary, norm="none"), np.zeros(width), width**0.5 / lengths)
    if normalisation == "centred":
        return folded(replace(dictionary, norm="none"), mean, width**0.5 / lengths)
    return replace(dictionary, norm=normalisation)
