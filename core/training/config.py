"""The settings of one training, read from TOML or JSON and stored beside the weights. No torch."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from core.common.assets import configs_folder
from core.common.inside import parse_json, read_bounded
from core.common.topics import function_named, topics
from core.config import as_settings, option
from core.config.analysis import TRANSPARENCIES
from core.errors import SettingsError, did_you_mean
from core.training.augmentation_config import AugmentConfig, check_augment, check_recipes, complete_right
from core.training.checks import (
    Count,
    FolderLevel,
    NotNegative,
    NotNegativeOrNone,
    Positive,
    Share,
    check_settings,
)
from core.training.objective import (
    DEFAULTS,
    OBJECTIVES,
    ObjectiveConfig,
    SimCLRSettings,
    check_objective,
    method_name,
    own_settings,
    settings_for,
    under_optimizer,
    with_defaults,
)

# Default settings of a fine-tuning. Free of torch.


# Kalibhat 2024: LARS, warm-up and cosine, lr 1e-5, 50 epochs. timm's LARS multiplies the rate by a trust
# ratio of 1e-3, so that weights move by about 1e-4 of themselves and mostly BatchNorm's statistics change:
# the log says so.
PAPER = {"optimizer": "lars", "lr": 1e-5, "epochs": 50}
WARMUP = 0.1  # of the epochs
PRACTICAL = 0.1  # of the rate, and with the optimiser, that the method is trained with from scratch


# Settings of the regulariser added to a training's loss. No torch; `penalty.py` implements them.


KINDS = ("none", "q", "lasso")
READINGS = ("sum", "printed", "mean")


@dataclass(frozen=True)
class RegularizerConfig:
    """The regulariser (docs/method.md 7.2). Both lambdas are from Kalibhat 2024; the Lasso's weight is ours.

    0.01 makes the Lasso term as large as lambda2's for batches of 64 to 128, where the two can be compared.
    """

    kind: str = option(
        "regulariser: q (Q-Score), lasso or none", "none", choices=KINDS, flags=("--regularizer",)
    )
    study: str | None = None  # whose discriminative features D are meant; its table `features` is read
    epsilon: NotNegativeOrNone = None  # firing threshold in standard deviations; None: the study's
    lambda1: NotNegative = option("weight of the term that raises low Q-Scores", 1e-4, metavar="L")
    lambda2: NotNegative = option(
        "weight of the penalty on features that are active on much of a batch", 1e-4, metavar="L"
    )
    weight: NotNegative = option("weight of the Lasso", 1e-2, metavar="L")
    # What eq. 3 divides by the 2N rows of a batch: nothing ("sum"), the reward ("printed") or both terms
    # ("mean"). Only "sum" lets the paper's search of lambda1 at lambda2 = 0 (Fig. A.8) matter at 1e-4.
    reading: str = option(
        "what the regulariser q divides by the number of rows in a batch: nothing (sum), the reward "
        "(printed) or both terms (mean)",
        "sum",
        choices=READINGS,
    )


def _check_regularizer(config: RegularizerConfig, *, start: str | None, frozen: bool) -> None:
    """Raise SettingsError for the first setting of a training's regulariser that cannot work."""
    check_settings(config, prefix="regularizer.")
    if config.kind == "q" and config.study is None:
        raise SettingsError(
            "regularizer.kind = 'q' needs discriminative features: give their study in regularizer.study."
        )
    if frozen and start is None:
        raise SettingsError("frozen = true keeps the weights of a start encoder: give one in start.")


# Parts of a training that topics of research add: a table of settings, and a method around the method.
#
# No torch.


@dataclass(frozen=True)
class TrainingSection:
    """A table of settings of a training, which by default asks for nothing.

    Attributes:
        name: of the table. config: its dataclass.
        check: raises SettingsError for a TrainConfig that cannot be.
        around: names a function (TrainConfig, source, rows, note) -> a function (backbone, n_features,
            TrainConfig) -> Method, or None where the settings ask for nothing. It may read the images `rows`
            of the source, and `note` a text for the user.
    """

    name: str
    config: type
    check: Callable[[Any], None]
    around: str


@cache
def sections() -> dict[str, TrainingSection]:
    """Return the sections of a training's settings that topics of research add, by name."""
    named = [topic.training for topic in topics() if topic.training]
    return {section.name: section for section in map(function_named, named)}


# The settings of one training, read from TOML or JSON and stored beside the weights. No torch.


# Settings that may differ when a training is resumed; everything else must stay for the result to make sense.
# `epochs` is one of them so that a run can be shortened: the schedule is a function of the step alone.
FREE_ON_RESUME = (
    *("epochs", "output", "device", "workers", "cache", "checkpoint_minutes", "tensorboard", "keep_every"),
)
OF_READING = ("class_level", "group_level", "range", "transparency")  # how images are read, as in `analyze`


@dataclass(frozen=True)
class TrainConfig:
    """All settings that determine the weights, and some (FREE_ON_RESUME) that do not."""

    images: str = option("image folder or 'glyphworld'; see `analyze --help`", metavar="DIR", names="images")
    output: str = option(
        "weights file to write (.safetensors)", metavar="FILE", flags=("-o", "--output"), names="file"
    )
    val: str | None = option(
        "folder of images on which training is monitored", None, metavar="DIR", names="images"
    )
    # of the split of images that come without one; None: `seed`
    split_seed: int | None = field(default=None, metadata={"minimum": 0})
    # which level of folders names the class, as in `analyze`; the split is drawn class by class
    class_level: FolderLevel = None
    # which level is one patient, scene or sequence, as in `analyze`
    group_level: int | None = field(default=None, metadata={"minimum": 1})
    # how values of pixels are read, as in `analyze`
    range: str | None = None
    transparency: str | None = field(default=None, metadata={"choices": TRANSPARENCIES})
    method: str = option(f"method: {', '.join(DEFAULTS)}", "simclr", metavar="NAME")
    arch: str = option("network: timm:NAME?key=value or torchvision:NAME", "timm:resnet18", metavar="ARCH")
    # for example with a finer last feature map
    export_arch: str | None = option(
        "architecture with which the trained weights are analysed", None, metavar="ARCH", left_out="--arch"
    )
    # cifar: 3x3 first convolution, stride 1, no max-pool
    stem: str = option(
        "first layers; cifar suits images of 32 pixels", "standard", choices=("standard", "cifar")
    )
    epochs: int = option(
        "training epochs; may change when an interrupted training continues", 100, metavar="N", minimum=1
    )
    # of all processes and micro-batches together
    batch_size: int = option("images per step", 256, metavar="N", minimum=1)
    # Each micro-batch has its own BatchNorm statistics and its own negatives, so except for momentum queues
    # this is another loss.
    accumulate: int = option(
        "micro-batches per step: less memory, but fewer negatives", 1, metavar="N", minimum=1
    )
    # lars: for batches of 1,024 and more; muon: for few epochs (docs/RESULTS.md)
    optimizer: str = option("optimiser", "sgd", choices=("sgd", "lars", "adamw", "muon"))
    lr: Positive = option("learning rate per 256 images", 0.5, metavar="LR")  # scaled by batch_size / 256
    momentum: Share = 0.9
    weight_decay: NotNegative = 5e-4
    weight_decay_end: NotNegativeOrNone = None  # at the last step, approached along a cosine; None: constant
    warmup_epochs: NotNegative = option("epochs of warm-up", 5.0, metavar="N")
    clip_norm: NotNegative = 0.0  # largest norm of the gradient; 0: any
    # 0.5 in lightly; 0.1 to 0.2 learn faster with batches this small
    temperature: Positive = option("temperature of the contrastive loss", 0.2, metavar="T")
    head_hidden: Count = 512
    head_out: Count = 128
    image_size: int = option(
        "size at which images are stored and the encoder is analysed",
        96,
        metavar="N",
        unit="pixels",
        minimum=1,
    )
    # smaller than image_size: half the cost, and objects look alike in scale
    crop_size: int = option("size of the random crops", 64, metavar="N", unit="pixels", minimum=1)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    objective: ObjectiveConfig = field(default_factory=SimCLRSettings)  # of the class of `method`
    # SPEC of an encoder to begin from, with its pixel statistics; None: random weights
    start: str | None = None
    frozen: bool = option("control run: keep the weights fixed and update only BatchNorm statistics", False)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    sections: Mapping[str, Any] = field(  # of research; each is a table of its own name in a file
        default_factory=lambda: {name: section.config() for name, section in sections().items()}
    )
    precision: str = option("bf16 is mixed precision, on CPU and CUDA", "fp32", choices=("fp32", "bf16"))
    half: bool = True  # weights are written in half precision
    seed: int = option("random seed of weights, order of images and views", 0, metavar="N", minimum=0)
    monitor_every: Count = 5  # epochs
    monitor_train: Count = 4000  # images a kNN classifier may look at
    monitor_val: Count = 1000  # images it is tried on
    device: str = option("auto, cpu, cuda or cuda:N", "auto", metavar="NAME")
    workers: int = option(
        "processes that decode the images once; 0 is one per core", 0, metavar="N", minimum=0
    )
    cache: str | None = option(
        "folder for decoded images", None, metavar="DIR", left_out="the user's cache folder", names="file"
    )
    checkpoint_minutes: NotNegative = 5.0
    # beside the log that is always written
    tensorboard: bool = option("also write TensorBoard event files to FILE.tensorboard", False)
    keep_every: int = option(
        "also keep the weights after every N epochs, as FILE-epochE: studies of them are read by compare "
        "--checkpoints",
        0,
        metavar="N",
        left_out="only the last",
        minimum=0,
    )

    def __post_init__(self) -> None:
        check(self)


TABLES = {"augment": AugmentConfig, "regularizer": RegularizerConfig}


def check(config: TrainConfig) -> None:
    """Raise SettingsError for the first invalid setting of a training."""
    if config.batch_size == 1:
        raise SettingsError(
            "batch_size = 1: every method compares the images of a batch. Use at least 2, better 128."
        )
    method_name(config.method)
    own_settings(config.objective, OBJECTIVES[method_name(config.method)])
    check_objective(config.objective)
    _check_regularizer(config.regularizer, start=config.start, frozen=config.frozen)
    check_settings(config)
    micro, left = divmod(config.batch_size, config.accumulate)
    if left or micro < 2:
        raise SettingsError(
            f"batch_size = {config.batch_size} does not make {config.accumulate} equal micro-batches of 2 or "
            "more images (accumulate)."
        )
    check_augment(config.augment)
    _check_local_pairs(config)
    _check_dual(config)
    for section in sections().values():
        section.check(config)


def _check_local_pairs(config: TrainConfig) -> None:
    """Raise SettingsError if small views are requested as positives where no loss compares them."""
    objective = config.objective
    if not isinstance(objective, SimCLRSettings) or not objective.local_pairs:
        return
    if objective.dual:
        raise SettingsError("objective.local_pairs needs one encoder: set objective.dual = false.")
    if config.augment.recipe != "image" or config.augment.right is not None:
        raise SettingsError(
            "objective.local_pairs takes small views of the plain image and has no Fourier or right view of "
            "them: leave out [augment.fourier], view and [augment.right], or set local_pairs = 0."
        )


def has_two_encoders(config: TrainConfig) -> bool:
    """Return True for a training of an encoder for each format of its views."""
    return isinstance(config.objective, SimCLRSettings) and config.objective.dual


def _check_dual(config: TrainConfig) -> None:
    """Raise SettingsError if two encoders are requested for a training that cannot have them."""
    objective = config.objective
    check_recipes(config.augment, dual=has_two_encoders(config), crop_size=config.crop_size)
    if not isinstance(objective, SimCLRSettings):
        return
    if objective.cross_only and not objective.dual:
        raise SettingsError("objective.cross_only concerns two encoders: set objective.dual = true as well.")
    if objective.dual and config.start is not None:
        raise SettingsError("objective.dual trains both encoders from random weights: leave out start.")
    for name in ("ifm_epsilon", "hard_beta", "hard_tau_plus"):
        if objective.cross_only and getattr(objective, name):
            raise SettingsError(f"objective.{name} changes NT-Xent's logits, which cross_only does not have.")


def read_config(path: str | Path, **changes: Any) -> TrainConfig:
    """Read a training's settings from .toml or .json; `changes` (None: as in the file) override them.

    With another optimiser than the file's, its rate, momentum and decay do not hold: its own defaults do.
    """
    values = under_optimizer(read_values(Path(path)), changes.get("optimizer"))
    values.update({key: value for key, value in changes.items() if value is not None})
    return from_dict(values, where=str(path))


def read_values(path: Path) -> dict[str, Any]:
    """Read a training's config, a .toml or .json file, unchecked. Raises SettingsError."""
    try:
        text = read_bounded(path).decode("utf-8")
        return parse_json(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError(f"No config file '{path}'. Examples are in {configs_folder()}.") from None
    except RecursionError:
        raise SettingsError(f"Cannot read config '{path}': lists are nested too deeply") from None
    except (ValueError, OSError) as reason:
        raise SettingsError(f"Cannot read config '{path}': {reason}") from None


def from_dict(values: dict[str, Any], *, where: str = "config") -> TrainConfig:
    """Build a TrainConfig from plain values and the defaults of their method.

    Unknown names, wrong types and missing values raise one-line errors.
    """
    values = with_defaults(values)
    if isinstance(values.get("augment"), dict):
        values["augment"] = complete_right(values["augment"])
    objective = values.get("objective", {})
    if isinstance(objective, dict):
        method = values["method"]
        objective = settings_for(method, objective, f"{where} [objective]")
        values["objective"] = build_settings(OBJECTIVES[method], objective, f"{where} [objective]")
    for name, table in TABLES.items():
        if isinstance(values.get(name), dict):
            values[name] = build_settings(table, values[name], f"{where} [{name}]")
    added = {}
    for name, section in sections().items():
        given = values.pop(name, {})
        added[name] = _convert(section.config, given, f"{where} [{name}]")
    return build_settings(TrainConfig, values, where, sections=added)


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training as a JSON-able dict; `from_dict` is the inverse."""
    tables = {name: getattr(config, name) for name in (*TABLES, "objective")} | dict(config.sections)
    values = as_settings(config) | {name: as_settings(table) for name, table in tables.items()}
    del values["sections"]
    return values


def fixed(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training that must stay the same for it to be resumed."""
    return {name: value for name, value in to_dict(config).items() if name not in FREE_ON_RESUME}


def lasting(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training worth keeping beside its weights: no paths, no machine."""
    gone = set(FREE_ON_RESUME) - {"epochs"}
    return {name: value for name, value in to_dict(config).items() if name not in gone}


def build_settings(cls: type, values: dict[str, Any], where: str, **built: Any) -> Any:
    """Build a dataclass of a training's settings; bad names, types and gaps raise one-line errors.

    Args:
        built: fields that have been built already; what they hold are further names.
    """
    hints = typing.get_type_hints(cls)
    for name in built:
        hints |= dict.fromkeys(built[name], hints.pop(name))
    for name, value in values.items():
        if name not in hints:
            raise SettingsError(f"{where}: unknown setting '{name}'.{did_you_mean(name, hints)}")
        values = {**values, name: _convert(hints[name], value, f"{where}: {name}")}
    needed = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in needed if name not in values]
    if missing:
        raise SettingsError(f"{where}: missing setting {', '.join(missing)}.")
    return cls(**values, **built)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if isinstance(value, dict):
            return build_settings(hint, value, where)  # type: ignore[arg-type]
    elif isinstance(hint, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        if value is None and len(kinds) < len(typing.get_args(hint)):
            return None
        return _convert(next((kind for kind in kinds if type(value) is kind), kinds[0]), value, where)
    elif typing.get_origin(hint) is tuple:
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value)):
            return (float(value[0]), float(value[1]))
    elif hint is float and _is_number(value):
        return float(value)
    elif type(value) is hint:
        return value
    if dataclasses.is_dataclass(hint):
        raise SettingsError(f"{where} = {value!r} should be a table of settings.")
    expected = getattr(hint, "__name__", None) if typing.get_origin(hint) is None else "two numbers"
    raise SettingsError(f"{where} = {value!r} should be {expected}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
