"""Small networks with known weights, and files as other libraries would have saved them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

State = dict[str, Tensor]


class NarrowResNet(ResNet):
    """torchvision's own ResNet, its stages eight times narrower."""

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 8, *args, **kwargs)


def narrow_resnet(
    seed: int = 0, *, bottleneck: bool = False, cifar_padding: int | None = None
) -> NarrowResNet:
    """Random weights, and BatchNorm statistics that matter."""
    torch.manual_seed(seed)
    model = NarrowResNet(Bottleneck if bottleneck else BasicBlock, [1, 2, 1, 1])
    if cifar_padding is not None:
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=cifar_padding, bias=False)
        model.set_submodule("maxpool", nn.Identity())
    model.set_submodule("fc", nn.Identity())
    stir(model)
    return model.eval()


def stir(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            for name in ("running_mean", "bias"):
                values[name].data.normal_(0, 0.2)
            for name in ("running_var", "weight"):
                values[name].data.uniform_(0.5, 1.5)


def some_pixels(size: int, n: int = 3) -> Tensor:
    return torch.randint(
        0, 256, (n, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@torch.no_grad()
def reference(model: nn.Module, pixels: Tensor, mean: Any, std: Any) -> Tensor:
    """What the plain network gives for uint8 pixels."""
    shape = (1, 3, 1, 1)
    x = pixels.permute(0, 3, 1, 2).double() / 255
    x = (x - torch.tensor(mean).double().view(shape)) / torch.tensor(std).double().view(shape)
    return model.eval()(x.float())


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


def head(prefix: str, *, dim: int = 64, layers: tuple[int, ...] = (0, 2)) -> State:
    """An MLP such as projectors and predictors are."""
    return {
        f"{prefix}{i}.{name}": torch.randn(dim, *(dim,) * (name == "weight"))
        for i in layers
        for name in ("weight", "bias")
    }


def linear(prefix: str, n: int = 1000, dim: int = 64) -> State:
    return {f"{prefix}weight": torch.randn(n, dim), f"{prefix}bias": torch.randn(n)}


def numbered(state: State, *, layer1: int = 4) -> State:
    """Names of `nn.Sequential(*list(resnet.children())[:-1])`."""
    first = {"conv1": "0", "bn1": "1"} | {f"layer{i}": str(layer1 + i - 1) for i in range(1, 5)}
    return {
        ".".join([first[key.split(".")[0]], *key.split(".")[1:]]): tensor for key, tensor in state.items()
    }


def lightning(state: State) -> dict[str, Any]:
    return {
        "epoch": 3,
        "pytorch-lightning_version": "1.9.0",
        "state_dict": state,
        "callbacks": {},
        "optimizer_states": [{}],
        "hyper_parameters": {"method": "x"},
    }


def _moco(e: State, o: State, module: str = "module.") -> dict[str, Any]:
    queue = {f"{module}queue": torch.randn(8, 9), f"{module}queue_ptr": torch.zeros(1)}
    both = under(f"{module}encoder_q.", e | head("fc.")) | under(f"{module}encoder_k.", o | head("fc."))
    return {"epoch": 1, "arch": "resnet50", "state_dict": both | queue, "optimizer": {"state": {}}}


def _moco_v3(e: State, o: State) -> dict[str, Any]:
    both = under("module.base_encoder.", e | head("fc.")) | under("module.momentum_encoder.", o | head("fc."))
    return {"arch": "resnet50", "state_dict": both | head("module.predictor.")}


def _solo(e: State, o: State, name: str) -> dict[str, Any]:
    both = under(f"{name}.", e) | under(f"momentum_{name}.", o)
    return lightning(both | head("projector.") | linear("classifier.", 10) | head("momentum_projector."))


def _dino(e: State, o: State) -> dict[str, Any]:
    last = head("head.mlp.") | {"head.last_layer.weight_g": torch.randn(9, 1)}
    student = under("module.backbone.", o) | under("module.", last)
    return {
        "student": student,
        "teacher": under("backbone.", e) | last,
        "dino_loss": {"center": torch.randn(1, 9)},
        "epoch": 2,
    }


def _lucidrains(e: State, o: State) -> State:
    online = under("net.", e | linear("fc.")) | under("online_encoder.net.", e | linear("fc."))
    return (
        online
        | under("target_encoder.net.", o | linear("fc."))
        | head("online_predictor.net.")
        | head("online_encoder.projector.net.")
    )


def _vissl(e: State, o: State) -> dict[str, Any]:
    trunk = under("_feature_blocks.", e)
    model = {"trunk": trunk, "heads": head("0.clf.")}
    return {"classy_state_dict": {"base_model": {"model": model, "meta": {}}, "optimizer": {}}}


def _projected(prefix: str, e: State, extra: State) -> dict[str, Any]:
    return {"epoch": 1, "model": under(prefix, e) | extra, "optimizer": {"state": {}}}


# name -> (file as its library saves it, layout it must be recognised as). e is the encoder, o its other copy.
LAYOUTS: dict[str, tuple[Callable[[State, State], Any], str]] = {
    "moco": (_moco, "MoCo"),
    "moco without module": (lambda e, o: _moco(e, o, ""), "MoCo"),
    "moco v3": (_moco_v3, "MoCo v3"),
    "simsiam": (
        lambda e, o: {"state_dict": under("module.encoder.", e | head("fc.")) | head("module.predictor.")},
        "SimSiam",
    ),
    "swav": (
        lambda e, o: under("module.", e) | head("module.projection_head.") | linear("module.prototypes."),
        "SwAV / DeepCluster",
    ),
    "deepcluster": (
        lambda e, o: {
            "state_dict": under("module.", e | head("projection_head.") | linear("prototypes.p0."))
        },
        "SwAV / DeepCluster",
    ),
    "dino full": (_dino, "DINO"),
    "bare backbone": (lambda e, o: dict(e), "plain"),
    "barlow twins": (
        lambda e, o: _projected(
            "module.backbone.", e, head("module.projector.") | {"module.bn.running_mean": torch.ones(9)}
        ),
        "Barlow Twins",
    ),
    "vicreg": (lambda e, o: _projected("module.backbone.", e, head("module.projector.")), "VICReg"),
    "vicreg without module": (lambda e, o: _projected("backbone.", e, head("projector.")), "VICReg"),
    "vissl": (_vissl, "VISSL"),
    "vissl flattened": (
        lambda e, o: {"model_state_dict": under("trunk._feature_blocks.", e) | head("heads.0.")},
        "VISSL",
    ),
    "vissl base_model": (lambda e, o: under("trunk.base_model._feature_blocks.", e), "VISSL"),
    "solo-learn": (lambda e, o: _solo(e, o, "backbone"), "solo-learn"),
    "solo-learn old": (lambda e, o: _solo(e, o, "encoder"), "solo-learn"),
    "lightly": (
        lambda e, o: lightning(under("backbone.", numbered(e)) | head("projection_head.layers.")),
        "lightly",
    ),
    "lightly momentum": (
        lambda e, o: under("backbone.", numbered(e)) | under("backbone_momentum.", numbered(o)),
        "lightly",
    ),
    "yaox12 byol": (
        lambda e, o: {
            "online_backbone": under("module.encoder.", numbered(e)),
            "target_backbone": under("module.encoder.", numbered(o)),
        },
        "BYOL (yaox12)",
    ),
    "yaox12 byol model": (
        lambda e, o: {
            "model": under("module.online_network.encoder.", numbered(e))
            | under("module.target_network.encoder.", numbered(o))
            | head("module.predictor.")
        },
        "BYOL (yaox12)",
    ),
    "lucidrains byol": (_lucidrains, "BYOL (lucidrains)"),
    "deepmind byol converted": (lambda e, o: {"state_dict": dict(e)}, "plain"),
    "openselfsup moco": (
        lambda e, o: {
            "meta": {},
            "state_dict": under("encoder_q.0.", e) | under("encoder_k.0.", o) | head("encoder_q.1.mlp."),
        },
        "OpenSelfSup / MMSelfSup",
    ),
    "openselfsup byol": (
        lambda e, o: {"state_dict": under("online_net.0.", e) | under("target_net.0.", o) | head("head.")},
        "OpenSelfSup / MMSelfSup",
    ),
    "mmselfsup": (
        lambda e, o: {"meta": {"epoch": 1}, "state_dict": under("backbone.", e) | head("neck.")},
        "OpenSelfSup / MMSelfSup",
    ),
    "bolts moco": (
        lambda e, o: lightning(under("encoder_q.", e | head("fc.")) | under("encoder_k.", o)),
        "lightning-bolts",
    ),
    "bolts byol": (
        lambda e, o: lightning(
            under("online_network.encoder.", e) | under("target_network.encoder.", o) | head("predictor.")
        ),
        "lightning-bolts",
    ),
    "bolts simclr": (
        lambda e, o: lightning(under("encoder.", e) | head("projection.model.")),
        "lightning-bolts",
    ),
    "sthalles simclr": (
        lambda e, o: {"arch": "resnet18", "state_dict": under("backbone.", e | head("fc."))},
        "SimCLR (sthalles)",
    ),
    "tonylins simclr": (lambda e, o: {"state_dict": e | linear("fc.")}, "SimCLR (tonylins)"),
    "pycontrast": (
        lambda e, o: {
            "model": under("module.encoder.", e) | head("module.head."),
            "model_ema": under("encoder.", o) | head("head."),
        },
        "PyContrast",
    ),
    "torchvision": (lambda e, o: e | linear("fc."), "torchvision or timm"),
    "timm ema": (
        lambda e, o: {"state_dict": o | linear("fc."), "state_dict_ema": e | linear("fc.")},
        "timm (EMA)",
    ),
    "lightning ema": (
        lambda e, o: lightning(under("model.", o | linear("fc.")) | under("ema_model.", e | linear("fc."))),
        "plain with the prefix 'ema_model.'",
    ),
    "timm module": (lambda e, o: {"model": under("module.", e | linear("fc."))}, "torchvision or timm"),
    "timm compiled": (
        lambda e, o: {"state_dict": under("_orig_mod.", e | linear("fc."))},
        "torchvision or timm",
    ),
    "compiled and parallel": (
        lambda e, o: under("module._orig_mod.", e | linear("fc.")),
        "torchvision or timm",
    ),
}
