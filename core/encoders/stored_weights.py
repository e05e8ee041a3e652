"""Weights as a file holds them: averages, parts to be put together, and statistics of pixels."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.common.records import Record
from core.encoders.assumptions import assumed
from core.errors import CheckpointError

# Weights that a training tool stores by the order of parameters: averages of torch-ema, and the steps of
# schedule-free optimisers, whose saved weights are those of training, not those that are evaluated.


SHADOW = "shadow_params"  # of torch-ema: a list in the order of the parameters
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index", "n_averaged")
OPTIMIZERS = ("optimizer", "optimizer_states", "optimizer_state_dict", "optim", "opt")
NamedTensors = Mapping[str, Tensor]
MAX_DEPTH = 3


def with_averages(file: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Record]]:
    """Give a checkpoint's averages by order their names, and bring schedule-free weights to evaluation.

    Returns:
        the file, in which a list `shadow_params` is a dictionary with the names of the model's tensors, and
        the weights that a schedule-free optimiser trained are those that it evaluates; notes on both.
    """
    notes: list[Record] = []
    for groups, states in _schedule_free(file):
        converted = _evaluated(file, groups, states)
        notes.append(assumed("schedule_free" if converted else "schedule_free_left"))
        file = converted or file
    if any(path for path, _ in _shadows(file)):
        file = _named_shadows(file, notes)
    return file, notes


def _parameters(tensors: NamedTensors) -> list[str]:
    """The names of a checkpoint's tensors that are trained, in order; without buffers of usual networks."""
    return [
        key for key, tensor in tensors.items() if tensor.is_floating_point() and not key.endswith(BUFFERS)
    ]


def _shadows(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Tensor]]]:
    if not isinstance(value, Mapping) or len(path) > MAX_DEPTH:
        return
    listed = value.get(SHADOW)
    if isinstance(listed, list) and listed and all(isinstance(one, Tensor) for one in listed):
        yield path, listed
    for key, item in value.items():
        yield from _shadows(item, (*path, str(key)))


def _named_shadows(file: Mapping[str, Any], notes: list[Record]) -> Mapping[str, Any]:
    for path, listed in list(_shadows(file)):
        named = _like_model(file, listed)
        if named is None:
            notes.append(assumed("average_left", what=".".join((*path, SHADOW)), n=len(listed)))
        else:
            file = _replaced(file, (*path, SHADOW), named)
    return file


def _like_model(file: Mapping[str, Any], listed: Sequence[Tensor]) -> NamedTensors | None:
    """The tensors of the model in a file, with these parameters; None where order and shapes do not fit."""
    for _, tensors in _models(file):
        names = _parameters(tensors)
        if [tensors[name].shape for name in names] == [one.shape for one in listed]:
            return {**tensors, **dict(zip(names, listed, strict=True))}
    return None


def _models(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], NamedTensors]]:
    """Every dictionary of tensors alone or among other values, outside the parts of optimisers."""
    if not isinstance(value, Mapping) or len(path) > MAX_DEPTH:
        return
    tensors = {key: one for key, one in value.items() if isinstance(key, str) and isinstance(one, Tensor)}
    if tensors:
        yield path, tensors
    for key, item in value.items():
        if isinstance(key, str) and key not in OPTIMIZERS:
            yield from _models(item, (*path, key))


def _schedule_free(file: Mapping[str, Any]) -> Iterator[tuple[list[Mapping[str, Any]], Mapping[Any, Any]]]:
    """Groups and states of each schedule-free optimiser that was saved in its mode of training."""
    for name in OPTIMIZERS:
        parts = file.get(name)
        for part in parts if isinstance(parts, list) else [parts]:
            if not isinstance(part, Mapping):
                continue
            groups, states = part.get("param_groups"), part.get("state")
            if not isinstance(groups, list) or not isinstance(states, Mapping):
                continue
            if any(isinstance(group, Mapping) and group.get("train_mode") is True for group in groups):
                yield groups, states


def _evaluated(
    file: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]
) -> Mapping[str, Any] | None:
    """The file with x = lerp(y, z, 1 - 1 / beta1) for the weights y, as the optimiser's own `eval()` does."""
    for path, tensors in _models(file):
        names = _names_of(tensors, groups, states)
        if names is None:
            continue
        changed = dict(tensors)
        for number, name in names.items():
            beta, z = _momentum(groups, number), states.get(number, {}).get("z")
            if isinstance(z, Tensor) and beta:
                changed[name] = torch.lerp(tensors[name].float(), z.float(), 1 - 1 / beta)
        return _replaced(file, path, {**_at(file, path), **changed})
    return None


def _momentum(groups: Sequence[Mapping[str, Any]], number: Any) -> float | None:
    group = next((one for one in groups if number in one.get("params", ())), {})
    betas = group.get("betas")
    beta = betas[0] if isinstance(betas, list | tuple) and betas else group.get("momentum")
    return float(beta) if isinstance(beta, int | float) and 0 < beta <= 1 else None


def _names_of(
    tensors: NamedTensors, groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]
) -> dict[Any, str] | None:
    """The names of an optimiser's parameters by their numbers; None where shapes do not tell them.

    Within a group parameters keep their order in the model; which group the next one belongs to, its shape
    tells.
    """
    shapes = {
        number: state["z"].shape for number, state in states.items() if isinstance(state.get("z"), Tensor)
    }
    queues = [list(group.get("params", ())) for group in groups]
    names = _parameters(tensors)
    if sum(map(len, queues)) != len(names):
        return None
    averages: dict[Any, str] = {}
    for name in names:
        fitting = [queue for queue in queues if queue and shapes.get(queue[0]) in (None, tensors[name].shape)]
        if len(fitting) != 1:
            return None
        averages[fitting[0].pop(0)] = name
    return averages


def _at(file: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = file
    for key in path:
        value = value[key]
    return value


def _replaced(file: Mapping[str, Any], path: Sequence[str], value: Any) -> Mapping[str, Any]:
    """The file with another value at a place, itself unchanged."""
    if not path:
        return value
    first, *rest = path
    return {**file, first: _replaced(file[first], rest, value)}


# Weights that a file holds in parts (weight_norm, spectral_norm, pruning), put together as layers do it.


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
    """The tensors of a checkpoint under the names and with the values that its layers use.

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


# Mean and standard deviation of pixels that a network carries as tensors, as a Normalize in it does.


STATISTICS_NAME = re.compile(
    r"(?P<stem>(?:.*\.)?(?:new_|pixel_|image_|img_|norm_|input_|_)?)(?P<kind>mean|std|mu|sigma)"
)
OTHER_STATISTICS = {"mean": "std", "mu": "sigma"}
LEVELS = 255  # of a mean of pixels that are not divided by it
PixelStatistics = tuple[tuple[float, ...], tuple[float, ...]]


def statistics_in(tensors: Mapping[str, Tensor]) -> tuple[PixelStatistics | None, frozenset[str]]:
    """Mean and std of pixels of 0..1 among a checkpoint's tensors, and the names of all such.

    None where there are none, or several pairs that differ.
    """
    of_three = {key: tensor for key, tensor in tensors.items() if tensor.numel() == 3}
    pairs: dict[str, PixelStatistics] = {}
    names: set[str] = set()
    for key, tensor in of_three.items():
        match = STATISTICS_NAME.fullmatch(key)
        if match is None or match["kind"] not in OTHER_STATISTICS:
            continue
        other = f"{match['stem']}{OTHER_STATISTICS[match['kind']]}"
        if other in of_three and float(of_three[other].min()) > 0:
            pairs[match["stem"]] = _of_unit_range(tensor, of_three[other])
            names |= {key, other}
    different = set(pairs.values())
    return (different.pop() if len(different) == 1 else None), frozenset(names)


def _of_unit_range(mean: Tensor, std: Tensor) -> PixelStatistics:
    values = [tensor.flatten().double() for tensor in (mean, std)]
    factor = 1 / LEVELS if float(values[0].max()) > 2 else 1.0
    first, second = (tuple(round(float(one) * factor, 9) for one in value) for value in values)
    return first, second
