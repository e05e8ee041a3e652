"""Build the model of a SPEC without its head, with its transform."""

import copy
import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import timm
import torch
import torchvision
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from core.encoders.architectures import MapOfBackbone, torchvision_names, without_weights
from core.encoders.assumptions import assumed
from core.encoders.clip_towers import activations_differ, agreed_pixels, image_tower, tower_transform
from core.encoders.head import HeadMaker, HeadPart
from core.encoders.spec import Spec
from core.encoders.transform import Transform, sides_of
from core.encoders.trusted_code import check_arguments, check_code
from core.errors import EncoderError, did_you_mean, first_line

SEED = 0  # seed of random weights, so that a study with them can be resumed


@dataclass
class Built:
    """A model without a head, and the assumptions made about it."""

    model: nn.Module
    transform: Transform
    arch: str
    weights: str  # where they come from
    assumptions: list[str] = field(default_factory=list)
    layer: str | None = None  # if the user's factory chooses one
    pool: str | None = None  # likewise, and if it is not the network's own way
    tokens: str | None = None
    token_norm: str | None = None
    is_plain_module: bool = False  # the user's own network as it is, perhaps with its classifier
    # Tensors of the network with its classifier, in order, by name; where the library knows it.
    whole: Callable[[], Mapping[str, Tensor]] | None = None
    # The network with a classifier of the shapes in a file, or with that of its library's weights; its parts.
    head: HeadMaker | None = None
    # A library's network around a classifier that the file has; None where no library builds such a one.
    around: Callable[[nn.Linear], nn.Module | None] | None = None
    transform_stated: bool = True  # it came with the weights
    stated_by: str = ""  # the file beside the weights that states the network
    pixels_from: str = ""  # the file beside the weights that states the transform
    all_taken: bool = True  # of what such a file says
    independent: bool = False  # the outputs of its classifier: it was trained for several classes an image
    other_stem_paddings: tuple[int, ...] = ()  # of a 3x3 first convolution: the weights do not say it
    inferred: bool = False  # from the names and shapes of tensors, which other networks have, too
    reads_more: bool = False  # its classifier, where it has one, may read more than what the network gives


def build_architecture(spec: Spec, *, with_weights: bool) -> Built:
    """Build the model of a torchvision:, timm:, open_clip: or python: SPEC.

    Args:
        with_weights: load the weights that the SPEC names; False if a checkpoint is loaded later.
    Raises:
        EncoderError: unknown model, wrong arguments, or weights that cannot be downloaded.
        CodeRefused: it would run code or read files that the owner of this machine has not named.
    """
    check_arguments(spec)
    makers = {"torchvision": _torchvision, "timm": _timm, "open_clip": _open_clip, "python": _python}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        built = makers[spec.family](spec, with_weights)
    if built.weights == "random" and with_weights:
        built.assumptions.insert(0, assumed("random_weights", what=spec.arch, n=SEED))
    return built


def _torchvision(spec: Spec, with_weights: bool) -> Built:
    models = torchvision.models
    if spec.name not in models.list_models():
        raise EncoderError(
            f"torchvision has no model '{spec.name}'.{did_you_mean(spec.name, models.list_models())}"
        )
    arguments = dict(spec.arguments)
    weights = arguments.pop("weights", "DEFAULT") if with_weights else None
    available = models.get_model_weights(spec.name)
    names = list(dict.fromkeys([*available.__members__, "DEFAULT"]))
    if weights is not None and str(weights) not in names:
        raise EncoderError(
            f"torchvision:{spec.name} has no weights '{weights}'; it has {', '.join(names)} and none"
        )
    if spec.name in torchvision_names() and weights is None:
        arguments.setdefault("weights_backbone", None)
    model = _call(spec, models.get_model, spec.name, weights=weights, **arguments)
    if spec.name in torchvision_names():
        name = f"torchvision {available[str(weights)].name}" if weights else "random"
        return Built(MapOfBackbone(model), Transform(), spec.arch, name, transform_stated=False)
    notes: list[str] = []
    if not with_weights:
        _remove_auxiliary(model)
        if hasattr(model, "transform_input") and "transform_input" not in arguments:
            notes.append(assumed("transform_input", what=spec.name))
    whole = model.state_dict()
    reads_more = any(isinstance(part.module, AfterMap) for part in _remove_torchvision_head(model))
    head = partial(_torchvision_head, spec.name, arguments, whole, with_weights)
    parts = {"whole": lambda: whole, "head": head, "reads_more": reads_more}
    if weights is None:
        return Built(model, Transform(), spec.arch, "random", notes, **parts)
    preset: Any = available[str(weights)].transforms()
    resize = int(preset.resize_size[0])
    input_size = int(preset.crop_size[0])
    transform = Transform(
        resize=resize,
        input_size=input_size,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )
    return Built(model, transform, spec.arch, f"torchvision {available[str(weights)].name}", **parts)


def _remove_auxiliary(model: Any) -> None:
    """Remove the classifiers that GoogLeNet and Inception use in training alone."""
    for name in ("aux1", "aux2", "AuxLogits"):
        if isinstance(getattr(model, name, None), nn.Module):
            setattr(model, name, None)
            model.aux_logits = False


def _torchvision_head(
    name: str,
    arguments: Mapping[str, Any],
    whole: Mapping[str, Tensor],
    with_weights: bool,
    tensors: Mapping[str, Tensor],
) -> tuple[nn.Module, Sequence[HeadPart]]:
    """A network of torchvision with its classifier, and the classifier."""
    options = {**arguments, **_outputs_in(tensors, whole)}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # which takes long
    network = torchvision.models.get_model(name, weights=None, **options)
    if with_weights:
        network.load_state_dict(whole)
    else:
        _remove_auxiliary(network)
    shell = copy.copy(network)
    shell._modules = dict(network._modules)  # the network keeps its classifier
    return network, _remove_torchvision_head(shell)


def _outputs_in(tensors: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> dict[str, Any]:
    """The number of outputs of a network, where its classifier in a file has another than in `whole`."""
    other = set()
    for key, tensor in whole.items():
        if key in tensors and tensor.ndim and tensors[key].ndim and len(tensors[key]) != len(tensor):
            other.add(len(tensors[key]))
    return {"num_classes": other.pop()} if len(other) == 1 else {}


def _remove_torchvision_head(model: nn.Module) -> list[HeadPart]:
    """Remove the classifier, and return it with the place that it reads."""
    parts = []
    for name in ("fc", "classifier", "head", "heads"):
        if not isinstance(head := getattr(model, name, None), nn.Module):
            continue
        part = HeadPart(head)
        if name == "classifier" and isinstance(pool := getattr(model, "avgpool", None), nn.AdaptiveAvgPool2d):
            if pool.output_size not in (1, (1, 1)):
                part = HeadPart(AfterMap(pool, head), "avgpool")
            model.avgpool = nn.AdaptiveAvgPool2d(1)  # VGG and AlexNet flatten a 7x7 map into their head
        if type(model).__name__ == "ConvNeXt":
            *first, last = model.get_submodule("classifier").children()
            model.classifier, part = nn.Sequential(*first), HeadPart(last)
        elif type(model).__name__ in ("SqueezeNet", "MaxVit"):  # their classifiers begin with a map
            model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            first, _, *others = head.children()
            pools_first = isinstance(first, nn.AdaptiveAvgPool2d)
            part = HeadPart(nn.Sequential(*others)) if pools_first else HeadPart(head, "classifier")
        else:
            setattr(model, name, nn.Identity())
        parts.append(part)
    return parts


class AfterMap(nn.Sequential):
    """A classifier that flattens a pooled map; its tensors have the names that they have in its network."""

    def __init__(self, pool: nn.Module, classifier: nn.Module):
        super().__init__(*classifier.children())
        self.before = [pool, nn.Flatten()]  # a list: neither has tensors

    def forward(self, input: Tensor) -> Tensor:
        for module in self.before:
            input = module(input)
        return super().forward(input)


def _timm(spec: Spec, with_weights: bool) -> Built:
    arguments = {key: value for key, value in spec.arguments.items() if key != "num_classes"}
    pretrained = bool(arguments.pop("pretrained", False)) and with_weights
    if not pretrained and arguments.get("in_chans") == 1:
        del arguments["in_chans"]  # the network reads colours, and its file is read in grey
    base = spec.name.split(".")[0]
    if "/" not in spec.name and not spec.name.startswith("hf") and not timm.is_model(base):
        raise EncoderError(f"timm has no model '{spec.name}'.{did_you_mean(base, timm.list_models())}")
    model = _call(spec, timm.create_model, spec.name, pretrained=pretrained, num_classes=0, **arguments)
    transform, notes = timm_transform(model)
    if not pretrained and with_weights:
        notes.append(assumed("timm_unasked"))
    weights = "timm pretrained" if pretrained else "random"
    whole = cache(partial(_whole_timm_model, spec.name, arguments))
    head = partial(_timm_head, model, spec.name, arguments, pretrained, whole)
    of_both = hasattr(model, "dist_token")  # a classifier each, of the CLS token and of that of distillation
    return Built(model, transform, spec.arch, weights, notes, whole=whole, head=head, reads_more=of_both)


def _timm_head(
    model: nn.Module,
    name: str,
    arguments: Mapping[str, Any],
    pretrained: bool,
    whole: Callable[[], Mapping[str, Tensor]],
    tensors: Mapping[str, Tensor],
) -> tuple[nn.Module, Sequence[HeadPart]]:
    """A network of timm with its classifier, and the classifier, which `model` has not.

    Some have two, of which the mean counts. Others have one that is no module: they give no parts.
    """
    outputs = _outputs_in(tensors, whole()) if tensors else {}
    network = timm.create_model(name, pretrained=pretrained, **arguments, **outputs)
    get_classifier: Any = network.get_classifier
    classifier = get_classifier()
    names = {module: module_name for module_name, module in network.named_modules()}
    modules = dict(model.named_modules())  # an Identity stands in the place of a classifier
    parts = []
    for head in classifier if isinstance(classifier, tuple) else (classifier,):
        if isinstance(head, nn.ModuleList) or head not in names or isinstance(head, nn.Identity):
            continue
        steps = names[head].split(".")
        outer = (".".join(steps[:n]) for n in range(1, len(steps) + 1))
        left_out = next(
            (one for one in outer if isinstance(modules.get(one, nn.Identity()), nn.Identity)), names[head]
        )
        parts.append(HeadPart(network.get_submodule(left_out), left_out if left_out in modules else ""))
    return network, parts


def _whole_timm_model(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """Build the network with its classifier, without memory for its weights where it can be."""
    try:
        with without_weights():
            return timm.create_model(name, **arguments).state_dict()
    except (RuntimeError, NotImplementedError):  # it computes with its weights while it is built
        return timm.create_model(name, **arguments).state_dict()


def timm_transform(model: Any, stated: Mapping[str, Any] | None = None) -> tuple[Transform, list[str]]:
    """The pixels that a network of timm was trained on; `stated`: what is known better of its weights."""
    config = resolve_model_data_config(model, pretrained_cfg={**model.pretrained_cfg, **(stated or {})})
    patches = getattr(model, "patch_embed", None)
    grid = getattr(patches, "img_size", None)
    if stated and "input_size" in stated and not getattr(patches, "strict_img_size", True):
        grid = None  # else a grid of patches binds a network to its input, whatever else is said of it
    height, width = sides_of(grid or config["input_size"][1:])
    notes = []
    crop = config.get("crop_mode", "center")
    if crop not in ("center", "squash"):
        notes.append(assumed("timm_crop", what=crop))
        crop = "center"
    interpolation = config.get("interpolation", "bilinear")
    resize = math.floor(min(height, width) / (config.get("crop_pct") or 1.0))
    if crop == "squash" and resize != min(height, width):
        crop = "squash center"
    usual_interpolation = interpolation if interpolation != "random" else "bilinear"
    mean = tuple(config["mean"])
    transform = Transform(
        resize=resize,
        input_size=(height, width),
        mean=mean,
        std=tuple(config["std"]),
        interpolation=usual_interpolation,
        crop=crop,
    )
    return transform, notes


def _open_clip(spec: Spec, with_weights: bool) -> Built:
    model, tag = image_tower(spec, _call, with_weights=with_weights)
    agreed = {} if with_weights else agreed_pixels(spec.name)
    transform, notes = tower_transform(model, agreed)
    if tag is None and with_weights:
        notes.append(assumed("open_clip_unasked"))
    if not with_weights and activations_differ(spec.name) and "force_quick_gelu" not in spec.arguments:
        notes.append(assumed("open_clip_gelu", what=spec.name))
    built = Built(model, transform, spec.arch, f"open_clip {tag}" if tag else "random", notes)
    if agreed:
        built.pixels_from, built.all_taken = f"all that open_clip has of {spec.name}", True
    return built


def _python(spec: Spec, with_weights: bool) -> Built:
    from core.encoders.encoder import Encoder
    from core.encoders.tokens import TokenPool

    module_name, colon, factory_name = spec.name.partition(":")
    if not colon or not factory_name:
        raise EncoderError(f"'python:{spec.name}' names no factory; write python:package.module:factory")
    check_code(spec.arch, spec.arguments)
    factory = _imported(module_name, factory_name)
    made = _call(spec, factory, **spec.arguments)
    if isinstance(made, Encoder):
        layer = made.target_layer if made.early else None
        notes, pool = list(made.assumptions), None if made.pool == "gap" else made.pool
        rule = made.model.rule if isinstance(made.model, TokenPool) else None
        token_options = (rule.tokens, rule.norm) if rule else (None, None)
        return Built(made.base, made.transform, spec.arch, "the factory", notes, layer, pool, *token_options)
    if not isinstance(made, nn.Module):
        raise EncoderError(f"{spec.arch} returned a {type(made).__name__}; it must return a torch.nn.Module")
    return Built(made, Transform(), spec.arch, "the factory", is_plain_module=True)


def _imported(module_name: str, factory_name: str) -> Any:
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        problem = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise EncoderError(
            f"cannot import '{module_name}' for the encoder: {problem}; run where it can be imported, "
            "or put its folder into PYTHONPATH"
        ) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise EncoderError(
            f"'{module_name}' has no function '{factory_name}'.{did_you_mean(factory_name, dir(module))}"
        )
    return factory


def _call(spec: Spec, factory: Any, *args: Any, **arguments: Any) -> Any:
    """Call a factory and report any error in one line; it concerns the user's SPEC or the network."""
    try:
        return factory(*args, **arguments)
    except (OSError, RuntimeError) as error:
        raise EncoderError(
            f"cannot build {spec.arch}: {first_line(error)}. Without a network, name a file: "
            f"{spec.family}:{spec.name}@PATH"
        ) from error
    except Exception as error:
        raise EncoderError(f"cannot build {spec.arch}: {type(error).__name__}: {error}") from error


def scaled(transform: Transform, input_size: int) -> Transform:
    """Adapt an encoder's transform to another input size, keeping the ratio of resize to crop."""
    resize = transform.resize and round(input_size * transform.resize / min(transform.sides))
    return dataclasses.replace(transform, resize=resize, input_size=input_size)
