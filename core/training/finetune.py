"""Fine-tune a study's encoder with the Q-Score regulariser, the Lasso or neither (Kalibhat 2024, section 4).

The baseline is the same fine-tuning with kind "none". Encoder, images, transform and D come from the study.
"""

from pathlib import Path
from typing import Any

from core.analysis.heatmaps_on_demand import check_probed, encoder_of
from core.common.assets import asset
from core.common.inside import read_json_file
from core.config import READOUT
from core.config.settings import flag
from core.encoders.readout import POOLED
from core.encoders.registry import Encoder
from core.encoders.spec import parse_spec
from core.encoders.tokens import TokenPool
from core.errors import EncoderError, ImageSourceError, PeregrineError, SettingsError
from core.store import Study
from core.study.progress import Progress
from core.training import files
from core.training.backbones import square_side, stem_of
from core.training.config import OF_READING, PAPER, PRACTICAL, WARMUP, TrainConfig, from_dict
from core.training.objective import method_name, under_optimizer, with_defaults
from core.training.setup import open_training_images

LARGEST = 1 << 20  # bytes of a sidecar; ours have 4 kB
OF_IMAGES = ("augment", "batch_size", "crop_size", "precision")  # whichever the method
# Of the start's own training, and without meaning for another.
OF_THAT_RUN = (
    *("images", "val", "split_seed", *OF_READING, "seed", "epochs", "warmup_epochs", "image_size"),
    *("start", "frozen", "regularizer", "domains", "arch", "export_arch", "stem", "half"),
)


def finetune_config(
    study: Study,
    output: str | Path,
    *,
    method: str | None = None,
    practical: bool = False,
    frozen: bool = False,
    regularizer: dict[str, Any] | None = None,
    **changes: Any,
) -> TrainConfig:
    """Build the settings for fine-tuning a study's encoder.

    The settings of the encoder's training are kept if its sidecar has them (views, batch and crop size; head
    and temperature if the method is the same); heads start from scratch, since no checkpoint holds them.

    Args:
        method: None for the encoder's own training method, else simclr.
        practical: a tenth of the rate of the method's own optimiser, or of `optimizer`, instead of the
            paper's LARS, 1e-5.
        regularizer: fields of RegularizerConfig except `study`.
        changes: other fields of TrainConfig; None leaves a field unchanged.
    Raises:
        StudyError: the study has no encoder, no discriminative features, or its encoder has changed.
        SettingsError, EncoderError: the encoder cannot be fine-tuned with these settings.
    """
    if not practical:
        _check_paper_rate(changes)
    encoder = _check_study(study)
    embed, given = study.settings("embed"), {k: v for k, v in changes.items() if v is not None}
    recorded = recorded_settings(encoder.spec)
    name = method_name(method or recorded.get("method", "simclr"))
    inherited = {key: recorded[key] for key in OF_IMAGES if key in recorded}
    if recorded.get("method") == name:
        inherited |= {key: value for key, value in recorded.items() if key not in OF_THAT_RUN}
    values = {"crop_size": encoder.transform.input_size, **architecture(encoder, recorded), **inherited}
    optimizer = given.get("optimizer", None if practical else PAPER["optimizer"])
    values = with_defaults(under_optimizer({**values, "method": name}, optimizer))
    if practical:
        rate, optimizer = values.get("lr", TrainConfig.lr), values.get("optimizer", TrainConfig.optimizer)
        values |= {"lr": PRACTICAL * rate, "optimizer": optimizer, "epochs": 50}
    else:
        values |= PAPER
    values |= {"images": embed["images"], "val": embed.get("val"), "split_seed": embed.get("seed", 0)}
    values |= {name: embed.get(name) for name in OF_READING}
    values["image_size"] = encoder.transform.resize or encoder.transform.input_size
    values |= {
        "start": encoder.spec,
        "frozen": frozen,
        "regularizer": {"study": str(study.path), **(regularizer or {})},
        "output": str(output),
        "half": False,  # half precision rounds away changes below 5e-4, typical of the paper's rate
    }
    if "images" in given:
        values |= {"val": None, **dict.fromkeys(OF_READING)}
    values |= given
    values.setdefault("warmup_epochs", WARMUP * values["epochs"])
    checkpoint = parse_spec(encoder.spec).checkpoint
    if checkpoint is not None and Path(output).exists() and Path(output).resolve() == checkpoint.resolve():
        raise SettingsError(f"'{output}' is the start encoder itself. Choose another -o.")
    return from_dict(values, where="finetune")


def finetune(config: TrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> dict[str, Any]:
    """Fine-tune a study's encoder by its training settings, and return the sidecar.

    Raises:
        ImageSourceError: the images no longer exist. Other errors as in `train`.
    """
    from core.training.trainer import train

    try:
        open_training_images(config)
    except ImageSourceError as error:
        raise ImageSourceError(
            f"the images of '{config.regularizer.study}' cannot be opened: {error}. Give them: --images DIR"
        ) from None
    return read_json_file(files.sidecar_path(train(config, progress=progress, fresh=fresh)))


def _check_study(study: Study) -> Encoder:
    """Load a study's encoder for fine-tuning; raise a one-line error if that is impossible."""
    check_probed(study)
    encoder = encoder_of(study)
    if encoder.early:
        raise EncoderError(
            f"'{study.path}' uses the inner layer {encoder.target_layer}, but training needs the whole "
            "encoder's representation: make a study without --layer"
        )
    square_side(encoder.transform, f"the encoder of '{study.path}'")
    if encoder.pool not in (None, "gap"):
        raise EncoderError(
            f"'{study.path}' uses another pooling ({POOLED[str(encoder.pool)]}), but training uses the "
            "network's own average: make a study without --pool"
        )
    if isinstance(encoder.model, TokenPool):
        raise EncoderError(
            f"'{study.path}' reads other tokens than the network itself does, but training uses what the "
            f"network gives: make a study without {' and '.join(map(flag, READOUT[2:]))}"
        )
    return encoder


def recorded_settings(spec: str) -> dict[str, Any]:
    """Return for fine-tuning how a SPEC's checkpoint was trained: its sidecar's settings; empty without.

    The SPEC may come from a foreign study: only a small regular JSON file is read.
    """
    try:
        parsed = parse_spec(spec)
        if parsed.family not in ("", "asset"):
            return {}
        shipped = asset(f"encoders/{Path(parsed.name).name}.safetensors")
        path = shipped if parsed.family == "asset" else parsed.checkpoint
        sidecar = None if path is None else path.with_name(path.name + ".json")
        settings = read_json_file(sidecar, LARGEST)["settings"] if sidecar and sidecar.is_file() else {}
        return {key: settings[key] for key in TrainConfig.__dataclass_fields__ if key in settings}
    except (PeregrineError, OSError, ValueError, KeyError, TypeError):
        return {}


def architecture(encoder: Encoder, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return `arch`, `export_arch` and `stem` from which the encoder to fine-tune can be rebuilt."""
    if "arch" in recorded:
        return {key: recorded[key] for key in ("arch", "export_arch", "stem") if key in recorded}
    family, colon, rest = encoder.arch.partition(":")
    name, _, query = rest.partition("?")
    arguments = [
        pair for pair in query.split("&") if pair and pair.split("=")[0] not in ("pretrained", "weights")
    ]
    if family == "python":
        raise EncoderError(
            f"'{encoder.spec}' comes from your own module; only networks of timm and torchvision and "
            "ResNet checkpoints can be fine-tuned"
        )
    text = f"{family}:{name}" + (f"?{'&'.join(arguments)}" if arguments else "")
    return {"arch": text if colon else f"torchvision:{encoder.arch}", "stem": stem_of(encoder)}


def _check_paper_rate(changes: dict[str, Any]) -> None:
    """Raise SettingsError for fine-tuning by another optimiser than the paper's without its own rate."""
    optimizer = changes.get("optimizer")
    if optimizer not in (None, PAPER["optimizer"]) and changes.get("lr") is None:
        raise SettingsError(
            f"{PAPER['lr']:g} is the paper's rate for {PAPER['optimizer'].upper()}: give --lr with "
            f"--optimizer {optimizer}, or --practical"
        )
