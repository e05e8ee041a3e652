"""A linear head as a file: weights and bias as safetensors, with the names of its classes. No torch."""

import json
from pathlib import Path

import numpy as np

from core.errors import CheckpointError

WEIGHT, BIAS = "weight", "bias"
CLASSES = "classes"  # of the metadata: a JSON list of names, in the order of the outputs
LARGEST = 1 << 31  # bytes of a file that is read


def head_metadata(names: list[str], **about: str) -> dict[str, str]:
    """The metadata of a file with a head, or with a network that ends in it."""
    return {"format": "pt", CLASSES: json.dumps(names, ensure_ascii=False), **about}


def head_bytes(weights: np.ndarray, bias: np.ndarray, names: list[str], **about: str) -> bytes:
    """The content of a file with a head for raw representations, z = W r + b.

    Args:
        weights: (n_classes, n_features), bias: (n_classes,) float. names: of the classes, in their order.
        about: further texts of its metadata, such as what it was fitted to.
    """
    from safetensors.numpy import save

    tensors = {
        WEIGHT: np.ascontiguousarray(weights, np.float32),
        BIAS: np.ascontiguousarray(bias, np.float32),
    }
    return save(tensors, metadata=head_metadata(names, **about))


def read_head(path: str | Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Weights (n_classes, n_features) and bias (n_classes,), float32, and the names of the classes.

    Raises:
        CheckpointError: there is no such file, or it holds no head with names.
    """
    from safetensors import SafetensorError, safe_open

    path, remedy = Path(path), "name a file that `remedies STUDY --head` has written"
    try:
        if path.stat().st_size > LARGEST:
            raise CheckpointError(f"'{path}' is too large for a head; {remedy}")
        with safe_open(path, framework="numpy") as file:
            held, names = set(file.keys()), names_stated_in(file.metadata())
            if held != {WEIGHT, BIAS} or not names:
                raise CheckpointError(f"'{path}' holds no head with the names of its classes; {remedy}")
            weights, bias = (np.asarray(file.get_tensor(key), np.float32) for key in (WEIGHT, BIAS))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the head '{path}': {error}; {remedy}") from error
    if weights.ndim != 2 or bias.shape != (len(weights),) or len(names) != len(weights):
        raise CheckpointError(
            f"'{path}' has weights {weights.shape}, a bias {bias.shape} and {len(names)} names, which do not "
            f"fit; {remedy}"
        )
    return weights, bias, names


def names_stated_in(metadata: dict[str, str] | None) -> list[str]:
    """The names of classes in the metadata of a file; none where it states none."""
    try:
        names = json.loads((metadata or {}).get(CLASSES, "[]"))
    except ValueError:
        return []
    return names if isinstance(names, list) and all(isinstance(one, str) for one in names) else []


def names_in_metadata(path: Path) -> list[list[str]]:
    """The class names that the metadata of a .safetensors file state, one list an output; [] for others."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return []
    try:
        with safe_open(path, framework="numpy") as file:
            return [[name] for name in names_stated_in(file.metadata())]
    except (OSError, SafetensorError):
        return []
