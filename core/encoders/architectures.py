"""Networks by their sizes, inferred from weight shapes: ResNets, vision transformers, segmentation."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.layers.mlp import SwiGLUPacked
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.models.resnet import BasicBlock, Bottleneck

from core.encoders.head import HeadMaker
from core.encoders.layouts import Layout, containers_of, wrapper_of
from core.encoders.spec import Spec
from core.errors import CheckpointError, EncoderError, did_you_mean

# Networks of which only names and shapes are read: without memory for weights, and without drawing them.
#
# What is drawn on torch's device without memory goes through its compiler, which takes seconds to import.


DRAWING = (Tensor.normal_, Tensor.uniform_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_)


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func in DRAWING or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else options["tensor"]
        return func(*args, **options)


@contextmanager
def without_weights() -> Iterator[None]:
    """Build encoder networks on the device `meta`, without initial weights."""
    with torch.device("meta"), _Undrawn():
        yield


# ResNets and vision transformers in the sizes used by checkpoints, inferred from weight shapes; networks of
# timm and torchvision that a checkpoint names.


DEPTHS = {
    "18": (False, (2, 2, 2, 2)),
    "34": (False, (3, 4, 6, 3)),
    "50": (True, (3, 4, 6, 3)),
    "101": (True, (3, 4, 23, 3)),
    "152": (True, (3, 8, 36, 3)),
    "200": (True, (3, 24, 36, 3)),
}
# Head counts cannot be read from weights. These are the published ones; otherwise a head has 64 channels, but
# in a transformer of width 1536 without a CLS token (SigLIP's) 96.
HEADS = {1152: 16, 1280: 16, 1408: 16, 1664: 16}

# Other networks whose tensors have the same names and shapes, by the kind of layout.
ALSO = {
    "resnet": (
        *("resnetaa50, resnetblur50 …", "dilated ones (DeepLab, output_stride)"),
        *(
            "MONAI's (first stride 1)",
            "re-identification's (last stride 1)",
            "those of another BatchNorm epsilon",
        ),
    ),
    "vit": ("ViTs with another number of heads or activation", "vit_…_rpn", "ViTs of another aspect ratio"),
}
# Of timm's DINOv3: width, whether its perceptrons are gated, and what it is called.
DINOV3 = {
    (384, False): "small",
    (384, True): "small_plus",
    (768, False): "base",
    (1024, False): "large",
    (1280, True): "huge_plus",
    (4096, True): "7b",
}

ROOM = 50_000_000  # elements that a network may have more than a file of it: a larger classifier


@dataclass(frozen=True)
class Stem:
    """First layers of a ResNet. A CIFAR stem is a 3x3 convolution of stride 1 without max-pool."""

    cifar: bool = False
    padding: int = 3
    relu: bool = True
    maxpool: bool = True


@dataclass(frozen=True)
class ResNetShape:
    """The parameters that distinguish ResNets, with torchvision's names."""

    bottleneck: bool
    depths: tuple[int, ...]
    width: int = 64  # channels of the first stage before expansion; 128 in a ResNet "x2"
    base_width: int = 64  # 128 in wide_resnet50_2, 4 in resnext50_32x4d
    groups: int = 1
    stem_channels: int = 64
    stem: Stem = Stem()

    @property
    def name(self) -> str:
        depth = next((key for key, value in DEPTHS.items() if value == (self.bottleneck, self.depths)), None)
        if depth is None:
            return f"resnet[{'-'.join(map(str, self.depths))}{'b' if self.bottleneck else ''}]w{self.width}"
        if self.groups > 1:
            return f"resnext{depth}_{self.groups}x{self.base_width}d"
        if self.base_width != 64:
            return f"wide_resnet{depth}_{self.base_width // 64}"
        if self.width == 64:
            return f"resnet{depth}"
        return f"resnet{depth}x{self.width // 64}" if self.width % 64 == 0 else f"resnet{depth}w{self.width}"


class ResNet(nn.Module):
    """A ResNet without a head, with torchvision's key names; gives (B, r) after ReLU and average pooling."""

    def __init__(self, shape: ResNetShape) -> None:
        super().__init__()
        stem, channels = shape.stem, shape.stem_channels
        size, stride = (3, 1) if stem.cifar else (7, 2)
        self.conv1 = nn.Conv2d(3, channels, size, stride=stride, padding=stem.padding, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True) if stem.relu else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem.maxpool else nn.Identity()
        self.n_stages = len(shape.depths)
        for index, depth in enumerate(shape.depths):
            stride = 1 if index == 0 else 2
            stage, channels = _stage(shape, channels, shape.width * 2**index, depth, stride=stride)
            self.add_module(f"layer{index + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for index in range(self.n_stages):
            x = self.get_submodule(f"layer{index + 1}")(x)
        return torch.flatten(self.avgpool(x), 1)


def _stage(
    shape: ResNetShape, channels: int, planes: int, depth: int, *, stride: int
) -> tuple[nn.Sequential, int]:
    block = Bottleneck if shape.bottleneck else BasicBlock
    out = planes * block.expansion
    blocks = []
    for index in range(depth):
        down = None
        if index == 0 and (stride != 1 or channels != out):
            down = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))
        first = stride if index == 0 else 1
        blocks.append(block(channels, planes, first, down, groups=shape.groups, base_width=shape.base_width))
        channels = out
    return nn.Sequential(*blocks), channels


def resnet_shape(state: Mapping[str, Tensor]) -> ResNetShape:
    """Infer the ResNet of a state dict with torchvision's key names.

    Raises:
        CheckpointError: the keys are not those of a plain ResNet.
    """
    if "conv1.0.weight" in state:
        raise CheckpointError(
            "the checkpoint has a deep stem (conv1.0, conv1.3 …); name the model of timm, which may be "
            "timm:resnet10t@PATH or timm:resnet50d@PATH"
        )
    if "layer1.0.conv2.weight" not in state or "conv1.weight" not in state:
        raise CheckpointError("its blocks are not those of a plain ResNet; name the model: timm:NAME@PATH")
    depths = []
    while f"layer{len(depths) + 1}.0.conv1.weight" in state:
        prefix = f"layer{len(depths) + 1}."
        depths.append(len({key.split(".")[1] for key in state if key.startswith(prefix)}))
    bottleneck = "layer1.0.conv3.weight" in state
    width = state[f"layer1.0.conv{3 if bottleneck else 1}.weight"].shape[0] // (4 if bottleneck else 1)
    inner, second = state["layer1.0.conv1.weight"].shape[0], state["layer1.0.conv2.weight"].shape[1]
    groups = max(inner // second, 1) if bottleneck else 1
    conv1 = state["conv1.weight"]
    if conv1.shape[-1] not in (3, 7):
        raise CheckpointError(
            f"the first convolution is {conv1.shape[-1]}x{conv1.shape[-1]}, neither 7x7 nor 3x3 (CIFAR); "
            "name the model: python:package.module:factory@PATH"
        )
    cifar = conv1.shape[-1] == 3
    base_width = inner * 64 // (width * groups) if bottleneck else 64
    stem = Stem(cifar=cifar, padding=1 if cifar else 3, maxpool=not cifar)
    return ResNetShape(
        bottleneck=bottleneck,
        depths=tuple(depths),
        width=width,
        base_width=base_width,
        groups=groups,
        stem_channels=conv1.shape[0],
        stem=stem,
    )


def named_resnet(name: str, *, stem: Stem) -> ResNetShape:
    """Return the shape for a name: resnet18 … resnet200, resnet50x2, wide_resnet50_2, resnext50_32x4d.

    Raises:
        EncoderError: unknown name.
    """
    match = re.fullmatch(r"(wide_)?resne(x)?t(\d+)(?:[xw_](\d+)(?:x(\d+)d)?)?", name)
    if match is None or match[3] not in DEPTHS or (match[5] and not match[2]):
        names = [f"resnet{depth}" for depth in DEPTHS]
        raise EncoderError(
            f"unknown architecture '{name}': {', '.join(names)} (x2, x4), wide_resnet50_2; "
            f"others as timm:{name}@PATH or torchvision:{name}@PATH.{did_you_mean(name, names)}"
        )
    bottleneck, depths = DEPTHS[match[3]]
    shape = ResNetShape(bottleneck, depths, stem=stem)
    if match[2]:
        shape = replace(shape, groups=int(match[4] or 32), base_width=int(match[5] or 4))
    elif match[1]:
        shape = replace(shape, base_width=64 * int(match[4] or 2))
    elif match[4]:
        shape = replace(shape, width=64 * int(match[4]))
    return replace(shape, stem_channels=shape.width)


def resnet_around(shape: ResNetShape, linear: nn.Linear) -> nn.Module | None:
    """Build torchvision's network of a shape, with this classifier; None where torchvision has none."""
    if shape.stem != Stem() or shape.name not in torchvision.models.list_models():
        return None
    network = torchvision.models.get_model(shape.name, weights=None)
    network.fc = linear
    return network


def vision_transformer_around(arguments: Mapping[str, Any], linear: nn.Linear) -> nn.Module:
    """Build timm's network of `vit_arguments`, with this classifier."""
    network = vision_transformer(arguments)
    network.head = linear
    return network


def fit_stem(model: nn.Module, layout: Layout) -> None:
    """Give a torchvision or timm ResNet the first layers that the checkpoint was trained with."""
    conv, weight = getattr(model, "conv1", None), layout.state.get("conv1.weight")
    if not isinstance(conv, nn.Conv2d) or weight is None:
        return
    cifar = weight.shape[-1] == 3 and conv.kernel_size[0] == 7
    if cifar:
        padding = layout.stem_padding
        model.conv1 = nn.Conv2d(3, conv.out_channels, 3, stride=1, padding=padding, bias=False)
    if cifar or layout.maxpool is False:
        model.maxpool = nn.Identity()
    if not layout.stem_relu:
        setattr(model, "act1" if hasattr(model, "act1") else "relu", nn.Identity())


def with_stem(make: HeadMaker, layout: Layout) -> HeadMaker:
    """Give networks that are built with their classifiers the first layers of a checkpoint, too."""
    first = replace(layout, state={key: one for key, one in layout.state.items() if key == "conv1.weight"})

    def made(tensors: Mapping[str, Tensor]) -> Any:
        result = make(tensors)
        if not isinstance(result, str) and result[0] is not None:
            fit_stem(result[0], first)
        return result

    return made


def vit_arguments(
    state: Mapping[str, Tensor], *, moco_v3: bool = False, heads: int | None = None
) -> dict[str, Any]:
    """Infer the arguments of timm's VisionTransformer from a checkpoint's state dict.

    Args:
        moco_v3: MoCo v3's small transformer has 12 heads, others have 6.
        heads: how many there are, where that is known.
    Raises:
        CheckpointError: the keys are not those of a plain vision transformer.
    """
    patch = state["patch_embed.proj.weight"]
    dim, size = patch.shape[0], patch.shape[-1]
    if not heads and dim % 64 and dim not in HEADS:
        raise CheckpointError(f"a transformer of width {dim} has no usual head count; use timm:NAME@PATH")
    n_registers = state["reg_token"].shape[1] if "reg_token" in state else 0
    n_class = int("cls_token" in state)
    n_places = state["pos_embed"].shape[1] if "pos_embed" in state else 0
    counts = (0, n_class + n_registers) if n_registers else (n_class, 0)  # tokens may have no places
    n_prefix = next((n for n in counts if _is_square(n_places - n)), None)
    side = round((n_places - (n_prefix or 0)) ** 0.5)
    if patch.ndim != 4 or n_prefix is None:
        raise CheckpointError(
            "the transformer has no square grid of position embeddings; name it: timm:NAME?img_size=N@PATH"
        )
    if "blocks.0.mlp.fc1.weight" not in state:
        raise CheckpointError("the transformer has blocks of another kind; name it: timm:NAME@PATH")
    blocks = {key.split(".")[1] for key in state if key.startswith("blocks.")}
    usual = 12 if moco_v3 and dim == 384 else HEADS.get(dim, max(dim // 64, 1))
    usual = 16 if dim == 1536 and not n_class else usual
    hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
    pools_places = "fc_norm.weight" in state or not n_class
    arguments: dict[str, Any] = {"img_size": side * size, "patch_size": size, "embed_dim": dim}
    arguments |= {"depth": len(blocks), "num_heads": heads or usual, "mlp_ratio": hidden / dim}
    arguments |= {"qkv_bias": "blocks.0.attn.qkv.bias" in state, "class_token": n_class == 1}
    arguments |= {"num_classes": 0, "global_pool": "avg" if pools_places else "token"}
    if "attn_pool.latent" in state:
        arguments["global_pool"] = "map"
    if "attn_pool.latent" in state and "norm_pre.weight" in state:
        raise CheckpointError(
            "the transformer is a Perception Encoder, whose rotary embeddings no file has; name it: "
            "timm:vit_pe_core_…@PATH"
        )
    if pools_places and "fc_norm.weight" not in state and "attn_pool.latent" not in state:
        arguments["fc_norm"] = False  # I-JEPA: all tokens are normalised, then their mean is taken
    if n_registers:
        arguments |= {"reg_tokens": n_registers, "no_embed_class": n_prefix == 0}
    elif n_class and n_prefix == 0:
        arguments["no_embed_class"] = True  # DeiT III
    if "norm_pre.weight" in state:
        arguments |= {"pre_norm": True, "eps": 1e-5}  # a CLIP's
    if "blocks.0.mlp.fc2.weight" in state and hidden == 2 * state["blocks.0.mlp.fc2.weight"].shape[1]:
        arguments["mlp"] = "swiglu"
    if "blocks.0.ls1.gamma" in state:
        arguments["init_values"] = 1.0
    return arguments


def _is_square(n: int) -> bool:
    return n > 0 and round(n**0.5) ** 2 == n


def timm_dinov3(state: Mapping[str, Tensor]) -> str | None:
    """The DINOv3 of timm with the names and the width of these tensors; None where there is none."""
    if "blocks.0.gamma_1" not in state or "reg_token" not in state or "pos_embed" in state:
        return None
    width = state["patch_embed.proj.weight"].shape[0]
    size = DINOV3.get((width, "blocks.0.mlp.fc1_g.weight" in state))
    with_bias = "_qkvb" if "blocks.0.attn.q_bias" in state else ""
    name = f"vit_{size}_patch16_dinov3{with_bias}"
    return name if size and timm.is_model(name) else None


def vision_transformer(arguments: Mapping[str, Any]) -> VisionTransformer:
    """Build timm's VisionTransformer from `vit_arguments`.

    Further arguments, as plain values: `eps` of its LayerNorms, `mlp`: "swiglu" for gated perceptrons.
    """
    plain = {key: value for key, value in arguments.items() if key not in ("eps", "mlp")}
    if "eps" in arguments:
        plain["norm_layer"] = partial(LayerNorm, eps=arguments["eps"])
    if arguments.get("mlp") == "swiglu":
        plain |= {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
    return VisionTransformer(**plain)


def architecture_hint(spec: Spec, layout: Layout, path: Path) -> str:
    """Suggest the architecture to name in a SPEC for a checkpoint that its own does not fit."""
    if layout.kind != "resnet":
        sized = ", or ?img_size=N for a transformer of another image size"
        return f"Try another architecture{sized if 'pos_embed' in layout.state else ''}"
    try:
        name = resnet_shape(layout.state).name
    except CheckpointError:
        return "Try another architecture: timm:NAME@PATH"
    if "bn1.weight" in layout.state and "bn1.running_var" not in layout.state:
        return (
            "Its norms have no running statistics (GroupNorm): of 32 groups "
            f"timm:{name}?norm_layer=groupnorm@{path}, else a factory: python:package.module:factory@PATH"
        )
    name_is_right = spec.name.split("?")[0] == name or not spec.family
    return (
        f"Try timm:{name}@{path} with its arguments, or a factory: python:package.module:factory@PATH"
        if name_is_right
        else f"It looks like {name}: try {name}@{path}"
    )


def libraries_with(name: str, file: Mapping[str, Any]) -> list[str]:
    """The libraries, timm or torchvision, that have a network of this exact name, which may be in the file.

    timm's may have the tag of their weights. Of torchvision these are classifiers and networks of
    segmentation. A network that is far larger than the file is none of it; its size is taken without memory,
    where that can be.
    """
    plain = name.partition(".")[0]
    makers: dict[str, Callable[..., nn.Module]] = {}
    if timm.is_model(plain):
        makers["timm"] = timm.create_model
    if name in _torchvision_models():
        makers["torchvision"] = _torchvision_network
    most = _n_elements(file) + ROOM
    return [
        library
        for library, make in makers.items()
        if _n_elements(_on_meta(make, plain if library == "timm" else name)) <= most
    ]


def _torchvision_models() -> list[str]:
    """Names of torchvision's classifiers and networks of segmentation."""
    modules = (torchvision.models, torchvision.models.segmentation)
    return [name for module in modules for name in torchvision.models.list_models(module=module)]


def _torchvision_network(name: str, **options: Any) -> nn.Module:
    """A network of torchvision with random weights, also in its backbone."""
    if name in torchvision.models.list_models(module=torchvision.models.segmentation):
        options["weights_backbone"] = None
    return torchvision.models.get_model(name, weights=None, **options)


def _on_meta(make: Callable[..., nn.Module], name: str) -> Mapping[str, Tensor]:
    """The tensors of a network, without memory; none for one that computes with them while it is built."""
    try:
        with without_weights():
            return make(name).state_dict()
    except (RuntimeError, NotImplementedError):
        return {}


def _n_elements(value: Any) -> int:
    """How many numbers the tensors in nested dictionaries have."""
    if isinstance(value, Tensor):
        return value.numel()
    return sum(map(_n_elements, value.values())) if isinstance(value, Mapping) else 0


# Encoders of networks of segmentation, whose last stages keep their size by dilation: no weight shows it.


STRIDES = {"DeepLabV3": 8, "DeepLabV3Plus": 16, "PAN": 16}  # of segmentation_models_pytorch where none is set
STAGES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # what each divides the size by
SMP_CLASS = "_model_class"  # in config.json of segmentation_models_pytorch


class MapOfBackbone(nn.Module):
    """The backbone of a network of segmentation of torchvision: (B, 3, H, W) to its last map, averaged."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone = network.backbone

    def forward(self, x: Tensor) -> Tensor:
        *_, last = self.backbone(x).values()
        return last.mean((2, 3))


def network_of_torchvision(file: Mapping[str, Any]) -> str | None:
    """torchvision's FCN or DeepLab with exactly the tensors of a file, by name; None for another file."""
    for _, state in containers_of(file):
        prefix = wrapper_of(state)
        tensors = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        if "backbone.layer4.0.conv1.weight" not in tensors or not _is_convolution(tensors):
            continue
        of_backbone = {
            key.removeprefix("backbone."): one for key, one in tensors.items() if key.startswith("backbone.")
        }
        try:
            depth = resnet_shape(of_backbone).name
        except CheckpointError:
            continue
        for name in (f"fcn_{depth}", f"deeplabv3_{depth}"):
            if name in torchvision_names() and tensors.keys() in _possible_keys(name):
                return name
    return None


def torchvision_names() -> list[str]:
    """The networks of segmentation that torchvision has."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models.segmentation)


def _is_convolution(tensors: Mapping[str, Tensor]) -> bool:
    return any(key.startswith("classifier.") and tensor.ndim == 4 for key, tensor in tensors.items())


def _possible_keys(name: str) -> list[set[str]]:
    with without_weights():
        return [set(_torchvision_network(name, aux_loss=aux).state_dict()) for aux in (False, True)]


def output_stride_of(config: Mapping[str, Any]) -> int | None:
    """The output stride that config.json of segmentation_models_pytorch states; None for its usual 32."""
    if SMP_CLASS not in config:
        return None
    stride = config.get("encoder_output_stride", STRIDES.get(str(config[SMP_CLASS]), 32))
    return stride if stride in (8, 16) else None


def with_output_stride(model: nn.Module, output_stride: int) -> nn.Module:
    """Dilate the last stages of a ResNet as segmentation_models_pytorch does: all their convolutions."""
    for name, stride in STAGES.items():
        rate = stride // output_stride
        if rate < 2:
            continue
        for module in model.get_submodule(name).modules():
            if isinstance(module, nn.Conv2d):
                side = module.kernel_size[0] // 2 * rate
                module.stride, module.dilation, module.padding = (1, 1), (rate, rate), (side, side)
    return model
