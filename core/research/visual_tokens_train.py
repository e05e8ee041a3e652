"""Train an image tower on captions as CLIP is trained (Kalibhat, dissertation, section 6.5.1); resumable."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.common.inside import read_json_file
from core.errors import TrainingDiverged
from core.research.visual_tokens_config import TokenTrainConfig, lasting_settings
from core.research.visual_tokens_data import VAL_TAG, open_splits
from core.research.visual_tokens_model import Origin, TokenModel, about_path
from core.research.visual_tokens_store import TokenFolder
from core.research.visual_tokens_topic import ExtractConfig
from core.study.progress import Progress
from core.training.files import refuse_other_settings, resume_path, write_log
from core.training.loop import ResumableRun, run_steps
from core.worlds.scenes import Draws

# The loss of a training on pairs of images and captions.


STARTING_SCALE = 1 / 0.07  # of the cosine, before the softmax
LARGEST_SCALE = 100.0


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE of visual tokens (research), with captions of no image as further negatives.

    Args:
        images: (n, d). texts: (n + m, d), the first n belong to the images. scale: of the cosine.
        same: (n + m, n + m) bool, captions with the same words: never negatives of each other.
    """
    n = len(images)
    images = F.normalize(images.float(), dim=1)
    texts = F.normalize(texts.float(), dim=1)
    logits = scale * images @ texts.T  # (n, n + m)
    twins = same[:n].clone()
    twins[torch.arange(n), torch.arange(n)] = False
    logits = logits.masked_fill(twins, -torch.inf)
    target = torch.arange(n, device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target)) / 2


def same_rows(tokens: Tensor) -> Tensor:
    """Return which rows of visual tokens (research) are equal, (n, n) bool."""
    _, groups = torch.unique(tokens, dim=0, return_inverse=True)
    return groups[:, None] == groups[None, :]


# Retrieval between images and captions, and how far pairs stand out, as in Kalibhat, dissertation, Fig.
# 6.4. No torch.


def retrieval(images: np.ndarray, texts: np.ndarray, captions: Sequence[str]) -> dict[str, float]:
    """Compute R@1 of visual tokens and captions (research) in both directions, and mean cosines.

    Args:
        images, texts: (n, d) unit rows; row i of both belong together. captions: n; an image whose caption
            is another one's too counts as found by either.
    Returns:
        `text_to_image`, `image_to_text` in [0, 1] (ties count against the query); `diagonal`,
        `off_diagonal` in [-1, 1], the second over pairs with different captions. NaN where there are none.
    """
    names = np.asarray(captions)
    cosine = images @ texts.T
    other = names[:, None] != names[None]
    diagonal = float(np.diag(cosine).mean()) if len(cosine) else float("nan")
    off_diagonal = float(cosine[other].mean()) if other.any() else float("nan")
    return {
        "text_to_image": recall_at(texts, images, 1, captions),
        "image_to_text": recall_at(images, texts, 1, captions),
        "diagonal": diagonal,
        "off_diagonal": off_diagonal,
    }


def recall_at(queries: np.ndarray, targets: np.ndarray, k: int, groups: Sequence[Any] | None = None) -> float:
    """R@k of retrieval by visual tokens (research): share of queries with the own target among k nearest.

    Args:
        queries, targets: (n, d) unit rows.
        groups: (n,) equal entries count as own: a caption shared by two images is right for both.
    Returns:
        in [0, 1]; NaN without rows. Ties are broken against the query.
    """
    if not len(queries):
        return float("nan")
    names = np.arange(len(queries)) if groups is None else np.asarray(groups)
    same_group = names[:, None] == names[None, :]
    cosine = queries @ targets.T
    best_own = np.where(same_group, cosine, -np.inf).max(1)
    better = ((cosine >= best_own[:, None]) & ~same_group).sum(1)
    return float(np.mean(better < k))


# Train an image tower on captions as CLIP is trained, Kalibhat, dissertation, section 6.5.1; resumable
# (docs/method.md 16.4).
#
# Nothing random depends on earlier computations: the order and the captions of an epoch follow from the
# seed and its number alone. The state is therefore the weights, the optimiser, the step and the log.


PATHS = ("tokens", "captions")  # settings that may move: what they hold is in the fingerprint


def train_tokens(config: TokenTrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> Path:
    """Train an encoder of visual tokens (research), and return the path of the weights.

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
        self.optimiser = _token_optimiser(self.model, config)
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


def _token_optimiser(model: TokenModel, config: TokenTrainConfig) -> torch.optim.Optimizer:
    """AdamW for visual tokens (research); biases, norms, rank weights and the scale are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), eps=1e-6)


def token_learning_rate(step: int, total: int, config: TokenTrainConfig) -> float:
    """Linear warm-up over a share of the steps, then half a cosine to 0 at the last step (research)."""
    warmup = round(config.warmup * total)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    angle = math.pi * (step - warmup) / max(total - warmup, 1)
    return config.lr * 0.5 * (1 + math.cos(angle))
