"""The settings of each method's loss, and each method's default values. No torch."""

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any, TypeVar

from core.errors import SettingsError, did_you_mean
from core.training.checks import Count, CountFrom0, NotNegative, Positive, Rule, Share, Shares, check_settings

SEVERAL = Rule("be at least 2", lambda value: value >= 2)
SIZE = Rule("be at least 1", lambda value: value >= 1)
WEIGHT = Rule("be 0 or more", lambda value: 0 <= value <= inf)
BELOW_1 = Rule("be at least 0 and below 1", lambda value: 0 <= value < 1)


@dataclass(frozen=True)
class ObjectiveConfig:
    """The settings of a method's loss, the table [objective]: each method has a class with its own."""


@dataclass(frozen=True)
class MomentumSettings(ObjectiveConfig):
    """The settings of methods with a momentum encoder."""

    momentum: Share = 0.99  # initial share of the momentum encoder that a step keeps
    momentum_end: Share = 1.0  # value at the last step, approached along a cosine


@dataclass(frozen=True)
class SmallViewSettings(ObjectiveConfig):
    """The settings of methods that can use small views."""

    local_size: Annotated[int | None, SIZE] = None  # of small views in pixels; None: half of crop_size
    local_scale: Shares = (0.08, 0.3)  # small views' share of the image area


@dataclass(frozen=True)
class HarderSettings(ObjectiveConfig):
    """The settings of methods whose logits can be made harder: IFM, and weights of negatives."""

    ifm_epsilon: NotNegative = 0.0  # implicit feature modification; the paper's is 0.1, 0 is off
    # weight of the modified loss relative to the plain one; inf: modified loss alone
    ifm_alpha: Annotated[float, WEIGHT] = 1.0
    # norm: modified features are scaled to unit length; pre_norm: before the norm
    ifm_variant: str = field(default="default", metadata={"choices": ("default", "norm", "pre_norm")})
    ifm_detach: bool = True  # norm: no gradient through the modification itself
    ifm_relative: bool = False  # pre_norm: epsilon is a share of each embedding's length
    ifm_steps: CountFrom0 = 0  # pre_norm: steps of projected gradient; 0: the optimum in closed form
    hard_beta: NotNegative = 0.0  # hardness of the negatives' weights; 0: all negatives count alike
    # share of negatives that are of the anchor's class, corrected for; 0: none
    hard_tau_plus: Annotated[float, BELOW_1] = 0.0


@dataclass(frozen=True)
class ClusterSettings(SmallViewSettings):
    """The settings of methods with prototypes."""

    prototypes: Annotated[int, SEVERAL] = 512  # outputs of the head
    frozen: Share = 0.01  # share of the training during which the last layer is frozen
    local_crops: CountFrom0 = 4  # additional small views per image; 0 for none


@dataclass(frozen=True)
class SimCLRSettings(SmallViewSettings, HarderSettings):
    local_pairs: CountFrom0 = 0  # small views per image, each a positive of both large ones; 0 for none
    dual: bool = False  # a second encoder, for the frequency image that is the right view
    cross_only: bool = False  # dual: negatives only from the other encoder, as in CLIP


@dataclass(frozen=True)
class MoCoSettings(MomentumSettings, HarderSettings):
    queue: CountFrom0 = 0  # images stored per view


@dataclass(frozen=True)
class SwAVSettings(ClusterSettings):
    queue: CountFrom0 = 0  # images stored per view
    queue_from: Share = 0.15  # share of the training after which the queue is used
    prototype_bias: bool = False  # lightly's layer has a bias, the paper's has none
    sinkhorn_epsilon: Positive = 0.05
    sinkhorn_iterations: Count = 3


@dataclass(frozen=True)
class BYOLSettings(MomentumSettings):
    predictor_hidden: Count = 512


@dataclass(frozen=True)
class DINOSettings(MomentumSettings, ClusterSettings):
    bottleneck: Count = 256
    teacher_temperature: Positive = 0.04
    center_momentum: Share = 0.9


@dataclass(frozen=True)
class SimSiamSettings(ObjectiveConfig):
    predictor_hidden: Count = 512
    constant_predictor_rate: bool = True  # the predictor's rate follows no schedule


@dataclass(frozen=True)
class VICRegSettings(ObjectiveConfig):
    """The settings of VICReg: the weights of its three terms."""

    invariance: NotNegative = 25.0
    variance: NotNegative = 25.0
    covariance: NotNegative = 1.0


@dataclass(frozen=True)
class BarlowSettings(ObjectiveConfig):
    redundancy: NotNegative = 5e-3  # weight of the entries off the diagonal


OBJECTIVES: dict[str, type[ObjectiveConfig]] = {
    "simclr": SimCLRSettings,
    "moco": MoCoSettings,
    "swav": SwAVSettings,
    "byol": BYOLSettings,
    "dino": DINOSettings,
    "simsiam": SimSiamSettings,
    "vicreg": VICRegSettings,
    "barlow": BarlowSettings,
}
_SETTINGS = {name: None for kind in OBJECTIVES.values() for name in kind.__dataclass_fields__}
METHODS_OF = {  # by setting, the methods that have it
    name: [method for method, kind in OBJECTIVES.items() if name in kind.__dataclass_fields__]
    for name in _SETTINGS
}
LOGITS = "changes the logits of simclr and moco; {} has none."
SWITCHES = {  # settings that turn something on, and why another method cannot have it
    "local_pairs": "is an option of simclr alone, not of {}.",
    "dual": "trains two encoders by simclr's loss, not by {}'s.",
    "cross_only": "concerns two encoders, which {} does not train.",
    **dict.fromkeys(("ifm_epsilon", "hard_beta", "hard_tau_plus"), LOGITS),
}
Own = TypeVar("Own", bound=ObjectiveConfig)


# Default values of each method. Heads of this width suffice for small images and short trainings (the papers
# have up to 8,192 units). SGD at 0.12 per 256 images suits most methods. AdamW is used where 80 steps of SGD
# on a small network made no progress: Barlow Twins' loss is a sum over feature pairs, and DINO's output
# stayed uniform. BYOL's and DINO's momentum and DINO's weight decay are the papers'. MoCo's momentum starts
# below the paper's constant 0.999: a memory of 1,000 steps is a third of a short training.
DEFAULTS: dict[str, dict[str, Any]] = {
    "simclr": {},
    "moco": {"lr": 0.12, "objective": {"queue": 4096, "momentum_end": 0.999}},
    "swav": {"lr": 1e-3, "optimizer": "adamw", "weight_decay": 1e-6, "temperature": 0.1},
    "byol": {
        "lr": 0.12,
        "head_hidden": 1024,
        "head_out": 256,
        "objective": {"predictor_hidden": 1024, "momentum": 0.996},
    },
    "dino": {
        "lr": 1e-3,
        "optimizer": "adamw",
        "weight_decay": 0.04,
        "weight_decay_end": 0.4,
        "head_hidden": 1024,
        "temperature": 0.1,
        "clip_norm": 3.0,
        "objective": {"prototypes": 2048, "momentum": 0.996},
    },
    "simsiam": {"lr": 0.12, "head_hidden": 2048, "head_out": 2048},
    "vicreg": {"lr": 0.12, "head_hidden": 2048, "head_out": 2048},
    "barlow": {"lr": 1e-3, "optimizer": "adamw", "weight_decay": 1e-6, "head_hidden": 2048, "head_out": 2048},
}
# Defaults of an optimiser other than the method's own: AdamW diverges at a rate of SGD, and Muon's orthogonal
# steps let weights grow without end unless they decay. LARS keeps the method's decay, but no schedule of it.
OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.12, "weight_decay": 5e-4, "weight_decay_end": None},
    "lars": {"lr": 0.3, "weight_decay_end": None},
    "adamw": {"lr": 1e-3, "weight_decay_end": None},
    "muon": {"lr": 4e-3, "weight_decay": 0.05, "weight_decay_end": None, "momentum": 0.95},
}
OF_OPTIMIZER = ("lr", "momentum", "weight_decay", "weight_decay_end")  # meant for one optimiser alone
_OTHER_NAMES = {"mocov2": "moco", "barlowtwins": "barlow"}


def method_name(name: str) -> str:
    """Return the canonical name of a training's method: `MoCo v2`, `moco_v2` and `moco` are equal."""
    plain = "".join(letter for letter in str(name).lower() if letter.isalnum())
    plain = _OTHER_NAMES.get(plain, plain)
    if plain not in DEFAULTS:
        methods = ", ".join(sorted(DEFAULTS))
        raise SettingsError(f"Unknown method '{name}'. Known: {methods}.{did_you_mean(plain, DEFAULTS)}")
    return plain


def _own_optimizer(values: dict[str, Any]) -> str:
    """Return the optimiser that a training's settings name, else that of their method."""
    return values.get("optimizer") or DEFAULTS[method_name(values.get("method", "simclr"))].get(
        "optimizer", "sgd"
    )


def under_optimizer(values: dict[str, Any], optimizer: str | None) -> dict[str, Any]:
    """Return a training's settings for another optimiser: without rate, momentum and decay of their own."""
    if optimizer is None or optimizer == _own_optimizer(values):
        return dict(values)
    return {name: value for name, value in values.items() if name not in OF_OPTIMIZER} | {
        "optimizer": optimizer
    }


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Merge a training's `values` over the defaults of their method and optimiser, table by table."""
    name = method_name(values.get("method", "simclr"))
    optimizer = _own_optimizer(values)
    of_optimizer = (
        {} if optimizer == _own_optimizer({"method": name}) else OPTIMIZER_DEFAULTS.get(str(optimizer), {})
    )
    merged = {**DEFAULTS[name], **of_optimizer, **values, "method": name}
    for table in ("augment", "objective"):
        begun, given = DEFAULTS[name].get(table, {}), values.get(table, {})
        if isinstance(given, dict) and (begun or given):
            merged[table] = {**begun, **given}
    return merged


def settings_for(method: str, values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the settings of the table [objective] of a training that the method has.

    Others do nothing and are left out, so that one file may serve several methods. What asks for another
    training than this method's is an error.

    Raises:
        SettingsError: a setting that no method has, or one that this method cannot follow.
    """
    for name, value in values.items():
        if name not in METHODS_OF:
            raise SettingsError(f"{where}: unknown setting '{name}'.{did_you_mean(name, METHODS_OF)}")
        if method not in METHODS_OF[name] and value and name in SWITCHES:
            crops = name == "local_pairs" and method in METHODS_OF["local_crops"]
            hint = " Its small views are objective.local_crops." if crops else ""
            raise SettingsError(f"objective.{name} {SWITCHES[name].format(method)}{hint}")
    return {name: value for name, value in values.items() if method in METHODS_OF[name]}


def own_settings(objective: ObjectiveConfig, kind: type[Own]) -> Own:
    """Return a training's objective settings as those of a method, or of what several methods share."""
    if not isinstance(objective, kind):
        raise SettingsError(
            f"{type(objective).__name__} are not the settings of this method, {kind.__name__}."
        )
    return objective


def check_objective(config: ObjectiveConfig) -> None:
    """Raise SettingsError for the first invalid setting of a training's objective."""
    check_settings(config, prefix="objective.")
    harder = config if isinstance(config, HarderSettings) else HarderSettings()
    if harder.ifm_epsilon and (harder.hard_beta or harder.hard_tau_plus):
        raise SettingsError("objective.ifm_epsilon and hard_beta (or hard_tau_plus) exclude each other.")
