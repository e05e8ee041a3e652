"""The training loop: seeded, logged and resumable to the bit, on Lightning Fabric.

Nothing random depends on earlier computations: the order of an epoch follows from (seed, epoch), the views of
a batch from (seed, step). With several processes, only the first writes and reports.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.common.formatting import counted
from core.config import as_settings
from core.errors import SettingsError, TrainingDiverged
from core.study.progress import Progress
from core.training import files, setup, step_log
from core.training.augment import Batches, parts_of_batch
from core.training.backbones import parse_arch
from core.training.config import TrainConfig, fixed, lasting
from core.training.loop import ResumableRun, run_steps
from core.training.optimise import autocast, build_optimiser, naming_memory, set_rates
from core.training.penalty import head_of
from core.training.pixels import load_pixels
from core.training.process_group import connect, synchronise
from core.training.step_log import Events, StepLog


def train(config: TrainConfig, *, progress: Progress | None = None, fresh: bool = False) -> Path:
    """Train an encoder and return the path of its weights; their sidecar and log are stored beside them.

    An interrupted training resumes from its last saved state when called again with the same settings, even
    with another number of processes. `config.accumulate` splits each step's batch into micro-batches:
    everything that a loss compares within a batch (negatives, correlations, cluster sizes, BatchNorm
    statistics) is then compared within a micro-batch, so simclr with 4 x 64 images is not simclr with 256.
    Several processes do compare across all their images.

    Raises:
        SettingsError: settings other than those of the saved state, or an output of another training.
        TrainingDiverged: the loss is no longer finite.
    """
    fabric = connect(config)
    progress = progress if progress and fabric.is_global_zero else Progress.silent()
    output = Path(config.output)
    if fresh and fabric.is_global_zero:
        for path in (files.resume_path(output), *files.all_paths(output)):
            path.unlink(missing_ok=True)
    fabric.barrier()
    if files.is_complete(output, config):
        progress.note(f"{output} is complete; --fresh trains it again.")
        return output
    images = setup.open_training_images(config)
    files.make_folder(output)
    run = TrainingRun(config, images, progress, fabric)
    run.resume()
    run.run()
    return output


class TrainingRun(ResumableRun):
    """One training run, in one of its processes."""

    KEPT = (*ResumableRun.KEPT, "rows")

    def __init__(self, config: TrainConfig, source: Any, progress: Progress, fabric: Any = None):
        self.config, self.source, self.output = config, source, Path(config.output)
        super().__init__(progress, files.resume_path(self.output), fixed(config))
        self.fabric = fabric or connect(config)
        self.device = self.fabric.device
        with (
            self.fabric.rank_zero_first(local=True),  # one process decodes, the others read its result
            progress.stage("decode", total=len(source.table), unit="images") as bar,
        ):
            splits = load_pixels(
                source, config.image_size, cache=config.cache, workers=config.workers, progress=bar
            )
        self.train_pixels, self.val_pixels = splits["train"], splits["val"]
        if unreadable := len(source.table) - sum(len(part.rows) for part in splits.values()):
            progress.note(f"{counted(unreadable, 'image')} cannot be read and take no part in the training")
        self.parts = parts_of_batch(config, self.fabric.global_rank, self.fabric.world_size)
        self.transform = setup.transform_of(config, self.train_pixels.images)
        self.mean, self.std = list(self.transform.mean), list(self.transform.std)
        torch.manual_seed(config.seed)
        around = setup.build_around(config, source, self.train_pixels.rows, progress.note)
        self.method = setup.start_method(config, around).to(self.device)
        self.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.exported = setup.build_exported(config).to(self.device)
        self.method = synchronise(self.method, self.device)
        self.wrapped, self.optimiser = self.fabric.setup(self.method, build_optimiser(self.method, config))
        counts = (self.method.n_views, self.method.n_local)
        scale = (self.mean, self.std)
        self.batches = Batches(config, self.train_pixels.images, counts, self.device, scale)
        self.steps_per_epoch = self.batches.steps_per_epoch
        if self.steps_per_epoch == 0:
            n_images = len(self.train_pixels.images)
            raise SettingsError(
                f"batch_size = {config.batch_size} is more than the {n_images} training images."
            )
        self.batches.regroup(self.method.batch_groups())
        self.rows: list[dict[str, Any]] = []
        self.steps = StepLog(self.output, writes=self.fabric.is_global_zero)
        self.events = Events(self.output, step=0, enabled=False)
        self.saved: int | None = None  # step of the state on disk

    def stateful(self) -> dict[str, Any]:
        return {"method": self.method, "optimiser": self.optimiser, "steps": self.steps}

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def progress_share(self) -> float:
        return self.step / (self.config.epochs * self.steps_per_epoch)

    def run(self) -> None:
        """Train to the last epoch, saving the state periodically and on interruption."""
        config, main = self.config, self.fabric.is_global_zero
        self.events = Events(self.output, step=self.step, enabled=config.tensorboard and main)
        self.steps.begin(self.step)
        try:
            total = config.epochs * self.steps_per_epoch
            run_steps(self, total, self.progress, save_every=config.checkpoint_minutes)
        finally:
            self.events.close()
        if main:
            self.export()  # also where the last epoch did: `epochs` may be fewer now
            files.write_log(self.output, self.rows)  # an earlier process may have ended before its last line
            self.state_path.unlink(missing_ok=True)
        self.fabric.barrier()

    def advance(self) -> None:
        with naming_memory(self.config):
            self.train_step()

    def review(self) -> None:
        if self.step % self.steps_per_epoch == 0:
            self.end_epoch()

    def agreed(self, stop: bool) -> bool:
        if self.fabric.world_size == 1:
            return stop
        return bool(self.fabric.all_reduce(torch.tensor(float(stop), device=self.device), reduce_op="max"))

    def train_step(self) -> None:
        config, step = self.config, self.step
        self.torn = True
        set_rates(self.optimiser, step, config, self.steps_per_epoch)
        self.method.train()
        self.method.progress = self.progress_share
        if self.method.before_step(lambda rows: self.represent(self.train_pixels.images[rows])):
            self.batches.regroup(self.method.batch_groups())
        self.optimiser.zero_grad(set_to_none=True)
        losses = [self.micro_step(step, part) for part in range(config.accumulate)]
        self.method.after_backward()
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.method.parameters(), config.clip_norm)
        self.optimiser.step()
        self.step += 1
        self.method.after_step(self.progress_share)
        self.torn = False
        if self.progress_share < 1:
            self.batches.draw(self.step)  # while a GPU is still busy with this step
        loss = self.fabric.all_reduce(torch.stack(losses).mean()).item()
        self.losses.append(loss)
        if not math.isfinite(loss):
            raise TrainingDiverged(f"The loss is {loss} at step {step}. {self.what_is_left()}")
        method_facts = self.method.step_facts()
        self.steps.add(self.step, method_facts)
        rate = self.optimiser.param_groups[0]["lr"]
        self.events.write("step", self.step, {"loss": loss, "lr": rate, **method_facts})

    def micro_step(self, step: int, part: int) -> Tensor:
        """Add the gradients of one micro-batch; those of several processes are combined at the last one."""
        n_parts = self.config.accumulate
        self.method.rows = self.batches.draw(step).rows[self.parts[part]]
        with self.fabric.no_backward_sync(self.wrapped, enabled=part < n_parts - 1):
            loss = self.wrapped(*self.views(step, part))
            self.fabric.backward(loss / n_parts)
        return loss.detach()

    def views(self, step: int, part: int = 0) -> tuple[Tensor, Tensor | None]:
        """Return this process's views of a micro-batch, as `Batches.views` makes them."""
        return self.batches.views(step, self.parts[part])

    def what_is_left(self) -> str:
        """Name the files that a failed training leaves behind, and what to try."""
        left = f"The state after step {self.saved} is kept in '{self.state_path}'. " if self.saved else ""
        return f"{left}Try a lower --lr or --precision fp32 with --fresh."

    def end_epoch(self) -> None:
        """Log the epoch; every few epochs evaluate the representation and write usable weights."""
        self.check_weights()
        means = self.steps.end_epoch()
        n_views = (self.method.n_views + self.method.n_local) * self.config.batch_size * len(self.losses)
        rate = self.optimiser.param_groups[0]["lr"]
        row = {"epoch": self.epoch, "loss": round(float(np.mean(self.losses)), 5), "lr": round(rate, 7)}
        row |= {"views_per_s": round(n_views / max(self.seconds, 1e-9), 1)}
        row |= {"seconds": round(self.seconds, 1), **self.facts(), **means}
        self.losses, self.seconds = [], 0.0
        self.rows.append(row)
        if not self.fabric.is_global_zero:
            return
        is_due = self.epoch % self.config.monitor_every == 0 or self.epoch == self.config.epochs
        if is_due:
            row.update(self.monitor())
            self.export()
        if self.config.keep_every and self.epoch % self.config.keep_every == 0:
            self.export(files.kept_path(self.output, self.epoch))
        if is_due:
            self.save()  # last: a training that goes on from here does not write them again
        files.write_log(self.output, self.rows)
        self.events.write("epoch", self.step, row)
        self.progress.note("  ".join(f"{key} {value}" for key, value in row.items()))
        if concern := self.method.concern(means):
            self.progress.note(f"warning: epoch {self.epoch}: {concern}")

    def facts(self) -> dict[str, float]:
        """Return the method's own numbers, averaged over the processes, to five digits."""
        method_facts = self.method.facts()
        if self.fabric.world_size > 1 and method_facts:
            values = torch.tensor(list(method_facts.values()), dtype=torch.float64, device=self.device)
            method_facts = dict(zip(method_facts, self.fabric.all_reduce(values).tolist(), strict=True))
        return {name: float(f"{value:.5g}") for name, value in method_facts.items()}

    def monitor(self) -> dict[str, float]:
        """Measure sparsity and collapse on val (else train), and kNN accuracy if there are labels."""
        config = self.config
        train = setup.sample(self.train_pixels, config.monitor_train, config.seed)
        val = setup.sample(self.val_pixels, config.monitor_val, config.seed)
        has_val = len(val.images) > 0
        raw_train = self.represent(train.images) if val.labels is not None or not has_val else None
        raw = self.represent(val.images) if has_val else raw_train
        assert raw is not None
        values = step_log.representation_statistics(raw)
        if has_val and val.labels is not None and train.labels is not None and raw_train is not None:
            values["knn"] = step_log.knn_accuracy(raw_train, train.labels, raw, val.labels)
        return {name: round(value, 4) for name, value in values.items()}

    def represent(self, images: np.ndarray) -> Tensor:
        """Represent pixels (n, side, side, 3) as the analysis does: of larger images the centre."""
        seen, side = min(self.transform.sides), images.shape[1]
        at = max(round((side - seen) / 2), 0)

        def batches() -> Iterator[Tensor]:
            for start in range(0, len(images), 250):
                centre = np.array(images[start : start + 250, at : at + seen, at : at + seen])
                block = torch.from_numpy(centre).to(self.device)
                yield self.batches.normalise(block.permute(0, 3, 1, 2).float() / 255)

        self.exported.load_state_dict(self.method.backbone.state_dict())
        with autocast(self.config.precision, self.device):
            return step_log.represent(self.exported, batches())

    def check_weights(self) -> None:
        weights = self.method.state_dict().items()  # the loss may hide them
        lost = next((name for name, x in weights if not torch.isfinite(x).all()), None)
        if lost is not None:
            raise TrainingDiverged(
                f"Weights of '{lost}' are no longer finite at step {self.step}. {self.what_is_left()}"
            )

    def save(self) -> None:
        """Write the state, unless it is no longer finite: then the last good one stays."""
        if not self.fabric.is_global_zero:
            return
        self.check_weights()
        super().save()
        self.saved = self.step

    def resume(self) -> bool:
        resumed = super().resume()
        if resumed:
            self.saved = self.step
            self.batches.regroup(self.method.batch_groups())
            epochs = f"epoch {self.epoch} of {self.config.epochs}"
            self.progress.note(f"resumed after step {self.step} ({epochs})")
        return resumed

    def export(self, output: Path | None = None) -> None:
        """Write the weights of now, with all that an analysis needs to know; None: to `self.output`."""
        output = output or self.output
        config, arch = self.config, self.config.export_arch or self.config.arch
        last = next((row for row in reversed(self.rows) if "near_zero" in row), {})
        sidecar: dict[str, Any] = {"arch": arch, "arguments": parse_arch(arch).arguments, "stem": config.stem}
        sidecar |= {"transform": self.transform.to_dict(), "method": config.method, "epochs": self.epoch}
        sidecar |= {"images": config.images, "seed": config.seed, "monitors": last}
        sidecar |= {"source": setup.describe_source(self.source), "settings": lasting(config)}
        sidecar |= self.method.sidecar()
        if config.start is not None:
            regularizer = as_settings(config.regularizer)
            sidecar |= {"start": config.start, "frozen": config.frozen, "regularizer": regularizer}
        if config.stem == "cifar":
            sidecar["stem_padding"] = self.method.backbone.conv1.padding[0]  # type: ignore[union-attr,index]
        head = head_of(self.method)
        files.export(output, self.method.backbone, sidecar, half=config.half, head=head)
        files.export_companions(output, self.method.companions(), half=config.half)
