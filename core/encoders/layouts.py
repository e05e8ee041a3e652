"""Recognise from its keys which library wrote a checkpoint, and extract the encoder.

Keys are matched by prefix (startswith), never by substring: `momentum_backbone.` contains `backbone.`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from core.encoders.assumptions import assumed
from core.encoders.hugging_face_names import (
    CLASSIFIERS,
    POOLER,
    Renamed,
    registers_apart,
    timm_names,
    unread_network,
    with_whole_prefix,
)
from core.encoders.layout_names import Clues, layout_name
from core.encoders.stored_weights import as_used, statistics_in, with_averages
from core.errors import CheckpointError

SKIPPED = re.compile(r"^(optim.*|callbacks|loops|hyper_?parameters|lr_sched.*|.*scaler|amp|args|.*loss)$")
MOMENTUM = re.compile(r"(?:^|[._])(?:momentum|target|teacher|ema|key|k)(?:[._]|$)")
BY_ORDER = "matched by order"  # the name of a layout
TRANSFORMERS = " (Hugging Face transformers)"  # at the end of the names of these layouts
# Names of transformers: of its ViT, DINOv2, BEiT and DeiT, of CLIP and SigLIP, Swin, ResNet and ConvNeXt; of
# MobileNet and MobileViT, EfficientNet, SegFormer and PVT, CvT.
OF_TRANSFORMERS = re.compile(
    r"^(\w+\.)*(embeddings\.patch_embeddings\.|embeddings\.patch_embedding\.weight|embedder\.embedder\."
    r"|encoder\.layers?\.\d+\.attention\.attention\.|encoder\.stages\.\d+\.layers\."
    r"|conv_stem\.(\w+\.)?convolution\.|embeddings\.convolution\.|patch_embeddings\.\d+\.proj"
    r"|embedding\.convolution_embeddings\.)",
    re.MULTILINE,
)
OF_CLIP = re.compile(
    r"(?:^|\.)(?:resblocks\.\d+\.attn\.in_proj_weight$|visual\.(?:proj$|trunk\.|attnpool\.))"
)
FIRST_BLOCK, FIRST_OF_CHUNK = "blocks.0.norm1.weight", "blocks.0.0.norm1.weight"
MAX_DEPTH = 7  # VISSL nests its trunk five levels deep
WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile
# What torch.compile, FSDP and activation checkpoints put between the names of a network's parts.
INNER_WRAPPERS = re.compile(r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.(?=.)")
# Containers of an average of the whole model: timm, torchvision, ignite, SWA, torch-ema.
AVERAGE = re.compile(
    r"(?:(?:state_dict|model|model_state)_(?:ema|swa)|(?:ema|swa|averaged)(?:_model|_state_dict|_state)?"
    r"|shadow_params)"
)
LAST_STEP = "current_model_state"  # of Lightning's WeightAveraging, whose average is the `state_dict`


@dataclass(frozen=True)
class Layout:
    """An encoder found in a checkpoint."""

    name: str
    container: str  # location in the file, e.g. "state_dict"; "" is the top level
    prefix: str  # prefix of the encoder's keys there
    kind: str  # resnet, numeric (a Sequential of a ResNet's children), vit, convnext, transformers, other
    role: str  # online or momentum
    state: dict[str, Tensor] = field(repr=False)  # keys without prefix, with torchvision's or timm's names
    dropped: dict[str, int] = field(default_factory=dict)  # group of dropped keys -> count
    stem_padding: int = 1  # padding of a 3x3 first convolution
    stem_relu: bool = True
    maxpool: bool | None = None  # None: as the size of the first convolution suggests
    notes: tuple[str, ...] = ()
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean and std in the file, of 0..1
    other_stem_paddings: tuple[int, ...] = ()  # what it may be besides; labels may decide
    beside: Mapping[str, Tensor] = field(default_factory=dict, repr=False)  # not below the prefix


@dataclass(frozen=True)
class Candidate:
    path: tuple[str, ...]
    prefix: str
    kind: str
    tensors: Mapping[str, Tensor] = field(repr=False)

    @property
    def label(self) -> str:
        return f"{'.'.join(self.path)}:{self.prefix}"

    @property
    def core(self) -> str:
        """Return the prefix without those added by DistributedDataParallel and torch.compile."""
        core = self.prefix
        while core.startswith(WRAPPERS):
            core = core.removeprefix(WRAPPERS[0]).removeprefix(WRAPPERS[1])
        return core

    @property
    def is_average(self) -> bool:
        """Whether it is an average of a whole model, as its author evaluates it; not PyContrast's teacher."""
        if self.core.startswith(("ema_model.", "model_ema.")):  # beside `model.`, as in Lightning
            return True
        return any(AVERAGE.fullmatch(part) for part in self.path) and self.core != "encoder."

    @property
    def role(self) -> str:
        return "momentum" if MOMENTUM.search(f"{'.'.join(self.path)}.{self.core}") else "online"


def recognise(
    file: Mapping[str, Any],
    *,
    branch: str | None = None,
    prefix: str | None = None,
    expected: Collection[str] | None = None,
    filename: str = "",
) -> Layout:
    """Extract the encoder of a checkpoint.

    Args:
        file: the result of `read_checkpoint`.
        branch: "online" (student, query) or "momentum" (teacher, target, EMA) if the file holds both.
            By default online, except for DINO (teacher) and the average of a whole model (timm, torchvision,
            Lightning, ignite, torch-ema), as their authors evaluate them.
        prefix: of the encoder's keys, if the file holds several encoders.
        expected: keys of the model, used to find an encoder that is neither a ResNet nor a plain ViT.
        filename: some conversions are identified only by their file name.
    Raises:
        CheckpointError: no encoder, or several without a criterion to choose one.
    """
    file, of_training = with_averages(file)
    containers = [(path, dict(with_whole_prefix(as_used(tensors)))) for path, tensors in containers_of(file)]
    if not containers:
        raise CheckpointError(f"there are no weights in it; its keys are {_some(list(file))}")
    for path, tensors in containers:
        if renamed := timm_names(tensors):
            return _of_transformers(renamed, path, containers)
    candidates = [candidate for path, tensors in containers for candidate in _candidates(path, tensors)]
    if expected and not any(candidate.core == "" for candidate in candidates):
        candidates = _whole(containers, expected) or _below(containers, candidates, expected)
    if not candidates and expected:
        candidates = [c for path, tensors in containers for c in _by_expected(path, tensors, expected)]
    if not candidates:
        path, tensors = max(containers, key=lambda item: len(item[1]))
        if expected and not OF_TRANSFORMERS.search(
            "\n".join(tensors)
        ):  # what does not fit is listed when the weights are loaded
            return _layout(file, Candidate(path, wrapper_of(tensors), "other", tensors), containers, filename)
        raise CheckpointError(_unknown(tensors))
    encoder, others = _choose(candidates, branch, prefix)
    layout = _layout(file, encoder, containers, filename)
    notes = [*layout.notes, *of_training]
    if others and branch is None and prefix is None:
        names = tuple(dict.fromkeys(map(_shown, others)))
        notes = [note for note in notes if getattr(note, "kind", "") != "momentum_copy"]
        notes.append(assumed("copies", what=_shown(encoder), names=names))
    return replace(layout, notes=tuple(notes))


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    """What the keys of a file say that no encoder is found in, and the way out."""
    if OF_TRANSFORMERS.search("\n".join(tensors)):
        return (
            f"it is {unread_network(tensors)} of Hugging Face transformers, which is not read under its "
            "names; name the same network of timm with its own weights, or a factory of the model: "
            "python:package.module:factory"
        )
    if any(OF_CLIP.search(key) for key in tensors):
        return (
            "it is a CLIP under the names of OpenAI and open_clip, and its keys do not say which: name it, "
            "open_clip:NAME@PATH, or where its configuration is its own a factory, "
            "python:package.module:factory@PATH"
        )
    return (
        f"no known encoder layout among its keys {_some(list(tensors))}; name the architecture: "
        "timm:NAME@PATH, torchvision:NAME@PATH or python:package.module:factory@PATH"
    )


def containers_of(
    value: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Return every dictionary of tensors in a checkpoint, with the keys that lead to it."""
    if not isinstance(value, Mapping) or len(path) > MAX_DEPTH:
        return
    tensors = {}
    for key, item in value.items():
        if isinstance(key, str) and isinstance(item, Tensor):
            tensors[INNER_WRAPPERS.sub("", key)] = item
    if tensors:
        yield path, tensors
    for key, item in value.items():
        if isinstance(key, str) and not SKIPPED.search(key):
            yield from containers_of(item, (*path, key))


def _candidates(path: tuple[str, ...], tensors: Mapping[str, Tensor]) -> Iterator[Candidate]:
    for key, tensor in tensors.items():
        if (prefix := _before(key, "layer1.0.conv1.weight")) is not None:
            if f"{prefix}conv1.weight" in tensors or f"{prefix}conv1.0.weight" in tensors:
                yield Candidate(path, prefix, "resnet", tensors)
        elif (prefix := _before(key, FIRST_BLOCK, FIRST_OF_CHUNK)) is not None:
            if f"{prefix}patch_embed.proj.weight" in tensors:
                yield Candidate(path, prefix, "vit", tensors)
        elif (prefix := _before(key, "stages.0.blocks.0.conv_dw.weight")) is not None:
            stem, head = tensors.get(f"{prefix}stem.1.weight"), f"{prefix}head.norm.weight"
            if tensor.shape[-1] == 7 and stem is not None and stem.ndim == 1 and head in tensors:
                yield Candidate(path, prefix, "convnext", tensors)
        elif (prefix := _before(key, "0.weight")) is not None:
            first_block = re.compile(re.escape(prefix) + r"\d\.0\.conv1\.weight")
            if (
                tensor.ndim == 4
                and f"{prefix}1.running_mean" in tensors
                and any(first_block.fullmatch(k) for k in tensors)
            ):
                yield Candidate(path, prefix, "numeric", tensors)


def _by_expected(
    path: tuple[str, ...], tensors: Mapping[str, Tensor], expected: Collection[str]
) -> Iterator[Candidate]:
    anchor = max(expected, key=lambda key: (key.count("."), len(key)))
    prefixes = {prefix for key in tensors if (prefix := _before(key, anchor)) is not None}
    matched = {prefix: sum(f"{prefix}{name}" in tensors for name in expected) for prefix in sorted(prefixes)}
    whole = [prefix for prefix, n in matched.items() if n == len(expected)]
    for prefix in whole or matched:  # the text tower of a CLIP looks like half of its image tower
        if matched[prefix] > len(expected) / 2:
            yield Candidate(path, prefix, "other", tensors)


def _whole(
    containers: list[tuple[tuple[str, ...], dict[str, Tensor]]], expected: Collection[str]
) -> list[Candidate]:
    """The containers that hold every tensor of a network, by its own names or wrapped."""
    wrapped = ((path, tensors, wrapper_of(tensors)) for path, tensors in containers)
    candidates = []
    for path, tensors, wrapper in wrapped:
        if all(f"{wrapper}{name}" in tensors for name in expected):
            candidates.append(Candidate(path, wrapper, "other", tensors))
    return candidates


def _has_all(candidate: Candidate, expected: Collection[str]) -> bool:
    """Whether a candidate holds every tensor of a network."""
    return all(f"{candidate.prefix}{name}" in candidate.tensors for name in expected)


def _below(
    containers: list[tuple[tuple[str, ...], dict[str, Tensor]]],
    candidates: list[Candidate],
    expected: Collection[str],
) -> list[Candidate]:
    """The candidates, or where none has all tensors of the network, the places that have: the trunk of a
    network of timm in a tower of open_clip is a part of it."""
    if any(_has_all(candidate, expected) for candidate in candidates):
        return candidates
    matching = [one for path, tensors in containers for one in _by_expected(path, tensors, expected)]
    return [match for match in matching if _has_all(match, expected)] or candidates


def wrapper_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the prefixes of DistributedDataParallel, torch.compile and AveragedModel that every key has."""
    keys, prefix = [key for key in tensors if key != "n_averaged"], ""
    while keys:
        wrapper = next((name for name in WRAPPERS if _all_begin(keys, f"{prefix}{name}")), "")
        if not wrapper:
            break
        prefix += wrapper
    return prefix


def _all_begin(keys: list[str], prefix: str) -> bool:
    return all(key.startswith(prefix) for key in keys)


def _before(key: str, *endings: str) -> str | None:
    """Return the part of a key before one of `endings`, if the key ends with it at a dot; else None."""
    for ending in endings:
        prefix = key.removesuffix(ending)
        if prefix != key and (prefix == "" or prefix.endswith(".")):
            return prefix
    return None


def _choose(
    candidates: list[Candidate], branch: str | None, prefix: str | None
) -> tuple[Candidate, list[Candidate]]:
    """Return the candidate that is taken, and the others, which hold other weights."""
    if prefix is not None:
        with_prefix = [c for c in candidates if prefix in (c.prefix, c.core, c.label)]
        candidates = _having(candidates, with_prefix, f"prefix '{prefix}'")
    if branch is not None:
        candidates = _having(candidates, [c for c in candidates if c.role == branch], f"{branch} branch")
    best = min(_rank(candidate) for candidate in candidates)
    others = [candidate for candidate in candidates if _rank(candidate) != best]
    candidates = [candidate for candidate in candidates if _rank(candidate) == best]
    if len(candidates) > 1:  # lucidrains' BYOL stores its online network twice
        candidates = [c for c in candidates if c.core != "net."] or candidates
    if len(candidates) > 1:
        first, *more = candidates
        candidates = [first, *(one for one in more if not _same_weights(first, one))]
    if len(candidates) > 1:
        labels = ", ".join(sorted(c.label.removeprefix(":") for c in candidates))
        raise CheckpointError(f"it holds several encoders: {labels}; choose one with ?prefix=…")
    return candidates[0], others


def _same_weights(one: Candidate, other: Candidate) -> bool:
    """Whether two places of a file hold one network, as an attack beside its model does."""
    first, second = _below_prefix(one), _below_prefix(other)
    common = first.keys() & second.keys()
    smaller = min(len(first), len(second))
    return len(common) == smaller and all(torch.equal(first[key], second[key]) for key in common)


def _below_prefix(candidate: Candidate) -> dict[str, Tensor]:
    """Return the tensors of a network, by their names below its prefix."""
    prefix, tensors = candidate.prefix, candidate.tensors
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _shown(candidate: Candidate) -> str:
    return candidate.label.strip(":") or "the top level"


def _having(candidates: list[Candidate], matching: list[Candidate], what: str) -> list[Candidate]:
    if not matching:
        labels = ", ".join(sorted(c.label.removeprefix(":") or "(no prefix)" for c in candidates))
        raise CheckpointError(f"it has no encoder with {what}; it has {labels}")
    return matching


def _rank(candidate: Candidate) -> int:
    """Rank candidates, lowest first: DINO's teacher and an average of a whole model, the online encoder, a
    momentum copy, the last step beside its average."""
    if LAST_STEP in candidate.path:
        return 3
    if candidate.is_average or candidate.path[:1] == ("teacher",):
        return 0
    return 1 if candidate.role == "online" else 2


def _layout(
    file: Mapping[str, Any],
    encoder: Candidate,
    containers: list[tuple[tuple[str, ...], dict[str, Tensor]]],
    filename: str,
) -> Layout:
    prefix, tensors = encoder.prefix, encoder.tensors
    state = {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    beside = {key: tensor for key, tensor in tensors.items() if not key.startswith(prefix)}
    dropped: Counter[str] = Counter(map(_group, beside))
    for path, others in containers:
        if path != encoder.path:
            dropped[f"{'.'.join(path) or 'top level'}:*"] += len(others)
    statistics, names = statistics_in(tensors)
    state = {key: tensor for key, tensor in state.items() if f"{prefix}{key}" not in names}
    name, notes = layout_name(Clues.of(file, encoder, state, filename))
    if len(names) > 2 and statistics is None:
        notes = (*notes, assumed("statistics_differ", names=tuple(sorted(names))))
    if encoder.role == "momentum":
        notes = (*notes, assumed("momentum_copy", what=encoder.label.removeprefix(":")))
    extras: dict[str, Any] = {}
    if encoder.kind == "numeric":
        state, extras = _from_numeric(state)
    in_chunks = encoder.kind == "vit" and any(re.match(r"blocks\.\d+\.\d+\.", key) for key in state)
    repaired = {_repaired(key, in_chunks=in_chunks): tensor for key, tensor in state.items()}
    if encoder.kind == "vit" and "pos_embed" in state:  # as the authors of DeiT III name its scales
        repaired = {re.sub(r"\.gamma_(\d)$", r".ls\1.gamma", key): one for key, one in repaired.items()}
    return Layout(
        name=name,
        container=".".join(encoder.path),
        prefix=prefix,
        kind="resnet" if encoder.kind == "numeric" else encoder.kind,
        role=encoder.role,
        state=registers_apart(repaired),
        dropped=dict(dropped),
        stem_padding=2 if name == "solo-learn" else 1,
        notes=notes,
        statistics=statistics,
        other_stem_paddings=_other_stem_paddings(name, encoder, state),
        beside=beside,
        **extras,
    )


def _of_transformers(
    renamed: Renamed, path: tuple[str, ...], containers: list[tuple[tuple[str, ...], dict[str, Tensor]]]
) -> Layout:
    dropped: Counter[str] = Counter()
    for other, tensors in containers:
        left_out = [key for key in tensors if other != path or not key.startswith(renamed.prefix)]
        dropped.update(_group(key) for key in left_out)
    heads = (*CLASSIFIERS, f"{renamed.prefix}{POOLER}")
    beside = {
        key: tensor
        for key, tensor in dict(containers)[path].items()
        if not key.startswith(renamed.prefix) or key.startswith(heads)
    }
    return Layout(
        name=f"{renamed.family}{TRANSFORMERS}",
        container=".".join(path),
        prefix=renamed.prefix,
        kind="transformers",
        role="online",
        state=renamed.state,
        dropped=dict(dropped),
        beside=beside,
    )


def _from_numeric(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rename `Sequential(*list(resnet.children())[:-1])`: the order of the children defines the numbers.

    conv1, bn1, relu, maxpool, layer1 … puts layer1 at 4; without max-pool at 3; at 2 the stem's ReLU is
    missing as well (lightly's ResNetGenerator calls it as a function): the trained network has none there.
    """
    first = min(int(key.split(".")[0]) for key in state if re.match(r"\d+\.\d+\.conv1\.", key))
    renamed = {}
    for key, tensor in state.items():
        number, _, rest = key.partition(".")
        index = int(number) if number.isdigit() else -1
        is_stage = index >= first and rest.partition(".")[0].isdigit()  # a classifier may follow them
        name = {0: "conv1", 1: "bn1"}.get(index, f"layer{index - first + 1}" if is_stage else number)
        renamed[f"{name}.{rest}"] = tensor
    return renamed, {"stem_relu": first >= 3, "maxpool": False if first < 4 else None}


def _other_stem_paddings(name: str, encoder: Candidate, state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """What else the first layer may be: nothing in the weights tells the padding of a 3x3 convolution."""
    weight = state.get("conv1.weight")
    is_cifar = encoder.kind == "resnet" and weight is not None and weight.shape[-1] == 3
    other = 1 if name == "solo-learn" else 2
    return (other,) if is_cifar else ()


def _repaired(key: str, *, in_chunks: bool = False) -> str:
    """Fix keys: lightly's ResNet uses `shortcut`; MoCo v3's transformers double numbers in two blocks; those
    of DINOv2 that were trained in chunks have the number of the chunk before that of the block."""
    if in_chunks:
        key = re.sub(r"^blocks\.\d+\.(?=\d+\.)", "blocks.", key)
    key = re.sub(r"^(layer\d+\.\d+)\.shortcut\.", r"\1.downsample.", key)
    key = re.sub(r"^(blocks\.13\.(?:norm|mlp\.fc)1)3\.", r"\1.", key)
    return re.sub(r"^(blocks\.14\.(?:norm|mlp\.fc))14\.", r"\g<1>2.", key)


def renamed_by_order(layout: Layout, names: Mapping[str, Tensor], arch: str) -> Layout | None:
    """Give the tensors of a file the names of those of the same shape in the same order, where both agree.

    The ports of one network to several libraries differ in the names alone. The last part of each name
    (weight, running_mean …) must be the same, and each module of the file must be one module of the network.

    Args:
        names: the tensors of the network, in order.
    Returns:
        None where number, order, shapes or modules differ.
    """
    pairs = list(zip(layout.state.items(), names.items(), strict=False))
    modules = set()
    for (old, _), (new, _) in pairs:
        modules.add((old.rpartition(".")[0], new.rpartition(".")[0]))
    last = next(reversed(list(names)), "").rpartition(".")[0]  # a classifier, which may have other outputs
    same_names = all(_last_part(old) == _last_part(new) for (old, _), (new, _) in pairs)
    same_shapes = True
    for (_, theirs), (new, ours) in pairs:
        of_last = new.startswith(f"{last}.") and theirs.shape[1:] == ours.shape[1:]
        same_shapes &= theirs.shape == ours.shape or of_last
    same = same_names and same_shapes
    old_modules, new_modules = {old for old, _ in modules}, {new for _, new in modules}
    one_to_one = len(modules) == len(old_modules) == len(new_modules)
    moved = any(old in names and old != new for (old, _), (new, _) in pairs)
    if len(layout.state) != len(names) or not same or not one_to_one or moved:
        return None
    first = next(iter(pairs))
    note = assumed("by_order", n=len(pairs), what=arch, names=(first[0][0], first[1][0]))
    state = {new: tensor for (_, tensor), (new, _) in pairs}
    return replace(layout, name=BY_ORDER, state=state, notes=(*layout.notes, note))


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def _group(key: str) -> str:
    parts = key.split(".")
    return ".".join(parts[: 2 if parts[0] in ("module", "_orig_mod") else 1])


def _some(keys: list[Any], n: int = 4) -> str:
    first_keys = ", ".join(str(key) for key in keys[:n]) or "(none)"
    return f"{first_keys} … ({len(keys)} keys)" if len(keys) > n else first_keys
