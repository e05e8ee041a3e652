"""Load an Encoder from a SPEC: architecture, weights, transform, and all assumptions made."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.common.assets import asset, asset_names
from core.common.device import resolve_device
from core.common.records import Record
from core.encoders.architectures import (
    ALSO,
    ResNet,
    ResNetShape,
    Stem,
    architecture_hint,
    fit_stem,
    named_resnet,
    network_of_torchvision,
    output_stride_of,
    resnet_around,
    resnet_shape,
    timm_dinov3,
    vision_transformer,
    vision_transformer_around,
    vit_arguments,
    with_output_stride,
    with_stem,
)
from core.encoders.assumptions import assumed
from core.encoders.checkpoints import LoadReport, copied_checkpoint, is_head, load_strict
from core.encoders.encoder import Encoder
from core.encoders.factories import Built, build_architecture, scaled, timm_transform
from core.encoders.grey import in_three_channels
from core.encoders.head import Beside, head_of_network
from core.encoders.head_file import COPY, names_in, names_in_metadata
from core.encoders.head_input import HEAD_INPUT, to_head_input, with_all_that_is_read
from core.encoders.hugging_face_classifiers import (
    AroundEncoder,
    classifier_parts,
    own_head_note,
    stated_labels,
    wrapper_names,
    wrapper_sidecar,
)
from core.encoders.hugging_face_files import WHOLE, names_of_timm, other_weights, repository, timm_sidecar
from core.encoders.hugging_face_networks import GIVEN, build_network, with_classifier
from core.encoders.hugging_face_processors import HALF
from core.encoders.hugging_face_settings import read_beside
from core.encoders.layout_names import PIXELS
from core.encoders.layouts import BY_ORDER, TRANSFORMERS, Layout, recognise, renamed_by_order
from core.encoders.packaged import PACKAGED
from core.encoders.safe_load import read_checkpoint
from core.encoders.spec import Sidecar, Spec, parse_spec, read_sidecar
from core.encoders.stated import stated_networks
from core.encoders.timm_conversion import converted_by_timm, efficientnet_of, fused, state_of_npz
from core.encoders.transform import CIFAR_MEAN, CIFAR_STD, Transform, assumed_pixels
from core.errors import CheckpointError, EncoderError, did_you_mean

__all__ = ["Encoder", "load_encoder"]

OUTPUTS = {"token": "the class token", "avg": "the mean of the patches"}  # of a ViT, by its global_pool
FACTORIES = ("torchvision", "timm", "open_clip", "python")


def load_encoder(
    spec: str,
    *,
    layer: str | None = None,
    pool: str | None = None,
    tokens: str | None = None,
    token_norm: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: int | None = None,
    resize: int | None = None,
    device: str | torch.device = "cpu",
) -> Encoder:
    """Load the encoder of a SPEC strictly.

    Args:
        spec: torchvision:NAME, timm:NAME?key=value&…, open_clip:NAME?pretrained=TAG, each also with @PATH;
            resnet18@PATH; PATH (or s3://…); hf:ORG/NAME; asset:NAME; python:module:factory.
            `branch=student|teacher` and `prefix=…` select one of a file's encoders.
        layer: dotted name; the representation is then the pooled output of that layer. Or HEAD_INPUT.
            Default: the last stage; what the last layer of its classifier reads, where the classifier reads
            more and neither pool nor tokens are given.
        pool: how the map of the layer is pooled, one of POOLINGS; None: gap, where there is a map.
        tokens, token_norm: which tokens of a transformer (TOKENS), before or after its final norm; None: as
            the network does it, and after.
        mean, std, input_size, resize: override the checkpoint, the sidecar and the architecture.
    Raises:
        SettingsError: the spec, a flag or the device is unusable.
        CheckpointError: the checkpoint cannot be read, is not recognised, or does not fit.
        EncoderError: the architecture cannot be built, lacks the layer or tokens, or has no map to
            pool.
    """
    device = resolve_device(device)
    parsed, sidecar = _located(parse_spec(spec))
    settings = {"mean": mean, "std": std, "input_size": input_size, "resize": resize}
    settings = {key: value for key, value in settings.items() if value is not None}
    flags = frozenset(settings)
    settings, of_range = _of_unit_pixels(settings)
    beside = None
    if parsed.checkpoint is None:
        built = build_architecture(parsed, with_weights=True)
        report = LoadReport(built.weights, "", len(built.model.state_dict()))
        if built.is_plain_module:
            built.assumptions += assumed_pixels(built.transform, flags)
            built.transform_stated = False
    else:
        try:
            built, report, beside = _from_checkpoint(parsed, parsed.checkpoint, sidecar, flags)
        except CheckpointError as error:
            text, path = str(error), str(parsed.checkpoint)
            raise type(error)(text if path in text.split(": ")[0] else f"'{path}': {text}") from error
    built.assumptions += of_range
    to_head, as_usual = layer == HEAD_INPUT, not (layer or pool or tokens or token_norm)
    layer = None if to_head else layer
    encoder = Encoder(
        built.model,
        _overridden(built.transform, settings),
        arch=built.arch,
        spec=spec,
        layer=layer or built.layer,
        pool=pool or built.pool,
        tokens=tokens or built.tokens,
        token_norm=token_norm or built.token_norm,
        may_classify=built.is_plain_module,
        report=report,
        assumptions=built.assumptions,
        device=device,
    )
    encoder.find_head = partial(head_of_network, encoder, built, beside)
    encoder.other_stem_paddings = built.other_stem_paddings
    encoder.normalisation_stated = built.transform_stated and not {"mean", "std"} & flags
    if to_head:
        return to_head_input(encoder, built.assumptions)
    return with_all_that_is_read(encoder, built.assumptions) if built.reads_more and as_usual else encoder


def _located(spec: Spec) -> tuple[Spec, Sidecar | None]:
    """Return the SPEC with the file of an asset, or the folder of a repository of the hub, and what is known
    of it where no sidecar lies beside it."""
    if spec.address:
        return dataclasses.replace(spec, checkpoint=copied_checkpoint(spec.address)), None
    if spec.family == "hf":
        spec = Spec("", "", checkpoint=repository(spec), branch=spec.branch, prefix=spec.prefix)
    if spec.family != "asset":
        return spec, None
    if packaged := PACKAGED.get(spec.name):
        return Spec("", "", checkpoint=packaged.path()), packaged.sidecar
    names = [*PACKAGED, *asset_names("encoders", ".safetensors")]
    if spec.name not in names:
        raise EncoderError(
            f"no encoder '{spec.name}' ships with Peregrine; there are: {', '.join(names) or 'none'}."
            f"{did_you_mean(spec.name, names)}"
        )
    path = asset(f"encoders/{spec.name}.safetensors")
    return Spec("", "", checkpoint=path, branch=spec.branch, prefix=spec.prefix), None


def _from_checkpoint(
    spec: Spec, path: Path, known: Sidecar | None, flags: frozenset[str]
) -> tuple[Built, LoadReport, Beside]:
    """Load a checkpoint: as the network that the file names, if it fits strictly, else as its keys tell."""
    file = state_of_npz(spec, path) if path.suffix == ".npz" else read_checkpoint(path)
    sidecar = known or _said_of(path)
    problems: list[str] = []
    by_order: list[tuple[Built, LoadReport, Beside]] = []
    stated = [] if sidecar.arch else stated_networks(file, read_beside(path) if _is_whole(path) else None)
    if spec.family:
        named = [one for one in stated if (one.spec.family, one.spec.name) == (spec.family, spec.name)]
        stated = []
        for network in named[:1]:
            sidecar = dataclasses.replace(_with_network(sidecar, network), arch=None)
            spec = dataclasses.replace(spec, arguments=network.arguments | spec.arguments)
    for network in stated:
        try:
            loaded = _from_file(spec, path, file, _with_network(sidecar, network), known, flags)
        except EncoderError as problem:
            problems.append(f"{network.source} is {network.spec.arch}, but {problem}")
            continue
        if loaded[1].layout != BY_ORDER:
            return loaded
        by_order.append(loaded)
    if by_order:
        return by_order[0]
    if output_stride_of(read_beside(path)) and not spec.family and _is_whole(path):
        raise CheckpointError(
            "config.json of segmentation_models_pytorch beside it says an output stride, and its encoder "
            "is no plain ResNet: name the network that dilates so, timm:NAME?output_stride=N@FILE"
        )
    try:
        loaded = _from_file(spec, path, file, sidecar, known, flags)
    except CheckpointError as error:
        raise CheckpointError(". ".join([str(error), *problems])) from error
    if stated:
        loaded[0].assumptions.insert(0, assumed("arch_misfit", names=tuple(one.spec.arch for one in stated)))
    return loaded


def _is_whole(path: Path) -> bool:
    """Whether config.json beside a file is its own."""
    return path.is_dir() or path.name in WHOLE


def _with_network(sidecar: Sidecar, network: Sidecar) -> Sidecar:
    """What lies beside a checkpoint, which wins, and the network that the file itself names."""
    pixels = sidecar.transform or network.transform
    return dataclasses.replace(
        sidecar,
        arch=network.arch,
        arguments=network.arguments,
        transform=pixels,
        timm_geometry=network.timm_geometry,
        output_stride=network.output_stride,
        states_pixels=network.states_pixels and not sidecar.transform,
        source=sidecar.source if sidecar.transform else network.source,
    )


def _from_file(
    spec: Spec,
    path: Path,
    file: Mapping[str, Any],
    sidecar: Sidecar,
    known: Sidecar | None,
    flags: frozenset[str],
) -> tuple[Built, LoadReport, Beside]:
    taken, others = other_weights(path)
    notes: list[str] = [assumed("other_weights", what=taken, names=tuple(others))] if others else []
    if not spec.family and sidecar.arch:
        spec = _from_sidecar(spec, sidecar)
        kind = "arch_trained" if sidecar.method else "arch_of_sidecar"
        notes.append(assumed(kind, what=spec.arch, names=(sidecar.method,), why=sidecar.source))
    elif spec.family and sidecar.arch and _from_sidecar(spec, sidecar).arch != spec.arch:
        notes.append(assumed("arch_as_requested", what=spec.arch, names=(sidecar.arch,)))
    if spec.family == "resnet":
        named_resnet(spec.name, stem=Stem())  # an unknown name is the first thing to say
    of_tensorflow = efficientnet_of(file, spec) if known is None else None
    if of_tensorflow:
        notes.append(assumed("of_tensorflow", what=of_tensorflow))
        spec = dataclasses.replace(spec, family="timm", name=of_tensorflow)
    if not spec.family and (name := network_of_torchvision(file)):
        spec = dataclasses.replace(spec, family="torchvision", name=name)
        notes.append(assumed("arch_of_keys", what=spec.arch, names=("torchvision",)))
    made = build_architecture(spec, with_weights=False) if spec.family in FACTORIES else None
    if made and spec.family == "timm":
        file = converted_by_timm(file, spec, made.model)
        made = _fused(made, file)
    layout = recognise(
        file,
        branch=spec.branch,
        prefix=spec.prefix,
        expected=made.model.state_dict().keys() if made else None,
        filename=path.name,
    )
    _check_stem(sidecar, layout)
    padding = sidecar.stem_padding if sidecar.stem_padding is not None else layout.stem_padding
    others = () if sidecar.stem_padding is not None else layout.other_stem_paddings
    layout = dataclasses.replace(layout, stem_padding=padding, other_stem_paddings=others)
    if made is None:
        made, layout = _from_keys(spec, layout, path, GIVEN if sidecar.transform else flags)
        if not spec.family and (also := ALSO.get(layout.kind)):
            made.inferred = True
            notes.append(assumed("arch_assumed", what=made.arch, why=layout.name, names=also))
        elif not spec.family:
            kind = "arch_of_sidecar" if made.stated_by else "arch_of_keys"
            notes.append(assumed(kind, what=made.arch, names=(layout.name,), why=made.stated_by))
    elif layout.kind == "resnet":
        fit_stem(made.model, layout)
        made.head = made.head and with_stem(made.head, layout)
    if sidecar.output_stride and isinstance(made.model, ResNet):
        made.model = with_output_stride(made.model, sidecar.output_stride)
        made.arch, made.around = f"{made.arch}?output_stride={sidecar.output_stride}", None
    if layout.kind == "transformers" and spec.family in ("", "timm"):
        around = AroundEncoder(layout.name.removesuffix(TRANSFORMERS), layout.prefix, path)
        made.head = partial(classifier_parts, around, made.model)
        notes += filter(None, [own_head_note(around, made.model, layout.beside)])
        made.reads_more = True
        made.independent = read_beside(path).get("problem_type") == "multi_label_classification"
    if made.pixels_from and not sidecar.transform:
        sidecar = dataclasses.replace(sidecar, transform=made.transform.to_dict(), source=made.pixels_from)
    layout = in_three_channels(layout, made.model.state_dict())
    named, classifier = _named_like(made, layout)
    # of a file that comes with the product, what its tensors are called is no news
    is_known = known is not None or of_tensorflow
    layout = dataclasses.replace(named, notes=layout.notes) if is_known else named
    hint = architecture_hint(spec, layout, path)
    report = load_strict(made.model, layout, name=made.arch, hint=hint, classifier=classifier)
    made.transform, more = _transform(made, layout, sidecar, flags)
    from_processor = bool(made.pixels_from) and sidecar.source == made.pixels_from
    stated = bool(sidecar.transform or sidecar.states_pixels or layout.statistics)
    made.transform_stated = stated and (made.all_taken or not from_processor)
    made.assumptions = [*notes, *made.assumptions, *layout.notes, *more]
    expected = made.model.state_dict()
    others = {key: tensor for key, tensor in layout.state.items() if key not in expected}
    names = names_in(file)
    if layout.kind == "transformers" and not names:
        names = stated_labels(path)
    names = names or wrapper_names(path) or names_of_timm(path) or names_in_metadata(path)
    return made, report, ({**others, **_nearest_first(layout)}, names)


def _nearest_first(layout: Layout) -> Mapping[str, torch.Tensor]:
    """The tensors that are not of the encoder; beside an average of a model those of the average first."""
    part = layout.prefix.rstrip(".").rpartition(".")[0]
    if not COPY.search(layout.prefix) or not part:
        return layout.beside
    keys = sorted(layout.beside, key=lambda key: not key.startswith(f"{part}."))
    return {key: layout.beside[key] for key in keys}


def _fused(made: Built, file: Mapping[str, Any]) -> Built:
    """A network of timm, fused where its file is; its classifier is then known by its name alone."""
    model = fused(file, made.model)
    return made if model is made.model else dataclasses.replace(made, model=model, whole=None, head=None)


def _named_like(made: Built, layout: Layout) -> tuple[Layout, frozenset[str]]:
    """Return the layout with the network's own names, and the names of the network's classifier."""
    expected = made.model.state_dict()
    if made.whole is None or all(key in expected or is_head(key, expected) for key in layout.state):
        return layout, frozenset()
    whole = made.whole()
    fitting = (renamed_by_order(layout, names, made.arch) for names in (whole, expected))
    renamed = next(filter(None, fitting), layout)
    return renamed, frozenset(whole.keys() - expected.keys())


def _said_of(path: Path) -> Sidecar:
    """Return the sidecar of a checkpoint, or what timm's config.json beside it says in place of one."""
    sidecar = read_sidecar(path)
    if sidecar != Sidecar():
        return sidecar
    return wrapper_sidecar(path) or timm_sidecar(path) or sidecar


def _from_sidecar(spec: Spec, sidecar: Sidecar) -> Spec:
    """Combine the sidecar's architecture with the checkpoint, branch and prefix of the SPEC."""
    plain = sidecar.spec
    return dataclasses.replace(
        plain,
        checkpoint=spec.checkpoint,
        branch=spec.branch or plain.branch,
        prefix=spec.prefix or plain.prefix,
    )


def _from_keys(spec: Spec, layout: Layout, path: Path, flags: frozenset[str]) -> tuple[Built, Layout]:
    """Build a ResNet (named, or inferred from the weights) or another network for a state dict; and the state
    as that takes it."""
    if layout.kind == "transformers" and not spec.family:
        network = build_network(layout.name.removesuffix(TRANSFORMERS), layout.state, path, flags)
        view = network.view
        made = Built(network.model, view.transform, network.arch, "checkpoint", network.notes)
        made.stated_by = network.stated_by
        made.pixels_from, made.all_taken = view.source if not view.problem else "", view.stated
        return made, dataclasses.replace(layout, state=network.state)
    return _of_timm(spec, layout, path), layout


def _of_timm(spec: Spec, layout: Layout, path: Path) -> Built:
    if layout.kind == "convnext" and not spec.family:
        network = build_network(layout.kind, layout.state, path)
        model = network.model
        whole, around = (lambda: with_classifier(model).state_dict()), partial(with_classifier, model)
        options: dict[str, Any] = {"whole": whole, "around": around}
        return Built(model, network.view.transform, network.arch, "checkpoint", network.notes, **options)
    if layout.kind == "vit" and not spec.family and (name := timm_dinov3(layout.state)):
        return build_architecture(Spec("timm", name), with_weights=False)
    if layout.kind == "vit" and not spec.family:
        arguments: dict[str, Any] = dict(vit_arguments(layout.state, moco_v3=layout.name == "MoCo v3"))
        output = OUTPUTS.get(str(arguments.get("global_pool", "token")), "its own pooling")
        eps = float(arguments.get("eps", 1e-6))
        notes: list[str] = [assumed("heads_of_width", n=arguments["num_heads"], what=output, value=eps)]
        if "pre_norm" in arguments:
            notes.append(assumed("gelu"))
        arch = "vit[" + ",".join(f"{key}={value}" for key, value in sorted(arguments.items())) + "]"
        is_siglip = "attn_pool.latent" in layout.state
        pixels = Transform(mean=HALF, std=HALF) if is_siglip else Transform()
        transform = scaled(pixels, int(arguments["img_size"]))
        around = partial(vision_transformer_around, arguments)
        return Built(vision_transformer(arguments), transform, arch, "checkpoint", notes, around=around)
    if layout.kind != "resnet":
        raise CheckpointError(
            f"its keys (layout {layout.name}) are not those of {spec.name or 'a ResNet'}; "
            "name the architecture: timm:NAME@PATH or torchvision:NAME@PATH"
        )
    shape = _shape(spec, layout)
    return Built(ResNet(shape), Transform(), shape.name, "checkpoint", around=partial(resnet_around, shape))


def _shape(spec: Spec, layout: Layout) -> ResNetShape:
    read = resnet_shape(layout.state)
    maxpool = read.stem.maxpool if layout.maxpool is None else layout.maxpool
    padding = layout.stem_padding if read.stem.cifar else 3
    stem = Stem(cifar=read.stem.cifar, padding=padding, relu=layout.stem_relu, maxpool=maxpool)
    if not spec.family:
        return dataclasses.replace(read, stem=stem)
    if spec.arguments:
        raise EncoderError(
            f"'{next(iter(spec.arguments))}' is not a setting of {spec.name}; use timm:{spec.name}?…@PATH"
        )
    return named_resnet(spec.name, stem=stem)


def _check_stem(sidecar: Sidecar, layout: Layout) -> None:
    weight = layout.state.get("conv1.weight")
    if sidecar.stem is None or weight is None or layout.kind != "resnet":
        return
    stem = "cifar" if weight.shape[-1] == 3 else "standard"
    if sidecar.stem != stem:
        size = f"{weight.shape[-1]}x{weight.shape[-1]}"
        raise CheckpointError(
            f"the sidecar says stem '{sidecar.stem}', but the first convolution is {size} ('{stem}'); "
            "correct the sidecar"
        )


def _transform(
    made: Built, layout: Layout, sidecar: Sidecar, flags: frozenset[str]
) -> tuple[Transform, list[str]]:
    """Combine the transform of architecture, layout, CIFAR stem and sidecar, in this order; and notes."""
    transform, notes = made.transform, []
    if layout.name in PIXELS:
        mean, std = PIXELS[layout.name]
        transform = dataclasses.replace(transform, mean=mean, std=std)
    if _has_cifar_stem(made.model, layout):
        kind = "cifar_stem" if layout.maxpool else "cifar_stem_no_pool"
        others = tuple(f"stem_padding={padding}" for padding in layout.other_stem_paddings)
        made.other_stem_paddings = layout.other_stem_paddings
        notes.append(assumed(kind, n=layout.stem_padding, names=others))
        transform = dataclasses.replace(transform, resize=None, input_size=32, mean=CIFAR_MEAN, std=CIFAR_STD)
    if not layout.stem_relu:
        notes.append(assumed("stem_without_relu"))
    if (sidecar.timm_geometry or sidecar.states_pixels) and hasattr(made.model, "pretrained_cfg"):
        transform, of_timm = timm_transform(made.model, sidecar.timm_geometry)
        notes += of_timm
    if sidecar.transform:
        notes.append(assumed("transform_from", what=sidecar.source))
        return Transform.from_dict(sidecar.transform, base=transform), notes
    if sidecar.states_pixels:
        return transform, [*notes, assumed("transform_from", what=sidecar.source)]
    if layout.statistics:
        mean, std = layout.statistics
        transform = dataclasses.replace(transform, mean=mean, std=std)
        notes.append(assumed("statistics_in_file"))
        flags = flags | {"mean", "std"}
    return transform, [*notes, *assumed_pixels(transform, flags)]


def _has_cifar_stem(model: Any, layout: Layout) -> bool:
    """Whether the first convolution is 3x3 and keeps the size: those of HRNet are 3x3 and halve it."""
    weight, conv = layout.state.get("conv1.weight"), getattr(model, "conv1", None)
    if weight is None or weight.shape[-1] != 3 or layout.kind != "resnet":
        return False
    return getattr(conv, "stride", (1, 1)) == (1, 1)


def _of_unit_pixels(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Record]]:
    """Mean and std of pixels from 0 to 1; where they are given of pixels from 0 to 255 that is said."""
    mean = settings.get("mean")
    if mean is None or max(mean, default=0) <= 1:
        return dict(settings), []
    scaled_ones = {
        key: tuple(setting / 255 for setting in settings[key]) for key in ("mean", "std") if key in settings
    }
    words = [",".join(f"{value:.4g}" for value in values) for values in scaled_ones.values()]
    note = assumed("pixels_of_255", names=(words[0], words[-1] if "std" in scaled_ones else "as it was"))
    return {**settings, **scaled_ones}, [note]


def _overridden(transform: Transform, settings: Mapping[str, Any]) -> Transform:
    if "input_size" in settings:
        transform = scaled(transform, settings["input_size"])
    return dataclasses.replace(transform, **{k: v for k, v in settings.items() if k != "input_size"})
