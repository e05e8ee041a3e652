"""A trained pair of an image tower and a text tower, and what reads an image in it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.common.inside import read_json_file, replacing
from core.concepts.clip import Clip, load_clip
from core.errors import TokenError
from core.research.visual_tokens_config import TokenTrainConfig, lasting_settings
from core.research.visual_tokens_encoder import Block, EncoderShape, VisualTokenEncoder
from core.research.visual_tokens_extract import BLOCK, Extractor
from core.research.visual_tokens_segmenters import KeyedPicture
from core.research.visual_tokens_tokens import PackedTokens, pack_tokens
from core.research.visual_tokens_topic import ExtractConfig
from core.training.config import build_settings
from core.training.files import save_weights
from core.training.optimise import pick_device

# What reads an image in a training on tokens: the token encoder, a patch ViT, or CLIP's own tower.


MEAN, STD = 0.5, 0.25  # of a ViT's pixels


class VisionData(Protocol):
    """Images of which a tower reads some at a time."""

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> Any: ...


@dataclass(frozen=True)
class PixelData:
    """Pictures (N, S, S, 3) uint8, normalised when they are read."""

    pictures: np.ndarray
    mean: tuple[float, float, float] = (MEAN, MEAN, MEAN)
    std: tuple[float, float, float] = (STD, STD, STD)

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rows: np.ndarray) -> Tensor:
        """(B, 3, S, S) float32."""
        pixels = torch.from_numpy(self.pictures[rows].astype(np.float32) / 255)
        pixels = (pixels - torch.tensor(self.mean)) / torch.tensor(self.std)
        return pixels.permute(0, 3, 1, 2)


def _pixels_of(images: Sequence[Image.Image], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: shorter side resized to `size`, centre crop, as trainings read images."""
    return np.stack([_square(image.convert("RGB"), size) for image in images])


def _square(image: Image.Image, size: int) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


class PatchViT(nn.Module):
    """A vision transformer with the blocks of the token encoder: equal patches, learned positions."""

    def __init__(self, *, size: int, patch: int, width: int, layers: int, heads: int, out: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + (size // patch) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, out)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, out), read at the class token."""
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.start.expand(len(x), -1, -1), x], dim=1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


# A trained pair of an image tower and a text tower: built, stored, loaded, and asked for embeddings.


EVALUATED_AT_ONCE = 512


@dataclass(frozen=True)
class Origin:
    """What the tokens were made with: the extraction's settings, its checksum, and the widths of tokens."""

    extraction: ExtractConfig
    fingerprint: str
    widths: dict[str, int]


class TokenModel(nn.Module):
    """An image tower beside a CLIP whose text tower is trained along; `vision` None is CLIP's own tower."""

    def __init__(self, config: TokenTrainConfig, origin: Origin) -> None:
        super().__init__()
        self.config, self.origin = config, origin
        device = pick_device(config.device)
        self.clip: Clip = load_clip(config.text, device=device)
        self.text = self.clip.model
        self.vision = _build_vision(config, origin.widths, self.clip.width)
        self._extractor: Extractor | None = None
        self.to(device)

    @property
    def scale(self) -> nn.Parameter:
        """Return the logarithm of the factor of cosines."""
        return self.text.logit_scale

    def trained(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what a training changes: all but the image tower of CLIP where another one replaces it."""
        for name, tensor in self.state_dict().items():
            if self.vision is None or not name.startswith("text.visual."):
                yield name, tensor

    def images_of(self, given: Any) -> Tensor:
        """(B, d) of a batch of a VisionData, not normalised."""
        return self.text.encode_image(given) if self.vision is None else self.vision(given)

    def texts_of(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, d) not normalised, and the words (B, context)."""
        words = torch.as_tensor(self.clip.tokenizer(list(captions)))
        words = words.to(self.scale.device)
        return self.text.encode_text(words), words

    @torch.no_grad()
    def embed_data(self, data: VisionData) -> np.ndarray:
        """(N, d) float32 unit rows."""
        self.eval()
        rows = [np.zeros((0, self.clip.width), np.float32)]
        for start in range(0, len(data), EVALUATED_AT_ONCE):
            part = np.arange(start, min(start + EVALUATED_AT_ONCE, len(data)))
            rows.append(
                F.normalize(self.images_of(data.batch(part).to(self.scale.device)), dim=1).cpu().numpy()
            )
        return np.concatenate(rows)

    def embed_texts(self, captions: Sequence[str]) -> np.ndarray:
        """(n, d) float32 unit rows."""
        self.eval()
        return self.clip.embed_texts(captions)

    @property
    def extractor(self) -> Extractor:
        """Return what makes the tokens of new pictures, as those of the training were made.

        Raises:
            TokenError: the CLIP or the plug of then is another one today.
        """
        if self._extractor is None:
            extractor = Extractor(self.origin.extraction)
            if extractor.fingerprint != self.origin.fingerprint:
                raise TokenError(
                    "the tokens of this model were made with another CLIP than "
                    f"'{self.origin.extraction.clip}' is now: new pictures cannot have such tokens"
                )
            self._extractor = extractor
        return self._extractor

    def embed_pictures(self, pictures: Sequence[KeyedPicture]) -> np.ndarray:
        """(n, d) float32 unit rows of pictures, with tokens extracted as for the training."""
        if self.config.vision == "tokens":
            return (
                self.embed_data(self.pack_pictures(pictures))
                if len(pictures)
                else np.zeros((0, self.clip.width))
            )
        if self.vision is None:
            return self.clip.embed_images([picture.image for picture in pictures], pad=True)
        size = self.config.image_size
        return self.embed_data(PixelData(_pixels_of([picture.image for picture in pictures], size)))

    def pack_pictures(self, pictures: Sequence[KeyedPicture]) -> PackedTokens:
        """Extract and pack the tokens of pictures."""
        source, images = self.extractor.source, []
        for start in range(0, len(pictures), BLOCK):
            images += source.tokens(pictures[start : start + BLOCK])
        predicates = sorted({t.predicate for tokens in images for t in tokens.graph.triples})
        return pack_tokens(images, self.extractor.words(predicates), **self.packing)

    @property
    def packing(self) -> dict[str, Any]:
        """Return the options with which this model's tokens are packed."""
        config = self.config
        return {"context": config.context, "shuffle": config.seed if config.shuffle_graph else None}

    def save(self, path: Path, notes: dict[str, Any]) -> None:
        """Write FILE.safetensors and FILE.safetensors.json with settings, origin and `notes`."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.trained()}
        with replacing(path, parents=True) as temporary:
            save_weights(tensors, temporary)
        about = {
            "kind": "visual token model",
            "settings": lasting_settings(self.config),
            "extraction": asdict(self.origin.extraction),
            "extractor_fingerprint": self.origin.fingerprint,
            "widths": self.origin.widths,
            **notes,
        }
        with replacing(about_path(path), parents=True) as temporary:
            temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _build_vision(config: TokenTrainConfig, widths: dict[str, int], out: int) -> nn.Module | None:
    """Build the image tower of a configuration; None for CLIP's own."""
    if config.vision == "clip":
        return None
    sizes = {"width": config.width, "layers": config.layers, "heads": config.heads, "out": out}
    if config.vision == "vit":
        return PatchViT(size=config.image_size, patch=config.patch, **sizes)
    switches = ("additive", "image_token", "boxes", "pool", "attention", "context")
    switch_values = {name: getattr(config, name) for name in switches}
    shape = EncoderShape(
        global_width=widths["global"],
        tangible_width=widths["tangible"],
        predicate_width=widths["predicates"],
        **sizes,
        **switch_values,
    )
    return VisualTokenEncoder(shape)


def about_path(path: Path) -> Path:
    """Return the path of the settings beside the weights of a model of visual tokens (research)."""
    return path.with_name(path.name + ".json")


def load_token_model(path: str | Path, *, device: str = "cpu") -> TokenModel:
    """Load a model of visual tokens (research) that `train-tokens` wrote.

    Raises:
        TokenError: there is no such model, or its file does not fit its settings. ClipError: its CLIP is
            not here.
    """
    path = Path(path)
    try:
        about = read_json_file(about_path(path))
        if about.get("kind") != "visual token model":
            raise ValueError("another kind of model")
        settings = {**about["settings"], "output": str(path), "device": device}
        config = build_settings(TokenTrainConfig, settings, str(about_path(path)))
        extraction = build_settings(ExtractConfig, about["extraction"], str(about_path(path)))
        origin = Origin(extraction, about["extractor_fingerprint"], about["widths"])
        model = TokenModel(config, origin)
        missing, unexpected = model.load_state_dict(load_file(path), strict=False)
        left = [name for name in missing if not name.startswith("text.visual.")]
        if left or unexpected:
            raise ValueError(f"its weights are those of other settings ({(left or unexpected)[0]})")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TokenError(f"cannot load '{path}' ({reason}). train-tokens writes such files") from None
    return model.eval()
