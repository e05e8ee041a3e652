"""The training loop: seeded, logged, and resumable to the bit.

Nothing random depends on what ran before: the order of an epoch follows from (seed, epoch) and the views of
a batch from (seed, step). So the state is the weights, the optimiser, the step and torch's own generators.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import PeregrineError, SettingsError
from core.progress import Progress
from core.training import files, monitors
from core.training.augment import augment
from core.training.backbones import parse_arch
from core.training.config import AugmentConfig, TrainConfig, lasting
from core.training.optimise import (
    autocast,
    build_optimiser,
    first_not_finite,
    learning_rate,
    naming_memory,
    pick_device,
)
from core.training.pixels import load_pixels
from core.training.setup import (
    build,
    build_exported,
    derived_seed,
    describe_source,
    epoch_order,
    local_views,
    open_source,
    sample,
    transform_of,
)


def train(config: TrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> Path:
    """Train an encoder and return the path of its weights; their sidecar and log lie beside them.

    An interrupted training goes on from its last saved state when called again with the same settings.

    Raises:
        SettingsError: other settings than the saved state's, or an output that is another training.
        PeregrineError: the loss is no longer finite.
    """
    progress = progress or Progress.silent()
    output = Path(config.output)
    if fresh:
        files.resume_path(output).unlink(missing_ok=True)
        output.unlink(missing_ok=True)
    if files.is_complete(output, config):
        progress.note(f"{output} is complete; --fresh trains it again.")
        return output
    run = Run(config, open_source(config), progress)
    run.resume()
    run.run()
    return output


class Run:
    """One sitting of a training."""

    def __init__(self, config: TrainConfig, source: Any, progress: Progress):
        self.config, self.source, self.progress = config, source, progress
        self.output = Path(config.output)
        self.device = pick_device(config.device)
        with progress.stage("decode", total=len(source.table), unit="images") as bar:
            splits = load_pixels(
                source, config.image_size, cache=config.cache, workers=config.workers, progress=bar
            )
        self.train_pixels, self.val_pixels = splits["train"], splits["val"]
        self.steps_per_epoch = len(self.train_pixels.images) // config.batch_size
        if self.steps_per_epoch == 0:
            n_images = len(self.train_pixels.images)
            raise SettingsError(
                f"batch_size = {config.batch_size} is more than the {n_images} training images."
            )
        self.transform = transform_of(config, self.train_pixels.images)
        self.mean, self.std = list(self.transform.mean), list(self.transform.std)
        torch.manual_seed(config.seed)
        self.method = build(config).to(self.device)
        self.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.exported = build_exported(config).to(self.device)
        self.optimiser = build_optimiser(self.method, config)
        self.step, self.rows, self.losses, self.seconds = 0, [], [], 0.0
        self.saved: int | None = None  # step of the state on disk

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def progress_share(self) -> float:
        return self.step / (self.config.epochs * self.steps_per_epoch)

    def run(self) -> None:
        """Train to the last epoch, saving the state now and then and when interrupted."""
        config = self.config
        with self.progress.stage("train", total=config.epochs * self.steps_per_epoch, unit="steps") as bar:
            bar.skip(self.step)
            saved = time.monotonic()
            try:
                while self.epoch < config.epochs:
                    began = time.monotonic()
                    with naming_memory(config):
                        self.train_step()
                    self.seconds += time.monotonic() - began
                    bar.update(1)
                    if self.step % self.steps_per_epoch == 0:
                        self.end_epoch()
                    if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                        self.save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                self.save()
                raise
        if not self.output.exists() or not self.rows or "near_zero" not in self.rows[-1]:
            self.export()
        files.resume_path(self.output).unlink(missing_ok=True)

    def train_step(self) -> None:
        config, step = self.config, self.step
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, config, self.steps_per_epoch)
        self.method.train()
        self.method.progress = self.progress_share
        with autocast(config.precision, self.device):
            loss = self.method.loss(*self.views(step))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.method.after_backward()
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.method.parameters(), config.clip_norm)
        self.optimiser.step()
        self.step += 1
        self.method.after_step(self.progress_share)
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            raise PeregrineError(f"The loss is {self.losses[-1]} at step {step}. {self.what_is_left()}")

    def what_is_left(self) -> str:
        """What a training that was lost leaves behind, and what to try."""
        kept = files.resume_path(self.output)
        left = f"The state after step {self.saved} is kept in '{kept}'. " if self.saved else ""
        return f"{left}Try a lower --lr or --precision fp32 with --fresh."

    def views(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Normalised views of the step's images, view after view.

        Returns:
            (n_views * B, 3, S, S), and (n_local * B, 3, s, s) or None.
        """
        config = self.config
        epoch, batch = divmod(step, self.steps_per_epoch)
        rows = epoch_order(len(self.train_pixels.images), config.seed, epoch)
        rows = np.sort(rows[batch * config.batch_size : (batch + 1) * config.batch_size])
        images = torch.from_numpy(self.train_pixels.images[rows]).to(self.device)
        generator = torch.Generator().manual_seed(derived_seed(config.seed, "views", step))

        def drawn(n: int, size: int, how: AugmentConfig) -> Tensor | None:
            views = [augment(images, size, how, generator) for _ in range(n)]
            return self.normalise(torch.cat(views)) if views else None

        large = drawn(self.method.n_views, config.crop_size, config.augment)
        assert large is not None
        return large, drawn(self.method.n_local, *local_views(config))

    def normalise(self, views: Tensor) -> Tensor:
        mean, std = (torch.tensor(v, device=views.device)[:, None, None] for v in (self.mean, self.std))
        return ((views - mean) / std).contiguous(memory_format=torch.channels_last)

    def end_epoch(self) -> None:
        """Log the epoch; every few epochs look at the representation and write usable weights."""
        self.check_weights()
        n_views = (self.method.n_views + self.method.n_local) * self.config.batch_size * len(self.losses)
        row = {
            "epoch": self.epoch,
            "loss": round(float(np.mean(self.losses)), 5),
            "lr": round(self.optimiser.param_groups[0]["lr"], 7),
            "views_per_s": round(n_views / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 1),
            **{name: float(f"{value:.5g}") for name, value in self.method.facts().items()},
        }
        self.losses, self.seconds = [], 0.0
        self.rows.append(row)
        if self.epoch % self.config.monitor_every == 0 or self.epoch == self.config.epochs:
            row.update(self.monitor())
            self.export()
            self.save()
        files.write_log(self.output, self.rows)
        self.progress.note("  ".join(f"{key} {value}" for key, value in row.items()))

    def monitor(self) -> dict[str, float]:
        """Sparsity and collapse on val (else train); kNN accuracy where there are labels."""
        config = self.config
        train = sample(self.train_pixels, config.monitor_train, config.seed)
        val = sample(self.val_pixels, config.monitor_val, config.seed)
        has_val = len(val.images) > 0
        raw_train = self.represent(train.images) if val.labels is not None or not has_val else None
        raw = self.represent(val.images) if has_val else raw_train
        assert raw is not None
        values = monitors.sparsity(raw)
        if has_val and val.labels is not None and train.labels is not None and raw_train is not None:
            values["knn"] = monitors.knn_accuracy(raw_train, train.labels, raw, val.labels)
        return {name: round(value, 4) for name, value in values.items()}

    def represent(self, images: np.ndarray) -> Tensor:
        def batches() -> Iterator[Tensor]:
            for start in range(0, len(images), 250):
                block = torch.from_numpy(images[start : start + 250]).to(self.device)
                yield self.normalise(block.permute(0, 3, 1, 2).float() / 255)

        self.exported.load_state_dict(self.method.backbone.state_dict())
        with autocast(self.config.precision, self.device):
            return monitors.represent(self.exported, batches())

    def check_weights(self) -> None:
        lost = first_not_finite(self.method)
        if lost is not None:
            raise PeregrineError(
                f"Weights of '{lost}' are no longer finite at step {self.step}. {self.what_is_left()}"
            )

    def save(self) -> None:
        """Write the state, unless it is lost: then the last good one stays."""
        self.check_weights()
        files.save_state(
            self.output,
            self.config,
            {
                "step": self.step,
                "method": self.method.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": torch.get_rng_state(),
                "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
                "rows": self.rows,
                "losses": self.losses,
                "seconds": self.seconds,
            },
        )
        self.saved = self.step

    def resume(self) -> None:
        """Go on from the saved state, if there is one."""
        state = files.load_state(self.output, self.config)
        if state is None:
            return
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.saved, self.rows = state["step"], state["step"], state["rows"]
        self.losses, self.seconds = state["losses"], state["seconds"]
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.progress.note(f"resumed after step {self.step} (epoch {self.epoch} of {self.config.epochs})")

    def export(self) -> None:
        config, arch = self.config, self.config.export_arch or self.config.arch
        last = next((row for row in reversed(self.rows) if "near_zero" in row), {})
        sidecar = {
            "arch": arch,
            "arguments": parse_arch(arch)[2],
            "stem": config.stem,
            "transform": self.transform.to_dict(),
            "method": config.method,
            "epochs": self.epoch,
            "images": config.images,
            "seed": config.seed,
            "monitors": last,
            "source": describe_source(self.source),
            "settings": lasting(config),
        }
        files.export(self.output, self.method.backbone, sidecar, half=config.half)
