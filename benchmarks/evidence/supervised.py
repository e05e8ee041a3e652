"""A supervised ResNet for the scores without labels: encoder 5 of prereg_scores.md.

python -m benchmarks.evidence.supervised --images FOLDER -o build/supervised.safetensors

Cross-entropy, SGD with momentum, one cycle of the rate, random shifts by up to four pixels and flips, on
images of 32 pixels: what papers on CIFAR train, without refinements. The classification layer is thrown away,
as `analyze` trains a linear probe of its own. Prints a line per epoch, and goes on after the last whole epoch
when it was stopped. Ten epochs of CIFAR-10 take about an hour of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from benchmarks.__main__ import machine
from core.common.inside import replacing
from core.common.statistics.intervals import wilson
from core.data.sources.images import open_images
from core.encoders.transform import Transform
from core.errors import SettingsError
from core.jobs.progress import Bar, Progress
from core.training.augmentations.pixels import Pixels, load_pixels
from core.training.backbones import build_backbone, parse_arch
from core.training.files import export, read_state, resume_path
from core.training.setup import channel_statistics, derived_seed, describe_source, epoch_order

ARCH, STEM, SIZE = "timm:resnet18?channels=(32,64,128,256)", "cifar", 32
BATCH, RATE, MOMENTUM, DECAY, WARM_UP = 128, 0.2, 0.9, 5e-4, 0.2
SHIFT = 4  # pixels


def shifted_and_flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to SHIFT pixels, mirrored at the edges, and flip half of them.

    Args:
        images: (n, 3, S, S) of any type.
    Returns:
        the same shape.
    """
    n, _, size, _ = images.shape
    wide = pad(images, (SHIFT,) * 4, mode="reflect")
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, n), generator=generator)
    pixels = torch.arange(size)
    columns = pixels.expand(n, size)
    flipped = torch.rand(n, generator=generator) < 0.5
    columns = torch.where(flipped[:, None], size - 1 - columns, columns) + left[:, None]
    rows = pixels + top[:, None]
    # Advanced indices around a slice come first: (n, S, S, 3).
    picked = wide[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


class Training:
    """A backbone and its classification layer, with everything that is needed to go on after an epoch."""

    def __init__(self, pixels: dict[str, Pixels], output: Path, *, epochs: int, seed: int):
        self.train, self.val = pixels["train"], pixels["val"]
        self.output, self.epochs, self.seed = output, epochs, seed
        if self.train.labels is None or self.val.labels is None or not len(self.val.images):
            raise SettingsError("the images need labels and both splits, train and val")
        torch.manual_seed(seed)
        self.backbone, width = build_backbone(ARCH, STEM, SIZE)
        self.model = nn.Sequential(self.backbone, nn.Linear(width, int(self.train.labels.max()) + 1))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = len(self.train.images) // BATCH
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, RATE, total_steps=epochs * self.steps, pct_start=WARM_UP, cycle_momentum=False
        )
        self.scale = channel_statistics(self.train.images, seed)
        self.epoch = 0
        self._go_on()

    def _go_on(self) -> None:
        state = read_state(resume_path(self.output))
        if state is None:
            return
        if (state["epochs"], state["seed"]) != (self.epochs, self.seed):
            raise SettingsError(
                f"'{resume_path(self.output)}' is of other settings; give those, or another -o"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            **{name: getattr(self, name) for name in ("epoch", "epochs", "seed")},
        }
        with replacing(resume_path(self.output), parents=True) as temporary:
            torch.save(state, temporary)

    def normalised(self, images: np.ndarray) -> Tensor:
        """(n, S, S, 3) uint8 -> (n, 3, S, S) float32, normalised by channel."""
        mean, std = (torch.tensor(values)[:, None, None] for values in self.scale)
        return (torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) / 255 - mean) / std

    def logits(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.model(images.contiguous(memory_format=torch.channels_last)).float()

    def one_epoch(self, bar: Bar) -> float:
        """Train on every image once; return the mean loss."""
        order = epoch_order(len(self.train.images), self.seed, self.epoch)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "views", self.epoch))
        assert self.train.labels is not None
        losses = []
        self.model.train()
        for step in range(self.steps):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            images = shifted_and_flipped(self.normalised(self.train.images[rows]), generator)
            loss = cross_entropy(self.logits(images), torch.from_numpy(self.train.labels[rows]))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            losses.append(float(loss.detach()))
            bar.update()
        self.epoch += 1
        return float(np.mean(losses))

    @torch.no_grad()
    def correct(self) -> np.ndarray:
        """(n_val,) bool: is the evaluation image classified correctly by the layer trained along?"""
        assert self.val.labels is not None
        self.model.eval()
        parts = [
            self.logits(self.normalised(self.val.images[start : start + 500])).argmax(1)
            for start in range(0, len(self.val.images), 500)
        ]
        return torch.cat(parts).numpy() == self.val.labels

    def sidecar(self, source: Any, accuracy: float) -> dict[str, Any]:
        mean, std = self.scale
        return {
            "arch": ARCH,
            "arguments": parse_arch(ARCH).arguments,
            "stem": STEM,
            "transform": Transform(SIZE, SIZE, tuple(mean), tuple(std)).to_dict(),
            "method": "supervised",
            "epochs": self.epoch,
            "seed": self.seed,
            "monitors": {"top1": round(accuracy, 4)},
            "source": describe_source(source),
        }


def train(images: str, output: Path, *, epochs: int, seed: int, workers: int) -> float:
    """Train to the end, write the backbone and its sidecar, and return the accuracy of the trained layer.

    Raises:
        SettingsError: no labels, one split only, or a stopped training of other settings.
    """
    source = open_images(images, seed=seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with Progress.for_command(None, stages_total=2) as progress:
        with progress.stage("decode", total=len(source.table), unit="images") as bar:
            pixels = load_pixels(source, SIZE, workers=workers, progress=bar)
        training = Training(pixels, output, epochs=epochs, seed=seed)
        with progress.stage("train", total=epochs * training.steps, unit="steps") as bar:
            bar.skip(training.epoch * training.steps)
            while training.epoch < epochs:
                loss = training.one_epoch(bar)
                training.save()
                right = training.correct()
                print(
                    f"epoch {training.epoch} of {epochs}: loss {loss:.3f}, top-1 {right.mean():.1%}",
                    flush=True,
                )
    right = training.correct()
    low, high = (float(end) for end in wilson(right.sum(), len(right)))
    export(output, training.backbone, training.sidecar(source, float(right.mean())), half=True)
    print(
        f"{output}: top-1 {right.mean():.1%} ({low:.1%} to {high:.1%}) of {len(right):,} images; {machine()}"
    )
    return float(right.mean())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", required=True, help="labelled folder with train/ and val/ or test/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights to write, .safetensors")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that decode the images once")
    given = parser.parse_args(arguments)
    train(given.images, given.output, epochs=given.epochs, seed=given.seed, workers=given.workers)


if __name__ == "__main__":
    main()
