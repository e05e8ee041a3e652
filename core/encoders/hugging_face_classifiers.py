"""Image classifiers of Hugging Face `transformers`: what they read, and those that wrap timm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.common.records import Record
from core.encoders.assumptions import assumed
from core.encoders.bare_head import bare_classifier
from core.encoders.head import HeadPart, untrained
from core.encoders.head_file import names_in
from core.encoders.hugging_face_files import WHOLE, sidecar_of_timm
from core.encoders.hugging_face_names import POOLER
from core.encoders.hugging_face_settings import CONFIG, read_beside
from core.encoders.spec import Sidecar
from core.encoders.tokens import TokenRule
from core.errors import CheckpointError

# What the image classifiers of Hugging Face `transformers` read: often not what its encoders return.


RULES = {
    "ViT": TokenRule("cls", "after"),
    "DeiT": TokenRule("cls", "after"),
    "DINOv2": TokenRule("cls+mean", "after"),
    "CLIP": TokenRule("mean", "before"),
    "SigLIP": TokenRule("mean", "after"),
}
# Families whose classifiers in `transformers` may read something else than the network's output, and what the
# keys of the network begin with there.
AMBIGUOUS = ("ViT", "DINOv2", "CLIP", "SigLIP")
OWN_PREFIX = {
    "ViT": ("vit.", "ijepa."),
    "DINOv2": ("dinov2_with_registers.", "dinov2."),
    "CLIP": ("vision_model.",),
    "SigLIP": ("vision_model.",),
}
TEXT_TOWER = "text_model."  # its last layer is called head, too
ENDING = "ForImageClassification"  # of the names of the classes that read so
HEADLESS = ("Model", "ModelWithProjection")  # of the names of classes without a classifier


def stated_labels(path: Path) -> list[list[str]]:
    """The class names in a checkpoint's config.json, in the order of the classifier's outputs.

    None where it holds LABEL_0, LABEL_1 …, which `transformers` writes where nobody named them.
    """
    names = names_in({"idx_to_class": read_beside(path).get("id2label")})
    return [] if all(name == [f"LABEL_{output}"] for output, name in enumerate(names)) else names


@dataclass(frozen=True)
class AroundEncoder:
    """A file of `transformers` around its image encoder.

    Attributes:
        family: as `names.FAMILIES` calls it. prefix: of the encoder's keys.
        path: of the file, perhaps with a config.json beside it.
    """

    family: str
    prefix: str
    path: Path

    def written_by(self, tensors: Mapping[str, Tensor]) -> str:
        """The name of the class that the file is of; "" where nothing says one.

        Without `architectures`, the keys of a classifier of transformers are its own.
        """
        classes = read_beside(self.path).get("architectures")
        if isinstance(classes, list) and classes:
            return str(classes[0])
        names = OWN_PREFIX.get(self.family, ())
        outer = next((self.prefix.removesuffix(name) for name in names if self.prefix.endswith(name)), None)
        if self.family not in AMBIGUOUS or outer is None:
            return "" if self.family in AMBIGUOUS else ENDING
        return ENDING if f"{outer}classifier.weight" in tensors else ""

    def is_guess(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a classifier beside the encoder is none of transformers: what it reads is assumed."""
        written_by = self.written_by(tensors)
        return not written_by or written_by.endswith(HEADLESS)


def own_head_note(beside: AroundEncoder, model: Any, tensors: Mapping[str, Tensor]) -> Record | None:
    """The note that what a checkpoint's classifier reads is assumed; None where it is known, or for none.

    A ViT's reads the network's output either way, or that of its pooler where that was trained.
    """
    if beside.family not in AMBIGUOUS[1:] or not beside.is_guess(tensors):
        return None
    parts = classifier_parts(beside, model, tensors)
    rule = RULES[beside.family]
    if isinstance(parts, str) or not parts[1] or parts[1][0].rule == rule:
        return None
    return assumed("own_head", what=rule.words)


def classifier_parts(
    beside: AroundEncoder, model: Any, tensors: Mapping[str, Tensor]
) -> tuple[None, Sequence[HeadPart]] | str:
    """The classifier in a file of `transformers`, or why its logits cannot be had.

    Args:
        model: timm's network, without the classifier.
        tensors: those of the file that the network lacks.
    """
    tensors = {key: tensor for key, tensor in tensors.items() if TEXT_TOWER not in key}
    rule, width = RULES.get(beside.family), int(model.num_features)
    if beside.family == "ViT" and (model.global_pool == "token" or model.cls_token is None):
        rule = None  # it is what the network returns
    if both := _distilled_parts(tensors, width):
        return None, both
    pooler = _trained_pooler(beside, tensors, width)
    rest = {key: tensor for key, tensor in tensors.items() if POOLER not in key}
    on_output = bare_classifier(rest, width)
    if beside.is_guess(tensors) and isinstance(on_output, nn.Linear):
        return None, [HeadPart(nn.Sequential(pooler, nn.Tanh(), on_output) if pooler else on_output)]
    linear = bare_classifier(rest, width * (2 if rule and rule.tokens == "cls+mean" else 1))
    name = beside.written_by(tensors) or ENDING
    if not name.endswith((ENDING, *HEADLESS)) and any(
        isinstance(one, nn.Linear) for one in (linear, on_output)
    ):
        return f"what the classifier of {name} reads is not known"
    part = [HeadPart(linear)] if isinstance(linear, nn.Linear) else []
    if pooler and part and not rule:
        part = [HeadPart(nn.Sequential(pooler, nn.Tanh(), part[0].module))]
    return None, [replace(one, at="norm", rule=rule) if rule else one for one in part]


def _trained_pooler(beside: AroundEncoder, tensors: Mapping[str, Tensor], width: int) -> nn.Linear | None:
    """The layer of a ViT's pooler, a Linear before tanh, where it was trained."""
    key = f"{beside.prefix}{POOLER}weight"
    if key not in tensors or read_beside(beside.path).get("pooler_act", "tanh") != "tanh":
        return None
    named = {f"fc.{kind}": tensors.get(f"{beside.prefix}{POOLER}{kind}") for kind in ("weight", "bias")}
    linear = bare_classifier({name: one for name, one in named.items() if one is not None}, width)
    return linear if isinstance(linear, nn.Linear) and not untrained(linear) else None


def _distilled_parts(tensors: Mapping[str, Tensor], width: int) -> list[HeadPart]:
    """Both classifiers of DeiTForImageClassificationWithTeacher, whose mean it gives; or none."""
    parts = []
    for name, token in (("cls_classifier", "cls"), ("distillation_classifier", "dist")):
        named = {f"fc.{kind}": tensors.get(f"{name}.{kind}") for kind in ("weight", "bias")}
        linear = bare_classifier({key: one for key, one in named.items() if one is not None}, width)
        if isinstance(linear, nn.Linear):
            parts.append(HeadPart(linear, at="norm", rule=TokenRule(token, "after")))
    return parts if len(parts) == 2 else []


# Networks of timm that `transformers` trained: config.json of its class TimmWrapper, beside weights below
# `timm_model.`.


TYPE = "timm_wrapper"


def wrapper_sidecar(path: Path) -> Sidecar | None:
    """Return what the config.json of a TimmWrapper says of its network and its pixels; None for other files.

    Raises:
        CheckpointError: it names no network.
    """
    config = read_beside(path)
    if config.get("model_type") != TYPE or not (path.is_dir() or path.name in WHOLE):
        return None
    if not isinstance(config.get("architecture"), str):
        raise CheckpointError(
            f"{CONFIG} beside it is of a {TYPE} and names no 'architecture': restore the file"
        )
    return sidecar_of_timm(config, f"{CONFIG} of a {TYPE}")


def wrapper_names(path: Path) -> list[list[str]]:
    """The class names of a TimmWrapper, in the order of its outputs; none for other files."""
    config = read_beside(path)
    if config.get("model_type") != TYPE:
        return []
    return names_in({"classes": config.get("label_names")}) or stated_labels(path)
