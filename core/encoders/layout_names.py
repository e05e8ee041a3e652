"""Rules that identify the library of a checkpoint; they provide its name and pixel statistics."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.encoders.assumptions import assumed

SWAV_STD = (0.228, 0.224, 0.225)  # the code of SwAV and DeepCluster has .228 first, not .229
SOLO_LEARN = {"method", "backbone", "method_kwargs"}  # settings of its own
PIXELS = {
    "SwAV / DeepCluster": ((0.485, 0.456, 0.406), SWAV_STD),
    "SimCLR (tonylins)": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


@dataclass(frozen=True)
class Clues:
    """The inputs of the rules."""

    core: str  # key prefix without module. and _orig_mod.
    path: tuple[str, ...]
    kind: str
    file_keys: frozenset[str]
    groups: frozenset[str]  # first parts of all keys beside the encoder
    heads: frozenset[str]  # first parts of the keys below the prefix
    state: Mapping[str, Any]
    filename: str
    settings: frozenset[str] = frozenset()  # names of Lightning's hyperparameters

    @classmethod
    def of(cls, file: Mapping[str, Any], candidate: Any, state: Mapping[str, Any], filename: str) -> "Clues":
        outer = candidate.prefix[: len(candidate.prefix) - len(candidate.core)]
        keys = [key.removeprefix(outer) for key in candidate.tensors]
        file_keys = frozenset(str(key) for key in file)
        groups = frozenset(key.split(".")[0] for key in keys)
        heads = frozenset(key.split(".")[0] for key in state)
        settings = frozenset(map(str, _settings(file)))
        return cls(
            core=candidate.core,
            path=candidate.path,
            kind=candidate.kind,
            file_keys=file_keys,
            groups=groups,
            heads=heads,
            state=state,
            filename=filename,
            settings=settings,
        )

    def has(self, *groups: str) -> bool:
        return bool(self.groups & set(groups))

    def under(self, *cores: str) -> bool:
        return self.core in cores

    def inside(self, *names: str) -> bool:
        return any(part in names for part in self.path)

    @property
    def lightning(self) -> bool:
        return "pytorch-lightning_version" in self.file_keys

    @property
    def of_solo_learn(self) -> bool:
        """Whether the settings in the file are those of solo-learn's linear evaluation or training."""
        return self.settings >= SOLO_LEARN


def _settings(file: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = file.get("hyper_parameters")
    return settings if isinstance(settings, Mapping) else {}


def layout_name(clues: Clues) -> tuple[str, tuple[str, ...]]:
    """Return the name of a checkpoint's layout and its assumptions; the first matching rule wins."""
    for name, fits in RULES:
        if fits(clues):
            return name, NOTES.get(name, ())
    where = f" with the prefix '{clues.core}'" if clues.core else ""
    return f"plain{where}", ()


def _backbone(c: Clues) -> bool:
    return c.under("backbone.", "momentum_backbone.", "backbone_momentum.")


def _tonylins(c: Clues) -> bool:
    """Match `state_dict` alone, with bare keys and a 1000-way head; the file's name or the width decides."""
    if c.core or c.kind != "resnet" or c.file_keys != {"state_dict"} or "fc.weight" not in c.state:
        return False
    wide = "conv1.weight" in c.state and c.state["conv1.weight"].shape[0] > 64
    return c.state["fc.weight"].shape[0] == 1000 and (
        wide or re.search(r"resnet50-[124]x", c.filename) is not None
    )


def _solo(c: Clues) -> bool:
    """Match what solo-learn alone writes: both its online classifier and a projector, or its own settings.

    A `backbone` and a `classifier` are anybody's, and so is Lightning.
    """
    has_backbone = _backbone(c) or c.under("encoder.", "momentum_encoder.")
    pretrained = c.has("classifier", "momentum_classifier") and c.has("projector", "momentum_projector")
    return has_backbone and c.lightning and (pretrained or c.of_solo_learn)


def _yaox12(c: Clues) -> bool:
    is_encoder = c.core.endswith(("network.encoder.", "encoder."))
    return c.kind == "numeric" and (is_encoder or c.inside("online_backbone", "target_backbone"))


def _lucidrains(c: Clues) -> bool:
    is_encoder = c.under("online_encoder.net.", "target_encoder.net.", "net.")
    return is_encoder and c.has("online_encoder", "online_predictor")


def _lightning_bolts(c: Clues) -> bool:
    is_moco = c.under("encoder_q.", "encoder_k.") and c.lightning
    is_simclr = c.under("encoder.") and c.has("projection", "non_linear_evaluator")
    return c.core.endswith("_network.encoder.") or is_moco or is_simclr


NOTES = {"SimCLR (tonylins)": (assumed("google_simclr"),)}
RULES: tuple[tuple[str, Callable[[Clues], bool]], ...] = (
    ("VISSL", lambda c: c.core.endswith("_feature_blocks.")),
    ("OpenSelfSup / MMSelfSup", lambda c: c.core.endswith(("encoder_q.0.", "encoder_k.0.", "_net.0."))),
    ("BYOL (yaox12)", _yaox12),
    ("BYOL (lucidrains)", _lucidrains),
    ("lightning-bolts", _lightning_bolts),
    ("MoCo", lambda c: c.under("encoder_q.", "encoder_k.")),
    ("MoCo v3", lambda c: c.under("base_encoder.", "momentum_encoder.") and c.has("base_encoder")),
    ("DINO", lambda c: c.inside("teacher", "student")),
    ("lightly", lambda c: c.kind == "numeric" or c.core.endswith(("student_backbone.", "teacher_backbone."))),
    ("SimCLR (sthalles)", lambda c: _backbone(c) and any(k.startswith("fc.2.") for k in c.state)),
    ("solo-learn", _solo),
    ("OpenSelfSup / MMSelfSup", lambda c: _backbone(c) and "meta" in c.file_keys),
    ("Barlow Twins", lambda c: _backbone(c) and c.has("projector") and c.has("bn")),
    ("VICReg", lambda c: _backbone(c) and c.has("projector")),
    ("SimSiam", lambda c: c.under("encoder.") and (c.has("predictor") or "fc" in c.heads)),
    ("PyContrast", lambda c: c.under("encoder.") and c.inside("model", "model_ema")),
    ("SwAV / DeepCluster", lambda c: c.core == "" and bool(c.heads & {"projection_head", "prototypes"})),
    ("SimCLR (tonylins)", _tonylins),
    ("timm (EMA)", lambda c: c.core == "" and c.inside("state_dict_ema", "model_ema")),
    ("timm", lambda c: c.core == "" and c.kind == "vit" and "head" in c.heads),
    ("DINO or timm ViT", lambda c: c.core == "" and c.kind == "vit"),
    ("torchvision or timm", lambda c: c.core == "" and c.kind == "resnet" and "fc" in c.heads),
)
