"""Settings that only some methods use, and each method's default values. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import SettingsError, did_you_mean

IFM_VARIANTS = ("default", "norm", "pre_norm")


@dataclass(frozen=True)
class ObjectiveConfig:
    """Settings of losses, momentum encoders and queues; each line names the methods that use it."""

    predictor_hidden: int = 512  # byol, simsiam
    constant_predictor_rate: bool = True  # simsiam: the predictor's rate follows no schedule
    momentum: float = 0.99  # moco, byol, dino: initial share of the momentum encoder that a step keeps
    momentum_end: float = 1.0  # value at the last step, approached along a cosine
    queue: int = 0  # moco, swav: images stored per view
    queue_from: float = 0.15  # swav: share of the training after which the queue is used
    prototypes: int = 512  # swav; dino: outputs of the head
    prototype_bias: bool = False  # swav: lightly's layer has a bias, the paper's has none
    frozen: float = 0.01  # swav, dino: share of the training during which the last layer is frozen
    local_crops: int = 4  # swav, dino: additional small views per image; 0 for none
    local_pairs: int = 0  # simclr: small views per image, each a positive of both large ones; 0 for none
    local_size: int | None = None  # size of small views in pixels; None: half of crop_size
    local_scale: tuple[float, float] = (0.08, 0.3)  # small views' share of the image area
    sinkhorn_epsilon: float = 0.05  # swav
    sinkhorn_iterations: int = 3  # swav
    bottleneck: int = 256  # dino
    teacher_temperature: float = 0.04  # dino
    center_momentum: float = 0.9  # dino
    invariance: float = 25.0  # vicreg
    variance: float = 25.0  # vicreg
    covariance: float = 1.0  # vicreg
    redundancy: float = 5e-3  # barlow
    ifm_epsilon: float = 0.0  # simclr, moco: implicit feature modification; the paper's is 0.1, 0 is off
    ifm_alpha: float = 1.0  # weight of the modified loss relative to the plain one; inf: modified loss alone
    dual: bool = False  # simclr: a second encoder, for the frequency image that is the right view
    cross_only: bool = False  # dual: negatives only from the other encoder, as in CLIP
    ifm_variant: str = (
        "default"  # norm: modified features are scaled to unit length; pre_norm: before the norm
    )
    ifm_detach: bool = True  # norm: no gradient through the modification itself
    ifm_relative: bool = False  # pre_norm: epsilon is a share of each embedding's length
    ifm_steps: int = 0  # pre_norm: steps of projected gradient; 0: the optimum in closed form
    hard_beta: float = 0.0  # simclr, moco: hardness of the negatives' weights; 0: all negatives count alike
    hard_tau_plus: float = 0.0  # share of negatives that are of the anchor's class, corrected for; 0: none


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
    "barlow": {
        "lr": 1e-3,
        "optimizer": "adamw",
        "weight_decay": 1e-6,
        "head_hidden": 2048,
        "head_out": 2048,
    },
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
    """Return a method's canonical name: `MoCo v2`, `moco_v2` and `moco` are equal. Raises SettingsError."""
    plain = "".join(letter for letter in str(name).lower() if letter.isalnum())
    plain = _OTHER_NAMES.get(plain, plain)
    if plain not in DEFAULTS:
        methods = ", ".join(sorted(DEFAULTS))
        raise SettingsError(f"Unknown method '{name}'. Known: {methods}.{did_you_mean(plain, DEFAULTS)}")
    return plain


def own_optimizer(values: dict[str, Any]) -> str:
    """Return the optimiser that settings name, else that of their method. Raises SettingsError."""
    return values.get("optimizer") or DEFAULTS[method_name(values.get("method", "simclr"))].get(
        "optimizer", "sgd"
    )


def under_optimizer(values: dict[str, Any], optimizer: str | None) -> dict[str, Any]:
    """Return settings for another optimiser: without rate, momentum and decay, meant for their own."""
    if optimizer is None or optimizer == own_optimizer(values):
        return dict(values)
    return {name: value for name, value in values.items() if name not in OF_OPTIMIZER} | {
        "optimizer": optimizer
    }


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Merge `values` over the defaults of their method and their optimiser, table by table."""
    name = method_name(values.get("method", "simclr"))
    optimizer = own_optimizer(values)
    of_optimizer = (
        {} if optimizer == own_optimizer({"method": name}) else OPTIMIZER_DEFAULTS.get(str(optimizer), {})
    )
    merged = {**DEFAULTS[name], **of_optimizer, **values, "method": name}
    for table in ("augment", "objective"):
        begun, given = DEFAULTS[name].get(table, {}), values.get(table, {})
        if isinstance(given, dict) and (begun or given):
            merged[table] = {**begun, **given}
    return merged


def check_objective(config: ObjectiveConfig) -> None:
    """Raise SettingsError for the first invalid value."""
    least = {"prototypes": 2, "predictor_hidden": 1, "bottleneck": 1, "sinkhorn_iterations": 1}
    for name, smallest in {**least, "queue": 0, "local_crops": 0, "local_pairs": 0}.items():
        if getattr(config, name) < smallest:
            raise SettingsError(f"objective.{name} = {getattr(config, name)} must be at least {smallest}.")
    for name in ("momentum", "momentum_end", "queue_from", "frozen", "center_momentum"):
        if not 0 <= getattr(config, name) <= 1:
            raise SettingsError(f"objective.{name} = {getattr(config, name)} must lie between 0 and 1.")
    for name in ("sinkhorn_epsilon", "teacher_temperature"):
        if not getattr(config, name) > 0:
            raise SettingsError(f"objective.{name} = {getattr(config, name)} must be above 0.")
    for name in ("ifm_epsilon", "ifm_alpha"):
        if not getattr(config, name) >= 0:
            raise SettingsError(f"objective.{name} = {getattr(config, name)} must be 0 or more.")
    check_harder(config)
    low, high = config.local_scale
    if not 0 < low <= high <= 1:
        raise SettingsError(f"objective.local_scale = [{low}, {high}] must be two ascending shares up to 1.")
    if config.local_size is not None and config.local_size < 1:
        raise SettingsError(f"objective.local_size = {config.local_size} must be at least 1.")


def check_harder(config: ObjectiveConfig) -> None:
    """Raise SettingsError for a variant of IFM or a weighting of negatives that there is not."""
    if config.ifm_variant not in IFM_VARIANTS:
        raise SettingsError(
            f"objective.ifm_variant = '{config.ifm_variant}' should be one of {', '.join(IFM_VARIANTS)}."
            f"{did_you_mean(config.ifm_variant, IFM_VARIANTS)}"
        )
    if config.ifm_steps < 0:
        raise SettingsError(f"objective.ifm_steps = {config.ifm_steps} must be at least 0.")
    if not 0 <= config.hard_beta < float("inf"):
        raise SettingsError(f"objective.hard_beta = {config.hard_beta} must be 0 or more.")
    if not 0 <= config.hard_tau_plus < 1:
        raise SettingsError(
            f"objective.hard_tau_plus = {config.hard_tau_plus} must be at least 0 and below 1."
        )
    if config.ifm_epsilon and (config.hard_beta or config.hard_tau_plus):
        raise SettingsError("objective.ifm_epsilon and hard_beta (or hard_tau_plus) exclude each other.")
