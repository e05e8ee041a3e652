"""Files whose tensors are named otherwise than timm names those of the same network: timm's own conversions.

Authors' files (Facebook's ConvNeXt and DeiT III, SAM, old Swin and BEiT), networks whose branches are fused,
and big_vision's .npz of JAX.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import timm
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from core.encoders.layouts import containers_of, wrapper_of
from core.encoders.spec import Spec
from core.errors import CheckpointError, first_line

FILTERS = ("checkpoint_filter_fn", "_checkpoint_filter_fn", "_filter_fn")  # what timm calls its conversions
FUSED = ".reparam_conv."  # the one convolution of a block whose branches were fused
EFFICIENTNET = "_conv_stem.weight"  # of efficientnet_pytorch and MONAI, with TensorFlow's padding and eps
# Channels of the last convolution and number of blocks of EfficientNet B0 to B8.
SIZES = {
    **{(1280, 16): "b0", (1280, 23): "b1", (1408, 23): "b2", (1536, 26): "b3", (1792, 32): "b4"},
    **{(2048, 39): "b5", (2304, 45): "b6", (2560, 55): "b7", (2816, 61): "b8"},
}


def converted_by_timm(file: Mapping[str, Any], spec: Spec, model: nn.Module) -> Mapping[str, Any]:
    """The checkpoint with the tensors that timm's own conversion makes of one of its parts.

    Where these are the network's and the part's own are not; else the file as it is.
    """
    expected = {key: one for key, one in model.state_dict().items() if "num_batches_tracked" not in key}
    containers = list(containers_of(file))
    parts = [(path, _unwrapped(tensors)) for path, tensors in containers]
    if any(_fits(tensors, expected) for _, tensors in parts):
        return file
    for path, tensors in parts:
        for convert in _conversions(spec.name):
            converted = _converted(convert, tensors, model)
            if converted is not None and _fits(converted, expected) and _same_sizes(tensors, converted):
                plain = {key: one for key, one in file.items() if not isinstance(one, Tensor | Mapping)}
                return {**plain, (path[-1] if path else "state_dict"): converted}
    return file


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = wrapper_of(tensors)
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def _fits(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return all(key in tensors and tensors[key].shape == one.shape for key, one in expected.items())


def _same_sizes(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> bool:
    """Whether no tensor was resampled to another size, as position embeddings are: that changes numbers."""
    return all(after[key].numel() == one.numel() for key, one in before.items() if key in after)


def _conversions(name: str) -> Iterator[Callable[..., Any]]:
    """The conversions of the module of timm that makes a network, each as it is and with its options."""
    module = sys.modules[timm.model_entrypoint(name.partition(".")[0]).__module__]
    for filter_name in FILTERS:
        convert = getattr(module, filter_name, None)
        if convert is None:
            continue
        yield convert
        if "adapt_layer_scale" in inspect.signature(convert).parameters:
            yield lambda state, model, convert=convert: convert(state, model, adapt_layer_scale=True)


def _converted(
    convert: Callable[..., Any], tensors: Mapping[str, Tensor], model: nn.Module
) -> dict[str, Tensor] | None:
    try:
        converted = convert(dict(tensors), model)
    except Exception:  # it meets tensors of another network
        return None
    return converted if isinstance(converted, dict) else None


def fused(file: Mapping[str, Any], model: nn.Module) -> nn.Module:
    """The network with its branches fused, where those in the file are (RepVGG, MobileOne, FastViT)."""
    in_file = any(FUSED in key for _, tensors in containers_of(file) for key in tensors)
    if not in_file or any(FUSED in key for key in model.state_dict()):
        return model
    return reparameterize_model(model.eval())


def efficientnet_of(file: Mapping[str, Any], spec: Spec) -> str | None:
    """timm's name of an EfficientNet in a checkpoint that efficientnet_pytorch or MONAI wrote.

    None for another file, and where the user names another network.
    """
    for _, state in containers_of(file):
        tensors = _unwrapped(state)
        if EFFICIENTNET not in tensors or "_conv_head.weight" not in tensors:
            continue
        n_blocks = sum(key.endswith("._depthwise_conv.weight") for key in tensors)
        size = SIZES.get((len(tensors["_conv_head.weight"]), n_blocks))
        fits = spec.family == "" or (spec.family, spec.name) == ("timm", f"efficientnet_{size}")
        return f"tf_efficientnet_{size}" if size and fits else None
    return None


def state_of_npz(spec: Spec, path: Path) -> dict[str, Any]:
    """The state that timm makes of a .npz of big_vision or of the first vision transformers of JAX.

    Raises:
        CheckpointError: no network of timm is named, it is another one, or it does not use all of the file.
    """
    if spec.family != "timm":
        raise CheckpointError("a .npz of big_vision or JAX does not name its network: timm:vit_…@PATH")
    arguments = {key: value for key, value in spec.arguments.items() if key != "num_classes"}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            sizes = {key: arrays[key].shape for key in arrays.files}
        head = next((shape for key, shape in sizes.items() if key.endswith("head/kernel")), (0, 0))
        model: Any = timm.create_model(spec.name, num_classes=head[1], **arguments)
        model.load_pretrained(str(path))
    except Exception as error:
        raise CheckpointError(
            f"timm cannot read it as {spec.name} ({type(error).__name__}: {first_line(error)}): name another"
        ) from error
    in_file, used = (sum(map(np.prod, shapes)) for shapes in (sizes.values(), _shapes(model)))
    if in_file != used:
        raise CheckpointError(
            f"it holds {in_file:,} numbers and {spec.name} takes {used:,}: it is another network, or of "
            "another image size (timm:NAME?img_size=N@PATH)"
        )
    return dict(model.state_dict())


def _shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in model.parameters()]
