"""The settings of a CLIP training on Glyphworld, read from TOML. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import option
from core.errors import SettingsError
from core.training.checks import check_settings
from core.training.config import build_settings, read_values

FREE_ON_RESUME = ("steps", "output", "device", "cache", "checkpoint_minutes", "monitor_every")


@dataclass(frozen=True)
class ClipTrainConfig:
    """All settings that determine the weights; FREE_ON_RESUME may change when a training is resumed."""

    # PATH.json, PATH.safetensors and PATH.metrics.json are written.
    output: str = option("path of the asset, without an extension", metavar="PATH")
    images: str = "glyphworld?train=12000&val=2000&seed=0"
    steps: int = option(
        "training steps; may change when an interrupted training continues", 1500, metavar="N", minimum=1
    )
    batch_size: int = 256
    absent: int = 32  # captions per batch that are true of no image
    lr: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 60  # steps
    image_tower: str = "1,2,2,1"  # blocks of CLIP's own ResNet; or a timm name
    image_width: int = 16  # channels of its first stage; a timm name has its own
    image_size: int = 64
    cache_size: int = 96  # size of stored scenes, from which windows are cut
    width: int = 128  # width of the shared space and of the text tower
    text_layers: int = 2
    text_heads: int = 4
    context_length: int = 24
    whole_share: float = 0.45  # share of images that are whole scenes; the others are windows
    object_share: float = 0.65  # share of windows that are cut around an object
    unknown_share: float = 0.03  # share of words replaced by the token for unknown words
    precision: str = "bf16"
    seed: int = option("random seed of weights, images and captions", 0, metavar="N", minimum=0)
    device: str = option("auto, cpu, cuda or cuda:N", "cpu", metavar="NAME")
    cache: str | None = option(
        "folder for rendered scenes", None, metavar="DIR", left_out="the user's cache folder"
    )
    checkpoint_minutes: float = 3.0
    monitor_every: int = 250  # steps
    monitor_images: int = 1000  # held-out scenes

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("batch_size", "image_size", "width", "text_layers", "monitor_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)} must be at least 1.")
        if self.precision not in ("fp32", "bf16"):
            raise SettingsError(f"precision = '{self.precision}' must be fp32 or bf16.")
        if not self.images.startswith("glyphworld"):
            raise SettingsError(
                f"images = '{self.images}': captions exist only for Glyphworld (glyphworld?train=12000)"
            )


def read_clip_config(path: str | Path, **changes: Any) -> ClipTrainConfig:
    """Read the settings of a .toml or .json file; `changes` (None: as in the file) override them."""
    values = read_values(Path(path))
    values.update({name: value for name, value in changes.items() if value is not None})
    return build_settings(ClipTrainConfig, values, str(path))
