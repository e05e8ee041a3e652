"""Weights that a training tool stores by the order of parameters: averages of torch-ema, and the steps of
schedule-free optimisers, whose saved weights are those of training, not those that are evaluated."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.common.records import Record
from core.encoders.assumptions import assumed

SHADOW = "shadow_params"  # of torch-ema: a list in the order of the parameters
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index", "n_averaged")
OPTIMIZERS = ("optimizer", "optimizer_states", "optimizer_state_dict", "optim", "opt")
NamedTensors = Mapping[str, Tensor]
MAX_DEPTH = 3


def with_averages(file: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Record]]:
    """Give averages by order the names of their parameters, and bring schedule-free weights to evaluation.

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


def parameters(tensors: NamedTensors) -> list[str]:
    """The names of the tensors that are trained, in order; without the buffers of usual networks."""
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
        names = parameters(tensors)
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
    shapes = {number: one["z"].shape for number, one in states.items() if isinstance(one.get("z"), Tensor)}
    queues = [list(group.get("params", ())) for group in groups]
    names = parameters(tensors)
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
