"""What the image classifiers of Hugging Face `transformers` read: often not what its encoders return."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.encoders.hugging_face.settings import read_beside
from core.encoders.readout.bare_head import bare_classifier
from core.encoders.readout.class_names import names_in
from core.encoders.readout.head import HeadPart
from core.encoders.readout.tokens import TokenRule

RULES = {
    "ViT": TokenRule("cls", "after"),
    "DeiT": TokenRule("cls", "after"),
    "DINOv2": TokenRule("cls+mean", "after"),
    "CLIP": TokenRule("mean", "before"),
    "SigLIP": TokenRule("mean", "after"),
}
TEXT_TOWER = "text_model."  # its last layer is called head, too
ENDING = "ForImageClassification"  # of the names of the classes that read so


def output_names(path: Path) -> list[list[str]]:
    """The class names in config.json, in the order of the outputs; none where it holds LABEL_0, LABEL_1 …,
    which `transformers` writes where nobody named them."""
    names = names_in({"idx_to_class": read_beside(path).get("id2label")})
    return [] if all(name == [f"LABEL_{output}"] for output, name in enumerate(names)) else names


def classifier_parts(
    family: str, model: Any, path: Path, tensors: Mapping[str, Tensor]
) -> tuple[None, Sequence[HeadPart]] | str:
    """The classifier in a file of `transformers`, or why its logits cannot be had.

    Args:
        family: as `names.FAMILIES` calls it. model: timm's network, without the classifier.
        path: of the file, perhaps with a config.json beside it.
        tensors: those of the file that the network lacks.
    """
    tensors = {key: tensor for key, tensor in tensors.items() if TEXT_TOWER not in key}
    rule, width = RULES.get(family), int(model.num_features)
    if family == "ViT" and (model.global_pool == "token" or model.cls_token is None):
        rule = None  # it is what the network returns
    if both := _distilled_parts(tensors, width):
        return None, both
    linear = bare_classifier(tensors, width * (2 if rule and rule.tokens == "cls+mean" else 1))
    written_by = read_beside(path).get("architectures")
    name = str(written_by[0]) if isinstance(written_by, list) and written_by else ENDING
    if not name.endswith(ENDING) and any(
        isinstance(one, nn.Linear) for one in (linear, bare_classifier(tensors, width))
    ):
        return f"what the classifier of {name} reads is not known"
    part = [HeadPart(linear)] if isinstance(linear, nn.Linear) else []
    return None, [replace(one, at="norm", rule=rule) if rule else one for one in part]


def _distilled_parts(tensors: Mapping[str, Tensor], width: int) -> list[HeadPart]:
    """Both classifiers of DeiTForImageClassificationWithTeacher, whose mean it gives; or none."""
    parts = []
    for name, token in (("cls_classifier", "cls"), ("distillation_classifier", "dist")):
        named = {f"fc.{kind}": tensors.get(f"{name}.{kind}") for kind in ("weight", "bias")}
        linear = bare_classifier({key: one for key, one in named.items() if one is not None}, width)
        if isinstance(linear, nn.Linear):
            parts.append(HeadPart(linear, at="norm", rule=TokenRule(token, "after")))
    return parts if len(parts) == 2 else []
