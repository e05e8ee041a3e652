"""What the outputs of a classifier are called: by its checkpoint, or by the ImageNet of so many classes."""

from collections.abc import Collection, Mapping
from typing import Any

# In a checkpoint; CLASSES in those of mmcv.
NAMES = ("classes", "class_names", "categories", "idx_to_class", "class_to_idx", "CLASSES")
PARTS = ("hyper_parameters", "args", "config", "meta", "dataset_meta")  # where they may stand in it


def known_names(n_outputs: int) -> list[list[str]]:
    """WordNet id and names of each class of the ImageNet that has so many; empty lists for other numbers."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": n_outputs})
    if subset is None:
        return [[] for _ in range(n_outputs)]
    info = ImageNetInfo(subset)
    return [
        [info.index_to_label_name(output), info.index_to_description(output)] for output in range(n_outputs)
    ]


def names_in(file: Any) -> list[list[str]]:
    """The class names that a checkpoint states beside its weights, if it does."""
    if not isinstance(file, Mapping):
        return []
    for key in NAMES:
        classes = file.get(key)
        if isinstance(classes, Mapping) and all(isinstance(value, int) for value in classes.values()):
            classes = [str(name) for name, _ in sorted(classes.items(), key=lambda one: one[1])]
        elif isinstance(classes, Mapping) and all(str(one).isdecimal() for one in classes):
            classes = [str(classes[output]) for output in sorted(classes, key=lambda one: int(one))]
        if isinstance(classes, list | tuple) and classes and all(isinstance(one, str) for one in classes):
            return [[one] for one in classes]
    parts: Collection[Any] = [file.get(key) for key in PARTS]
    return next((names for part in parts if (names := names_in(part))), [])
