"""A network of torchvision or timm that ends in a new head: a checkpoint which these libraries load."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from core.analysis.heatmaps_on_demand import encoder_of
from core.common.inside import replacing
from core.encoders.registry import Encoder
from core.encoders.spec import Spec, parse_spec
from core.errors import EncoderError
from core.store import Study

RTOL = 1e-4  # of the largest logit: the network answers as the head does on the representation
COUNTER = "num_batches_tracked"
WITH_WEIGHTS = ("pretrained", "weights", "num_classes")  # arguments that the checkpoint stands for
REFUSED = "so only the head alone can be written: leave out --whole"


def _whole_network(encoder: Encoder, weights: np.ndarray, bias: np.ndarray) -> nn.Module:
    """Build the encoder's network with a linear head on its representation, as its library has it.

    Args:
        weights: (n_classes, n_features), bias: (n_classes,).
    Raises:
        EncoderError: the encoder is of neither library, or its representation is not what the library's
            classifier reads, a single linear layer; which is tried on a random input.
    """
    if encoder.early or encoder.pool not in (None, "gap"):
        raise EncoderError(f"the study reads an inner layer or another pooling of {encoder.arch}, {REFUSED}")
    network = _built(encoder, len(weights)).eval()
    state, base = network.state_dict(), encoder.base.state_dict()
    lacking = [key for key in state if key not in base and not key.endswith(COUNTER)]
    name = lacking[0].rpartition(".")[0] if lacking else ""
    ends = [f"{name}.weight", f"{name}.bias"]
    reads_other = sorted(lacking) != sorted(ends) or any(key not in state for key in base)
    if reads_other or state[ends[0]].shape != weights.shape:
        raise EncoderError(
            f"the classifier of {encoder.arch} is not one linear layer on this representation, {REFUSED}"
        )
    head = {ends[0]: torch.from_numpy(weights), ends[1]: torch.from_numpy(bias)}
    shapes = {key: tensor for key, tensor in base.items() if state[key].shape != tensor.shape}
    if shapes:
        raise EncoderError(f"{encoder.arch} has other shapes than its library's network, {REFUSED}")
    network.load_state_dict({**base, **head}, strict=False)
    _check_logits(encoder, network, head[ends[0]], head[ends[1]])
    return network


def _architecture(encoder: Encoder) -> Spec:
    """The network by its name and arguments, without those that say which weights it has."""
    family, _, name = encoder.arch.rpartition(":")
    spec = parse_spec(f"{family or 'torchvision'}:{name}")
    arguments = {key: value for key, value in spec.arguments.items() if key not in WITH_WEIGHTS}
    return Spec(spec.family, spec.name, arguments)


def _built(encoder: Encoder, n_classes: int) -> nn.Module:
    """The network of the library, with random weights."""
    import timm
    import torchvision

    spec = _architecture(encoder)
    arguments = spec.arguments
    try:
        if spec.family == "timm":
            return timm.create_model(spec.name, pretrained=False, num_classes=n_classes, **arguments)
        if spec.family == "torchvision" and spec.name in torchvision.models.list_models(torchvision.models):
            more = {"init_weights": False} if spec.name in ("googlenet", "inception_v3") else {}
            return torchvision.models.get_model(
                spec.name, weights=None, num_classes=n_classes, **arguments, **more
            )
    except (TypeError, ValueError, RuntimeError) as error:
        raise EncoderError(f"{encoder.arch} cannot be built with {n_classes} outputs: {error}") from error
    raise EncoderError(f"{encoder.arch} is neither torchvision's nor timm's, {REFUSED}")


@torch.no_grad()
def _check_logits(encoder: Encoder, network: nn.Module, weights: Tensor, bias: Tensor) -> None:
    x, _ = encoder.random_input()
    try:
        given = network.to(x.device)(x)
    except (RuntimeError, ValueError, TypeError) as error:
        raise EncoderError(f"{encoder.arch} with the new head does not run: {error}, {REFUSED}") from error
    expected = encoder.model(x) @ weights.to(x.device).T + bias.to(x.device)
    if not isinstance(given, Tensor) or given.shape != expected.shape:
        raise EncoderError(f"{encoder.arch} does not return logits alone, {REFUSED}")
    if not torch.allclose(given, expected, rtol=0, atol=RTOL * float(expected.abs().max())):
        raise EncoderError(
            f"the classifier of {encoder.arch} does not read the representation of the study, {REFUSED}"
        )


def write_whole_checkpoint(
    study: Study, weights: np.ndarray, bias: np.ndarray, metadata: Mapping[str, str], out: Path
) -> str:
    """Write the checkpoint of a remedy: the encoder's whole network, which ends in the new head.

    Beside it OUT.json says how pictures are read.

    Args:
        weights, bias: of the head, as `_whole_network` takes them. out: the file.
    Returns:
        the architecture, as a SPEC names it.
    Raises:
        EncoderError: see `_whole_network`, or the encoder can no longer be loaded.
    """
    encoder = encoder_of(study)
    network = _whole_network(encoder, weights, bias)
    tensors = {key: one.detach().cpu().contiguous().clone() for key, one in network.state_dict().items()}
    arch = _architecture(encoder).arch
    sidecar = {"arch": arch, "transform": encoder.transform.to_dict()}
    with replacing(out, parents=True) as temporary:
        temporary.write_bytes(save(tensors, metadata=dict(metadata)))
    with replacing(out.with_name(f"{out.name}.json"), parents=True) as temporary:
        temporary.write_text(f"{json.dumps(sidecar, indent=2)}\n", encoding="utf-8")
    return arch
