"""The settings of a training on visual tokens, read from TOML. No torch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.config import option
from core.errors import SettingsError
from core.training.checks import check_settings
from core.training.config import build_settings, read_values

VISIONS = ("tokens", "vit", "clip")
POOLS = ("image", "mean")
FREE_ON_RESUME = ("output", "device", "cache", "checkpoint_minutes")


@dataclass(frozen=True)
class TokenTrainConfig:
    """All settings that determine the weights; those of FREE_ON_RESUME may change on resuming."""

    output: str = option(
        "file to write: FILE.safetensors", metavar="FILE", flags=("-o", "--output"), names="file"
    )
    tokens: str = option("TOKENS folder to train on", metavar="TOKENS", names="file")
    vision: str = option(
        "what reads the image: visual tokens, a patch ViT from pixels, or CLIP's own image tower",
        "tokens",
        choices=VISIONS,
    )
    # Where captions come from: "" the graphs of `tokens`, another TOKENS folder of the same images with
    # planted objects, or a .csv file with image_id and caption.
    captions: str = ""
    text: str = (
        "asset:glyphworld"  # CLIP whose text tower (for vision = "clip": both) the training begins from
    )
    additive: bool = True  # add the learned rank weights to the attention
    image_token: bool = True  # the image's token reads the global features
    boxes: bool = False  # add a linear map of the objects' boxes
    pool: str = option("what becomes the image's vector", "image", choices=POOLS)
    attention: bool = True  # False: the mean of the tokens, without a transformer
    shuffle_graph: bool = False  # control: relations and places of other nodes of the image
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 24
    image_size: int = 96  # of a ViT
    patch: int = 16
    epochs: int = option("passes over the train images", 30, metavar="N", minimum=1)
    batch_size: int = option("images in a batch", 256, metavar="N", minimum=2)
    lr: float = option("largest learning rate", 5e-4, metavar="X")
    weight_decay: float = 0.1
    warmup: float = 0.1  # share of the training
    monitor_every: int = 3  # epochs
    monitor_images: int = 1000  # val images among which captions are searched
    seed: int = option("random seed of weights, order and captions", 0, metavar="N", minimum=0)
    device: str = option("auto, cpu, cuda or cuda:N", "cpu", metavar="NAME")
    cache: str | None = None  # folder for decoded images; None: the user's
    checkpoint_minutes: float = 3.0

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("width", "layers", "heads", "context", "image_size", "patch", "monitor_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)} must be at least 1.")
        if not 0 <= self.warmup < 1:
            raise SettingsError(f"warmup = {self.warmup} must be a share of the training, from 0 to below 1.")
        if not 0 < self.lr < float("inf"):
            raise SettingsError(f"lr = {self.lr} must be above 0.")
        if self.image_size % self.patch:
            raise SettingsError(f"image_size = {self.image_size} must be a multiple of patch = {self.patch}.")
        if self.shuffle_graph and self.vision != "tokens":
            raise SettingsError(f"shuffle_graph needs vision = 'tokens', not '{self.vision}'.")


def read_token_config(path: str | Path, **changes: Any) -> TokenTrainConfig:
    """Read the settings of visual tokens (research) of a .toml or .json file; `changes` override them."""
    values = read_values(Path(path))
    values.update({name: value for name, value in changes.items() if value is not None})
    return build_settings(TokenTrainConfig, values, str(path))


def lasting_settings(config: TokenTrainConfig) -> dict[str, Any]:
    """Return the settings that determine the weights, without paths of the machine (research)."""
    return {name: value for name, value in asdict(config).items() if name not in FREE_ON_RESUME}
