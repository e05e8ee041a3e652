"""Train an image tower on captions as CLIP is trained, Kalibhat, dissertation, section 6.5.1; resumable
(docs/method.md 16.4).

Nothing random depends on earlier computations: the order and the captions of an epoch follow from the seed
and its number alone. The state is therefore the weights, the optimiser, the step and the log.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from core.common.inside import read_json_file
from core.errors import TrainingDiverged
from core.jobs.progress import Progress
from core.research.visual_tokens.tokens.store import TokenFolder
from core.research.visual_tokens.topic import ExtractConfig
from core.research.visual_tokens.training.caption_loss import (
    LARGEST_SCALE,
    STARTING_SCALE,
    contrastive_loss,
    same_rows,
)
from core.research.visual_tokens.training.config import TokenTrainConfig, lasting_settings
from core.research.visual_tokens.training.data import VAL_TAG, open_splits
from core.research.visual_tokens.training.model import Origin, TokenModel, about_path
from core.research.visual_tokens.training.retrieval import retrieval
from core.training.files import refuse_other_settings, resume_path, write_log
from core.training.loop import ResumableRun, run_steps
from core.worlds.glyphworld.scenes import Draws

PATHS = ("tokens", "captions")  # settings that may move: what they hold is in the fingerprint


def train_tokens(config: TokenTrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> Path:
    """Train, and return the path of the weights; beside them lie settings (.json) and curves (.csv).

    An interrupted training resumes from its last saved state when it is called again with the same
    settings; a finished one is not repeated.

    Raises:
        SettingsError: the saved state has other settings. TrainingDiverged: the loss is no longer finite.
    """
    run = TokenTrainingRun(config, progress or Progress.silent())
    if fresh:
        run.state_path.unlink(missing_ok=True)
    elif run.output.exists() and not run.state_path.exists():
        run.check_finished()
        return run.output
    run.resume()
    run.run()
    return run.output


class TokenTrainingRun(ResumableRun):
    """One training run."""

    KEPT = (*ResumableRun.KEPT, "log")

    def __init__(self, config: TokenTrainConfig, progress: Progress) -> None:
        self.config, self.output = config, Path(config.output)
        self.folder = folder = TokenFolder(config.tokens)
        settings = {name: value for name, value in lasting_settings(config).items() if name not in PATHS}
        super().__init__(progress, resume_path(self.output), settings | {"fingerprint": folder.fingerprint})
        extraction = ExtractConfig(**folder.manifest["settings"])
        origin = Origin(extraction, folder.manifest["extractor_fingerprint"], folder.widths)
        torch.manual_seed(config.seed)
        self.model = TokenModel(config, origin)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad = self.model.vision is None or not name.startswith("text.visual.")
        with torch.no_grad():
            self.model.scale.fill_(math.log(STARTING_SCALE))
        with progress.stage("read tokens"):
            self.splits = open_splits(config, self.model, folder)
        self.batch_size = min(config.batch_size, len(self.splits["train"]))
        self.steps_per_epoch = len(self.splits["train"]) // self.batch_size
        self.total = config.epochs * self.steps_per_epoch
        self.optimiser = token_optimiser(self.model, config)
        self.log: list[dict[str, Any]] = []

    def stateful(self) -> dict[str, Any]:
        return {"model": _Trained(self.model), "optimiser": self.optimiser}

    def run(self) -> None:
        run_steps(self, self.total, self.progress, save_every=self.config.checkpoint_minutes)
        self.state_path.unlink(missing_ok=True)

    def rows_of(self, step: int) -> tuple[np.ndarray, int]:
        """Return the images of a step and its epoch, a permutation drawn from (seed, epoch)."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.splits["train"]))
        return order[step_of_epoch * self.batch_size : (step_of_epoch + 1) * self.batch_size], epoch

    def advance(self) -> None:
        self.torn = True
        rows, epoch = self.rows_of(self.step)
        data, seed = self.splits["train"], self.config.seed
        captions = [data.captions(int(row), Draws(seed, epoch, int(row))) for row in rows]
        for group in self.optimiser.param_groups:
            group["lr"] = token_learning_rate(self.step, self.total, self.config)
        self.model.train()
        images = self.model.images_of(data.images.batch(rows).to(self.model.scale.device))
        texts, words = self.model.texts_of(captions)
        loss = contrastive_loss(images, texts, self.model.scale.exp(), same_rows(words))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.scale.clamp_(0, math.log(LARGEST_SCALE))
        self.step += 1
        self.torn = False
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            raise TrainingDiverged(f"the loss is {self.losses[-1]} at step {self.step}: try a lower lr")

    def review(self) -> None:
        every = self.config.monitor_every * self.steps_per_epoch
        if self.step % every == 0 or self.step == self.total:
            self.monitor()
            write_log(self.output, self.log)
        if self.step == self.total:
            self.model.save(self.output, self.notes())

    def monitor(self) -> None:
        """Search captions of val images: one curve point of Kalibhat, dissertation, Fig. 6.4."""
        data = self.splits["val"]
        n = min(self.config.monitor_images, len(data))
        captions = [data.captions(row, Draws(VAL_TAG, row)) for row in range(n)]
        images = self.model.embed_data(_First(data.images, n))
        row = {"step": self.step, "epoch": self.step / self.steps_per_epoch}
        row |= {"loss": float(np.mean(self.losses))}
        row |= retrieval(images, self.model.embed_texts(captions), captions)
        row |= {"scale": self.model.scale.exp().item(), "seconds": round(self.seconds, 1)}
        self.log.append(row)
        self.losses = []
        self.progress.note("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    def notes(self) -> dict[str, Any]:
        """Return what the file beside the weights says of the training."""
        data = {split: len(part) for split, part in self.splits.items()}
        weights = getattr(self.model.vision, "rank_weights", None)
        weight_list = None if weights is None else weights.tolist()
        return {
            "images": data,
            "tokens_fingerprint": self.folder.fingerprint,
            "held_out": self.log[-1],
            "rank_weights": weight_list,
            "seconds": round(self.seconds, 1),
        }

    def resume(self) -> bool:
        resumed = super().resume()
        if resumed:
            self.progress.note(f"resumed after step {self.step} of {self.total}")
        return resumed

    def check_finished(self) -> None:
        """Refuse a finished training of other settings. Raises SettingsError."""
        try:
            about = read_json_file(about_path(self.output))
            then = {**about["settings"], "fingerprint": about["tokens_fingerprint"]}
        except (OSError, ValueError, KeyError):
            then = {}
        refuse_other_settings(self.output, then, self.settings)
        self.progress.note(f"{self.output}: already done")


class _Trained:
    """The part of a model's state that a training changes."""

    def __init__(self, model: TokenModel) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        return dict(self.model.trained())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state, strict=False)


class _First:
    """The first n images of a VisionData."""

    def __init__(self, data: Any, n: int) -> None:
        self.data, self.n = data, n

    def __len__(self) -> int:
        return self.n

    def batch(self, rows: np.ndarray) -> Any:
        return self.data.batch(rows)


def token_optimiser(model: TokenModel, config: TokenTrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases, norms, rank weights and the scale are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), eps=1e-6)


def token_learning_rate(step: int, total: int, config: TokenTrainConfig) -> float:
    """Linear warm-up over a share of the steps, then half a cosine to 0 at the last step."""
    warmup = round(config.warmup * total)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    angle = math.pi * (step - warmup) / max(total - warmup, 1)
    return config.lr * 0.5 * (1 + math.cos(angle))
