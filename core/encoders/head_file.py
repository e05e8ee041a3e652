"""A linear head as a file, and what heads and their outputs are called in files. No torch."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CheckpointError

# What classifiers, pretext heads and what lies before a classifier are called in files: one list of each.


# First parts of keys of a classifier; `heads` is torchvision's ViT. A Linear by one of these names is one.
CLASSIFIERS = (
    *("fc", "head", "heads", "head_dist", "classifier", "linear", "last_linear", "mlp_head", "cls_head"),
    *("class_head", "classification_head", "classifier_head", "linear_head", "linear_classifier", "logits"),
    *("class_layers", "_fc", "clf", "fc_cls", "fc_out", "aux1", "aux2", "AuxLogits"),
)
# Heads of pretext tasks, queues and decoders, which never belong to a representation and are no classifier.
PRETEXT = (
    *(
        "projection_head",
        "projector",
        "projection",
        "prototypes",
        "predictor",
        "queue",
        "queue_ptr",
        "queue_2",
    ),
    *("contrastive_head", "last_layer", "logit_scale", "mask_token", "masked_embed", "decoder_embed"),
    *("decoder_blocks", "decoder_norm", "decoder_pred", "decoder_pos_embed", "aux_classifier"),
)
NO_CLASSIFIER = ("heads", "head_dist", "aux1", "aux2", "AuxLogits")  # by themselves
INSIDE = ("fc", "linear", "head", "classifier", "cls", "out", "last", "layer")  # what a head calls its Linear
NAME = "|".join(one for one in CLASSIFIERS if one not in NO_CLASSIFIER)
CLASSIFIER = rf"(?:(?:{NAME})(?:[.](?:{'|'.join(INSIDE)}))?|heads[.]head)"
# Parts of names that something else than the way from representation to classifier has: pretext heads, other
# networks, losses.
OTHER = re.compile(
    rf"(?:^|[._])(?:{'|'.join(PRETEXT)}|decoder|text|text_model|loss|criterion|metric|optimi[sz]er|aux\w*"
    r"|mask_head|rpn|roi_heads|embeddings)(?:[._]|$)",
    re.IGNORECASE,
)
# A Linear that is called like a further head, in keys without AUXILIARY: head2, fc_coarse, age_head.
HEAD_LIKE = re.compile(rf"(?:^|[._])(?:{NAME})\d*(?:_\w+)?$")
AUXILIARY = re.compile(r"(?<![a-z])aux(?:iliary)?_")
COPY = re.compile(
    r"(?:^|(?<=[._]))(?:momentum|target|teacher|ema|key|averaged?)[._]|_(?:momentum|ema|teacher)$"
)
BEFORE = {
    "pooler.dense": "Tanh",
    "pre_logits.fc": "Tanh",
}  # a Linear before a classifier, and what follows it
SCALES = {
    "scale": 1,
    "s": 1,
    "sigma": 1,
    "eta": 1,
    "temperature": -1,
    "tau": -1,
}  # power of a cosine's factor


# What the outputs of a classifier are called: by its checkpoint, or by the ImageNet of so many classes.


# In a checkpoint; CLASSES in those of mmcv.
NAMES = ("classes", "class_names", "categories", "idx_to_class", "class_to_idx", "CLASSES")
PARTS = ("hyper_parameters", "args", "config", "meta", "dataset_meta")  # where they may stand in it


def known_names(n_outputs: int) -> list[list[str]]:
    """Name the outputs of an encoder's own ImageNet head by their number: WordNet id, names; else empty."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": n_outputs})
    if subset is None:
        return [[] for _ in range(n_outputs)]
    info = ImageNetInfo(subset)
    return [
        [info.index_to_label_name(output), info.index_to_description(output)] for output in range(n_outputs)
    ]


def names_in(file: Any) -> list[list[str]]:
    """Return the class names that a checkpoint states beside its weights, if it does."""
    if not isinstance(file, Mapping):
        return []
    for key in NAMES:
        classes = file.get(key)
        if isinstance(classes, Mapping) and all(isinstance(value, int) for value in classes.values()):
            classes = [str(name) for name, _ in sorted(classes.items(), key=lambda one: one[1])]
        elif isinstance(classes, Mapping) and all(str(class_).isdecimal() for class_ in classes):
            classes = [str(classes[output]) for output in sorted(classes, key=lambda one: int(one))]
        if (
            isinstance(classes, list | tuple)
            and classes
            and all(isinstance(class_, str) for class_ in classes)
        ):
            return [[class_] for class_ in classes]
    parts: Collection[Any] = [file.get(key) for key in PARTS]
    return next((names for part in parts if (names := names_in(part))), [])


# A linear head as a file: weights and bias as safetensors, with the names of its classes. No torch.


WEIGHT, BIAS = "weight", "bias"
CLASSES = "classes"  # of the metadata: a JSON list of names, in the order of the outputs
LARGEST = 1 << 31  # bytes of a file that is read


def head_metadata(names: list[str], **about: str) -> dict[str, str]:
    """Return the metadata of a checkpoint that ends in a classifier, or is one alone."""
    return {"format": "pt", CLASSES: json.dumps(names, ensure_ascii=False), **about}


def head_bytes(weights: np.ndarray, bias: np.ndarray, names: list[str], **about: str) -> bytes:
    """Return bytes of a file that gives an encoder a classifier in place of its own: z = W r + b.

    `read_head` reads them.

    Args:
        weights: (n_classes, n_features), bias: (n_classes,) float. names: of the classes, in their order.
        about: further texts of its metadata, such as what it was fitted to.
    """
    from safetensors.numpy import save

    tensors = {
        WEIGHT: np.ascontiguousarray(weights, np.float32),
        BIAS: np.ascontiguousarray(bias, np.float32),
    }
    return save(tensors, metadata=head_metadata(names, **about))


def read_head(path: str | Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read a file with a classifier for an encoder, in place of its own.

    Returns:
        weights (n_classes, n_features) and bias (n_classes,), float32, and the names of the classes.

    Raises:
        CheckpointError: there is no such file, or it holds no head with names.
    """
    from safetensors import SafetensorError, safe_open

    path, remedy = Path(path), "name a file that `remedies STUDY --head` has written"
    try:
        if path.stat().st_size > LARGEST:
            raise CheckpointError(f"'{path}' is too large for a head; {remedy}")
        with safe_open(path, framework="numpy") as file:
            keys, names = set(file.keys()), _names_stated_in(file.metadata())
            if keys != {WEIGHT, BIAS} or not names:
                raise CheckpointError(f"'{path}' holds no head with the names of its classes; {remedy}")
            weights, bias = (np.asarray(file.get_tensor(key), np.float32) for key in (WEIGHT, BIAS))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the head '{path}': {error}; {remedy}") from error
    if weights.ndim != 2 or bias.shape != (len(weights),) or len(names) != len(weights):
        raise CheckpointError(
            f"'{path}' has weights {weights.shape}, a bias {bias.shape} and {len(names)} names, which do not "
            f"fit; {remedy}"
        )
    return weights, bias, names


def _names_stated_in(metadata: dict[str, str] | None) -> list[str]:
    """The names of classes in the metadata of an encoder's or a head's file; none where not stated."""
    try:
        names = json.loads((metadata or {}).get(CLASSES, "[]"))
    except ValueError:
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def names_in_metadata(path: Path) -> list[list[str]]:
    """The class names in the metadata of a .safetensors checkpoint, one list an output; [] of others."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return []
    try:
        with safe_open(path, framework="numpy") as file:
            return [[name] for name in _names_stated_in(file.metadata())]
    except (OSError, SafetensorError):
        return []
