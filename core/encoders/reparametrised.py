"""Weights that a file holds in parts (weight_norm, spectral_norm, pruning), put together as layers do it."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from core.errors import CheckpointError

LORA = re.compile(  # of PEFT, whose models put all of it below base_model.model
    r"^base_model\.model\.|(?:^|\.)(?:lora_[AB]|lora_embedding_[AB]|hada_w1_a|lokr_w1|boft_R|oft_r|ia3_l)(?:\.|$)"
)
MERGE = (
    "the file holds adapters of PEFT ('{}') beside the weights: merge them first, with "
    "model.merge_and_unload(), and save that"
)
ALONE = (
    "the file holds adapters of PEFT alone ('{}'), without the network: load it with PEFT, merge them with "
    "model.merge_and_unload(), and save that"
)


def _weight_norm(gain: Tensor, direction: Tensor) -> Tensor:
    """w = g v / |v|, the norm over all dimensions of which g has one."""
    over = [at for at in range(direction.ndim) if at >= gain.ndim or gain.shape[at] == 1]
    return gain * direction / torch.linalg.vector_norm(direction, dim=over, keepdim=True)


def _spectral_norm(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """w / sigma with sigma = u^T W v, as in evaluation."""
    return weight / (left @ (weight.flatten(1) @ right))


def _pruned(weight: Tensor, mask: Tensor) -> Tensor:
    return weight * mask


# The parts of a tensor NAME in a module, with {} for NAME, and what makes it of them.
FORMS: tuple[tuple[tuple[str, ...], Callable[..., Tensor]], ...] = (
    (("{}_orig", "{}_mask"), _pruned),
    (("{}_orig", "{}_u", "{}_v"), _spectral_norm),
    (("{}_g", "{}_v"), _weight_norm),
    (("parametrizations.{}.original0", "parametrizations.{}.original1"), _weight_norm),
    (
        ("parametrizations.{}.original", "parametrizations.{}.0._u", "parametrizations.{}.0._v"),
        _spectral_norm,
    ),
)
FIRST = [re.compile(re.escape(parts[0]).replace(r"\{\}", r"(?P<name>\w+)")) for parts, _ in FORMS]


def as_used(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of a network under the names and with the values that its layers use.

    Raises:
        CheckpointError: adapters that are not merged, or a parametrization that is not known.
    """
    _refuse_adapters(tensors)
    if not any(key.endswith(("_mask", "_v", ".original", ".original0")) for key in tensors):
        return tensors
    whole: dict[str, Tensor] = {}
    used: set[str] = set()
    for key in tensors:
        made = _made_of(key, tensors)
        if made is not None:
            name, parts, value = made
            whole[name] = value
            used.update(parts)
        else:
            whole[key] = tensors[key]
    whole = {key: tensor for key, tensor in whole.items() if key not in used}
    for key in whole:
        if ".parametrizations." in f".{key}":
            raise CheckpointError(
                f"'{key}' is a parametrization that is not known: remove it first, with "
                "torch.nn.utils.parametrize.remove_parametrizations(module, name), and save that"
            )
    return whole


def _made_of(key: str, tensors: Mapping[str, Tensor]) -> tuple[str, list[str], Tensor] | None:
    """The tensor of which a key is the first part: its name, all parts, its value; None for other keys."""
    for (forms, make), first in zip(FORMS, FIRST, strict=True):
        match = re.fullmatch(rf"(?P<module>(?:.*\.)?){first.pattern}", key)
        if match is None:
            continue
        parts = [match["module"] + form.format(match["name"]) for form in forms]
        if all(part in tensors for part in parts):
            values = [tensors[part].float() for part in parts]
            with torch.no_grad():
                return match["module"] + match["name"], parts, make(*values)
    return None


def _refuse_adapters(tensors: Mapping[str, Tensor]) -> None:
    lora_key = next((key for key in tensors if LORA.search(key)), None)
    if lora_key is None:
        return
    has_network = any(".base_layer." in key for key in tensors)
    raise CheckpointError((MERGE if has_network else ALONE).format(lora_key))
