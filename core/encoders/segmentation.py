"""Encoders of networks of segmentation, whose last stages keep their size by dilation: no weight shows it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from core.encoders.architectures import resnet_shape, torchvision_network
from core.encoders.layouts import containers_of, wrapper_of
from core.encoders.without_weights import without_weights
from core.errors import CheckpointError

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
    for _, held in containers_of(file):
        prefix = wrapper_of(held)
        tensors = {key.removeprefix(prefix): tensor for key, tensor in held.items()}
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
    return any(key.startswith("classifier.") and one.ndim == 4 for key, one in tensors.items())


def _possible_keys(name: str) -> list[set[str]]:
    with without_weights():
        return [set(torchvision_network(name, aux_loss=aux).state_dict()) for aux in (False, True)]


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
