"""What the writers share: pictures, networks that look trained, and how truth is stored beside a file.

It runs in the environments of all tools, and imports only numpy, torch and Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

SIZES = ((320, 256), (250, 341), (300, 300), (131, 97))  # width and height of the pictures
CASE, TRUTH = "case.json", "truth.npz"
PIECES = 24  # of a side of a picture, each of a colour

Write = Callable[[Path], "Written"]
Cases = dict[tuple[str, str], Write]  # (what writes, with which option or architecture): what does it


@dataclass
class Written:
    """What a case wrote, with the tool's own numbers. `{folder}` in a text stands for the folder of the case.

    Attributes:
        spec: what `load_encoder` reads. options: its further arguments.
        then: (spec, options) that read the file where the first is refused: the way out.
        pixels: (n, 3, H, W) what the tool makes of `pictures()`, which both networks read.
        states_pixels: the file says how pixels are made, so ours are compared with the tool's.
        logits: (n, C). features: (n, r). Either may be left out.
        names: what the outputs are called, in their order. stated: whether mean and std come with the file.
        refused: the file must be refused. excused: kinds of notes, one of which excuses other numbers, since
            the file does not hold what they depend on.
        dictionary: what `read_dictionary` reads. dictionary_options: its further arguments.
        vectors: (n, r) and codes: (n, M), dense, of a dictionary.
        classes: the folders that the outputs stand for, in their order. answers: (n,) the largest output
            for each of `many_pictures(n)`, which are laid into these folders and studied.
        clip: what `load_clip` reads. texts: what is embedded. text_features: (n_texts, d). image_features:
            (n, d) of `pictures()`.
    """

    spec: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, dict[str, Any]] | None = None
    pixels: Any = None
    states_pixels: bool = False
    logits: Any = None
    features: Any = None
    names: list[str] | None = None
    stated: bool | None = None
    refused: bool = False
    excused: tuple[str, ...] = ()
    dictionary: str = ""
    dictionary_options: dict[str, Any] = field(default_factory=dict)
    vectors: Any = None
    codes: Any = None
    classes: list[str] | None = None
    answers: Any = None
    clip: str = ""
    texts: list[str] | None = None
    text_features: Any = None
    image_features: Any = None

    def store(self, folder: Path) -> None:
        """Write `case.json` and the arrays of `truth.npz` into the folder."""
        about = dict(vars(self))
        arrays = {name: about.pop(name) for name in ARRAYS}
        held = {name: _array(one) for name, one in arrays.items() if one is not None}
        np.savez(folder / TRUTH, **held)  # pyright: ignore[reportArgumentType]
        (folder / CASE).write_text(json.dumps(about, indent=1), encoding="utf-8")


ARRAYS = (
    *("pixels", "logits", "features", "answers", "vectors", "codes", "text_features", "image_features"),
)


def _array(values: Any) -> np.ndarray:
    plain = values.detach().float().cpu().numpy() if isinstance(values, Tensor) else values
    return np.asarray(plain, np.float32)


def stored(folder: Path) -> Written:
    """Read what `Written.store` wrote, arrays as float32."""
    about = json.loads((folder / CASE).read_text(encoding="utf-8"))
    with np.load(folder / TRUTH) as arrays:
        return Written(**about, **{name: arrays[name] for name in arrays.files})


def pictures() -> list[Image.Image]:
    """RGB pictures of several sizes and proportions, with edges and grain, the same everywhere."""
    rng = np.random.default_rng(67)
    made = []
    for width, height in SIZES:
        colours = rng.integers(20, 236, (PIECES, PIECES, 3), dtype=np.uint8)
        whole = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 12, (height, width, 3))
        noisy = np.asarray(whole, np.float64) + grain
        made.append(Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)))
    return made


def many_pictures(n: int = 160, size: int = 48) -> list[Image.Image]:
    """n small RGB pictures, no two alike, for answers that labels are compared with."""
    rng = np.random.default_rng(68)
    colours = rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC) for one in colours]


@torch.no_grad()
def balance(linear: nn.Linear, inputs: Tensor) -> None:
    """Change a classifier so that each class is about as often the answer. inputs: (n, r) what it reads."""
    spread = (inputs @ linear.weight.T).std(0, keepdim=True).T
    linear.weight.div_(spread)
    linear.bias.copy_(-linear.weight @ inputs.mean(0))


def plain_pixels(size: int = 64, n: int = 4) -> Tensor:
    """(n, 3, size, size) normalised pixels, for networks whose file says nothing of them."""
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(3))


def vectors(width: int, n: int = 64, seed: int = 5) -> Tensor:
    """(n, width) representations: a few directions, not negative for the most part, away from 0."""
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(max(2, width // 2), width, generator=generator)
    weights = torch.rand(n, len(parts), generator=generator)
    return weights @ parts * 0.5 + 0.3


@torch.no_grad()
def trained(model: nn.Module, seed: int = 1) -> nn.Module:
    """The network with weights that are not as they were drawn, and statistics that matter, in eval mode."""
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.dtype)

    for name, one in model.named_parameters():
        if not one.is_floating_point():
            continue
        if one.ndim > 1:
            spread = float(one.float().std()) if one.numel() > 1 else 0.0
            spread = spread if spread > 1e-4 else 0.05
            one.mul_(1.1).add_(0.3 * spread * noise(one))
        elif name.endswith("bias"):
            one.add_(0.1 * noise(one))
        elif one.ndim == 1:
            one.copy_(1 + 0.2 * noise(one).clamp(-2, 2))
    for name, one in model.named_buffers():
        if name.endswith("running_mean"):
            one.add_(0.2 * noise(one))
        elif name.endswith("running_var"):
            one.mul_(1 + 0.3 * noise(one).abs())
    return model.eval()


@torch.no_grad()
def outputs(model: Callable[[Tensor], Any], pixels: Tensor) -> Tensor:
    """What a network returns of pixels, in eval mode."""
    if isinstance(model, nn.Module):
        model.eval()
    return model(pixels)


def through(preprocess: Callable[[Image.Image], Any]) -> Tensor:
    """(n, 3, H, W) what a tool's own function makes of each of `pictures()`."""
    return torch.stack([torch.as_tensor(np.asarray(preprocess(one))) for one in pictures()])


def class_names(n: int, prefix: str = "kind") -> list[str]:
    """Names of classes whose order is not that of their text."""
    return [f"{prefix} {chr(97 + (7 * number) % 26)}{number}" for number in range(n)]
