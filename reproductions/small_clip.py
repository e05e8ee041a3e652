"""Train the CLIP of the embedded world, as the shipped `asset:glyphworld` was (assets/clip/README.md).

    python -m reproductions.small_clip -o build/clip
    python -m reproductions.small_clip --evaluate asset:glyphworld

Symmetric InfoNCE over scenes and windows of them, each with a caption of what it shows; captions that are
true of no image are negatives. The images and captions of a step depend on (seed, step) alone. Writes
glyphworld.json and glyphworld.safetensors, which `concepts --clip FOLDER/glyphworld.json` takes, and a row of
held-out numbers every 250 steps. The stored table is that of the shipped asset: 1,500 steps in 68 minutes of
one processor core, bfloat16.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from core.concepts.clip import FORMAT, Clip, build_model, build_preprocess, load_clip
from core.data.glyphworld import GlyphworldSource
from core.research.visual_tokens_train import (
    LARGEST_SCALE,
    STARTING_SCALE,
    contrastive_loss,
    recall_at,
    same_rows,
)
from core.training.optimise import autocast
from core.training.pixels import load_pixels
from core.worlds.captions import (
    START,
    UNKNOWN,
    SceneFacts,
    Window,
    WordTokenizer,
    absent_caption,
    absent_words,
    caption_facts,
    scene_caption,
    vocabulary,
    window_caption,
)
from core.worlds.scenes import FAULTS, Draws
from reproductions.common import options, output_folder, run_script

NAME = "glyphworld"  # of the asset
FILL = 128  # grey level around images that are not square, in training and in use
SMALLEST = 0.16  # side of a window, in image sides
MEAN, STD = 0.5, 0.25  # of the pixels: (128 + 0.5) / 255 becomes about 0
TEMPLATES = ("a photo of a {}", "a {}", "a picture of a {}", "a large {}", "a small {}", "a huge {}")


@dataclass(frozen=True)
class Settings:
    """The settings of the shipped asset."""

    images: str = "glyphworld?train=12000&val=2000&seed=0"
    steps: int = 1500
    batch_size: int = 256
    absent: int = 32  # captions a batch that are true of no image
    lr: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 60  # steps
    blocks: tuple[int, ...] = (1, 2, 2, 1)  # of CLIP's own ResNet
    image_width: int = 16  # channels of its first stage
    image_size: int = 64
    cache_size: int = 96  # of stored scenes, from which windows are cut
    width: int = 128  # of the shared space and of the text tower
    text_layers: int = 2
    text_heads: int = 4
    context_length: int = 24
    whole_share: float = 0.45  # share of images that are whole scenes; the others are windows
    object_share: float = 0.65  # share of windows that are cut around an object
    unknown_share: float = 0.03  # share of words replaced by the token for unknown words
    precision: str = "bf16"
    seed: int = 0
    monitor_every: int = 250  # steps
    monitor_images: int = 1000  # held-out scenes


SMOKE = Settings(
    images="glyphworld?train=24&val=8&seed=0",
    steps=2,
    batch_size=8,
    absent=2,
    warmup=1,
    blocks=(1, 1, 1, 1),
    image_width=8,
    image_size=32,
    cache_size=32,
    width=32,
    text_layers=1,
    text_heads=2,
    precision="fp32",
    monitor_every=1,
    monitor_images=8,
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--evaluate", metavar="CLIP", help="only evaluate a CLIP on held-out scenes")
    args = parser.parse_args(argv)
    if args.evaluate:
        source = GlyphworldSource.from_spec(Settings.images)
        print(
            json.dumps(
                evaluate_on_scenes(load_clip(args.evaluate), source, Settings.monitor_images), indent=1
            )
        )
        return
    run_script("small_clip", args, lambda smoke: train(SMOKE if smoke else Settings(), args), draw)


def train(settings: Settings, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train, yield the held-out numbers of each evaluation, and write the asset after it."""
    source = GlyphworldSource.from_spec(settings.images)
    pixels = load_pixels(source, settings.cache_size, workers=1)["train"].images
    views = SceneViews(settings, source, pixels)
    tokenizer = WordTokenizer(vocabulary(), settings.context_length)
    torch.manual_seed(settings.seed)
    described = describe(settings, tokenizer)
    model: Any = build_model(described["model_cfg"]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(STARTING_SCALE))
    optimiser = build_optimiser(model, settings)
    losses: list[float] = []
    start = time.monotonic()
    for step in range(settings.steps):
        losses.append(train_step(model, optimiser, tokenizer, views, step))
        done = step + 1
        if done % settings.monitor_every and done != settings.steps:
            continue
        preprocess = build_preprocess(described["preprocess_cfg"])
        clip = Clip(model, tokenizer, preprocess, name=NAME, configuration=described)  # type: ignore[arg-type]
        seconds = round(time.monotonic() - start)
        row = {"step": done, "loss": round(float(np.mean(losses)), 4)}
        row |= {"scale": round(model.logit_scale.exp().item(), 2), "seconds": seconds}
        yield row | evaluate_on_scenes(clip, source, settings.monitor_images)
        write_asset(model, described, output_folder(args))
        losses = []


def train_step(
    model: Any, optimiser: torch.optim.Optimizer, tokenizer: WordTokenizer, views: SceneViews, step: int
) -> float:
    """Do one step, and return its loss."""
    settings = views.settings
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, settings)
    model.train()
    batch = views.batch(step)
    pixels = (torch.from_numpy(batch.pictures).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD
    words = torch.from_numpy(tokenizer(batch.captions + batch.absent))
    tokens = forget_words(words, settings.unknown_share, step, tokenizer.end)
    with autocast(settings.precision, torch.device("cpu")):
        images = model.encode_image(pixels.contiguous(memory_format=torch.channels_last))
        texts = model.encode_text(tokens)
    loss = contrastive_loss(images, texts, model.logit_scale.exp(), same_rows(tokens))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
    return loss.item()


def describe(settings: Settings, tokenizer: WordTokenizer) -> dict[str, Any]:
    """Return what `load_clip` needs beside the weights."""
    vision = {
        "layers": list(settings.blocks),
        "width": settings.image_width,
        "image_size": settings.image_size,
    }
    text = {"width": settings.width, "layers": settings.text_layers, "heads": settings.text_heads}
    text |= {"context_length": settings.context_length, "vocab_size": tokenizer.vocab_size}
    model = {"embed_dim": settings.width, "vision_cfg": vision, "text_cfg": text, "custom_text": True}
    preprocess = {"size": settings.image_size, "mean": (MEAN,) * 3, "std": (STD,) * 3}
    preprocess |= {"interpolation": "bilinear", "resize_mode": "longest", "fill_color": FILL}
    return {
        "format": FORMAT,
        "model_cfg": model,
        "preprocess_cfg": preprocess,
        "tokenizer": {"kind": "words", "words": list(tokenizer.words)},
    }


def write_asset(model: nn.Module, described: dict[str, Any], folder: Path) -> None:
    """Write the weights in half precision, and the configuration."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    halved = {name: one.half() if one.is_floating_point() else one for name, one in tensors.items()}
    save_file(halved, folder / f"{NAME}.safetensors", metadata={"format": "pt"})
    text = json.dumps(described, indent=1)
    (folder / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")


def forget_words(tokens: Tensor, share: float, step: int, end: int) -> Tensor:
    """Replace random words by the unknown word, so that it comes to mean "something"."""
    drawn = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(step)) < share
    words = (tokens > UNKNOWN) & (tokens != end) & (tokens != START)
    return tokens.masked_fill(drawn & words, UNKNOWN)


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then half a cosine to 0 at the last step."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def build_optimiser(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW; biases, norms and the scale are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others}]
    return torch.optim.AdamW(groups, weight_decay=0.0, lr=settings.lr, betas=(0.9, 0.98), eps=1e-6)


@dataclass(frozen=True)
class Batch:
    """Images (B, S, S, 3) uint8, their captions (B), and captions that are true of no image."""

    pictures: np.ndarray
    captions: list[str]
    absent: list[str]


class SceneViews:
    """Draw batches; batch `step` depends only on the settings, the scenes and `step`."""

    def __init__(self, settings: Settings, source: GlyphworldSource, images: np.ndarray) -> None:
        self.settings = settings
        self.images = images
        self.facts = cache(lambda row: caption_facts(source.plan(row)))

    def batch(self, step: int) -> Batch:
        seed, size = self.settings.seed, self.settings.batch_size
        rows = self.rows_of(step).tolist()
        words = absent_words("read")
        views = [self.view(row, Draws(seed, step, position)) for position, row in enumerate(rows)]
        absent = [
            absent_caption(self.facts(row), Draws(seed, step, size + position), words)
            for position, row in enumerate(rows[: self.settings.absent])
        ]
        return Batch(np.stack([picture for picture, _ in views]), [text for _, text in views], absent)

    def rows_of(self, step: int) -> np.ndarray:
        """Return the scenes of a step: every epoch is a permutation drawn from (seed, epoch)."""
        n_images = len(self.images)
        size = min(self.settings.batch_size, n_images)
        epoch, batch = divmod(step, n_images // size)
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(n_images)
        return order[batch * size : (batch + 1) * size]

    def view(self, row: int, dice: Draws) -> tuple[np.ndarray, str]:
        """Return one image (S, S, 3) uint8 and a caption of it."""
        facts = self.facts(row)
        flipped = dice.chance(0.5)
        if dice.chance(self.settings.whole_share):
            window = placed_window(0.5, 0.5, dice.between(0.86, 1.0), 1.0)
            caption = scene_caption(facts, dice, flipped=flipped)
        else:
            window = drawn_window(facts, self.settings.object_share, dice)
            caption = window_caption(facts, window, dice)
        picture = cut(Image.fromarray(self.images[row]), window, self.settings.image_size)
        if flipped:
            picture = picture[:, ::-1]
        gain = np.float32(dice.between(0.8, 1.2))
        return np.clip(picture * gain, 0, 255).astype(np.uint8), caption


def drawn_window(facts: SceneFacts, object_share: float, dice: Draws) -> Window:
    """Draw a window around an object, or anywhere."""
    aspect = dice.between(0.6, 1.7) if dice.chance(0.4) else 1.0
    if not dice.chance(object_share):
        return placed_window(dice.draw(), dice.draw(), dice.between(0.3, 0.8), aspect)
    seen = facts.main if dice.chance(0.6) or not facts.others else dice.pick(facts.others)
    side = seen.item.size * dice.between(0.8, 1.7)
    shift = 0.15 * seen.item.size
    x = seen.item.x + dice.between(-shift, shift)
    y = seen.item.y + dice.between(-shift, shift)
    return placed_window(x, y, side, aspect)


def placed_window(x: float, y: float, side: float, aspect: float) -> Window:
    """Place a window at (x, y), shifted into the image; `aspect`: width / height; area: side squared."""
    width = min(max(side * aspect**0.5, SMALLEST), 1.0)
    height = min(max(side / aspect**0.5, SMALLEST), 1.0)
    left = min(max(x - width / 2, 0.0), 1 - width)
    top = min(max(y - height / 2, 0.0), 1 - height)
    return left, top, left + width, top + height


def cut(image: Image.Image, window: Window, size: int) -> np.ndarray:
    """Cut a window from an image, its longer side `size` pixels, centred on grey: (size, size, 3) uint8."""
    left, top, right, bottom = (edge * side for edge, side in zip(window, image.size * 2, strict=True))
    scale = size / max(right - left, bottom - top)
    width = max(1, round((right - left) * scale))
    height = max(1, round((bottom - top) * scale))
    part = image.resize((width, height), Image.Resampling.BILINEAR, (left, top, right, bottom))
    canvas = Image.new("RGB", (size, size), (FILL,) * 3)
    canvas.paste(part, ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas)


def zero_shot_accuracy(images: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose nearest class embedding is their own.

    Args:
        images: (n, d) unit rows. classes: (c, d) unit rows. labels: (n,) codes of classes.
    Returns:
        in [0, 1]; NaN without images.
    """
    if not len(images):
        return float("nan")
    return float(np.mean((images @ classes.T).argmax(1) == labels))


def class_embeddings(clip: Clip, names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> np.ndarray:
    """(c, d) unit rows: the mean over the templates of each class's embedding."""
    texts = [template.format(name) for name in names for template in templates]
    rows = clip.embed_texts(texts).reshape(len(names), len(templates), -1).mean(1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def evaluate_on_scenes(clip: Clip, source: GlyphworldSource, n: int) -> dict[str, Any]:
    """Zero-shot accuracy over the classes' names, also of easy and of hard scenes, and R@1 and R@5 in both
    directions among the captions, of the first n held-out scenes.
    """
    scenes = [source.scene(source.n_train + number) for number in range(min(n, source.n_val))]
    captions = [scene.caption for scene in scenes]
    names = sorted({scene.label for scene in scenes})
    codes = np.array([names.index(scene.label) for scene in scenes])
    hard = np.array([scene.cause in FAULTS for scene in scenes], bool)
    images = clip.embed_images([scene.image for scene in scenes], pad=True)
    texts = clip.embed_texts(captions)
    classes = class_embeddings(clip, names)
    shares = {"zero_shot": zero_shot_accuracy(images, classes, codes)}
    for name, rows in (("easy", ~hard), ("hard", hard)):
        shares[f"zero_shot_{name}"] = zero_shot_accuracy(images[rows], classes, codes[rows])
    for name, queries, targets in (("image_to_text", images, texts), ("text_to_image", texts, images)):
        for k in (1, 5):
            shares[f"{name}_r{k}"] = recall_at(queries, targets, k, captions)
    counts = {"n": len(scenes), "n_classes": len(names), "n_captions": len(set(captions))}
    return counts | {name: round(share, 4) for name, share in shares.items()}


def draw(table: pd.DataFrame) -> go.Figure:
    """Held-out accuracy and recall over the steps."""
    shares = ["zero_shot", "image_to_text_r1", "image_to_text_r5", "text_to_image_r1", "text_to_image_r5"]
    return px.line(table, x="step", y=shares, markers=True, title="The embedded CLIP on held-out scenes")


if __name__ == "__main__":
    main()
