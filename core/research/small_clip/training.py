"""Train a small CLIP on Glyphworld: symmetric InfoNCE over scenes, windows and their captions; resumable.

Nothing random depends on earlier computations: images and captions of a step follow from (seed, step) alone.
The state is therefore the weights, the optimiser, the step and torch's own generator.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.common.inside import replacing
from core.concepts.clip.clip import FORMAT, Clip, build_model, build_preprocess
from core.data.sources.glyphworld import GlyphworldSource
from core.errors import PeregrineError
from core.jobs.progress import Progress
from core.research.small_clip.config import FREE_ON_RESUME, ClipTrainConfig
from core.research.small_clip.evaluate import check_on_glyphworld
from core.research.small_clip.training_views import FILL, ClipBatch, SceneViews
from core.training.augmentations.pixels import load_pixels
from core.training.loop import ResumableRun, run_steps
from core.training.optimise import autocast, pick_device
from core.worlds.glyphworld.captions import vocabulary
from core.worlds.glyphworld.glyphworld import PIXELS_VERSION
from core.worlds.glyphworld.word_tokens import START, UNKNOWN, WordTokenizer

STARTING_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0  # of the cosine, before the softmax
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # (128 + 0.5) / 255: the gray of the padding becomes about 0


def train_clip(config: ClipTrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> Path:
    """Train, and return the path of the asset's `.json`, stored beside `.safetensors` and `.metrics.json`.

    An interrupted training resumes from its last saved state when called again with the same settings.

    Raises:
        SettingsError: the saved state has other settings. PeregrineError: the loss is no longer finite.
    """
    run = ClipTrainingRun(config, progress or Progress.silent())
    if fresh:
        run.state_path.unlink(missing_ok=True)
    run.resume()
    run.run()
    return run.path(".json")


class ClipTrainingRun(ResumableRun):
    """One training run."""

    KEPT = (*ResumableRun.KEPT, "metrics")

    def __init__(self, config: ClipTrainConfig, progress: Progress) -> None:
        self.config = config
        super().__init__(progress, self.path(".resume.pt"), clip_settings(config))
        self.device = pick_device(config.device)
        self.source = GlyphworldSource.from_spec(config.images)
        with progress.stage("render", total=len(self.source), unit="scenes") as bar:
            pixels = load_pixels(self.source, config.cache_size, cache=config.cache, workers=1, progress=bar)
        self.views = SceneViews(config, self.source, pixels["train"].images)
        self.tokenizer = WordTokenizer(vocabulary(), config.context_length)
        torch.manual_seed(config.seed)
        self.model: Any = build_model(self.model_config())
        self.model.to(self.device, memory_format=torch.channels_last)
        with torch.no_grad():
            self.model.logit_scale.fill_(math.log(STARTING_SCALE))
        self.optimiser = build_clip_optimiser(self.model, config)
        self.metrics: list[dict[str, Any]] = []

    def path(self, ending: str) -> Path:
        return Path(self.config.output + ending)

    def stateful(self) -> dict[str, Any]:
        return {"model": self.model, "optimiser": self.optimiser}

    def model_config(self) -> dict[str, Any]:
        config = self.config
        if config.image_tower[:1].isdigit():
            blocks = [int(count) for count in config.image_tower.split(",")]
            vision: dict[str, Any] = {"layers": blocks, "width": config.image_width}
        else:
            vision = {"timm_model_name": config.image_tower, "timm_pool": "", "timm_proj": "linear"}
        text = {"width": config.width, "layers": config.text_layers, "heads": config.text_heads}
        text |= {"context_length": config.context_length, "vocab_size": self.tokenizer.vocab_size}
        return {
            "embed_dim": config.width,
            "vision_cfg": vision | {"image_size": config.image_size},
            "text_cfg": text,
            "custom_text": True,
        }

    def run(self) -> None:
        run_steps(self, self.config.steps, self.progress, save_every=self.config.checkpoint_minutes)
        self.state_path.unlink(missing_ok=True)

    def advance(self) -> None:
        self.train_step(self.views.batch(self.step))

    def review(self) -> None:
        if self.step % self.config.monitor_every == 0 or self.step == self.config.steps:
            self.monitor()
            self.export()

    def train_step(self, batch: ClipBatch) -> None:
        self.torn = True
        for group in self.optimiser.param_groups:
            group["lr"] = clip_learning_rate(self.step, self.config)
        self.model.train()
        pictures = torch.from_numpy(batch.pictures).to(self.device).permute(0, 3, 1, 2)
        pixels = (pictures.float() / 255 - MEAN[0]) / STD[0]
        tokens = torch.from_numpy(self.tokenizer(batch.captions + batch.absent))
        tokens = forget_words(tokens, self.config.unknown_share, self.step, self.tokenizer.end)
        tokens = tokens.to(self.device)
        with autocast(self.config.precision, self.device):
            images = self.model.encode_image(pixels.contiguous(memory_format=torch.channels_last))
            texts = self.model.encode_text(tokens)
        loss = contrastive_loss(images, texts, self.model.logit_scale.exp(), same_rows(tokens))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
        self.step += 1
        self.torn = False
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            raise PeregrineError(f"The loss is {self.losses[-1]} at step {self.step}. Try a lower lr.")

    def monitor(self) -> None:
        """Evaluate on held-out scenes; the numbers go into the log and beside the asset."""
        clip = self.clip()
        row = {"step": self.step, "loss": round(float(np.mean(self.losses)), 4)}
        row |= {"scale": round(self.model.logit_scale.exp().item(), 2), "seconds": round(self.seconds)}
        row |= check_on_glyphworld(clip, self.source, n=self.config.monitor_images)
        self.metrics.append(row)
        self.losses = []
        self.progress.note("  ".join(f"{name} {value}" for name, value in row.items()))

    def clip(self) -> Clip:
        described = self.describe()
        return Clip(
            self.model,
            self.tokenizer,  # type: ignore[arg-type]
            build_preprocess(described["preprocess_cfg"]),
            name="asset:glyphworld",
            configuration=described,
            device=self.device,
        )

    def describe(self) -> dict[str, Any]:
        """Return the data that `load_clip` needs beside the weights."""
        preprocess = {"size": self.config.image_size, "mean": MEAN, "std": STD}
        preprocess |= {"interpolation": "bilinear", "resize_mode": "longest", "fill_color": FILL}
        return {
            "format": FORMAT,
            "model_cfg": self.model_config(),
            "preprocess_cfg": preprocess,
            "tokenizer": {"kind": "words", "words": list(self.tokenizer.words)},
        }

    def export(self) -> None:
        """Write weights in half precision, the configuration, and the metrics."""
        tensors = {name: _half(tensor) for name, tensor in self.model.state_dict().items()}
        with replacing(self.path(".safetensors"), parents=True) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})
        figures = {"held_out": self.metrics[-1] if self.metrics else {}, "history": self.metrics}
        figures |= {"settings": clip_settings(self.config), "pixels_version": PIXELS_VERSION}
        for ending, content in ((".json", self.describe()), (".metrics.json", figures)):
            with replacing(self.path(ending), parents=True) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def resume(self) -> bool:
        resumed = super().resume()
        if resumed:
            self.progress.note(f"resumed after step {self.step} of {self.config.steps}")
        return resumed


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE with captions that belong to no image as additional negatives.

    Args:
        images: (n, d). texts: (n + m, d), the first n belong to the images. scale: of the cosine.
        same: (n + m, n + m) bool, captions with the same words: never negatives of each other.
    """
    images, texts = F.normalize(images.float(), dim=1), F.normalize(texts.float(), dim=1)
    n = len(images)
    logits = scale * images @ texts.T  # (n, n + m)
    twins = same[:n].clone()
    twins[torch.arange(n), torch.arange(n)] = False
    logits = logits.masked_fill(twins, -torch.inf)
    target = torch.arange(n, device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target)) / 2


def same_rows(tokens: Tensor) -> Tensor:
    """(n, n) bool: equal rows of tokens."""
    _, groups = torch.unique(tokens, dim=0, return_inverse=True)
    return groups[:, None] == groups[None, :]


def forget_words(tokens: Tensor, share: float, step: int, end: int) -> Tensor:
    """Replace random words by the unknown word, so that it comes to mean "something"."""
    drawn = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(step)) < share
    words = (tokens > UNKNOWN) & (tokens != end) & (tokens != START)
    return tokens.masked_fill(drawn & words, UNKNOWN)


def clip_learning_rate(step: int, config: ClipTrainConfig) -> float:
    """Linear warm-up, then half a cosine to 0 at the last step."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def build_clip_optimiser(model: nn.Module, config: ClipTrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases, norms and the scale are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others}]
    return torch.optim.AdamW(groups, weight_decay=0.0, lr=config.lr, betas=(0.9, 0.98), eps=1e-6)


def clip_settings(config: ClipTrainConfig) -> dict[str, Any]:
    """Return the settings that determine the weights."""
    return {name: value for name, value in asdict(config).items() if name not in FREE_ON_RESUME}


def _half(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() else tensor
